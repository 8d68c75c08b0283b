"""The numbers of a RegionStore: its log, its driver, its connections to other stores, its regions and its disk.

What nodes measure too has the name that it has there (`raftly.node.metrics`), so that a placement driver and a store
are seen on one dashboard. Labels are bounded: ids of stores, and names that are in the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from raftly.node.measure import Gathering
from raftly.node.metrics import FAMILIES, Family, Kind, Sample
from raftly.store.store import RegionStore
from raftly.transport.events import PeerStatus

__all__ = ["store_families"]

_KNOWN: Final = {family.name: family for family in FAMILIES}
_REGIONS: Final = Family(
    "tikv_raftstore_region_count", Kind.GAUGE, "Regions with a replica here, by what it is.", ("type",)
)
_AWAKE: Final = Family(
    "tikv_raftstore_hibernated_peer_state", Kind.GAUGE, "Peers that are awake, and that sleep.", ("state",)
)
_SIZE: Final = Family(
    "tikv_store_size_bytes", Kind.GAUGE, "The disk, what is free, and what this store takes.", ("type",)
)
_BRAKED: Final = Family(
    "raftly_writes_held_back", Kind.GAUGE, "Writes that wait because the engine's compactions are behind."
)
_FAILED: Final = Family("raftly_peers_failed", Kind.GAUGE, "Peers that stopped: an error in the log has the reason.")
_WAITING: Final = Family("raftly_peers_waiting", Kind.GAUGE, "Peers that wait for the keys of a region to be merged.")
_MERGES: Final = Family("raftly_merges_total", Kind.COUNTER, "What peers here applied of merges.", ("step",))

Numbers = Iterator[tuple[Family, list[Sample]]]


def store_families(store: RegionStore) -> Numbers:
    """All of them, as of now."""
    yield from _of_regions(store)
    yield from _of_process(store)
    yield from _of_peers(store)


def _of_regions(store: RegionStore) -> Numbers:
    parts = store.parts
    peers = [store.peer_of(region.id) for region in store.regions()]
    leaders = sum(peer is not None and peer.is_leader for peer in peers)
    failed = sum(peer is not None and peer.failure is not None for peer in peers)
    awake, groups = len(parts.driver.awake), len(parts.driver.groups)
    yield _REGIONS, [Sample(("region",), len(peers)), Sample(("leader",), leaders)]
    yield _AWAKE, [Sample(("awaken",), awake), Sample(("hibernated",), groups - awake)]
    yield _FAILED, [Sample((), failed)]
    yield _WAITING, [Sample((), len(store.waiting()))]
    merges = store.merges
    steps = (("prepared", merges.prepared), ("committed", merges.committed), ("rolled_back", merges.rolled_back))
    yield _MERGES, [Sample((step,), count) for step, count in steps]
    yield _BRAKED, [Sample((), parts.brake.waiting)]
    capacity, available = parts.usage()
    used = store.engine.stats().disk_bytes + parts.logs.size_bytes()
    yield _SIZE, [Sample(("capacity",), capacity), Sample(("available",), available), Sample(("used",), used)]


def _of_process(store: RegionStore) -> Numbers:
    parts = store.parts
    found = Gathering()
    stall_s = store.options.election_tick * store.options.tick
    found.add_process(parts.driver, parts.logs.stats(), parts.transport, stall_s)
    for name, samples in found.samples.items():
        yield _KNOWN[name], samples


def _of_peers(store: RegionStore) -> Numbers:
    transport = store.parts.transport
    found: object = getattr(transport, "peers", list)()
    peers = [peer for peer in found if isinstance(peer, PeerStatus)] if isinstance(found, list) else []
    labels = [(str(peer.node_id),) for peer in peers]
    for name, values in (
        ("peer_reachable", [int(peer.connected) for peer in peers]),
        ("peer_rtt_seconds", [peer.rtt_s for peer in peers]),
        ("peer_queue_bytes", [peer.queue_bytes for peer in peers]),
    ):
        yield _KNOWN[f"raftly_{name}"], [Sample(label, value) for label, value in zip(labels, values, strict=True)]
