"""Cluster: the processes of a playground, where they are, and a client that remembers what it was told."""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO, final

from raftly.base.region import StoreId
from raftly.base.store_meta import StoreState
from raftly.client import ClientOptions, RawClient
from raftly.client.errors import NotDone
from raftly.client.pd import PdClient, PlacedRegion
from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.playground.ledger import Ledger
from raftly.playground.processes import Kind, Process, State

__all__ = ["HOST", "Cluster", "Refused"]

HOST: Final = "127.0.0.1"
STOP_S: Final = 15.0
CALL_S: Final = 20.0
FILL_PARALLEL: Final = 64
POLL_S: Final = 0.1
FREE_S: Final = 2.0
PORTS_A_PROCESS: Final = 3

# Small regions and short waits, so that there is something to see. What is not said here is as in any other cluster.
PD_OPTIONS: Final = """\
[schedule]
disconnected_after = "3s"
down_after = "30s"
low_space_ratio = 1.0
"""
STORE_OPTIONS: Final = """\
[region]
max_size = "8MiB"
split_size = "4MiB"
max_keys = 1000
split_keys = 500
split_check = "500ms"
heartbeat = "1s"
store_heartbeat = "1s"
"""


class Refused(RaftlyError):
    """Something that was asked of the playground means nothing, or cannot be done now; the text says why."""

    code = "playground_refused"


@final
@dataclass(frozen=True, slots=True)
class Picture:
    """The cluster as its placement driver sees it; `problem` says why it does not."""

    regions: tuple[PlacedRegion, ...] = ()
    problem: str = ""

    def leaders_on(self, store_id: StoreId) -> int:
        """Regions that are led there."""
        return sum(placed.leader is not None and placed.leader.store_id == store_id for placed in self.regions)

    def peers_on(self, store_id: StoreId) -> int:
        """Regions that have a replica there."""
        return sum(placed.region.peer_on(store_id) is not None for placed in self.regions)

    def replicas_on(self, store_id: StoreId) -> int:
        """The most replicas that a region has of which one is there."""
        counts = [len(placed.region.peers) for placed in self.regions if placed.region.peer_on(store_id)]
        return max(counts, default=0)


@final
class Cluster:
    """See the module. `close` it, whatever happens."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger = Ledger()
        self.processes: dict[str, Process] = {}
        self._ports: dict[str, list[int]] = {}  # clients, peers, status
        self._client: RawClient | None = None
        self._locked: TextIO | None = None

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self, members: int | None = None, stores: int | None = None, base_port: int = 0) -> None:
        """Start so many (1 and 3), or those that the directory is of, and wait until keys can be written.

        Raises:
            Refused: the directory or a port cannot be used.
            NotStarted: a process does not serve.
            RaftlyError: the cluster does not.
        """
        self._lock()
        self._load(members, stores)
        is_new = not self._ports
        if is_new:
            names = [f"pd-{number}" for number in range(1, (members or 1) + 1)]
            names += [f"store-{number}" for number in range(1, (stores or 3) + 1)]
            for place, name in enumerate(names):
                self._ports[name] = self._choose_ports(base_port + PORTS_A_PROCESS * place if base_port else 0)
        await self._check_ports(is_new=is_new)
        for name in self._ports:
            self._enter(name)
        self._save()
        await asyncio.gather(*(process.start() for process in self.processes.values()))  # stores wait for the driver
        self._client = await RawClient.connect(self.pd_addresses(), ClientOptions(timeout_s=CALL_S))
        await self._client.put(b"\x00playground", b"is ready", timeout_s=60.0)
        await self._client.delete(b"\x00playground")

    def _lock(self) -> None:
        """One playground a directory; the kernel gives the lock back, however this process ends."""
        self._locked = (self.root / "playground.lock").open("w")
        try:
            fcntl.flock(self._locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refused(f"another playground runs in {self.root}: end it, or name another directory") from None

    async def _check_ports(self, *, is_new: bool) -> None:
        """Raises Refused: one is taken. Those of a playground that was killed are free a moment later."""
        loop = asyncio.get_running_loop()
        until = loop.time() + FREE_S
        while (taken := self._taken()) is not None:
            if loop.time() > until:
                name, port = taken
                advice = "name another with --port, or none" if is_new else f"{self.root} was made with it"
                raise Refused(f"port {port}, which {name} is to have, is taken by another process: {advice}")
            await asyncio.sleep(POLL_S)

    def _taken(self) -> tuple[str, int] | None:
        for name, ports in self._ports.items():
            for port in ports:
                try:
                    socket.create_server((HOST, port)).close()
                except OSError:
                    return name, port
        return None

    async def close(self, *, kill: bool = False) -> None:
        """End everything: in good order, stores first; or at once: what was acknowledged is on disk."""
        if self._client is not None:
            await self._client.close()
        for some in (self.stores(), self.members()):
            if kill:
                await asyncio.gather(*(process.kill() for process in some))
            else:
                await asyncio.gather(*(process.stop(STOP_S) for process in some))
        if self._locked is not None:
            self._locked.close()

    # --- processes --------------------------------------------------------------------------------------------------

    def members(self) -> list[Process]:
        """Of the placement driver."""
        return [process for process in self.processes.values() if process.kind is Kind.PD]

    def stores(self) -> list[Process]:
        """All, whether they run or not."""
        return [process for process in self.processes.values() if process.kind is Kind.STORE]

    def pd_addresses(self) -> list[str]:
        """Where clients go."""
        return [self.address(process) for process in self.members()]

    def address(self, process: Process) -> str:
        """Where clients reach it."""
        return f"{HOST}:{self._ports[process.name][0]}"

    def status_address(self, process: Process) -> str:
        """Where its pages are."""
        return f"{HOST}:{self._ports[process.name][2]}"

    def store_id(self, process: Process) -> StoreId:
        """What the cluster calls a store; 0 before it was first ready."""
        told = process.facts.get("store", 0)
        return told if isinstance(told, int) else 0

    def by_store_id(self, store_id: StoreId) -> Process | None:
        """The process of a store."""
        return next((process for process in self.stores() if self.store_id(process) == store_id), None)

    async def add_store(self) -> Process:
        """Start a store that is new.

        Raises:
            NotStarted: it does not serve.
        """
        number = 1 + max(process.number for process in self.stores())
        while (self.root / f"store-{number}").exists():  # of one that was removed, and whose files were kept
            number += 1
        name = f"store-{number}"
        last = max(port for ports in self._ports.values() for port in ports)
        base = min(min(ports) for ports in self._ports.values())
        together = last - base < PORTS_A_PROCESS * (len(self._ports) + 1)
        self._ports[name] = self._choose_ports(last + 1 if together else 0)
        process = self._enter(name)
        self._save()
        await process.start()
        return process

    def forget(self, process: Process, *, keep: bool) -> None:
        """A store that was removed is not started again; its files are removed with it, or kept."""
        del self.processes[process.name], self._ports[process.name]
        self._save()
        if not keep:
            shutil.rmtree(self.root / process.name)
            process.config.unlink()
            process.said.unlink()

    def _enter(self, name: str) -> Process:
        kind, _, number = name.partition("-")
        process = self.processes[name] = Process(Kind(kind), int(number), self.root)
        process.config.write_text(self._config(process), "utf-8")
        return process

    def _config(self, process: Process) -> str:
        clients, peers, status = (f"{HOST}:{port}" for port in self._ports[process.name])
        lines = [
            f"data_dir = {_toml(str(self.root / process.name))}",
            f'address = "{clients}"',
            f'peer_address = "{peers}"',
            f'status_address = "{status}"',
        ]
        if process.kind is Kind.PD:
            names = [name for name in self._ports if name.startswith("pd-")]
            told = ", ".join(f'{name.partition("-")[2]} = "{HOST}:{self._ports[name][1]}"' for name in names)
            return "\n".join([*lines, f"id = {process.number}", f"members = {{ {told} }}", PD_OPTIONS])
        return "\n".join([*lines, f"pd = {_toml(self.pd_addresses())}", STORE_OPTIONS])

    def _choose_ports(self, base: int) -> list[int]:
        """From `base` on, or any that are free.

        Raises:
            Refused: they are not.
        """
        if base:
            return list(range(base, base + PORTS_A_PROCESS))
        held = [socket.create_server((HOST, 0)) for _ in range(PORTS_A_PROCESS)]
        try:
            return [int(one.getsockname()[1]) for one in held]
        except OSError as error:
            raise Refused(f"no port can be had: {error}") from error
        finally:
            for one in held:
                one.close()

    def _load(self, members: int | None, stores: int | None) -> None:
        """What the directory is of, if it was used before; Refused if it is of something else."""
        path = self.root / "playground.json"
        if not path.exists():
            return
        try:
            told = json.loads(path.read_text("utf-8"))
            self._ports = {str(name): [int(port) for port in ports] for name, ports in told["ports"].items()}
        except (ValueError, KeyError, AttributeError, TypeError):
            raise Refused(f"{path} is not what a playground wrote: name another directory") from None
        for kind, wanted, option in (("pd", members, "--pd"), ("store", stores, "--stores")):
            there = sum(name.startswith(kind) for name in self._ports)
            if wanted not in (None, there):
                raise Refused(f"{self.root} has {there} of {kind}, not {wanted}: leave {option} out, or name another")

    def _save(self) -> None:
        (self.root / "playground.json").write_text(json.dumps({"ports": self._ports}) + "\n", "utf-8")

    # --- keys -------------------------------------------------------------------------------------------------------

    @property
    def client(self) -> RawClient:
        """Of all processes that run."""
        assert self._client is not None
        return self._client

    @property
    def pd(self) -> PdClient:
        """Of the placement driver."""
        return self.client.pd

    async def put(self, key: bytes, value: bytes) -> None:
        """Write, and remember what became of it. Raises as `RawClient.put`."""
        self.ledger.begin(key, value)
        try:
            await self.client.put(key, value)
        except NotDone:
            self.ledger.refuse(key, value)
            raise
        self.ledger.acknowledge(key, value)

    async def fill(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Write many, a number of them at a time."""
        free = asyncio.Semaphore(FILL_PARALLEL)

        async def one(key: bytes, value: bytes) -> None:
            async with free:
                try:
                    await self.put(key, value)
                except (NotDone, OutcomeUnknown):  # a machine that slept has used the time up, and nothing is wrong
                    await self.put(key, value)

        async with asyncio.TaskGroup() as group:
            for key, value in pairs:
                _ = group.create_task(one(key, value))

    async def read_all(self) -> list[str]:
        """Read all that was acknowledged; what is wrong with it."""
        try:
            found = await self.client.batch_get(self.ledger.keys)
        except NotDone:  # as in `fill`
            found = await self.client.batch_get(self.ledger.keys)
        return self.ledger.judge(found)

    # --- the whole --------------------------------------------------------------------------------------------------

    async def picture(self) -> Picture:
        """How regions lie."""
        try:
            return Picture(tuple(await self.pd.scan_regions()))
        except RaftlyError as error:
            return Picture(problem=str(error))

    async def wait(self, holds: Callable[[Picture], bool], within_s: float) -> tuple[Picture, bool]:
        """The first picture of which it holds, or the last one; and does it?"""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while True:
            picture = await self.picture()
            if holds(picture):
                return picture, True
            if loop.time() >= until:
                return picture, False
            await asyncio.sleep(POLL_S)

    async def wait_gone(self, store_id: StoreId, within_s: float) -> tuple[Picture, bool]:
        """Until a store that is to be removed holds nothing, and the placement driver has given it up for good."""
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while loop.time() < until:
            with suppress(RaftlyError):
                stores = await self.pd.get_all_stores(tombstones=True)
                if all(one.state is StoreState.TOMBSTONE for one in stores if one.id == store_id):
                    return Picture(), True
            await asyncio.sleep(POLL_S)
        return await self.picture(), False

    def running_stores(self) -> list[Process]:
        """Those that serve."""
        return [process for process in self.stores() if process.state is State.RUNNING]


def _toml(value: str | list[str]) -> str:
    """As JSON has it, but for halves of characters, which TOML does not take."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
