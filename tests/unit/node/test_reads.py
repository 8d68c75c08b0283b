"""Ways to read: what each promises, who may, and that a lease is never believed when it should not be."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from raftly.core.messages import Message, MsgHeartbeat, MsgReadIndex, MsgVote
from raftly.core.role import Role
from raftly.errors import ConfigError, NotLeader
from raftly.node import FOLLOWER, LEASE, LOCAL, STRONG, Proof, Replicated, bounded
from raftly.node.errors import Busy, LeaseNotHeld, ReadTimeout
from raftly.transport.base import Receiver, Transport
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


class Counting:
    """A transport that counts messages of one class."""

    def __init__(self, inner: Transport, kind: type[Message]) -> None:
        self.inner = inner
        self.kind = kind
        self.count = 0

    def send(self, to: int, batch: list[tuple[int, list[Message]]]) -> None:
        self.count += sum(isinstance(message, self.kind) for _, messages in batch for message in messages)
        self.inner.send(to, batch)

    async def start(self, receive: Receiver, unreachable: Callable[[int], None]) -> None:
        await self.inner.start(receive, unreachable)

    async def close(self) -> None:
        await self.inner.close()


def count_sent(node: Replicated[Register], kind: type[Message]) -> Counting:
    counting = Counting(node._driver._transport, kind)
    node._driver._transport = cast("Transport", counting)
    return counting


def test_a_strong_read_asks_once_and_then_goes_by_the_lease() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            first = await leader.fresh(STRONG)
            assert (first.proof, first.age_s) == (Proof.READ_INDEX, 0.0)
            beats = count_sent(leader, MsgHeartbeat)
            second = await leader.fresh(STRONG)
            assert (second.proof, second.age_s, second.applied) == (Proof.LEASE, 0.0, leader.machine.applied)
            assert beats.count == 0

    run(main())


def test_reads_of_one_turn_share_one_question() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            asked = count_sent(follower, MsgReadIndex)
            await asyncio.gather(*(follower.fresh(FOLLOWER) for _ in range(100)))
            assert asked.count == 1

    run(main())


def test_a_lease_is_renewed_while_it_is_used() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.fresh(STRONG)
            for _ in range(40):
                await asyncio.sleep(0.05)
                assert (await leader.fresh(LEASE)).proof is Proof.LEASE

    run(main())


def test_without_a_lease_lease_reads_are_refused_and_it_is_asked_for() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            with pytest.raises(LeaseNotHeld):
                await leader.fresh(LEASE)
            await asyncio.sleep(0.01)
            assert (await leader.fresh(LEASE)).proof is Proof.LEASE
            await asyncio.sleep(1)
            with pytest.raises(LeaseNotHeld):
                await leader.fresh(LEASE)

    run(main())


def test_strong_and_lease_reads_are_for_leaders() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            for read in (STRONG, LEASE):
                with pytest.raises(NotLeader) as caught:
                    await follower.fresh(read)
                assert caught.value.leader_id == leader.config.id
            with pytest.raises(NotLeader):
                await follower.ask(Register.get, "a")

    run(main())


def test_a_read_at_a_follower_sees_every_call_that_was_answered_before() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            for value in range(1, 30):
                await leader.call(Register.set, "a", value)
                for follower in nodes.others(leader):
                    fresh = await follower.fresh(FOLLOWER)
                    assert (fresh.proof, fresh.age_s) == (Proof.READ_INDEX, 0.0)
                    assert follower.look(Register.get, "a") == value

    run(main())


def test_a_bounded_read_asks_only_when_it_does_not_know() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            first = await follower.fresh(bounded(1.0))
            assert first.proof is Proof.READ_INDEX
            asked = count_sent(follower, MsgReadIndex)
            await asyncio.sleep(0.6)
            known = await follower.fresh(bounded(1.0))
            assert known.proof is Proof.EARLIER
            assert known.age_s == pytest.approx(0.6)
            assert asked.count == 0
            await asyncio.sleep(0.6)
            again = await follower.fresh(bounded(1.0))
            assert again.proof is Proof.READ_INDEX
            assert asked.count == 1
            with pytest.raises(ConfigError):
                bounded(-1)

    run(main())


def test_a_bounded_read_is_never_staler_than_its_bound() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            await follower.fresh(bounded(5.0))
            nodes.network.isolate(follower.config.id)
            await leader.call(Register.set, "a", 1)
            assert (await follower.fresh(bounded(5.0))).proof is Proof.EARLIER
            await asyncio.sleep(5.1)
            with pytest.raises(ReadTimeout):
                await follower.fresh(bounded(5.0), within=1)
            nodes.network.heal()
            await follower.fresh(bounded(5.0))
            assert follower.look(Register.get, "a") == 1

    run(main())


def test_a_local_read_says_what_it_knows() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            assert (await follower.fresh(LOCAL)).age_s is None
            await follower.fresh(FOLLOWER)
            await asyncio.sleep(2)
            fresh = await follower.fresh(LOCAL)
            assert fresh.proof is Proof.NONE
            assert fresh.age_s == pytest.approx(2.0)

    run(main())


def test_a_read_that_nobody_confirms_ends_with_its_deadline() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            nodes.network.isolate(leader.config.id)
            loop = asyncio.get_running_loop()
            for node in (leader, nodes.others(leader)[0]):
                nodes.network.isolate(node.config.id)
                started = loop.time()
                with pytest.raises(ReadTimeout):
                    await node.fresh(FOLLOWER, within=0.5)
                assert 0.5 <= loop.time() - started <= 0.61

    run(main())


def test_too_many_reads_are_refused_and_room_comes_back() -> None:
    async def main() -> None:
        async with Nodes(calls_max=5) as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            results = await asyncio.gather(*(follower.fresh(FOLLOWER) for _ in range(7)), return_exceptions=True)
            assert [isinstance(result, Busy) for result in results] == [False] * 5 + [True] * 2
            await follower.fresh(FOLLOWER)

    run(main())


def test_a_question_that_was_lost_is_asked_again() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            nodes.network.cut.add((follower.config.id, leader.config.id))
            read = asyncio.ensure_future(follower.fresh(FOLLOWER))
            await asyncio.sleep(0.1)
            nodes.network.heal()
            await asyncio.wait_for(read, 0.5)

    run(main())


def test_a_question_that_nobody_was_there_to_answer_is_asked_again_as_soon_as_somebody_leads() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower, other = nodes.others(leader)
            nodes.network.cut |= {(other.config.id, follower.config.id), (leader.config.id, follower.config.id)}
            raft = follower._group.raw.raft

            async def until_led(wanted: bool) -> None:
                while bool(raft.leader) is not wanted:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.001)

            await until_led(False)
            follower._reads._retry = 60.0
            read = asyncio.ensure_future(follower.fresh(FOLLOWER))
            nodes.network.heal()
            await until_led(True)
            await asyncio.wait_for(read, 0.2)

    run(main())


def test_a_deposed_leader_never_answers_by_its_lease() -> None:
    """The old leader is cut off right after it got a lease: when another leads, that lease is over."""

    async def main() -> None:
        async with Nodes() as nodes:
            old = await nodes.leader()
            await old.call(Register.set, "a", 1)
            await old.fresh(STRONG)
            nodes.network.isolate(old.config.id)
            new = None
            for _ in range(2000):
                await asyncio.sleep(0.005)
                leading = [node for node in nodes.others(old) if node._group.raw.raft.role is Role.LEADER]
                if leading and new is None:
                    new = leading[0]
                if new is not None:
                    assert not old._reads.by_lease()
            assert new is not None
            assert old._group.raw.raft.role is not Role.LEADER  # it noticed by itself

    run(main())


def test_no_lease_while_leadership_is_handed_over_nor_ever_after_in_that_term() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.fresh(STRONG)
            raft = leader._group.raw.raft
            term = raft.term
            target = nodes.others(leader)[0].config.id
            nodes.network.cut.add((leader.config.id, target))  # the order to take over is late
            leader._group.act(lambda raw: raw.transfer_leader(target))
            await asyncio.sleep(0)
            assert not leader._reads.by_lease()
            await asyncio.sleep(1.5)
            nodes.network.heal()
            await asyncio.sleep(0.2)
            assert (raft.role, raft.term, raft.lead_transferee) == (Role.LEADER, term, 0)
            assert (await leader.fresh(STRONG)).proof is Proof.READ_INDEX
            assert (await leader.fresh(STRONG)).proof is Proof.READ_INDEX
            with pytest.raises(LeaseNotHeld):
                await leader.fresh(LEASE)

    run(main())


def test_a_voter_that_comes_back_keeps_the_promise_it_forgot() -> None:
    """It answered a heartbeat, so the leader may hold a lease; having lost its memory it must not vote at once."""

    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            id_ = nodes.others(leader)[0].config.id
            candidate = nodes.others(leader)[1].config.id
            nodes.network.isolate(id_)
            nodes.crash(id_)
            node = await nodes.start(id_)
            raft = node._group.raw.raft
            term = raft.term + 5
            vote = MsgVote(id_, candidate, term, log_term=raft.term, index=99)
            nodes.network.nodes[id_](candidate, [(1, [vote])])
            await asyncio.sleep(0.01)
            assert raft.term < term
            await asyncio.sleep(0.55)
            nodes.network.nodes[id_](candidate, [(1, [vote])])
            await asyncio.sleep(0.01)
            assert raft.term == term

    run(main())


def test_a_new_leader_answers_no_strong_read_before_its_first_entry_is_applied() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            old = await nodes.leader()
            await old.call(Register.set, "a", 1)
            nodes.crash(old.config.id)
            for disk in nodes.disks.values():
                disk.on_sync = lambda _: asyncio.sleep(0.05)
            while not (  # noqa: ASYNC110 - the very moment is looked for
                leading := [n for n in nodes.nodes.values() if n._group.raw.raft.role is Role.LEADER]
            ):
                await asyncio.sleep(0.001)
            new = leading[0]
            assert not new._group.raw.raft.applied_in_term()
            assert await new.ask(Register.get, "a") == 1
            assert new._group.raw.raft.applied_in_term()

    run(main())
