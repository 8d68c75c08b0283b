"""Survey: what a log on disk holds and what is wrong with it, read without an owner and without changing anything.

`survey` reads. `plan_cut` says what cutting at the first damage would give up, and `carry_out` does it: only for an
operator who asked for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, final

from raftly.errors import Corruption, DecodeError, StorageError
from raftly.storage.group_log import GroupLog
from raftly.storage.items import StoredEntries, decode_items
from raftly.storage.log_store import WAL_DIR, take_batch
from raftly.storage.replay import Replay
from raftly.storage.segment import RESERVE_BYTES, Batch
from raftly.storage.snapshot import SNAPSHOT_DIR, SnapshotReader
from raftly.storage.vfs import FileSystem
from raftly.storage.wal import SegmentFound, read_segment, segment_path

_ASIDE: Final = ".cut"  # what a repair gives up keeps its bytes under this suffix
_COPY_BYTES: Final = 1 << 20


@final
@dataclass(slots=True)
class SegmentReport:
    """One segment. `damage` is what is wrong with it, by itself or behind the one before."""

    number: int
    path: str
    size: int
    found: SegmentFound | None
    damage: Corruption | None = None
    good_end: int = 0  # behind the last batch before the first damage of the log


@final
@dataclass(slots=True)
class LogReport:
    """A whole log. `groups` are as the readable part before the first damage has them."""

    segments: list[SegmentReport] = field(default_factory=list)
    groups: list[GroupLog] = field(default_factory=list)
    damage: Corruption | None = None
    """The first of all damages; None: the log opens."""
    prefix_damage: Corruption | None = None
    """What is wrong with the part before the first damage by itself, so that cutting there would not help."""
    entries_behind: dict[int, int] = field(default_factory=dict)
    """Groups with entries that are readable behind the first damage, and the last index of each."""


@final
class _Segments:
    """Segments to read entries from, opened for each read."""

    def __init__(self, fs: FileSystem) -> None:
        self._fs = fs

    def read(self, number: int, offset: int, size: int) -> bytes:
        file = self._fs.open(self.path(number))
        try:
            return file.read(offset, size)
        finally:
            file.close()

    def path(self, number: int) -> str:
        return segment_path(WAL_DIR, number)


def survey(fs: FileSystem) -> LogReport:
    """Read a whole log.

    Raises:
        StorageError: there is none, or the disk could not read.
    """
    if not fs.exists(WAL_DIR):
        raise StorageError("there is no log here: the directory of a node has a directory 'wal' in it")
    report = LogReport()
    replay = Replay(WAL_DIR)
    numbers = _numbers(fs, report)
    sequence: int | None = None
    for number in numbers:
        before = report.segments[-1] if report.segments else None
        if before is not None and number != before.number + 1 and report.damage is None:
            report.damage = Corruption(segment_path(WAL_DIR, before.number + 1), 0, "this segment is missing")
        if report.damage is not None:
            sequence = None
        found = _read(fs, number, sequence, replay, report, last=number == numbers[-1])
        sequence = None if found is None else found.header.first_sequence + found.batches
    _finish(fs, replay, report)
    return report


def _numbers(fs: FileSystem, report: LogReport) -> list[int]:
    numbers = []
    for name in fs.list(WAL_DIR):
        digits = name.removesuffix(".seg")
        if digits != name:
            if digits.isascii() and digits.isdigit() and segment_path(WAL_DIR, int(digits)) == f"{WAL_DIR}/{name}":
                numbers.append(int(digits))
            elif report.damage is None:
                report.damage = Corruption(f"{WAL_DIR}/{name}", 0, "this is no name of a segment")
    return sorted(numbers)


def _read(
    fs: FileSystem, number: int, sequence: int | None, replay: Replay, report: LogReport, *, last: bool
) -> SegmentFound | None:
    def take(segment: int, batch: Batch) -> None:
        if report.damage is None:
            take_batch(replay, segment, batch)
            entry.good_end = batch.end
        else:
            _note_behind(batch, report)

    path = segment_path(WAL_DIR, number)
    file = fs.open(path)
    size = file.size()
    file.close()
    entry = SegmentReport(number, path, size, None)  # without a readable header nothing of it is good
    report.segments.append(entry)
    try:
        entry.found = read_segment(fs, WAL_DIR, number, sequence, take, last=last)
        _check_owner(entry, report)
    except Corruption as error:
        entry.damage = error
        if report.damage is None:
            report.damage = error
    return entry.found


def _check_owner(entry: SegmentReport, report: LogReport) -> None:
    owners = [(it.found.header.cluster_id, it.found.header.node_id) for it in report.segments if it.found is not None]
    if owners[0] != owners[-1]:
        raise Corruption(
            entry.path, 16, f"it belongs to node {owners[-1][1]}, the log before it to node {owners[0][1]}"
        )


def _note_behind(batch: Batch, report: LogReport) -> None:
    try:
        for item in decode_items(batch.payload):
            if isinstance(item, StoredEntries):
                report.entries_behind[item.group] = max(report.entries_behind.get(item.group, 0), item.stop - 1)
    except DecodeError:
        return  # the segment says what is wrong


def _finish(fs: FileSystem, replay: Replay, report: LogReport) -> None:
    if report.segments and report.segments[0].number > replay.reclaimed + 1:
        missing = segment_path(WAL_DIR, report.segments[0].number - 1)
        report.prefix_damage = Corruption(missing, 0, "this segment is missing")
    for number in replay.groups():
        log = GroupLog(number, _Segments(fs))
        try:
            replay.finish(log)
        except Corruption as error:
            report.prefix_damage = report.prefix_damage or error
        report.groups.append(log)
    report.damage = report.damage or report.prefix_damage


def check_snapshots(fs: FileSystem) -> list[tuple[str, Corruption | None]]:
    """Every complete snapshot of every group read through: its path, and what is wrong with it.

    Raises:
        StorageError: the disk could not read.
    """
    checked: list[tuple[str, Corruption | None]] = []
    groups = fs.list(SNAPSHOT_DIR) if fs.exists(SNAPSHOT_DIR) else []
    for group in groups:
        for name in fs.list(f"{SNAPSHOT_DIR}/{group}"):
            if name.endswith(".snap"):
                path = f"{SNAPSHOT_DIR}/{group}/{name}"
                checked.append((path, _check_snapshot(fs, path)))
    return checked


def _check_snapshot(fs: FileSystem, path: str) -> Corruption | None:
    file = fs.open(path)
    try:
        for _ in SnapshotReader(path, file).chunks():
            pass
    except Corruption as error:
        return error
    finally:
        file.close()
    return None


@final
@dataclass(slots=True)
class Cut:
    """What a repair would do, or why it cannot."""

    refusal: str | None = None
    number: int = 0  # the segment that is cut at `offset`; 0: only whole ones go
    offset: int = 0
    bytes_given_up: int = 0
    segments_given_up: list[int] = field(default_factory=list)


def plan_cut(report: LogReport) -> Cut:
    """How to cut a log at its first damage."""
    damage = report.damage
    assert damage is not None
    cut = Cut()
    if report.prefix_damage is not None:
        cut.refusal = "something before the end is missing, so cutting the end does not help"
        return cut
    kept = 0
    for segment in report.segments:
        if segment.path == damage.path and segment.good_end:
            cut.number, cut.offset = segment.number, segment.good_end
            cut.bytes_given_up += segment.size - segment.good_end
            kept += 1
        elif segment.path < damage.path and segment.damage is None:
            kept += 1
        else:
            cut.segments_given_up.append(segment.number)
            cut.bytes_given_up += segment.size
    if kept == 0:
        cut.refusal = "nothing would be left"
    elif not cut.number and not cut.segments_given_up:
        cut.refusal = f"{damage.path} is none of the log's files: move it away"
    return cut


def carry_out(fs: FileSystem, cut: Cut) -> None:
    """Cut. What is given up is kept beside the log, under names that end in `.cut`.

    Raises:
        StorageError: the disk could not; what was done so far stays.
    """
    assert cut.refusal is None
    for number in sorted(cut.segments_given_up, reverse=True):  # from the end, so that no crash leaves a gap
        path = segment_path(WAL_DIR, number)
        fs.rename(path, path + _ASIDE)
        fs.sync_dir_now(WAL_DIR)
    if cut.number:
        path = segment_path(WAL_DIR, cut.number)
        _copy(fs, path, path + _ASIDE)
        file = fs.open(path)
        file.write(cut.offset, bytes(max(file.size() - cut.offset, 2 * RESERVE_BYTES)))
        file.sync_now()
        file.close()
    fs.sync_dir_now(WAL_DIR)


def _copy(fs: FileSystem, path: str, to: str) -> None:
    fs.remove(to)
    source, target = fs.open(path), fs.open(to, create=True)
    for offset in range(0, source.size(), _COPY_BYTES):
        target.write(offset, source.read(offset, _COPY_BYTES))
    target.sync_now()
    source.close()
    target.close()
