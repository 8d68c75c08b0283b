"""A client's connection at the node that answers it: requests to the handler, the responses of a turn in one write.

No client can hold another up. Each may have so many requests and bytes in flight; what comes beyond is answered with
that. The loop reads at most one buffer of each connection in its turn, and one that does not read its responses is not
read any further, and is cut when that lasts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from raftly.errors import DecodeError
from raftly.transport.base import RequestHandler
from raftly.transport.connection import Connection, Session
from raftly.transport.exchange import ITEM_HEADER_BYTES, Item, decode_items, encode_items
from raftly.transport.frame import FRAME_REQUESTS, FRAME_RESPONSES
from raftly.transport.handshake import Reason, Refusal
from raftly.transport.hub import Hub


@final
class Serving(Session):
    """One client; a `Caller` for the handler."""

    __slots__ = (
        "_address",
        "_at_fault",
        "_connection",
        "_flushing",
        "_forget",
        "_handler",
        "_hub",
        "_in_flight",
        "_in_flight_bytes",
        "_out",
        "_paused",
        "in_flight_max",
        "response_bytes_max",
    )

    def __init__(
        self, hub: Hub, connection: Connection, handler: RequestHandler, forget: Callable[[Serving], None]
    ) -> None:
        self.response_bytes_max = hub.options.client_frame_bytes_max - ITEM_HEADER_BYTES
        self.in_flight_max = hub.options.client_in_flight_max
        self._hub = hub
        self._connection = connection
        self._handler = handler
        self._forget = forget
        self._in_flight: dict[int, int] = {}  # id -> bytes
        self._in_flight_bytes = 0
        self._out: list[Item] = []
        self._flushing = False  # the hub will call `flush`
        self._paused = False
        self._at_fault = False  # it is let go for what it did
        self._address = connection.peer

    @property
    def connection(self) -> Connection:
        """What it came on."""
        return self._connection

    # --- requests ---

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        if kind != FRAME_REQUESTS:
            raise DecodeError("frame", start, f"kind {kind} does not belong on a connection of a client")
        items = decode_items(buf, start, stop)
        options = self._hub.options
        in_flight = self._in_flight
        taken: list[Item] = []
        excess: list[Item] = []
        for item in items:
            id_, data = item
            if id_ in in_flight:
                raise DecodeError("requests", start, f"request {id_} is in flight already")
            in_flight[id_] = len(data)
            self._in_flight_bytes += len(data)
            full = len(in_flight) > self.in_flight_max or self._in_flight_bytes > options.client_bytes_max
            (excess if full else taken).append(item)
        self._hub.stats.requests += len(items)
        if taken:
            self._handler.on_requests(self, taken)
        if excess:
            self._hub.stats.requests_excess += len(excess)
            self._handler.on_excess(self, excess)

    # --- responses ---

    def respond(self, id: int, data: bytes) -> None:
        """See `Caller.respond`."""
        size = self._in_flight.pop(id, None)
        assert size is not None, "a request is answered once"
        self._in_flight_bytes -= size
        if self._connection.is_open:
            self._out.append((id, data))
            if not self._flushing:
                self._flushing = True
                self._hub.flush_soon(self)

    def flush(self) -> None:
        """Write what has gathered. See `Flushed`."""
        self._flushing = False
        items, self._out = self._out, []
        connection = self._connection
        if not items or not connection.is_open:
            return
        connection.write(encode_items(FRAME_RESPONSES, items, self._hub.options.client_frame_bytes_max))
        if not connection.writable and not self._paused:
            self._paused = True
            connection.pause_reading()
        if connection.buffered_bytes > self._hub.options.client_bytes_max:
            connection.time_out("it does not read its responses")

    def on_writable(self) -> None:
        """See `Session.on_writable`."""
        if self._paused:
            self._paused = False
            self._connection.resume_reading()

    # --- life ---

    def check(self, now: float) -> None:
        """See `Session.check`."""
        self._connection.expect_signs(now)

    def last_words(self, problem: str, *, slow: bool) -> bytes:
        """See `Session.last_words`."""
        self._at_fault = True
        return self._refusal(Reason.SILENT if slow else Reason.BROKEN, problem)

    def stop(self) -> None:
        """This node stops: what is answered leaves, and the client need not wait for the rest."""
        self.flush()
        self._connection.write(self._refusal(Reason.STOPPING, "this node stops"))

    def _refusal(self, reason: Reason, text: str) -> bytes:
        identity = self._hub.identity
        return Refusal(reason, identity.cluster_id, identity.node_id, text).encode()

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        self._out.clear()
        self._forget(self)
        if self._at_fault:
            self._hub.tell_stranger(self._address, problem)
