"""Three member processes (`node_member`) of one system, seen from the process that drives them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from raftly.testing.processes import free_ports

MEMBER = Path(__file__).with_name("node_member.py")
MEMBERS = 3
ELECTED_S_MAX = 20.0
STOPPED_S_MAX = 10.0


class Member:
    """One process, told what to do by lines of JSON, and answering so; its first line is how it started."""

    def __init__(self, id_: int, directory: Path, *words: str) -> None:
        self.id = id_
        directory.mkdir(exist_ok=True)
        command = [sys.executable, *words, str(directory)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self) -> dict[str, Any]:
        """Its next answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"member {self.id} ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End it, by force when it does not end by itself."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(STOPPED_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, **request: object) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.hear()


class Cluster:
    """Three processes; leaving the context ends them."""

    def __init__(self, system: str, directory: Path, **options: object) -> None:
        self._system = system
        self._directory = directory
        self._options = options  # of NodeConfig
        self._ports = free_ports(MEMBERS)
        self.members = [self._member(at + 1) for at in range(MEMBERS)]
        self.started = [member.hear() for member in self.members]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for member in self.members:
            member.stop()

    def again(self, member: Member) -> Member:
        """A member that was stopped, started again."""
        fresh = self._member(member.id)
        self.members[member.id - 1] = fresh
        return fresh

    def _member(self, id_: int) -> Member:
        words = [str(MEMBER), self._system, str(id_), ",".join(map(str, self._ports)), json.dumps(self._options)]
        return Member(id_, self._directory / str(id_), *words)

    @property
    def addresses(self) -> list[str]:
        """Where the members listen."""
        return [f"127.0.0.1:{port}" for port in self._ports]

    def leader(self) -> Member:
        """The member that leads, once there is one.

        Raises:
            SystemExit: none was elected in time.
        """
        until = time.monotonic() + ELECTED_S_MAX
        while time.monotonic() < until:
            for member in self.members:
                if member.ask(do="leads")["leads"]:
                    return member
            time.sleep(0.05)
        raise SystemExit("no leader was elected")

    def measure(self, what: str, in_flight: int, seconds: float) -> dict[str, float]:
        """Drive the leader; adds the CPU of leader and followers a call, in microseconds, and how often any warned."""
        leader = self.leader()
        others = [member for member in self.members if member is not leader]
        before = [member.ask(do="usage") for member in (leader, *others)]
        result: dict[str, float] = leader.ask(do=what, in_flight=in_flight, seconds=seconds)
        after = [member.ask(do="usage") for member in (leader, *others)]
        used = {name: [b[name] - a[name] for a, b in zip(before, after, strict=True)] for name in ("cpu", "warnings")}
        done = max(result["done"], 1)
        result["leader_us"] = used["cpu"][0] / done * 1e6
        result["followers_us"] = sum(used["cpu"][1:]) / len(others) / done * 1e6
        result["warnings"] = sum(used["warnings"])
        return result
