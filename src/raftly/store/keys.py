"""Keys in the engine. Users' keys carry a prefix in the data families; a store's own state has a family to itself.

    default, lock, write    "z" user key
    raft                    0x01                     the store's ident
                            0x02 u64 region id       region state     (big-endian: regions in order of their ids)
                            0x03 u64 region id       apply state
                            0x04                     the first region, as long as the cluster has not begun with it
                            0x05                     how values are laid out (server.layout)
                            0x06 u64 region id       merge state

The prefix leaves room beside users' keys, as in TiKV, and an end for the range of all of them.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from raftly.base.region import RegionId

DATA_PREFIX: Final = b"z"
DATA_END: Final = b"{"  # above every data key
IDENT_KEY: Final = b"\x01"
PREPARED_KEY: Final = b"\x04"
LAYOUT_KEY: Final = b"\x05"
REGION_STATE_LO: Final = b"\x02"
REGION_STATE_HI: Final = b"\x03"

_ID: Final = Struct(">BQ")


def data_key(key: bytes) -> bytes:
    """Where a user's key is."""
    return DATA_PREFIX + key


def data_end_key(key: bytes) -> bytes:
    """Where a range of users' keys ends; an empty key has nothing above it."""
    return DATA_PREFIX + key if key else DATA_END


def region_state_key(region_id: RegionId) -> bytes:
    """Where the state of a region is."""
    return _ID.pack(2, region_id)


def apply_state_key(region_id: RegionId) -> bytes:
    """Where a region's applied index is."""
    return _ID.pack(3, region_id)


def merge_state_key(region_id: RegionId) -> bytes:
    """Where is what a region's peer needs to know for merges."""
    return _ID.pack(6, region_id)
