"""Frame: what surrounds a cluster of real processes: signals, Ctrl-C, and the directory of their files."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from raftly.demo.live.render import Teller
from raftly.errors import OutcomeUnknown

SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
GREETING: Final = "`help` lists the commands, `tour` shows them all, Ctrl-D or `quit` ends it."


@contextmanager
def signals_end_it() -> Iterator[None]:
    """Whoever ends this process politely ends the others with it: by SystemExit, from wherever it is."""

    def end(number: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """What is left to do takes a moment, and an impatient second signal would leave traces."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def given_up(teller: Teller, *, quietly: bool) -> Iterator[None]:
    """At a prompt, Ctrl-C ends the command, not everything; a script ends with it."""
    try:
        yield
    except (KeyboardInterrupt, OutcomeUnknown):
        if not quietly:
            raise
        teller.note("given up; what was done of it stays done")


@contextmanager
def root_of(data: Path | None, name: str) -> Iterator[Path]:
    """Where the files are: `data`, which stays, or else a temporary directory."""
    if data is not None:
        with suppress(FileExistsError):
            data.mkdir(parents=True)
        yield data
        return
    with tempfile.TemporaryDirectory(prefix=f"raftly-{name}-", ignore_cleanup_errors=True) as root:
        yield Path(root)
