"""Identity: whose a data directory is, and that it is that directory and no copy.

The file `IDENTITY`, little-endian, 62 bytes:

     0  8s   "RAFTLYID"
     8  u16  version, 1
    10  u64  cluster id
    18  u64  node id
    26  u64  origin: a digest of the group's first members; 0 while it is not known
    34  u64  directory: drawn when the directory was begun, so that one that was begun anew is told from it
    42  u64  inode of this file: a copy has another
    50  u64  reserved, 0
    58  u32  CRC-32 of the bytes before

The file `PEERS` is what the others' directories were when they first came, so that one that lost its directory, and
with it what it promised, is known for it also by a node that was started again since:

     0  8s   "RAFTLYPD"
     8  u16  version, 1
    10  u32  how many
    14  for each, ascending: u64 node id, u64 directory
        u32  CRC-32 of the bytes before

Both are written beside and renamed into place. Two processes that run on two copies of one directory are one node with
two minds, which may vote twice: so a copy is refused, until somebody says that it is the only one. What keeps its
inode, as a disk that is cloned whole, is not noticed here, but by the nodes that both of them talk to.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from struct import Struct
from typing import Final, final

from raftly.base.rand import RandomSource
from raftly.base.types import NodeId
from raftly.errors import Corruption, DirectoryCopied, StorageError
from raftly.storage.vfs import File, FileSystem

NAME: Final = "IDENTITY"
_MAGIC: Final = b"RAFTLYID"
_VERSION: Final = 1
_FORM: Final = Struct("<8sHQQQQQQ")
_CRC: Final = Struct("<I")
PEERS: Final = "PEERS"
_PEERS_MAGIC: Final = b"RAFTLYPD"
_PEERS_HEAD: Final = Struct("<8sHI")
_PEER: Final = Struct("<QQ")


@final
@dataclass(frozen=True, slots=True)
class DirectoryIdentity:
    """What the file says."""

    cluster_id: int
    node_id: NodeId
    origin: int
    directory: int
    inode: int = 0

    def encode(self) -> bytes:
        """The whole file."""
        body = _FORM.pack(_MAGIC, _VERSION, self.cluster_id, self.node_id, self.origin, self.directory, self.inode, 0)
        return body + _CRC.pack(zlib.crc32(body))


def origin_of(cluster_id: int, members: Sequence[NodeId]) -> int:
    """The origin of a group that began with these members; never 0. SHA-256 of the ids as u64, cut to 63 bits."""
    digest = hashlib.sha256(b"".join(id_.to_bytes(8, "little") for id_ in (cluster_id, *sorted(members))))
    return int.from_bytes(digest.digest()[:8], "little") >> 1 or 1


def read_identity(fs: FileSystem, cluster_id: int, node_id: NodeId, *, moved: bool) -> DirectoryIdentity | None:
    """Whose the directory is; None for a new one. The directory must be locked.

    Raises:
        DirectoryCopied: it is a copy, and nobody said that it was `moved`.
        Corruption: the file is damaged.
        StorageError: the directory is another node's, or of a later version; or the disk could not read.
    """
    if not fs.exists(NAME):
        return None
    file = fs.open(NAME)
    try:
        data = file.read(0, _FORM.size + _CRC.size)
        inode = file.inode()
    finally:
        file.close()
    if len(data) < _FORM.size + _CRC.size or data[:8] != _MAGIC:
        raise Corruption(NAME, 0, "this is no identity of a data directory")
    if _CRC.unpack_from(data, _FORM.size)[0] != zlib.crc32(data[: _FORM.size]):
        raise Corruption(NAME, _FORM.size, "the checksum does not match")
    _, version, cluster, node, origin, directory, written, _ = _FORM.unpack_from(data)
    if version != _VERSION:
        raise StorageError(f"{NAME} is of version {version}, this release knows version {_VERSION}")
    if (cluster, node) != (cluster_id, node_id):
        raise StorageError(
            f"the data directory belongs to node {node} of cluster {cluster}, and this is node {node_id} of cluster "
            f"{cluster_id}: give each node a directory of its own"
        )
    if written != inode and not moved:
        raise DirectoryCopied(node_id)
    return DirectoryIdentity(cluster, node, origin, directory, inode if written == inode else 0)


def new_identity(cluster_id: int, node_id: NodeId, origin: int, random: RandomSource) -> DirectoryIdentity:
    """For a directory that has none; it is still to be written."""
    return DirectoryIdentity(cluster_id, node_id, origin, random.below((1 << 63) - 1) + 1)


async def write_identity(fs: FileSystem, identity: DirectoryIdentity) -> DirectoryIdentity:
    """Make it durable, in place of what was there; as it was written.

    Raises:
        StorageError: the disk could not.
    """
    written = identity

    def content(file: File) -> bytes:
        nonlocal written
        written = replace(identity, inode=file.inode())
        return written.encode()

    await _replace_file(fs, NAME, content)
    return written


def read_peers(fs: FileSystem) -> dict[NodeId, int]:
    """The directories that other nodes came with.

    Raises:
        Corruption: the file is damaged.
        StorageError: it is of a later version, or the disk could not read.
    """
    if not fs.exists(PEERS):
        return {}
    file = fs.open(PEERS)
    try:
        data = file.read(0, file.size())
    finally:
        file.close()
    end = len(data) - _CRC.size
    if end < _PEERS_HEAD.size or data[:8] != _PEERS_MAGIC:
        raise Corruption(PEERS, 0, "these are no directories of other nodes")
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise Corruption(PEERS, end, "the checksum does not match")
    _, version, count = _PEERS_HEAD.unpack_from(data)
    if version != _VERSION:
        raise StorageError(f"{PEERS} is of version {version}, this release knows version {_VERSION}")
    if _PEERS_HEAD.size + count * _PEER.size != end:
        raise Corruption(PEERS, 10, f"{count} nodes do not fit its size")
    return dict(_PEER.iter_unpack(data[_PEERS_HEAD.size : end]))


async def write_peers(fs: FileSystem, directories: Mapping[NodeId, int]) -> None:
    """Make them durable, in place of what was there.

    Raises:
        StorageError: the disk could not.
    """
    body = _PEERS_HEAD.pack(_PEERS_MAGIC, _VERSION, len(directories))
    body += b"".join(_PEER.pack(node, directory) for node, directory in sorted(directories.items()))
    await _replace_file(fs, PEERS, lambda _: body + _CRC.pack(zlib.crc32(body)))


async def _replace_file(fs: FileSystem, name: str, content: Callable[[File], bytes]) -> None:
    unfinished = f"{name}.new"
    fs.remove(unfinished)
    file = fs.open(unfinished, create=True)
    try:
        file.write(0, content(file))
        await file.sync()
    finally:
        file.close()
    fs.rename(unfinished, name)
    await fs.sync_dir("")
