"""Peers: how they come to life and go, and what of it is on disk at every point."""

from __future__ import annotations

import pytest

from raftly.base.heartbeats import NewRegionIds
from raftly.base.region import PeerId, PeerRole, Region, RegionId
from raftly.core.messages import MsgHeartbeat
from raftly.engine.base import CF_DEFAULT, WriteBatch
from raftly.engine.memory import MemoryEngine
from raftly.errors import Corruption, StorageError
from raftly.pd.config import ScheduleConfig
from raftly.store.messages import Kind, StoreMessage
from raftly.store.ops import Put
from raftly.store.region_state import PeerState, get_region_state
from raftly.store.store import RegionStore
from tests.support.virtual import run
from tests.unit.store.cluster import Cluster, soon

CUT_OFF, FIRST, NEWER = 100, 101, 109  # a region that a split will make, its peer then, and one that it has later


class OneCluster(Cluster):
    """A store alone, and what its split will make is known before."""

    async def begin(self, monkeypatch: pytest.MonkeyPatch) -> RegionStore:
        """Two keys, of which the second will be cut off."""

        async def ask_batch_split(_: Region, __: int) -> list[NewRegionIds]:
            return [NewRegionIds(CUT_OFF, (FIRST,))]

        monkeypatch.setattr(self.placement, "ask_batch_split", ask_batch_split)
        await self.start()
        store, peer = await self.leader()
        await store.write(self.context(peer), [Put(CF_DEFAULT, key, key) for key in (b"a", b"z")], soon())
        return store

    async def cut_off(self, store: RegionStore) -> None:
        """The split, by its peer's own command."""
        _, peer = await self.leader(b"a")
        await store.split(self.context(peer), [b"m"], soon())
        await self.until(lambda: CUT_OFF not in store._peers.busy)


def named(store: RegionStore, peer_id: PeerId) -> PeerId:
    """Who is here of the region when somebody has named this peer of it."""
    store._peers.on_unknown(2, CUT_OFF, [MsgHeartbeat(peer_id, 202, 7, 0, b"")])
    peer = store.peer_of(CUT_OFF)
    return 0 if peer is None else peer.peer_id


def note_states(monkeypatch: pytest.MonkeyPatch, region_id: RegionId) -> list[tuple[PeerState, PeerId]]:
    """How the region stands behind each batch: a power cut may leave it so."""
    states: list[tuple[PeerState, PeerId]] = []
    write = MemoryEngine.write

    def note(engine: MemoryEngine, batch: WriteBatch) -> None:
        write(engine, batch)
        state = get_region_state(engine, region_id)
        if state is not None:
            states.append((state.state, state.peer_id))

    monkeypatch.setattr(MemoryEngine, "write", note)
    return states


def test_a_peer_that_was_removed_before_it_was_cut_off_is_never_there(monkeypatch: pytest.MonkeyPatch) -> None:
    states = note_states(monkeypatch, CUT_OFF)

    async def main() -> None:
        cluster = OneCluster(1)
        store = await cluster.begin(monkeypatch)
        assert named(store, FIRST) == FIRST
        store._peers._take_message(2, StoreMessage(Kind.GONE, CUT_OFF, FIRST))
        await cluster.until(lambda: store.peer_of(CUT_OFF) is None and CUT_OFF not in store._peers.busy)
        await cluster.cut_off(store)
        assert set(states) == {(PeerState.TOMBSTONE, FIRST)}
        assert store.engine.scan(CF_DEFAULT, b"z", b"{", 9) == [(b"za", b"a")]
        assert [region.end_key for region in store.regions()] == [b"m"]
        await cluster.stop()
        again = await cluster.boot(0)
        assert named(again, FIRST) == 0
        await cluster.stop()

    run(main())


def test_a_newer_peer_of_a_region_stays_when_a_split_makes_an_older_one(monkeypatch: pytest.MonkeyPatch) -> None:
    states = note_states(monkeypatch, CUT_OFF)

    async def main() -> None:
        cluster = OneCluster(1)
        store = await cluster.begin(monkeypatch)
        assert named(store, NEWER) == NEWER
        await cluster.cut_off(store)
        assert set(states) == {(PeerState.TOMBSTONE, FIRST)}
        assert store.engine.scan(CF_DEFAULT, b"z", b"{", 9) == [(b"za", b"a")]
        assert named(store, FIRST) == NEWER
        await cluster.stop()
        again = await cluster.boot(0)
        assert named(again, FIRST) == 0
        assert named(again, NEWER) == NEWER
        await cluster.stop()

    run(main())


def test_a_peer_that_failed_on_a_store_that_is_well_is_replaced_in_the_end() -> None:
    async def main() -> None:
        cluster = Cluster(4)
        await cluster.start()
        cluster.placement.placement.configure(ScheduleConfig(down_after_s=30.0))
        cluster.placement.leader.on_placement(cluster.placement.placement, 0.0)
        _, leader = await cluster.leader()
        store, peer = next((home, peer) for home, peer in cluster.peers(b"") if not peer.is_leader)
        spare = next(other for other in cluster.running() if other.peer_of(leader.region.id) is None)
        assert peer.group is not None
        store._driver._stop_group(peer.group, Corruption("the log", 0, "it was damaged"))
        await cluster.until(lambda: not store.regions(), within=120.0)
        heir = spare.peer_of(leader.region.id)
        assert heir is not None
        assert heir.own().role is PeerRole.VOTER
        await cluster.stop()

    run(main())


def test_the_log_has_a_line_for_a_peer_that_stops_but_not_one_for_each_when_all_do(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        parts = await store.split(cluster.context(peer), [b"m"], soon())
        _, other = await cluster.leader(b"z")
        assert other.group is not None
        store._driver._stop_group(other.group, Corruption("the log", 0, "it was damaged"))
        store._driver.fail(StorageError("the disk is gone"))
        assert isinstance(peer.failure, StorageError)
        assert [f"region {parts[1].id} stopped" in line for line in caplog.messages] == [True]
        await cluster.stop()

    run(main())
