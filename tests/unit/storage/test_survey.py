"""Reading a log without an owner, and cutting it where it is damaged."""

from zlib import crc32

import pytest

from raftly.base.rand import SplitMix64
from raftly.base.types import SnapshotMeta
from raftly.errors import Corruption, StorageError
from raftly.storage.items import EntriesItem, Item, SnapshotItem
from raftly.storage.segment import SegmentHeader, decode_header
from raftly.storage.snapshot import SnapshotStore
from raftly.storage.survey import LogReport, carry_out, check_snapshots, plan_cut, survey
from raftly.testing.memfs import MemFs
from tests.unit.storage.kit import Model, apply, entries, open_store, read_back, run, snapshot

WORK: list[list[Item]] = [
    [EntriesItem(1, entries(1, 3, 1, 500))],
    [EntriesItem(2, entries(1, 3, 2, 500))],
    [EntriesItem(1, entries(4, 2, 1, 500))],
    [EntriesItem(2, entries(4, 3, 2, 500))],
    [EntriesItem(1, entries(6, 3, 3, 500))],
    [EntriesItem(2, entries(7, 2, 3, 100)), SnapshotItem(2, snapshot(1, 2), keeps_entries=True)],
]


def built() -> tuple[MemFs, list[Model], list[tuple[str, int]]]:
    """A log, what it held after each commit, and where each batch begins."""
    fs = MemFs()
    models: list[Model] = [{}]
    places: list[tuple[str, int]] = []

    async def work() -> None:
        store = open_store(fs)
        for items in WORK:
            await store.commit(items)
            models.append(apply(models[-1], items))
            last = max(store._wal.segments)
            places.append((store._wal.path(last), store._wal.segments[last].end))
        store.close()

    run(work())
    assert len(fs.list("wal")) == 3
    return fs, models, places


def flip(fs: MemFs, path: str, at: int) -> None:
    content = bytearray(fs.content(path))
    content[at] ^= 255
    fs.put(path, bytes(content))


def last_indexes(report: LogReport) -> dict[int, int]:
    return {log.group: log.last_index() for log in report.groups}


def test_a_sound_log_is_told_as_it_is() -> None:
    fs, models, _ = built()
    before = fs.steps
    report = survey(fs)
    assert report.damage is None
    assert last_indexes(report) == {id_: group.last for id_, group in models[-1].items()}
    assert [item.number for item in report.segments] == [1, 2, 3]
    assert sum(item.found.batches for item in report.segments if item.found) == len(WORK)
    assert fs.steps == before
    with pytest.raises(StorageError, match="there is no log here"):
        survey(MemFs())


@pytest.mark.parametrize("damaged", range(1, len(WORK)))
def test_damage_to_any_batch_is_cut_to_what_was_before_it(damaged: int) -> None:
    fs, models, ends = built()
    path, end = ends[damaged]
    flip(fs, path, end - 20)
    report = survey(fs)
    assert report.damage is not None
    assert report.damage.path == path
    cut = plan_cut(report)
    assert cut.refusal is None
    before = {name: fs.content(f"wal/{name}") for name in fs.list("wal")}
    carry_out(fs, cut)
    store = open_store(fs)
    assert read_back(store) == models[damaged]
    store.close()
    assert survey(fs).damage is None
    aside = [name for name in fs.list("wal") if name.endswith(".cut")]
    assert len(aside) == len(cut.segments_given_up) + (cut.number > 0)
    for name in aside:
        assert fs.content(f"wal/{name}") == before[name.removesuffix(".cut")]
    assert cut.bytes_given_up > 0


def test_a_crash_at_any_step_of_a_cut_leaves_something_to_cut_again() -> None:
    fs, models, ends = built()
    flip(fs, ends[1][0], ends[1][1] - 20)
    left: list[MemFs] = []
    draw = SplitMix64(2)
    fs.on_step = lambda *_: left.extend(fs.outcomes(draw, 6))
    carry_out(fs, plan_cut(survey(fs)))
    assert len(left) > 20
    for after in left:
        report = survey(after)
        if report.damage is not None:
            cut = plan_cut(report)
            assert cut.refusal is None, report.damage
            carry_out(after, cut)
        assert read_back(open_store(after)) == models[1]


def test_what_is_readable_behind_the_damage_is_told() -> None:
    fs, _, ends = built()
    flip(fs, ends[1][0], ends[1][1] - 20)
    report = survey(fs)
    assert last_indexes(report) == {1: 3}
    assert report.entries_behind == {1: 8, 2: 8}


def test_a_header_or_a_missing_segment_gives_up_whole_ones() -> None:
    fs, models, ends = built()
    kept = sum(path == "wal/00000001.seg" for path, _ in ends)
    flip(fs, "wal/00000002.seg", 20)
    cut = plan_cut(survey(fs))
    assert (cut.number, cut.segments_given_up, cut.refusal) == (0, [2, 3], None)
    fs.remove("wal/00000002.seg")
    cut = plan_cut(survey(fs))
    assert (cut.number, cut.segments_given_up, cut.refusal) == (0, [3], None)
    carry_out(fs, cut)
    assert read_back(open_store(fs)) == models[kept]


def test_a_segment_of_a_later_release_is_no_damage_to_be_cut() -> None:
    fs, _, _ = built()
    path = f"wal/{sorted(fs.list('wal'))[1]}"
    content = bytearray(fs.content(path))
    content[8:10] = (2).to_bytes(2, "little")
    content[60:64] = crc32(content[:60]).to_bytes(4, "little")
    fs.put(path, bytes(content))
    for look in (survey, open_store):
        with pytest.raises(StorageError, match=f"{path} is of version 2, this release knows 1: use the one") as raised:
            look(fs)
        assert not isinstance(raised.value, Corruption)


def test_what_cutting_cannot_repair_is_refused() -> None:
    fs, _, _ = built()
    flip(fs, "wal/00000001.seg", 5)
    assert plan_cut(survey(fs)).refusal == "nothing would be left"
    fs, _, _ = built()
    flip(fs, "wal/00000001.seg", 80)
    assert plan_cut(survey(fs)).refusal == "nothing would be left"
    fs, _, _ = built()
    fs.remove("wal/00000001.seg")
    report = survey(fs)
    assert report.damage is not None
    assert "missing" in report.damage.problem
    assert "cutting the end does not help" in str(plan_cut(report).refusal)
    fs, _, _ = built()
    fs.put("wal/7.seg", b"")
    assert "none of the log's files" in str(plan_cut(survey(fs)).refusal)


def test_a_segment_of_another_node_is_told() -> None:
    fs, _, _ = built()
    content = fs.content("wal/00000002.seg")
    header = decode_header("", content)
    other = SegmentHeader(header.cluster_id, 77, header.number, header.first_sequence).encode()
    fs.put("wal/00000002.seg", other + content[len(other) :])
    report = survey(fs)
    assert report.damage is not None
    assert report.damage.problem == "it belongs to node 77, the log before it to node 3"


def test_snapshots_are_read_through() -> None:
    async def work() -> None:
        fs = MemFs()
        assert check_snapshots(fs) == []
        for group in (1, 2):
            store = SnapshotStore(fs, 1, group, SplitMix64(group), 100)
            store.open_dir()
            writer = store.create(SnapshotMeta(5, 1))
            await writer.write(bytes(1000))
            await writer.commit()
        checked = check_snapshots(fs)
        assert [damage for _, damage in checked] == [None, None]
        flip(fs, checked[1][0], 700)
        assert [damage is None for _, damage in check_snapshots(fs)] == [True, False]

    run(work())
