"""A file system that is full under a running member: one of its own, in memory, which a user namespace may mount."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from raftly.base.types import NO_NODE
from raftly.node import FOLLOWER, LOCAL, Remote, RemoteOptions, connect
from raftly.testing.processes import ProcessCluster
from tests.cluster.support.clients import connect_only
from tests.cluster.support.registers import TARGET, Registers

DISK_BYTES = 24 << 20
# Mounted for the member alone; its parent reaches the files through /proc.
MOUNT = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True, timeout=20
    )
    return tried.returncode == 0


def ballast(cluster: ProcessCluster, id_: int) -> Path:
    """A file on the disk of a member, by its path out here."""
    inside = cluster.directory(id_) / "ballast"
    return Path(f"/proc/{cluster.running[id_].pid}/root{inside}")


def fill(path: Path) -> None:
    """Leave nothing."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass


@pytest.mark.skipif(not may_mount(), reason="no user namespace may mount here; with FaultFs in tests/unit/node")
def test_a_leader_with_a_full_disk_gives_way_reads_on_and_comes_back_when_there_is_space(tmp_path: Path) -> None:
    async def main() -> None:
        config = {"log": {"segment_bytes": 1 << 20}, "snapshot_bytes": 4 << 20}
        with ProcessCluster(TARGET, tmp_path, config=config) as cluster:
            for id_ in cluster.ids:
                where = str(cluster.directory(id_))
                cluster.spawn(cluster.spec(id_), ["unshare", "-Urm", "sh", "-c", MOUNT, "sh", str(DISK_BYTES), where])
            async with connect(Registers, cluster.addresses, options=RemoteOptions(call_timeout=60)) as remote:
                await fill_and_free(cluster, remote)
            assert not cluster.failed()

    asyncio.run(main())


async def fill_and_free(cluster: ProcessCluster, remote: Remote[Registers]) -> None:
    session = await remote.open_session()
    await session.call(Registers.write, "a", 0)
    full = (await remote.members()).leader
    fill(ballast(cluster, full))
    written = 0
    async with connect_only(cluster.address(full), 60) as there:
        while (await remote.members()).leader in (full, NO_NODE):
            written += 1
            await session.call(Registers.write, "x" * 20_000, written)
        await session.call(Registers.write, "a", 1)
        assert await remote.ask(Registers.get, "a") == 1
        assert await there.reading(LOCAL).ask(Registers.get, "a") in (0, 1)  # it reads on
        assert "disk is full" in cluster.running[full].said
        ballast(cluster, full).unlink()
        assert await there.reading(FOLLOWER).ask(Registers.get, "a") == 1  # it takes entries again
    values, applied = await remote.ask(Registers.everything)
    assert sorted(values) == ["a", "x" * 20_000]
    assert applied.keys() == {0, *range(1, written + 1)}
