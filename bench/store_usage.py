"""Usage: what processes took of processor and memory, as the kernel counts it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MIB: Final = os.sysconf("SC_PAGE_SIZE") / (1 << 20)


@dataclass(frozen=True, slots=True)
class Usage:
    """Of some processes, since they started."""

    cpu_s: float
    rss_mib: dict[str, float]


def usage_of(processes: Mapping[str, subprocess.Popen[bytes]]) -> Usage:
    """All of them, now."""
    cpu_s = 0.0
    rss_mib: dict[str, float] = {}
    for name, process in processes.items():
        fields = Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        cpu_s += (int(fields[11]) + int(fields[12])) * _TICK_S
        rss_mib[name] = int(fields[21]) * _PAGE_MIB
    return Usage(cpu_s, rss_mib)
