"""Callers of the simulator that use the real requests."""

from __future__ import annotations

import asyncio

import pytest

from raftly.node.errors import NoNodeReached
from raftly.testing.sim import SimCluster, World
from raftly.testing.sim.clients import Call
from raftly.testing.sim.cluster import PORT
from raftly.testing.sim.remotes import RemoteWay
from tests.support.nodes import Register


def write(value: int) -> Call[Register]:
    return Call("write", "a", value, Register.set, ("a", value))


def test_a_caller_whose_nodes_are_all_gone_is_told_where_the_others_are() -> None:
    """Soak, seed 8200533: every member was replaced in four seconds, in which it heard nothing."""
    world = World(1)
    cluster = SimCluster(world, Register)
    host = world.host("caller")
    host.start()
    way: RemoteWay[Register] = RemoteWay(cluster, host, 2.0, sessions=False)

    async def script() -> None:
        way.find_again()  # it never called
        await cluster.start()
        await cluster.wait_leader()
        await host.run(way.perform(write(1)))
        for old, new in ((1, 4), (2, 5), (3, 6)):
            way.find_again()
            assert not world.rare["callers that knew nobody any more"], "somebody that it knows is there still"
            await cluster.add(new)
            await cluster.remove(old)
        for value in range(10):  # what was on its way when its node died may have been done
            await asyncio.gather(host.run(way.perform(write(value))), return_exceptions=True)
        with pytest.raises(NoNodeReached):
            await host.run(way.perform(write(10)))
        way.find_again()
        assert world.rare["callers that knew nobody any more"] == 1
        await host.run(way.perform(write(11)))
        for old, new in ((4, 7), (5, 8)):
            await cluster.add(new)
            await cluster.remove(old)
        assert way._remote is not None
        way._remote._shared.route._addresses = [(cluster.hosts[6].address, PORT)]
        way.find_again()
        assert world.rare["callers that knew nobody any more"] == 1
        cluster.damaged.add(6)
        way.find_again()
        assert world.rare["callers that knew nobody any more"] == 1, "it serves, so far"
        cluster.kill(6)
        way.find_again()
        assert world.rare["callers that knew nobody any more"] == 2

    world.run(script(), within=120)
    world.close()
