"""Whose a data directory is: written, read, refused. On a real file system, since a copy is what it is about."""

import asyncio
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.rand import SplitMix64
from raftly.errors import Corruption, DirectoryCopied, StorageError
from raftly.storage.identity import (
    NAME,
    DirectoryIdentity,
    new_identity,
    origin_of,
    read_identity,
    read_peers,
    write_identity,
    write_peers,
)
from raftly.storage.osfs import OsFs, SyncMode
from raftly.testing.memfs import MemFs

RANDOM = SplitMix64(1)


def write(fs: OsFs | MemFs, identity: DirectoryIdentity) -> DirectoryIdentity:
    return asyncio.run(write_identity(fs, identity))


def test_the_bytes_of_version_1_stay() -> None:
    assert DirectoryIdentity(1, 2, 3, 4, 5).encode().hex() == (
        "524146544c594944010001000000000000000200000000000000030000000000000004000000000000000500000000000000"
        "0000000000000000ed07936c"
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    fs = OsFs(tmp_path, SyncMode.INLINE)
    assert read_identity(fs, 7, 1, moved=False) is None
    written = write(fs, new_identity(7, 1, 0, RANDOM))
    assert written.directory
    assert read_identity(fs, 7, 1, moved=False) == written
    learned = write(fs, DirectoryIdentity(7, 1, 99, written.directory))
    assert read_identity(fs, 7, 1, moved=False) == learned


def test_a_copy_is_refused_unless_it_was_moved(tmp_path: Path) -> None:
    fs = OsFs(tmp_path / "one", SyncMode.INLINE)
    fs.make_dir("")
    written = write(fs, new_identity(7, 1, 5, RANDOM))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    copy = OsFs(tmp_path / "two", SyncMode.INLINE)
    with pytest.raises(DirectoryCopied, match="is a copy of that of node 1") as caught:
        read_identity(copy, 7, 1, moved=False)
    assert "moved=True" in str(caught.value)
    taken = read_identity(copy, 7, 1, moved=True)
    assert taken is not None
    assert (taken.origin, taken.directory, taken.inode) == (5, written.directory, 0)
    write(copy, taken)
    assert read_identity(copy, 7, 1, moved=False) is not None
    (tmp_path / "one").rename(tmp_path / "three")  # in one file system a move is no copy
    assert read_identity(OsFs(tmp_path / "three"), 7, 1, moved=False) == written


def test_another_nodes_directory_is_refused(tmp_path: Path) -> None:
    fs = OsFs(tmp_path, SyncMode.INLINE)
    write(fs, new_identity(7, 1, 0, RANDOM))
    for cluster, node in ((7, 2), (8, 1)):
        with pytest.raises(StorageError, match="belongs to node 1 of cluster 7"):
            read_identity(fs, cluster, node, moved=True)


@given(st.data())
def test_every_flipped_bit_and_every_cut_is_told(data: st.DataObject) -> None:
    fs = MemFs()
    write(fs, new_identity(7, 1, 0, RANDOM))
    content = bytearray(fs.content(NAME))
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    fs.put(NAME, bytes(content))
    with pytest.raises(Corruption):
        read_identity(fs, 7, 1, moved=True)


def crash_at(at: int) -> Callable[[str, str], None]:
    steps = itertools.count(1)

    def crash(_operation: str, _path: str) -> None:
        if next(steps) == at:
            raise StorageError("crash")

    return crash


def test_a_crash_leaves_the_old_or_the_new() -> None:
    old = DirectoryIdentity(7, 1, 0, 4)
    for at in range(1, 20):
        fs = MemFs()
        write(fs, old)
        fs.on_step = crash_at(at)
        try:
            write(fs, DirectoryIdentity(7, 1, 9, 4))
        except StorageError:
            fs.on_step = None
            for left in fs.outcomes(SplitMix64(at), 50):
                found = read_identity(left, 7, 1, moved=False)
                assert found is not None
                assert found.origin in (0, 9)
        else:
            assert at > 4
            return
    raise AssertionError("it never ended")


def test_an_origin_is_of_cluster_and_members() -> None:
    assert origin_of(1, (3, 1, 2)) == origin_of(1, (1, 2, 3))
    assert len({origin_of(1, (1, 2)), origin_of(2, (1, 2)), origin_of(1, (1, 2, 3)), origin_of(1, (12,))}) == 4
    assert 0 < origin_of(1, (1, 2, 3)) < 1 << 63


def test_the_directories_of_others_are_kept() -> None:
    fs = MemFs()

    async def main() -> None:
        assert read_peers(fs) == {}
        await write_peers(fs, {3: 1 << 63, 2: 7})
        await write_peers(fs, {3: 1 << 63, 2: 7, 9: 1})
        assert read_peers(fs) == {2: 7, 3: 1 << 63, 9: 1}
        assert "PEERS.new" not in fs.list("")

    asyncio.run(main())


def test_damaged_directories_of_others_are_refused_at_every_byte() -> None:
    fs = MemFs()
    asyncio.run(write_peers(fs, {2: 7}))
    file = fs.open("PEERS")
    sound = file.read(0, file.size())
    assert sound.hex() == "524146544c59504401000100000002000000000000000700000000000000aedadd82"
    for at in range(len(sound)):
        file.write(at, bytes([sound[at] ^ 1]))
        with pytest.raises(StorageError):
            read_peers(fs)
        file.write(at, sound[at : at + 1])
    assert read_peers(fs) == {2: 7}
