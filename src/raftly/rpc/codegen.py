"""Writes typed Python for the services of a .proto file, once: a protoc plugin.

    protoc --plugin=protoc-gen-raftly=PROGRAM --raftly_out=. --python_out=. --pyi_out=. api/kv.proto

where PROGRAM runs `python -m raftly.rpc.codegen`. For `api/kv.proto` with a service `Kv` it writes `api/kv_rpc.py`: a
`Method` for each rpc, the protocol `KvHandlers`, `kv_service(handlers)` for the server and `KvClient` for the client.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

__all__ = ["generate", "main"]

_KINDS: Final = {
    (False, False): "UNARY_UNARY",
    (False, True): "UNARY_STREAM",
    (True, False): "STREAM_UNARY",
    (True, True): "STREAM_STREAM",
}


def _snake(name: str) -> str:
    """`RawBatchGet` to `raw_batch_get`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _module(proto_name: str) -> str:
    return proto_name.removesuffix(".proto").replace("-", "_").replace("/", ".") + "_pb2"


class _Types:
    """Where each message of all files is found in Python."""

    def __init__(self, files: list[descriptor_pb2.FileDescriptorProto]) -> None:
        self._found: dict[str, tuple[str, str]] = {}
        for file in files:
            prefix = f".{file.package}" if file.package else ""
            for message in file.message_type:
                self._add(prefix, "", message, _module(file.name))

    def _add(self, prefix: str, outer: str, message: descriptor_pb2.DescriptorProto, module: str) -> None:
        name = f"{outer}{message.name}"
        self._found[f"{prefix}.{name}"] = (module, name)
        for nested in message.nested_type:
            self._add(prefix, f"{name}.", nested, module)

    def python(self, type_name: str) -> str:
        """Expression for a message class, as `kv_pb2.GetRequest`."""
        module, name = self._found[type_name]
        return f"{module.rpartition('.')[2]}.{name}"

    def module(self, type_name: str) -> str:
        """Module that a message class is in."""
        return self._found[type_name][0]


def generate(file: descriptor_pb2.FileDescriptorProto, files: list[descriptor_pb2.FileDescriptorProto]) -> str:
    """Source of the module for one file. `files` has it and all it imports."""
    types = _Types(files)
    used = {
        types.module(name) for service in file.service for m in service.method for name in (m.input_type, m.output_type)
    }
    modules = sorted(used | {_module(file.name)})
    lines = [
        f'"""Services of {file.name}. Written by raftly.rpc.codegen; do not edit."""',
        "",
        "from __future__ import annotations",
        "",
        "from collections.abc import AsyncIterator, Coroutine",
        "from typing import Final, Protocol, Unpack",
        "",
        "from raftly.rpc.channel import CallOptions, Channel",
        "from raftly.rpc.client_call import ClientCall",
        "from raftly.rpc.service import (",
        "    Kind,",
        "    Method,",
        "    Service,",
        "    StreamHandler,",
        "    StreamStreamHandler,",
        "    StreamUnaryHandler,",
        "    UnaryHandler,",
        "    bind,",
        "    files_of,",
        ")",
        *(_import(module) for module in modules),
        "",
    ]
    own = _module(file.name).rpartition(".")[2]
    for service in file.service:
        full_name = f"{file.package}.{service.name}" if file.package else service.name
        lines += _methods(service, full_name, types)
        lines += _handlers(service, full_name, types)
        lines += _binding(service, full_name, own)
        lines += _client(service, full_name, types)
    return "\n".join(lines)


def _import(module: str) -> str:
    package, _, name = module.rpartition(".")
    return f"from {package} import {name}" if package else f"import {name}"


def _constant(service: descriptor_pb2.ServiceDescriptorProto, method: descriptor_pb2.MethodDescriptorProto) -> str:
    return f"{_snake(service.name)}_{_snake(method.name)}".upper()


def _kind(method: descriptor_pb2.MethodDescriptorProto) -> str:
    return _KINDS[method.client_streaming, method.server_streaming]


def _methods(service: descriptor_pb2.ServiceDescriptorProto, full_name: str, types: _Types) -> list[str]:
    lines: list[str] = [""]
    for method in service.method:
        request, response = types.python(method.input_type), types.python(method.output_type)
        lines += [
            f"{_constant(service, method)}: Final[Method[{request}, {response}]] = Method(",
            f'    service="{full_name}",',
            f'    name="{method.name}",',
            f"    kind=Kind.{_kind(method)},",
            f"    encode_request={request}.SerializeToString,",
            f"    decode_request={request}.FromString,",
            f"    encode_response={response}.SerializeToString,",
            f"    decode_response={response}.FromString,",
            ")",
        ]
    return lines


_HANDLER: Final = {
    "UNARY_UNARY": "UnaryHandler",
    "UNARY_STREAM": "StreamHandler",
    "STREAM_UNARY": "StreamUnaryHandler",
    "STREAM_STREAM": "StreamStreamHandler",
}


def _handlers(service: descriptor_pb2.ServiceDescriptorProto, full_name: str, types: _Types) -> list[str]:
    lines = [
        "",
        "",
        f"class {service.name}Handlers(Protocol):",
        f'    """What serves {full_name}; a handler takes the request or requests, and if it wants the call."""',
    ]
    for method in service.method:
        request, response = types.python(method.input_type), types.python(method.output_type)
        lines += [
            "",
            "    @property",
            f"    def {_snake(method.name)}(self) -> {_HANDLER[_kind(method)]}[{request}, {response}]:",
            f'        """{method.name}."""',
        ]
    return lines


def _binding(service: descriptor_pb2.ServiceDescriptorProto, full_name: str, own: str) -> list[str]:
    return [
        "",
        "",
        f"def {_snake(service.name)}_service(handlers: {service.name}Handlers) -> Service:",
        f'    """{full_name}, served by `handlers`."""',
        "    return Service(",
        f'        "{full_name}",',
        "        [",
        *(f"            bind({_constant(service, m)}, handlers.{_snake(m.name)})," for m in service.method),
        "        ],",
        f"        files_of({own}.DESCRIPTOR),",
        "    )",
    ]


def _client(service: descriptor_pb2.ServiceDescriptorProto, full_name: str, types: _Types) -> list[str]:
    lines = [
        "",
        "",
        f"class {service.name}Client:",
        f'    """Calls to {full_name}. Every method raises RpcError."""',
        "",
        "    def __init__(self, channel: Channel) -> None:",
        "        self._channel = channel",
    ]
    for method in service.method:
        name, constant = _snake(method.name), _constant(service, method)
        request, response = types.python(method.input_type), types.python(method.output_type)
        kind = _kind(method)
        if kind == "UNARY_UNARY":
            result = f"Coroutine[object, object, {response}]"
            head = f"def {name}(self, request: {request}, **options: Unpack[CallOptions]) -> {result}:"
            body = f"return self._channel.unary({constant}, request, **options)"
        elif kind == "UNARY_STREAM":
            head = f"def {name}(self, request: {request}, **options: Unpack[CallOptions]) -> AsyncIterator[{response}]:"
            body = f"return self._channel.unary_stream({constant}, request, **options)"
        else:
            head = f"async def {name}(self, **options: Unpack[CallOptions]) -> ClientCall[{request}, {response}]:"
            body = f"return await self._channel.open({constant}, **options)"
        lines += ["", f"    {head}", f'        """{method.name}."""', f"        {body}"]
    return [*lines, ""]


def main() -> None:
    """Speak protoc's plugin protocol: a request on standard input, a response on standard output."""
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    response = plugin_pb2.CodeGeneratorResponse()
    files = list(request.proto_file)
    for file in files:
        if file.name in request.file_to_generate and file.service:
            name = file.name.removesuffix(".proto").replace("-", "_") + "_rpc.py"
            response.file.add(name=name, content=generate(file, files))
    sys.stdout.buffer.write(response.SerializeToString())


if __name__ == "__main__":
    main()
