"""Stores: what the cluster decided about each, and when it was heard last.

    UP            heard a moment ago
    DISCONNECTED  not heard for a while: gets nothing new, keeps what it has
    DOWN          not heard for long: what lies on it is copied elsewhere
    OFFLINE       to be drained, whether it is heard or not
    TOMBSTONE     drained, gone for good

Times are seconds of a clock that the caller reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import final

from raftly.base.heartbeats import StoreStats
from raftly.base.region import StoreId
from raftly.base.store_meta import VALUE_LAYOUT, StoreMeta, StoreState
from raftly.pd.config import ScheduleConfig


class Liveness(Enum):
    """See the module."""

    UP = "up"
    DISCONNECTED = "disconnected"
    DOWN = "down"
    OFFLINE = "offline"
    TOMBSTONE = "tombstone"


@final
@dataclass(slots=True)
class StoreInfo:
    """One store. Times are seconds of the clock that callers pass."""

    meta: StoreMeta
    stats: StoreStats
    heard_s: float

    @property
    def id(self) -> StoreId:
        """Its id."""
        return self.meta.id

    def liveness(self, config: ScheduleConfig, now_s: float) -> Liveness:
        """How it fares."""
        if self.meta.state is StoreState.TOMBSTONE:
            return Liveness.TOMBSTONE
        if self.meta.state is StoreState.OFFLINE:
            return Liveness.OFFLINE
        silent_s = now_s - self.heard_s
        if silent_s > config.down_after_s:
            return Liveness.DOWN
        return Liveness.DISCONNECTED if silent_s > config.disconnected_after_s else Liveness.UP

    def is_low_on_space(self, config: ScheduleConfig) -> bool:
        """Is it fuller than a store should be that gets more?"""
        stats = self.stats
        return stats.capacity > 0 and stats.capacity - stats.available > config.low_space_ratio * stats.capacity


@final
class Stores:
    """All stores that are known, by id."""

    def __init__(self) -> None:
        self._stores: dict[StoreId, StoreInfo] = {}
        self.has_labels = False  # does any of them say where it stands?

    def __len__(self) -> int:
        return len(self._stores)

    def __iter__(self) -> Iterator[StoreInfo]:
        """All, ids ascending."""
        return (self._stores[id_] for id_ in sorted(self._stores))

    def get(self, store_id: StoreId) -> StoreInfo | None:
        """The store with this id."""
        return self._stores.get(store_id)

    def put(self, meta: StoreMeta, now_s: float) -> None:
        """What the cluster decided. A store that was not known counts as heard, so that it has time to speak."""
        known = self._stores.get(meta.id)
        if known is None:
            self._stores[meta.id] = StoreInfo(meta, StoreStats(meta.id), now_s)
        else:
            known.meta = meta
        self.has_labels = self.has_labels or any(label != VALUE_LAYOUT for label in meta.labels)

    def keep(self, metas: Mapping[StoreId, StoreMeta], now_s: float) -> None:
        """These are all there are."""
        for store_id in [store_id for store_id in self._stores if store_id not in metas]:
            del self._stores[store_id]
        for store_id in sorted(metas):
            self.put(metas[store_id], now_s)

    def on_heartbeat(self, stats: StoreStats, now_s: float) -> bool:
        """Was it a store that belongs here?"""
        store = self._stores.get(stats.store_id)
        if store is None or store.meta.state is StoreState.TOMBSTONE:
            return False
        store.stats = stats
        store.heard_s = now_s
        return True
