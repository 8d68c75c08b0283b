"""SIGTERM of each member in turn, as an upgrade does it, while callers call: none of them notices."""

from __future__ import annotations

import asyncio
from pathlib import Path

from raftly.node import FOLLOWER, Remote, RemoteOptions, connect
from raftly.testing.processes import ProcessCluster
from tests.cluster.support.clients import connect_only
from tests.cluster.support.registers import TARGET, Registers

CALLERS = 8
ROUNDS = 2


def test_no_call_fails_while_each_member_is_restarted_in_turn(tmp_path: Path) -> None:
    async def main() -> None:
        with ProcessCluster(TARGET, tmp_path) as cluster:
            cluster.start()
            await rolling_restart(cluster)

    asyncio.run(main())


async def rolling_restart(cluster: ProcessCluster) -> None:
    stopping = asyncio.Event()
    options = RemoteOptions(call_timeout=30)

    async def call(remote: Remote[Registers], number: int) -> int:
        """In a session, so that what is lost on the way is sent again."""
        calls = 0
        async with await remote.open_session() as session:
            while not stopping.is_set():
                calls += 1
                value = number * 1_000_000 + calls
                await session.call(Registers.write, str(number), value)
                assert await remote.ask(Registers.get, str(number)) == value
        return calls

    async with connect(Registers, cluster.addresses, options=options) as remote, asyncio.TaskGroup() as group:
        await answers(cluster, *cluster.ids)
        callers = [group.create_task(call(remote, number)) for number in range(CALLERS)]
        for id_ in cluster.ids * ROUNDS:
            assert await asyncio.to_thread(cluster.terminate, id_) == 0
            cluster.start(id_)
            await answers(cluster, id_)
        stopping.set()
        counts = [await caller for caller in callers]
        _, applied = await remote.ask(Registers.everything)
        assert sorted(applied.values()) == [1] * sum(counts)


async def answers(cluster: ProcessCluster, *ids: int) -> None:
    """Wait until these members are back: they know all that is committed."""
    for id_ in ids:
        async with connect_only(cluster.address(id_), 30) as one:
            await one.reading(FOLLOWER).ask(Registers.get, "")
