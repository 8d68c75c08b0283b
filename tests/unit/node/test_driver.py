"""The driver: many groups, one write for all of them, and one that fails alone."""

import asyncio
from typing import final

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Entry, Index, Snapshot, SnapshotMeta
from raftly.core.config import Config
from raftly.core.messages import MsgSnap
from raftly.core.readindex import ReadState
from raftly.core.status import SoftState
from raftly.errors import InvariantError, NotLeader
from raftly.node import Driver, DriverOptions
from raftly.node.errors import NodeStopped
from raftly.node.group import Group, Proposal
from raftly.storage.items import SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.virtual import run


@final
class Owner:
    """Remembers what the driver brought."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []
        self.placed: list[Index] = []
        self.ticks: list[float] = []
        self.failed: Exception | None = None
        self.bug = False

    def on_placed(self, first: Index, proposals: list[Proposal]) -> None:
        self.placed += range(first, first + len(proposals))

    def on_passed_on(self, payload: bytes) -> bytes:
        return payload

    def on_committed(self, entries: list[Entry]) -> None:
        if self.bug:
            raise InvariantError("a bug")
        self.applied += [entry.data for entry in entries if entry.data]

    def on_snapshot(self, snapshot: Snapshot) -> None: ...

    def on_send_snapshot(self, message: MsgSnap) -> None: ...

    def on_soft_state(self, state: SoftState) -> None: ...

    def on_read_states(self, states: list[ReadState]) -> None: ...

    def on_tick(self, now: float) -> None:
        self.ticks.append(now)

    def on_failed(self, error: Exception) -> None:
        self.failed = error


class Lone:
    """A driver whose groups have one member: itself."""

    def __init__(self, groups: int) -> None:
        self.fs = MemFs()
        self.syncs = 0
        self.store = LogStore(self.fs, 1, 1)
        self.owners = {id_: Owner() for id_ in range(1, groups + 1)}
        self.groups: dict[int, Group] = {}

    async def start(self) -> Driver:
        self.store.open()
        first = Snapshot(SnapshotMeta(0, 0, ConfState((1,))))
        await self.store.commit([SnapshotItem(id_, first, keeps_entries=False) for id_ in self.owners])
        driver = Driver(1, self.store, MemoryTransport(MemoryNetwork(), 1), DriverOptions(0.1))
        for id_, owner in self.owners.items():
            config = Config(1, async_storage_writes=True, max_size_per_msg=1 << 20, seed=id_)
            self.groups[id_] = driver.add_group(id_, config, owner)
            self.groups[id_].act(lambda raw: raw.campaign())
        await driver.start()
        await asyncio.sleep(0.05)

        async def on_sync(_: str) -> None:
            self.syncs += 1
            await asyncio.sleep(0.001)

        self.fs.on_sync = on_sync
        return driver

    def propose(self, id_: int, payload: bytes) -> Proposal:
        proposal = Proposal(payload, asyncio.get_running_loop().create_future(), 1e9)
        self.groups[id_].propose(proposal)
        return proposal


def test_one_write_for_all_groups_of_a_round() -> None:
    async def main() -> None:
        lone = Lone(50)
        driver = await lone.start()
        for id_ in lone.owners:
            lone.propose(id_, b"%d" % id_)
            lone.propose(id_, b"more")
        await asyncio.sleep(0.05)
        assert {id_: owner.applied for id_, owner in lone.owners.items()} == {
            id_: [b"%d" % id_, b"more"] for id_ in lone.owners
        }
        assert lone.syncs == 1
        await driver.stop()

    run(main())


def test_what_comes_while_the_disk_works_goes_with_the_next_write() -> None:
    async def main() -> None:
        lone = Lone(1)
        driver = await lone.start()
        for number in range(10):
            lone.propose(1, b"%d" % number)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert lone.owners[1].applied == [b"%d" % number for number in range(10)]
        assert lone.syncs == 2
        await driver.stop()

    run(main())


def test_a_group_that_fails_stops_alone_and_its_callers_are_told() -> None:
    async def main() -> None:
        lone = Lone(2)
        driver = await lone.start()
        lone.owners[1].bug = True
        lone.propose(1, b"x")
        lone.propose(2, b"y")
        await asyncio.sleep(0.05)
        assert isinstance(lone.owners[1].failed, InvariantError)
        assert lone.owners[2].failed is None
        assert lone.owners[2].applied == [b"y"]
        assert list(driver.groups) == [2]
        ticks = len(lone.owners[1].ticks)
        await asyncio.sleep(1)
        assert len(lone.owners[1].ticks) == ticks
        await driver.stop()

    run(main())


def test_a_proposal_at_a_follower_is_refused_and_never_passed_on() -> None:
    async def main() -> None:
        lone = Lone(1)
        driver = await lone.start()
        lone.groups[1].raw.raft.become_follower(9, 2)
        proposal = lone.propose(1, b"x")
        assert isinstance(proposal.future, asyncio.Future)
        with pytest.raises(NotLeader) as caught:
            await proposal.future
        assert caught.value.leader_id == 2
        assert lone.owners[1].placed == []
        await driver.stop()

    run(main())


def test_stop_refuses_what_was_not_taken_finishes_what_was_and_may_be_called_again() -> None:
    async def main() -> None:
        lone = Lone(1)
        driver = await lone.start()
        lone.propose(1, b"x")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await driver.stop()
        assert lone.owners[1].applied == [b"x"]
        late = lone.propose(1, b"y")
        lone.groups[1].refuse_queued()
        assert isinstance(late.future, asyncio.Future)
        with pytest.raises(NodeStopped):
            await late.future
        await driver.stop()

    run(main())


def test_ticks_that_a_late_loop_missed_are_not_made_up_for() -> None:
    async def main() -> None:
        lone = Lone(1)
        driver = await lone.start()
        loop = asyncio.get_running_loop()
        lone.owners[1].ticks.clear()
        loop.call_soon(lambda: setattr(loop._jump, "now", loop.time() + 5))  # type: ignore[attr-defined]
        while loop.time() < 5:  # noqa: ASYNC110 - time jumps by itself
            await asyncio.sleep(0)
        await asyncio.sleep(0.25)
        assert len(lone.owners[1].ticks) == 3
        gaps = [after - before for before, after in zip(lone.owners[1].ticks, lone.owners[1].ticks[1:], strict=False)]
        assert min(gaps) >= 0.0999
        await driver.stop()

    run(main())
