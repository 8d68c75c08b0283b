"""The receiving half's windows: how much the peer may send us, over all streams and on each. Source: RFC 9113 §5.2.

What came in is unread until it is released. Of it, the bytes of messages that are not whole are told apart: no reader
can take them, so the connection window never waits for them; it stays shut only while more than `unread_bytes_max`
waits to be taken. They are bounded on their streams instead: while no more than `unread_bytes_max` is unread, a message
that is not whole gets window as it comes; past that only one does, the one ahead, and the others wait in turn. So one
message can always become whole, and then the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from raftly.rpc.h2.control import Control
from raftly.rpc.h2.frames import window_update_frame
from raftly.rpc.limits import Limits

if TYPE_CHECKING:
    from raftly.rpc.h2.stream import Stream

__all__ = ["Windows"]

_LITTLE: Final = 2048  # bytes a second for a stream that waits: its sender must not take it for dead


class Windows(Control):
    """What is unread, and what more may come.

    Invariants: while a stream waits in `_withheld`, one is ahead; one that waits is unfinished, and may be sent on;
    `recv_window + credit + held` of a stream that nobody has taken from is the window we announced.
    """

    def __init__(self, limits: Limits, *, client: bool, clock: Callable[[], float]) -> None:
        super().__init__(limits, client=client, clock=clock)
        self._stream_window = limits.stream_window_bytes
        self._recv_window = limits.connection_window_bytes
        self._recv_window_low = limits.connection_window_bytes // 2  # below it the window is filled again
        self._unread_bytes_max = limits.unread_bytes_max
        self._unread = 0
        self.unfinished_bytes = 0  # of them, in messages that are not whole
        self._ahead: Stream | None = None  # goes on, however much is unread
        self._ahead_moved = False  # since `nudge` looked last
        self._withheld: dict[int, Stream] = {}  # wait to go on, in turn

    @property
    def unread_bytes(self) -> int:
        """Received and not yet released, over all streams."""
        return self._unread

    # --- what was taken -------------------------------------------------------------------------------------------

    def release(self, stream: Stream | None, size: int) -> None:
        """The reader has taken `size` bytes: they no longer count as unread, and the peer may send as many again.

        `stream` is None when its window no longer matters.
        """
        self._unread -= size
        if self._withheld and self._unread <= self._unread_bytes_max:
            self._resume()
        if self._recv_window < self._recv_window_low:
            self._reopen_window()
        if stream is not None:
            self.grow(stream, size)

    def grow(self, stream: Stream, size: int) -> None:
        """Let the peer send `size` bytes more on the stream."""
        if stream.remote_closed:
            return
        stream.credit += size
        if stream.credit * 2 >= self._stream_window:
            self._emit(window_update_frame(stream.id, stream.credit))
            stream.recv_window += stream.credit
            stream.credit = 0

    def _reopen_window(self) -> None:
        """Fill the connection window again, unless too much waits to be taken."""
        if self._unread - self.unfinished_bytes <= self._unread_bytes_max:
            increment = self.limits.connection_window_bytes - self._recv_window
            self._emit(window_update_frame(0, increment))
            self._recv_window += increment

    # --- messages that are not whole --------------------------------------------------------------------------------

    def count_unfinished(self, change: int) -> None:
        """So many more of the unread bytes, or fewer, are in messages that are not whole."""
        self.unfinished_bytes += change
        if self._recv_window < self._recv_window_low:
            self._reopen_window()

    def go_on(self, stream: Stream) -> None:
        """Let the peer send more of a message that is not whole: as much as `stream.held`, now or in its turn."""
        if stream.remote_closed:
            self.step_aside(stream)
            return
        if stream is self._ahead:
            self._ahead_moved = True
        elif self._unread > self._unread_bytes_max:
            if self._ahead is not None:
                self._withheld[stream.id] = stream
                return
            self._ahead = stream
            self._ahead_moved = True
        self._give(stream)

    def step_aside(self, stream: Stream) -> None:
        """The message on `stream` is whole, or never will be: the next one may go on."""
        if stream is self._ahead:
            self._next_ahead()
        elif self._withheld:
            self._withheld.pop(stream.id, None)

    def nudge(self) -> bool:
        """Once a second: who is ahead and sent nothing lets the next one, those who wait may send a little.

        Returns whether there is output to flush.
        """
        if not self._withheld:
            return False
        if not self._ahead_moved:
            self._next_ahead()
        self._ahead_moved = False
        for stream in self._withheld.values():
            if stream.recv_window < _LITTLE and stream.held:
                size = min(stream.held, _LITTLE)
                stream.held -= size
                stream.recv_window += size
                self._emit(window_update_frame(stream.id, size))
        return True

    def _next_ahead(self) -> None:
        self._ahead = None
        withheld = self._withheld
        if withheld:
            stream = withheld.pop(next(iter(withheld)))
            self._ahead = stream
            self._ahead_moved = True
            self._give(stream)

    def _resume(self) -> None:
        """There is room again for everyone."""
        withheld = self._withheld
        self._withheld = {}
        for stream in withheld.values():
            self._give(stream)

    def _give(self, stream: Stream) -> None:
        held = stream.held
        stream.held = 0
        self.grow(stream, held)

    def _forget(self, stream: Stream) -> None:
        """Close a stream, whatever state it was in."""
        super()._forget(stream)
        self.step_aside(stream)
