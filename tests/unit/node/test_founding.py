"""How groups and directories begin, and what is refused: copies, strangers, directories that were wiped or taken."""

import asyncio
import shutil
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from raftly.base.types import NodeId
from raftly.core.role import Role
from raftly.errors import DirectoryCopied, DirectoryInUse, RaftlyError, Retry, StorageError
from raftly.node import NodeConfig, Replicated, replicate
from raftly.node.errors import IdRetired, Removed
from raftly.storage.identity import NAME, origin_of
from raftly.testing.faultfs import FaultFs
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryTransport
from raftly.transport.options import Address
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


async def start(nodes: Nodes, id_: int, members: tuple[int, ...]) -> Replicated[Register]:
    """A node with members of its own, on the network of the others."""
    nodes.disks[id_] = MemFs()
    nodes.faults[id_] = FaultFs(nodes.disks[id_])
    config = NodeConfig(id=id_, members=members, seed=id_)
    node = nodes.nodes[id_] = await Replicated.start(
        Register, config, MemoryTransport(nodes.network, id_), fs=nodes.faults[id_]
    )
    return node


# --- one group, once ---


def test_two_groups_with_one_cluster_id_do_not_talk() -> None:
    """Somebody starts two nodes, lists the members as they should be in the end, and only then starts the others."""

    async def main() -> None:
        nodes = Nodes()
        try:
            strangers = [await start(nodes, id_, (1, 2, 3, 4, 5)) for id_ in (4, 5)]
            await asyncio.sleep(0.3)  # so they ask for votes first, with the longer log
            for id_ in (1, 2, 3):
                await nodes.start(id_)
            leader = await nodes.leader()
            assert leader.config.id in (1, 2, 3)
            await leader.call(Register.set, "a", 1)
            await asyncio.sleep(30)
            for stranger in strangers:
                assert stranger._group.raw.raft.role in (Role.FOLLOWER, Role.PRE_CANDIDATE)
                assert stranger.look(Register.get, "a") == 0
            assert (await nodes.leader()) is leader
            assert [member.id for member in leader.member_list()] == [1, 2, 3]
        finally:
            await nodes.__aexit__(None, None, None)

    run(main())


def test_a_lone_voter_leads_with_its_first_tick_and_after_a_crash_once_no_promise_of_its_own_stands() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Nodes(1) as nodes:
            node = nodes.nodes[1]

            async def waited() -> float:
                began = loop.time()
                while nodes.nodes[1]._group.raw.raft.role is not Role.LEADER:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                return loop.time() - began

            assert await waited() <= 2 * node.config.tick
            await nodes.set("a", 1)
            nodes.crash(1)
            await nodes.start(1)
            lease_s = node.config.lease + node.config.clock_drift
            assert lease_s <= await waited() <= lease_s + 4 * node.config.tick
            await nodes.set("a", 2)

    run(main())


def test_one_of_several_voters_does_not_hasten() -> None:
    async def main() -> None:
        nodes = Nodes(3)
        try:
            node = await nodes.start(1)
            await asyncio.sleep(node.config.lease + node.config.clock_drift + 4 * node.config.tick)
            assert node._group.raw.raft.role is Role.FOLLOWER
        finally:
            await nodes.__aexit__(None, None, None)

    run(main())


def test_an_origin_is_learned_by_who_joins_and_kept() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            joiner = await nodes.start(4)
            assert joiner._directory.identity.origin == 0
            await leader.add(4)
            await asyncio.sleep(1)
            origin = origin_of(1, (1, 2, 3))
            assert {node._directory.identity.origin for node in nodes.nodes.values()} == {origin}
            await nodes.stop(4)
            again = await nodes.start(4)
            assert again._directory.identity.origin == origin

    run(main())


@pytest.mark.parametrize("at", range(1, 16))
def test_a_crash_while_a_group_is_founded_is_made_good_by_starting_again(at: int) -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            await nodes.stop(1)
            disk = nodes.disks[1] = MemFs()
            steps = 0

            def crash(_operation: str, _path: str) -> None:
                nonlocal steps
                steps += 1
                if steps == at:
                    raise StorageError("crash")

            disk.on_step = crash
            nodes.faults[1] = FaultFs(disk)
            try:
                await nodes.start(1)
            except StorageError:
                disk.on_step = None
                nodes.disks[1] = disk.crash(nodes.random)
                nodes.faults[1] = FaultFs(nodes.disks[1])
                await nodes.start(1)
            disk.on_step = None
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            await nodes.equal()
            assert nodes.nodes[1]._directory.identity.origin == origin_of(1, (1, 2, 3))

    run(main())


# --- directories ---


def test_a_directory_serves_one_process(tmp_path: Path) -> None:
    async def main() -> None:
        addresses = {1: ("127.0.0.1", 0)}
        node = await replicate(Register, 1, addresses, str(tmp_path))
        with pytest.raises(DirectoryInUse, match="give every node a directory of its own"):
            await replicate(Register, 1, addresses, str(tmp_path))
        await node.stop()

    asyncio.run(main())


def test_a_copied_directory_is_refused_until_it_is_said_that_it_was_moved(tmp_path: Path) -> None:
    async def begin(directory: str, *, moved: bool = False) -> None:
        config = NodeConfig(1, (1,), moved=moved)
        node = await replicate(Register, 1, {1: ("127.0.0.1", 0)}, str(tmp_path / directory), config=config)
        await node.wait_leader()
        await node.call(Register.add, "a", 1)
        await node.stop()

    (tmp_path / "one").mkdir()
    asyncio.run(begin("one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with pytest.raises(DirectoryCopied, match="moved=True"):
        asyncio.run(begin("two"))
    asyncio.run(begin("two", moved=True))
    asyncio.run(begin("two"))
    asyncio.run(begin("one"))  # it cannot know; the nodes that both talk to can


def test_another_clusters_and_another_nodes_directory_are_refused() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            await nodes.leader()
            await nodes.stop(1)
            for config in (NodeConfig(1, (1,), cluster_id=2), NodeConfig(2, (2,))):
                with pytest.raises(StorageError, match=r"belongs to|cluster"):
                    await Replicated.start(
                        Register, config, MemoryTransport(nodes.network, config.id), fs=nodes.disks[1]
                    )

    run(main())


def test_a_directory_without_its_log_is_refused() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            await nodes.leader()
            await nodes.stop(1)
            left = MemFs()
            left.put(NAME, nodes.disks[1].content(NAME), nodes.disks[1].open(NAME).inode())
            nodes.faults[1] = FaultFs(left)
            with pytest.raises(StorageError, match="the log of node 1 is gone"):
                await nodes.start(1)

    run(main())


# --- over TCP ---


def places(ids: tuple[int, ...]) -> dict[NodeId, Address]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in ids]
        return {id_: ("127.0.0.1", s.getsockname()[1]) for id_, s in zip(ids, sockets, strict=True)}


class Tcp:
    """Nodes over TCP on loopback, with quick ticks."""

    def __init__(self, root: Path, addresses: dict[NodeId, Address]) -> None:
        self.root = root
        self.addresses = addresses
        self.nodes: dict[NodeId, Replicated[Register]] = {}

    async def start(
        self, id_: NodeId, members: tuple[NodeId, ...] = (), hints: tuple[NodeId, ...] = (), directory: str = ""
    ) -> Replicated[Register]:
        path = self.root / (directory or str(id_))
        path.mkdir(exist_ok=True)
        config = NodeConfig(id_, members, join=not members, tick=0.02, lease=0.08, clock_drift=0.02)
        known = {other: self.addresses[other] for other in {id_, *members, *hints}}
        node = self.nodes[id_] = await replicate(Register, id_, known, str(path), config=config)
        return node

    async def leader(self) -> Replicated[Register]:
        async with asyncio.timeout(20):
            while True:
                for node in self.nodes.values():
                    raft = node._group.raw.raft
                    if raft.role is Role.LEADER and node.failure is None and raft.applied_in_term():
                        return node
                await asyncio.sleep(0.02)

    async def lead(self, change: str, *arguments: object) -> None:
        """Ask for a change where it is to be asked for."""
        async with asyncio.timeout(20):
            while True:
                try:
                    await getattr(await self.leader(), change)(*arguments)
                except RaftlyError as error:
                    if error.retry is Retry.NEVER:
                        raise
                    await asyncio.sleep(0.05)
                else:
                    return

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in self.nodes.values():
            await node.stop()


async def eventually(node: Replicated[Register], failure: type[RaftlyError]) -> None:
    async with asyncio.timeout(20):
        while not isinstance(node.failure, failure):  # noqa: ASYNC110 - what the node says, not an event
            await asyncio.sleep(0.02)


def test_a_group_over_tcp_is_renewed_node_by_node(tmp_path: Path) -> None:
    async def main() -> None:
        async with Tcp(tmp_path, places((1, 2, 3, 4, 5, 6))) as tcp:
            for id_ in (1, 2, 3):
                await tcp.start(id_, (1, 2, 3))
            await (await tcp.leader()).call(Register.set, "a", 1)
            for old, new in ((1, 4), (2, 5), (3, 6)):
                hints = tuple(id_ for id_ in tcp.nodes if tcp.nodes[id_].failure is None)
                await tcp.start(new, hints=hints)
                await tcp.lead("replace", old, new, tcp.addresses[new])
                await eventually(tcp.nodes[old], Removed)
                await tcp.nodes.pop(old).stop()
            leader = await tcp.leader()
            assert [member.id for member in leader.member_list()] == [4, 5, 6]
            assert {member.address for member in leader.member_list()} == {tcp.addresses[id_] for id_ in (4, 5, 6)}
            assert await leader.ask(Register.get, "a") == 1
            back = await tcp.start(1, (1, 2, 3))  # with its old directory, and what it once was told
            await asyncio.sleep(0.5)
            assert back._group.raw.raft.role is not Role.LEADER
            await (await tcp.leader()).call(Register.set, "a", 2)
            with pytest.raises(IdRetired):
                await tcp.lead("add", 1, tcp.addresses[1])

    asyncio.run(main())


def test_a_removed_node_that_comes_back_is_told_over_tcp(tmp_path: Path) -> None:
    async def main() -> None:
        async with Tcp(tmp_path, places((1, 2, 3))) as tcp:
            for id_ in (1, 2, 3):
                await tcp.start(id_, (1, 2, 3))
            leader = await tcp.leader()
            gone = next(id_ for id_ in (1, 2, 3) if tcp.nodes[id_] is not leader)
            await tcp.nodes.pop(gone).stop()
            await tcp.lead("remove", gone)
            back = await tcp.start(gone, (1, 2, 3))
            await eventually(back, Removed)
            with pytest.raises(Removed):
                await back.call(Register.set, "a", 1)

    asyncio.run(main())


@pytest.mark.parametrize("restarted", [False, True])
def test_a_node_that_lost_its_directory_does_not_come_back_as_itself(tmp_path: Path, *, restarted: bool) -> None:
    async def main() -> None:
        async with Tcp(tmp_path, places((1, 2, 3))) as tcp:
            for id_ in (1, 2, 3):
                await tcp.start(id_, (1, 2, 3))
            leader = await tcp.leader()
            await leader.call(Register.set, "a", 1)
            await asyncio.sleep(0.3)
            lost = next(id_ for id_ in (1, 2, 3) if tcp.nodes[id_] is not leader)
            await tcp.nodes.pop(lost).stop()
            for id_ in sorted(tcp.nodes) if restarted else ():
                await tcp.nodes.pop(id_).stop()
                await tcp.start(id_, (1, 2, 3))
            leader = await tcp.leader()
            wiped = await tcp.start(lost, (1, 2, 3), directory="new")
            await asyncio.sleep(1)
            assert wiped.machine.applied <= 3  # what the group began with; nothing that it could have voted on
            peers = {peer.node_id: peer for peer in leader._driver._transport.peers()}  # type: ignore[attr-defined]
            assert lost in peers
            problems = [peer.problem for peer in wiped._driver._transport.peers()]  # type: ignore[attr-defined]
            assert all("another data directory than before" in problem for problem in problems), problems

    asyncio.run(main())
