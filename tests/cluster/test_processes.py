"""ProcessCluster itself: signals, restarts, and that no process outlives whoever started it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from raftly.node import RemoteOptions, connect
from raftly.testing.processes import ProcessCluster, free_ports
from tests.cluster.support.registers import TARGET, Registers
from tests.cluster.support.waiting import until

STARTER = f"""
import pathlib, sys, time
from raftly.testing.processes import ProcessCluster
cluster = ProcessCluster({TARGET!r}, pathlib.Path(sys.argv[1]), 2)
cluster.start()
while not all(process.said for process in cluster.running.values()):  # before that they know nothing of a parent
    time.sleep(0.01)
cluster.pause(2)
print(*[process.pid for process in cluster.running.values()], flush=True)
time.sleep(60)
"""


def test_a_member_goes_on_from_its_directory_after_each_way_to_end_it(tmp_path: Path) -> None:
    async def main() -> None:
        with ProcessCluster(TARGET, tmp_path, 1) as cluster:
            cluster.start()
            async with connect(Registers, cluster.addresses, options=RemoteOptions(call_timeout=30)) as remote:
                await remote.call(Registers.write, "a", 1)
                cluster.kill(1)
                assert not cluster.running
                cluster.start(1)
                assert await remote.ask(Registers.get, "a") == 1
                assert await asyncio.to_thread(cluster.terminate, 1) == 0
                cluster.start(1)
                assert await remote.ask(Registers.get, "a") == 1
                assert not cluster.failed()
                cluster.running[1].signal(signal.SIGKILL)  # not by the cluster: as if it had ended by itself
                await until(cluster.failed)
                assert "started, its state is of entry" in cluster.failed()[1]

    asyncio.run(main())


def test_members_end_with_whoever_started_them_paused_or_not(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
    ) as starter:
        assert starter.stdout is not None
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 2
        starter.kill()

    asyncio.run(until(lambda: not any(runs(pid) for pid in pids)))


def runs(pid: int) -> bool:
    """Is it there, and not a zombie that nobody waits for?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_free_ports_differ_and_are_given_to_nobody_else() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert max(ports) < 32_768
