"""What simulated nodes log is in the trace of their run, in no digest, and on nobody's terminal."""

import asyncio
import logging
import subprocess
import sys

from raftly.testing.sim import Trace, World

LOG = logging.getLogger("raftly.node")

PROGRAM = """
import logging
from raftly.testing.sim import World

async def script():
    logging.getLogger("raftly.node").warning("a warning")

World(1).run(script(), within=1)
"""


def lines_of(text: str) -> tuple[list[str], str]:
    lines: list[str] = []
    world = World(1, trace=Trace(sink=lines.append))
    host = world.host("node1")
    host.start()

    async def work() -> None:
        await asyncio.sleep(0.5)
        LOG.warning("it stood still\n%s", text)
        LOG.debug("nobody asked for this")

    async def script() -> None:
        await host.run(work())

    world.run(script(), within=5)
    world.close()
    return [line for line in lines if " log " in line], world.trace.digest()


def test_what_a_host_logs_is_in_its_timeline_and_in_no_digest() -> None:
    (line,), digest = lines_of("for long")
    at, host, text = line.split(" ", 2)
    assert 0.5 <= float(at) < 0.6
    assert (host, text) == ("node1", "log warning: it stood still for long\n")
    assert lines_of("for longer")[1] == digest


def test_nothing_of_it_reaches_the_terminal_and_nothing_is_left_behind() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not [handler for handler in logging.getLogger("raftly").handlers if "sim" in type(handler).__module__]
