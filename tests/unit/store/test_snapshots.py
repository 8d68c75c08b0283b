"""Snapshots of regions: made, sent, taken in, and what happens to a peer meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

import pytest

from raftly.base.rand import SplitMix64
from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.region_errors import RegionNotFound
from raftly.base.types import Snapshot
from raftly.core.messages import MsgSnap
from raftly.engine.base import CF_DEFAULT
from raftly.errors import StorageError
from raftly.node.reads import Freshness, Read, Reads
from raftly.storage.snapshot import SNAPSHOT_DIR, SnapshotReader, SnapshotStore
from raftly.store.messages import Kind, StoreMessage
from raftly.store.ops import Put
from raftly.store.peer import RegionPeer
from raftly.store.region_snapshot import check_region, write_region
from raftly.store.region_state import ApplyState, PeerState, get_region_state, meta_of
from raftly.store.store import RegionStore
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryTransport
from raftly.transport.transfer import Begin, SnapshotSource
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, soon


@dataclass(slots=True)
class Offer:
    """See `Incoming`: a snapshot as another leader would send it."""

    begin: Begin
    data: bytes
    from_: int = 99
    resumable: bool = True

    async def chunks(self, offset: int = 0) -> AsyncGenerator[bytes, None]:
        yield self.data[offset:]


async def offer_of(store: RegionStore, peer: RegionPeer) -> Offer:
    """What the region holds, a hundred entries later."""
    meta = meta_of(peer.region, ApplyState(peer.applied + 100, peer.term + 1))
    files = SnapshotStore(MemFs(), store.cluster_id, peer.region.id, SplitMix64(9))
    files.open_dir()
    writer = files.create(meta)
    await write_region(store.engine, peer.region, writer.write)
    await writer.commit()
    reader = files.open(meta.index)
    message = MsgSnap(peer.peer_id, 999, peer.term + 1, Snapshot(meta, reader.header_bytes))
    return Offer(Begin(peer.region.id, reader.size, inline=False, id=b"", message=message), reader.read(0, reader.size))


async def with_a_key(cluster: Cluster) -> tuple[RegionStore, RegionPeer, Offer]:
    """A store alone whose region has one key, on a disk that takes its time, and a snapshot for it."""
    await cluster.start()
    store, peer = await cluster.leader()
    await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())
    offer = await offer_of(store, peer)

    async def on_sync(_: str) -> None:
        await asyncio.sleep(0.05)

    cluster.disks[0].on_sync = on_sync
    return store, peer, offer


async def cannot_read(*_: object) -> None:
    """In place of `ingest_region`."""
    raise StorageError("the disk did not give it")


async def is_gone_for_good(cluster: Cluster, store: RegionStore, peer: RegionPeer) -> bool:
    """No peer, no group, no key, a tombstone; and so after a restart."""
    region_id = peer.region.id
    await cluster.until(lambda: store.peer_of(region_id) is None)
    state = get_region_state(store.engine, region_id)
    assert state is not None
    left = [region_id in store.parts.driver.groups, *store.engine.scan(CF_DEFAULT, b"z", b"{", 9)]
    await store.stop()
    again = await cluster.boot(0)
    is_gone = again.peer_of(region_id) is None
    await again.stop()
    return is_gone and state.state is PeerState.TOMBSTONE and left == [False]


def test_a_peer_whose_removal_comes_as_its_keys_are_taken_in_is_gone_when_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        cluster = Cluster(1)
        store, peer, offer = await with_a_key(cluster)
        check = store._snapshots._check

        async def check_and_hear(
            incoming: Offer, peer: RegionPeer, reader: SnapshotReader
        ) -> tuple[Region, list[RegionPeer]]:
            checked = await check(incoming, peer, reader)
            store._peers._take_message(2, StoreMessage(Kind.GONE, peer.region.id, peer.peer_id))
            return checked

        monkeypatch.setattr(store._snapshots, "_check", check_and_hear)
        await store._snapshots.take(offer)
        assert await is_gone_for_good(cluster, store, peer)

    run(main())


def test_a_peer_that_the_driver_knows_no_more_is_gone_when_its_keys_are_taken_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        cluster = Cluster(1)
        store, peer, offer = await with_a_key(cluster)
        region = peer.region
        later = replace(region, epoch=RegionEpoch(region.epoch.conf_ver + 5, region.epoch.version), peers=(Peer(9, 9),))

        async def region_by_id(_: int) -> tuple[Region, None]:
            await cluster.until(lambda: region.id in store._peers.busy)  # the answer is long on its way
            return later, None

        with monkeypatch.context() as patch:
            patch.setattr(cluster.placement, "region_by_id", region_by_id)
            peer.leaderless_ticks = 1 << 20
            asking = asyncio.ensure_future(store._duties._settle_stale())
            await asyncio.sleep(0)
            await store._snapshots.take(offer)
            await asking
        assert await is_gone_for_good(cluster, store, peer)

    run(main())


def test_a_peer_whose_snapshot_cannot_be_read_has_failed_and_can_be_removed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        cluster = Cluster(1)
        store, peer, offer = await with_a_key(cluster)
        with monkeypatch.context() as patch:
            patch.setattr("raftly.store.snapshots.ingest_region", cannot_read)
            with pytest.raises(StorageError):
                await store._snapshots.take(offer)
        assert isinstance(peer.failure, StorageError)
        assert f"peer {peer.peer_id} of region {peer.region.id} stopped" in caplog.text
        assert store.failure is None
        store._peers._take_message(2, StoreMessage(Kind.GONE, peer.region.id, peer.peer_id))
        assert await is_gone_for_good(cluster, store, peer)

    run(main())


def test_a_store_starts_without_a_peer_whose_snapshot_is_damaged_and_with_it_when_it_can_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        parts = await store.split(cluster.context(peer), [b"m"], soon())
        await cluster.leader(b"z")
        offer = await offer_of(store, peer)
        with monkeypatch.context() as patch:
            patch.setattr("raftly.store.snapshots.ingest_region", cannot_read)
            with pytest.raises(StorageError):
                await store._snapshots.take(offer)
        await store.stop()
        disk, directory = cluster.disks[0], f"{SNAPSHOT_DIR}/{parts[0].id}"
        (name,) = disk.list(directory)
        file = disk.open(f"{directory}/{name}")
        sound = file.read(0, file.size())
        file.close()
        for content in (sound[:-20] + bytes(1) + sound[-19:], b"no snapshot", sound):
            disk.put(f"{directory}/{name}", content)
            store = await cluster.boot(0)
            found = store.peer_of(parts[0].id)
            assert found is not None
            assert (found.failure is None) == (content is sound)
            assert disk.list(directory) == ([] if content is sound else [name])
            _, other = await cluster.leader(b"z")
            await store.write(cluster.context(other), [Put(CF_DEFAULT, b"z", b"v")], soon())
            await store.stop()

    run(main())


def test_two_members_that_need_a_snapshot_at_once_both_get_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []

    async def send_snapshot(_: MemoryTransport, to: int, group: int, message: MsgSnap, source: SnapshotSource) -> None:
        disk = MemFs()
        disk.put("it", b"".join([chunk async for chunk in source.chunks(0, 1 << 20)]))
        _region, size = await check_region(SnapshotReader("it", disk.open("it")).chunks())
        sent.append((to, size.keys))

    async def main() -> None:
        cluster = Cluster(3)
        await cluster.start()
        monkeypatch.setattr(MemoryTransport, "send_snapshot", send_snapshot)
        store, peer = await cluster.leader()
        for number in range(20):
            await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"%03d" % number, bytes(64 << 10))], soon())
        others = [member for member in peer.region.peers if member.id != peer.peer_id]
        meta = meta_of(peer.region, ApplyState(peer.applied, peer.applied_term))
        offers = [MsgSnap(other.id, peer.peer_id, peer.term, Snapshot(meta)) for other in others]
        await asyncio.gather(*(store._snapshots._make_and_send(peer, offer) for offer in offers))
        assert sent == [(other.store_id, 20) for other in others]
        assert cluster.disks[cluster.stores.index(store)].list(f"{SNAPSHOT_DIR}/{peer.region.id}") == []
        await cluster.stop()

    run(main())


def test_what_a_crash_left_goes_at_the_start_but_what_a_peer_may_get_the_rest_of_and_that_with_the_peer() -> None:
    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        _, peer = await cluster.leader()
        region_id = peer.region.id
        await cluster.stop()
        disk = cluster.disks[0]
        name = f"{7:020}-{6:020}"
        for group in (region_id, 4711):
            for kind in ("snap", "tmp", "part"):
                disk.put(f"{SNAPSHOT_DIR}/{group}/{name}.{kind}", b"of a crash")
        store = await cluster.boot(0)
        assert disk.list(f"{SNAPSHOT_DIR}/4711") == []
        assert disk.list(f"{SNAPSHOT_DIR}/{region_id}") == [f"{name}.part"]
        store._peers._take_message(2, StoreMessage(Kind.GONE, region_id, peer.peer_id))
        await cluster.until(lambda: disk.list(f"{SNAPSHOT_DIR}/{region_id}") == [])
        await cluster.stop()

    run(main())


def test_a_leader_hears_that_a_snapshot_is_taken_in_although_it_gave_up_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[object] = []
    send = MemoryTransport.send_snapshot
    under_way: set[asyncio.Future[None]] = set()

    async def send_snapshot(
        transport: MemoryTransport, to: int, group: int, message: MsgSnap, source: SnapshotSource
    ) -> None:
        sending = asyncio.ensure_future(send(transport, to, group, message, source))
        under_way.add(sending)
        sending.add_done_callback(lambda done: taken.append(done.exception()))
        async with asyncio.timeout(0.2):
            await asyncio.shield(sending)

    async def main() -> None:
        cluster = Cluster(options=replace(OPTIONS, log_entries_max=20, log_entries_keep=5, log_check_interval=0.1))
        await cluster.start()
        store, peer = await cluster.leader()
        away = next(number for number, other in enumerate(cluster.stores) if other is not store)
        absent = cluster.stores[away]
        assert absent is not None
        await absent.stop()
        cluster.stores[away] = None

        async def write(count: int) -> None:
            for _ in range(count):
                await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"k", b"v")], soon())

        await write(100)
        group = peer.group
        assert group is not None
        await cluster.until(lambda: group.log.first_index() > 50)
        monkeypatch.setattr(MemoryTransport, "send_snapshot", send_snapshot)

        async def on_sync(path: str) -> None:
            await asyncio.sleep(0.5 if "engine" in path else 0.0)

        cluster.disks[away].on_sync = on_sync
        back = await cluster.boot(away)
        replica = back.peer_of(peer.region.id)
        assert replica is not None
        for _ in range(60):
            await write(1)
            await asyncio.sleep(0.1)
        assert 1 <= taken.count(None) <= 2
        assert replica.applied > peer.applied - 5
        await cluster.stop()

    run(main())


def test_a_read_at_a_replica_whose_keys_are_being_replaced_finds_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        cluster = Cluster()
        await cluster.start()
        store, leader = await cluster.leader()
        await store.write(cluster.context(leader), [Put(CF_DEFAULT, b"k", b"v")], soon())
        home, replica = next((home, peer) for home, peer in cluster.peers(b"") if not peer.is_leader)
        wait = Reads.wait

        async def wait_and_leave(reads: Reads, read: Read, within: float) -> Freshness:
            found = await wait(reads, read, within)
            replica.rest("a snapshot takes the place of the entries")  # in the same turn of the loop
            return found

        monkeypatch.setattr(Reads, "wait", wait_and_leave)
        with pytest.raises(RegionNotFound):
            await home.read(cluster.context(replica, replica_read=True), soon())
        await cluster.stop()

    run(main())
