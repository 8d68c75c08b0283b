"""Bound: a method of a server with what serves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, final

if TYPE_CHECKING:
    from raftly.rpc.server_call import ServerCall
    from raftly.rpc.service import Method

__all__ = ["AnyMessage", "Bound"]

AnyMessage: TypeAlias = Any  # a request or response whose type only the method's own functions know


@final
class Bound:
    """A method with its handler, taken apart for the server."""

    __slots__ = ("client_streams", "decode", "encode", "handler", "method", "server_streams", "takes_call")

    def __init__(self, method: Method[Any, Any], handler: Callable[..., Any], *, takes_call: bool) -> None:
        self.method = method
        self.handler = handler
        self.takes_call = takes_call
        self.decode = method.decode_request
        self.encode = method.encode_response
        self.client_streams = method.kind.client_streams
        self.server_streams = method.kind.server_streams

    def invoke(self, request: AnyMessage, call: ServerCall) -> AnyMessage:
        """Call the handler: for one response what `later.begin` takes, for a stream an async iterator."""
        return self.handler(request, call) if self.takes_call else self.handler(request)
