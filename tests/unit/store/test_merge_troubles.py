"""Merges that cannot go their usual way: logs that are cut, peers that failed or left, callers that wait."""

import asyncio
from dataclasses import replace

import pytest

from raftly.base.operators import ChangeKind, PeerChange
from raftly.base.region import Peer, Region
from raftly.base.region_errors import (
    EpochNotMatch,
    ProposalInMergingMode,
    ReadIndexNotReady,
    RegionNotFound,
    ServerIsBusy,
)
from raftly.base.types import Entry
from raftly.core.messages import MsgHeartbeat
from raftly.engine.base import CF_DEFAULT, WriteBatch
from raftly.engine.memory import MemoryEngine
from raftly.errors import Corruption
from raftly.node.group import Proposal
from raftly.node.reads import FOLLOWER, Reads
from raftly.pd.coordinator import Coordinator
from raftly.storage.log_store import LogStore
from raftly.store import merging
from raftly.store.command import Prepare, Rollback, encode_prepare, encode_rollback, encode_write
from raftly.store.merge import UNKNOWN_HEIR, Heir, Merging
from raftly.store.merging import Merges, carried, prepare_merge
from raftly.store.ops import Put
from raftly.store.peer import RegionPeer
from raftly.store.peers import Peers
from raftly.store.recovery import is_begun
from raftly.store.region_state import PeerState, RegionState, put_region_state
from raftly.store.store import RegionStore
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, keys_of, soon
from tests.unit.store.test_merging import merged, prepare, two_regions

SOON_STALE = replace(OPTIONS, stale_peer_timeout=2.0)


def look_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Merges, "look", lambda _: None)


def driver_asks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Coordinator, "on_report", lambda *_: None)


async def everywhere_merging(cluster: Cluster, key: bytes) -> None:
    await cluster.until(lambda: all(peer.merging is not None for _, peer in cluster.peers(key)))


async def lead_from(cluster: Cluster, key: bytes, store: RegionStore) -> RegionPeer:
    """The region of `key` is led by that store."""

    def is_so() -> bool:
        leader = next((peer for _, peer in cluster.peers(key) if peer.is_leader), None)
        home = None if leader is None else leader.region.peer_on(store.id)
        if leader is not None and home is not None:
            leader.transfer_leader(home)
        return leader is not None and leader.own() == home and leader.knows_all

    await cluster.until(is_so)
    return (await cluster.leader(key))[1]


# --- the log that a commit has to carry ---


def test_a_log_is_cut_again_once_its_merge_was_rolled_back() -> None:
    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, log_entries_max=40, log_entries_keep=5))
        await two_regions(cluster)
        store, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        old = target.region
        await cluster.until(lambda: source.log_floor is None and len({p.applied for _, p in cluster.peers(b"a")}) == 1)
        with pytest.MonkeyPatch.context() as patch:
            look_nowhere(patch)
            await prepare(source, target)
            other, _ = await cluster.leader(b"z")
            await other.split(cluster.context(target), [b"t"], soon())
        assert target.region != old
        await cluster.until(lambda: source.merging is None)
        assert source.log_floor is None
        for number in range(60):
            await store.write(cluster.context(source), [Put(CF_DEFAULT, b"b%02d" % number, b"v")], soon())
        group = source.group
        assert group is not None
        await cluster.until(lambda: group.log.first_index() > source.applied - 40)
        await cluster.stop()

    run(main())


def test_a_region_is_prepared_once_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second PREPARE could let the log be cut that the first one's commit has to carry."""

    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        look_nowhere(monkeypatch)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await cluster.until(lambda: len({peer.applied for _, peer in cluster.peers(b"a")}) == 1)
        done = prepare_merge(source, target.region, soon())
        assert done is not None
        with pytest.raises(ServerIsBusy, match="being prepared"):
            prepare_merge(source, target.region, soon())
        await done
        assert prepare_merge(source, target.region, soon()) is None
        await cluster.stop()

    run(main())


def test_a_log_is_not_cut_where_a_merge_was_prepared_while_the_cut_was_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        cluster = Cluster(1, options=replace(OPTIONS, log_entries_max=20, log_entries_keep=5, log_check_interval=600.0))
        await cluster.start()
        store, peer = await cluster.leader()
        for number in range(30):
            await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"%02d" % number, b"v")], soon())
        assert peer.group is not None
        floor = peer.group.log.first_index() + 2
        sync = MemoryEngine.sync

        async def sync_late(engine: MemoryEngine) -> None:
            await sync(engine)
            peer.log_floor = floor

        monkeypatch.setattr(MemoryEngine, "sync", sync_late)
        await store._duties._cut_logs()
        group = peer.group
        await cluster.until(lambda: group.log.first_index() > 6)
        assert group.log.first_index() == floor + 1
        await cluster.stop()

    run(main())


def test_a_merge_that_nobody_can_commit_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member lacks entries that all others have cut: the target passes its epoch, and the source has its place."""

    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        monkeypatch.setattr(merging, "carried", lambda *_: None)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        before = target.region
        await prepare(source, target)
        await cluster.until(lambda: all(peer.merging is None for _, peer in cluster.peers(b"a")))
        _, after = await cluster.leader(b"z")
        assert after.region.peers == before.peers
        assert after.region.epoch.conf_ver == before.epoch.conf_ver + 1
        assert after.region.epoch.version == before.epoch.version
        store, source = await cluster.leader(b"a")
        await store.write(cluster.context(source), [Put(CF_DEFAULT, b"b", b"v")], soon())
        await cluster.stop()

    run(main())


def test_who_leads_the_source_takes_over_the_target_when_others_do_not_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)

        def only_of_leader(source: RegionPeer, merge: Merging) -> list[Entry] | None:
            return carried(source, merge) if source.is_leader else None

        monkeypatch.setattr(merging, "carried", only_of_leader)
        store, source = await cluster.leader(b"a")
        target = await lead_from(cluster, b"z", next(other for other in cluster.running() if other is not store))
        await prepare(source, target)
        await merged(cluster)
        await cluster.stop()

    run(main())


def test_a_commit_carries_no_more_than_members_lack_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        look_nowhere(monkeypatch)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await prepare(source, target)
        await everywhere_merging(cluster, b"a")
        merge = source.merging
        assert merge is not None
        early = replace(merge, min_index=merge.index - 3)
        found = carried(source, early)
        assert found is not None
        assert [entry.index for entry in found] == [merge.index]  # all have it, and one there must be
        follower = next(peer for _, peer in cluster.peers(b"a") if not peer.is_leader)
        found = carried(follower, early)  # it does not know what the others have
        assert found is not None
        assert [entry.index for entry in found] == [merge.index - 2, merge.index - 1, merge.index]
        await cluster.stop()

    run(main())


# --- peers that failed, left, or were never there ---


def test_peers_of_both_regions_can_be_replaced_where_the_source_failed() -> None:
    async def main() -> None:
        cluster = Cluster(options=SOON_STALE)
        await two_regions(cluster)
        store, source = await cluster.leader(b"a")
        bad = next(other for other in cluster.running() if other is not store)
        target = await lead_from(cluster, b"z", bad)
        await cluster.until(lambda: len({peer.applied for _, peer in cluster.peers(b"a")}) == 1)
        failed = bad.peer_of(source.region.id)
        assert failed is not None
        assert failed.group is not None
        bad._driver._stop_group(failed.group, Corruption("the engine", 0, "it was damaged"))
        await prepare(source, target)
        sound = [other for other in cluster.running() if other is not bad]
        await cluster.until(lambda: all(keys_of(other.regions()) == [(b"", b"")] for other in sound))
        await cluster.until(lambda: bad.waiting() == [(target.region.id, source.region.id)])
        (left,) = bad._peers.stalled
        heir = next(peer for other, peer in cluster.peers(b"a") if other in sound and peer.is_leader)
        gone = heir.region.peer_on(bad.id)
        assert gone == left.own()
        done = heir.change_peers([PeerChange(ChangeKind.REMOVE, gone)], soon())
        assert done is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Peers, "send", lambda *_: None)  # whoever removed it says so once, and that may be lost
            await done
            await asyncio.sleep(0.5)
        await cluster.until(lambda: bad.peer_of(source.region.id) is None and left not in bad._peers.all.values())
        assert not bad._peers.stalled
        await cluster.stop()

    run(main())


def test_a_target_that_left_a_store_leaves_its_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its peers move away while the source merges, and the one store that may speak has a tombstone of it."""

    async def main() -> None:
        cluster = Cluster(4)
        await two_regions(cluster)
        look = Merges.look
        look_nowhere(monkeypatch)
        driver_asks_nothing(monkeypatch)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await prepare(source, target)
        await everywhere_merging(cluster, b"a")
        free = next(other for other in cluster.running() if target.region.peer_on(other.id) is None)
        goes = next(peer for peer in target.region.peers if peer.id != target.peer_id)
        new = Peer(await cluster.placement.alloc_id(), free.id)
        done = target.change_peers([PeerChange(ChangeKind.ADD_VOTER, new)], soon())
        assert done is not None
        await done
        witness = next(other for other in cluster.running() if other.id == goes.store_id)
        peer = witness.peer_of(target.region.id)
        assert peer is not None
        await cluster.until(lambda: peer.region.peer(new.id) is not None)
        done = target.change_peers([PeerChange(ChangeKind.REMOVE, goes)], soon())
        assert done is not None
        await done
        await cluster.until(lambda: witness.peer_of(target.region.id) is None)
        monkeypatch.setattr(Merges, "look", lambda merges: look(merges) if merges is witness._peers.merges else None)
        await cluster.until(lambda: all(other.merging is None for _, other in cluster.peers(b"a")))
        await cluster.stop()

    run(main())


def test_a_learner_that_was_removed_does_not_wait_for_its_leader_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never campaigns, so it goes on following whoever it followed last."""

    async def main() -> None:
        cluster = Cluster(options=SOON_STALE)
        await cluster.start()
        driver_asks_nothing(monkeypatch)
        await cluster.boot_another()
        store, peer = await cluster.leader()
        free = cluster.running()[-1]
        new = Peer(await cluster.placement.alloc_id(), free.id)
        done = peer.change_peers([PeerChange(ChangeKind.ADD_LEARNER, new)], soon())
        assert done is not None
        await done
        await cluster.until(lambda: (learner := free.peer_of(peer.region.id)) is not None and learner.is_initialized)
        monkeypatch.setattr(Peers, "send", lambda *_: None)
        cluster.network.isolate(free.id)
        done = peer.change_peers([PeerChange(ChangeKind.REMOVE, new)], soon())
        assert done is not None
        await done
        cluster.network.heal()
        assert free.peer_of(peer.region.id) is not None
        await cluster.until(lambda: free.peer_of(peer.region.id) is None)
        assert store.peer_of(peer.region.id) is peer
        await cluster.stop()

    run(main())


def test_a_peer_that_waits_for_keys_of_a_region_that_was_merged_goes() -> None:
    """A message from before made it, and nobody will ever send it a snapshot."""

    async def main() -> None:
        cluster = Cluster(4, options=SOON_STALE)
        await two_regions(cluster)
        store, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await prepare(source, target)
        stores = [other for other in cluster.running() if source.region.peer_on(other.id) is not None]
        await cluster.until(lambda: all(keys_of(other.regions()) == [(b"", b"")] for other in stores))
        stranger = next(other for other in cluster.running() if other not in stores)
        late = MsgHeartbeat(4711, source.peer_id, source.term or 9, 0)
        stranger._peers.on_unknown(store.id, source.region.id, [late])
        assert stranger.peer_of(source.region.id) is not None
        await cluster.until(lambda: stranger.peer_of(source.region.id) is None)
        await cluster.stop()

    run(main())


def test_a_log_goes_only_when_the_tombstone_beside_it_is_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store was killed behind a tombstone that is not synced. It starts, and a power cut may take it back yet."""

    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        region = peer.region
        await store.stop()
        engine = MemoryEngine(cluster.disks[0])
        batch = WriteBatch()
        put_region_state(batch, RegionState(PeerState.TOMBSTONE, peer.peer_id, region))
        engine.write(batch)
        engine.close()
        found: list[bool] = []
        sync = MemoryEngine.sync

        async def look_and_sync(engine: MemoryEngine) -> None:
            logs = LogStore(cluster.disks[0].copy(), store.cluster_id, store.id)
            logs.open()
            found.append(is_begun(logs.group(region.id)))
            logs.close()
            await sync(engine)

        monkeypatch.setattr(MemoryEngine, "sync", look_and_sync)
        store = await cluster.boot(0)
        assert not is_begun(store.parts.logs.group(region.id))
        assert found
        assert found[0], "the log was there when the tombstone was synced"
        await store.stop()

    run(main())


def test_keys_of_a_source_are_needed_until_its_target_here_has_passed_the_commit() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        peers = store._peers

        def add(id_: int, applied: int, heir: Heir | None, *, is_empty: bool = False) -> RegionPeer:
            region = Region(id_) if is_empty else replace(peer.region, id=id_)
            made = peers.all[id_] = RegionPeer(peer.shared, region, peer.peer_id, applied)
            made.heir = heir
            return made

        source = add(50, 7, Heir(51, 20))
        assert not peers.is_needed(source, ())  # nothing of the target is here, and nothing will be
        target = add(51, 19, None)
        assert peers.is_needed(source, ())
        assert not peers.is_needed(source, {51}), "a snapshot gives the target its keys"
        target.applied = 20
        assert not peers.is_needed(source, ())
        target.applied, target.heir = 19, Heir(52, 30)  # it is merged, too: it goes on if its own target needs it
        assert not peers.is_needed(source, ())
        add(52, 29, None)
        assert peers.is_needed(source, ())
        add(51, 0, None, is_empty=True)
        assert not peers.is_needed(source, ()), "it waits for a snapshot from behind the commit"
        source.heir = UNKNOWN_HEIR
        assert not peers.is_needed(source, ())
        for id_ in (50, 51, 52):
            del peers.all[id_]
        await cluster.stop()

    run(main())


# --- commands that come where they do not belong: another leader's, in an order that ours would not propose ---


def test_commands_that_do_not_fit_the_state_of_a_source_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        look_nowhere(monkeypatch)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        before = source.region
        epoch = before.epoch
        for version, conf_ver in ((epoch.version - 1, epoch.conf_ver), (epoch.version, epoch.conf_ver - 1)):
            with pytest.raises(EpochNotMatch):
                await source.propose_now(encode_prepare(Prepare(version, conf_ver, 6, target.region)), soon())
        assert source.region == before
        await prepare(source, target)
        merge = source.merging
        assert merge is not None
        version = source.region.epoch.version
        with pytest.raises(EpochNotMatch):
            await source.propose_now(encode_rollback(Rollback(version, merge.index - 1)), soon())
        with pytest.raises(ProposalInMergingMode):
            await source.propose_now(encode_write(version, [Put(CF_DEFAULT, b"b", b"v")]), soon())
        assert source.merging == merge
        assert all(store.engine.get(CF_DEFAULT, b"zb") is None for store in cluster.running())
        await cluster.stop()

    run(main())


# --- who waits at the source when it ends ---


def test_who_waits_at_a_source_when_it_is_no_more_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind PREPARE in its log never was: that is certain. A read may be asked again, of the target."""

    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        look = Merges.look
        look_nowhere(monkeypatch)
        store, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await store.read(cluster.context(source), soon())
        context = cluster.context(source)
        monkeypatch.setattr(Reads, "on_read_states", lambda *_: None)
        replica = next(peer for _, peer in cluster.peers(b"a") if not peer.is_leader)
        read = asyncio.create_task(replica.reads().wait(FOLLOWER, 60.0))
        await prepare(source, target)
        assert source.merging is not None
        write: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        place = source.merging.index + 1
        behind = Proposal(b"", write, soon(60.0))
        behind.term = source.term
        source.waiting.place(place, [behind])
        monkeypatch.setattr(Merges, "look", look)
        await merged(cluster)
        with pytest.raises(RegionNotFound):
            await write
        with pytest.raises(ReadIndexNotReady):
            await read
        with pytest.raises(RegionNotFound):
            store.read_now(context)
        with pytest.raises((RegionNotFound, EpochNotMatch)):
            await store.write(context, [Put(CF_DEFAULT, b"b", b"v")], soon())
        assert store.peer_of(source.region.id) is None
        await cluster.stop()

    run(main())


# --- what is heard of merges ---


def test_a_store_counts_its_merges() -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await prepare(source, target)
        await merged(cluster)
        counts = [other.merges for other in cluster.running()]
        assert [(it.prepared, it.committed, it.rolled_back) for it in counts] == [(1, 1, 0)] * 3
        await cluster.stop()

    run(main())
