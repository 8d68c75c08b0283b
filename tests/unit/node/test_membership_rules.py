"""Rules of membership that another rule would hide: each is looked at with that other one out of the way."""

import asyncio

import pytest

from raftly.base.membership import ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState
from raftly.base.types import Entry, EntryType
from raftly.node.errors import ChangePending, LearnerBehind, Removed
from raftly.node.group import Proposal
from raftly.node.roster import GONE
from raftly.transport.memory import MemoryTransport
from tests.support.nodes import Nodes
from tests.support.virtual import run


class Forgetful(set[tuple[int, int]]):
    """Nobody is told that it was removed."""

    def add(self, _: tuple[int, int]) -> None: ...


def test_a_node_that_applies_its_own_removal_needs_nobody_to_tell_it() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            nodes.network.expelled = Forgetful()
            leader = await nodes.leader()
            gone = nodes.others(leader)[0]
            term = leader.status().basic.hard_state.term
            await leader.remove(gone.config.id)
            await asyncio.sleep(1)
            assert isinstance(gone.failure, Removed)
            await asyncio.sleep(10)
            assert leader.status().basic.hard_state.term == term

    run(main())


def test_a_learner_that_is_dead_is_waited_for_as_long_as_was_said_and_no_longer() -> None:
    async def main() -> None:
        async with Nodes(catch_up_stall=2.0) as nodes:
            leader = await nodes.leader()
            began = asyncio.get_running_loop().time()
            with pytest.raises(LearnerBehind):
                await leader.add(4, within=60)
            assert 2.0 <= asyncio.get_running_loop().time() - began <= 4.0

    run(main())


def test_a_change_that_is_in_force_already_is_not_put_in_force_again() -> None:
    """As after a restart, when entries are applied again whose configuration was stored."""

    async def main() -> None:
        async with Nodes() as nodes:
            node = nodes.others(await nodes.leader())[0]
            change = ConfChangeV2((ConfChangeSingle(ConfChangeType.REMOVE_NODE, 3),))
            entry = Entry(9, 50, EntryType.CONF_CHANGE_V2, change.encode())
            before = node.status().conf_state
            assert node._membership.apply(entry, in_force=50) is None
            assert node.status().conf_state == before
            assert node._membership.roster.conf.voters == (1, 2)

    run(main())


def test_a_change_that_the_core_would_turn_into_nothing_is_refused() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            change = ConfChangeV2((ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, 4),))
            loop = asyncio.get_running_loop()
            calls = [Proposal(b"", loop.create_future(), 1e9) for _ in range(2)]
            raw = leader._group.raw
            leader._membership._propose(raw, change, calls[0])
            with pytest.raises(ChangePending):
                leader._membership._propose(raw, change, calls[1])
            assert [proposal in leader._waiting.places.values() for proposal in calls] == [True, False]

    run(main())


def test_the_transport_hears_of_the_members_that_a_snapshot_brings() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            node = nodes.others(await nodes.leader())[0]
            transport = node._membership._transport
            assert isinstance(transport, MemoryTransport)
            node.machine.members |= {5: ("memory", 5), 6: GONE}
            node._membership.on_snapshot(ConfState((1, 2, 3, 5)))
            assert transport._addresses == {5: ("memory", 5)}
            assert nodes.network.expelled == {(node.config.id, 6)}

    run(main())
