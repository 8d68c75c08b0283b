"""CPU a call of raftly.rpc beside grpcio's asyncio server and client, in one run.

    python -m bench.rpc [--rounds 9] [--seconds 0.6] [--in-flight 64]

150-byte unary echo, and exchanges of 16 sub-messages on bidirectional streams. Servers on one core, clients on the
other. Rows take turns, a short round each, so that a noisy moment hits all of them; a figure is the median over the
rounds, with the lowest beside it. `steal` is time that the host took away, `other` what else ran here, both in cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

SUBS = {"unary": 1, "batches": 16}
TARGETS_US = {  # server, client
    ("raftly", "grpcio", "unary"): (25.0, None),
    ("raftly", "raftly", "unary"): (16.0, 20.0),
    ("raftly", "raftly", "batches"): (4.0, None),
    ("raftly", "grpcio", "batches"): (4.0, None),
}


@dataclass
class Round:
    """What one round of one row gave, CPU in microseconds a message."""

    server_us: float
    client_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    steal: float
    other: float


@dataclass
class Row:
    """A server, a client and a kind of call; `calls` a round."""

    server: str
    client: str
    kind: str
    pid: int
    process: subprocess.Popen[str]
    calls: int = 640
    rounds: list[Round] = field(default_factory=list)

    def play(self, seconds: float) -> None:
        """One round; the count of calls follows the speed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        machine, server, own = _machine(), _cpu_s(self.pid), _cpu_s(os.getpid())
        self.process.stdin.write(f"{self.calls}\n")
        self.process.stdin.flush()
        count, elapsed, cpu, p50, p99 = json.loads(self.process.stdout.readline())
        server, own = _cpu_s(self.pid) - server, _cpu_s(os.getpid()) - own
        busy, steal = (after - before for after, before in zip(_machine(), machine, strict=True))
        messages = count * SUBS[self.kind]
        self.rounds.append(
            Round(
                server_us=1e6 * server / messages,
                client_us=1e6 * cpu / messages,
                rate=messages / elapsed,
                p50_ms=p50,
                p99_ms=p99,
                steal=steal / elapsed,
                other=max(0.0, (busy - server - cpu - own) / elapsed),
            )
        )
        self.calls = max(640, int(count * seconds / elapsed) // 64 * 64)

    def figure(self, name: str) -> tuple[float, float]:
        """Median and lowest over the rounds; the first only warms up."""
        values = [getattr(one, name) for one in self.rounds[1:]]
        return statistics.median(values), min(values)


def _cpu_s(pid: int) -> float:
    """CPU seconds of all threads of a process, from the scheduler's own nanoseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _machine() -> tuple[float, float]:
    """Busy and stolen CPU seconds of the whole machine so far."""
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + soft) / tick, steal / tick


def _start(stack: contextlib.ExitStack, core: int, *arguments: str) -> subprocess.Popen[str]:
    def pin() -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setaffinity(0, {core})
        with contextlib.suppress(OSError):  # where it is allowed: before whatever else runs here
            os.nice(-20)

    command = [sys.executable, "-m", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, preexec_fn=pin)  # noqa: PLW1509  # no threads
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def _print(rows: list[Row]) -> None:
    heading = ("server", "client", "call", "server us", "(low)", "client us", "(low)", "msgs/s", "p50 ms", "p99 ms")
    print(("{:8}" * 3 + "{:>11}" * 7 + "{:>7}{:>7}  targets").format(*heading, "steal", "other"))
    for row in rows:
        server, client = row.figure("server_us"), row.figure("client_us")
        middle = [row.figure(name)[0] for name in ("rate", "p50_ms", "p99_ms", "steal", "other")]
        numbers = "{:11.2f}{:>11}{:11.2f}{:>11}{:11.0f}{:11.2f}{:11.2f}{:7.2f}{:7.2f}".format(
            server[0], f"({server[1]:.2f})", client[0], f"({client[1]:.2f})", *middle
        )
        print(f"{row.server:8}{row.client:8}{row.kind:8}{numbers}  {_verdict(row, server, client)}")
    print("us are CPU a call, for batches a sub-message; p50 and p99 are of a call or an exchange")


def _verdict(row: Row, server: tuple[float, float], client: tuple[float, float]) -> str:
    targets = TARGETS_US.get((row.server, row.client, row.kind))
    if targets is None:
        return ""
    words = []
    for side, target, figures in (("server", targets[0], server), ("client", targets[1], client)):
        if target is not None:
            held = "held" if figures[0] <= target else "held in the best round" if figures[1] <= target else "missed"
            words.append(f"{side} <= {target:g}: {held}")
    return ", ".join(words)


def main() -> None:
    """Run all rows and print the table."""
    parser = argparse.ArgumentParser(description="CPU a call of raftly.rpc beside grpcio, in one run.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.6, help="length of a round of a row")
    parser.add_argument("--in-flight", type=int, default=64)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        servers = {}
        for name in ("raftly", "grpcio"):
            process = _start(stack, 0, "bench.rpc.servers", name)
            assert process.stdout is not None
            servers[name] = (process.pid, process.stdout.readline().strip())
        rows = []
        for kind in ("unary", "batches"):
            for client in ("grpcio", "raftly"):
                for server, (pid, port) in servers.items():
                    load = _start(stack, 1, "bench.rpc.load", client, kind, port, str(options.in_flight))
                    assert load.stdout is not None
                    load.stdout.readline()
                    rows.append(Row(server, client, kind, pid, load))
        started = time.monotonic()
        for _ in range(options.rounds + 1):
            for row in rows:
                row.play(options.seconds)
        _print(rows)
        print(f"{options.in_flight} in flight, {options.rounds} rounds, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
