"""Rules of sessions and of log time at a node, one by one."""

import asyncio

from raftly.core.role import Role
from raftly.core.status import SoftState
from raftly.node.commands import clock_payload, decode_head
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
                assert decode_head(payload)[1] == int(leader._clock() * 1e6)
            leader._clock = lambda: 1.0
            assert leader._stamp() == leader.machine.now_us > 1_000_000
            assert nodes.others(leader)[0]._stamp() == 0

    run(main())
