"""One HTTP/2 stream: its state, its two windows, and what waits to be sent on it. Source: RFC 9113 §5.1, §5.2."""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from raftly.rpc.h2.headers import OutBlock

__all__ = ["Stream", "StreamState"]


class StreamState(Enum):
    """States a stream object can be in; an idle stream has no object, a reserved one cannot be (no push)."""

    OPEN = "open"
    HALF_CLOSED_LOCAL = "half-closed (local)"
    HALF_CLOSED_REMOTE = "half-closed (remote)"
    CLOSED = "closed"


@final
class Stream:
    """State of one stream; only `Connection` changes it. `owner` belongs to the layer above, `held` to its inbox.

    Invariants: `backlog_bytes` is the sum of `backlog`; `trailers` and `end_queued` are set only behind a backlog;
    `recv_window + credit + held` never exceeds the window we announced.
    """

    __slots__ = (
        "aborted",
        "backlog",
        "backlog_bytes",
        "credit",
        "end_queued",
        "expected_bytes",
        "head_seen",
        "held",
        "id",
        "local_closed",
        "owner",
        "recv_window",
        "remote_closed",
        "send_window",
        "trailers",
    )

    def __init__(self, stream_id: int, send_window: int, recv_window: int) -> None:
        self.id = stream_id
        self.send_window = send_window  # may be negative, RFC 9113 §6.9.2
        self.recv_window = recv_window
        self.credit = 0  # given back by the reader, not yet announced to the peer
        self.held = 0  # in the inbox, and its window not given back
        self.aborted = False  # reset, by either side: what is still sent on it goes nowhere
        self.local_closed = False  # END_STREAM sent
        self.remote_closed = False  # END_STREAM received
        self.head_seen = False  # a request, or a final response, has come in
        self.expected_bytes = -1  # what content-length still promises; -1: nothing promised
        self.backlog: deque[memoryview] | None = None
        self.backlog_bytes = 0
        self.end_queued = False  # END_STREAM follows the backlog
        self.trailers: OutBlock | None = None  # trailers follow the backlog
        self.owner: Any = None

    @property
    def state(self) -> StreamState:
        """The state of RFC 9113 §5.1."""
        if self.local_closed:
            return StreamState.CLOSED if self.remote_closed else StreamState.HALF_CLOSED_LOCAL
        return StreamState.HALF_CLOSED_REMOTE if self.remote_closed else StreamState.OPEN
