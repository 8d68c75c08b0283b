"""Merges, and crashes at the moments that they must be ready for."""

import asyncio
from dataclasses import replace
from unittest.mock import Mock

import pytest

from raftly.base.region import Region
from raftly.base.region_errors import RegionError
from raftly.engine.base import CF_DEFAULT
from raftly.engine.memory import MemoryEngine
from raftly.node.group import Group
from raftly.pd.config import ScheduleConfig
from raftly.store.kv import RequestContext
from raftly.store.merging import Merges, prepare_merge
from raftly.store.messages import Kind, StoreMessage
from raftly.store.ops import Put
from raftly.store.peer import RegionPeer
from raftly.store.peers import Peers
from raftly.store.region_state import PeerState, get_region_state
from raftly.store.store import RegionStore
from raftly.testing.sim import MessageTransport
from tests.sim_store.world import OPTIONS, StoreWorld

CALM = replace(OPTIONS, region_max_bytes=1 << 30, region_split_bytes=1 << 29)
FAR_S = 30.0


def holders(world: StoreWorld, key: bytes) -> list[tuple[int, RegionStore, RegionPeer]]:
    """Where the region of a key is."""
    return [
        (number, store, peer)
        for number, store in sorted(world.running.items())
        for region in store.regions()
        if region.contains(key) and (peer := store.peer_of(region.id)) is not None
    ]


async def leader_of(world: StoreWorld, key: bytes) -> tuple[int, RegionStore, RegionPeer]:
    await world.until(lambda: any(peer.knows_all for _, _, peer in holders(world, key)), "nobody leads")
    return next(holder for holder in holders(world, key) if holder[2].knows_all)


async def put(world: StoreWorld, key: bytes) -> None:
    number, store, peer = await leader_of(world, key)

    async def write() -> None:
        ctx = RequestContext(peer.region.id, peer.region.epoch, peer.own())
        await store.write(ctx, [Put(CF_DEFAULT, key, b"v")], asyncio.get_running_loop().time() + FAR_S)

    await world.hosts[number].run(write())


async def split(world: StoreWorld, key: bytes) -> None:
    number, store, peer = await leader_of(world, key)

    async def cut() -> list[Region]:
        ctx = RequestContext(peer.region.id, peer.region.epoch, peer.own())
        return await store.split(ctx, [key], asyncio.get_running_loop().time() + FAR_S)

    count = len(await world.hosts[number].run(cut()))
    assert count == 2
    whole = len(world.running)

    def is_everywhere() -> bool:
        found = [peer.region.start_key for _, _, peer in holders(world, key)]
        return found == [key] * whole

    await world.until(is_everywhere, "the split is not everywhere")


async def prepare(world: StoreWorld, source_key: bytes, target_key: bytes) -> None:
    """Again and again until the source merges: somebody may lag."""
    deadline = world.world.now + FAR_S
    while True:
        number, _, source = await leader_of(world, source_key)
        _, _, target = await leader_of(world, target_key)

        async def merge(source: RegionPeer = source, target: RegionPeer = target) -> None:
            done = prepare_merge(source, target.region, asyncio.get_running_loop().time() + FAR_S)
            if done is not None:
                await done

        try:
            await world.hosts[number].run(merge())
        except RegionError:
            assert world.world.now < deadline, "it could not be prepared"
            await asyncio.sleep(0.1)
        else:
            return


def is_whole(world: StoreWorld) -> bool:
    return all([(r.start_key, r.end_key) for r in store.regions()] == [(b"", b"")] for store in world.running.values())


def forget_what_follows(monkeypatch: pytest.MonkeyPatch) -> list[MemoryEngine]:
    """Engines that are put into the list come to no sync any more."""
    sync = MemoryEngine.sync
    forgetful: list[MemoryEngine] = []

    async def never(engine: MemoryEngine) -> None:
        await (asyncio.sleep(3600) if engine in forgetful else sync(engine))

    monkeypatch.setattr(MemoryEngine, "sync", never)
    return forgetful


@pytest.mark.parametrize("source_key,target_key", [(b"z", b"a"), (b"a", b"z")])
def test_a_power_cut_that_takes_back_split_and_merge_gives_them_again(
    monkeypatch: pytest.MonkeyPatch, source_key: bytes, target_key: bytes
) -> None:
    """One store's engine had nothing synced since before the split: its log brings both."""
    world = StoreWorld(seed=7, size=3, options=CALM)
    forgetful = forget_what_follows(monkeypatch)

    async def script() -> None:
        await world.start()
        await put(world, b"a")
        number = min(world.running)
        engine = world.running[number].engine
        assert isinstance(engine, MemoryEngine)
        await world.hosts[number].run(engine.sync())
        forgetful.append(engine)
        await split(world, b"m")
        source_id = (await leader_of(world, source_key))[2].region.id
        await put(world, b"z")
        await put(world, b"b")
        await prepare(world, source_key, target_key)
        await world.until(lambda: is_whole(world), "it is not merged")
        world.hosts[number].kill(power=True)
        await world.boot(number)
        assert not is_whole(world), "nothing was taken back"
        await world.until(lambda: is_whole(world), "it is not merged again")
        state = get_region_state(world.running[number].engine, source_id)
        assert state is not None
        assert state.state is PeerState.MERGED
        assert len(world.running[number].engine.scan(CF_DEFAULT, b"z", b"{", 10)) == 3
        await world.settle()

    world.run(script(), within=300)


def test_a_commit_waits_for_the_split_that_brings_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine lost split and merge; the region that was split comes back later than the target."""
    world = StoreWorld(seed=7, size=3, options=CALM)
    forgetful = forget_what_follows(monkeypatch)
    held: list[tuple[Peers, RegionPeer]] = []
    late: set[int] = set()
    start = Peers.start

    def start_but_one(peers: Peers, peer: RegionPeer, *, new: bool = False) -> Group | Mock:
        if peer.region.id not in late:
            return start(peers, peer, new=new)
        held.append((peers, peer))
        return Mock()

    async def script() -> None:
        await world.start()
        await split(world, b"m")
        for key in (b"a", b"h", b"z"):
            await put(world, key)
        number = min(world.running)
        engine = world.running[number].engine
        assert isinstance(engine, MemoryEngine)
        await world.hosts[number].run(engine.sync())
        forgetful.append(engine)
        parent_id = holders(world, b"a")[0][2].region.id
        await split(world, b"g")
        await put(world, b"i")
        await prepare(world, b"h", b"z")

        def is_merged() -> bool:
            return all(len(store.regions()) == 2 for store in world.running.values())

        await world.until(is_merged, "it is not merged")
        world.hosts[number].kill(power=True)
        late.add(parent_id)
        monkeypatch.setattr(Peers, "start", start_but_one)
        await world.boot(number)
        back = world.running[number]
        await world.until(lambda: back._peers.stalled, "the commit did not wait")
        late.clear()

        async def go_on() -> None:
            for peers, peer in held:
                peers.start(peer)

        await world.hosts[number].run(go_on())
        await world.until(lambda: not back._peers.stalled and is_merged(), "it is not merged again")
        assert len(back.engine.scan(CF_DEFAULT, b"z", b"{", 10)) == 4
        await world.settle()

    world.run(script(), within=300)


def test_all_stores_lose_power_while_a_region_merges(monkeypatch: pytest.MonkeyPatch) -> None:
    world = StoreWorld(seed=8, size=3, options=CALM)
    look = Merges.look

    async def script() -> None:
        await world.start()
        await split(world, b"m")
        await put(world, b"z")
        monkeypatch.setattr(Merges, "look", lambda _: None)
        await prepare(world, b"z", b"a")
        for number in sorted(world.running):
            world.hosts[number].kill(power=True)
        for number in sorted(world.hosts):
            await world.boot(number)
        monkeypatch.setattr(Merges, "look", look)
        await world.until(lambda: is_whole(world), "it is not merged")
        await world.settle()

    world.run(script(), within=300)


def test_a_store_that_jumped_over_merge_and_split_knows_nothing_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The target comes by a snapshot from after both, and looks there as if it had only been split."""
    world = StoreWorld(seed=9, size=3, options=replace(CALM, stale_peer_timeout=600.0))  # the driver is not asked
    look = Merges.look
    refused: list[int] = []

    async def script() -> None:
        await world.start()
        await split(world, b"m")
        await put(world, b"z")
        monkeypatch.setattr(Merges, "look", lambda _: None)
        await prepare(world, b"z", b"a")
        await world.until(lambda: all(peer.merging for _, _, peer in holders(world, b"z")), "not all merge")
        source_id = holders(world, b"z")[0][2].region.id
        first, _, _ = await leader_of(world, b"a")
        late = [number for number in sorted(world.running) if number != first]
        kept = world.running[first]
        await world.hosts[late[0]].run(world.running[late[0]].engine.sync())
        world.hosts[late[0]].kill()
        monkeypatch.setattr(Merges, "look", look)
        monkeypatch.setattr(Merges, "_refuse", lambda _, source, __: refused.append(source.region.id))
        await world.until(lambda: is_whole(world), "it is not merged")
        await split(world, b"m")
        for _ in range(150):
            await put(world, b"a")
        heir = next(peer for _, store, peer in holders(world, b"a") if store is kept)
        assert heir.group is not None
        group = heir.group
        await world.until(lambda: group.log.first_index() > 60, "the log is not cut")
        deaf = [True]
        send = Peers.send

        def send_all_but_merged(peers: Peers, to: int, message: StoreMessage) -> None:
            if not deaf or message.kind is not Kind.MERGED:
                send(peers, to, message)

        monkeypatch.setattr(Peers, "send", send_all_but_merged)
        await world.boot(late[0])
        back = world.running[late[0]]
        await asyncio.sleep(3.0)
        left = back.peer_of(source_id)
        came = back.peer_of(heir.region.id)
        assert left is not None
        assert left.merging is not None
        assert came is not None
        assert came.region == heir.region
        assert not came.region.overlaps(left.region)
        deaf.clear()
        await world.settle()
        assert all(store.peer_of(source_id) is None for store in world.running.values())
        assert not refused

    world.run(script(), within=300)


def test_a_region_that_was_cut_off_comes_again_although_its_parent_needs_a_snapshot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine lost the split, the new region's log is there, and the parent's is cut behind the split elsewhere."""
    world = StoreWorld(seed=2, size=3, options=CALM)
    forgetful = forget_what_follows(monkeypatch)

    async def script() -> None:
        await world.start()
        for key in (b"a", b"z"):
            await put(world, key)
        first = (await leader_of(world, b"a"))[0]
        number = next(number for number in sorted(world.running) if number != first)
        engine = world.running[number].engine
        assert isinstance(engine, MemoryEngine)
        await world.hosts[number].run(engine.sync())
        forgetful.append(engine)
        await split(world, b"m")
        child = next(peer for at, _, peer in holders(world, b"z") if at == number)
        await world.until(lambda: child.group is not None, "it does not live")
        world.hosts[number].kill(power=True)
        for _ in range(150):
            await put(world, b"a")
        group = (await leader_of(world, b"a"))[2].group
        assert group is not None
        await world.until(lambda: group.log.first_index() > 60, "the log is not cut")
        world.hosts[first].kill()  # who leads next does not know how far the others came
        await world.boot(first)
        await leader_of(world, b"a")
        await world.boot(number)
        back = world.running[number]
        await world.until(lambda: len(back.regions()) == 2, "it does not come again")
        await world.settle()

    world.run(script(), within=300)


def test_most_of_a_source_is_late_and_one_peer_of_it_comes_by_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five stores with a peer of both regions on each: one jumps, two lag, and all of them end as one region."""
    world = StoreWorld(seed=11, size=5, options=CALM, schedule=ScheduleConfig(max_replicas=5))
    look = Merges.look

    async def script() -> None:
        await world.start()
        await split(world, b"m")
        await put(world, b"z")
        home, _, _ = await leader_of(world, b"z")
        jumps, *late = [number for number in sorted(world.running) if number != home][:3]
        world.hosts[jumps].kill()
        for _ in range(150):
            await put(world, b"z")
        group = (await leader_of(world, b"z"))[2].group
        assert group is not None
        await world.until(lambda: group.log.first_index() > 60, "the log is not cut")
        await world.boot(jumps)
        await world.until(lambda: len({peer.applied for _, _, peer in holders(world, b"z")}) == 1, "it does not jump")
        monkeypatch.setattr(Merges, "look", lambda _: None)
        for number in late:
            world.hosts[number].kill(power=True)
        await put(world, b"y")
        await prepare(world, b"z", b"a")
        monkeypatch.setattr(Merges, "look", look)
        await world.until(lambda: is_whole(world), "it is not merged by those who are here")
        for number in late:
            await world.boot(number)
        await world.until(lambda: is_whole(world), "it is not merged everywhere")
        for store in world.running.values():
            assert len(store.engine.scan(CF_DEFAULT, b"z", b"{", 10)) == 2
        await world.settle()

    world.run(script(), within=300)


def test_keys_of_a_source_are_not_taken_while_the_target_beside_it_needs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was cut off the merged region comes by a snapshot where the target has not applied the commit yet."""
    world = StoreWorld(seed=12, size=3, options=CALM)
    look, take = Merges.look, MessageTransport.take
    deaf: set[tuple[int, int]] = set()

    def take_unless_deaf(end: MessageTransport, from_: int, directory: int, group: int, data: bytes) -> None:
        if (end._id, group) not in deaf:
            take(end, from_, directory, group, data)

    async def script() -> None:
        await world.start()
        await split(world, b"m")
        await put(world, b"z")
        monkeypatch.setattr(Merges, "look", lambda _: None)
        await prepare(world, b"z", b"a")
        await world.until(lambda: all(peer.merging for _, _, peer in holders(world, b"z")), "not all merge")
        source_id = holders(world, b"z")[0][2].region.id
        target = holders(world, b"a")[0][2].region.id
        leaders = {(await leader_of(world, key))[0] for key in (b"a", b"z")}
        late = next(number for number in sorted(world.running) if number not in leaders)
        late_id = world.running[late].id
        await world.hosts[late].run(world.running[late].engine.sync())
        world.hosts[late].kill()
        monkeypatch.setattr(Merges, "look", look)
        await world.until(lambda: is_whole(world), "it is not merged")
        await split(world, b"m")
        await put(world, b"y")
        monkeypatch.setattr(MessageTransport, "take", take_unless_deaf)
        deaf.add((late_id, target))
        await world.boot(late)
        back = world.running[late]
        await asyncio.sleep(3.0)
        left = back.peer_of(source_id)
        assert left is not None
        assert left.heir is not None
        deaf.clear()
        await world.settle()
        assert back.peer_of(source_id) is None

    world.run(script(), within=300)
