"""The sending half of a connection: frames into one output, DATA only as far as both windows reach.

Everything appends to `_out`; the driver takes it once a turn. DATA that a window (or a full output) holds back waits in
the stream's backlog, and `_pump` serves those streams in turn, a frame each, so that a large reply starves no other.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from raftly.rpc.h2.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER,
    HEADERS,
    ErrorCode,
    frame,
    rst_stream_frame,
)
from raftly.rpc.h2.headers import EMPTY_TABLE, OutBlock
from raftly.rpc.h2.settings import PeerSettings

if TYPE_CHECKING:
    from raftly.rpc.h2.stream import Stream

__all__ = ["SendHalf"]

_OUT_BYTES_HIGH: Final = 256 * 1024  # DATA beyond this in one turn waits in its stream
_RESETS_KEPT: Final = 1024  # besides: a client may open streams before it has read how many
_DATA_MORE: Final = bytes((DATA, 0))  # type and flags
_DATA_END: Final = bytes((DATA, END_STREAM))


class SendHalf:
    """Output, send windows and open streams. Source: RFC 9113 §5.2, §6.1, §6.2, §6.9."""

    def __init__(self, *, client: bool, streams_max: int) -> None:
        self.client = client
        self.peer = PeerSettings()
        self.streams: dict[int, Stream] = {}  # open or half-closed
        self.served = 0  # halves we ended: what a peer earns resets with
        self.work = 0  # DATA frames we sent: what a peer earns pings with
        self._out: list[bytes | memoryview] = []
        self._out_bytes = 0
        self.backlog_bytes = 0  # DATA that waits for a window or for room in the output, over all streams
        self._send_window = 65_535
        self._ready: dict[int, Stream] = {}  # with a backlog and an open window of their own, in turn
        self._writable: list[Stream] = []
        # Server: reset by us, and the client has not ended them. Those it may still send on it takes for open, and it
        # hears of resets in turn: there are no more of them than it may open.
        self._reset_ids: dict[int, None] = {}
        self._resets_kept = _RESETS_KEPT + streams_max
        self._table_notice = EMPTY_TABLE  # goes before the first block we send

    # --- output -------------------------------------------------------------------------------------------------

    @property
    def has_output(self) -> bool:
        """Whether `take_output` would give anything."""
        return bool(self._out) or (bool(self._ready) and self._send_window > 0)

    @property
    def output_bytes(self) -> int:
        """Bytes framed and not yet taken."""
        return self._out_bytes

    def take_output(self) -> bytes:
        """What is to be written now; more may follow when `has_output` still holds. Clears it."""
        if self._ready:
            self._pump()
        out = self._out
        if not out:
            return b""
        self._out = []
        self._out_bytes = 0
        return b"".join(out)

    def take_writable(self) -> list[Stream]:
        """Streams whose backlog was sent since the last call, those that closed by it included."""
        writable = self._writable
        if writable:
            self._writable = []
        return writable

    def _emit(self, data: bytes) -> None:
        self._out.append(data)
        self._out_bytes += len(data)

    # --- streams ------------------------------------------------------------------------------------------------

    def send_all(self, stream: Stream, head: OutBlock, data: bytes, trailers: OutBlock | None) -> None:
        """Head, one piece of DATA and the end of our half, with trailers or without: a whole unary side at once.

        The stream must be fresh: nothing sent on it. What no window lets through waits like any other DATA.
        """
        size = len(data)
        if (
            size > self._send_window
            or size > stream.send_window
            or size > self.peer.max_frame
            or stream.aborted
            or self._table_notice
            or self._out_bytes > _OUT_BYTES_HIGH
        ):
            self.send_headers(stream, head)
            self.send_data(stream, data, end_stream=trailers is None)
            if trailers is not None:
                self.send_headers(stream, trailers, end_stream=True)
            return
        self._send_window -= size
        stream.send_window -= size
        self.work += 1
        number = stream.id.to_bytes(4, "big")
        block = head.block
        start = size.to_bytes(3, "big")
        if trailers is None:
            self._out += (head.start, number, block, start, _DATA_END, number, data)
            self._out_bytes += size + len(block) + 18
        else:
            last = trailers.block
            self._out += (head.start, number, block, start, _DATA_MORE, number, data, trailers.start_end, number, last)
            self._out_bytes += size + len(block) + len(last) + 27
        self._end_local(stream)

    def send_headers(self, stream: Stream, block: OutBlock, *, end_stream: bool = False) -> None:
        """HEADERS, with CONTINUATION where the peer's frames are too small; behind a backlog only as trailers."""
        if stream.aborted:
            return
        assert not stream.local_closed, "headers after the end of our half"
        if stream.backlog is not None:
            assert end_stream, "only trailers may follow DATA"
            stream.trailers = block
            return
        encoded = block.block
        if self._table_notice:
            encoded = self._table_notice + encoded
            self._table_notice = b""
        limit = self.peer.max_frame
        end = END_STREAM if end_stream else 0
        if len(encoded) <= limit:
            self._emit(frame(HEADERS, END_HEADERS | end, stream.id, encoded))
        else:
            self._emit(frame(HEADERS, end, stream.id, encoded[:limit]))
            for start in range(limit, len(encoded), limit):
                last = END_HEADERS if start + limit >= len(encoded) else 0
                self._emit(frame(CONTINUATION, last, stream.id, encoded[start : start + limit]))
        if end_stream:
            self._end_local(stream)

    def send_data(self, stream: Stream, data: bytes, *, end_stream: bool = False) -> None:
        """DATA as far as the windows reach; the rest waits in the stream's backlog. Copies nothing but small frames."""
        if stream.aborted:
            return
        assert not stream.local_closed, "data after the end of our half"
        assert not stream.end_queued, "data after the end of our half was queued"
        if stream.backlog is None:
            size = len(data)
            if (
                size <= self._send_window
                and size <= stream.send_window
                and size <= self.peer.max_frame
                and self._out_bytes <= _OUT_BYTES_HIGH
            ):
                self._data_frame(stream, data, end_stream=end_stream)
                return
            stream.backlog = deque()
        if data:
            stream.backlog.append(memoryview(data))
            stream.backlog_bytes += len(data)
            self.backlog_bytes += len(data)
        stream.end_queued = end_stream
        self._maybe_ready(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """RST_STREAM, and forget the stream with all it had to send. Frames still coming for it are ignored."""
        if stream.aborted or self.streams.get(stream.id) is not stream:
            return
        self._emit(rst_stream_frame(stream.id, code))
        self._remember_reset(stream.id)
        self._forget(stream)

    def _remember_reset(self, stream_id: int) -> None:
        if self.client:  # which opened and ended its streams itself: it needs no list to know them
            return
        self._reset_ids[stream_id] = None
        if len(self._reset_ids) > self._resets_kept:
            del self._reset_ids[next(iter(self._reset_ids))]

    def _forget(self, stream: Stream) -> None:
        """Close a stream, whatever state it was in."""
        del self.streams[stream.id]
        self._ready.pop(stream.id, None)
        stream.aborted = stream.local_closed = stream.remote_closed = True
        if stream.backlog is not None:
            self.backlog_bytes -= stream.backlog_bytes
            stream.backlog = None
            stream.backlog_bytes = 0
            self._writable.append(stream)

    def _end_local(self, stream: Stream) -> None:
        """END_STREAM is in the output. A server that answers before the request is whole asks for no more of it."""
        stream.local_closed = True
        self.served += 1
        if stream.remote_closed:
            del self.streams[stream.id]
        elif not self.client:
            self.reset(stream, ErrorCode.NO_ERROR)

    # --- flow control -------------------------------------------------------------------------------------------

    def _data_frame(self, stream: Stream, data: bytes | memoryview, *, end_stream: bool) -> None:
        size = len(data)
        self._send_window -= size
        stream.send_window -= size
        self.work += 1
        flags = END_STREAM if end_stream else 0
        self._out.append(FRAME_HEADER.pack(size >> 16, size & 0xFFFF, DATA, flags, stream.id))
        self._out.append(data)
        self._out_bytes += size + 9
        if end_stream:
            self._end_local(stream)

    def _maybe_ready(self, stream: Stream) -> None:
        if stream.backlog is not None and (stream.send_window > 0 or stream.backlog_bytes == 0):
            self._ready[stream.id] = stream

    def _pump(self) -> None:
        """Send backlogs, one frame a stream in turn, until a window or the output is full."""
        ready = self._ready
        while ready and self._out_bytes <= _OUT_BYTES_HIGH:
            stream_id, stream = next(iter(ready.items()))
            if self._send_window <= 0 and stream.backlog_bytes:
                return
            del ready[stream_id]
            self._send_from_backlog(stream)
            if stream.backlog is not None and stream.send_window > 0:
                ready[stream_id] = stream  # to the end of the queue

    def _send_from_backlog(self, stream: Stream) -> None:
        backlog = stream.backlog
        assert backlog is not None
        if backlog:
            piece = backlog[0]
            size = min(len(piece), self._send_window, stream.send_window, self.peer.max_frame)
            if size < len(piece):
                backlog[0] = piece[size:]
                piece = piece[:size]
            else:
                backlog.popleft()
            stream.backlog_bytes -= size
            self.backlog_bytes -= size
            if backlog or not stream.end_queued:
                self._data_frame(stream, piece, end_stream=False)
            else:
                self._drained(stream)
                self._data_frame(stream, piece, end_stream=True)
                return
        if backlog:
            return
        self._drained(stream)
        if stream.trailers is not None:
            self.send_headers(stream, stream.trailers, end_stream=True)
        elif stream.end_queued:
            self._data_frame(stream, b"", end_stream=True)

    def _drained(self, stream: Stream) -> None:
        stream.backlog = None
        self._writable.append(stream)
