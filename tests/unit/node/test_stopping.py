"""A node that stops lets go of all it holds, whoever waits for that; and one that cannot start has held nothing."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from raftly.errors import DirectoryInUse, OutcomeUnknown
from raftly.node import NodeConfig, Replicated, replicate
from raftly.node.errors import NodeStopped
from raftly.storage.osfs import OsFs
from raftly.testing.faultfs import Effect, Fault
from raftly.testing.memfs import MemFs
from raftly.transport.memory import MemoryNetwork, MemoryTransport
from tests.support.nodes import Nodes, Register
from tests.support.stateful import Ledger
from tests.support.virtual import run


def test_a_stop_that_is_cancelled_lets_go_of_everything_before_it_raises() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            id_ = leader.config.id
            nodes.network.isolate(id_)
            call = asyncio.ensure_future(leader.call(Register.set, "a", 1))
            await asyncio.sleep(0.01)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):  # the call is waited for ten times as long
                    await leader.stop()
            assert isinstance(leader.failure, NodeStopped)
            with pytest.raises(OutcomeUnknown):
                await call
            assert id_ not in nodes.network.nodes
            await nodes.start(id_)  # nobody has its directory
            nodes.network.heal()
            await leader.stop()

    run(main())


def test_who_stops_what_is_stopping_waits_for_its_end() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            id_ = leader.config.id
            first = asyncio.ensure_future(leader.stop())
            await asyncio.sleep(0)
            await leader.stop()
            assert isinstance(leader.failure, NodeStopped)
            await nodes.start(id_)
            await first

    run(main())


def test_a_stop_that_is_cancelled_while_it_waits_for_the_disk_goes_on_by_itself() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            nodes.faults[1].add(Fault("sync", Effect.STALL, times=None))
            call = asyncio.ensure_future(leader.call(Register.set, "a", 1))
            await asyncio.sleep(0.01)
            stopping = asyncio.ensure_future(leader.stop())
            await asyncio.sleep(leader.config.tick * leader.config.election_tick + 0.1)  # it waits for the disk now
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            await leader.stop()
            with pytest.raises(OutcomeUnknown):
                await call
            nodes.faults[1].faults.clear()
            await nodes.start(1)

    run(main())


def test_a_driver_whose_stop_is_cancelled_leaves_the_disk_alone_and_stops() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            nodes.faults[1].add(Fault("sync", Effect.STALL, times=None))
            call = asyncio.ensure_future(leader.call(Register.set, "a", 1))
            await asyncio.sleep(0.01)
            stopping = asyncio.ensure_future(leader._driver.stop())
            await asyncio.sleep(0.01)
            assert 1 in nodes.network.nodes
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            assert 1 not in nodes.network.nodes
            await leader.stop()
            with pytest.raises(OutcomeUnknown):
                await call

    run(main())


# --- what it made itself ---


@pytest.fixture(name="closed")
def record_closed(monkeypatch: pytest.MonkeyPatch) -> list[OsFs]:
    """File systems that were closed."""
    closed: list[OsFs] = []
    close = OsFs.close

    def recording(fs: OsFs) -> None:
        closed.append(fs)
        close(fs)

    monkeypatch.setattr(OsFs, "close", recording)
    return closed


def test_a_file_system_that_start_made_is_closed_at_the_end_and_one_that_was_given_is_not(
    tmp_path: Path, closed: list[OsFs]
) -> None:
    async def main() -> None:
        config = NodeConfig(1, (1,), tick=0.01, lease=0.04, clock_drift=0.01)
        transport = MemoryTransport(MemoryNetwork(), 1)
        node = await Replicated.start(Register, config, transport, directory=str(tmp_path / "own"))
        await node.wait_leader()
        assert closed == []
        await node.stop()
        assert len(closed) == 1
        given = OsFs(tmp_path / "given")
        node = await Replicated.start(Register, config, MemoryTransport(MemoryNetwork(), 1), fs=given)
        await node.stop()
        assert len(closed) == 1
        given.close()

    asyncio.run(main())


def test_a_start_that_fails_closes_what_it_made_and_the_instance(tmp_path: Path, closed: list[OsFs]) -> None:
    made: list[Ledger] = []

    def make() -> Ledger:
        made.append(Ledger(MemFs()))
        return made[-1]

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
            await replicate(make, 1, {1: taken.getsockname()}, str(tmp_path))
        assert (len(closed), made[-1].closed) == (1, True)
        node = await replicate(make, 1, {1: ("127.0.0.1", 0)}, str(tmp_path))
        with pytest.raises(DirectoryInUse):
            await replicate(make, 1, {1: ("127.0.0.1", 0)}, str(tmp_path))
        assert (len(closed), made[-1].closed) == (2, True)
        assert not made[-2].closed
        await node.stop()
        assert (len(closed), made[-2].closed) == (3, True)

    asyncio.run(main())
