"""One run from a seed: a cluster, clients, faults, then everything is healed and must work again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

from raftly.base.types import NodeId
from raftly.errors import DiskFull, OutcomeUnknown, StorageError, SyncFailed
from raftly.node import NodeConfig, Replicated
from raftly.node.errors import Diverged, SessionExpired
from raftly.testing.history import History, Operation
from raftly.testing.linearizability import STEPS_MAX, Verdict, check
from raftly.testing.models import Model
from raftly.testing.sim.clients import REFUSALS, Call, Client, ClientOptions, Workload, outcome
from raftly.testing.sim.cluster import SimCluster, make_config
from raftly.testing.sim.faults import NEWCOMERS, Fault, plan
from raftly.testing.sim.host import HostDown
from raftly.testing.sim.inject import inject, settle_members
from raftly.testing.sim.trace import Trace
from raftly.testing.sim.watch import Watch
from raftly.testing.sim.world import OutOfTime, SimulationError, World

T = TypeVar("T")

LIVENESS_S: Final = 15.0
"""When all is healed a write of every client is answered within so many virtual seconds, every last call within as
many, and the replicas are equal within as many."""
_START_S: Final = 60.0
_EVENTS_A_SECOND: Final = 250_000
_POLL_S: Final = 0.05
_LAST_CALLS: Final = 16
_LAST_ID: Final = 1000
"""So much is added to who makes the last calls after an unknown outcome, as to other clients."""
_AFTERMATH_S: Final = 5.0
"""So long after a fault of a disk its node may still fail of it: it may have stood still meanwhile."""
_EXPLAINS: Final[Mapping[str, type[BaseException]]] = {
    "sync_error": SyncFailed,
    "full_disk": DiskFull,
    "write_error": StorageError,
    "read_error": StorageError,
}
"""What a node may fail with, and nothing derived from it: damage is no error of a write."""

Ask: TypeAlias = Callable[[Call[Any]], Awaitable[Hashable]]
"""Make a call at whoever leads, until it is answered; its result, as it is in the history."""
Last: TypeAlias = Callable[[Ask], Awaitable[None]]
"""The last calls of a run."""


class NotLive(OutOfTime):
    """All was healed, and still a write, or a last call, was not answered, or the replicas stayed apart."""


class NodeFailed(SimulationError):
    """A node ended by itself, or refused to start, and no fault explains it. `error` is why."""

    def __init__(self, node: NodeId, at: float, error: BaseException) -> None:
        super().__init__(f"node {node} failed at {at:.3f} s, which no fault explains: {error!r}")
        self.node = node
        self.at = at
        self.error = error
        self.__cause__ = error


class NotLinearizable(SimulationError):
    """No order of the calls explains what clients were told. `operations` are all of them."""

    def __init__(self, verdict: Verdict, operations: Sequence[Operation]) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
        self.operations = operations


class Undecided(SimulationError):
    """The history takes too much work to judge."""


@final
@dataclass(slots=True)
class RunOptions:
    """What a run is made of, besides its seed."""

    size: int = 3
    clients: int = 3
    profile: str = "uniform"
    seconds: float = 20.0
    """Virtual time for faults; start and healing come on top."""
    messages: bool = False
    """Raft's messages do not go over TCP: `SimCluster`."""
    events_max: int = 0
    """A run that needs more does not converge; 0: what twenty seconds of it, or all of `seconds`, may need."""
    checks: bool = True
    """Judge every turn: `Watch`."""
    client: ClientOptions = field(default_factory=ClientOptions)
    configure: Callable[[NodeId, tuple[NodeId, ...], int], NodeConfig] = make_config


@final
@dataclass(slots=True)
class Report:
    """What came of a run that passed."""

    seed: int
    digest: str
    seconds: float
    """Virtual, all of it."""
    events: int
    faults: list[Fault]
    struck: Counter[str]
    """Faults that happened, by kind."""
    operations: list[Operation]
    answered: int
    recovery_s: float
    """From the healing to the first write that was answered."""
    failures: list[tuple[NodeId, str]]
    """Nodes that ended by themselves, and why."""
    judged: Counter[str]
    """How much the checks of every turn had to judge, by kind."""


@final
class Run(Generic[T]):
    """A run: its `world` and `cluster` are there for checks to hook into before `go`."""

    def __init__(
        self,
        seed: int,
        factory: Callable[[], T],
        workload: Workload[T],
        options: RunOptions | None = None,
        *,
        faults: Sequence[Fault] | None = None,
        trace: Trace | None = None,
        model: Model | None = None,
        last: Last | None = None,
    ) -> None:
        """`model` is what each object of the history is judged by at the end; None: nothing is.

        `last` looks back when all is over; None: some queries of the workload do.

        Raises:
            KeyError: there is no such profile.
        """
        self.options = options or RunOptions()
        self.world = World(seed, trace=trace)
        self.cluster = SimCluster(
            self.world,
            factory,
            self.options.size,
            configure=self.options.configure,
            messages=self.options.messages,
        )
        self.watch = Watch(self.cluster) if self.options.checks else None
        self.history = History(lambda: self.world.now)
        self.faults = list(faults) if faults is not None else self._plan()
        numbers = range(1, self.options.clients + 1)
        self.clients = [Client(self.cluster, n, workload, self.history, self.options.client) for n in numbers]
        for client in self.clients:
            client.watch = self.watch
        self.model = model
        self.cluster.on_failure = self._on_failure
        self._workload = workload
        self._last = last
        self._last_id = 0  # who makes the last calls
        self.faults_from = 0.0  # when the time of faults began
        self.recovery_s = 0.0
        self.struck: Counter[str] = Counter()

    def _plan(self) -> list[Fault]:
        options = self.options
        return plan(self.world.stream("faults"), self.cluster.ids, options.profile, options.seconds)

    def go(self) -> Report:
        """All of it.

        Raises:
            NotLive: nothing was wrong any more, and it did not work.
            NodeFailed: a node ended by itself, of nothing that the faults did.
            SafetyViolation: the nodes did what they never may.
            NotLinearizable: clients saw what is impossible.
            Undecided: it is too much work to tell.
            AssertionError: a check failed, or a callback let an exception fall.
        """
        world, options = self.world, self.options
        try:
            world.run(
                self._script(),
                within=_START_S + options.seconds + 10 * LIVENESS_S,
                events_max=options.events_max or int(_EVENTS_A_SECOND * max(options.seconds, 20.0)),
            )
            if self.model is not None:
                judge(self.history.operations, self.model)
            return Report(
                world.seed,
                world.trace.digest(),
                world.now,
                world.events,
                self.faults,
                self.struck,
                self.history.operations,
                sum(client.answered for client in self.clients),
                self.recovery_s,
                [(id_, repr(error)) for id_, error in self.cluster.failures],
                Counter() if self.watch is None else self.watch.counts + self.watch.checker.counts,
            )
        finally:
            world.close()

    async def _script(self) -> None:
        cluster, world = self.cluster, self.world
        await cluster.start()
        await cluster.wait_leader(_START_S)
        for client in self.clients:
            client.start()
        self.faults_from = world.now
        await inject(cluster, self.faults, self.options.seconds, self.struck)
        healed = world.now
        written = self._written()
        for client in self.clients:
            client.prove()
        while waiting := [client for client in self.clients if not client.is_proven]:
            if world.now > healed + LIVENESS_S:
                names = ", ".join(client.host.name for client in waiting)
                raise NotLive(f"seed {world.seed}: no write of {names} was answered within {LIVENESS_S} s of healing")
            for client in waiting:
                client.find_again()  # who was removed unheard is only switched off when it learns of it
            await asyncio.sleep(_POLL_S)
            if not self.recovery_s and self._written() > written:
                self.recovery_s = world.now - healed
        for client in self.clients:
            client.host.kill()
        try:
            await settle_members(cluster, LIVENESS_S)
        except OutcomeUnknown as error:
            raise NotLive(f"seed {world.seed}: {error}") from error
        await self._look_back()
        try:
            await cluster.wait_equal(LIVENESS_S)
            while self.watch is not None and not self.watch.is_applied():  # a call that was on its way may still come
                await asyncio.sleep(_POLL_S)
                await cluster.wait_equal(LIVENESS_S)
                if world.now > healed + 5 * LIVENESS_S:
                    break  # `finish` says what is missing
        except OutOfTime as error:
            raise NotLive(f"seed {world.seed}: {error}") from error
        if self.watch is not None:
            self.watch.finish()
        cluster.look_after()  # what failed since the supervisor was there

    async def _look_back(self) -> None:
        """Some calls when all is over: what was acknowledged and is lost shows in the history."""
        if self._last is not None:
            await self._last(self._ask)
            return
        random = self.world.stream("last")
        for call in [self._workload(random) for _ in range(_LAST_CALLS)]:
            if call.is_query:
                await self._ask(call)

    async def _ask(self, call: Call[Any]) -> Hashable:
        """One of the last calls. Leaders may still change, so a refusal is not the end.

        Raises:
            NotLive: it was not answered.
        """
        cluster, world = self.cluster, self.world
        until = world.now + LIVENESS_S
        problem: BaseException | None = None
        while world.now < until:
            try:
                leader = await cluster.wait_leader(until - world.now)
            except OutOfTime as error:
                problem = error
                break
            node = cluster.nodes[leader]
            invocation = self.history.invoke(self._last_id, call.name, call.key, call.argument)
            try:
                async with asyncio.timeout(until - world.now):
                    result = await cluster.hosts[leader].run(self._at(node, call))
            except REFUSALS as error:
                invocation.refused()
                problem = error
            except (OutcomeUnknown, SessionExpired, HostDown, TimeoutError) as error:
                if call.is_query:
                    invocation.refused()
                self._last_id += _LAST_ID
                problem = error
            except AssertionError:
                raise
            except Exception as error:
                raise SimulationError(f"seed {world.seed}: the last {call.name} raised {error!r}") from error
            else:
                invocation.returned(result)
                return result
            await asyncio.sleep(_POLL_S)
        raise NotLive(f"seed {world.seed}: the last {call.name} was not answered in {LIVENESS_S} s: {problem!r}")

    async def _at(self, node: Replicated[T], call: Call[Any]) -> Hashable:
        method = node.ask if call.is_query else node.call
        return await outcome(method(call.method, *call.args), call, self.cluster.cls)

    def _on_failure(self, id_: NodeId, error: BaseException) -> None:
        if not self._is_explained(id_, error):
            self.world.errors.append(NodeFailed(id_, self.world.now, error))

    def _is_explained(self, id_: NodeId, error: BaseException) -> bool:
        """Did a fault bring a node to this? A class that fails, and a state that parted from the others', never."""
        if id_ in self.cluster.damaged:
            return isinstance(error, StorageError | Diverged)
        now = self.world.now - self.faults_from
        return any(
            type(error) is _EXPLAINS.get(fault.kind)
            and id_ in self._meant(fault.nodes[0])
            and fault.at <= now <= fault.at + fault.seconds + _AFTERMATH_S
            for fault in self.faults
        )

    def _meant(self, id_: NodeId) -> list[NodeId]:
        """A node of a fault, and those that it was to replace: they are struck as long as it did not come."""
        old_of = {fault.nodes[1]: fault.nodes[0] for fault in self.faults if fault.kind in NEWCOMERS - {"grow"}}
        meant = [id_]
        while (old := old_of.get(meant[-1])) is not None and old not in meant:
            meant.append(old)
        return meant

    def _written(self) -> int:
        return sum(client.written for client in self.clients)


def judge(operations: Sequence[Operation], model: Model, steps_max: int = STEPS_MAX) -> None:
    """Check what clients saw.

    Raises:
        NotLinearizable: it is impossible.
        Undecided: it takes more than `steps_max` steps to tell.
    """
    verdict = check(operations, model, steps_max)
    if verdict.violations:
        raise NotLinearizable(verdict, operations)
    if verdict.undecided:
        raise Undecided(str(verdict))
