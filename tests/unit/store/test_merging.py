"""Regions become one: by prepare and commit, or stay two, whatever ends meanwhile."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from raftly.base.operators import ChangeKind, PeerChange
from raftly.base.region import Region
from raftly.base.region_errors import EpochNotMatch, ProposalInMergingMode, ServerIsBusy
from raftly.base.types import Entry
from raftly.engine.base import CF_DEFAULT
from raftly.errors import Corruption
from raftly.pd.admin import merge_region
from raftly.pd.operators import PlanEnd
from raftly.store.command import Commit, encode_commit
from raftly.store.merging import Merges, missing_entries, prepare_merge
from raftly.store.ops import Put
from raftly.store.peer import RegionPeer
from raftly.store.region_state import PeerState, get_region_state
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, keys_of, soon


async def two_regions(cluster: Cluster) -> None:
    """Below and above m, with a key in each, led by any."""
    await cluster.start()
    store, peer = await cluster.leader()
    context = cluster.context(peer)
    await store.write(context, [Put(CF_DEFAULT, key, key) for key in (b"a", b"z")], soon())
    await store.split(context, [b"m"], soon())
    await cluster.until(lambda: sum(len(other.regions()) for other in cluster.running()) == 6)
    await cluster.leader(b"z")


async def lead_together(cluster: Cluster) -> None:
    """One store leads both."""
    store, _ = await cluster.leader(b"a")

    def is_so() -> bool:
        leader = next((peer for _, peer in cluster.peers(b"z") if peer.is_leader), None)
        home = None if leader is None else leader.region.peer_on(store.id)
        if leader is not None and home is not None and leader.peer_id != home.id:
            leader.transfer_leader(home)
        return leader is not None and leader.own().store_id == store.id

    await cluster.until(is_so)


async def prepare(source: RegionPeer, target: RegionPeer) -> None:
    until = soon()
    while source.merging is None:
        try:
            done = prepare_merge(source, target.region, until)
        except ServerIsBusy:
            assert soon(0.0) < until
            await asyncio.sleep(0.1)
            continue
        assert done is not None
        await done


async def merged(cluster: Cluster) -> None:
    await cluster.until(lambda: all(keys_of(other.regions()) == [(b"", b"")] for other in cluster.running()))


@pytest.mark.parametrize("below_into_above", [True, False])
def test_a_region_becomes_part_of_its_neighbour_on_every_store(below_into_above: bool) -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        source_key, target_key = (b"a", b"z") if below_into_above else (b"z", b"a")
        _, source = await cluster.leader(source_key)
        _, target = await cluster.leader(target_key)
        before = source.region, target.region
        await prepare(source, target)
        await merged(cluster)
        store, peer = await cluster.leader(source_key)
        assert peer.region.id == before[1].id
        assert peer.region.epoch.version > max(region.epoch.version for region in before) + 1
        for key in (b"a", b"z"):
            reader = await store.read(cluster.context(peer), soon())
            assert reader.get(CF_DEFAULT, key) == key
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"b", b"b"), Put(CF_DEFAULT, b"y", b"y")], soon())
        for other in cluster.running():
            assert other.peer_of(before[0].id) is None
            state = get_region_state(other.engine, before[0].id)
            assert state is not None
            assert state.state is PeerState.MERGED
        await asyncio.sleep(5.0)  # logs of the source are gone, the driver has heard of it
        assert [report.region for report in cluster.placement.leader.cluster.regions] == [peer.region]
        await cluster.stop()
        for number in range(3):
            await cluster.boot(number)
        store, peer = await cluster.leader(source_key)
        reader = await store.read(cluster.context(peer), soon())
        assert reader.scan(CF_DEFAULT, b"", b"", 10) == [(key, key) for key in (b"a", b"b", b"y", b"z")]
        await cluster.stop()

    run(main())


def test_a_source_serves_nothing_and_its_replicas_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        monkeypatch.setattr(Merges, "look", lambda _: None)
        store, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        old = cluster.context(source)
        await store.read(old, soon())
        assert store.read_now(old) is not None  # by lease
        await prepare(source, target)
        await cluster.until(lambda: all(peer.merging is not None for _, peer in cluster.peers(b"a")))
        with pytest.raises(EpochNotMatch):
            store.read_now(old)
        for other, peer in cluster.peers(b"a"):
            new = cluster.context(peer, replica_read=True)
            with pytest.raises(ProposalInMergingMode):
                other.read_now(new)
            with pytest.raises(ProposalInMergingMode):
                await other.read(new, soon())
        new = cluster.context(source)
        with pytest.raises(ProposalInMergingMode):
            await store.write(new, [Put(CF_DEFAULT, b"b", b"v")], soon())
        with pytest.raises(ProposalInMergingMode):
            await store.split(new, [b"c"], soon())
        with pytest.raises(ProposalInMergingMode):
            source.change_peers([PeerChange(ChangeKind.REMOVE, source.region.peers[1])], soon())
        await cluster.stop()

    run(main())


def test_a_write_on_its_way_when_its_region_is_prepared_does_nothing_anywhere() -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        store, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        context = cluster.context(source)
        done = prepare_merge(source, target.region, soon())
        assert done is not None
        write = store.write(context, [Put(CF_DEFAULT, b"b", b"v")], soon())  # behind it in the log
        await done
        with pytest.raises((ProposalInMergingMode, EpochNotMatch)):
            await write
        await merged(cluster)
        assert all(other.engine.get(CF_DEFAULT, b"zb") is None for other in cluster.running())
        await cluster.stop()

    run(main())


def test_a_target_that_changed_is_not_merged_into_and_the_source_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        look = Merges.look
        monkeypatch.setattr(Merges, "look", lambda _: None)
        store, source = await cluster.leader(b"a")
        other, target = await cluster.leader(b"z")
        version = source.region.epoch.version
        await prepare(source, target)
        await other.split(cluster.context(target), [b"t"], soon())
        monkeypatch.setattr(Merges, "look", look)
        await cluster.until(lambda: all(peer.merging is None for _, peer in cluster.peers(b"a")))
        await cluster.until(lambda: all(len(running.regions()) == 3 for running in cluster.running()))
        store, source = await cluster.leader(b"a")
        assert source.region.epoch.version == version + 2
        await store.write(cluster.context(source), [Put(CF_DEFAULT, b"b", b"v")], soon())
        await cluster.until(lambda: all(peer.region == source.region for _, peer in cluster.peers(b"a")))
        await cluster.stop()

    run(main())


def test_a_commit_behind_a_change_of_the_target_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was proposed in time, and came late: the source may have been told already that it never counts."""

    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        monkeypatch.setattr(Merges, "look", lambda _: None)
        _, source = await cluster.leader(b"a")
        other, target = await cluster.leader(b"z")
        epoch = target.region.epoch
        await prepare(source, target)
        await cluster.until(lambda: all(peer.merging is not None for _, peer in cluster.peers(b"a")))
        await other.split(cluster.context(target), [b"t"], soon())
        merging = source.merging
        assert merging is not None
        assert source.group is not None
        entries = source.group.log.entries(merging.min_index + 1, merging.index + 1, 1 << 30)
        late = Commit(epoch.version, epoch.conf_ver, merging.index, source.region, entries)
        with pytest.raises(EpochNotMatch):
            await target.propose_now(encode_commit(late), soon())
        assert source.merging == merging
        assert len(cluster.running()[0].regions()) == 3
        await cluster.stop()

    run(main())


def test_a_merge_goes_on_after_all_stores_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        look = Merges.look
        monkeypatch.setattr(Merges, "look", lambda _: None)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await prepare(source, target)
        await cluster.until(lambda: all(peer.merging is not None for _, peer in cluster.peers(b"a")))
        await cluster.stop()
        for number in range(3):
            await cluster.boot(number)
        assert all(peer.merging is not None for _, peer in cluster.peers(b"a"))
        monkeypatch.setattr(Merges, "look", look)
        await merged(cluster)
        await cluster.stop()

    run(main())


def test_a_store_that_was_away_is_given_what_its_source_lacks() -> None:
    """It lacks writes, and the commit brings them."""

    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        store, source = await cluster.leader(b"a")
        await lead_together(cluster)
        _, target = await cluster.leader(b"z")
        away = next(number for number, other in enumerate(cluster.stores) if other is not store)
        absent = cluster.stores[away]
        assert absent is not None
        await cluster.until(lambda: len({peer.applied for _, peer in cluster.peers(b"a")}) == 1)
        await absent.stop()
        cluster.stores[away] = None
        for number in range(20):
            await store.write(cluster.context(source), [Put(CF_DEFAULT, b"b%02d" % number, b"v")], soon())
        await prepare(source, target)
        await merged(cluster)
        back = await cluster.boot(away)
        await merged(cluster)
        assert len(back.engine.scan(CF_DEFAULT, b"zb", b"zc", 100)) == 20
        await cluster.stop()

    run(main())


def test_a_store_that_lacks_what_both_logs_have_cut_gets_a_snapshot_of_the_target() -> None:
    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, log_entries_max=20, log_entries_keep=5))
        await two_regions(cluster)
        store, source = await cluster.leader(b"a")
        await lead_together(cluster)
        _, target = await cluster.leader(b"z")
        away = next(number for number, other in enumerate(cluster.stores) if other is not store)
        absent = cluster.stores[away]
        assert absent is not None
        await absent.stop()
        cluster.stores[away] = None
        await store.write(cluster.context(source), [Put(CF_DEFAULT, b"b", b"v")], soon())
        await prepare(source, target)
        await merged(cluster)
        heir = store.peer_of(target.region.id)
        assert heir is not None
        for number in range(100):
            await store.write(cluster.context(heir), [Put(CF_DEFAULT, b"c%02d" % number, b"v")], soon())
        assert heir.group is not None
        group = heir.group
        await cluster.until(lambda: group.log.first_index() > 80)
        back = await cluster.boot(away)
        await cluster.until(lambda: back.engine.get(CF_DEFAULT, b"zc99") == b"v")
        assert back.engine.get(CF_DEFAULT, b"zb") == b"v"
        assert keys_of(back.regions()) == [(b"", b"")]
        await cluster.stop()

    run(main())


def test_what_may_not_be_merged_now_is_refused() -> None:
    async def main() -> None:
        cluster = Cluster()
        await two_regions(cluster)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        for wrong in (replace(target.region, id=99), replace(target.region, epoch=source.region.epoch), source.region):
            if wrong == target.region:
                continue
            with pytest.raises(ServerIsBusy):
                prepare_merge(source, wrong, soon())
        assert source.merging is None
        await cluster.stop()

    run(main())


def test_the_driver_has_two_regions_merged_and_knows_when_it_is_done() -> None:
    async def main() -> None:
        cluster = Cluster(4)
        await two_regions(cluster)
        _, source = await cluster.leader(b"a")
        _, target = await cluster.leader(b"z")
        await cluster.until(lambda: len(list(cluster.placement.leader.cluster.regions)) == 2)
        plan = merge_region(cluster.placement.leader, source.region.id, target.region.id)
        await cluster.until(lambda: plan.end is not PlanEnd.RUNNING)
        assert plan.end is PlanEnd.SUCCESS
        (report,) = cluster.placement.leader.cluster.regions
        assert report.region.id == target.region.id
        await cluster.stop()

    run(main())


class Log:
    """The entries of a source's own log; those behind `agreed` are of a leader that was overtaken."""

    def __init__(self, agreed: int, last: int) -> None:
        self.held = [Entry(5 if index <= agreed else 4, index, data=b"%d" % index) for index in range(6, last + 1)]

    def entries(self, lo: int, hi: int, _: int) -> list[Entry]:
        return [entry for entry in self.held if lo <= entry.index < hi]


@pytest.mark.parametrize("applied", range(5, 13))
def test_a_source_takes_what_it_acknowledged_from_its_log_and_the_rest_from_the_commit(applied: int) -> None:
    source: Any = SimpleNamespace(applied=applied, group=SimpleNamespace(log=Log(9, 11)), region=Region(1))
    found = missing_entries(source, [Entry(5, index, data=b"%d" % index) for index in (10, 11, 12)])
    assert [(entry.term, entry.index) for entry in found] == [(5, index) for index in range(applied + 1, 13)]


def test_a_source_that_lacks_what_it_acknowledged_stops_the_target() -> None:
    source: Any = SimpleNamespace(applied=5, group=SimpleNamespace(log=Log(7, 7)), region=Region(1))
    with pytest.raises(Corruption, match="acknowledged"):
        missing_entries(source, [Entry(5, 10)])
