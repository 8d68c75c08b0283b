"""Region: a range of keys, who holds it, and how often either has changed.

    region       u8 version 1   u64 id   u64 conf_ver   u64 version   u32 size, start key   u32 size, end key
                 u32 count, that many peers
    peer         u64 id   u64 store id   u8 role

Little-endian. Names and role numbers are those of metapb.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import Final, TypeAlias, final

from raftly.errors import DecodeError

RegionId: TypeAlias = int
PeerId: TypeAlias = int
StoreId: TypeAlias = int

_VERSION: Final = 1
_WHAT: Final = "region"
_HEAD: Final = Struct("<BQQQ")
_SIZE: Final = Struct("<I")
_PEER: Final = Struct("<QQB")


class PeerRole(IntEnum):
    """What a peer is in its group; the middle two exist while a group is joint."""

    VOTER = 0
    LEARNER = 1
    INCOMING_VOTER = 2
    DEMOTING_VOTER = 3


@final
@dataclass(frozen=True, slots=True, order=True)
class RegionEpoch:
    """How often a region has changed. Neither number ever goes back.

    `conf_ver` counts changes of the peers; `version` changes of the range: every split and merge.
    """

    conf_ver: int = 1
    version: int = 1

    def is_older_than(self, other: RegionEpoch) -> bool:
        """Has `other` seen a change that this one has not?"""
        return self.conf_ver < other.conf_ver or self.version < other.version


@final
@dataclass(frozen=True, slots=True)
class Peer:
    """One replica of a region. `id` is new for every replica that was ever made, `store_id` is where it lives."""

    id: PeerId
    store_id: StoreId
    role: PeerRole = PeerRole.VOTER

    @property
    def is_learner(self) -> bool:
        """Does it have no vote, now or when the joint state is left?"""
        return self.role is PeerRole.LEARNER


@final
@dataclass(frozen=True, slots=True)
class Region:
    """The keys in [start_key, end_key); an empty end key has nothing above it."""

    id: RegionId
    start_key: bytes = b""
    end_key: bytes = b""
    epoch: RegionEpoch = RegionEpoch()
    peers: tuple[Peer, ...] = ()

    def contains(self, key: bytes) -> bool:
        """Is this key in the range?"""
        return self.start_key <= key and (not self.end_key or key < self.end_key)

    def contains_end(self, key: bytes) -> bool:
        """Could a range that begins here end before this key? An empty one has nothing above it."""
        if not key:
            return not self.end_key
        return self.start_key < key and (not self.end_key or key <= self.end_key)

    def overlaps(self, other: Region) -> bool:
        """Do both hold some key?"""
        return (not other.end_key or self.start_key < other.end_key) and (
            not self.end_key or other.start_key < self.end_key
        )

    def peer(self, peer_id: PeerId) -> Peer | None:
        """The peer with this id."""
        for peer in self.peers:
            if peer.id == peer_id:
                return peer
        return None

    def peer_on(self, store_id: StoreId) -> Peer | None:
        """The peer on this store; a store never has two."""
        for peer in self.peers:
            if peer.store_id == store_id:
                return peer
        return None


def encode_region(region: Region) -> bytes:
    """As drawn above."""
    parts = [_HEAD.pack(_VERSION, region.id, region.epoch.conf_ver, region.epoch.version)]
    for key in (region.start_key, region.end_key):
        parts += (_SIZE.pack(len(key)), key)
    parts.append(_SIZE.pack(len(region.peers)))
    parts += [_PEER.pack(peer.id, peer.store_id, peer.role) for peer in region.peers]
    return b"".join(parts)


def decode_region(buf: bytes, offset: int = 0) -> tuple[Region, int]:
    """The region at `offset`, and where it ends.

    Raises:
        DecodeError: unknown version, truncated, or a role that does not exist.
    """
    try:
        version, id_, conf_ver, range_version = _HEAD.unpack_from(buf, offset)
        if version != _VERSION:
            raise DecodeError(_WHAT, offset, f"version {version} is not known")
        offset += _HEAD.size
        start_key, offset = _decode_key(buf, offset)
        end_key, offset = _decode_key(buf, offset)
        (count,) = _SIZE.unpack_from(buf, offset)
        offset += _SIZE.size
        if count > (len(buf) - offset) // _PEER.size:
            raise DecodeError(_WHAT, offset, f"{count} peers do not fit")
        peers = []
        for _ in range(count):
            peer_id, store_id, role = _PEER.unpack_from(buf, offset)
            peers.append(Peer(peer_id, store_id, PeerRole(role)))
            offset += _PEER.size
    except (struct_error, ValueError) as error:
        raise DecodeError(_WHAT, offset, str(error)) from None
    return Region(id_, start_key, end_key, RegionEpoch(conf_ver, range_version), tuple(peers)), offset


def _decode_key(buf: bytes, offset: int) -> tuple[bytes, int]:
    (size,) = _SIZE.unpack_from(buf, offset)
    start = offset + _SIZE.size
    stop = start + size
    if stop > len(buf):
        raise DecodeError(_WHAT, offset, f"a key of {size} bytes does not fit")
    return buf[start:stop], stop
