"""The small parts of a disk that takes its time: where a commit stops, how it is stepped, how power goes."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Final, cast, final

from raftly.testing.memfs import MemFs

_HUGE: Final = 1 << 40


class PowerLost(BaseException):
    """The machine stopped in the middle of a change of its disk; unwinds what was being done."""


@final
class _Pause:
    def __await__(self) -> Generator[None, None, None]:
        yield


PAUSE: Final = _Pause()
"""Awaited where the disk is at work; the commit goes on when it is done."""


def start_commit(commit: Coroutine[Any, Any, None]) -> Generator[None, None, None]:
    """A commit of the log, to be stepped by hand."""
    return cast("Generator[None, None, None]", commit.__await__())


def fill(fs: MemFs, slack_bytes: int | None) -> None:
    """From now on there is room for this much more; None: for as much as one likes."""
    fs.capacity_bytes = _HUGE
    fs.capacity_bytes = None if slack_bytes is None else _HUGE - fs.free_bytes("") + slack_bytes
