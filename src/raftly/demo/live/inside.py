"""Inside: the end of a node's log on disk, and of what its process said."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from raftly.errors import StorageError
from raftly.storage.group_log import GroupLog
from raftly.storage.osfs import OsFs
from raftly.storage.survey import survey

ENTRIES_SHOWN: Final = 5
LINES_SHOWN: Final = 5
PAGE_BYTES: Final = 1 << 20


def log_lines(directory: str, said: Path) -> list[str]:
    """Read without an owner, as `raftly log inspect` does; a node that runs may write meanwhile."""
    lines = [f"{directory}:"]
    fs = OsFs(directory)
    try:
        report = survey(fs)
        lines.append(f"  {len(report.segments)} segments, {sum(item.size for item in report.segments):,} bytes")
        for group in report.groups:
            lines += [f"  {line}" for line in _group_lines(group)]
        if report.damage is not None:
            lines.append(f"  damaged, or being written just now: {report.damage}")
    except StorageError as error:
        lines.append(f"  it cannot be read just now: {error}")
    finally:
        fs.close()
    if said.exists():
        words = said.read_text("utf-8", "replace").splitlines()
        lines += [f"{said}:", *(f"  {line}" for line in words[-LINES_SHOWN:])]
    return lines


def _group_lines(group: GroupLog) -> list[str]:
    state = group.hard_state
    meta = group.snapshot_meta.meta
    first, last = group.first_index(), group.last_index()
    begins = f", behind a snapshot of entry {meta.index}" if meta.index else ""
    voted = f"voted for node {state.vote}" if state.vote else "voted for nobody"
    lines = [f"entries {first} to {last}{begins}; term {state.term}, {voted}, committed {state.commit}"]
    lo = max(first, last + 1 - ENTRIES_SHOWN)
    while lo <= last:
        for entry in group.entries(lo, last + 1, PAGE_BYTES):
            kind = entry.type.name.lower()
            lines.append(f"  entry {entry.index}, term {entry.term}, {kind}, {len(entry.data)} bytes")
            lo = entry.index + 1
    return lines
