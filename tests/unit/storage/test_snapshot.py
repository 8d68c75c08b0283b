"""Snapshots as files: whole or not there, resumable, and refused when damaged."""

import asyncio
import random
from pathlib import Path

import pytest

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import SnapshotMeta
from raftly.errors import (
    ConfigError,
    Corruption,
    DecodeError,
    DiskFull,
    SnapshotOutOfDate,
    StorageError,
    SyncFailed,
)
from raftly.storage import snapshot
from raftly.storage.osfs import OsFs
from raftly.storage.snapshot import RateLimit, SnapshotName, SnapshotStore
from raftly.storage.snapshot_file import SnapshotHeader
from raftly.storage.vfs import FileSystem
from raftly.testing.faultfs import Effect, Fault, FaultFs
from raftly.testing.memfs import MemFile, MemFs
from tests.unit.storage.kit import run

CHUNK = 100
META = SnapshotMeta(50, 4, ConfState((1, 2, 3), (9,)))


def opened(fs: FileSystem, group: int = 7, seed: int = 1) -> SnapshotStore:
    store = SnapshotStore(fs, 0xC1, group, SplitMix64(seed), CHUNK)
    store.open_dir()
    return store


def meta(index: int) -> SnapshotMeta:
    return SnapshotMeta(index, 4, META.conf_state)


async def put(store: SnapshotStore, state: bytes, at: SnapshotMeta = META) -> None:
    writer = store.create(at)
    source = random.Random(len(state))
    while state:
        size = source.randrange(1, 250)
        await writer.write(state[:size])
        state = state[size:]
    await writer.commit()


def state_of(store: SnapshotStore, index: int = META.index) -> bytes:
    reader = store.open(index)
    chunks = list(reader.chunks())
    reader.close()
    assert all(len(chunk) == CHUNK for chunk in chunks[:-1])
    return b"".join(chunks)


STATE = random.Random(1).randbytes(1234)
PATH = f"snapshots/7/{50:020d}-{4:020d}.snap"


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 1234])
def test_what_was_written_is_read(size: int) -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        assert store.latest() is None
        await put(store, STATE[:size])
        assert store.latest() == META
        assert state_of(store) == STATE[:size]
        assert store.names() == [SnapshotName(50, 4)]
        with pytest.raises(SnapshotOutOfDate):
            store.open(49)

    run(work())


def test_it_is_there_whole_or_not_at_all_after_a_crash_at_any_step() -> None:
    async def work() -> None:
        fs = MemFs()
        before: bytes | None = None
        draw = SplitMix64(4)
        seen: set[bytes | None] = set()

        def check(operation: str, path: str) -> None:
            for after in fs.outcomes(draw, 40):
                store = opened(after)
                found = state_of(store) if store.latest() else None
                assert found in (before, STATE)
                seen.add(found)
                assert [name for name in after.list("snapshots/7") if not name.endswith(".snap")] == []

        store = opened(fs)
        fs.on_step = check
        await put(store, STATE)
        before = STATE
        check("", "")
        assert seen == {None, STATE}

    run(work())


def test_every_flipped_byte_and_every_cut_is_refused_with_its_place() -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        await put(store, STATE[:250])
        content = fs.content(PATH)
        for at in range(len(content)):
            broken = bytearray(content)
            broken[at] ^= 1 << at % 8
            fs.put(PATH, bytes(broken))
            with pytest.raises(Corruption) as caught:
                state_of(store)
            assert caught.value.path == PATH
            assert caught.value.offset <= at
            fs.put(PATH, content[:at])
            with pytest.raises(Corruption):
                state_of(store)
        fs.put(PATH, content + b"x")
        with pytest.raises(Corruption, match="1 bytes follow the end"):
            state_of(store)
        fs.put(PATH, content)
        assert state_of(store) == STATE[:250]

    run(work())


def test_chunks_exchanged_doubled_or_left_out_are_refused() -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        await put(store, STATE[:400])
        content = fs.content(PATH)
        reader = store.open(50)
        head, size = len(reader.header_bytes), CHUNK + 8
        frames = [content[head + at * size : head + (at + 1) * size] for at in range(4)]
        end = content[head + 4 * size :]
        for wrong in ([1, 0, 2, 3], [0, 1, 2], [0, 1, 2, 3, 3], [0, 1, 1, 2, 3], []):
            fs.put(PATH, content[:head] + b"".join(frames[at] for at in wrong) + end)
            with pytest.raises(Corruption):
                state_of(store)

    run(work())


def test_the_newest_damaged_snapshot_is_not_replaced_by_an_older_one() -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        await put(store, b"old", meta(10))
        await put(store, b"new", meta(20))
        path = f"snapshots/7/{20:020d}-{4:020d}.snap"
        fs.put(path, b"x" + fs.content(path)[1:])
        with pytest.raises(Corruption, match="not a raftly snapshot"):
            store.latest()

    run(work())


def test_a_snapshot_of_another_group_under_our_name_is_refused() -> None:
    async def work() -> None:
        fs = MemFs()
        await put(opened(fs, group=8), b"theirs")
        store = opened(fs)
        fs.put(PATH, fs.content(PATH.replace("/7/", "/8/")))
        with pytest.raises(Corruption, match="another group"):
            store.open(50)

    run(work())


def test_old_ones_are_collected_and_an_open_reader_reads_on(tmp_path: Path) -> None:
    async def work() -> None:
        store = opened(OsFs(tmp_path))
        for index in (10, 20, 30):
            await put(store, STATE, meta(index))
        reader = store.open(10)
        store.collect(2)
        assert [name.index for name in store.names()] == [20, 30]
        assert b"".join(reader.chunks()) == STATE
        reader.close()
        store.collect(1)
        assert [name.index for name in store.names()] == [30]

    run(work())


def test_aborted_and_unfinished_ones_leave_nothing() -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        writer = store.create(META)
        await writer.write(STATE)
        writer.abort()
        assert fs.list("snapshots/7") == []
        await store.create(META).write(STATE)
        assert len(fs.list("snapshots/7")) == 1
        opened(fs)
        assert fs.list("snapshots/7") == []

    run(work())


def test_a_full_disk_is_told_and_the_old_snapshot_stays() -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        await put(store, b"old", meta(10))
        fs.capacity_bytes = 1000
        with pytest.raises(DiskFull):
            await put(store, STATE)
        assert state_of(opened(fs), 10) == b"old"

    run(work())


async def send(sender: SnapshotStore, to: SnapshotStore, pieces: int, size: int) -> bool:
    """Send until `pieces` were sent; is it complete? The connection breaks then."""
    reader = sender.open(50)
    receiver = await to.receive(reader.header_bytes)
    while not receiver.is_complete and pieces > 0:
        pieces -= 1
        offset = receiver.offset
        await receiver.write(offset, reader.read(offset, size))
    if not receiver.is_complete:
        receiver.close()
        return False
    await receiver.commit()
    return True


@pytest.mark.parametrize("size", [1, 37, 108, 500, 5000])
def test_it_travels_in_pieces_of_any_size(size: int) -> None:
    async def work() -> None:
        source, target = MemFs(), MemFs()
        sender, to = opened(source), opened(target)
        await put(sender, STATE)
        assert await send(sender, to, 10_000, size)
        assert target.content(PATH) == source.content(PATH)
        assert to.latest() == META
        with pytest.raises(SnapshotOutOfDate):
            await to.receive(sender.open(50).header_bytes)

    run(work())


def test_a_broken_connection_is_resumed_where_it_ended() -> None:
    async def work() -> None:
        source, target = MemFs(), MemFs()
        sender = opened(source)
        await put(sender, STATE)
        sent = 0
        offsets = []
        while not await send(sender, opened(target), 2, 150):
            sent += 2
            receiver = await opened(target).receive(sender.open(50).header_bytes)
            offsets.append(receiver.offset)
            receiver.close()
        assert target.content(PATH) == source.content(PATH)
        assert offsets == sorted(offsets)
        assert sent * 150 < 2 * len(source.content(PATH))

    run(work())


def test_a_crash_while_receiving_keeps_only_whole_chunks() -> None:
    async def work() -> None:
        source, target = MemFs(), MemFs()
        sender, to = opened(source), opened(target)
        await put(sender, STATE)
        head = sender.open(50).header_bytes
        content = source.content(PATH)
        draw = SplitMix64(9)

        async def finish(fs: MemFs) -> None:
            again = opened(fs)
            try:
                receiver = await again.receive(head)
            except SnapshotOutOfDate:
                pass
            else:
                await receiver.write(receiver.offset, content[receiver.offset :]) if not receiver.is_complete else None
                await receiver.commit()
            assert fs.content(PATH) == content

        left: list[MemFs] = []
        target.on_step = lambda *_: left.extend(target.outcomes(draw, 8))
        assert await send(sender, to, 10_000, 333)
        assert len(left) > 50
        for fs in left:
            await finish(fs)

    run(work())


def test_a_transfer_is_not_resumed_with_another_file_of_the_same_index() -> None:
    async def work() -> None:
        first, second, target = MemFs(), MemFs(), MemFs()
        one, two = opened(first, seed=1), opened(second, seed=2)
        await put(one, b"a" * 1000)
        await put(two, b"b" * 1000)
        assert not await send(one, opened(target), 3, 150)
        assert await send(two, opened(target), 1000, 150)
        assert state_of(opened(target)) == b"b" * 1000

    run(work())


def test_a_crash_before_another_file_is_received_mixes_no_chunks() -> None:
    async def work() -> None:
        first, second, target = MemFs(), MemFs(), MemFs()
        one, two = opened(first, seed=1), opened(second, seed=2)
        await put(one, b"a" * 1000)
        await put(two, b"b" * 1000)
        assert not await send(one, opened(target), 3, 150)
        left: list[MemFs] = []
        draw = SplitMix64(3)
        to = opened(target)
        target.on_step = lambda *_: left.extend(target.outcomes(draw, 20))
        assert not await send(two, to, 2, 20)  # less than a chunk
        left.extend(target.outcomes(draw, 20))
        for fs in left:
            assert await send(two, opened(fs), 1000, 150)
            assert state_of(opened(fs)) == b"b" * 1000

    run(work())


def watch_files(monkeypatch: pytest.MonkeyPatch) -> set[MemFile]:
    """Those that are open, from now on."""
    files: set[MemFile] = set()
    real = MemFs.open

    def open_file(fs: MemFs, path: str, *, create: bool = False) -> MemFile:
        file = real(fs, path, create=create)
        files.add(file)
        return file

    def close_file(file: MemFile) -> None:
        files.discard(file)

    monkeypatch.setattr(MemFs, "open", open_file)
    monkeypatch.setattr(MemFile, "close", close_file)
    return files


def test_a_transfer_that_cannot_begin_leaves_no_file_and_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        source, target = MemFs(), MemFs()
        sender, to = opened(source), opened(target)
        await put(sender, STATE)
        head = sender.open(50).header_bytes
        target.capacity_bytes = 10
        files = watch_files(monkeypatch)
        for _ in range(3):
            with pytest.raises(DiskFull):
                await to.receive(head)
            assert not files
            assert target.list("snapshots/7") == []
        target.capacity_bytes = None
        assert await send(sender, to, 10_000, 150)
        assert state_of(to) == STATE

    run(work())


def test_a_transfer_that_cannot_go_on_yet_keeps_what_is_there_and_no_file_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        source, target = MemFs(), MemFs()
        sender = opened(source)
        await put(sender, STATE)
        head = sender.open(50).header_bytes
        assert not await send(sender, opened(target), 3, 150)
        files = watch_files(monkeypatch)
        for operation in ("read", "truncate"):
            faulty = FaultFs(target)
            fault = faulty.add(Fault(operation, Effect.IO_ERROR))
            with pytest.raises(StorageError):
                await opened(faulty).receive(head)
            assert fault.struck
            assert not files
        receiver = await opened(target).receive(head)
        assert receiver.offset > len(head)

    run(work())


def test_a_file_that_cannot_be_read_is_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        fs = MemFs()
        await put(opened(fs), STATE)
        files = watch_files(monkeypatch)
        for after in range(2):
            faulty = FaultFs(fs)
            faulty.add(Fault("read", Effect.IO_ERROR, after=after))
            with pytest.raises(StorageError):
                opened(faulty).open(50)
            assert not files

    run(work())


def test_hostile_bytes_from_a_peer_are_refused_and_what_was_good_stays() -> None:
    async def work() -> None:
        source, target = MemFs(), MemFs()
        sender, to = opened(source), opened(target)
        await put(sender, STATE)
        reader = sender.open(50)
        content = source.content(PATH)
        receiver = await to.receive(reader.header_bytes)
        await receiver.write(receiver.offset, content[receiver.offset : 500])
        good = receiver.offset
        with pytest.raises(DecodeError, match="is next"):
            await receiver.write(good + 1, b"x")
        damaged = bytearray(content[good:])
        damaged[150] ^= 1
        with pytest.raises(DecodeError, match="does not match its checksum"):
            await receiver.write(good, bytes(damaged))
        assert receiver.offset <= good + 150
        with pytest.raises(DecodeError, match="the limit is 1048576"):
            await receiver.write(receiver.offset, b"\xff" * 8)
        with pytest.raises(DecodeError, match="follow the end"):
            await receiver.write(receiver.offset, content[receiver.offset :] + b"more")
        assert receiver.is_complete
        await receiver.commit()
        assert target.content(PATH) == content

    run(work())


def test_hostile_headers_are_refused_and_never_touch_a_path() -> None:
    run(hostile_headers())


async def hostile_headers() -> None:
    fs = MemFs()
    store = opened(fs)
    good = SnapshotHeader(0xC1, 7, META, 5).encode()
    for at in range(len(good)):
        with pytest.raises(DecodeError):
            await store.receive(good[:at])
        broken = bytearray(good)
        broken[at] ^= 255
        with pytest.raises(DecodeError):
            await store.receive(bytes(broken))
    for foreign in (SnapshotHeader(0xC2, 7, META, 5), SnapshotHeader(0xC1, 8, META, 5)):
        with pytest.raises(DecodeError, match="of group"):
            await store.receive(foreign.encode())
    assert fs.list("snapshots/7") == []
    for name in ("../../etc", "x.snap", "1-1.snap", f"{'٣' * 20}-{4:020d}.snap"):
        fs.put(f"snapshots/7/{name.replace('/', '_')}", b"x")
    assert store.names() == []


def test_reading_and_writing_hold_a_chunk_or_two() -> None:
    """Sizes that pass through the file system stay at a chunk, however the state is cut."""

    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        writer = store.create(META)
        await writer.write(bytes(50_000))
        assert len(writer._gathered) < CHUNK
        await writer.commit()
        reader = store.open(50)
        assert max(map(len, reader.chunks())) == CHUNK

    run(work())


def test_a_failed_sync_publishes_nothing() -> None:
    async def work() -> None:
        fs = MemFs()
        store = opened(fs)
        writer = store.create(META)
        await writer.write(STATE)

        async def fail(path: str) -> None:
            raise StorageError(f"cannot sync {path}")

        fs.on_sync = fail
        with pytest.raises(StorageError):
            await writer.commit()
        assert store.names() == []

    asyncio.run(work())


SYNCS = pytest.mark.parametrize(
    "operation,sync_bytes", [("sync", 300), ("sync", 8 << 20), ("sync_dir", 8 << 20)], ids=["write", "commit", "name"]
)


@SYNCS
def test_what_a_failed_sync_was_for_is_not_gone_on_with(
    operation: str, sync_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_SYNC_BYTES", sync_bytes)

    async def work() -> None:
        disk = MemFs()
        fs = FaultFs(disk)
        sender, to = opened(MemFs()), opened(fs)
        await put(sender, STATE)
        fs.add(Fault(operation, Effect.IO_ERROR))
        with pytest.raises(SyncFailed):
            await send(sender, to, 10_000, 150)
        assert to.names() == []
        header = sender.open(50).header_bytes
        receiver = await to.receive(header)
        assert receiver.offset == len(header)
        receiver.close()
        assert await send(sender, to, 10_000, 150)
        for after in disk.outcomes(SplitMix64(1), 20):
            assert state_of(opened(after)) == STATE

    run(work())


@SYNCS
def test_a_sync_that_was_not_waited_for_is_taken_for_failed(
    operation: str, sync_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "_SYNC_BYTES", sync_bytes)

    async def work() -> None:
        fs = FaultFs(MemFs())
        sender, to = opened(MemFs()), opened(fs)
        await put(sender, STATE)
        fs.add(Fault(operation, Effect.STALL))
        sending = asyncio.ensure_future(send(sender, to, 10_000, 150))
        await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.wait([sending])
        assert sending.cancelled()
        assert fs.list("snapshots/7") == []

    run(work())


@pytest.mark.parametrize("before", [b"", b"before"])
def test_a_name_that_is_not_durable_is_taken_back_unless_another_file_had_it(before: bytes) -> None:
    async def work() -> None:
        fs = FaultFs(MemFs())
        store = opened(fs)
        if before:
            await put(store, before)
        fs.add(Fault("sync_dir", Effect.IO_ERROR))
        with pytest.raises(SyncFailed):
            await put(store, STATE)
        assert store.names() == ([SnapshotName(META.index, META.term)] if before else [])

    run(work())


def test_the_rate_limit_lets_a_burst_pass_and_then_spreads() -> None:
    limit = RateLimit(1000, 500)
    assert limit.delay(300, 10.0) == 0
    assert limit.delay(200, 10.0) == 0
    assert limit.delay(100, 10.0) == pytest.approx(0.1)
    assert limit.delay(100, 10.1) == pytest.approx(0.1)
    assert limit.delay(500, 100.0) == 0  # a long pause gives no more than one burst
    assert limit.delay(1, 100.0) > 0
    now, sent = 0.0, 0
    limit = RateLimit(1000, 500)
    for _ in range(100):
        now += limit.delay(77, now)
        sent += 77
    assert sent - 500 == pytest.approx(1000 * now, rel=0.02)
    with pytest.raises(ConfigError, match="bytes_per_second must be positive"):
        RateLimit(0, 1)
    with pytest.raises(ConfigError, match="burst_bytes must be positive"):
        RateLimit(1, 0)
    with pytest.raises(ConfigError, match="chunk_bytes must lie in"):
        SnapshotStore(MemFs(), 1, 1, SplitMix64(1), 0)
