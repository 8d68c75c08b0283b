"""Methods and services as values, and handlers bound to them.

A `Method` is what both sides know: its path, its kind, and how its messages become bytes. A `Service` joins methods
with plain async handlers. `raftly.rpc.codegen` writes both from a protobuf service definition:

    unary, unary        async def get(self, request: GetRequest) -> GetResponse
    unary, stream       def watch(self, request: WatchRequest) -> AsyncIterator[Event]         (an async generator)
    stream, unary       async def load(self, requests: AsyncIterator[Chunk]) -> Summary
    stream, stream      def chat(self, requests: AsyncIterator[Line]) -> AsyncIterator[Line]   (an async generator)

The first may also be a plain function, which costs no task: it returns the response, a `Later`, an `asyncio.Future` of
its own, or anything to await.

A handler that wants metadata, deadline or peer takes a second parameter, the `ServerCall`. It fails by raising
`RpcError`; it is cancelled when the client gives up, the deadline passes or the server stops.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from raftly.errors import ConfigError
from raftly.rpc.bound import AnyMessage, Bound
from raftly.rpc.later import Later

if TYPE_CHECKING:
    from raftly.rpc.server_call import ServerCall

__all__ = [
    "AnyMessage",
    "Bound",
    "Interceptor",
    "Kind",
    "Method",
    "Service",
    "StreamHandler",
    "StreamStreamHandler",
    "StreamUnaryHandler",
    "UnaryHandler",
    "bind",
    "files_of",
]

Request = TypeVar("Request")
Response = TypeVar("Response")

UnaryHandler = Callable[[Request], Awaitable[Response]] | Callable[[Request, "ServerCall"], Awaitable[Response]]
StreamHandler = (
    Callable[[Request], AsyncIterator[Response]] | Callable[[Request, "ServerCall"], AsyncIterator[Response]]
)
StreamUnaryHandler = (
    Callable[[AsyncIterator[Request]], Awaitable[Response]]
    | Callable[[AsyncIterator[Request], "ServerCall"], Awaitable[Response]]
)
StreamStreamHandler = (
    Callable[[AsyncIterator[Request]], AsyncIterator[Response]]
    | Callable[[AsyncIterator[Request], "ServerCall"], AsyncIterator[Response]]
)

Interceptor = Callable[["ServerCall", Callable[[], Awaitable[None]]], Awaitable[None]]
"""`async def interceptor(call, proceed)`: awaits `proceed()`, which runs the rest; the call's failure comes out of it.

It may raise RpcError before (auth), look at the outcome after (metrics, logs), or set metadata.
"""


class Kind(Enum):
    """Which side of a method streams."""

    UNARY_UNARY = (False, False)
    UNARY_STREAM = (False, True)
    STREAM_UNARY = (True, False)
    STREAM_STREAM = (True, True)

    @property
    def client_streams(self) -> bool:
        """Whether requests are a stream."""
        return self.value[0]

    @property
    def server_streams(self) -> bool:
        """Whether responses are a stream."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Method(Generic[Request, Response]):
    """One RPC method. The four functions raise anything on messages that do not encode or decode."""

    service: str  # full name, as in package.Service
    name: str
    kind: Kind
    encode_request: Callable[[Request], bytes]
    decode_request: Callable[[bytes], Request]
    encode_response: Callable[[Response], bytes]
    decode_response: Callable[[bytes], Response]
    path: bytes = field(init=False)  # `:path` of its calls

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"/{self.service}/{self.name}".encode())


def bind(
    method: Method[Request, Response],
    handler: Callable[..., Response | Awaitable[Response] | AsyncIterator[Response] | Later[Response]],
    *,
    takes_call: bool | None = None,
) -> Bound:
    """Join a method with a handler of one parameter (the request, or requests) or two (and the call).

    Which of the two is read off the handler, unless `takes_call` says it. Raises ConfigError when it is of another form
    than the method's kind.
    """
    streams = method.kind.server_streams
    if (inspect.iscoroutinefunction(handler) and streams) or (inspect.isasyncgenfunction(handler) and not streams):
        wanted = "an async generator" if streams else "an async function with one result"
        raise ConfigError(f"handler of {method.service}/{method.name}", f"must be {wanted}")
    if takes_call is None:
        positional = [
            parameter
            for parameter in inspect.signature(handler).parameters.values()
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        if len(positional) not in (1, 2):
            raise ConfigError(
                f"handler of {method.service}/{method.name}", "must take the request, or the request and the call"
            )
        takes_call = len(positional) == 2
    return Bound(method, handler, takes_call=takes_call)


@dataclass(frozen=True, slots=True)
class Service:
    """Handlers of one service. `files` are its serialized FileDescriptorProtos with their imports, for reflection."""

    name: str
    methods: Sequence[Bound]
    files: Sequence[bytes] = ()


class FileDescriptor(Protocol):
    """What is used of protobuf's FileDescriptor."""

    @property
    def name(self) -> str:
        """Path of the .proto file."""

    @property
    def serialized_pb(self) -> bytes:
        """Its FileDescriptorProto."""

    @property
    def dependencies(self) -> Sequence[FileDescriptor]:
        """Files it imports."""


def files_of(descriptor: FileDescriptor) -> tuple[bytes, ...]:
    """A file and all it imports, serialized, for `Service.files`."""
    found: dict[str, bytes] = {}
    wanted = [descriptor]
    while wanted:
        file = wanted.pop()
        if file.name not in found:
            found[file.name] = file.serialized_pb
            wanted += file.dependencies
    return tuple(found.values())
