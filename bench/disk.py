"""What a benchmark must know of the machine under it: the disk's own rate of syncs, and what the host took away."""

from __future__ import annotations

import os
import time
from pathlib import Path

AHEAD = bytes(1 << 20)
_fdatasync = getattr(os, "fdatasync", os.fsync)


def run_raw(directory: str, seconds: float, size: int) -> list[float]:
    """Durations of writing so many bytes behind the others, into zeros, and syncing them, with nothing around it."""
    data = os.urandom(size)
    fd = os.open(Path(directory) / "raw", os.O_RDWR | os.O_CREAT)
    filled = offset = 0
    took: list[float] = []
    started = time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        if filled < offset + len(AHEAD) // 4:
            os.pwrite(fd, AHEAD, filled)
            filled += len(AHEAD)
        os.pwrite(fd, data, offset)
        _fdatasync(fd)
        offset += len(data)
        took.append(time.perf_counter() - now)
    os.close(fd)
    return took


def steal() -> float:
    """Seconds that the host took away from this machine since it started, all processors."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
        return int(fields[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0
