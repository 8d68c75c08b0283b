"""HTTP/2 without I/O: bytes in, events and bytes out, for either side of a connection. Source: RFC 9113.

    events = connection.receive(data)      # then act on them: send_all, send_headers, send_data, release, reset
    transport.write(connection.take_output())

The events of one `receive` are acted on after all its frames were: a stream may be reset by then. Sending on such a
stream does nothing, so whoever acts need not look.

Invariants:
1. The same bytes give the same events and output however they are cut.
2. No frame is acted on before it is whole, none is kept after; at most one frame and one header block are buffered.
3. After `ConnectionEnded` nothing is accepted and GOAWAY is the last output.
4. What the peer may have in flight to us never exceeds the windows we announced.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from raftly.rpc.h2 import settings as h2_settings
from raftly.rpc.h2.errors import ConnectionFault, StreamFault
from raftly.rpc.h2.events import (
    ConnectionEnded,
    DataReceived,
    Event,
    HeadersReceived,
    HeadersTooLarge,
    StreamReset,
)
from raftly.rpc.h2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEADER_BYTES,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITY_FLAG,
    RST_STREAM,
    SETTINGS,
    STREAM_ID_MAX,
    WINDOW_UPDATE,
    ErrorCode,
    frame,
    rst_stream_frame,
    window_update_frame,
)
from raftly.rpc.h2.headers import BlockDecoder, HeaderBlock, Shape
from raftly.rpc.h2.stream import Stream
from raftly.rpc.h2.windows import Windows
from raftly.rpc.limits import Limits

__all__ = ["Connection"]

_CONTINUATIONS_MAX: Final = 32
_LADEN: Final = PADDED | PRIORITY_FLAG | END_HEADERS
_REQUEST: Final = Shape.REQUEST


@final
class Connection(Windows):
    """One side of an HTTP/2 connection.

    `clock` gives seconds, only ever later ones; it is read when a frame of a kind that could be a flood comes in.
    """

    def __init__(self, limits: Limits, *, client: bool, clock: Callable[[], float]) -> None:
        super().__init__(limits, client=client, clock=clock)
        self.winding_down = 0  # server: handlers of closed streams that still run; they count as streams
        self._strict = True  # the next frame must be a certain one: SETTINGS first, CONTINUATION in a block
        self.frames_received = 0  # whole ones; what a watch compares to see progress
        self._frame_bytes_max = limits.frame_bytes_max
        self._streams_max = limits.streams_max
        self._header_list_bytes_max = limits.header_list_bytes_max
        self._buffer = b""
        self._preface_left = b"" if client else PREFACE
        self._blocks = BlockDecoder(limits.header_list_bytes_hard)
        self._fragments: list[bytes] = []
        self._fragment_bytes = 0
        self._fragment_stream = 0  # 0: no header block is open
        self._fragment_end_stream = False
        self._announce()

    def _announce(self) -> None:
        """Preface and SETTINGS, and the connection window, which SETTINGS cannot set."""
        limits = self.limits
        entries = [
            (h2_settings.INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
            (h2_settings.MAX_FRAME_SIZE, limits.frame_bytes_max),
            (h2_settings.MAX_HEADER_LIST_SIZE, limits.header_list_bytes_max),
        ]
        if self.client:
            self._emit(PREFACE)
            entries.insert(0, (h2_settings.ENABLE_PUSH, 0))
        else:
            entries.insert(0, (h2_settings.MAX_CONCURRENT_STREAMS, limits.streams_max))
        self._emit(frame(SETTINGS, 0, 0, h2_settings.encode_settings(entries)))
        more = limits.connection_window_bytes - 65_535
        if more > 0:
            self._emit(window_update_frame(0, more))

    # --- input --------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Take bytes as they came; returns what they mean. Never raises on any input."""
        events: list[Event] = []
        if self._ended:
            return events
        self._events = events
        if self._buffer:
            data = self._buffer + data
        try:
            start = self._read_preface(data) if self._preface_left else 0
            self._buffer = data[self._read_frames(data, start) :]
        except ConnectionFault as fault:
            self._end(fault.error_code, fault.problem)
        return events

    def _read_preface(self, data: bytes) -> int:
        """Bytes of the client preface in `data`, which comes without what was taken before."""
        left = self._preface_left
        taken = min(len(left), len(data))
        if data[:taken] != left[:taken]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not the preface of an HTTP/2 client")
        self._preface_left = left[taken:]
        return taken

    def _read_frames(self, data: bytes, at: int) -> int:
        """Act on every whole frame; returns where the first unfinished one starts."""
        frame_bytes_max = self._frame_bytes_max
        end = len(data)
        frames = 0
        while end - at >= FRAME_HEADER_BYTES:
            size = data[at] << 16 | data[at + 1] << 8 | data[at + 2]  # no struct: compiled this is five times faster
            if size > frame_bytes_max:
                raise ConnectionFault(
                    ErrorCode.FRAME_SIZE_ERROR, f"frame of {size} bytes, the limit is {frame_bytes_max}"
                )
            stop = at + FRAME_HEADER_BYTES + size
            if stop > end:
                break
            kind = data[at + 3]
            flags = data[at + 4]
            stream_id = (data[at + 5] & 0x7F) << 24 | data[at + 6] << 16 | data[at + 7] << 8 | data[at + 8]
            frames += 1
            if self._strict:
                self._check_order(kind, flags, stream_id)
            try:
                self._on_frame(kind, flags, stream_id, data[at + FRAME_HEADER_BYTES : stop])
            except StreamFault as fault:
                self._on_stream_fault(fault)
            at = stop
        self.frames_received += frames
        return at

    def _on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == DATA:
            self._on_data(flags, stream_id, payload)
        elif kind == HEADERS:
            self._on_headers(flags, stream_id, payload)
        elif kind == WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        elif kind == RST_STREAM:
            self._on_rst_stream(stream_id, payload)
        elif kind == CONTINUATION:
            self._on_continuation(flags, stream_id, payload)
        else:
            self._on_control(kind, flags, stream_id, payload)

    def _check_order(self, kind: int, flags: int, stream_id: int) -> None:
        """The first frame is SETTINGS; a header block is not interrupted. RFC 9113 §3.4, §6.10."""
        if self._fragment_stream:
            if kind != CONTINUATION or stream_id != self._fragment_stream:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted by another frame")
        elif self._settings_seen:
            self._strict = False  # the first frame was SETTINGS, and no block is open
        elif kind != SETTINGS or flags & ACK:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")

    @property
    def mid_frame(self) -> bool:
        """Whether a frame or header block has begun and not ended."""
        return bool(self._buffer) or self._fragment_stream != 0

    @property
    def established(self) -> bool:
        """Whether the peer's preface and SETTINGS have come."""
        return self._settings_seen

    @property
    def ended(self) -> bool:
        """Whether the connection is over: a fault, or `close`."""
        return self._ended

    # --- streams and header blocks ------------------------------------------------------------------------------

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & _LADEN == END_HEADERS and stream_id:
            self._on_block(stream_id, payload, flags & END_STREAM != 0)
        elif stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        elif flags & (PADDED | PRIORITY_FLAG):
            self._on_laden_headers(flags, stream_id, payload)
        else:
            self._fragment_stream = stream_id
            self._fragment_end_stream = flags & END_STREAM != 0
            self._fragments = [payload]
            self._fragment_bytes = len(payload)
            self._strict = True
            self._check_fragments()

    def _on_laden_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """HEADERS with padding or a priority: without them it is a plain one."""
        depends_on_itself = False
        if flags & PADDED:
            payload = _unpad(payload)
        if flags & PRIORITY_FLAG:
            if len(payload) < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            depends_on_itself = int.from_bytes(payload[:4], "big") & STREAM_ID_MAX == stream_id
            payload = payload[5:]
        self._on_headers(flags & ~(PADDED | PRIORITY_FLAG), stream_id, payload)
        if depends_on_itself:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "the stream depends on itself")

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if not self._fragment_stream:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without a header block")
        self._fragments.append(payload)
        self._fragment_bytes += len(payload)
        self._check_fragments()
        if flags & END_HEADERS:
            block = b"".join(self._fragments)
            self._fragments = []
            self._fragment_stream = 0
            self._on_block(stream_id, block, self._fragment_end_stream)

    def _check_fragments(self) -> None:
        hard = self.limits.header_list_bytes_hard
        if self._fragment_bytes > hard or len(self._fragments) > _CONTINUATIONS_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"header block over {hard} bytes or in too many frames")

    def _on_block(self, stream_id: int, encoded: bytes, end_stream: bool) -> None:
        """A whole header block. It is decoded even for a dead stream: the dynamic table depends on it."""
        block = self._blocks.decode(encoded)
        stream = self.streams.get(stream_id)
        if stream is None:
            if self.client or stream_id <= self._last_remote:
                self._on_closed_stream(stream_id, "HEADERS", end_stream)
                return
            self._open_remote(stream_id, block, end_stream)
            return
        if stream.remote_closed:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "HEADERS after the end of the stream")
        self._on_later_block(stream, block, end_stream)

    def _open_remote(self, stream_id: int, block: HeaderBlock, end_stream: bool) -> None:
        """Server: a new request."""
        if not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a client opened stream {stream_id}, an even number")
        self._last_remote = stream_id
        if stream_id > self._refuse_above:
            self._remember_reset(stream_id)  # GOAWAY told the peer already
            return
        if block.shape is not _REQUEST:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, block.problem or "not a request")
        streams = self.streams
        if len(streams) + self.winding_down >= self._streams_max:
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM, "too many streams")
        stream = streams[stream_id] = Stream(stream_id, self.peer.initial_window, self._stream_window)
        stream.head_seen = True
        if block.content_length >= 0:
            self._count_content(stream, block, end_stream)
        stream.remote_closed = end_stream
        if block.list_bytes > self._header_list_bytes_max:
            self._events.append(HeadersTooLarge(stream))
        else:
            self._events.append(HeadersReceived(stream, block, end_stream))

    def _on_later_block(self, stream: Stream, block: HeaderBlock, end_stream: bool) -> None:
        """Trailers, or on the client a response."""
        if block.list_bytes > self.limits.header_list_bytes_max:
            raise StreamFault(stream.id, ErrorCode.ENHANCE_YOUR_CALM, "header list over the limit")
        if not stream.head_seen:
            if block.shape is not Shape.RESPONSE:
                raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, block.problem or "not a response")
            if block.fields[0][1][:1] == b"1":  # informational: another head follows
                if end_stream:
                    raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "an informational response ended the stream")
                return
            stream.head_seen = True
            if block.content_length >= 0:
                self._count_content(stream, block, end_stream)
        elif block.shape is not Shape.TRAILERS:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, block.problem or "not trailers")
        elif not end_stream:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "trailers do not end the stream")
        elif stream.expected_bytes > 0:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "less data than content-length says")
        if end_stream:
            self._end_remote(stream)
        self._events.append(HeadersReceived(stream, block, end_stream))

    def _count_content(self, stream: Stream, block: HeaderBlock, end_stream: bool) -> None:
        stream.expected_bytes = block.content_length
        if end_stream and block.content_length > 0 and not self.client:
            raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "content-length of a request without data")

    def _end_remote(self, stream: Stream) -> None:
        stream.remote_closed = True
        if self._ahead is not None:
            self.step_aside(stream)
        if stream.local_closed:
            del self.streams[stream.id]

    def _on_closed_stream(self, stream_id: int, what: str, end_stream: bool) -> None:
        """A frame for a stream that is not open: a fault, unless it may have been on its way when we reset that.

        To a client, which may have given up any of its calls long ago, an answer may be on its way at any time.
        """
        if self._is_idle(stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on stream {stream_id}, which is idle")
        if self.client:
            return
        if stream_id not in self._reset_ids:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"{what} on stream {stream_id}, which is closed")
        if end_stream:
            del self._reset_ids[stream_id]

    # --- data and windows ---------------------------------------------------------------------------------------

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        if size > self._recv_window:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the connection window")
        self._recv_window -= size
        self._unread += size
        stream = self.streams.get(stream_id)
        if stream is None or stream.remote_closed or not stream.head_seen:
            self._on_stray_data(stream, stream_id, size, bool(flags & END_STREAM))
            return
        if size > stream.recv_window:
            self.release(None, size)
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "DATA beyond the stream window")
        stream.recv_window -= size
        end_stream = bool(flags & END_STREAM)
        if flags & PADDED:
            payload = _unpad(payload)
            self.release(stream, size - len(payload))
        if not payload and not end_stream:
            self._charge("empty DATA frames")
        if stream.expected_bytes >= 0:
            stream.expected_bytes -= len(payload)
            if stream.expected_bytes < 0 or (end_stream and stream.expected_bytes):
                self.release(None, len(payload))
                raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "DATA does not add up to content-length")
        if end_stream:
            stream.remote_closed = True
            if self._ahead is not None:
                self.step_aside(stream)
            if stream.local_closed:
                del self.streams[stream_id]
        elif self._recv_window < self._recv_window_low:
            self._reopen_window()
        self._events.append(DataReceived(stream, payload, end_stream))

    def _on_stray_data(self, stream: Stream | None, stream_id: int, size: int, end_stream: bool) -> None:
        """DATA nobody reads still used up the connection window: give it back. It costs us less than what is read."""
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0")
        self.release(None, size)
        if stream is None:
            if not size and not end_stream:
                self._charge("empty DATA frames")
            self._on_closed_stream(stream_id, "DATA", end_stream)
        elif stream.remote_closed:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, "DATA after the end of the stream")
        else:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "DATA before the response head")

    # --- faults --------------------------------------------------------------------------------------------------

    def _on_stream_fault(self, fault: StreamFault) -> None:
        """Reset the stream, open or not, and tell the layer above if it knew it."""
        if fault.error_code is not ErrorCode.REFUSED_STREAM or len(self.streams) >= self._streams_max:
            self._charge_reset()  # the peer cannot know of handlers that wind down
        self._emit(rst_stream_frame(fault.stream_id, fault.error_code))
        self._remember_reset(fault.stream_id)
        stream = self.streams.get(fault.stream_id)
        if stream is not None:
            self._forget(stream)
            self._events.append(
                StreamReset(stream, fault.error_code, remote=False, unprocessed=False, problem=fault.problem)
            )

    def _end(self, code: ErrorCode, problem: str) -> None:
        self.close(code, problem)
        self._events.append(ConnectionEnded(code, problem))

    # --- what the driver asks for -------------------------------------------------------------------------------

    def open_stream(self) -> Stream:
        """Client: a new stream; send its head before opening another. Only while `can_open`."""
        stream = Stream(self._next_local, self.peer.initial_window, self._stream_window)
        self._next_local += 2
        self.streams[stream.id] = stream
        return stream

    @property
    def can_open(self) -> bool:
        """Client: whether the peer would take one more stream."""
        return (
            self._settings_seen
            and len(self.streams) < self.peer.max_streams
            and not self.goaway_received
            and not self._ended
            and self._next_local <= STREAM_ID_MAX
        )

    @property
    def streams_free(self) -> int:
        """Client: how many more streams the peer would take now."""
        return self.peer.max_streams - len(self.streams) if self.can_open else 0

    @property
    def exhausted(self) -> bool:
        """Client: whether stream numbers have run out."""
        return self._next_local > STREAM_ID_MAX


def _unpad(payload: bytes) -> bytes:
    """RFC 9113 §6.1: one length byte before, that many bytes after."""
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without its padding length")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding longer than the frame")
    return payload[1 : len(payload) - padding]
