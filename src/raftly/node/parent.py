"""A process that must not outlive the one that started it, even while it is paused."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """From here on the kernel kills this process when the thread that started it ends. Linux; elsewhere: nothing.

    A pipe from the parent that ends says as much to a process that runs; a stopped one does not read it.
    Source: prctl(2), PR_SET_PDEATHSIG.
    """
    if sys.platform == "linux":
        parent = os.getppid()
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "the kernel does not say when the parent ends")
        if os.getppid() != parent:  # it ended meanwhile
            signal.raise_signal(signal.SIGKILL)
