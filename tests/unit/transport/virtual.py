"""An event loop on virtual time with a network inside, so that time-outs are tested without waiting.

`run(main)` runs a coroutine function on a new one. Nothing sleeps: when nothing is ready, time jumps to the next timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")
DELAY_S = 0.001  # of the network


class _NoSelector:
    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop

    def select(self, timeout: float | None) -> list[object]:
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        self.loop.now += timeout
        return []


class Wire(asyncio.Transport):
    """One end of a connection. `stalled`: the other end does not read. `mute`: what is written vanishes."""

    def __init__(self, loop: VirtualLoop, protocol: asyncio.Protocol, port: int) -> None:
        super().__init__({"peername": ("127.0.0.1", port)})
        self.loop = loop
        self.protocol = protocol
        self.other: Wire | None = None
        self.port = port
        self.stalled = False
        self.mute = False
        self.buffered: list[bytes] = []
        self.writes: list[bytes] = []
        self.flying: deque[bytes] = deque()
        self.high = 1 << 16
        self.paused = False
        self.lost = False
        self.closing = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high or 0

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.buffered))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.lost
        self.writes.append(bytes(data))
        if self.mute:
            return
        if self.stalled:
            self.buffered.append(bytes(data))
            if self.get_write_buffer_size() > self.high and not self.paused:
                self.paused = True
                self.protocol.pause_writing()
            return
        self._launch(bytes(data))

    def _launch(self, data: bytes) -> None:
        self.flying.append(data)  # timers for one moment fire in any order
        self.loop.call_later(DELAY_S, self._arrive)

    def _arrive(self) -> None:
        assert self.other is not None
        data = self.flying.popleft()
        if not self.other.lost:
            self.other.protocol.data_received(data)

    def unstall(self) -> None:
        self.stalled = False
        buffered, self.buffered = self.buffered, []
        for data in buffered:
            self._launch(data)
        if self.paused:
            self.paused = False
            self.protocol.resume_writing()

    def is_closing(self) -> bool:
        return self.closing or self.lost

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self.buffered:
                self.loop.call_later(2 * DELAY_S, self._lose, None)

    def abort(self) -> None:
        self.closing = True
        self.loop.call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self.protocol.connection_lost(error)
            if self.other is not None and not self.mute:
                self.loop.call_later(DELAY_S, self.other._lose, None)


class _Server:
    def __init__(self, loop: VirtualLoop, port: int) -> None:
        self.loop = loop
        self.port = port
        self.sockets = (self,)

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", self.port)

    def close(self) -> None:
        self.loop.listening.pop(self.port, None)


class VirtualLoop(asyncio.BaseEventLoop):
    """`resolved` keeps each host name that was dialed; `names` what they stand for."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.listening: dict[int, Callable[[], asyncio.BaseProtocol]] = {}
        self.names: dict[str, str] = {}
        self.dials: list[tuple[float, str, int]] = []
        self.wires: list[tuple[Wire, Wire]] = []  # (dialer's end, answerer's)
        self.silent: set[int] = set()  # ports that let a connection hang
        self._selector = _NoSelector(self)

    def time(self) -> float:
        return self.now

    def _process_events(self, events: list[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    async def create_server(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:  # type: ignore[override]
        port = port or 40000 + len(self.listening)
        if port in self.listening:
            raise OSError(98, "address in use")
        self.listening[port] = factory
        return _Server(self, port)

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:  # type: ignore[override]
        self.dials.append((self.now, host, port))
        await asyncio.sleep(DELAY_S)
        if port in self.silent:
            await self.create_future()
        accept = self.listening.get(port)
        if self.names.get(host, host) != "127.0.0.1":
            raise OSError(f"no such host: {host}")
        if accept is None:
            raise ConnectionRefusedError(f"nobody listens on {port}")
        here, there = Wire(self, factory(), port), Wire(self, cast("asyncio.Protocol", accept()), 50000)
        here.other, there.other = there, here
        self.wires.append((here, there))
        there.protocol.connection_made(there)
        here.protocol.connection_made(here)
        return here, here.protocol


def run(main: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """The result of `main(loop)`; what any callback raised is raised."""
    loop = VirtualLoop()
    problems: list[Any] = []
    loop.set_exception_handler(lambda _loop, context: problems.append(context))
    try:
        result = loop.run_until_complete(asyncio.wait_for(main(loop), 10_000))
        left = [task for task in asyncio.all_tasks(loop) if not task.done()]
        assert not left, f"still running: {left}"
        assert not problems, problems
        return result
    finally:
        loop.close()
