"""SimCluster: replicas of a user's class on simulated hosts, with everything that production has under them.

    world = World(seed=1)
    cluster = SimCluster(world, Register, size=3)

    async def script() -> None:
        await cluster.start()
        await cluster.invoke(Register.set, "a", 1)
        cluster.kill(await cluster.wait_leader())
        ...

    world.run(script(), within=60)

The script runs on the director's host. `call` and `invoke` are the hand of the tester, with no network between; clients
(`raftly.testing.sim.clients`) have hosts of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, final

from raftly.base.types import NodeId
from raftly.core.messages import Message
from raftly.core.role import Role
from raftly.errors import DiskFull, NotLeader, OutcomeUnknown, ProposalDropped, RaftlyError
from raftly.node import NodeConfig, Replicated
from raftly.node.errors import Busy, NodeStopped, Removed
from raftly.node.service import Service
from raftly.storage.log_store import LogOptions
from raftly.testing.sim.host import Host, HostDown
from raftly.testing.sim.messages import MessageNetwork, MessageTransport
from raftly.testing.sim.net import edges_between
from raftly.testing.sim.world import OutOfTime, World
from raftly.transport.base import Receiver, Transport
from raftly.transport.options import Address, TcpOptions
from raftly.transport.tcp import TcpTransport

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

PORT: Final = 4001
_POLL_S: Final = 0.02
_STEP_S: Final = 5.0
_SUPERVISE_S: Final = 0.25
"""A process whose node failed is ended and started again about so much later."""


def make_config(id_: NodeId, members: tuple[NodeId, ...], seed: int) -> NodeConfig:
    """Small segments and frequent snapshots, so that a short run sees many of both."""
    return NodeConfig(id_, members, seed=seed, snapshot_entries=100, log=LogOptions(segment_bytes=32 << 10))


@final
class SimCluster(Generic[T]):
    """Nodes 1 to `size`, each on a host `node1`, ...; none runs before `start`.

    `configure` gives the options of a node, from its id, the first members and a seed that is new at every start. With
    `messages` Raft's messages do not go over TCP: they may be lost, doubled and overtaken.
    """

    def __init__(
        self,
        world: World,
        factory: Callable[[], T],
        size: int = 3,
        *,
        configure: Callable[[NodeId, tuple[NodeId, ...], int], NodeConfig] = make_config,
        tcp: TcpOptions | None = None,
        messages: bool = False,
    ) -> None:
        self.world = world
        self.founders: tuple[NodeId, ...] = tuple(range(1, size + 1))
        self.hosts: dict[NodeId, Host] = {id_: world.host(f"node{id_}") for id_ in self.founders}
        self.retired: set[NodeId] = set()  # removed for good
        self.damaged: set[NodeId] = set()  # whose disks must not be trusted, until they are retired
        self._stopping: set[NodeId] = set()
        self.leaving: set[NodeId] = set()  # to be removed, perhaps done already
        self.nodes: dict[NodeId, Replicated[T]] = {}  # that run
        self.failures: list[tuple[NodeId, BaseException]] = []  # of nodes that ended by themselves, or could not start
        self.on_failure: Callable[[NodeId, BaseException], None] | None = None
        """Called with each of them, at its time."""
        self.cls: type[T] = factory if isinstance(factory, type) else type(factory())
        self.cluster_id = configure(1, (1,), 0).cluster_id
        self._factory = factory
        self._configure = configure
        self.tcp = tcp or TcpOptions(write_at_once=True)  # as `replicate` has it
        self._told: dict[NodeId, dict[NodeId, Address]] = {}  # as in an operator's file, written once
        self._messages = MessageNetwork(self.hosts) if messages else None
        self._supervisor: asyncio.Task[None] | None = None
        self.id_of: dict[str, NodeId] = {}  # by the names of hosts
        self.on_send: list[Callable[[NodeId, NodeId, Message], None]] = []
        """Called with each message of Raft that a node gives to its transport: from, to, message."""
        self.on_receive: list[Callable[[NodeId, NodeId, Message], None]] = []
        """Called with each that arrives, before its node takes it: likewise."""
        for id_ in self.founders:
            self._watch(id_)

    def _watch(self, id_: NodeId) -> None:
        others = [other for other in self.ids if other != id_]
        self.id_of[self.hosts[id_].name] = id_
        self._told[id_] = {other: (self.hosts[other].address, PORT) for other in others}
        self.hosts[id_].on_death = lambda _: self._on_death(id_)

    @property
    def ids(self) -> tuple[NodeId, ...]:
        """All nodes that belong to the cluster, or are to, or are not known to be out of it."""
        return tuple(id_ for id_ in sorted(self.hosts) if id_ not in self.retired)

    # --- life of nodes ---

    async def start(self) -> None:
        """Start every node, and a supervisor that starts those again that fail by themselves."""
        for id_ in self.ids:
            self.boot(id_)
        while len(self.nodes) < len(self.ids):  # noqa: ASYNC110 - nodes know of no events of the director's
            await asyncio.sleep(_POLL_S)
        if self._supervisor is None:
            self._supervisor = asyncio.get_running_loop().create_task(self._supervise())

    def boot(self, id_: NodeId) -> None:
        """Start a node whose host has no process; it is in `nodes` once it has recovered. Not one that was removed."""
        host = self.hosts[id_]
        if id_ in self.retired:
            return
        host.start()
        host.begin(self._serve(id_, host))

    async def _serve(self, id_: NodeId, host: Host) -> None:
        is_founder = id_ in self.founders
        config = self._configure(id_, self.founders if is_founder else (id_,), host.seed("node"))
        if not is_founder:
            config = replace(config, members=(), join=True)
        config = replace(config, addresses=self._told[id_], address=(host.address, PORT))
        transport, tcp = self._make_transport(id_)
        try:
            node = await Replicated.start(self._factory, config, transport, fs=host.disk.fs, clock=host.wall)
        except (RaftlyError, OSError) as error:
            self._on_failure(id_, error)
            host.kill_after(1, power=False)
            self.world.after(_SUPERVISE_S, partial(self._boot_again, id_))
            return
        tcp.serve(Service(node, address_of=node.address_of))
        self.nodes[id_] = node
        self.world.note(host.name, "serves")

    def _make_transport(self, id_: NodeId) -> tuple[Transport, TcpTransport]:
        host = self.hosts[id_]
        tcp = TcpTransport(
            self.cluster_id,
            id_,
            (host.address, PORT),
            self._told[id_],
            self.tcp,
            random=host.source("transport"),
            on_event=lambda event: self.world.note(host.name, "transport", str(event)),
        )
        transport: Transport = tcp if self._messages is None else MessageTransport(self._messages, id_, tcp)
        if self.on_send or self.on_receive:
            self._tap(id_, transport)
        return transport, tcp

    def _tap(self, id_: NodeId, transport: Transport) -> None:
        """Let the hooks see what goes through."""
        send, start = transport.send, transport.start

        def tapped(to: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
            _tell(self.on_send, id_, to, batch)
            send(to, batch)

        async def start_tapped(receive: Receiver, unreachable: Callable[[NodeId], None]) -> None:
            def received(from_: NodeId, batch: list[tuple[int, list[Message]]]) -> None:
                _tell(self.on_receive, from_, id_, batch)
                receive(from_, batch)

            await start(received, unreachable)

        transport.send = tapped  # type: ignore[method-assign]
        if self.on_receive:
            transport.start = start_tapped  # type: ignore[method-assign]

    def _on_death(self, id_: NodeId) -> None:
        """Whoever killed it, it may have failed before."""
        node = self.nodes.pop(id_, None)
        if node is not None and not isinstance(node.failure, NodeStopped | Removed | None):
            self._on_failure(id_, node.failure)

    def _on_failure(self, id_: NodeId, error: BaseException) -> None:
        self.world.note(self.hosts[id_].name, "failed", repr(error))
        self.failures.append((id_, error))
        self.world.rare[f"ended by {type(error).__name__}"] += 1
        if self.on_failure is not None:
            self.on_failure(id_, error)

    async def stop(self, id_: NodeId) -> None:
        """End a node in good order, and its process."""
        host = self.hosts[id_]
        self._stopping.add(id_)
        try:
            await host.run(self.nodes[id_].stop())
        finally:
            self._stopping.discard(id_)
            host.kill(power=False)

    def kill(self, id_: NodeId, *, power: bool = True) -> None:
        """End a node here and now; see `Host.kill`."""
        self.hosts[id_].kill(power=power)

    async def _supervise(self) -> None:
        """End processes whose nodes failed, start those that ended by themselves; the killed are the killer's."""
        while True:
            await asyncio.sleep(_SUPERVISE_S)
            self.look_after()

    def look_after(self) -> None:
        """What the supervisor does every now and then."""
        for id_, node in list(self.nodes.items()):
            if id_ in self._stopping:
                continue
            if isinstance(node.failure, Removed):
                self.retire(id_)
            elif node.failure is not None:
                self.kill(id_, power=False)
                self.world.after(_SUPERVISE_S, partial(self._boot_again, id_))

    def _boot_again(self, id_: NodeId) -> None:
        if not self.hosts[id_].alive:
            self.boot(id_)

    # --- partitions ---

    def partition(self, *sides: tuple[NodeId, ...]) -> Callable[[], None]:
        """Cut the nodes of each side off from those of the others; call the result to undo it."""
        edges = edges_between([[self.hosts[id_] for id_ in side] for side in sides])
        self.world.net.cut_edges(edges)
        return lambda: self.world.net.mend_edges(edges)

    # --- what is going on ---

    def leader(self) -> NodeId | None:
        """Of the nodes that believe that they lead, the one of the highest term."""
        leading: list[tuple[int, NodeId]] = []
        for id_, node in sorted(self.nodes.items()):
            basic = node.status().basic
            if basic.soft_state.role is Role.LEADER and node.failure is None:
                leading.append((basic.hard_state.term, id_))
        return max(leading)[1] if leading else None

    async def wait_leader(self, within: float = 30.0) -> NodeId:
        """Wait until a node believes that it leads; its id.

        Raises:
            OutOfTime: none did.
        """
        until = self.world.now + within
        while (leader := self.leader()) is None:
            await self._wait(until, "no node leads")
        return leader

    async def wait_equal(self, within: float = 30.0) -> None:
        """Wait until all nodes run, have applied the same, and are the same to the last byte.

        Raises:
            OutOfTime: they were not.
            AssertionError: equal logs gave different states.
        """
        until = self.world.now + within
        while len(self.nodes) < len(self.ids) or len({node.machine.applied for node in self.nodes.values()}) > 1:
            applied = {id_: node.machine.applied for id_, node in sorted(self.nodes.items())}
            await self._wait(until, f"the nodes have not applied the same: {applied}")
        states = {id_: (node.machine.applied, node.machine.digest()) for id_, node in sorted(self.nodes.items())}
        assert len(set(states.values())) == 1, f"replicas differ: {states}"

    async def _wait(self, until: float, problem: str) -> None:
        if self.world.now >= until:
            raise OutOfTime(f"{problem}, at {self.world.now:.3f} s")
        await asyncio.sleep(_POLL_S)

    # --- members ---

    async def add(self, id_: NodeId, within: float = 30.0) -> None:
        """Bring a node in, on a host of its own if it has none yet, and make it a voter; again is fine.

        Raises:
            OutcomeUnknown: it may or may not be a member.
        """
        if id_ not in self.hosts:
            self.hosts[id_] = self.world.host(f"node{id_}")
            self._watch(id_)
            self.boot(id_)
        address = (self.hosts[id_].address, PORT)
        await self._change(lambda node: node.add(id_, address, within=_STEP_S), within)

    async def remove(self, id_: NodeId, within: float = 30.0) -> None:
        """Let a node go, and end it; again is fine.

        Raises:
            OutcomeUnknown: it may or may not be a member.
        """
        await self._change(lambda node: node.remove(id_, within=_STEP_S), within)
        self.retire(id_)

    def retire(self, id_: NodeId) -> None:
        """It was removed: its machine is switched off and stays so."""
        self.world.note(self.hosts[id_].name, "retired")
        self.retired.add(id_)
        self.kill(id_)

    async def transfer(self, id_: NodeId) -> None:
        """Ask whoever leads to hand over to a node; nothing is promised."""
        leader = self.leader()
        if leader is not None and leader != id_:
            with suppress(RaftlyError, HostDown):
                await self.hosts[leader].run(self.nodes[leader].transfer_leader(id_, within=_STEP_S))

    async def snapshot(self, id_: NodeId) -> None:
        """Have a node make a snapshot now, if it can."""
        node = self.nodes.get(id_)
        if node is not None:
            with suppress(RaftlyError, HostDown):
                await self.hosts[id_].run(node.take_snapshot())

    async def _change(self, change: Callable[[Replicated[T]], Coroutine[Any, Any, None]], within: float) -> None:
        """Ask whoever leads, again until it is done."""
        until = self.world.now + within
        while self.world.now < until:
            leader = self.leader()
            if leader is not None:
                try:
                    await self.hosts[leader].run(change(self.nodes[leader]))
                except (RaftlyError, HostDown) as error:
                    self.world.note("cluster", "change", f"{leader} {error!r}")
                else:
                    return
            await asyncio.sleep(10 * _POLL_S)
        raise OutcomeUnknown(f"no change of members within {within} s")

    # --- calls ---

    async def call(
        self, id_: NodeId, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """`Replicated.call` at one node.

        Raises:
            HostDown: it does not run, or died meanwhile.
            Exception: whatever `Replicated.call` raises.
        """
        node = self.nodes.get(id_)
        if node is None:
            raise HostDown(f"node {id_} does not run")
        return await self.hosts[id_].run(node.call(method, *args, **kwargs))

    async def invoke(self, method: Callable[..., R], /, *args: Any, within: float = 30.0) -> R:  # noqa: ANN401
        """Call at whoever leads, again and again until one call is answered: it may be applied more than once.

        Raises:
            OutOfTime: none was.
        """
        until = self.world.now + within
        last: BaseException | None = None
        while self.world.now < until:
            leader = await self.wait_leader(until - self.world.now)
            try:
                async with asyncio.timeout(until - self.world.now):
                    return await self.call(leader, method, *args)
            except (NotLeader, ProposalDropped, OutcomeUnknown, HostDown, DiskFull, Busy, TimeoutError) as error:
                last = error
                await asyncio.sleep(_POLL_S)
        raise OutOfTime(f"no call was answered within {within} s; the last error was {last!r}")


def _tell(
    hooks: list[Callable[[NodeId, NodeId, Message], None]],
    from_: NodeId,
    to: NodeId,
    batch: list[tuple[int, list[Message]]],
) -> None:
    for _, messages in batch:
        for message in messages:
            for hook in hooks:
                hook(from_, to, message)
