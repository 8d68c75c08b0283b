"""What operators do to data directories and members, with real processes: what it says, and that the group goes on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from raftly.errors import PeerRefused
from raftly.node import Remote, RemoteOptions, connect
from raftly.testing.processes import Process, ProcessCluster, free_ports
from tests.cluster.support.clients import connect_only
from tests.cluster.support.registers import TARGET, Registers
from tests.cluster.support.waiting import until

Story = Callable[[ProcessCluster, Remote[Registers]], Awaitable[None]]


def with_cluster(root: Path, story: Story, size: int = 3) -> None:
    """Tell a story of a group that has served already; it must serve afterwards too."""

    async def main() -> None:
        with ProcessCluster(TARGET, root, size) as cluster:
            cluster.start()
            options = RemoteOptions(call_timeout=30)
            async with connect(Registers, cluster.addresses, options=options) as remote:
                await remote.call(Registers.write, "before", 1)
                await story(cluster, remote)
                await remote.call(Registers.write, "after", 2)
                assert await remote.ask(Registers.everything) == ({"after": 2, "before": 1}, {1: 1, 2: 1})

    asyncio.run(main())


def elsewhere() -> tuple[str, int]:
    """Where a second process of a node can listen."""
    return "127.0.0.1", free_ports(1)[0]


async def refusal(process: Process) -> str:
    """It ended with 1; its last words."""
    assert await asyncio.to_thread(process.wait) == 1
    return process.said.splitlines()[-1]


def test_a_second_process_in_one_directory_is_refused_and_the_first_is_unharmed(tmp_path: Path) -> None:
    async def story(cluster: ProcessCluster, remote: Remote[Registers]) -> None:
        first = cluster.running[1]
        second = cluster.spawn(cluster.spec(1, listen=elsewhere()))
        wanted = f"{cluster.directory(1)} is in use by another process; give every node a directory of its own"
        assert await refusal(second) == f"DirectoryInUse: {wanted}"
        assert cluster.running[1] is first
        assert first.is_running
        async with connect_only(cluster.address(1), 30) as one:
            assert (await one.members()).by

    with_cluster(tmp_path, story)


def test_a_cloned_directory_is_refused_while_its_original_runs_and_after(tmp_path: Path) -> None:
    async def story(cluster: ProcessCluster, remote: Remote[Registers]) -> None:
        cluster.kill(1)
        copy = shutil.copytree(cluster.directory(1), tmp_path / "copy")
        wanted = "DirectoryCopied: this data directory is a copy of that of node 1."
        cloned = cluster.spec(1, directory=str(copy), listen=elsewhere())
        assert (await refusal(cluster.spawn(cloned))).startswith(wanted)
        cluster.start(1)
        assert (await refusal(cluster.spawn(cloned))).startswith(wanted)

    with_cluster(tmp_path, story)


def test_the_directory_of_another_node_or_cluster_is_refused(tmp_path: Path) -> None:
    async def story(cluster: ProcessCluster, remote: Remote[Registers]) -> None:
        cluster.kill(3)
        directory = str(cluster.directory(3))
        said = await refusal(cluster.spawn(cluster.spec(3, config={"cluster_id": 2})))
        assert "belongs to node 3 of cluster 0x1, and this is node 3 of cluster 0x2: give this node its own" in said
        said = await refusal(cluster.spawn(cluster.spec(4, directory=directory, join=True)))
        assert "belongs to node 3 of cluster 0x1, and this is node 4 of cluster 0x1: give this node its own" in said
        cluster.start(3)

    with_cluster(tmp_path, story)


def test_a_node_and_a_caller_of_a_foreign_cluster_are_not_let_in(tmp_path: Path) -> None:
    async def story(cluster: ProcessCluster, remote: Remote[Registers]) -> None:
        term = (await remote.members()).term
        cluster.kill(3)
        shutil.rmtree(cluster.directory(3))
        foreign = cluster.spawn(cluster.spec(3, config={"cluster_id": 2}))
        await until(lambda: "CLUSTER" in foreign.said)
        async with connect(Registers, cluster.addresses[:2], cluster_id=2) as stranger:
            with pytest.raises(PeerRefused, match="cluster"):
                await stranger.call(Registers.write, "after", 3)
        assert (await remote.members()).term <= term + 1

    with_cluster(tmp_path, story)


def test_a_removed_node_ends_and_says_why_and_so_it_does_when_it_returns(tmp_path: Path) -> None:
    async def story(cluster: ProcessCluster, remote: Remote[Registers]) -> None:
        gone = (await remote.members()).leader % 3 + 1
        await remote.remove(gone)
        wanted = "Removed: this node was removed from its group: stop it, and delete its directory"
        assert await refusal(cluster.running[gone]) == wanted
        before = await remote.members()
        cluster.start(gone)
        assert await refusal(cluster.running[gone]) == wanted
        after = await remote.members()
        assert (after.leader, after.term) == (before.leader, before.term)

    with_cluster(tmp_path, story)


def test_a_node_that_lost_its_directory_is_refused_by_who_met_it_before(tmp_path: Path) -> None:
    async def story(cluster: ProcessCluster, remote: Remote[Registers]) -> None:
        before = await remote.members()
        wiped = before.leader % 3 + 1
        cluster.kill(wiped)
        shutil.rmtree(cluster.directory(wiped))
        cluster.start(wiped)
        wanted = (
            f"node {wiped} comes with another data directory than before, so it has forgotten what it promised: "
            "remove it from the group, and add a node with another id"
        )
        await until(lambda: cluster.running[wiped].said.count(wanted) > 1)
        after = await remote.members()
        assert (after.leader, after.term) == (before.leader, before.term)
        await remote.remove(wiped)
        cluster.join(4)
        await remote.add(4, cluster.address(4))

    with_cluster(tmp_path, story)
