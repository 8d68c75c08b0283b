"""RegionStore: from an empty directory to regions that are written, read, split, and found again on disk."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from raftly.base.operators import ChangeKind, PeerChange
from raftly.base.region import RegionEpoch
from raftly.base.region_errors import (
    DataIsNotReady,
    EpochNotMatch,
    KeyNotInRegion,
    MismatchPeerId,
    NotRegionLeader,
    RaftEntryTooLarge,
    RegionNotFound,
    StaleCommand,
    StoreNotMatch,
)
from raftly.engine.base import CF_DEFAULT, CF_LOCK
from raftly.errors import ConfChangeError, StorageError
from raftly.node.reads import STRONG
from raftly.store.ops import Cas, CasResult, Delete, DeleteRange, Put
from raftly.store.recovery import restart_items
from raftly.store.region_state import ApplyState
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, keys_of, soon


def test_a_write_is_on_three_stores_and_outlives_them() -> None:
    async def main() -> None:
        cluster = Cluster()
        await cluster.start()
        store, peer = await cluster.leader()
        ops = [Put(CF_DEFAULT, b"a", b"1"), Put(CF_LOCK, b"a", b"2"), Put(CF_DEFAULT, b"b", b"3")]
        assert await store.write(cluster.context(peer), ops, soon()) == [None, None, None]
        reader = await store.read(cluster.context(peer), soon())
        assert reader.get_many(CF_DEFAULT, [b"a", b"b", b"c"]) == [b"1", b"3", None]
        assert reader.get(CF_LOCK, b"a") == b"2"
        assert reader.scan(CF_DEFAULT, b"", b"", 10) == [(b"a", b"1"), (b"b", b"3")]
        await cluster.until(lambda: all(other.engine.get(CF_DEFAULT, b"zb") == b"3" for other in cluster.running()))
        await cluster.stop()
        ids = [other.id for other in cluster.running()]

        for number in range(3):
            await cluster.boot(number)
        assert [other.id for other in cluster.running()] == ids
        store, peer = await cluster.leader()
        reader = await store.read(cluster.context(peer), soon())
        assert reader.scan(CF_DEFAULT, b"a", b"b", 10) == [(b"a", b"1")]
        await cluster.stop()

    run(main())


class Told:
    """A waiter that is no future."""

    def __init__(self) -> None:
        self.results: list[object] = []
        self.is_gone = False

    def done(self) -> bool:
        return self.is_gone

    def set_result(self, result: object, /) -> None:
        self.results.append(result)

    def set_exception(self, exception: Exception, /) -> None:
        self.results.append(type(exception))


def test_who_submits_is_told_once_unless_it_is_gone() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        ctx, op = cluster.context(peer), Put(CF_DEFAULT, b"a", b"1")
        done, gone, refused = Told(), Told(), Told()
        gone.is_gone = True
        with pytest.raises(StoreNotMatch):
            store.submit(replace(ctx, peer=replace(ctx.peer, store_id=99)), [op], soon(), refused)
        store.submit(ctx, [op], soon(), gone)
        store.submit(ctx, [op, op], soon(), done)
        assert not done.results
        await cluster.until(lambda: bool(done.results))
        await cluster.stop()
        assert (done.results, gone.results, refused.results) == ([[None, None]], [], [])

    run(main())


def test_a_commit_may_wait_for_the_next_append_but_not_for_one_who_reads_at_a_replica() -> None:
    async def main() -> None:
        cluster = Cluster()
        await cluster.start()
        store, leader = await cluster.leader()
        home, replica = next((home, peer) for home, peer in cluster.peers(b"") if not peer.is_leader)
        ctx, op = cluster.context(leader), Put(CF_DEFAULT, b"a", b"1")
        await asyncio.sleep(0.25)
        await store.write(ctx, [op], soon())
        written = leader.applied
        await asyncio.sleep(0.003)
        assert replica.applied < written
        await asyncio.sleep(0.03)
        assert replica.applied == written

        await store.write(ctx, [op], soon())
        began = asyncio.get_running_loop().time()
        reader = await home.read(cluster.context(replica, replica_read=True), soon())
        assert reader.get(CF_DEFAULT, b"a") == b"1"
        assert asyncio.get_running_loop().time() - began < 0.003
        assert replica.applied == leader.applied
        await cluster.stop()

    run(main())


def test_ops_of_one_write_see_each_other_and_compare() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        results = await store.write(
            cluster.context(peer),
            [
                Put(CF_DEFAULT, b"k", b"1"),
                Cas(CF_DEFAULT, b"k", b"1", b"2"),
                Cas(CF_DEFAULT, b"k", b"1", b"3"),
                Delete(CF_DEFAULT, b"k"),
                Cas(CF_DEFAULT, b"k", None, b"4"),
                DeleteRange(CF_DEFAULT, b"a", b"k"),
                Cas(CF_DEFAULT, b"k", b"4", b"5"),
                DeleteRange(CF_DEFAULT, b"", b""),
                Cas(CF_DEFAULT, b"k", None, b"6"),
                Cas(CF_DEFAULT, b"k", b"5", None),
                Cas(CF_DEFAULT, b"k", b"6", None),
                Cas(CF_DEFAULT, b"k", None, b"7"),
                Put(CF_DEFAULT, b"m", b"1"),
                Cas(CF_DEFAULT, b"m", b"1", None),
            ],
            soon(),
        )
        compared = [result for result in results if isinstance(result, CasResult)]
        assert compared == [
            CasResult(True, b"1"),
            CasResult(False, b"2"),
            CasResult(True, None),
            CasResult(True, b"4"),
            CasResult(True, None),
            CasResult(False, b"6"),
            CasResult(True, b"6"),
            CasResult(True, None),
            CasResult(True, b"1"),
        ]
        assert (await store.read(cluster.context(peer), soon())).scan(CF_DEFAULT, b"", b"", 9) == [(b"k", b"7")]
        await cluster.stop()

    run(main())


def test_requests_for_somebody_else_are_refused_in_order() -> None:
    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, entry_bytes_max=100))
        await cluster.start()
        store, peer = await cluster.leader()
        right = cluster.context(peer)
        wrong = replace(right, peer=replace(right.peer, store_id=99), region_id=99)
        for context, error in (
            (wrong, StoreNotMatch),
            (replace(right, region_id=99), RegionNotFound),
            (replace(right, peer=replace(right.peer, id=9999)), MismatchPeerId),
            (replace(right, epoch=RegionEpoch(1, 99)), EpochNotMatch),
            (replace(right, stale_read=True), DataIsNotReady),
        ):
            with pytest.raises(error):
                store.read_now(context)
            with pytest.raises(error):
                await store.write(context, [Put(CF_DEFAULT, b"k", b"v")], soon())
        with pytest.raises(RaftEntryTooLarge):
            await store.write(right, [Put(CF_DEFAULT, b"k", b"v" * 100)], soon())
        follower_store, follower = next(pair for pair in cluster.peers(b"") if pair[1] is not peer)
        with pytest.raises(NotRegionLeader) as caught:
            follower_store.read_now(cluster.context(follower))
        assert caught.value.leader == peer.own()
        await cluster.stop()

    run(main())


def test_a_term_that_is_long_over_is_refused() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        assert peer.term >= 3
        with pytest.raises(StaleCommand):
            await store.write(replace(cluster.context(peer), term=peer.term - 2), [Put(CF_DEFAULT, b"k", b"v")], soon())
        await cluster.stop()

    run(main())


def test_any_replica_reads_what_was_acknowledged_and_the_leader_without_asking() -> None:
    async def main() -> None:
        cluster = Cluster()
        await cluster.start()
        store, peer = await cluster.leader()
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())
        for other, replica in cluster.peers(b"k"):
            reader = await other.read(cluster.context(replica, replica_read=True), soon())
            assert reader.get(CF_DEFAULT, b"k") == b"v"
        await store.read(cluster.context(peer), soon())
        now = store.read_now(cluster.context(peer))
        assert now is not None
        now.pin()
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"w")], soon())
        assert now.get(CF_DEFAULT, b"k") == b"v"
        now.close()
        assert now.get(CF_DEFAULT, b"k") == b"w"
        await cluster.stop()

    run(main())


def test_a_split_cuts_keys_and_each_part_serves_its_own() -> None:
    async def main() -> None:
        cluster = Cluster()
        await cluster.start()
        store, peer = await cluster.leader()
        old = cluster.context(peer)
        await store.write(old, [Put(CF_DEFAULT, key, key) for key in (b"a", b"m", b"z")], soon())
        parts = await store.split(old, [b"t", b"k", b"k", b""], soon())
        assert keys_of(parts) == [(b"", b"k"), (b"k", b"t"), (b"t", b"")]
        assert {part.epoch.version for part in parts} == {old.epoch.version + 2}
        with pytest.raises(EpochNotMatch) as caught:
            await store.write(old, [Put(CF_DEFAULT, b"a", b"x")], soon())
        assert caught.value.current[0] == parts[0]
        assert parts[1] in caught.value.current

        for key in (b"a", b"m", b"z"):
            store, peer = await cluster.leader(key)
            reader = await store.read(cluster.context(peer), soon())
            assert reader.scan(CF_DEFAULT, b"", b"", 10) == [(key, key)]
            with pytest.raises(KeyNotInRegion):
                reader.get(CF_DEFAULT, b"a" if key == b"z" else b"z")
        await cluster.until(lambda: all(len(other.regions()) == 3 for other in cluster.running()))
        await cluster.stop()

    run(main())


def test_many_cuts_are_made_in_several_entries_and_one_that_is_outside_in_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftly.store.store._SPLITS_MAX", 2)

    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        parts = await store.split(cluster.context(peer), [b"c", b"a", b"e", b"b", b"d"], soon())
        bounds = [b"", b"a", b"b", b"c", b"d", b"e", b""]
        assert keys_of(parts) == list(pairwise(bounds)) == keys_of(store.regions())
        assert await store.split(cluster.context(peer), [b""], soon()) == [peer.region]
        with pytest.raises(KeyNotInRegion):
            await store.split(cluster.context(peer), [b"0", b"a"], soon())
        assert keys_of(store.regions()) == list(pairwise(bounds))
        await cluster.stop()

    run(main())


def test_a_new_store_gets_the_keys_and_a_removed_peer_leaves_none() -> None:
    async def main() -> None:
        cluster = Cluster(4)
        await cluster.start()
        store, peer = await cluster.leader()
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())
        spare = next(other for other in cluster.running() if other.peer_of(peer.region.id) is None)
        victim = next(member for member in peer.region.peers if member.id != peer.peer_id)
        old = next(other for other in cluster.running() if other.id == victim.store_id)
        cluster.placement.remove_store(victim.store_id)
        await cluster.until(lambda: spare.engine.get(CF_DEFAULT, b"zk") == b"v" and not old.regions())
        assert old.engine.get(CF_DEFAULT, b"zk") is None
        assert old.peer_of(peer.region.id) is None
        await cluster.stop()

    run(main())


def test_changes_that_would_break_a_region_are_refused() -> None:
    async def main() -> None:
        cluster = Cluster()
        await cluster.start()
        _, peer = await cluster.leader()
        own = peer.own()
        others = [member for member in peer.region.peers if member != own]
        for changes in (
            [PeerChange(ChangeKind.REMOVE, own)],
            [PeerChange(ChangeKind.ADD_VOTER, replace(others[0], id=12345))],
            [PeerChange(ChangeKind.REMOVE, member) for member in others],
        ):
            with pytest.raises(ConfChangeError):
                peer.change_peers(changes, soon())
        assert peer.change_peers([PeerChange(ChangeKind.ADD_VOTER, others[0])], soon()) is None
        await cluster.stop()

    run(main())


def test_a_quiet_region_sleeps_everywhere_and_wakes_for_a_write() -> None:
    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, hibernate_ticks=5))
        await cluster.start()

        def groups() -> list[bool]:
            return [peer.group is not None and peer.group.asleep for _, peer in cluster.peers(b"")]

        await cluster.until(lambda: groups() == [True] * 3)
        store, peer = await cluster.leader()
        term = peer.term
        await asyncio.sleep(60)
        assert groups() == [True] * 3
        assert peer.term == term
        assert await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon()) == [None]
        await cluster.until(lambda: groups() == [True] * 3)
        await cluster.stop()

    run(main())


def test_sleepers_find_a_new_leader_when_theirs_ends() -> None:
    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, hibernate_ticks=5, stop_patience=0.0))
        await cluster.start()
        store, peer = await cluster.leader()
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())
        await cluster.until(
            lambda: all(other.group is not None and other.group.asleep for _, other in cluster.peers(b""))
        )
        number = cluster.stores.index(store)
        cluster.stores[number] = None
        await store.stop()
        survivor, heir = await cluster.leader()
        assert (await survivor.read(cluster.context(heir), soon())).get(CF_DEFAULT, b"k") == b"v"
        await cluster.stop()

    run(main())


def test_leadership_goes_to_nobody_who_is_away() -> None:
    async def main() -> None:
        cluster = Cluster(3, options=replace(OPTIONS, hibernate_ticks=0))
        await cluster.start()
        store, peer = await cluster.leader()
        away = max((member for member in peer.region.peers if member.id != peer.peer_id), key=lambda member: member.id)
        number = next(at for at, other in enumerate(cluster.stores) if other is not None and other.id == away.store_id)
        gone = cluster.stores[number]
        assert gone is not None
        await gone.stop()
        cluster.stores[number] = None
        await cluster.until(lambda: away.store_id in store.parts.driver.contacts.lost)
        assert not peer.transfer_leader(away)
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())
        assert await store.leave() == 1
        heir, other = await cluster.leader()
        assert heir is not store
        assert other.peer_id != away.id
        await asyncio.sleep(3.0)
        assert not peer.is_leader
        await cluster.boot(number)
        await cluster.until(lambda: away.store_id not in heir.parts.driver.contacts.lost)
        assert other.transfer_leader(away)
        await cluster.until(lambda: not other.is_leader)
        await cluster.stop()

    run(main())


def test_a_long_log_is_cut_and_who_was_away_gets_a_snapshot() -> None:
    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, log_entries_max=20, log_entries_keep=5))
        await cluster.start()
        store, peer = await cluster.leader()
        away = next(number for number, other in enumerate(cluster.stores) if other is not store)
        absent = cluster.stores[away]
        assert absent is not None
        await absent.stop()
        cluster.stores[away] = None
        for number in range(100):
            await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"%03d" % number, b"v")], soon())
        assert peer.group is not None
        group = peer.group
        await cluster.until(lambda: group.log.first_index() > 80)
        back = await cluster.boot(away)
        await cluster.until(lambda: back.engine.get(CF_DEFAULT, b"z099") == b"v")
        replica = back.peer_of(peer.region.id)
        assert replica is not None
        assert replica.group is not None
        assert replica.group.log.first_index() > 80
        assert len(back.engine.scan(CF_DEFAULT, b"z", b"{", 1000)) == 100
        await cluster.stop()

    run(main())


def test_the_directory_of_another_cluster_is_refused() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        await cluster.stop()
        cluster.placement.placement.cluster_id = 99
        with pytest.raises(StorageError, match="cluster 99"):
            await cluster.boot(0)

    run(main())


def test_a_peer_that_begins_anew_numbers_its_questions_anew() -> None:
    """A late answer to a question of before must not be taken for one to a new question."""

    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        asked: list[int] = []

        def start() -> None:
            store._peers.start(peer)

        for _ in range(2):
            assert peer.group is not None
            reads = peer.reads()
            reads._lease_until = 0.0  # so that it has to ask
            await reads.wait(STRONG, 1.0)
            asked.append(reads._number)
            log, applied, term = peer.group.log, ApplyState(peer.applied, peer.applied_term), peer.term
            peer.rest("a test")
            store._driver.remove_group(peer.region.id)
            items = restart_items(log, peer.region, applied, term, 0)
            store._driver.write(*items, then=start)
            await cluster.until(lambda: peer.is_leader)
        assert asked[0] != asked[1]
        await cluster.stop()

    run(main())
