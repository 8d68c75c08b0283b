"""Protobuf descriptors built by hand, for the two small services that every gRPC server has.

Health and reflection belong to gRPC, and a process may well have grpcio's own generated classes loaded: two files with
the same messages cannot live in protobuf's default pool. Ours live in a pool of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from raftly.rpc.service import Kind, Method

__all__ = ["BYTES", "INT32", "STRING", "File", "enum", "message", "repeated"]

FieldType = tuple[int, str, bool]  # protobuf's number of the type, name of a message or enum, repeated

_Proto = descriptor_pb2.FieldDescriptorProto
STRING: Final[FieldType] = (_Proto.TYPE_STRING, "", False)
BYTES: Final[FieldType] = (_Proto.TYPE_BYTES, "", False)
INT32: Final[FieldType] = (_Proto.TYPE_INT32, "", False)


def message(name: str) -> FieldType:
    """A field that holds a message of the same file."""
    return (_Proto.TYPE_MESSAGE, name, False)


def enum(name: str) -> FieldType:
    """A field that holds an enum of the same file."""
    return (_Proto.TYPE_ENUM, name, False)


def repeated(field: FieldType) -> FieldType:
    """The same field, any number of times."""
    return (field[0], field[1], True)


class File:
    """One proto3 file in a pool of its own: messages by name, fields by (name, number, type); then services."""

    def __init__(
        self,
        name: str,
        package: str,
        messages: Mapping[str, Sequence[tuple[str, int, FieldType]]],
        *,
        enums: Mapping[str, Sequence[tuple[str, int]]] | None = None,
        services: Mapping[str, Sequence[tuple[str, str, str, Kind]]],
    ) -> None:
        proto = descriptor_pb2.FileDescriptorProto(name=name, package=package, syntax="proto3")
        for message_name, fields in messages.items():
            descriptor = proto.message_type.add(name=message_name)
            for field_name, number, (field_type, type_name, many) in fields:
                descriptor.field.add(
                    name=field_name,
                    number=number,
                    type=field_type,
                    type_name=f".{package}.{type_name}" if type_name else None,
                    label=_Proto.LABEL_REPEATED if many else _Proto.LABEL_OPTIONAL,
                )
        for enum_name, values in (enums or {}).items():
            proto.enum_type.add(name=enum_name).value.extend(
                descriptor_pb2.EnumValueDescriptorProto(name=value, number=number) for value, number in values
            )
        for service_name, methods in services.items():
            service = proto.service.add(name=service_name)
            for method_name, request, response, kind in methods:
                service.method.add(
                    name=method_name,
                    input_type=f".{package}.{request}",
                    output_type=f".{package}.{response}",
                    client_streaming=kind.client_streams,
                    server_streaming=kind.server_streams,
                )
        self.package = package
        self.serialized = proto.SerializeToString()
        self._pool = descriptor_pool.DescriptorPool()
        self._pool.AddSerializedFile(self.serialized)

    def message_class(self, name: str) -> Callable[..., Any]:
        """Class of a message of this file."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(f"{self.package}.{name}"))

    def method(self, service: str, name: str, request: str, response: str, kind: Kind) -> Method[Any, Any]:
        """A method of this file."""
        request_class: Any = self.message_class(request)
        response_class: Any = self.message_class(response)
        return Method(
            service=f"{self.package}.{service}",
            name=name,
            kind=kind,
            encode_request=request_class.SerializeToString,
            decode_request=request_class.FromString,
            encode_response=response_class.SerializeToString,
            decode_response=response_class.FromString,
        )
