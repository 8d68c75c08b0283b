"""A class on three replicas: results, errors, fail-over, restart, failing disks. Virtual time, memory disks."""

import asyncio

import pytest

from raftly.base.types import Entry
from raftly.core.messages import MsgAppResp, MsgBeat, MsgHup, MsgStorageAppendResp, MsgUnreachable
from raftly.core.role import Role
from raftly.errors import (
    ConfigError,
    DirectoryInUse,
    DiskFull,
    LimitExceeded,
    NotLeader,
    OutcomeUnknown,
    ProposalDropped,
    SyncFailed,
)
from raftly.node import FOLLOWER, LOCAL, NodeConfig, Proposal
from raftly.node.commands import CALL_BYTES_MAX
from raftly.node.errors import Busy, MachineFailed, NodeStopped, ReadTimeout, UnknownCommand, ValueTypeError
from raftly.testing.faultfs import Effect, Fault
from tests.support.nodes import Nodes, Register, Taken
from tests.support.virtual import run


def test_a_call_gives_its_result_and_every_replica_has_it() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            assert await leader.call(Register.set, "a", 5) == 5
            assert await leader.call(Register.add, "a", amount=2) == 7
            assert await leader.ask(Register.get, "a") == 7
            for other in nodes.others(leader):
                await other.fresh(FOLLOWER)
                assert other.look(Register.get, "a") == 7
            await nodes.equal()

    run(main())


def test_one_node_alone_is_a_group() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            assert await leader.call(Register.add, "a", 1) == 1
            assert await leader.ask(Register.get, "a") == 1

    run(main())


def test_many_calls_at_once_each_get_their_own_result() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            results = await asyncio.gather(*(leader.call(Register.add, "a", 1) for _ in range(300)))
            assert results == list(range(1, 301))
            assert leader.calls_in_flight() == 0

    run(main())


def test_a_registered_exception_comes_back_to_the_caller() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.claim, "a")
            with pytest.raises(Taken, match="a"):
                await leader.call(Register.claim, "a")
            await nodes.equal()

    run(main())


def test_bad_calls_never_leave() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            before = leader.machine.applied
            with pytest.raises(ValueTypeError):
                await leader.call(Register.set, "a", "b")  # type: ignore[arg-type]
            with pytest.raises(UnknownCommand):
                await leader.call(Register.get, "a")
            with pytest.raises(UnknownCommand):
                await leader.ask(Register.set, "a", 1)
            assert leader.machine.applied == before

    run(main())


def test_a_follower_names_the_leader() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            for other in nodes.others(leader):
                with pytest.raises(NotLeader) as caught:
                    await other.call(Register.set, "a", 1)
                assert caught.value.leader_id == leader.config.id

    run(main())


def test_a_bug_in_a_command_stops_every_replica_and_the_caller_knows_nothing() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            with pytest.raises(OutcomeUnknown, match="ZeroDivisionError"):
                await leader.call(Register.bug)
            await asyncio.sleep(1)
            for node in nodes.nodes.values():
                assert isinstance(node.failure, MachineFailed)
            with pytest.raises(MachineFailed):
                await leader.call(Register.set, "a", 1)
            with pytest.raises(MachineFailed):
                await leader.ask(Register.get, "a")

    run(main())


# --- leaders come and go ---


@pytest.mark.behaviour("RN10")
def test_a_leader_that_stops_answers_its_callers_and_hands_over() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            loop = asyncio.get_running_loop()
            calls = [asyncio.ensure_future(leader.call(Register.add, "a", 1)) for _ in range(20)]
            await asyncio.sleep(0)
            started = loop.time()
            await leader.stop()
            assert [call.result() for call in calls] == list(range(1, 21))
            successor = await nodes.leader(but=leader.config.id)
            assert loop.time() - started < 0.5  # no election time-out passed
            assert await successor.ask(Register.get, "a") == 20
            await leader.stop()  # again is fine
            assert leader.status().basic.id == 0
            assert leader.status().conf_state.voters == ()
            with pytest.raises(NodeStopped):
                await leader.call(Register.add, "a", 1)
            with pytest.raises(NodeStopped):
                await leader.fresh(LOCAL)

    run(main())


def test_after_a_crash_another_leads_and_the_old_one_catches_up() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            nodes.crash(leader.config.id)
            await nodes.set("a", 2)
            await nodes.start(leader.config.id)
            await nodes.equal()

    run(main())


def test_calls_overwritten_by_another_leader_end_in_an_error_that_says_not_applied() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            old = await nodes.leader()
            nodes.network.isolate(old.config.id)
            lost = [asyncio.ensure_future(old.call(Register.add, "a", 1)) for _ in range(50)]
            await asyncio.sleep(0.1)
            new = await nodes.leader(but=old.config.id)
            await new.call(Register.add, "a", 100)
            nodes.network.heal()
            errors = await asyncio.gather(*lost, return_exceptions=True)
            assert [type(error) for error in errors] == [NotLeader] * 50
            assert old.calls_in_flight() == 0
            await nodes.equal()
            assert old.look(Register.get, "a") == 100

    run(main())


def test_a_call_without_a_quorum_ends_with_its_deadline() -> None:
    async def main() -> None:
        async with Nodes(call_timeout=0.5) as nodes:
            leader = await nodes.leader()
            nodes.network.isolate(leader.config.id)
            loop = asyncio.get_running_loop()
            started = loop.time()
            with pytest.raises(OutcomeUnknown):
                await leader.call(Register.add, "a", 1)
            assert 0.5 <= loop.time() - started <= 0.61
            assert leader.calls_in_flight() == 0

    run(main())


@pytest.mark.behaviour("RN03")
def test_a_blocked_call_ends_with_its_cancellation_and_with_the_node() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            nodes.network.isolate(leader.config.id)
            cancelled = asyncio.ensure_future(leader.call(Register.add, "a", 1))
            stopped = asyncio.ensure_future(leader.call(Register.add, "a", 1))
            await asyncio.sleep(0.01)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            await leader.stop()
            with pytest.raises((OutcomeUnknown, NotLeader)):
                await stopped

    run(main())


@pytest.mark.behaviour("RN08")
def test_a_dropped_call_says_so_at_once() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            loop = asyncio.get_running_loop()
            nodes.network.cut = {(leader.config.id, 1), (leader.config.id, 2), (leader.config.id, 3)}
            target = nodes.others(leader)[0].config.id
            leader._group.act(lambda raw: raw.transfer_leader(target))
            started = loop.time()
            with pytest.raises(ProposalDropped, match="transferred"):
                await leader.call(Register.add, "a", 1)
            assert loop.time() == started

    run(main())


@pytest.mark.behaviour("RN02")
def test_proposals_do_not_queue_with_messages_and_local_messages_are_dropped() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            raft = leader._group.raw.raft
            term = raft.term
            receive = nodes.network.nodes[leader.config.id]
            local = [MsgHup(), MsgBeat(), MsgUnreachable(1, 2), MsgStorageAppendResp(1, 2, term, term, 99)]
            receive(2, [(1, [*local, MsgAppResp(leader.config.id, 99, term, 1)])])
            call = asyncio.ensure_future(leader.call(Register.add, "a", 1))
            await asyncio.sleep(0)
            assert len(leader._group.proposals) + len(leader._waiting.places) == 1
            assert len(leader._group.inbox) in {0, 5}  # messages only
            assert await call == 1
            assert leader._driver.peer_errors >= 5
            assert (raft.role, raft.term) == (Role.LEADER, term)

    run(main())


def test_too_many_calls_are_refused_and_room_comes_back() -> None:
    async def main() -> None:
        async with Nodes(calls_max=10) as nodes:
            leader = await nodes.leader()
            results = await asyncio.gather(
                *(leader.call(Register.add, "a", 1) for _ in range(12)), return_exceptions=True
            )
            assert results[:10] == list(range(1, 11))
            assert [type(result) for result in results[10:]] == [Busy, Busy]
            assert await leader.call(Register.add, "a", 1) == 11

    run(main())


def test_a_cancelled_call_still_counts_until_its_entry_is_dealt_with() -> None:
    async def main() -> None:
        async with Nodes(calls_max=1) as nodes:
            leader = await nodes.leader()
            nodes.network.isolate(leader.config.id)
            call = asyncio.ensure_future(leader.call(Register.add, "a", 1))
            await asyncio.sleep(0.01)
            call.cancel()
            await asyncio.sleep(0)
            with pytest.raises(Busy):
                await leader.call(Register.add, "a", 1)
            nodes.network.heal()
            await asyncio.sleep(1)
            assert await leader.call(Register.add, "a", 1) == 2

    run(main())


# --- starting again ---


def test_all_start_again_from_their_logs() -> None:
    async def main() -> None:
        nodes = Nodes()
        async with nodes:
            leader = await nodes.leader()
            for value in range(10):
                await leader.call(Register.set, f"k{value}", value)
        async with nodes:
            leader = await nodes.leader()
            assert [await leader.ask(Register.get, f"k{value}") for value in range(10)] == list(range(10))
            await nodes.equal()

    run(main())


def test_all_start_again_from_snapshots() -> None:
    async def main() -> None:
        nodes = Nodes(snapshot_entries=20)
        async with nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            for value in range(100):
                await session.call(Register.add, "a", value)
            await asyncio.sleep(1)
            for node in nodes.nodes.values():
                log = node._log
                assert log.first_index() > 50
                assert log.last_index() - log.first_index() >= 9  # entries for those a little behind
        async with nodes:
            leader = await nodes.leader()
            assert await leader.ask(Register.get, "a") == sum(range(100))
            assert list(leader.machine.sessions) == [session.id]
            await nodes.equal()

    run(main())


def test_a_follower_far_behind_gets_the_snapshot() -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=20) as nodes:
            leader = await nodes.leader()
            behind = nodes.others(leader)[0].config.id
            await nodes.stop(behind)
            for value in range(100):
                await leader.call(Register.add, "a", value)
            node = await nodes.start(behind)
            assert node.machine.applied < leader._log.first_index() - 1
            await nodes.equal()
            assert node.look(Register.get, "a") == sum(range(100))
            await leader.call(Register.add, "a", 1)
            await nodes.equal()

    run(main())


def test_a_state_that_cannot_be_saved_keeps_the_log_and_serves_on() -> None:
    async def main() -> None:
        async with Nodes(1, snapshot_entries=5) as nodes:
            leader = await nodes.leader()
            leader.machine.instance.values["a"] = object()  # type: ignore[assignment]
            for value in range(20):
                await leader.call(Register.add, "b", value)
            failure = leader.snapshot_failure
            assert isinstance(failure, ValueTypeError)
            assert leader._log.first_index() == 1
            del leader.machine.instance.values["a"]
            for value in range(20):
                await leader.call(Register.add, "b", value)
            failure = leader.snapshot_failure
            assert not failure
            assert leader._log.first_index() > 1

    run(main())


def test_a_directory_has_one_node() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            with pytest.raises(DirectoryInUse):
                await nodes.start(1)

    run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"members": ()},
        {"tick": 0},
        {"call_timeout": -1},
        {"calls_max": 0},
        {"snapshot_entries": 0},
        {"lease": 0.9},
        {"lease": -1},
        {"election_tick": 1},
        {"id": 0},
    ],
)
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        NodeConfig(**{"id": 1, "members": (1,), **options})  # type: ignore[arg-type]


def test_the_lease_may_be_as_long_as_a_voter_keeps_its_promise() -> None:
    assert NodeConfig(1, (1,), lease=0.8, clock_drift=0.1).lease == 0.8


# --- disks ---


def test_a_leader_whose_disk_breaks_gives_up_and_another_leads_at_once() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            loop = asyncio.get_running_loop()
            nodes.faults[leader.config.id].add(Fault("sync", Effect.IO_ERROR, times=None))
            started = loop.time()
            with pytest.raises(OutcomeUnknown):
                await leader.call(Register.set, "a", 2)
            assert isinstance(leader.failure, SyncFailed)
            with pytest.raises(SyncFailed):
                await leader.call(Register.set, "a", 3)
            with pytest.raises(SyncFailed):
                await leader.ask(Register.get, "a")
            successor = await nodes.leader()
            assert successor is not leader
            assert loop.time() - started < 0.5
            assert await successor.ask(Register.get, "a") in {1, 2}
            await successor.call(Register.set, "a", 4)

    run(main())


def test_a_full_disk_refuses_writes_while_reads_go_on_and_writes_resume() -> None:
    async def main() -> None:
        async with Nodes(1, call_timeout=2.0) as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            assert isinstance(await nodes.fill_disk(1), (OutcomeUnknown, DiskFull))
            with pytest.raises(DiskFull):
                await leader.call(Register.set, "a", 2)
            assert await leader.ask(Register.get, "a") == 1
            nodes.free_disk(1)
            await asyncio.sleep(1)
            assert await leader.call(Register.set, "a", 3) == 3

    run(main())


def test_a_leader_with_a_full_disk_hands_over_to_one_that_has_space() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await nodes.fill_disk(leader.config.id)
            await asyncio.sleep(2)
            successor = await nodes.leader()
            assert successor is not leader
            await successor.call(Register.set, "a", 2)
            with pytest.raises(ReadTimeout):  # it cannot take the entries that it would have to show
                await leader.fresh(FOLLOWER, within=1)
            assert await successor.ask(Register.get, "a") == 2
            nodes.free_disk(leader.config.id)
            await nodes.equal()
            assert leader.failure is None

    run(main())


def test_a_leader_whose_disk_stalls_for_an_election_time_gives_way() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            stall = nodes.faults[leader.config.id].add(Fault("sync", Effect.STALL, times=None))
            call = asyncio.ensure_future(leader.call(Register.set, "a", 2))
            await asyncio.sleep(2)
            successor = await nodes.leader()
            assert successor is not leader
            await successor.call(Register.set, "a", 3)
            nodes.faults[leader.config.id].faults.clear()
            stall.go_on.set()
            assert await call == 2  # a majority had it; its own disk has it at last
            await nodes.equal()

    run(main())


def test_a_node_with_a_full_disk_can_be_stopped() -> None:
    async def main() -> None:
        async with Nodes(1, call_timeout=2.0) as nodes:
            leader = await nodes.leader()
            assert isinstance(await nodes.fill_disk(1), (OutcomeUnknown, DiskFull))
            await asyncio.wait_for(leader.stop(), 2)

    run(main())


def test_a_call_too_large_is_refused_alone() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            large = "x" * CALL_BYTES_MAX
            results = await asyncio.gather(
                leader.call(Register.set, large, 1),
                leader.call(Register.set, "a", 1),
                session.call(Register.set, large, 1),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [LimitExceeded, int, LimitExceeded]

    run(main())


def test_waiting_for_a_leader_has_an_end() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            nodes.network.isolate(1)
            with pytest.raises(ReadTimeout):
                await nodes.nodes[1].wait_leader(within=0.5)
            assert await nodes.nodes[2].wait_leader() in {2, 3}
            waiting = asyncio.ensure_future(nodes.nodes[1].wait_leader(within=100))
            await asyncio.sleep(0.01)
            await nodes.nodes[1].stop()
            with pytest.raises(NodeStopped):
                await waiting

    run(main())


def test_calls_of_two_leaderships_that_were_lost_all_end() -> None:
    """It leads, loses that, and leads again before it has applied what came between."""

    async def main() -> None:
        async with Nodes() as nodes:
            node = await nodes.leader()
            loop = asyncio.get_running_loop()
            term = node._group.raw.raft.term
            futures: list[asyncio.Future[object]] = [loop.create_future() for _ in range(3)]
            old, cut, new = (Proposal(b"", future, 1e9) for future in futures)
            applied = node.machine.applied
            old.term, cut.term, new.term = term, term, term + 2
            node.on_placed(applied + 2, [old, cut])
            node.on_placed(applied + 3, [new])
            assert isinstance(futures[1].exception(), OutcomeUnknown)
            assert not old.future.done()
            node.on_committed([Entry(term + 1, applied + 1)])
            assert isinstance(futures[0].exception(), NotLeader)
            assert not new.future.done()
            node.on_committed([Entry(term + 2, applied + 2), Entry(term + 2, applied + 3)])
            assert futures[2].result() is None
            await node._driver.stop()

    run(main())


def test_stopping_does_not_wait_for_a_disk_that_never_answers() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            nodes.faults[1].add(Fault("sync", Effect.STALL, times=None))
            call = asyncio.ensure_future(leader.call(Register.set, "a", 1))
            await asyncio.sleep(0.01)
            await leader.stop()
            with pytest.raises(OutcomeUnknown):
                await call

    run(main())


def test_nor_for_one_that_does_not_answer_with_what_was_learned_of_a_peer() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            stall = nodes.faults[leader.config.id].add(Fault("sync", Effect.STALL, path="PEERS"))
            leader._directory._transport.directories[9] = 9
            await asyncio.sleep(1)
            assert stall.struck
            assert leader._directory.is_writing
            stopping = asyncio.ensure_future(leader.stop())
            await asyncio.sleep(20)
            ended = stopping.done()
            stall.go_on.set()
            await stopping
            assert ended

    run(main())


def test_log_time_is_the_leaders_clock_and_never_goes_back() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            first = leader.machine.now_us
            assert first == int((1_000_000 + asyncio.get_running_loop().time()) * 1e6)
            leader._intake._clock = lambda: 5.0
            await leader.call(Register.set, "a", 2)
            assert leader.machine.now_us == first
            await nodes.equal()

    run(main())


def test_an_entry_that_nobody_can_read_stops_the_node() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            leader._group.raw.propose(b"not one of ours")
            leader._driver.wake(leader._group)
            await asyncio.sleep(1)
            assert isinstance(leader.failure, MachineFailed)

    run(main())


def test_entries_that_belong_to_nobody_here_are_applied_all_the_same() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            leader.on_committed([Entry(1, leader.machine.applied + 1)])
            assert leader.failure is None

    run(main())
