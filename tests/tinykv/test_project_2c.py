"""TinyKV's project 2C: snapshots in Raft that no test of the core plays as they are, and stores whose logs are cut.

docs/tinykv.md lists all.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.messages import MsgSnap
from raftly.engine.base import CF_LOCK
from tests.support.lone import acked, leader, propose, receive, take, voter
from tests.tinykv.client import Client
from tests.tinykv.scenario import Scenario, play
from tests.tinykv.stores import ELECTION_S, OPTIONS, SimStores


@pytest.mark.tinykv("TestProvideSnap2C")
def test_a_proposal_sends_one_snapshot_to_a_follower_whose_next_entry_is_compacted() -> None:
    host = leader(voters=(1, 2))
    receive(host, acked(host, 2))
    for _ in range(10):
        propose(host)
    receive(host, acked(host, 2))
    host.compact()
    behind = host.raft.tracker.progress[2]
    behind.become_probe()
    behind.match, behind.next = 1, 2  # the follower lost what it held
    (message,) = propose(host)
    assert isinstance(message, MsgSnap)
    assert (message.to, message.snapshot.meta.index) == (2, 11)


@pytest.mark.tinykv("TestRestoreFromSnapWithOverlapingPeersMsg2C")
def test_the_members_are_those_of_the_snapshot_alone() -> None:
    host = voter(id_=3, voters=(1, 2, 3))
    host.node.step(MsgSnap(3, 1, 2, Snapshot(SnapshotMeta(11, 1, ConfState((2, 3, 4))), b"state")))
    assert (host.raft.leader, host.raft.term) == (1, 2)
    take(host)
    assert [id_ for id_, _ in host.raft.tracker.peers] == [2, 3, 4]
    assert host.conf_state == ConfState((2, 3, 4))


@pytest.mark.tinykv("TestOneSnapshot2C")
def test_a_store_that_was_cut_off_gets_a_snapshot_and_keeps_it() -> None:
    stores = SimStores(seed=1, size=3, options=replace(OPTIONS, log_entries_max=10))

    async def script() -> None:
        await stores.start()
        client = Client(stores)
        first = await stores.wait_leader(b"")
        if first == 1:
            assert await stores.placement.transfer_leader(1, 2)
        await client.put(b"k0", b"v0", CF_LOCK)
        await client.put(b"k1", b"v1", CF_LOCK)
        await stores.wait_stored(b"k1", b"v1", stores.hosts, CF_LOCK)
        begins = stores.log_start(1)

        with stores.partition([1], [2, 3]):
            for number in range(2, 17):
                await client.put(b"k%d" % number, b"v%d" % number, CF_LOCK)
            await client.delete(b"k1", CF_LOCK)
            assert stores.stored(1, b"k1", CF_LOCK) == b"v1"
            assert stores.stored(1, b"k16", CF_LOCK) is None
            assert stores.log_start(1) == begins
            await stores.until(lambda: stores.log_start(2) > begins + 10, "the log is not cut")

        async def is_there() -> None:
            await stores.wait_stored(b"k16", b"v16", [1], CF_LOCK)
            await stores.wait_stored(b"k0", b"v0", [1], CF_LOCK)
            await stores.wait_stored(b"k1", None, [1], CF_LOCK)

        await is_there()
        stores.stop(1)
        await asyncio.sleep(ELECTION_S)
        await stores.start_store(1)
        await is_there()
        await asyncio.sleep(1.0)
        stores.check_logs(20)

    stores.run(script(), within=120)


@pytest.mark.tinykv("TestSnapshotRecover2C")
def test_a_short_log_and_restarts() -> None:
    play(Scenario(restarts=True, log_entries=100), seed=2)


@pytest.mark.tinykv("TestSnapshotRecoverManyClients2C")
def test_a_short_log_restarts_and_many_clients() -> None:
    play(Scenario(clients=20, restarts=True, log_entries=100), seed=3)


@pytest.mark.tinykv("TestSnapshotUnreliable2C")
def test_a_short_log_and_lost_messages() -> None:
    play(Scenario(clients=5, unreliable=True, log_entries=100), seed=4)


@pytest.mark.tinykv("TestSnapshotUnreliableRecover2C")
def test_a_short_log_lost_messages_and_restarts() -> None:
    play(Scenario(clients=5, unreliable=True, restarts=True, log_entries=100), seed=5)


@pytest.mark.tinykv("TestSnapshotUnreliableRecoverConcurrentPartition2C")
def test_a_short_log_lost_messages_partitions_and_restarts() -> None:
    play(Scenario(clients=5, unreliable=True, partitions=True, restarts=True, log_entries=100), seed=6)
