"""The file system that fails by rule."""

import asyncio

import pytest

from raftly.base.rand import SplitMix64
from raftly.errors import DiskFull, StorageError, SyncFailed
from raftly.testing.faultfs import Effect, Fault, FaultFs
from raftly.testing.memfs import MemFs


def system() -> tuple[FaultFs, MemFs]:
    inner = MemFs()
    inner.put("d/f", b"")
    return FaultFs(inner, SplitMix64(5)), inner


def test_without_rules_it_is_transparent() -> None:
    fs, inner = system()
    file = fs.open("d/f")
    file.write(0, b"abc")
    file.sync_now()
    assert (file.read(0, 9), file.size(), fs.list("d"), fs.exists("d/f")) == (b"abc", 3, ["f"], True)
    assert inner.outcome_count() == 1


def test_rules_count_and_fit_paths() -> None:
    fs, _ = system()
    fault = fs.add(Fault("write", Effect.IO_ERROR, path="d/", after=1, times=2))
    file = fs.open("d/f")
    file.write(0, b"1")
    for _ in range(2):
        with pytest.raises(StorageError, match="cannot write d/f: input/output error"):
            file.write(0, b"2")
    file.write(0, b"3")
    assert fault.struck == 2
    fs.add(Fault("write", Effect.IO_ERROR, path="elsewhere"))
    file.write(0, b"4")
    assert file.read(0, 1) == b"4"


def test_full_disk_and_short_writes() -> None:
    fs, inner = system()
    file = fs.open("d/f")
    fs.add(Fault("write", Effect.DISK_FULL))
    with pytest.raises(DiskFull):
        file.write(0, b"abcd")
    assert inner.content("d/f") == b""
    fs.add(Fault("write", Effect.SHORT))
    with pytest.raises(DiskFull):
        file.write(0, b"abcd")
    assert inner.content("d/f") == b"ab"
    fs.add(Fault("open", Effect.DISK_FULL))
    with pytest.raises(DiskFull):
        fs.open("d/g", create=True)


def test_wrong_bytes_without_an_error() -> None:
    fs, inner = system()
    file = fs.open("d/f")
    fs.add(Fault("write", Effect.TORN))
    file.write(500, b"x" * 1000)
    assert inner.content("d/f") == bytes(500) + b"x" * 12 + bytes(512) + b"x" * 476
    fs.add(Fault("write", Effect.FLIP_BIT))
    file.write(0, bytes(512))
    assert sum(byte.bit_count() for byte in inner.content("d/f")[:500]) in (0, 1)
    fs.add(Fault("read", Effect.FLIP_BIT))
    assert sum((a ^ b).bit_count() for a, b in zip(file.read(0, 600), inner.content("d/f"), strict=False)) == 1
    fs.add(Fault("write", Effect.LOST))
    file.write(0, b"lost")
    assert not inner.content("d/f").startswith(b"lost")


def test_syncs_fail_stall_or_lie() -> None:
    async def run() -> None:
        fs, inner = system()
        file = fs.open("d/f")
        file.write(0, b"x")
        fs.add(Fault("sync", Effect.IO_ERROR))
        with pytest.raises(SyncFailed):
            await file.sync()
        file.write(0, b"x")
        fs.add(Fault("sync", Effect.LOST))
        await file.sync()
        assert inner.outcome_count() > 1
        stall = fs.add(Fault("sync", Effect.STALL))
        waiting = asyncio.ensure_future(file.sync())
        await asyncio.sleep(0)
        assert not waiting.done()
        stall.go_on.set()
        await waiting
        assert inner.outcome_count() == 1
        fs.add(Fault("sync_dir", Effect.IO_ERROR, times=2))
        with pytest.raises(SyncFailed):
            await fs.sync_dir("d")
        with pytest.raises(SyncFailed):
            fs.sync_dir_now("d")
        await fs.sync_dir("d")

    asyncio.run(run())


def test_a_sync_that_failed_is_not_made_up_for_by_the_next() -> None:
    async def run() -> None:
        fs, inner = system()
        file = fs.open("d/f")
        fs.add(Fault("sync", Effect.IO_ERROR, times=2))
        file.write(0, b"x")
        with pytest.raises(SyncFailed):
            await file.sync()
        file.write(512, b"y")
        with pytest.raises(SyncFailed):
            file.sync_now()
        await file.sync()
        assert file.read(0, 1) + file.read(512, 1) == b"xy"
        assert {after.content("d/f") for after in inner.outcomes(SplitMix64(1), 99)} == {b""}

    asyncio.run(run())


def test_chance_is_drawn_from_the_seed() -> None:
    def struck(seed: int) -> list[bool]:
        inner = MemFs()
        inner.put("f", b"x")
        fs = FaultFs(inner, SplitMix64(seed))
        fs.add(Fault("read", Effect.FLIP_BIT, chance=(1, 4), times=None))
        file = fs.open("f")
        return [file.read(0, 1) != b"x" for _ in range(200)]

    assert struck(1) == struck(1)
    assert 20 < sum(struck(1)) < 90
    assert struck(1) != struck(2)
