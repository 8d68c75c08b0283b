"""The file system that loses power: what was synced stays, of the rest anything a disk could leave."""

import asyncio

import pytest

from raftly.base.rand import SplitMix64
from raftly.errors import DirectoryInUse, DiskFull, StorageError, SyncFailed
from raftly.testing.mem_inode import SECTOR_BYTES
from raftly.testing.memfs import MemFs


def outcomes(fs: MemFs, path: str = "f", count_max: int = 1000) -> set[bytes | None]:
    return {
        after.content(path) if after.exists(path) else None for after in fs.outcomes(SplitMix64(1), count_max=count_max)
    }


def durable(content: bytes = b"") -> MemFs:
    fs = MemFs()
    fs.put("f", content)
    return fs


def test_what_was_synced_is_there_in_every_outcome() -> None:
    fs = durable()
    file = fs.open("f")
    file.write(0, b"kept")
    file.sync_now()
    assert fs.outcome_count() == 1
    assert outcomes(fs) == {b"kept"}


def test_each_sector_is_lost_or_kept_by_itself() -> None:
    old, new = b"o" * SECTOR_BYTES, b"n" * SECTOR_BYTES
    fs = durable(old * 2)
    fs.open("f").write(0, new * 2)
    assert fs.outcome_count() == 4
    assert outcomes(fs) == {old + old, old + new, new + old, new + new}


def test_a_sector_written_twice_may_keep_the_first_version() -> None:
    fs = durable(b"0")
    file = fs.open("f")
    file.write(0, b"1")
    file.write(0, b"2")
    assert outcomes(fs) == {b"0", b"1", b"2"}


def test_a_write_across_an_edge_is_torn_at_the_edge() -> None:
    fs = durable(b"o" * 1024)
    fs.open("f").write(510, b"nnnn")
    whole = bytearray(b"o" * 1024)
    both = whole[:510] + b"nnnn" + whole[514:]
    first = both[:512] + whole[512:]
    second = whole[:512] + both[512:]
    assert outcomes(fs) == {bytes(whole), bytes(both), bytes(first), bytes(second)}


def test_length_and_bytes_of_a_growing_file_are_kept_apart() -> None:
    fs = durable()
    fs.open("f").write(0, b"abc")
    assert outcomes(fs) == {b"", b"abc", bytes(3)}


def test_a_file_growing_by_much_may_be_caught_on_the_way() -> None:
    fs = durable()
    fs.open("f").write(0, bytes(4 * SECTOR_BYTES))
    assert {len(left or b"") for left in outcomes(fs)} == {0, SECTOR_BYTES, 2 * SECTOR_BYTES, 4 * SECTOR_BYTES}


def test_a_cut_file_may_have_its_old_length() -> None:
    fs = durable(b"abcdef")
    fs.open("f").truncate(2)
    assert outcomes(fs) == {b"abcdef", b"ab", b"ab\0\0\0\0"}


def test_a_name_needs_the_sync_of_its_directory() -> None:
    fs = MemFs()
    file = fs.open("f", create=True)
    file.write(0, b"x")
    file.sync_now()
    assert outcomes(fs) == {None, b"x"}
    fs.sync_dir_now("")
    assert outcomes(fs) == {b"x"}


def test_renames_and_removes_without_sync_may_be_undone_each_by_itself() -> None:
    fs = MemFs()
    fs.put("a", b"1")
    fs.put("b", b"2")
    fs.put("c", b"3")
    fs.rename("a", "b")
    fs.remove("c")
    found = {tuple((name, after.content(name)) for name in after.list("")) for after in fs.outcomes(SplitMix64(1), 99)}
    renamed, before = (("b", b"1"),), (("a", b"1"), ("b", b"2"))
    assert found == {renamed, before, (*renamed, ("c", b"3")), (*before, ("c", b"3"))}


def test_a_lost_directory_takes_what_is_in_it() -> None:
    fs = MemFs()
    fs.make_dir("d")
    fs.open("d/f", create=True).sync_now()
    fs.sync_dir_now("d")
    assert {after.exists("d/f") for after in fs.outcomes(SplitMix64(1), 99)} == {False, True}
    fs.sync_dir_now("")
    assert {after.exists("d/f") for after in fs.outcomes(SplitMix64(1), 99)} == {True}


def test_a_sync_covers_what_was_written_before_it_and_nothing_later() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def wait(path: str) -> None:
            assert path == "f"
            await gate.wait()

        fs = durable(b"0" * 2 * SECTOR_BYTES)
        fs.on_sync = wait
        file = fs.open("f")
        file.write(0, b"1")
        pending = asyncio.ensure_future(file.sync())
        await asyncio.sleep(0)
        file.write(SECTOR_BYTES, b"2")
        assert fs.outcome_count() == 4  # it has not come back yet
        gate.set()
        await pending
        assert {(left or b"")[0] for left in outcomes(fs)} == {ord("1")}
        assert fs.outcome_count() == 2

    asyncio.run(run())


def failing(fs: MemFs) -> None:
    """The next sync fails."""

    async def fail(path: str) -> None:
        fs.on_sync = None
        raise SyncFailed(path)

    fs.on_sync = fail


def test_after_a_sync_that_failed_the_bytes_are_read_and_no_sync_saves_them() -> None:
    async def run() -> None:
        fs = durable(b"old")
        file = fs.open("f")
        file.write(0, b"new and longer")
        failing(fs)
        with pytest.raises(SyncFailed):
            await file.sync()
        await file.sync()
        fs.open("f").sync_now()
        assert fs.open("f").read(0, 99) == b"new and longer"
        assert outcomes(fs) == {b"old"}

    asyncio.run(run())


def test_a_write_takes_the_sector_along_that_a_failed_sync_left_and_no_other() -> None:
    async def run() -> None:
        fs = durable(b"o" * 2 * SECTOR_BYTES)
        file = fs.open("f")
        file.write(0, b"n" * 2 * SECTOR_BYTES)
        failing(fs)
        with pytest.raises(SyncFailed):
            await file.sync()
        file.write(10, b"!")
        file.sync_now()
        rest = b"o" * SECTOR_BYTES
        assert outcomes(fs) == {b"n" * 10 + b"!" + b"n" * (SECTOR_BYTES - 11) + rest}
        file.write(SECTOR_BYTES, b"s" * SECTOR_BYTES)
        file.sync_now()
        assert {(left or b"")[SECTOR_BYTES:] for left in outcomes(fs)} == {b"s" * SECTOR_BYTES}

    asyncio.run(run())


def test_what_is_written_while_a_sync_fails_is_saved_by_the_next() -> None:
    async def run() -> None:
        fs = durable(b"o" * 3 * SECTOR_BYTES)
        file = fs.open("f")
        file.truncate(3 * SECTOR_BYTES - 1)  # no page: it is saved too
        file.write(0, b"1" * 2 * SECTOR_BYTES)
        failing(fs)
        pending = file.sync()
        file.write(2 * SECTOR_BYTES - 1, b"22")  # the second sector is written again, whole
        with pytest.raises(SyncFailed):
            await pending
        file.sync_now()
        second = b"1" * (SECTOR_BYTES - 1) + b"2"
        assert outcomes(fs) == {b"o" * SECTOR_BYTES + second + b"2" + b"o" * (SECTOR_BYTES - 2)}

    asyncio.run(run())


def test_outcomes_beyond_the_bound_are_drawn_and_hold_both_extremes() -> None:
    fs = durable(b"o" * 64 * SECTOR_BYTES)
    fs.open("f").write(0, b"n" * 64 * SECTOR_BYTES)
    found = [after.content("f") for after in fs.outcomes(SplitMix64(7), 50)]
    assert len(found) == 50
    assert found[0] == b"o" * 64 * SECTOR_BYTES
    assert found[1] == b"n" * 64 * SECTOR_BYTES
    assert len(set(found)) > 20
    assert found == [after.content("f") for after in fs.outcomes(SplitMix64(7), 50)]


def test_a_crash_is_drawn_from_the_seed_and_the_crashed_system_is_dead() -> None:
    def crashed(seed: int) -> bytes:
        fs = durable(b"o" * 8 * SECTOR_BYTES)
        file = fs.open("f")
        file.write(0, b"n" * 8 * SECTOR_BYTES)
        after = fs.crash(SplitMix64(seed))
        with pytest.raises(StorageError, match="crashed"):
            file.write(0, b"x")
        with pytest.raises(StorageError, match="crashed"):
            fs.list("")
        return after.content("f")

    assert crashed(3) == crashed(3)
    assert len({crashed(seed) for seed in range(40)}) > 5


def test_a_full_disk_takes_a_part_and_more_when_space_returns() -> None:
    fs = durable(b"12")
    fs.capacity_bytes = 6
    file = fs.open("f")
    with pytest.raises(DiskFull):
        file.write(2, b"345678")
    assert fs.content("f") == b"123456"
    file.write(0, b"abcdef")  # no growth
    assert fs.free_bytes("") == 0
    fs.capacity_bytes = 100
    file.write(6, b"gh")
    assert fs.content("f") == b"abcdefgh"


def test_steps_are_told_before_anything_changes() -> None:
    seen: list[tuple[str, str, int]] = []
    fs = durable()
    fs.on_step = lambda operation, path: seen.append((operation, path, len(fs.content("f"))))
    file = fs.open("f")
    file.write(0, b"x")
    file.sync_now()
    fs.sync_dir_now("")
    assert seen == [("write", "f", 0), ("sync", "f", 1), ("sync_dir", "", 1)]
    assert fs.steps == 3


def test_a_directory_is_locked_once() -> None:
    fs = MemFs()
    lock = fs.lock("")
    with pytest.raises(DirectoryInUse):
        fs.lock("")
    lock.release()
    fs.lock("")


def test_what_is_not_there_is_refused() -> None:
    fs = durable()
    with pytest.raises(StorageError, match="no such file"):
        fs.open("g")
    with pytest.raises(StorageError, match="it exists"):
        fs.open("f", create=True)
    with pytest.raises(StorageError, match="its directory does not"):
        fs.open("d/f", create=True)
    with pytest.raises(StorageError, match="no such"):
        fs.rename("g", "h")
    with pytest.raises(StorageError, match="no such directory"):
        fs.list("d")
    fs.remove("g")
    assert fs.copy().list("") == ["f"]
