"""The rules of a driver, one by one: what must be on disk before what is said, and what it does when its disk fails.

The node under test is one of three; the two others are this file.
"""

import asyncio
from typing import Any, Final, Self, TypeVar, final

import pytest

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import Entry, Index, Snapshot, SnapshotMeta
from raftly.core.config import Config
from raftly.core.messages import (
    Message,
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgProp,
    MsgSnap,
    MsgTimeoutNow,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.core.status import SoftState
from raftly.errors import DiskFull, StorageError
from raftly.node import Driver, DriverOptions
from raftly.node.gathered import BATCH_BYTES
from raftly.node.group import Proposal
from raftly.storage.items import SnapshotItem
from raftly.storage.log_store import LogStore
from raftly.testing.faultfs import Effect, Fault, FaultFs
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.virtual import run

M = TypeVar("M", bound=Message)

TICK: Final = 0.1


@final
class Owner:
    """Remembers what the driver brought."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []
        self.failed: Exception | None = None
        self.stamp = b""
        self.fit = True  # for the log, is what others pass on?

    def on_placed(self, first: Index, proposals: list[Proposal]) -> None: ...

    def on_passed_on(self, payload: bytes) -> bytes | None:
        return self.stamp + payload if self.fit else None

    def on_committed(self, entries: list[Entry]) -> None:
        self.applied += [entry.data for entry in entries if entry.data]

    def on_snapshot(self, snapshot: Snapshot) -> None: ...

    def on_send_snapshot(self, message: MsgSnap) -> None: ...

    def on_soft_state(self, state: SoftState) -> None: ...

    def on_read_states(self, states: list[ReadState]) -> None: ...

    def on_tick(self, now: float) -> None: ...

    def on_failed(self, error: Exception) -> None:
        self.failed = error


class OneOfThree:
    """Node 1 of a group of three; what it says to the two others is in `said`."""

    def __init__(self, **options: Any) -> None:
        self.disk = MemFs()
        self.faults = FaultFs(self.disk)
        self.owner = Owner()
        self.network = MemoryNetwork()
        self.others = {id_: MemoryTransport(self.network, id_) for id_ in (2, 3)}
        self.said: list[Message] = []
        self.options = options

    async def __aenter__(self) -> Self:
        for other in self.others.values():
            await other.start(self._hear, lambda _: None)
        self.store = LogStore(self.faults, 1, 1)
        self.store.open()
        first = Snapshot(SnapshotMeta(0, 0, ConfState((1, 2, 3))))
        await self.store.commit([SnapshotItem(1, first, keeps_entries=False)])
        self.driver = Driver(1, self.store, MemoryTransport(self.network, 1), DriverOptions(TICK))
        config = Config(
            1, async_storage_writes=True, election_tick=20, max_size_per_msg=1 << 20, seed=1, **self.options
        )
        self.group = self.driver.add_group(1, config, self.owner)
        await self.driver.start()
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        for fault in self.faults.faults:
            fault.go_on.set()
        self.faults.faults.clear()
        await self.driver.stop()

    def _hear(self, _: int, batch: list[tuple[int, list[Message]]]) -> None:
        self.said += [message for _, messages in batch for message in messages]

    def heard(self, kind: type[M]) -> list[M]:
        """What it said of one kind."""
        return [message for message in self.said if isinstance(message, kind)]

    async def tell(self, *messages: Message) -> None:
        for message in messages:
            self.others[message.from_].send(1, [(1, [message])])
        await settle()

    async def lead(self) -> int:
        """Have it lead, with an entry of its term applied; the term."""
        raft = self.group.raw.raft
        self.group.act(lambda raw: raw.campaign())
        await settle()
        await self.tell(MsgVoteResp(1, 2, raft.term))
        await self.tell(MsgAppResp(1, 2, raft.term, raft.log.last_index))
        assert (raft.role, raft.log.applied) == (Role.LEADER, raft.log.last_index)
        return raft.term

    def promised(self) -> tuple[int, int, int]:
        """Term, vote and last entry that a loss of power now would leave, when it takes all that it can."""
        left = next(self.disk.outcomes(SplitMix64(0), 3))
        store = LogStore(left, 1, 1)
        store.open()
        log = store.group(1)
        store.close()
        return log.hard_state.term, log.hard_state.vote, log.last_index()

    def propose(self, payload: bytes) -> Proposal:
        proposal = Proposal(payload, asyncio.get_running_loop().create_future(), 1e9)
        self.group.propose(proposal)
        return proposal


async def settle() -> None:
    """All that takes no time."""
    for _ in range(40):
        await asyncio.sleep(0)


# --- what is on disk before what is said -----------------------------------------------------------------------


def test_a_vote_and_its_term_are_on_disk_before_the_answer_leaves() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            await it.tell(MsgVote(1, 2, 5, 0, 0))
            assert [answer.reject for answer in it.heard(MsgVoteResp)] == [False]
            assert it.promised() == (5, 2, 0)
            await it.tell(MsgVote(1, 3, 6, 0, 0))
            assert it.promised() == (6, 3, 0)

    run(main())


def test_term_and_vote_go_to_disk_in_one_write() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            seen: list[tuple[int, int]] = []

            async def on_sync(_: str) -> None:
                await asyncio.sleep(0)
                seen.append(it.promised()[:2])

            it.disk.on_sync = on_sync
            for term in range(5, 9):
                await it.tell(MsgVote(1, 2 + term % 2, term, 0, 0))
            it.disk.on_sync = None
            seen.append(it.promised()[:2])
            assert seen == [(0, 0), (5, 3), (6, 2), (7, 3), (8, 2)]

    run(main())


def test_what_a_stalled_disk_let_gather_is_written_in_batches_and_then_answered() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            stall = it.faults.add(Fault("sync", Effect.STALL))
            large = b"x" * (BATCH_BYTES // 2)
            for index in range(1, 5):  # the first is being written, the others gather
                await it.tell(MsgApp(1, 2, 5, 5 * (index > 1), index - 1, [Entry(5, index, data=large)], 0))
            assert it.heard(MsgAppResp) == []
            written = it.driver.counts.writes
            seen: set[tuple[int, int]] = set()

            async def on_sync(_: str) -> None:
                await asyncio.sleep(0.001)
                answered = max((answer.index for answer in it.heard(MsgAppResp)), default=0)
                seen.add((it.driver.counts.writes - written, answered))

            it.disk.on_sync = on_sync
            stall.go_on.set()
            await asyncio.sleep(0.1)
            it.disk.on_sync = None
            assert seen == {(0, 0), (1, 1), (2, 1)}
            assert it.driver.counts.writes == written + 3
            assert it.heard(MsgAppResp)[-1].index == 4
            assert it.promised()[2] == 4

    run(main())


def test_nothing_that_speaks_of_a_write_leaves_before_it_has_ended() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            stall = it.faults.add(Fault("sync", Effect.STALL))
            await it.tell(MsgVote(1, 2, 5, 0, 0))
            assert it.heard(MsgVoteResp) == []
            stall.go_on.set()
            await settle()
            assert len(it.heard(MsgVoteResp)) == 1

            stall = it.faults.add(Fault("sync", Effect.STALL))
            await it.tell(MsgApp(1, 2, 5, 0, 0, [Entry(5, 1, data=b"x")], 0))
            # A doubled append brings nothing to write; still it speaks of what is being written.
            await it.tell(MsgApp(1, 2, 5, 0, 0, [Entry(5, 1, data=b"x")], 0))
            assert it.heard(MsgAppResp) == []
            stall.go_on.set()
            await settle()
            assert [answer.index for answer in it.heard(MsgAppResp)] == [1, 1]
            assert it.promised() == (5, 2, 1)

    run(main())


def test_a_snapshot_leaves_nothing_of_the_log_before_it() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            await it.tell(MsgApp(1, 2, 3, 0, 0, [Entry(2, index) for index in range(1, 10)], 0))
            assert it.store.group(1).last_index() == 9
            snapshot = Snapshot(SnapshotMeta(5, 3, ConfState((1, 2, 3))))
            it.group.act(lambda raw: raw.step(MsgSnap(1, 2, 3, snapshot)))
            await settle()
            assert (it.store.group(1).first_index(), it.store.group(1).last_index()) == (6, 5)
            assert it.promised() == (3, 0, 5)

    run(main())


# --- a disk that does not do its part ----------------------------------------------------------------------------


def test_a_disk_that_breaks_ends_everything_and_another_is_told_to_lead() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            term = await it.lead()
            it.said.clear()
            it.faults.add(Fault("sync", Effect.IO_ERROR))
            call = it.propose(b"x")
            await settle()
            assert isinstance(it.driver.failure, StorageError)
            assert it.owner.failed is it.driver.failure
            assert [(message.to, message.term) for message in it.heard(MsgTimeoutNow)] == [(2, term)]
            await it.tell(MsgVote(1, 3, term + 1, term, 9), MsgAppResp(1, 3, term, 2))
            assert it.heard(MsgVoteResp) == []
            assert it.owner.applied == []
            assert not call.future.done()

    run(main())


def test_a_full_disk_refuses_proposals_until_there_is_space() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            term = await it.lead()
            it.disk.capacity_bytes = it.store.size_bytes() + 4096
            large = bytes(2 << 20)  # more than was written ahead
            it.propose(large)
            await settle()
            refused = it.propose(b"refused").future
            assert isinstance(refused, asyncio.Future)
            with pytest.raises(DiskFull):
                await asyncio.wait_for(refused, 1)
            last = it.group.raw.raft.log.last_index
            await it.tell(MsgProp(1, 2, 0, [Entry(data=b"passed on")]))
            it.group.offer(b"offered")
            await settle()
            assert it.group.raw.raft.log.last_index == last
            it.disk.capacity_bytes = None
            await asyncio.sleep(1)
            assert it.driver.disk_full is None
            it.propose(b"y")
            await settle()
            await it.tell(MsgAppResp(1, 2, term, it.group.raw.raft.log.last_index))
            assert it.owner.applied == [large, b"y"]

    run(main())


def test_a_stalled_disk_hands_over_to_one_that_has_more_on_its_own() -> None:
    """And only to such a one: when all disks have stalled, nothing is gained."""

    async def main(*, follower_has_it: bool) -> list[int]:
        async with OneOfThree() as it:
            term = await it.lead()
            it.faults.add(Fault("sync", Effect.STALL))
            it.propose(b"x")
            await settle()
            last = it.group.raw.raft.log.last_index
            if follower_has_it:
                await it.tell(MsgAppResp(1, 3, term, last))
            it.said.clear()
            await asyncio.sleep(21 * TICK)
            assert it.group.raw.raft.role is Role.LEADER
            return [message.to for message in it.heard(MsgTimeoutNow)]

    assert run(main(follower_has_it=True)) == [3]
    assert run(main(follower_has_it=False)) == []


# --- what comes in -----------------------------------------------------------------------------------------------


def test_what_waits_in_the_inbox_is_looked_at_before_a_tick() -> None:
    """The leader's heartbeat arrived in time, however late this process was to look."""

    async def main() -> None:
        async with OneOfThree() as it:
            raft = it.group.raw.raft
            await it.tell(MsgHeartbeat(1, 2, 3, 0))
            raft.election_elapsed = raft.randomized_election_timeout - 1
            it.driver._receive(2, [(1, [MsgHeartbeat(1, 2, 3, 0)])])
            it.driver._tick_from = 0.0  # it is due
            it.driver._tick()
            assert (raft.role, raft.election_elapsed) == (Role.FOLLOWER, 1)

    run(main())


def test_a_snapshot_comes_as_a_stream_or_not_at_all() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            await it.tell(MsgSnap(1, 2, 3, Snapshot(SnapshotMeta(5, 3, ConfState((1, 2, 3))))))
            assert it.driver.peer_errors == 1
            assert it.group.raw.raft.log.unstable.snapshot is None
            assert (it.group.raw.raft.term, it.store.group(1).last_index()) == (0, 0)

    run(main())


def test_what_another_node_passes_on_must_be_fit_for_the_log() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            term = await it.lead()
            it.owner.fit = False
            await it.tell(MsgProp(1, 2, 0, [Entry(data=b"unfit")]))
            assert it.driver.peer_errors == 1
            it.owner.fit = True
            await it.tell(MsgProp(1, 2, 0, [Entry(data=b"fit")]))
            await it.tell(MsgAppResp(1, 2, term, it.group.raw.raft.log.last_index))
            assert it.owner.applied == [b"fit"]

    run(main())


def test_what_was_offered_before_this_node_led_is_made_fit_for_the_log_too() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            it.owner.stamp = b"stamped "
            raft = it.group.raw.raft
            for offers in ([b"a", b"b"], [b"c"]):
                it.group.act(lambda raw: raw.campaign())
                await settle()
                it.driver._receive(2, [(1, [MsgVoteResp(1, 2, raft.term)])])
                for payload in offers:
                    it.group.offer(payload)
                await settle()
                it.group.offer(b"later")
                await settle()
                await it.tell(MsgAppResp(1, 2, raft.term, raft.log.last_index))
                it.group.act(lambda raw: raw.step(MsgHeartbeat(1, 3, raft.term + 1)))
            assert it.owner.applied == [b"stamped a", b"stamped b", b"later", b"stamped c", b"later"]

    run(main())


def test_the_core_hears_that_a_node_cannot_be_reached() -> None:
    async def main() -> None:
        async with OneOfThree() as it:
            await it.lead()
            progress = it.group.raw.raft.tracker.progress[2]
            assert progress.state.value == "StateReplicate"
            it.driver._unreachable(2)
            assert progress.state.value == "StateProbe"

    run(main())


def test_no_two_ticks_are_closer_than_the_interval_by_the_clock_of_leases() -> None:
    """A follower counts its promises in ticks: a clock that is behind the loop's time holds them back."""

    async def main() -> None:
        async with OneOfThree() as it:
            it.driver._ticker.cancel()  # type: ignore[union-attr]
            now = 100.0
            it.driver._clock = lambda: now
            it.driver._tick_from = now + TICK
            before = it.group.raw.raft.heard_elapsed
            it.driver._tick()
            assert it.group.raw.raft.heard_elapsed == before
            now += TICK
            it.driver._tick()
            assert it.group.raw.raft.heard_elapsed == before + 1

    run(main())
