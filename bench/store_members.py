"""Members that are killed and started again: three of etcd, or three stores of one region; the placement driver lives.

`reads` asks a member for a linearizable read that it answers itself, `puts_anywhere` is a client that finds its way: a
RawClient with its region cache, or, since etcd's members pass writes on, a call to each member that lives.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
import tomllib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from store_systems import START_S_MAX, VALUE, Etcd, Raftly, field, key_of

from raftly.client.pd import PdClient
from raftly.client.raw import RawClient
from raftly.errors import RaftlyError
from raftly.proto import kvrpcpb_pb2, tikvpb_rpc
from raftly.rpc import Backoff, Channel, Method
from raftly.rpc.service import Kind

Put: TypeAlias = Callable[[], Coroutine[object, object, None]]
TRY_S: Final = 1.0
_AT_ONCE: Final = Backoff(first_s=0.01, last_s=0.02)
_PUT: Final[Method[bytes, bytes]] = Method("etcdserverpb.KV", "Put", Kind.UNARY_UNARY, bytes, bytes, bytes, bytes)
_RANGE: Final[Method[bytes, bytes]] = Method("etcdserverpb.KV", "Range", Kind.UNARY_UNARY, bytes, bytes, bytes, bytes)


class Members(Protocol):
    """See the module. Members have the names of their processes."""

    name: str
    processes: dict[str, subprocess.Popen[bytes]]
    root: Path

    async def start(self) -> None: ...

    async def leader(self) -> str:
        """Who leads, once somebody does."""
        ...

    async def reads(self, member: str) -> bool:
        """Try a linearizable read at a member."""
        ...

    async def puts_anywhere(self) -> list[Put]:
        """Ways to put a value; every one raises RaftlyError when it does not get through."""
        ...

    async def close(self) -> None:
        """End what speaks to the members."""
        ...

    def members(self) -> list[str]:
        """All, but for a placement driver."""
        ...


def kill(system: Members, *names: str) -> None:
    """Do kill -9, and wait for the end."""
    for name in names:
        system.processes[name].kill()
    for name in names:
        system.processes[name].wait()


def again(system: Members, *names: str) -> None:
    """Start from what is on disk."""
    for name in names:
        with (system.root / f"{name}.log").open("ab") as said:
            system.processes[name] = subprocess.Popen(system.processes[name].args, stdout=said, stderr=said)


async def until_reads(system: Members, *names: str) -> float:
    """Wait until every one of these members has answered a read; how long it took."""
    began = time.perf_counter()
    for name in names:
        while not await system.reads(name):
            if time.perf_counter() - began > START_S_MAX:
                raise SystemExit(f"{name} does not serve")
            await asyncio.sleep(0.005)
    return time.perf_counter() - began


async def put_once(puts: Sequence[Put]) -> None:
    """Wait until a put gets through; one begins every 20 ms, in case others pause just then."""
    running: set[asyncio.Task[None]] = set()
    until = time.perf_counter() + START_S_MAX
    while time.perf_counter() < until:
        running |= {asyncio.create_task(put()) for put in puts}
        ended, running = await asyncio.wait(running, timeout=0.02, return_when=asyncio.FIRST_COMPLETED)
        if any(task.exception() is None for task in ended):
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            return
    raise SystemExit("no put gets through")


class _Channels:
    """One to an address, made anew when its process was."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}

    def to(self, address: str) -> Channel:
        """A channel that tries again and again."""
        if address not in self._channels:
            host, _, port = address.rpartition(":")
            self._channels[address] = Channel(host, int(port), backoff=_AT_ONCE)
        return self._channels[address]

    async def close(self) -> None:
        """All."""
        channels, self._channels = self._channels, {}
        await asyncio.gather(*(channel.close() for channel in channels.values()))


class EtcdMembers(Etcd):
    """See `Members`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._channels = _Channels()

    def members(self) -> list[str]:
        """See `Members.members`."""
        return list(self.processes)

    def _words(self, member: str) -> tuple[str, ...]:
        words = self.processes[member].args
        assert isinstance(words, tuple)
        return words

    def _address(self, member: str) -> str:
        words = self._words(member)
        return words[words.index("--listen-client-urls") + 1].removeprefix("http://")

    async def leader(self) -> str:
        """See `Members.leader`."""
        program = str(self._words(self.members()[0])[0])
        control = str(Path(program).with_name("etcdctl"))
        while True:
            for name in self.members():
                words = (control, "--endpoints", self._address(name), "endpoint", "status", "--write-out", "json")
                asked = await asyncio.to_thread(subprocess.run, words, capture_output=True, check=False)
                for found in json.loads(asked.stdout or b"[]"):
                    if found["Status"]["leader"] == found["Status"]["header"]["member_id"]:
                        return name

    async def reads(self, member: str) -> bool:
        """See `Members.reads`."""
        try:
            await self._channels.to(self._address(member)).unary(_RANGE, field(1, key_of(1)), timeout_s=TRY_S)
        except RaftlyError:
            return False
        return True

    async def puts_anywhere(self) -> list[Put]:
        """See `Members.puts_anywhere`."""
        request = field(1, key_of(1)) + field(2, VALUE)

        def put_at(member: str) -> Put:
            async def put() -> None:
                await self._channels.to(self._address(member)).unary(_PUT, request, timeout_s=START_S_MAX)

            return put

        return [put_at(member) for member in self.members()]

    async def close(self) -> None:
        """See `Members.close`."""
        await self._channels.close()


class StoreMembers(Raftly):
    """See `Members`."""

    def __init__(self, root: Path, options: str = "") -> None:
        super().__init__(root, options)
        self._channels = _Channels()
        self._clients: list[RawClient] = []
        self._addresses: dict[str, str] = {}
        self._contexts: Mapping[str, kvrpcpb_pb2.Context] = {}

    def members(self) -> list[str]:
        """See `Members.members`."""
        return [name for name in self.processes if name != "pd"]

    def _run(self, name: str, what: str, settings: str) -> None:
        super()._run(name, what, settings)
        self._addresses[tomllib.loads(settings)["address"]] = name

    async def start(self) -> None:
        """Start, and learn which peer is where."""
        await super().start()
        async with PdClient([self.pd]) as pd:
            region = (await pd.get_region(b"")).region
            stores = {store.id: self._addresses[store.address] for store in await pd.get_all_stores()}
        contexts = {}
        for peer in region.peers:
            context = kvrpcpb_pb2.Context(region_id=region.id, replica_read=True)
            context.region_epoch.conf_ver, context.region_epoch.version = region.epoch.conf_ver, region.epoch.version
            context.peer.id, context.peer.store_id = peer.id, peer.store_id
            contexts[stores[peer.store_id]] = context
        self._contexts = contexts

    async def leader(self) -> str:
        """See `Members.leader`."""
        async with PdClient([self.pd]) as pd:
            while True:
                leader = (await pd.get_region(b"")).leader
                if leader is not None:
                    return self._addresses[(await pd.get_store(leader.store_id)).address]
                await asyncio.sleep(0.05)

    async def reads(self, member: str) -> bool:
        """See `Members.reads`."""
        address = next(address for address, name in self._addresses.items() if name == member)
        request = kvrpcpb_pb2.RawGetRequest(context=self._contexts[member], key=key_of(1))
        try:
            response = await self._channels.to(address).unary(tikvpb_rpc.TIKV_RAW_GET, request, timeout_s=TRY_S)
        except RaftlyError:
            return False
        return not response.HasField("region_error")

    async def puts_anywhere(self) -> list[Put]:
        """See `Members.puts_anywhere`."""
        client = await RawClient.connect([self.pd])
        self._clients.append(client)
        await client.put(key_of(1), VALUE)

        async def put() -> None:
            await client.put(key_of(1), VALUE, timeout_s=START_S_MAX)

        return [put]

    async def close(self) -> None:
        """See `Members.close`."""
        await self._channels.close()
        clients, self._clients = self._clients, []
        for client in clients:
            await client.close()


SYSTEMS: Final[Mapping[str, type[EtcdMembers | StoreMembers]]] = {"etcd": EtcdMembers, "raftly": StoreMembers}
