"""Stream: one end of a simulated TCP connection, an asyncio.Transport. Pipe: what flows from one end to the other.

    protocol ─► Stream._buffer ─► Pipe (window, latency, cuts) ─► Stream._inbox ─► protocol
                write buffer      the two kernels and the wire    not yet read

Order is kept, and nothing is lost as long as both ends live. What ends a connection:

    close, write_eof      the other end reads to the end and then sees EOF
    abort                 what was not sent is dropped; EOF, or a reset when something had not been read
    process killed        as abort, by its machine
    power lost            nothing: half-open, until the other end sends something to a machine that is up again
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final
from zlib import crc32

if TYPE_CHECKING:
    from raftly.testing.sim.host import Host
    from raftly.testing.sim.world import Event

_HIGH_BYTES: Final = 64 << 10  # asyncio's own default
_HEADER_BYTES: Final = 66  # of a packet, on the wire


class Sign(Enum):
    """What flows besides data."""

    FIN = "fin"
    RESET = "reset"


Item: TypeAlias = "bytes | Sign"


@final
class Pipe:
    """One direction of a connection."""

    __slots__ = ("_event", "_last_at", "_link", "_net", "_queue", "_source", "_target", "_world", "unread")

    def __init__(self, source: Stream, target: Stream) -> None:
        self.unread = 0  # bytes sent, and not known to be read
        self._source = source
        self._target = target
        self._world = source.host.world
        self._net = self._world.net
        self._link = self._net.link(source.host, target.host)
        self._queue: deque[tuple[float, Item]] = deque()
        self._last_at = 0.0
        self._event: Event | None = None
        self._link.pipes[self] = None

    def room(self) -> int:
        """Bytes that the window lets through."""
        return self._link.options.window_bytes - self.unread

    def send(self, item: Item) -> None:
        """Put something on its way."""
        a, b = self._source.host, self._target.host
        if isinstance(item, bytes):
            self.unread += len(item)
            cut = self._net.splits(a, b, len(item))
            if cut:
                self._push(item[:cut])
                item = item[cut:]
        self._push(item)

    def _push(self, item: Item) -> None:
        a, b = self._source.host, self._target.host
        size = len(item) if isinstance(item, bytes) else 0
        at = self._net.arrival(a, b, size + _HEADER_BYTES) + self._net.retransmission(a, b)
        self._last_at = at = max(at, self._last_at)
        self._queue.append((at, item))
        if self._event is None:
            self._event = self._world.at(self._queue[0][0], self._arrive)

    def _arrive(self) -> None:
        self._event = None
        if not self._net.reaches(self._source.host, self._target.host):
            return  # `resume` will be called
        queue, now, target = self._queue, self._world.now, self._target
        while queue and queue[0][0] <= now:
            item = queue.popleft()[1]
            if not target.gone:
                target.on_item(item)
            elif isinstance(item, bytes):
                queue.clear()
                target.answer_reset()
        if queue:
            self._event = self._world.at(queue[0][0], self._arrive)
        self.maybe_retire()

    def resume(self) -> None:
        """The link is whole again, or the machine at its end is up."""
        if self._queue and self._event is None:
            self._event = self._world.after(self._net.pause_after_cut(), self._arrive)
        self._source.acknowledge(0)

    def read(self, count: int) -> None:
        """The other end has read so much, and this is known here."""
        self.unread -= count
        self._source.on_room()

    def lose_waiting(self) -> None:
        """The machine that would have sent it again is gone."""
        if not self._net.reaches(self._source.host, self._target.host):
            self._queue.clear()
        self.maybe_retire()

    def clear(self) -> None:
        """What is under way is lost."""
        self._queue.clear()

    def maybe_retire(self) -> None:
        """Nothing will ever pass any more."""
        if self._source.gone and not self._queue:
            self._link.pipes.pop(self, None)


@final
class Stream(asyncio.Transport):
    """One end. Made in pairs by `join`; `begin` gives it its protocol."""

    __slots__ = (
        "_buffer",
        "_buffered",
        "_closing",
        "_eof_wanted",
        "_fin_sent",
        "_high",
        "_inbox",
        "_lost",
        "_low",
        "_out",
        "_paused",
        "_peer",
        "_protocol",
        "_protocol_paused",
        "_read_set",
        "_reading",
        "_reset",
        "_room_set",
        "_unacknowledged",
        "_write_high",
        "gone",
        "host",
        "peer_host",
        "peername",
        "sockname",
    )

    def __init__(self, host: Host, peer_host: Host, sockname: tuple[str, int], peername: tuple[str, int]) -> None:
        super().__init__()
        self.host = host
        self.peer_host = peer_host
        self.sockname = sockname
        self.peername = peername
        self.gone = False  # the machine knows of no such connection any more
        self._out: Pipe | None = None
        self._peer: Stream | None = None
        self._protocol: asyncio.Protocol | None = None
        self._inbox: deque[Item] = deque()
        self._unacknowledged = 0  # read here, and not known there
        self._reading = False  # `connection_made` was called
        self._paused = False
        self._read_set = False
        self._room_set = False
        self._reset = False  # a reset came in
        self._buffer: deque[bytes] = deque()
        self._buffered = 0
        self._high = _HIGH_BYTES
        self._low = _HIGH_BYTES // 4
        self._protocol_paused = False
        self._closing = False
        self._eof_wanted = False
        self._fin_sent = False
        self._lost = False  # `connection_lost` was called, or will be
        host.streams[self] = None

    @property
    def out(self) -> Pipe:
        """What flows from here."""
        assert self._out is not None
        return self._out

    def begin(self, protocol: asyncio.BaseProtocol, made: asyncio.Future[None] | None = None) -> None:
        """Tell a protocol that it is connected, read for it from then on, and say when that is `made`."""
        loop = self.host.loop
        self._protocol = cast("asyncio.Protocol", protocol)
        loop.call_soon(protocol.connection_made, self)
        loop.call_soon(self._begin_reading, made)

    def _begin_reading(self, made: asyncio.Future[None] | None) -> None:
        self._reading = True
        self._arrange_read()
        if made is not None and not made.done():
            made.set_result(None)

    # --- what comes in ---

    def on_item(self, item: Item) -> None:
        """It arrived at this machine."""
        world = self.host.world
        if isinstance(item, bytes):
            world.note(self.host.name, "data", f"{self.peer_host.name} {len(item)} {crc32(item)}")
        else:
            world.note(self.host.name, item.value, self.peer_host.name)
            self._reset = self._reset or item is Sign.RESET
        self._inbox.append(item)
        self._arrange_read()

    def _arrange_read(self) -> None:
        if self._inbox and self._reading and not (self._read_set or self._paused or self._closing or self.gone):
            self._read_set = True
            self.host.loop.arrive(self._read)

    def _read(self) -> None:
        self._read_set = False
        inbox, protocol = self._inbox, self._protocol
        if self._paused or self._closing or not inbox or protocol is None:
            return
        pieces: list[bytes] = []
        while inbox and isinstance(item := inbox[0], bytes):
            pieces.append(item)
            inbox.popleft()
        try:
            if pieces:
                data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                self.acknowledge(len(data))
                protocol.data_received(data)
            elif inbox.popleft() is Sign.RESET:
                self._force_close(ConnectionResetError("connection reset by peer"))
            elif not protocol.eof_received():
                self.close()
        except (SystemExit, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - as asyncio does
            self._on_bug(error)
        self._arrange_read()

    def _on_bug(self, error: Exception) -> None:
        if self.host.alive:
            self.host.loop.call_exception_handler({"message": f"{self._protocol!r} failed", "exception": error})
        self._force_close(error)

    def acknowledge(self, count: int) -> None:
        """So much was read; the other end learns of it when something can go there."""
        self._unacknowledged += count
        peer = self._peer
        if peer is not None and self._unacknowledged and self.host.world.net.reaches(self.host, self.peer_host):
            count, self._unacknowledged = self._unacknowledged, 0
            peer.out.read(count)

    def answer_reset(self) -> None:
        """Data came for a connection that this machine does not know."""
        self.out.send(Sign.RESET)

    def pause_reading(self) -> None:
        """See asyncio."""
        self._paused = True

    def resume_reading(self) -> None:
        """See asyncio."""
        self._paused = False
        if self.host.alive:
            self._arrange_read()

    def is_reading(self) -> bool:
        """See asyncio."""
        return not (self._paused or self._closing)

    # --- what goes out ---

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See asyncio."""
        if self._eof_wanted:
            raise RuntimeError("cannot write after write_eof()")
        if not data or self._lost or self.gone:
            return
        if self._reset:
            self._force_close(BrokenPipeError("connection reset by peer"))
            return
        self._buffer.append(bytes(data))
        self._buffered += len(data)
        self._send_buffered()
        if self._buffered > self._high and not self._protocol_paused:
            self._protocol_paused = True
            self._call("pause_writing")

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """See asyncio."""
        self.write(b"".join(list_of_data))

    def write_eof(self) -> None:
        """See asyncio."""
        if not self._closing and not self._eof_wanted:
            self._eof_wanted = True
            self._send_buffered()

    def can_write_eof(self) -> bool:
        """See asyncio."""
        return True

    def _send_buffered(self) -> None:
        buffer, out = self._buffer, self.out
        while buffer and (room := out.room()) > 0:
            data = buffer.popleft()
            if len(data) > room:
                buffer.appendleft(data[room:])
                data = data[:room]
            self._buffered -= len(data)
            out.send(data)
        if self._eof_wanted and not buffer:
            self._send_fin()

    def on_room(self) -> None:
        """The window has opened."""
        if self._buffer and not self._room_set and not self.gone:
            self._room_set = True
            self.host.loop.arrive(self._use_room)

    def _use_room(self) -> None:
        self._room_set = False
        if self._lost or self.gone:
            return
        self._send_buffered()
        if self._protocol_paused and self._buffered <= self._low:
            self._protocol_paused = False
            self._call("resume_writing")
        if self._closing and not self._buffer:
            self._lose(None)

    def _call(self, method: str) -> None:
        try:
            getattr(self._protocol, method)()
        except (SystemExit, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - as asyncio does
            self.host.on_error({"message": f"protocol.{method}() failed", "exception": error})

    def _send_fin(self) -> None:
        if not self._fin_sent:
            self._fin_sent = True
            self.out.send(Sign.FIN)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See asyncio."""
        if high is None:
            high = _HIGH_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be >= low ({low}) must be >= 0")
        self._high, self._low = high, low

    def get_write_buffer_size(self) -> int:
        """See asyncio."""
        return self._buffered

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See asyncio."""
        return self._low, self._high

    # --- the end ---

    def is_closing(self) -> bool:
        """See asyncio."""
        return self._closing

    def close(self) -> None:
        """See asyncio."""
        if not self._closing:
            self._closing = True
            if not self._buffer:
                self._lose(None)

    def abort(self) -> None:
        """See asyncio."""
        self._force_close(None)

    def _force_close(self, error: Exception | None) -> None:
        self._buffer.clear()
        self._buffered = 0
        self._closing = True
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        if not self._lost and self.host.alive:
            self._lost = True
            self.host.loop.call_soon(self._call_lost, error)

    def _call_lost(self, error: Exception | None) -> None:
        try:
            if self._reading and self._protocol is not None:
                self._protocol.connection_lost(error)
        finally:
            self._protocol = None
            self.drop()

    def drop(self) -> None:
        """The machine ends it: nobody has it any more."""
        if self.gone:
            return
        if self._reset:
            pass
        elif any(isinstance(item, bytes) for item in self._inbox):
            self.out.send(Sign.RESET)
        else:
            self._send_fin()
        self._vanish()

    def die(self) -> None:
        """The process is gone; without power the machine is, too."""
        if self.gone:
            return
        if self.host.up:
            self.drop()
        else:
            self._vanish()
            self.out.lose_waiting()

    def break_off(self) -> None:
        """Both ends are told of a reset."""
        for end in (self, self._peer):
            if end is not None:
                end.out.clear()
                if not end.gone:
                    end.on_item(Sign.RESET)

    def _vanish(self) -> None:
        self.gone = True
        self._closing = True
        self._buffer.clear()
        self._buffered = 0
        self._inbox.clear()
        self.host.streams.pop(self, None)
        self.out.maybe_retire()

    # --- what it is ---

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as asyncio has it
        """See asyncio: `sockname` and `peername` are known."""
        return {"sockname": self.sockname, "peername": self.peername}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio."""
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See asyncio."""
        assert self._protocol is not None
        return self._protocol

    def join(self, peer: Stream) -> None:
        """Make a connection of the two ends."""
        for end, other in ((self, peer), (peer, self)):
            end._peer = other  # noqa: SLF001 - one's own class
            end._out = Pipe(end, other)  # noqa: SLF001
