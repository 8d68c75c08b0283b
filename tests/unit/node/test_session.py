"""Sessions: from any node, exactly once, whoever leads; and an error that says so when it is not to be."""

import asyncio
import struct

import pytest

from raftly.errors import ConfigError, OutcomeUnknown
from raftly.node import FOLLOWER, NodeConfig, command
from raftly.node.commands import open_payload
from raftly.node.errors import Busy, NodeStopped, SessionExpired, ValueTypeError
from raftly.node.remote import RemoteOptions
from tests.support.nodes import Nodes, Register, Replicas, Taken
from tests.support.remote import caller_of, serve
from tests.support.virtual import run


def test_a_session_works_at_any_node() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            await nodes.leader()
            for count, node in enumerate(list(nodes.nodes.values()), start=1):
                session = await node.open_session()
                assert await session.call(Register.add, "a", 1) == count
                assert node.look(Register.get, "a") == count  # the caller sees what it did
            await nodes.equal()

    run(main())


def test_overlapping_calls_each_get_their_own_answer() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            session = await nodes.others(leader)[0].open_session()
            answers = await asyncio.gather(*(session.call(Register.add, "a", 1) for _ in range(50)))
            assert sorted(answers) == list(range(1, 51))
            await session.call(Register.add, "a", 1)
            await nodes.equal()
            assert len(leader.machine.sessions[session.id].replies) == 1  # answered ones are forgotten

    run(main())


def test_a_registered_exception_is_an_answer() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            await session.call(Register.claim, "a")
            with pytest.raises(Taken):
                await session.call(Register.claim, "a")
            with pytest.raises(ValueTypeError):
                await session.call(Register.add, "a", "b")  # type: ignore[arg-type]

    run(main())


class Refused(Exception):
    pass


class Names:
    """Has results that can be changed."""

    errors = (Refused,)
    names: list[str]

    def __init__(self) -> None:
        self.names = []

    @command
    def add(self, name: str) -> list[str]:
        self.names.append(name)
        return self.names

    @command
    def refuse(self) -> None:
        raise Refused(self.names)


def test_who_changes_a_result_changes_nothing_that_its_session_keeps() -> None:
    async def main() -> None:
        async with Replicas(Names, 1) as nodes:
            node = await nodes.leader()
            session = await node.open_session()
            names = await session.call(Names.add, "a")
            digest = node.machine.digest()
            names.append("b")
            assert node.machine.digest() == digest
            with pytest.raises(Refused) as refused:
                await session.call(Names.refuse)
            digest = node.machine.digest()
            refused.value.args[0].append("b")
            refused.value.args = ()
            assert node.machine.digest() == digest
            kept = node.machine.sessions[session.id].replies[2]
            assert isinstance(kept, Refused)
            assert kept.__traceback__ is None

    run(main())


@pytest.mark.parametrize("ttl", [0.0, -1.0, 1e-9, 9.3e12, float("inf"), float("nan")])
def test_a_session_needs_a_time_to_live(ttl: float) -> None:
    async def main() -> None:
        async with Replicas(Names, 1) as nodes:
            node = await nodes.leader()
            serve(nodes)
            async with caller_of(Names, nodes) as remote:
                for opening in (node.open_session(ttl=ttl), remote.open_session(ttl=ttl)):
                    with pytest.raises(ConfigError, match="ttl is "):
                        await opening

    run(main())
    with pytest.raises(ConfigError, match="session_ttl is "):
        RemoteOptions(session_ttl=ttl)
    with pytest.raises(ConfigError, match="session_ttl is "):
        NodeConfig(1, (1,), session_ttl=ttl)


def test_a_call_that_cannot_be_offered_is_offered_no_more() -> None:
    async def main() -> None:
        async with Replicas(Names, 1) as nodes:
            node = await nodes.leader()
            with pytest.raises(struct.error):
                await node._calls.make((0, 1), lambda stamp_us: open_payload(stamp_us, 1 << 64, 1), 10.0)
            assert node.calls_in_flight() == 0
            await asyncio.sleep(3)
            assert node.failure is None

    run(main())


@pytest.mark.behaviour("RN07")
def test_calls_wait_while_no_leader_is_known_and_go_on_afterwards() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            node = nodes.nodes[1]
            assert node._group.raw.raft.leader == 0
            opening = asyncio.ensure_future(node.open_session())
            await asyncio.sleep(0.5)
            assert not opening.done()
            session = await opening
            for other in nodes.others(node):
                nodes.network.cut |= {(1, other.config.id), (other.config.id, 1)}
            await asyncio.sleep(3)
            call = asyncio.ensure_future(session.call(Register.add, "a", 1))
            await asyncio.sleep(1)
            assert not call.done()
            nodes.network.heal()
            assert await call == 1

    run(main())


@pytest.mark.parametrize("seed", range(5))
def test_calls_are_applied_exactly_once_while_leaders_come_and_go(seed: int) -> None:
    async def main() -> None:
        async with Nodes(seed=seed, call_timeout=60.0) as nodes:
            sessions = [await node.open_session() for node in nodes.nodes.values()]
            total = 0

            async def caller(position: int) -> None:
                nonlocal total
                for _ in range(40):
                    await sessions[position].call(Register.add, "a", 1)
                    total += 1
                    await asyncio.sleep(0.05)

            async def trouble() -> None:
                for _ in range(4):
                    leader = await nodes.leader()
                    nodes.network.isolate(leader.config.id)
                    await asyncio.sleep(2.5)
                    nodes.network.heal()
                    await asyncio.sleep(0.5)

            await asyncio.gather(trouble(), *(caller(position) for position in range(3)))
            await nodes.equal()
            assert total == 120
            assert nodes.nodes[1].look(Register.get, "a") == 120

    run(main())


def test_lost_and_doubled_offers_count_once() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            offered: list[bytes] = []
            offer = leader._calls._offer

            def lossy(payload: bytes) -> None:
                offered.append(payload)
                if len(offered) == 2:
                    offer(payload)
                    offer(payload)

            leader._calls._offer = lossy
            assert await session.call(Register.add, "a", 1) == 1
            assert len(offered) == 2  # the first was lost
            await asyncio.sleep(1)
            assert leader.look(Register.get, "a") == 1

    run(main())


def test_no_answer_in_time_is_an_unknown_outcome() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            session = await leader.open_session(within=0.5)
            nodes.network.isolate(leader.config.id)
            loop = asyncio.get_running_loop()
            started = loop.time()
            with pytest.raises(OutcomeUnknown):
                await session.call(Register.add, "a", 1)
            assert 0.5 <= loop.time() - started <= 0.61
            nodes.network.heal()
            other = await nodes.leader()
            await other.call(Register.add, "b", 1)
            assert leader.calls_in_flight() == 0

    run(main())


def test_a_call_given_up_is_not_applied_after_a_later_one_was_answered() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            session = await leader.open_session(within=0.5)
            held: list[bytes] = []
            offer = leader._calls._offer
            leader._calls._offer = held.append
            with pytest.raises(OutcomeUnknown):
                await session.call(Register.add, "a", 100)
            leader._calls._offer = offer
            assert await session.call(Register.add, "a", 1) == 1
            offer(held[0])
            await asyncio.sleep(1)
            assert leader.look(Register.get, "a") == 1

    run(main())


def test_a_silent_session_expires_by_the_leaders_clock_even_when_nothing_else_happens() -> None:
    async def main() -> None:
        async with Nodes(session_ttl=20.0, digest_interval=0.0) as nodes:
            leader = await nodes.leader()
            session = await nodes.others(leader)[0].open_session()
            await session.call(Register.add, "a", 1)
            await asyncio.sleep(15)
            assert session.id in leader.machine.sessions
            await asyncio.sleep(15)
            for node in nodes.nodes.values():
                assert node.machine.sessions == {}
            with pytest.raises(SessionExpired):
                await session.call(Register.add, "a", 1)
            applied = leader.machine.applied
            await asyncio.sleep(60)
            assert leader.machine.applied == applied  # nothing waits for time any more
            assert leader.look(Register.get, "a") == 1

    run(main())


def test_calls_keep_a_session_alive() -> None:
    async def main() -> None:
        async with Nodes(session_ttl=20.0) as nodes:
            leader = await nodes.leader()
            session = await nodes.others(leader)[0].open_session()
            for _ in range(10):
                await session.call(Register.add, "a", 1)
                await asyncio.sleep(10)
            assert session.id in leader.machine.sessions

    run(main())


def test_a_closed_session_is_forgotten() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            session.close()
            await asyncio.sleep(1)
            assert leader.machine.sessions == {}
            with pytest.raises(SessionExpired):
                await session.call(Register.add, "a", 1)

    run(main())


def test_calls_of_sessions_count_as_calls_in_flight() -> None:
    async def main() -> None:
        async with Nodes(calls_max=2) as nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            answers = await asyncio.gather(
                *(session.call(Register.add, "a", 1) for _ in range(3)), return_exceptions=True
            )
            assert answers[:2] == [1, 2]
            assert isinstance(answers[2], Busy)
            assert await session.call(Register.add, "a", 1) == 3

    run(main())


def test_calls_of_a_node_that_stops_end_and_new_ones_are_refused() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            nodes.network.isolate(leader.config.id)
            call = asyncio.ensure_future(session.call(Register.add, "a", 1))
            await asyncio.sleep(0.01)
            await leader.stop()
            with pytest.raises(OutcomeUnknown):
                await call
            with pytest.raises(NodeStopped):
                await session.call(Register.add, "a", 1)
            with pytest.raises(NodeStopped):
                await leader.open_session()

    run(main())


def test_a_retried_call_is_answered_although_a_snapshot_brought_its_effect() -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=10, call_timeout=60.0) as nodes:
            leader = await nodes.leader()
            caller = nodes.others(leader)[0]
            id_ = caller.config.id
            session = await caller.open_session()
            call = asyncio.ensure_future(session.call(Register.add, "a", 1))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            nodes.network.cut |= {(leader.config.id, id_), (nodes.others(leader)[1].config.id, id_)}
            await asyncio.sleep(0.1)
            for _ in range(60):
                await leader.call(Register.add, "b", 1)
            assert leader.look(Register.get, "a") == 1
            assert not call.done()
            nodes.network.heal()
            assert await call == 1
            assert caller.machine.applied >= leader._log.first_index()
            await caller.fresh(FOLLOWER)
            assert caller.look(Register.get, "a") == 1

    run(main())
