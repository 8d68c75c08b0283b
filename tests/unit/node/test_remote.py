"""Callers elsewhere: they find the leader, and each call ends as it should, whoever leads and whatever breaks."""

from __future__ import annotations

import asyncio

import pytest

from raftly.core.role import Role
from raftly.errors import ConfChangeError, ConfigError, OutcomeUnknown
from raftly.node import FOLLOWER, LEASE, LOCAL, Proof, bounded
from raftly.node.errors import (
    Busy,
    IdRetired,
    LeaseNotHeld,
    NodeStopped,
    NoNodeReached,
    ReadTimeout,
    SessionExpired,
    UnknownCommand,
    ValueTypeError,
)
from raftly.node.remote import connect, parse_address
from raftly.node.route import RouteOptions
from raftly.node.service import ServiceLimits
from raftly.transport.base import Caller
from raftly.transport.exchange import Item
from raftly.transport.memory_client import memory_address
from tests.support.nodes import Nodes, Register, Taken
from tests.support.remote import CALLER, caller, serve
from tests.support.virtual import run


def test_a_caller_needs_one_address_and_finds_the_leader() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            for node in nodes.ids:
                async with caller(nodes, node) as remote:
                    assert await remote.call(Register.add, "a", 1) == node
                    assert await remote.ask(Register.get, "a") == node
                    assert remote._shared.route._leader == memory_address(leader.config.id)
                    assert sorted(remote._shared.route.addresses) == [memory_address(id_) for id_ in nodes.ids]
            await nodes.equal()

    run(main())


def test_calls_wait_for_a_leader() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            async with caller(nodes) as remote:
                assert all(node._group.raw.raft.leader == 0 for node in nodes.nodes.values())
                assert await remote.call(Register.set, "a", 5) == 5

    run(main())


def test_what_goes_wrong_arrives_typed() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes, limits=ServiceLimits(session_ttl=100.0))
            async with caller(nodes) as remote:
                await remote.call(Register.claim, "a")
                with pytest.raises(Taken) as taken:
                    await remote.call(Register.claim, "a")
                assert taken.value.args == ("a",)
                with pytest.raises(ValueTypeError):
                    await remote.call(Register.add, "a", "b")  # type: ignore[arg-type]
                with pytest.raises(UnknownCommand):
                    await remote.call(Register.get, "a")
                with pytest.raises(UnknownCommand):
                    await remote.ask(Register.set, "a", 1)
                with pytest.raises(UnknownCommand, match="administer"):
                    await remote._administer("stop")
                with pytest.raises(ValueTypeError):
                    await remote.remove("x")  # type: ignore[arg-type]
                with pytest.raises(Exception, match="session_ttl_us"):
                    await remote.open_session(ttl=101.0)
                assert await remote.call(Register.add, "a", 1) == 2  # nobody was harmed

    run(main())


@pytest.mark.parametrize("seed", range(4))
def test_a_session_counts_once_while_leaders_come_and_go(seed: int) -> None:
    async def main() -> None:
        async with Nodes(seed=seed) as nodes:
            serve(nodes)
            remotes = [caller(nodes, id_=CALLER - number, call_timeout=60.0) for number in range(3)]
            sessions = [await remote.open_session() for remote in remotes]

            async def work(position: int) -> None:
                for _ in range(40):
                    await sessions[position].call(Register.add, "a", 1)
                    await asyncio.sleep(0.05)

            async def trouble() -> None:
                for _ in range(4):
                    leader = await nodes.leader()
                    nodes.network.isolate(leader.config.id)
                    await asyncio.sleep(2.5)
                    nodes.network.heal()
                    await asyncio.sleep(0.5)

            await asyncio.gather(trouble(), *(work(position) for position in range(3)))
            assert await remotes[0].ask(Register.get, "a") == 120
            await nodes.equal()
            for remote in remotes:
                await remote.close()

    run(main())


def test_a_lost_reply_is_asked_for_again_and_the_call_counts_once() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                session = await remote.open_session()
                back = (leader.config.id, CALLER)
                nodes.network.cut.add(back)
                call = asyncio.ensure_future(session.call(Register.add, "a", 1))
                while leader.look(Register.get, "a") == 0:  # noqa: ASYNC110 - nothing is told of it
                    await asyncio.sleep(0.001)
                assert not call.done()
                await asyncio.sleep(0.5)
                nodes.network.cut.discard(back)
                assert await call == 1
                assert await session.call(Register.add, "a", 1) == 2
                # The same loss without a session: nobody can tell, so it is said, and nothing is sent again.
                nodes.network.cut.add(back)
                asyncio.get_running_loop().call_later(0.2, nodes.network.cut.discard, back)
                with pytest.raises(OutcomeUnknown):
                    await remote.call(Register.add, "a", 1)
                nodes.network.cut.discard(back)
                assert await remote.ask(Register.get, "a") == 3

    run(main())


def test_a_leader_that_is_cut_off_in_the_middle_of_a_call() -> None:
    """Its followers elect another; the session's call is answered by that one, the plain call is not sent again."""

    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes, call_timeout=20.0) as remote:
                session = await remote.open_session()
                nodes.network.isolate(leader.config.id)  # from the other nodes; the caller still reaches it
                plain = asyncio.ensure_future(remote.call(Register.add, "b", 1))
                assert await session.call(Register.add, "a", 1) == 1
                new = await nodes.leader(but=leader.config.id)
                assert new.look(Register.get, "a") == 1
                nodes.network.heal()
                # Overwritten, so certainly not applied: sent again by the caller, to the new leader.
                assert await plain == 1
                await nodes.equal()

    run(main())


class Frozen:
    """A node whose process stands still: it takes all and answers nothing."""

    def on_requests(self, caller: Caller, items: list[Item]) -> None:
        pass

    def on_excess(self, caller: Caller, items: list[Item]) -> None:
        pass


def test_a_leader_that_freezes_is_waited_for_once() -> None:
    """The others name it until they elect another; that does not send the caller back to it meanwhile."""

    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                session = await remote.open_session()
                nodes.network.handlers[leader.config.id] = Frozen()
                nodes.network.isolate(leader.config.id)
                loop = asyncio.get_running_loop()
                call = asyncio.ensure_future(session.call(Register.add, "a", 1))
                await nodes.leader(but=leader.config.id)
                elected = loop.time()
                assert await call == 1
                assert loop.time() - elected < 0.5  # the longest pause between two attempts, and what a call takes
                # It may come back, and lead.
                serve(nodes, leader.config.id)
                nodes.network.heal()
                await asyncio.sleep(3)
                await remote.transfer_leader(leader.config.id)
                assert await session.call(Register.add, "a", 1) == 2

    run(main())


def test_a_caller_in_a_hurry_does_not_send_others_away() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                await remote.call(Register.add, "a", 1)
                nodes.network.handlers[leader.config.id] = Frozen()
                with pytest.raises(OutcomeUnknown):
                    await remote.within(0.1).call(Register.add, "a", 1)
                serve(nodes, leader.config.id)
                assert remote._shared.route._leader == memory_address(leader.config.id)
                loop = asyncio.get_running_loop()
                began = loop.time()
                await remote.call(Register.add, "b", 1)
                assert loop.time() - began < 0.1

    run(main())


def test_a_leader_that_stops_fails_nobody() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                done = 0

                async def work() -> None:
                    nonlocal done
                    for _ in range(50):
                        await remote.call(Register.add, "a", 1)
                        done += 1
                        await asyncio.sleep(0.01)

                async def trouble() -> None:
                    await asyncio.sleep(0.2)
                    await nodes.stop(leader.config.id)

                await asyncio.gather(trouble(), *(work() for _ in range(4)))
                assert await remote.ask(Register.get, "a") == done == 200

    run(main())


def test_a_crashed_node_is_left_behind() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes, call_timeout=20.0) as remote:
                session = await remote.open_session()
                assert await session.call(Register.add, "a", 1) == 1
                nodes.crash(leader.config.id)
                assert await session.call(Register.add, "a", 1) == 2
                nodes.crash((await nodes.leader()).config.id)  # no majority any more
                with pytest.raises(OutcomeUnknown):
                    await session.call(Register.add, "a", 1)

    run(main())


def test_reads_say_how_fresh_they_are() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            await nodes.leader()
            async with caller(nodes) as remote:
                await remote.call(Register.set, "a", 1)
                value, fresh = await remote.ask_fresh(Register.get, "a")
                assert (value, fresh.age_s) == (1, 0.0)
                assert fresh.proof in (Proof.LEASE, Proof.READ_INDEX)
                value, fresh = await remote.ask_fresh(Register.get, "a")
                assert (value, fresh.proof) == (1, Proof.LEASE)
                assert await remote.reading(LEASE).ask(Register.get, "a") == 1
                value, fresh = await remote.reading(FOLLOWER).ask_fresh(Register.get, "a")
                assert (value, fresh.age_s) == (1, 0.0)
                value, fresh = await remote.reading(bounded(1.0)).ask_fresh(Register.get, "a")
                assert value == 1
                assert fresh.age_s is not None
                assert fresh.age_s <= 1.0
                _, fresh = await remote.reading(LOCAL).ask_fresh(Register.get, "a")
                assert fresh.proof is Proof.NONE
                await asyncio.sleep(5)
                with pytest.raises(LeaseNotHeld):
                    await remote.reading(LEASE).ask(Register.get, "a")

    run(main())


def test_every_call_ends_in_its_time() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                session = await remote.within(2.0).open_session()
                for other in nodes.others(leader):
                    nodes.network.isolate(other.config.id)
                loop = asyncio.get_running_loop()
                for seconds, waiting, error in (
                    (0.5, remote.within(0.5).call(Register.add, "a", 1), OutcomeUnknown),
                    (2.0, session.call(Register.add, "a", 1), OutcomeUnknown),
                    (3.0, remote.within(3.0).ask(Register.get, "a"), ReadTimeout),
                    (0.5, remote.within(0.5).reading(FOLLOWER).ask(Register.get, "a"), ReadTimeout),
                ):
                    began = loop.time()
                    with pytest.raises(error):
                        await waiting
                    assert loop.time() - began <= seconds + 0.3  # a tick of the node's more

    run(main())


def test_nobody_there() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            async with caller(nodes) as remote:
                with pytest.raises(NoNodeReached, match="nobody serves"):
                    await remote.within(0.5).call(Register.add, "a", 1)
                with pytest.raises(NoNodeReached):
                    await remote.within(0.5).ask(Register.get, "a")
            with pytest.raises(NodeStopped, match="closed"):
                await remote.call(Register.add, "a", 1)

    run(main())


def test_more_than_a_connection_carries_waits_its_turn() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            await nodes.leader()
            async with caller(nodes, route=RouteOptions(in_flight_max=2)) as remote:
                await remote.call(Register.add, "a", 1)
                answers = await asyncio.gather(*(remote.call(Register.add, "a", 1) for _ in range(20)))
                assert sorted(answers) == list(range(2, 22))
                with pytest.raises(Busy):
                    await asyncio.gather(*(remote.within(0.001).call(Register.add, "a", 1) for _ in range(20)))

    run(main())


def test_a_closed_session_is_no_more_and_a_silent_one_expires() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            await nodes.leader()
            async with caller(nodes) as remote:
                async with await remote.open_session() as session:
                    await session.call(Register.add, "a", 1)
                with pytest.raises(SessionExpired):
                    await session.call(Register.add, "a", 1)
                silent = await remote.open_session(ttl=1.0)
                await asyncio.sleep(20)
                with pytest.raises(SessionExpired):
                    await silent.call(Register.add, "a", 1)
                assert await remote.ask(Register.get, "a") == 1

    run(main())


def test_a_call_given_up_cannot_be_applied_after_a_later_one() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                session = await remote.open_session()
                given_up = asyncio.ensure_future(session.call(Register.add, "a", 100))
                await asyncio.sleep(0)
                given_up.cancel()
                await asyncio.sleep(1)
                seen = leader.look(Register.get, "a")
                assert await session.call(Register.add, "a", 1) == seen + 1
                state = leader.machine.sessions[session.id]
                assert state.done_below == 2
                assert list(state.replies) == [2]

    run(main())


def test_the_group_from_outside() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                status = await remote.members()
                assert [(member.id, member.role, member.host) for member in status.members] == [
                    (id_, "voter", "memory") for id_ in nodes.ids
                ]
                assert status.leader == leader.config.id
                other = nodes.others(leader)[0]
                await remote.transfer_leader(other.config.id)
                assert other._group.raw.raft.role is Role.LEADER
                assert await remote.call(Register.add, "a", 1) == 1

    run(main())


def test_members_are_changed_from_outside() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes) as remote:
                await remote.call(Register.set, "a", 1)
                with pytest.raises(ConfChangeError, match="99"):
                    await remote.promote(99)
                gone = nodes.others(leader)[0].config.id
                await remote.remove(gone)
                assert [member.id for member in (await remote.members()).members] == sorted(set(nodes.ids) - {gone})
                await remote.remove(gone)  # it does what is not done yet
                with pytest.raises(IdRetired):
                    await remote.add(gone, ("memory", gone))
                await remote.remove(leader.config.id)  # which hands over first
                assert await remote.call(Register.add, "a", 1) == 2
                with pytest.raises(ConfChangeError):
                    await remote.remove((await remote.members()).members[0].id)  # the last one

    run(main())


def test_a_caller_that_stays_connected_hears_who_came_and_went() -> None:
    """All that it knew may be gone by the time its connection closes (found by a simulated run of whole nodes)."""

    async def main() -> None:
        async with Nodes() as nodes:
            serve(nodes)
            leader = await nodes.leader()
            async with caller(nodes, leader.config.id) as remote:
                await remote.call(Register.set, "a", 1)
                await asyncio.sleep(0.1)
                addresses = [memory_address(id_) for id_ in nodes.ids]
                assert sorted(remote._shared.route.addresses) == addresses
                gone = nodes.others(leader)[0].config.id
                await leader.remove(gone)
                await asyncio.sleep(3)
                await remote.call(Register.set, "a", 2)
                await asyncio.sleep(0.1)
                assert set(addresses) - set(remote._shared.route.addresses) == {memory_address(gone)}

    run(main())


@pytest.mark.parametrize(
    "text,address",
    [("localhost:1", ("localhost", 1)), ("10.0.0.1:65535", ("10.0.0.1", 65535)), ("[::1]:4001", ("::1", 4001))],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "host", ":1", "host:", "host:x", "host:-1", "host:¹"])
def test_other_texts_are_no_addresses(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_address(text)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ConfigError, match="loopback"):
        connect(Register, ["10.0.0.1:1"])
    with pytest.raises(ConfigError, match="none"):
        connect(Register, [])
    with pytest.raises(ConfigError, match="cluster_id"):
        connect(Register, ["localhost:1"], cluster_id=0)
    with pytest.raises(ConfigError):
        connect(Nodes, ["localhost:1"])
