"""Placement: what the placement driver must not forget, as a replicated class.

Commands depend on nothing but the state and their arguments; they are few and small. Numbers are reserved in batches,
regions are written down when their place, their peers or their leader changed, many at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final, final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import PeerId, RegionId, StoreId, decode_region
from raftly.base.store_meta import VALUE_LAYOUT, StoreMeta, StoreState
from raftly.errors import DecodeError
from raftly.node import command, log_time_us, query
from raftly.pd.config import ScheduleConfig
from raftly.pd.errors import Refused
from raftly.pd.gc import Barrier, SafePoints


@final
@dataclass(slots=True)
class StoreRow:
    """A store as it travels: StoreMeta without enums."""

    id: int
    address: str = ""
    peer_address: str = ""
    status_address: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    state: int = 0
    version: str = ""

    def meta(self) -> StoreMeta:
        """As everybody else has it."""
        return StoreMeta(
            self.id,
            self.address,
            self.peer_address,
            self.status_address,
            dict(self.labels),
            StoreState(self.state),
            self.version,
        )


def row_of(meta: StoreMeta) -> StoreRow:
    """A store for a command."""
    return StoreRow(
        meta.id,
        meta.address,
        meta.peer_address,
        meta.status_address,
        dict(meta.labels),
        int(meta.state),
        meta.version,
    )


@final
@dataclass(slots=True)
class MemberRow:
    """A member of the placement driver itself: what clients are told of it."""

    id: int
    name: str
    client_urls: list[str]
    peer_urls: list[str]


@final
@dataclass(slots=True)
class SavedRegion:
    """A region as it was written down last: who held what range, and who led."""

    region: bytes  # base.region.encode_region
    leader: PeerId
    term: int = 0


ID_MAX: Final = (1 << 62) - 1
"""Of what others choose: above it there are ids enough for ever."""
LABELS_MAX: Final = 32
LABEL_CHARS_MAX: Final = 256

OFFLINE: Final = int(StoreState.OFFLINE)
TOMBSTONE: Final = int(StoreState.TOMBSTONE)
UP: Final = int(StoreState.UP)


@final
class Placement:
    """See the module. Commands raise `Refused`, which is a result."""

    errors: ClassVar[tuple[type[Exception], ...]] = (Refused,)

    cluster_id: int  # 0: nobody has chosen one yet
    is_bootstrapped: bool
    next_id: int
    tso_bound_ms: int
    members: dict[int, MemberRow]
    stores: dict[int, StoreRow]
    regions: dict[int, SavedRegion]
    config: ScheduleConfig
    safe_points: SafePoints

    def __init__(self) -> None:
        self.cluster_id = 0
        self.is_bootstrapped = False
        self.next_id = 1
        self.tso_bound_ms = 0
        self.members = {}
        self.stores = {}
        self.regions = {}
        self.config = ScheduleConfig()
        self.safe_points = SafePoints()

    # --- the driver's own members, and numbers ---

    @command
    def found(self, cluster_id: int) -> int:
        """Choose the id of the cluster, once; the one that is chosen."""
        if self.cluster_id == 0:
            self.cluster_id = cluster_id
        return self.cluster_id

    @command
    def register(self, member: MemberRow) -> None:
        """A member tells where clients reach it."""
        self.members[member.id] = member

    @command
    def unregister(self, member_id: int) -> None:
        """A member is gone."""
        self.members.pop(member_id, None)

    @command
    def reserve_ids(self, count: int) -> int:
        """Give out `count` consecutive ids; the first of them."""
        if not 1 <= count <= 1 << 20:
            raise Refused("INVALID_VALUE", f"{count} ids at once are not to be had, 1 to {1 << 20} are")
        first = self.next_id
        self.next_id += count
        return first

    @command
    def save_tso_bound(self, bound_ms: int) -> int:
        """No timestamp at or above the bound was given out; the bound, which does not go back."""
        self.tso_bound_ms = max(self.tso_bound_ms, bound_ms)
        return self.tso_bound_ms

    @command
    def configure(self, config: ScheduleConfig) -> None:
        """Schedule by these options from now on."""
        self.config = config

    # --- stores ---

    @command
    def bootstrap(self, store: StoreRow, region: bytes) -> None:
        """Begin: this is the first region, on this store.

        Raises:
            Refused: there is one already, or this is none.
        """
        if self.is_bootstrapped:
            raise Refused("ALREADY_BOOTSTRAPPED", "the cluster has its first region already")
        try:
            first, _ = decode_region(region)
        except DecodeError as error:
            raise Refused("INVALID_VALUE", str(error)) from None
        peer = first.peer_on(store.id)
        if first.start_key or first.end_key or peer is None or not store.id or not first.id:
            raise Refused("INVALID_VALUE", "the first region holds all keys and has a peer on the store that brings it")
        highest = max(first.id, store.id, *(each.id for each in first.peers))
        if highest > ID_MAX:
            raise Refused("INVALID_VALUE", f"id {highest} is too large, at most {ID_MAX} is possible")
        self._take_store(store)
        self.next_id = max(self.next_id, 1 + highest)
        self.regions[first.id] = SavedRegion(region, peer.id)
        self.is_bootstrapped = True

    @command
    def put_store(self, store: StoreRow) -> None:
        """A store tells who and where it is. What the cluster decided about it stays, and labels that it does not tell.

        Raises:
            Refused: there is no cluster yet, the store is a tombstone, another one is at its address, or its values
                are laid out otherwise than the others'.
        """
        if not self.is_bootstrapped:
            raise Refused("NOT_BOOTSTRAPPED", "the cluster has no region yet")
        self._take_store(store)
        self.next_id = max(self.next_id, store.id + 1)

    def _take_store(self, store: StoreRow) -> None:
        known = self.stores.get(store.id)
        if known is not None and known.state == TOMBSTONE:
            raise Refused("STORE_TOMBSTONE", f"store {store.id} was drained and removed; its id is not used again")
        if not 1 <= store.id <= ID_MAX:
            raise Refused("INVALID_VALUE", f"{store.id} is no id of a store: the placement driver gives ids out")
        for other in self.stores.values():
            if other.id != store.id and other.state != TOMBSTONE:
                _check_beside(store, other)
        store.labels = (known.labels if known is not None else {}) | store.labels
        _check_labels(store.labels)
        store.state = UP if known is None else known.state
        self.stores[store.id] = store

    @command
    def remove_store(self, store_id: StoreId) -> None:
        """Begin to drain a store.

        Raises:
            Refused: it is not known, or gone already, or is the last one.
        """
        store = self._store(store_id)
        if store.state == TOMBSTONE:
            raise Refused("STORE_TOMBSTONE", f"store {store_id} is gone already")
        if not any(other.state == UP for other in self.stores.values() if other.id != store_id):
            raise Refused("INVALID_VALUE", f"store {store_id} is the last one, its regions have nowhere to go")
        store.state = OFFLINE

    @command
    def restore_store(self, store_id: StoreId) -> None:
        """Keep a store that was to be drained.

        Raises:
            Refused: it is not known, or gone already.
        """
        store = self._store(store_id)
        if store.state == TOMBSTONE:
            raise Refused("STORE_TOMBSTONE", f"store {store_id} is gone already")
        store.state = UP

    @command
    def bury_store(self, store_id: StoreId) -> bool:
        """A store that was to be drained is empty: it is gone for good. Was it to be drained?"""
        store = self.stores.get(store_id)
        if store is None or store.state != OFFLINE:
            return False
        store.state = TOMBSTONE
        return True

    @command
    def label_store(self, store_id: StoreId, labels: dict[str, str]) -> None:
        """Say where a store stands; an empty value takes a label away. What it says itself when it starts counts more.

        Raises:
            Refused: it is not known, or gone; a label is too long, or is not to be chosen; there are too many.
        """
        store = self._store(store_id)
        if store.state == TOMBSTONE:
            raise Refused("STORE_TOMBSTONE", f"store {store_id} is gone already")
        if VALUE_LAYOUT in labels:
            raise Refused("INVALID_VALUE", f"{VALUE_LAYOUT} tells how the store's values are laid out: it stays")
        merged = {name: value for name, value in (store.labels | labels).items() if value}
        _check_labels(merged)
        store.labels = merged

    def _store(self, store_id: StoreId) -> StoreRow:
        store = self.stores.get(store_id)
        if store is None:
            raise Refused("INVALID_VALUE", f"there is no store {store_id}")
        return store

    # --- regions ---

    @command
    def save_regions(self, changed: dict[RegionId, SavedRegion], gone: list[RegionId]) -> None:
        """Where regions are now, so that the next leader knows them before their leaders speak."""
        for region_id in gone:
            self.regions.pop(region_id, None)
        self.regions.update(changed)

    # --- safe points ---

    @command
    def advance_txn_safe_point(self, target: int) -> tuple[int, int, str]:
        """See `SafePoints.advance_txn`."""
        return self.safe_points.advance_txn(target, log_time_us())

    @command
    def advance_gc_safe_point(self, target: int) -> tuple[int, int]:
        """See `SafePoints.advance_gc`."""
        return self.safe_points.advance_gc(target)

    @command
    def update_gc_safe_point(self, target: int) -> int:
        """See `SafePoints.update_gc`."""
        return self.safe_points.update_gc(target, log_time_us())

    @command
    def update_service_safe_point(self, service: str, ts: int, ttl_s: int) -> tuple[str, int, int]:
        """See `SafePoints.update_service`."""
        return self.safe_points.update_service(service, ts, ttl_s, log_time_us())

    @command
    def set_gc_barrier(self, name: str, ts: int, ttl_s: int) -> None:
        """See `SafePoints.set_barrier`."""
        self.safe_points.set_barrier(name, ts, ttl_s, log_time_us())

    @command
    def delete_gc_barrier(self, name: str) -> tuple[int, int] | None:
        """See `SafePoints.delete_barrier`: its timestamp, and the seconds it had left."""
        now_us = log_time_us()
        barrier = self.safe_points.delete_barrier(name, now_us)
        return None if barrier is None else (barrier.ts, barrier.ttl_s(now_us))

    @query
    def gc_state(self) -> tuple[int, int, dict[str, tuple[int, int]]]:
        """Txn safe point, gc safe point, and the barriers: name, timestamp, seconds left."""
        now_us = log_time_us()
        points = self.safe_points
        live: dict[str, Barrier] = {
            name: barrier
            for name, barrier in sorted(points.barriers.items())
            if not barrier.until_us or barrier.until_us > now_us
        }
        return points.txn, points.gc, {name: (barrier.ts, barrier.ttl_s(now_us)) for name, barrier in live.items()}


def _check_beside(store: StoreRow, other: StoreRow) -> None:
    """Raises Refused: the two cannot be in one cluster."""
    if store.address and store.address == other.address:
        raise Refused("DUPLICATED_ENTRY", f"store {other.id} is at {store.address} already")
    if store.peer_address and store.peer_address == other.peer_address:
        raise Refused("DUPLICATED_ENTRY", f"store {other.id} is at {store.peer_address} already, for other stores")
    own, theirs = store.labels.get(VALUE_LAYOUT), other.labels.get(VALUE_LAYOUT)
    if own is not None and theirs is not None and own != theirs:
        word = "true" if theirs == "1" else "false"
        raise Refused(
            "INVALID_VALUE",
            f"this cluster's stores have storage.ttl = {word}, since values are laid out alike everywhere: start an"
            f" empty store {store.id} with the same",
        )


def _check_labels(labels: dict[str, str]) -> None:
    """Raises Refused: there are too many, or one is too long."""
    if len(labels) > LABELS_MAX:
        raise Refused("INVALID_VALUE", f"{len(labels)} labels are too many for a store, it may have {LABELS_MAX}")
    for name, value in labels.items():
        if not name or max(len(name), len(value)) > LABEL_CHARS_MAX:
            problem = f"label {name[:40]!r} has no name, or more than {LABEL_CHARS_MAX} characters"
            raise Refused("INVALID_VALUE", problem)


def report_of(saved: SavedRegion) -> RegionReport | None:
    """A region that was written down, as if its leader had reported it; None: what was written makes no sense."""
    region, _ = decode_region(saved.region)
    leader = region.peer(saved.leader)
    return None if leader is None else RegionReport(region, leader, saved.term)
