"""Members of the placement driver as processes: a leader killed, members that leave, a data directory that moved."""

import asyncio
import json
import shutil
import subprocess
import sys
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta
from raftly.client.errors import PlacementRefused
from raftly.client.pd import PdClient
from raftly.playground.processes import Kind, Process
from raftly.server.placement_client import GrpcPlacement
from raftly.testing.processes import free_ports

WITHIN_S = 120.0
CALL_S = 60.0
FIRST = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1),))


def member(number: int, root: Path, clients: list[int], peers: list[int]) -> Process:
    """One of three, not started."""
    members = ", ".join(f'{id_} = "127.0.0.1:{port}"' for id_, port in enumerate(peers, 1))
    made = Process(Kind.PD, number, root)
    made.config.write_text(
        f'id = {number}\ndata_dir = "{root / made.name}"\naddress = "127.0.0.1:{clients[number - 1]}"\n'
        f'peer_address = "127.0.0.1:{peers[number - 1]}"\nmembers = {{ {members} }}\n'
    )
    return made


async def take_timestamps(client: PdClient, taken: list[int]) -> None:
    while True:
        taken.extend(await client.timestamps(10, timeout_s=CALL_S))
        await asyncio.sleep(0.005)


async def play(root: Path) -> None:
    ports = free_ports(6)
    members = {number: member(number, root, ports[:3], ports[3:]) for number in (1, 2, 3)}
    async with AsyncExitStack() as undo:
        for process in members.values():
            undo.push_async_callback(process.kill)
        await asyncio.gather(*(process.start() for process in members.values()))
        client = await PdClient.connect([f"127.0.0.1:{port}" for port in ports[:3]], timeout_s=CALL_S)
        placement = GrpcPlacement(client)
        undo.push_async_callback(placement.close)
        while len((told := await client.members()).members) < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        await placement.bootstrap(StoreMeta(1, "127.0.0.1:1"), FIRST)
        await client.admin("set-config", {"name": "hot_limit", "value": "7"})
        taken: list[int] = []
        taking = asyncio.create_task(take_timestamps(client, taken))
        ids = [await placement.alloc_id() for _ in range(3)]
        while len(taken) < 100:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

        killed = told.leader.id
        await members[killed].kill()
        before = len(taken)
        while len(taken) < before + 100:
            await asyncio.sleep(0.01)
            assert not taking.done(), taking.exception()
        assert all(earlier < later for earlier, later in pairwise(taken)), "timestamps never go back"
        taking.cancel()
        assert await placement.alloc_id() > max(ids)
        told = await client.members()
        assert told.leader.id != killed
        assert await placement.region_by_key(b"any") == (FIRST, FIRST.peers[0])
        assert await client.admin("config") == {**await options(client), "hot_limit": 7}

        left = next(one for one in told.members if one.id not in (killed, told.leader.id))
        with pytest.raises(PlacementRefused, match="majority"):  # of the other two one is dead
            await client.admin("remove-member", {"member": left.name})
        assert await client.admin("remove-member", {"member": f"pd-{killed}"}) == {"removed": killed}
        assert sorted(one.id for one in (await client.members()).members) == sorted({1, 2, 3} - {killed})
        assert await client.admin("remove-member", {"member": left.id}) == {"removed": left.id}
        assert [one.id for one in (await client.members()).members] == [told.leader.id]
        assert await client.timestamp() > taken[-1]


async def options(client: PdClient) -> dict[str, object]:
    told = await client.admin("config")
    assert isinstance(told, dict)
    return told


def test_three_members_of_the_driver_and_the_leader_killed(tmp_path: Path) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(WITHIN_S):
            await play(tmp_path)

    asyncio.run(bounded())


def command(directory: Path, *flags: str) -> list[str]:
    """A lone member's."""
    anywhere = [f"--{name}=127.0.0.1:0" for name in ("address", "peer-address")]
    return [sys.executable, "-P", "-m", "raftly.cli", "pd", f"--data-dir={directory}", "--json", *anywhere, *flags]


def cluster_of(directory: Path, *flags: str) -> int:
    """Start a lone member, and end it once it has told which cluster is its own."""

    async def asked(address: str) -> int:
        client = await PdClient.connect([address], timeout_s=CALL_S)
        try:
            return (await client.members()).cluster_id
        finally:
            await client.close()

    with subprocess.Popen(command(directory, "--with-parent", *flags), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            return asyncio.run(asked(json.loads(process.stdout.readline())["address"]))
        finally:
            process.terminate()


def test_a_directory_that_moved_is_used_when_somebody_says_so(tmp_path: Path) -> None:
    """The only member of a driver whose disk is replaced: all that the cluster knows of itself is there."""
    old, new = tmp_path / "old", tmp_path / "new"
    cluster = cluster_of(old)
    shutil.copytree(old, new)
    refused = subprocess.run(command(new), capture_output=True, text=True, check=False, timeout=CALL_S)
    assert refused.returncode == 1
    assert "copy" in refused.stderr
    assert cluster_of(new, "--moved") == cluster
    assert cluster_of(new) == cluster, "it is the original now"
