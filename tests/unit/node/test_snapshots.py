"""Snapshots as files: made while the class goes on, sent and resumed, taken in, damaged, collected. Virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest

from raftly.base.types import NodeId, Snapshot, SnapshotMeta
from raftly.core.messages import MsgSnap
from raftly.errors import (
    ConfigError,
    Corruption,
    DiskFull,
    OutcomeUnknown,
    SnapshotNotReady,
    StorageError,
    TransferFailed,
)
from raftly.node import FOLLOWER, Replicated, command
from raftly.node.driver import Driver
from raftly.node.errors import NodeStopped, SnapshotFailed
from raftly.node.machine import StateMachine
from raftly.node.snapshot_files import read_state
from raftly.storage.items import Item
from raftly.testing.faultfs import Effect, Fault
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryOffer
from raftly.transport.transfer import Begin
from tests.support.nodes import Nodes, Register, Replicas
from tests.support.stateful import LINE_BYTES, Counts, Ledger
from tests.support.virtual import run

DIR = "snapshots/1"


class Disks(Replicas[Counts]):
    """Replicas whose class keeps its state on the disk of its node."""

    def __init__(self, count: int = 3, *, lazy: int = 1, **options: Any) -> None:
        super().__init__(Counts, count, **options)
        self.lazy = lazy

    async def start(self, id_: int, **more: Any) -> Replicated[Counts]:
        disk = self.disks[id_]
        self.factory = lambda: Ledger(disk, self.lazy)
        return await super().start(id_, **more)


def make(kind: str, count: int = 3, **options: Any) -> Replicas[Any]:
    if kind == "fields":
        return Nodes(count, **options)
    if kind == "streams":
        return Replicas(Counts, count, **options)
    return Disks(count, lazy=3 if kind == "lazy" else 1, **options)


KINDS = ("streams", "disk", "lazy")


async def add_many(node: Replicated[Any], count: int, name: str = "n") -> None:
    for _ in range(count):
        await node.call(Counts.add, name)


class Reporting:
    """A driver, as far as snapshots know it, that keeps what is reported."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.groups = driver.groups
        self.told: list[tuple[NodeId, bool]] = []

    def report_snapshot(self, id_: int, peer: NodeId, *, failed: bool) -> None:
        self.told.append((peer, failed))
        self.driver.report_snapshot(id_, peer, failed=failed)

    def write(self, item: Item) -> None:
        self.driver.write(item)


def reports(node: Replicated[Any]) -> list[tuple[NodeId, bool]]:
    """What is reported to the core from now on."""
    reporting = Reporting(node._driver)
    node._snapshots._driver = cast("Driver", reporting)
    return reporting.told


async def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if holds():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to be")


# --- making ---


def test_a_snapshot_is_of_the_index_at_which_it_began_whatever_runs_meanwhile() -> None:
    async def main() -> None:
        async with Replicas(Counts, 1, snapshot_entries=1000) as nodes:
            leader = await nodes.leader()
            await leader.call(Counts.fill, 200_000)  # 12.8 MB, so it is synced on the way
            index = leader.machine.applied
            nodes.disks[1].on_sync = lambda path: asyncio.sleep(1.0 if path.startswith(DIR) else 0.0)
            making = asyncio.ensure_future(leader.take_snapshot())
            await add_many(leader, 5)
            assert not making.done()
            assert await making == index
            reader = leader._snapshots._files.open(index)
            restored = StateMachine(Counts)

            async def chunks() -> AsyncIterator[bytes]:
                for chunk in reader.chunks():
                    yield chunk

            restored.adopt(await restored.codec.read(chunks()))
            assert restored.applied == index
            assert len(restored.instance.counts) == 200_000
            assert max(restored.instance.chunks) <= 1 << 20
            assert "n" not in restored.instance.counts

    run(main())


def test_a_snapshot_is_of_what_is_applied_not_of_all_that_the_log_holds() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            nodes.network.isolate(leader.config.id)
            call = asyncio.ensure_future(leader.call(Register.set, "a", 2))
            await asyncio.sleep(0.05)
            assert await leader.take_snapshot() == leader.machine.applied < leader._log.last_index()
            call.cancel()

    run(main())


def test_the_loop_turns_between_the_pieces() -> None:
    async def main() -> None:
        async with Replicas(Counts, 1, snapshot_entries=1000) as nodes:
            leader = await nodes.leader()
            await leader.call(Counts.fill, 50_000)
            turns = 0

            async def count() -> None:
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            counting = asyncio.ensure_future(count())
            await leader.take_snapshot()
            assert turns >= 50_000 * LINE_BYTES // (256 << 10)
            turns = 0
            await read_state(leader._snapshots._files, leader.machine.applied, leader.machine.codec)
            assert turns >= 50_000 * LINE_BYTES >> 20
            counting.cancel()

    run(main())


def test_a_snapshot_on_request_is_made_once_and_holds_all_that_is_applied() -> None:
    async def main() -> None:
        async with Replicas(Counts, 1) as nodes:
            leader = await nodes.leader()
            await add_many(leader, 3)
            first = await asyncio.gather(*(leader.take_snapshot() for _ in range(3)))
            assert first == [leader.machine.applied] * 3
            await add_many(leader, 2)
            assert await leader.take_snapshot() == first[0] + 2
            names = leader._snapshots._files.names()
            assert [name.index for name in names] == [first[0], first[0] + 2]
        with pytest.raises(NodeStopped):
            await leader.take_snapshot()

    run(main())


class Halfway(Counts):
    @command
    def move(self, from_: str, to: str) -> int:
        self.counts[from_] -= 1
        raise ZeroDivisionError


def test_what_a_command_left_halfway_is_in_no_snapshot() -> None:
    async def main() -> None:
        async with Replicas(Halfway, 1, snapshot_entries=1000) as nodes:
            leader = await nodes.leader()
            await leader.call(Halfway.fill, 50_000)
            writing = asyncio.ensure_future(leader.take_snapshot())
            await asyncio.sleep(0)
            await leader.call(Halfway.add, "a")
            waiting = asyncio.ensure_future(leader.take_snapshot())
            await asyncio.sleep(0)
            assert not writing.done()
            with pytest.raises(OutcomeUnknown):
                await leader.call(Halfway.move, "a", "b")
            index = await writing
            with pytest.raises(NodeStopped):
                await waiting
            leader._snapshots._begin(again=True)  # as when a file was found to be damaged
            assert leader._snapshots._making is None
            assert [name.index for name in leader._snapshots._files.names()] == [index]

    run(main())


def test_bytes_of_log_bring_a_snapshot_and_cut_the_log_too() -> None:
    async def main() -> None:
        async with Nodes(1, snapshot_bytes=20_000) as nodes:
            leader = await nodes.leader()
            for number in range(10):
                await leader.call(Register.set, f"{number}" * 1000, number)
            await asyncio.sleep(1)
            assert leader._snapshots._files.names() == []
            for number in range(40):
                await leader.call(Register.set, f"{number:02}" * 500, number)
                await asyncio.sleep(0.1)
            assert leader._log.first_index() > 20
            assert leader.machine.applied - leader._log.first_index() >= 9

    run(main())


@pytest.mark.parametrize("keep", [1, 3])
def test_old_snapshots_go_and_what_the_log_needs_stays(keep: int) -> None:
    async def main() -> None:
        async with Replicas(Counts, 1, snapshot_entries=10, snapshots_keep=keep) as nodes:
            leader = await nodes.leader()
            indexes: list[int] = []
            for _ in range(10):
                await add_many(leader, 11)
                await asyncio.sleep(0.3)
                indexes = [name.index for name in leader._snapshots._files.names()]
                begin = leader._log.snapshot_meta.meta.index
                assert not begin or begin in indexes
                assert len(indexes) <= keep + 1
            assert len(indexes) >= keep

    run(main())


def test_a_class_that_cannot_be_saved_keeps_its_log_and_says_why() -> None:
    class Broken(Counts):
        wrong = True

        def snapshot(self) -> Iterator[bytes]:
            yield b"x"
            if self.wrong:
                raise ZeroDivisionError("half of it")

    async def main() -> None:
        async with Replicas(Broken, 1, snapshot_entries=5) as nodes:
            leader = await nodes.leader()
            await add_many(leader, 20)
            failure = leader.snapshot_failure
            assert isinstance(failure, SnapshotFailed)
            assert "half of it" in str(failure)
            assert leader._log.first_index() == 1
            assert nodes.disks[1].list(DIR) == []
            with pytest.raises(SnapshotFailed):
                await leader.take_snapshot()
            leader.machine.instance.wrong = False
            await leader.take_snapshot()
            assert leader.snapshot_failure is None

    run(main())


def test_a_full_disk_stops_a_snapshot_and_not_the_node() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            fault = nodes.faults[1].add(Fault("write", Effect.DISK_FULL, path=DIR, times=None))
            with pytest.raises(DiskFull):
                await leader.take_snapshot()
            assert isinstance(leader.snapshot_failure, DiskFull)
            assert await leader.call(Register.add, "a", 1) == 2
            nodes.faults[1].faults.remove(fault)
            await leader.take_snapshot()
            assert [name.split(".")[1] for name in nodes.disks[1].list(DIR)] == ["snap"]

    run(main())


# --- classes ---


def test_a_class_with_half_of_what_it_needs_is_refused() -> None:
    class Base:
        @command
        def do(self) -> None: ...

    class OnlySnapshot(Base):
        def snapshot(self) -> list[bytes]:
            return []

    class PlainRestore(OnlySnapshot):
        def restore(self, chunks: AsyncIterator[bytes]) -> None: ...

    class NoClose(OnlySnapshot):
        async def restore(self, chunks: AsyncIterator[bytes]) -> None: ...

        def durable(self) -> None: ...

        def save(self, index: int, head: bytes) -> None: ...

    class NoSave(NoClose):
        save = None  # type: ignore[assignment]

    for cls, lacking in ((OnlySnapshot, "restore"), (PlainRestore, "async"), (NoClose, "close"), (NoSave, "save")):
        with pytest.raises(ConfigError, match=lacking):
            StateMachine(cls)


def test_commands_may_have_those_names() -> None:
    class Camera:
        taken: int = 0

        @command
        def snapshot(self) -> int:
            self.taken += 1
            return self.taken

    machine = StateMachine(Camera)
    assert not machine.codec.streams


def test_what_is_not_bytes_is_refused() -> None:
    class Text(Counts):
        def snapshot(self) -> Iterator[bytes]:
            yield "text"  # type: ignore[misc]

    with pytest.raises(SnapshotFailed, match="str"):
        list(StateMachine(Text).stream())


@pytest.mark.parametrize("kind", ["fields", *KINDS])
def test_the_digest_is_equal_wherever_the_state_came_from(kind: str) -> None:
    async def main() -> None:
        async with make(kind, snapshot_entries=20) as nodes:
            leader = await nodes.leader()
            behind = nodes.others(leader)[0].config.id
            await nodes.stop(behind)

            async def add(name: str) -> None:
                if kind == "fields":
                    await leader.call(Register.add, name, 1)
                else:
                    await leader.call(Counts.add, name)

            for number in range(70):
                await add(f"{number}")
            await nodes.start(behind)
            await nodes.equal()
            await add("last")
            await nodes.equal()

    run(main())


# --- sending and taking in ---


async def lagging(nodes: Replicas[Counts], lines: int) -> tuple[Replicated[Counts], int]:
    """A leader whose log begins behind what one stopped follower has."""
    leader = await nodes.leader()
    behind = nodes.others(leader)[0].config.id
    await nodes.stop(behind)
    await leader.call(Counts.fill, lines)
    await add_many(leader, 2 * nodes.options["snapshot_entries"] + 5)
    await until(lambda: leader._log.first_index() > nodes.options["snapshot_entries"])
    return leader, behind


@pytest.mark.parametrize("kind", KINDS)
def test_a_follower_far_behind_takes_the_file_and_goes_on(kind: str) -> None:
    async def main() -> None:
        async with make(kind, snapshot_entries=20) as nodes:
            leader, behind = await lagging(nodes, 2000)
            told = reports(leader)
            node = await nodes.start(behind)
            first = node.machine.instance
            await nodes.equal()
            assert told == [(behind, False)]
            assert node.machine.instance is not first
            assert node.look(Counts.get, "line-1999") == 1999
            assert node._log.snapshot_meta.meta.index in [name.index for name in node._snapshots._files.names()]
            assert not node._log.snapshot_meta.data
            await add_many(leader, 50)
            await nodes.equal()
            await nodes.stop(behind)
            node = await nodes.start(behind)
            await nodes.equal()

    run(main())


def test_sending_is_limited_and_a_cut_connection_is_gone_on_with() -> None:
    async def main() -> None:
        async with Replicas(Counts, snapshot_entries=20, snapshot_rate=1 << 19) as nodes:
            leader, behind = await lagging(nodes, 32_000)  # 2 MB, 4 s
            told = reports(leader)
            starts: list[int] = []
            original = MemoryOffer.chunks

            def chunks(self: MemoryOffer, offset: int = 0) -> Any:
                starts.append(offset)
                return original(self, offset)

            MemoryOffer.chunks = chunks  # type: ignore[method-assign]
            try:
                node = await nodes.start(behind)
                loop = asyncio.get_running_loop()
                began = loop.time()
                await until(lambda: bool(starts))
                await asyncio.sleep(2.5)
                nodes.network.isolate(behind)
                await until(lambda: bool(told))
                nodes.network.heal()
                await nodes.equal()
            finally:
                MemoryOffer.chunks = original  # type: ignore[method-assign]
            assert told == [(behind, True), (behind, False)]
            assert starts[0] < 1000
            assert starts[1] > 1 << 20
            assert loop.time() - began > 3.0
            assert node.look(Counts.get, "line-31999") == 31_999

    run(main())


def test_a_taker_that_starts_again_goes_on_too() -> None:
    async def main() -> None:
        async with Replicas(Counts, snapshot_entries=20, snapshot_rate=1 << 19) as nodes:
            _, behind = await lagging(nodes, 32_000)
            await nodes.start(behind)

            def part() -> list[str]:
                return [name for name in nodes.disks[behind].list(DIR) if name.endswith(".part")]

            await until(lambda: bool(part()))
            await asyncio.sleep(2.5)
            await nodes.stop(behind)
            kept = len(nodes.disks[behind].content(f"{DIR}/{part()[0]}"))
            assert kept > 1 << 20
            node = await nodes.start(behind)
            assert len(nodes.disks[behind].content(f"{DIR}/{part()[0]}")) >= kept >> 20 << 20
            await nodes.equal()
            assert node.look(Counts.get, "line-31999") == 31_999
            assert part() == []

    run(main())


def test_a_damaged_file_is_refused_by_the_taker_and_made_again_by_the_sender() -> None:
    async def main() -> None:
        async with Replicas(Counts, snapshot_entries=20) as nodes:
            leader, behind = await lagging(nodes, 40_000)
            told = reports(leader)
            damaged = leader._snapshots._newest
            path = leader._snapshots._files.path_of(damaged)
            disk = nodes.disks[leader.config.id]
            disk._state.names[path].current[1_500_000] ^= 1
            node = await nodes.start(behind)
            await until(lambda: bool(told))
            assert told == [(behind, True)]
            await nodes.equal()
            assert leader._snapshots._newest.index > damaged.index
            assert told[-1] == (behind, False)
            assert node.look(Counts.get, "line-39999") == 39_999

    run(main())


def offer_of(nodes: Replicas[Any], node: Replicated[Any], message: MsgSnap, group: int = 1) -> MemoryOffer:
    begin = Begin(group, 1000, inline=False, id=b"x", message=message)
    sender = next(id_ for id_ in nodes.nodes if id_ != node.config.id)
    return MemoryOffer(nodes.network, sender, node.config.id, begin, None)  # type: ignore[arg-type]


def test_what_is_no_snapshot_for_this_node_is_refused_and_changes_nothing() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            node = nodes.others(leader)[0]
            me, term = node.config.id, node._group.raw.raft.term
            meta = SnapshotMeta(1000, term, node._driver.groups[1].raw.raft.tracker.config.conf_state())

            def message(data: bytes, at: int = term) -> MsgSnap:
                return MsgSnap(me, leader.config.id, at, Snapshot(meta, data))

            take = node._snapshots._taker.take
            with pytest.raises(TransferFailed, match="no group 7"):
                await take(offer_of(nodes, node, message(b""), 7))
            with pytest.raises(TransferFailed, match="is over"):
                await take(offer_of(nodes, node, message(b"", term - 1)))
            for data in (b"", b"x" * 100):
                with pytest.raises(Exception, match="not a raftly snapshot"):
                    await take(offer_of(nodes, node, message(data)))
            before = node._driver.peer_errors
            node._driver._receive(leader.config.id, [(1, [message(b"state")])])
            await asyncio.sleep(0.5)
            assert node._driver.peer_errors == before + 1
            assert node.failure is None
            await leader.call(Register.set, "a", 2)
            await nodes.equal()

    run(main())


def test_a_snapshot_of_what_is_known_is_not_transferred() -> None:
    async def main() -> None:
        async with Replicas(Counts, 3) as nodes:
            leader = await nodes.leader()
            await add_many(leader, 5)
            await nodes.equal()
            node = nodes.others(leader)[0]
            index = await leader.take_snapshot()
            reader = leader._snapshots._files.open(index)
            snapshot = Snapshot(reader.header.meta, reader.header_bytes)
            message = MsgSnap(node.config.id, leader.config.id, leader._group.raw.raft.term, snapshot)
            await node._snapshots._taker.take(offer_of(nodes, node, message))  # has no chunks to give
            assert node._snapshots._files.names() == []

    run(main())


def test_before_there_is_one_a_snapshot_is_made_when_the_core_asks() -> None:
    async def main() -> None:
        async with Replicas(Counts, 1) as nodes:
            leader = await nodes.leader()
            await add_many(leader, 3)
            with pytest.raises(SnapshotNotReady):
                leader._log.snapshot(0, 1)
            await asyncio.sleep(1)
            assert leader._log.snapshot(0, 1).meta.index == leader.machine.applied
            with pytest.raises(SnapshotNotReady):
                leader._log.snapshot(0, 2)  # not a member in it

    run(main())


# --- start ---


async def stopped(nodes: Replicas[Any]) -> str:
    """One node with a cut log, stopped; the path of its snapshot."""
    node = await nodes.start(1)
    await nodes.leader()
    await node.call(Counts.fill, 1000)
    for _ in range(8):
        await add_many(node, 5)
        await asyncio.sleep(0.2)
    begin = node._log.snapshot_meta.meta
    assert begin.index
    await nodes.stop(1)
    return node._snapshots._files.path_of(begin)


@pytest.mark.parametrize("kind", ["streams", "disk"])
@pytest.mark.parametrize("at", [9, 30, 200, -1])
def test_a_damaged_snapshot_that_is_needed_stops_the_start(kind: str, at: int) -> None:
    async def main() -> None:
        nodes = make(kind, 1, snapshot_entries=10)
        path = await stopped(nodes)
        if kind == "disk":
            nodes.disks[1].remove("ledger")  # else it is not needed
        nodes.disks[1]._state.names[path].current[at] ^= 1
        with pytest.raises(Corruption, match="delete its directory") as caught:
            await nodes.start(1)
        assert caught.value.path == path
        nodes.disks[1]._state.names[path].current[at] ^= 1
        node = await nodes.start(1)  # nothing was changed by the attempt
        await nodes.leader()
        assert node.look(Counts.get, "n") == 40
        await nodes.stop(1)

    run(main())


def test_a_missing_snapshot_that_is_needed_stops_the_start_and_no_older_one_takes_its_place() -> None:
    async def main() -> None:
        nodes = Replicas(Counts, 1, snapshot_entries=10, snapshots_keep=3)
        path = await stopped(nodes)
        assert len(nodes.disks[1].list(DIR)) > 1
        nodes.disks[1].remove(path)
        with pytest.raises(Corruption, match="missing"):
            await nodes.start(1)

    run(main())


def test_a_damaged_snapshot_that_is_not_needed_is_given_up() -> None:
    async def main() -> None:
        nodes = Replicas(Counts, 1)
        node = await nodes.start(1)
        await nodes.leader()
        await add_many(node, 5)
        index = await node.take_snapshot()
        await nodes.stop(1)
        path = node._snapshots._files.path_of(node._snapshots._newest)
        nodes.disks[1]._state.names[path].current[40] ^= 1
        node = await nodes.start(1)
        await nodes.leader()
        failure = node.snapshot_failure
        assert isinstance(failure, Corruption)
        assert node.look(Counts.get, "n") == 5
        assert await node.take_snapshot() >= index
        failure = node.snapshot_failure
        assert failure is None
        await nodes.stop(1)

    run(main())


# --- state on disk ---


@pytest.mark.parametrize("kind", ["disk", "lazy"])
def test_what_a_class_has_on_disk_is_not_applied_again(kind: str) -> None:
    async def main() -> None:
        nodes = make(kind, 1)
        node = await nodes.start(1)
        await nodes.leader()
        session = await node.open_session()
        for number in range(20):
            assert await session.call(Counts.add, "n") == number + 1
        await nodes.stop(1)
        kept = node.machine.instance.durable()[0]
        node = await nodes.start(1)
        assert node.machine.applied == kept
        await nodes.leader()
        assert node.look(Counts.get, "n") == 20
        assert node.machine.instance.applied_here <= (0 if kind == "disk" else 2)
        assert list(node.machine.sessions) == [session.id]
        await nodes.stop(1)

    run(main())


def test_what_a_state_on_disk_holds_is_committed() -> None:
    """The commit index is written with the next entries only: a crash leaves it behind what was applied."""

    async def main() -> None:
        nodes = Disks(1)
        node = await nodes.start(1)
        await nodes.leader()
        await add_many(node, 5)
        crashed = nodes.disks[1].copy()
        told = node._log.hard_state.commit
        await nodes.stop(1)
        nodes.put_disk(1, crashed)
        node = await nodes.start(1)
        assert told < node.machine.applied == node._group.raw.raft.log.committed
        await nodes.leader()
        assert await node.call(Counts.add, "n") == 6
        await nodes.stop(1)

    run(main())


def test_the_log_is_not_cut_before_the_state_is_durable() -> None:
    async def main() -> None:
        async with Disks(1, lazy=1_000_000, snapshot_entries=10) as nodes:
            leader = await nodes.leader()
            await add_many(leader, 50)
            await asyncio.sleep(1)
            assert leader._log.first_index() == 1
            assert leader._snapshots._newest.index > 0
            ledger = leader.machine.instance
            assert isinstance(ledger, Ledger)
            ledger.lazy = 1
            await add_many(leader, 1)
            await asyncio.sleep(1)
            assert leader._log.first_index() > 1

    run(main())


def test_a_state_that_is_not_of_this_log_is_refused() -> None:
    async def main() -> None:
        nodes = Disks(1)
        node = await nodes.start(1)
        await nodes.leader()
        await add_many(node, 5)
        await nodes.stop(1)
        ahead = nodes.disks[1].content("ledger")
        nodes.put_disk(1, MemFs())
        nodes.disks[1].put("ledger", ahead)
        with pytest.raises(StorageError, match="do not belong together"):
            await nodes.start(1)

    run(main())


def test_an_instance_that_gave_way_is_closed() -> None:
    async def main() -> None:
        async with Disks(snapshot_entries=20) as nodes:
            _, behind = await lagging(nodes, 100)
            node = await nodes.start(behind)
            before = node.machine.instance
            await nodes.equal()
            after = node.machine.instance
            assert isinstance(before, Ledger)
            assert isinstance(after, Ledger)
            assert (before.closed, after.closed) == (True, False)
            await node.fresh(FOLLOWER)
            await nodes.stop(behind)
            assert after.closed
            await nodes.start(behind)

    run(main())
