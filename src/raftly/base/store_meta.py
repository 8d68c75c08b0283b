"""StoreMeta: what a store says of itself when it joins a cluster, and what the cluster has decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, final

from raftly.base.region import StoreId

VALUE_LAYOUT: Final = "value-layout"
"""The label by which a store tells how its values are laid out: "1", each ends with an expiry; "0", none does."""


class StoreState(IntEnum):
    """What the cluster has decided. Names and numbers are those of metapb."""

    UP = 0
    OFFLINE = 1  # to be drained: its peers move elsewhere
    TOMBSTONE = 2  # drained and gone for good; its id is not used again


@final
@dataclass(frozen=True, slots=True)
class StoreMeta:
    """Who a store is and where. Addresses are "host:port", as others reach them; an empty one is not served."""

    id: StoreId
    address: str = ""
    """For clients."""
    peer_address: str = ""
    """For the raft messages of other stores."""
    status_address: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Where it stands, such as {"zone": "z1", "host": "h1"}: copies of a region are kept apart by them."""
    state: StoreState = StoreState.UP
    version: str = ""
