"""The standard reflection service: tools ask a server what it serves, and get descriptors.

Source: grpc/grpc doc/server-reflection.md, grpc/grpc src/proto/grpc/reflection (names and numbers, v1 and v1alpha).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2

from raftly.rpc.descriptors import BYTES, INT32, STRING, File, message, repeated
from raftly.rpc.grpc.status import StatusCode
from raftly.rpc.service import AnyMessage, Bound, Kind, Service, bind

__all__ = ["reflection_services"]

_METHOD: Final = ("ServerReflectionInfo", "ServerReflectionRequest", "ServerReflectionResponse", Kind.STREAM_STREAM)


def _file(version: str) -> File:
    return File(
        f"raftly/rpc/reflection_{version}.proto",
        f"grpc.reflection.{version}",
        {
            "ServerReflectionRequest": [
                ("host", 1, STRING),
                ("file_by_filename", 3, STRING),
                ("file_containing_symbol", 4, STRING),
                ("file_containing_extension", 5, message("ExtensionRequest")),
                ("all_extension_numbers_of_type", 6, STRING),
                ("list_services", 7, STRING),
            ],
            "ExtensionRequest": [("containing_type", 1, STRING), ("extension_number", 2, INT32)],
            "ServerReflectionResponse": [
                ("valid_host", 1, STRING),
                ("original_request", 2, message("ServerReflectionRequest")),
                ("file_descriptor_response", 4, message("FileDescriptorResponse")),
                ("all_extension_numbers_response", 5, message("ExtensionNumberResponse")),
                ("list_services_response", 6, message("ListServiceResponse")),
                ("error_response", 7, message("ErrorResponse")),
            ],
            "FileDescriptorResponse": [("file_descriptor_proto", 1, repeated(BYTES))],
            "ExtensionNumberResponse": [("base_type_name", 1, STRING), ("extension_number", 2, repeated(INT32))],
            "ListServiceResponse": [("service", 1, repeated(message("ServiceResponse")))],
            "ServiceResponse": [("name", 1, STRING)],
            "ErrorResponse": [("error_code", 1, INT32), ("error_message", 2, STRING)],
        },
        services={"ServerReflection": [_METHOD]},
    )


class _Index:
    """Files by name and by the symbols they define."""

    def __init__(self, files: Sequence[bytes]) -> None:
        self._files: dict[str, tuple[bytes, list[str]]] = {}
        self._symbols: dict[str, str] = {}
        for serialized in files:
            proto = descriptor_pb2.FileDescriptorProto.FromString(serialized)
            self._files[proto.name] = (serialized, list(proto.dependency))
            prefix = f"{proto.package}." if proto.package else ""
            for descriptor in proto.message_type:
                self._add_message(prefix, descriptor, proto.name)
            for service in proto.service:
                self._symbols[prefix + service.name] = proto.name
                for method in service.method:
                    self._symbols[f"{prefix}{service.name}.{method.name}"] = proto.name
            for enumeration in proto.enum_type:
                self._symbols[prefix + enumeration.name] = proto.name

    def _add_message(self, prefix: str, descriptor: descriptor_pb2.DescriptorProto, file: str) -> None:
        name = prefix + descriptor.name
        self._symbols[name] = file
        for nested in descriptor.nested_type:
            self._add_message(f"{name}.", nested, file)
        for enumeration in descriptor.enum_type:
            self._symbols[f"{name}.{enumeration.name}"] = file

    def by_symbol(self, symbol: str) -> list[bytes]:
        """The file that defines a symbol, with all it imports; empty when unknown."""
        return self.by_name(self._symbols.get(symbol, ""))

    def by_name(self, name: str) -> list[bytes]:
        """A file with all it imports; empty when unknown."""
        found: dict[str, bytes] = {}
        wanted = [name]
        while wanted:
            name = wanted.pop()
            if name in self._files and name not in found:
                serialized, imports = self._files[name]
                found[name] = serialized
                wanted += imports
        return list(found.values())


def reflection_services(services: Sequence[Service]) -> list[Service]:
    """Reflection over `services` and itself, in both versions that tools speak; for the server, with the rest."""
    files = {version: _file(version) for version in ("v1", "v1alpha")}
    names = sorted(
        {service.name for service in services} | {f"{file.package}.ServerReflection" for file in files.values()}
    )
    index = _Index(
        [serialized for service in services for serialized in service.files] + [f.serialized for f in files.values()]
    )
    return [
        Service(f"{file.package}.ServerReflection", [_bound(file, names, index)], [file.serialized])
        for file in files.values()
    ]


def _bound(file: File, names: list[str], index: _Index) -> Bound:
    response_class = file.message_class("ServerReflectionResponse")

    def answer(request: AnyMessage) -> AnyMessage:
        response = response_class(valid_host=request.host, original_request=request)
        if request.list_services:
            for name in names:
                response.list_services_response.service.add(name=name)
            return response
        found: list[bytes] = []
        if request.file_containing_symbol:
            found = index.by_symbol(request.file_containing_symbol)
        elif request.file_by_filename:
            found = index.by_name(request.file_by_filename)
        if found:
            response.file_descriptor_response.file_descriptor_proto.extend(found)
        else:
            response.error_response.error_code = StatusCode.NOT_FOUND.value
            response.error_response.error_message = "not found; extensions are not served"
        return response

    async def info(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for request in requests:
            yield answer(request)

    return bind(file.method("ServerReflection", *_METHOD), info)
