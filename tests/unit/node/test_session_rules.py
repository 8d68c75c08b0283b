"""Rules of sessions and of log time at a node, one by one."""

import asyncio

from raftly.core.role import Role
from raftly.core.status import SoftState
from raftly.node.commands import clock_payload, decode_call, decode_head
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


def test_what_waits_is_offered_to_a_new_leader_at_once() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            node = nodes.others(leader)[0]
            offered: list[bytes] = []
            node._calls._offer = offered.append
            waiting = asyncio.ensure_future(node._calls.make((9, 9), lambda _: b"x", 5.0))
            await asyncio.sleep(0)
            assert offered == [b"x"]
            node.on_soft_state(SoftState(0, Role.CANDIDATE))
            assert offered == [b"x"]
            node.on_soft_state(SoftState(leader.config.id, Role.FOLLOWER))
            assert offered == [b"x", b"x"]
            waiting.cancel()

    run(main())


def test_the_clock_that_counts_is_the_leaders_and_it_never_goes_back() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            for claimed in (0, 1, 1 << 60):
                payload = leader.on_passed_on(clock_payload(claimed))
                assert payload is not None
                assert decode_head(payload)[1] == int(leader._intake._clock() * 1e6)
            leader._intake._clock = lambda: 1.0
            assert leader._intake.stamp() == leader.machine.now_us > 1_000_000
            assert nodes.others(leader)[0]._intake.stamp() == 0

    run(main())


def test_calls_below_the_oldest_that_is_waited_for_are_done_and_no_others() -> None:
    """What a session says that it is done with is forgotten, and refused when it comes late."""

    async def main() -> None:
        async with Nodes(1) as nodes:
            session = await (await nodes.leader()).open_session()
            offered: list[bytes] = []
            session._calls._offer = offered.append

            def numbers() -> list[tuple[int, int]]:
                """(number, those below which are done) of each offer since the last look."""
                calls = [decode_call(payload)[1:3] for payload in offered]
                offered.clear()
                return calls

            def answer(number: int) -> None:
                session._calls.waiting[session.id, number].future.set_result(0)

            calls = [asyncio.ensure_future(session.call(Register.add, "a", 1)) for _ in range(3)]
            await asyncio.sleep(0)
            assert numbers() == [(1, 1), (2, 1), (3, 1)]
            answer(2)
            await calls[1]
            session._calls.offer_all(0.0)
            assert numbers() == [(1, 1), (3, 1)]
            answer(1)
            await calls[0]
            session._calls.offer_all(0.0)
            assert numbers() == [(3, 3)]
            answer(3)
            await calls[2]

    run(main())
