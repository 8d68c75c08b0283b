"""A replicated class as it runs in earnest: a process a member, TCP on loopback, logs on disk, and signals.

    with ProcessCluster("shop.stock:Stock", tmp_path) as cluster:
        cluster.start()
        async with connect(Stock, cluster.addresses) as stock:
            await stock.call(Stock.put, "pear", 3)
            cluster.kill(1)                           kill -9; also `pause`, `resume`, `terminate`
            cluster.start(1)                          goes on from its directory

Nothing here waits for the group: a call of a connected caller does, as it would elsewhere. What a member writes to
standard error is in a file beside its directory (`Process.said`). Processes find modules where this one finds them.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, final

from raftly.testing.member import Spec

HOST: Final = "127.0.0.1"
_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORT_MIN: Final = 10_000
_EPHEMERAL_MIN: Final = 32_768  # where the system does not say
_STOP_S_MAX: Final = 30.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, and that no outgoing connection is given while their owner does not run."""
    lo = int(_EPHEMERAL.read_text("ascii").split()[0]) if _EPHEMERAL.exists() else _EPHEMERAL_MIN
    found: list[int] = []
    for port in random.sample(range(_PORT_MIN, max(lo, _PORT_MIN + 1000)), 1000):
        if len(found) == count:
            break
        with socket.socket() as tried:
            try:
                tried.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
    return found


@final
class Process:
    """One process of one member."""

    def __init__(self, spec: Spec, log: Path, prefix: Sequence[str] = ()) -> None:
        self.spec = spec
        self._log = log
        command = [*prefix, sys.executable, "-m", "raftly.testing.member", spec.encode()]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        with log.open("ab") as out:
            self._from = out.tell()
            # A pipe, so that it ends when this process is gone (`end_with_parent`: paused too); a group of
            # its own, so that Ctrl-C is for this one.
            self._popen = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, env=environment, process_group=0
            )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Has it not ended? One that is paused runs."""
        return self._popen.poll() is None

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self._log.read_bytes()[self._from :].decode(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._popen.send_signal(number)

    def wait(self, within: float = _STOP_S_MAX) -> int:
        """Its exit code, once it has ended; negative: the signal that ended it.

        Raises:
            subprocess.TimeoutExpired: it has not, after so many seconds.
        """
        code = self._popen.wait(within)
        if self._popen.stdin is not None:
            self._popen.stdin.close()
        return code

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self.wait()


@final
class ProcessCluster:
    """`size` members, ids from 1; leaving the context kills all of them. Used from one thread: they end with it.

    `target` names the class, as "module:name"; `config` has options of `NodeConfig`, as JSON has them. Members listen
    on `ports`, free ones by default, and tell others to come to `advertised`, where that is something else (a proxy).
    """

    def __init__(
        self,
        target: str,
        root: Path,
        size: int = 3,
        *,
        config: Mapping[str, Any] | None = None,
        ports: Sequence[int] = (),
        advertised: Mapping[int, tuple[str, int]] | None = None,
    ) -> None:
        self.root = root
        self.ports = dict(enumerate(ports or free_ports(size), 1))
        self.running: dict[int, Process] = {}
        """By id; a process that ended by itself stays until it is started again."""
        self._target = target
        self._config = dict(config or {})
        self._first = {id_: (HOST, port) for id_, port in self.ports.items()} | dict(advertised or {})

    @property
    def ids(self) -> list[int]:
        """Of the members."""
        return list(self.ports)

    @property
    def addresses(self) -> list[str]:
        """Where the members are reached, for `connect`."""
        return [f"{host}:{port}" for host, port in self._first.values()]

    def directory(self, id_: int) -> Path:
        """The data directory of a member; it exists."""
        found = self.root / str(id_)
        found.mkdir(exist_ok=True)
        return found

    def spec(self, id_: int, **changes: Any) -> Spec:  # noqa: ANN401
        """What a member is told, with changes."""
        if id_ not in self.ports:
            (self.ports[id_],) = free_ports(1)
        told: dict[str, Any] = {
            "addresses": {id_: (HOST, self.ports[id_]), **self._first},
            "listen": (HOST, self.ports[id_]),
            "directory": str(self.directory(id_)),
            "config": self._config,
        }
        return Spec(self._target, id_, **(told | changes))

    def spawn(self, spec: Spec, prefix: Sequence[str] = ()) -> Process:
        """Start a process; it becomes member `spec.id` here if that does not run. `prefix` is what runs the command."""
        known = self.running.get(spec.id)
        if known is not None and known.is_running:
            return Process(spec, self.root / f"{spec.id}-second.log", prefix)
        self.running[spec.id] = Process(spec, self.root / f"{spec.id}.log", prefix)
        return self.running[spec.id]

    def start(self, *ids: int) -> None:
        """Start members, all if none are named. Does not wait for them."""
        for id_ in ids or self.ids:
            assert id_ not in self.running or not self.running[id_].is_running, f"member {id_} runs"
            self.spawn(self.spec(id_))

    def join(self, id_: int) -> None:
        """Start a node that waits until it is added: `remote.add(id_, cluster.address(id_))`."""
        self.spawn(self.spec(id_, join=True))

    def address(self, id_: int) -> tuple[str, int]:
        """Where a member is reached."""
        return self._first.get(id_, (HOST, self.ports[id_]))

    def kill(self, *ids: int) -> None:
        """`kill -9` of members, all at once."""
        for id_ in ids:
            self.running[id_].signal(signal.SIGKILL)
        for id_ in ids:
            self.running.pop(id_).wait()

    def pause(self, *ids: int) -> None:
        """SIGSTOP: they stand still, and their connections stay open."""
        for id_ in ids:
            self.running[id_].signal(signal.SIGSTOP)

    def resume(self, *ids: int) -> None:
        """SIGCONT."""
        for id_ in ids:
            self.running[id_].signal(signal.SIGCONT)

    def terminate(self, id_: int) -> int:
        """SIGTERM, and wait; the exit code.

        Raises:
            subprocess.TimeoutExpired: it does not end.
        """
        process = self.running[id_]
        process.signal(signal.SIGTERM)
        code = process.wait()
        del self.running[id_]
        return code

    def failed(self) -> dict[int, str]:
        """Members that ended by themselves, with the last lines that they wrote."""
        return {
            id_: "\n".join(process.said.splitlines()[-20:])
            for id_, process in self.running.items()
            if not process.is_running
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.running.values():
            process.kill()
