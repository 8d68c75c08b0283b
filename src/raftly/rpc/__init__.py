"""gRPC without grpcio: HTTP/2 and gRPC as pure code, driven by asyncio protocols.

Invariants:
1. `h2` and `grpc` hold no socket, clock, thread or task; time comes in as an argument.
2. No input makes the server raise, hang or grow past `Limits`.
3. A call ends once; a handler of an ended call is cancelled, and counts as a stream until it has wound down.
4. One write a connection and turn of the loop, but for a read that brings many calls: their first answers go ahead.

Reading order: `limits`; `h2` (its own page); `grpc` (its own page); `service`, `server_call`, `server_connection`,
`server`; `channel`, `client_connection`, `client_call`; `later`, `eager`, `tls`, `health`, `reflection`, `codegen`.
"""

from __future__ import annotations

from raftly.rpc.channel import Backoff, CallOptions, Channel
from raftly.rpc.client_call import ClientCall
from raftly.rpc.grpc.metadata import Metadata
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.later import Later
from raftly.rpc.limits import Limits
from raftly.rpc.server import Server, ServerStats
from raftly.rpc.server_call import ServerCall
from raftly.rpc.service import Interceptor, Kind, Method, Service, bind
from raftly.rpc.tls import ClientTls, ServerTls

__all__ = [
    "Backoff",
    "CallOptions",
    "Channel",
    "ClientCall",
    "ClientTls",
    "Interceptor",
    "Kind",
    "Later",
    "Limits",
    "Metadata",
    "Method",
    "RpcError",
    "Server",
    "ServerCall",
    "ServerStats",
    "ServerTls",
    "Service",
    "StatusCode",
    "bind",
]
