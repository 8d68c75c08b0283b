"""Batches in segments: lengths, names, and what an append may leave behind."""

import asyncio

import pytest

from raftly.errors import Corruption, DiskFull, LimitExceeded, StorageError
from raftly.storage.segment import PAYLOAD_BYTES_MAX, RESERVE_BYTES, Batch
from raftly.storage.wal import Wal, read_segment, segment_numbers, segment_path
from raftly.testing.faultfs import Effect, Fault, FaultFs
from raftly.testing.memfs import MemFs
from tests.unit.storage.kit import run


def opened(fs: MemFs | FaultFs) -> tuple[Wal, list[bytes]]:
    wal = Wal(fs, "wal", 1, 2, 4096)
    found: list[bytes] = []

    def take(number: int, batch: Batch) -> None:
        found.append(batch.payload)

    wal.open(take)
    return wal, found


def test_batches_come_back_across_segments() -> None:
    async def work() -> None:
        fs = MemFs()
        wal, _ = opened(fs)
        payloads = [bytes([number + 1]) * (number * 97 % 2500 + 1) for number in range(40)]
        places = [await wal.append(payload) for payload in payloads]
        assert [
            wal.read(number, at, len(payload)) for (number, at), payload in zip(places, payloads, strict=True)
        ] == payloads
        assert len(wal.segments) > 5
        for segment in wal.segments.values():
            assert segment.end + RESERVE_BYTES <= segment.durable <= segment.filled == segment.file.size()
        wal.close()
        again, found = opened(fs)
        assert found == payloads
        await again.append(b"more")
        assert opened(fs)[1] == [*payloads, b"more"]

    run(work())


def test_a_batch_larger_than_a_segment_gets_one_of_its_own() -> None:
    async def work() -> None:
        fs = MemFs()
        wal, _ = opened(fs)
        for payload in (b"a" * 10, b"b" * 50_000, b"c"):
            await wal.append(payload)
        assert len(wal.segments) == 3
        assert [len(payload) for payload in opened(fs)[1]] == [10, 50_000, 1]

    run(work())


def test_what_a_crash_left_of_a_new_segment_is_removed() -> None:
    fs = MemFs()
    opened(fs)
    fs.put("wal/00000002.tmp", b"half")
    fs.put("wal/notes.txt", b"not ours")
    opened(fs)
    assert fs.list("wal") == ["00000001.seg", "notes.txt"]


def test_one_append_at_a_time_and_a_bound_on_a_batch() -> None:
    async def work() -> None:
        inner = MemFs()
        fs = FaultFs(inner)
        wal, _ = opened(fs)
        stall = fs.add(Fault("sync", Effect.STALL))
        first = asyncio.ensure_future(wal.append(b"1"))
        await asyncio.sleep(0)
        with pytest.raises(AssertionError, match="one append at a time"):
            await wal.append(b"2")
        stall.go_on.set()
        await first
        with pytest.raises(AssertionError, match="empty"):
            await wal.append(b"")
        with pytest.raises(LimitExceeded, match=f"batch_bytes is {PAYLOAD_BYTES_MAX + 1}"):
            await wal.append(bytes(PAYLOAD_BYTES_MAX + 1))  # zeros that nobody touches take no memory
        await wal.append(b"2" * 100)
        assert wal.broken is None

    run(work())


@pytest.mark.parametrize(
    "operation,effect",
    [
        *((operation, Effect.IO_ERROR) for operation in ("open", "write", "sync", "rename", "sync_dir")),
        *((operation, Effect.DISK_FULL) for operation in ("open", "write", "rename")),
    ],
)
def test_a_failure_while_making_a_segment(operation: str, effect: Effect) -> None:
    """Full before anything was written: try again later. Anything else: the log is broken, and recovers."""

    async def work() -> None:
        inner = MemFs()
        fs = FaultFs(inner)
        wal, _ = opened(fs)
        payloads = [b"a" * 3500]
        await wal.append(payloads[0])
        fs.add(Fault(operation, effect))
        with pytest.raises(StorageError) as caught:
            await wal.append(b"b" * 7000)
        if wal.broken is None:
            assert isinstance(caught.value, DiskFull)
            await wal.append(b"b" * 7000)
            payloads.append(b"b" * 7000)
        assert (wal.broken is None) == (effect is Effect.DISK_FULL)
        wal.close()
        again, found = opened(inner)
        assert found == payloads
        await again.append(b"c")

    run(work())


def test_names_that_are_none_of_ours_and_gaps_are_refused() -> None:
    for names, problem in (
        (["00000001.seg", "00000003.seg"], "00000002.seg is damaged.*missing"),
        (["1.seg"], "no name of a segment"),
        (["x.seg"], "no name of a segment"),
        (["\u0661\u0661\u0661\u0661\u0661\u0661\u0661\u0661.seg"], "no name of a segment"),
    ):
        fs = MemFs()
        for name in names:
            fs.put(f"wal/{name}", b"")
        with pytest.raises(Corruption, match=problem):
            segment_numbers(fs, "wal")


def test_reading_a_segment_changes_nothing() -> None:
    async def work() -> None:
        fs = MemFs()
        wal, _ = opened(fs)
        await wal.append(b"whole")
        end = wal.segments[1].end
        await wal.append(b"torn" * 300)
        path = segment_path("wal", 1)
        torn = fs.content(path)[:512].ljust(8192, b"\0")
        fs.put(path, torn)
        before = fs.steps
        seen: list[Batch] = []

        def take(number: int, batch: Batch) -> None:
            assert number == 1
            seen.append(batch)

        found = read_segment(fs, "wal", 1, None, take, last=True)
        assert [batch.payload for batch in seen] == [b"whole"]
        assert (found.batches, found.end, found.torn_end, found.size) == (1, end, 512, 8192)
        assert (fs.steps, fs.content(path)) == (before, torn)

    run(work())
