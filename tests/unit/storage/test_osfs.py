"""The real file system: what it refuses, how it syncs, and the log on it."""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from raftly.errors import Corruption, DirectoryInUse, StorageError, SyncFailed
from raftly.storage import osfs as osfs_module
from raftly.storage.aio import HASTY, AioSync
from raftly.storage.items import EntriesItem, Item, SnapshotItem
from raftly.storage.osfs import OsFs, SyncMode
from tests.unit.storage.kit import Model, apply, entries, open_store, read_back, run, snapshot

MODES = [SyncMode.AIO, SyncMode.THREAD, SyncMode.INLINE]


@pytest.mark.parametrize("mode", MODES)
def test_the_log_on_a_real_disk(tmp_path: Path, mode: SyncMode) -> None:
    async def work() -> None:
        fs = OsFs(tmp_path / "deep" / "node1", mode)
        store = open_store(fs)
        model: Model = {}
        for first in range(1, 40, 2):
            items: list[Item] = [EntriesItem(1, entries(first, 2, 1, 300)), EntriesItem(2, entries(first, 2, 3, 10))]
            await store.commit(items)
            model = apply(model, items)
        await store.commit([SnapshotItem(1, snapshot(30), keeps_entries=True)])
        model = apply(model, [SnapshotItem(1, snapshot(30), keeps_entries=True)])
        while store.reclaim_pending:
            await store.commit([])
        assert read_back(store) == model
        store.close()
        store = open_store(fs)
        assert read_back(store) == model
        store.close()
        fs.close()

    run(work())


@pytest.mark.parametrize("mode", MODES)
def test_several_syncs_at_once(tmp_path: Path, mode: SyncMode) -> None:
    async def work() -> None:
        fs = OsFs(tmp_path, mode)
        files = [fs.open(f"f{number}", create=True) for number in range(20)]
        for file in files:
            file.write(0, b"x" * 1000)
        await asyncio.gather(*(file.sync() for file in files), fs.sync_dir(""))
        for file in files:
            file.close()
        fs.close()

    run(work())


@pytest.mark.parametrize("mode", MODES)
def test_a_sync_that_fails_says_so(tmp_path: Path, mode: SyncMode) -> None:
    async def work() -> None:
        fs = OsFs(tmp_path, mode)
        file = fs.open("f", create=True)
        os.close(file._fd)
        with pytest.raises(SyncFailed, match="cannot sync f: "):
            await file.sync()
        with pytest.raises(SyncFailed):
            file.sync_now()
        with pytest.raises(SyncFailed, match="directory"):
            await fs.sync_dir("nowhere")
        file._fd = -1
        fs.close()

    run(work())


@pytest.mark.skipif(sys.platform != "linux", reason="AIO is Linux's")
def test_aio_does_not_lose_a_cancelled_wait(tmp_path: Path) -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        aio = AioSync(loop)
        fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
        os.write(fd, b"x" * 100_000)
        cancelled, kept = aio.sync(fd), aio.sync(fd)
        cancelled.cancel()
        await kept
        assert not aio._waiting or list(aio._waiting) == [1]
        os.close(fd)
        aio.close()
        assert not aio._waiting

    run(work())


@pytest.mark.skipif(sys.platform != "linux", reason="AIO is Linux's")
def test_a_disk_that_answers_is_waited_for_on_the_spot_and_a_slow_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        waits: list[int] = []
        answers = False
        call = AioSync._call

        def disk(aio: AioSync, number: int, *arguments: object) -> int:
            if number != aio._numbers[2]:
                return call(aio, number, *arguments)
            if arguments[1]:  # or it only looks, since the loop says that there is something
                waits.append(int(arguments[1]))  # type: ignore[call-overload]
            return call(aio, number, *arguments) if answers else 0  # 0: its patience ran out

        monkeypatch.setattr(AioSync, "_call", disk)
        aio = AioSync(asyncio.get_running_loop())
        fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
        futures = [aio.sync(fd) for _ in range(HASTY + 1)]
        assert waits == [1], "the first was waited for, and then no other"
        assert not any(future.done() for future in futures)
        answers = True
        while not (last := aio.sync(fd)).done():  # the next is waited for again
            futures.append(last)
            await asyncio.sleep(0)  # a disk that is slow today would be given more than it takes
        assert waits[1:] == [1] * (len(waits) - 1)
        await asyncio.gather(*futures)
        os.close(fd)
        aio.close()

    run(work())


@pytest.mark.skipif(sys.platform != "linux", reason="AIO is Linux's")
def test_a_sync_that_ends_while_another_is_told_of_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        call = AioSync._call
        looked = False

        def disk(aio: AioSync, number: int, *arguments: object) -> int:
            nonlocal looked
            if number != aio._numbers[2] or looked:
                return call(aio, number, *arguments)
            looked = True
            context, _, _, events, patience = arguments
            count = call(aio, number, context, 1, 1, events, patience)  # one of them has ended,
            ended = 0
            while ended < 2:  # and the other does before that one is told of
                with suppress(BlockingIOError):
                    ended += os.eventfd_read(aio._eventfd)
            os.eventfd_write(aio._eventfd, ended)
            return count

        monkeypatch.setattr(AioSync, "_call", disk)
        aio = AioSync(asyncio.get_running_loop())
        fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
        aio._hasty = 1
        snapshots, logs = aio.sync(fd), aio.sync(fd)
        async with asyncio.timeout(10):
            await asyncio.gather(snapshots, logs)
        os.close(fd)
        aio.close()

    run(work())


@pytest.mark.skipif(sys.platform != "linux", reason="AIO is Linux's")
def test_aio_tells_of_more_syncs_than_it_asks_for_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        aio = AioSync(asyncio.get_running_loop())
        fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
        count = 200
        aio._hasty = count
        futures = [aio.sync(fd) for _ in range(count)]
        async with asyncio.timeout(10):
            await asyncio.gather(*futures)
        os.close(fd)
        aio.close()

    run(work())


def test_without_aio_a_thread_takes_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(loop: object) -> AioSync:
        raise OSError("no such thing here")

    async def work() -> None:
        monkeypatch.setattr(osfs_module, "AioSync", absent)
        fs = OsFs(tmp_path)
        file = fs.open("f", create=True)
        await file.sync()
        assert fs.mode is SyncMode.THREAD
        await file.sync()
        file.close()
        fs.close()

    run(work())


def test_special_files_and_links_are_refused(tmp_path: Path) -> None:
    fs = OsFs(tmp_path)
    (tmp_path / "real").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dir").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "dir", "fifo", "absent"):
        with pytest.raises(StorageError, match=f"cannot open {name}"):
            fs.open(name)
    with pytest.raises(StorageError, match="cannot create real"):
        fs.open("real", create=True)
    with pytest.raises(StorageError, match="cannot create link"):
        fs.open("link", create=True)
    assert fs.open("real").read(0, 9) == b"x"


def test_a_segment_that_is_a_link_or_a_pipe_is_refused(tmp_path: Path) -> None:
    fs = OsFs(tmp_path)
    open_store(fs).close()
    segment = tmp_path / "wal" / "00000001.seg"
    segment.rename(tmp_path / "elsewhere")
    segment.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"cannot open wal/00000001\.seg"):
        open_store(fs)
    segment.unlink()
    os.mkfifo(segment)
    with pytest.raises(StorageError, match="not a regular file"):
        open_store(fs)
    segment.unlink()
    (tmp_path / "elsewhere").rename(segment)
    open_store(fs).close()


def test_a_file_too_large_for_a_segment_is_not_read(tmp_path: Path) -> None:
    fs = OsFs(tmp_path)
    open_store(fs).close()
    with (tmp_path / "wal" / "00000001.seg").open("r+b") as file:
        file.truncate(1 << 40)  # takes no space
    with pytest.raises(Corruption, match="no segment is as large"):
        open_store(fs)


def test_another_process_may_not_use_the_directory(tmp_path: Path) -> None:
    program = (
        "import sys; from raftly.storage import OsFs; lock = OsFs(sys.argv[1]).lock('');"
        " print('taken', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"taken\n"
        with pytest.raises(DirectoryInUse, match=f"{tmp_path.name} is in use by another process"):
            open_store(OsFs(tmp_path))
        other.kill()  # the kernel releases what a dead process held
        other.wait()
    open_store(OsFs(tmp_path)).close()
    (tmp_path / "LOCK").unlink()
    (tmp_path / "LOCK").symlink_to("elsewhere")
    with pytest.raises(StorageError, match="cannot lock"):
        OsFs(tmp_path).lock("")


def test_a_read_only_directory_is_told(tmp_path: Path) -> None:
    fs = OsFs(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot create"):
        open_store(fs)
    for work in (lambda: fs.list("x"), lambda: fs.rename("a", "b"), lambda: fs.remove("x/y")):
        with pytest.raises(StorageError):
            work()


def test_files_hold_what_was_written(tmp_path: Path) -> None:
    fs = OsFs(tmp_path)
    file = fs.open("f", create=True)
    file.write(10, b"abc")
    assert (file.size(), file.read(8, 100)) == (13, b"\0\0abc")
    file.truncate(20)
    file.truncate(11)
    assert file.read(0, 100) == bytes(10) + b"a"
    file.close()
    file.close()
    fs.rename("f", "g")
    assert fs.list("") == ["g"]
    assert fs.exists("g")
    assert not fs.exists("f")
    fs.remove("g")
    fs.remove("g")
    assert fs.list("") == []
    assert fs.free_bytes("") > 0
