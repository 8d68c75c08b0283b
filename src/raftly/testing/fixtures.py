"""What the fixtures of `raftly.testing.plugin` give: runs and clusters from the seed of a test.

Both have all checks of the simulator on: one that does not hold fails the test, in the call that finds it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Concatenate, Final, Generic, ParamSpec, TypeVar, final

from raftly.base.types import NodeId
from raftly.errors import NotLeader, OutcomeUnknown, RaftlyError, StorageError
from raftly.node import NodeConfig
from raftly.testing.class_model import ClassModel
from raftly.testing.html import write_counterexample, write_trace_page
from raftly.testing.models import Model
from raftly.testing.sim.clients import Workload
from raftly.testing.sim.cluster import SimCluster, make_config
from raftly.testing.sim.faults import Fault, to_line
from raftly.testing.sim.host import HostDown
from raftly.testing.sim.inject import heal
from raftly.testing.sim.record import Recorder
from raftly.testing.sim.run import NodeFailed, NotLinearizable, Report, Run, RunOptions
from raftly.testing.sim.shrink import shrink_run
from raftly.testing.sim.watch import Watch
from raftly.testing.sim.world import OutOfTime, World

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

_WITHIN_S: Final = 30.0
_POLL_S: Final = 0.02


@final
class SimFactory:
    """The fixture `raft_sim`: whole runs, in which clients call your class while everything goes wrong."""

    def __init__(self, seed: int, reports: str | None = None) -> None:
        self.seed = seed
        self._reports = reports
        self._run: Run[Any] | None = None
        self._recorder: Recorder | None = None
        self._error: AssertionError | None = None

    def run(
        self,
        factory: Callable[[], Any],
        workload: Workload[Any],
        *,
        profile: str = "uniform",
        seconds: float = 20.0,
        size: int = 3,
        clients: int = 3,
        model: Model | None = None,
        linearizable: bool = True,
        faults: Sequence[Fault] | None = None,
        seed: int | None = None,
    ) -> Report:
        """Run `size` replicas for so many virtual seconds of faults, then heal; what came of it.

        `workload` draws what a client calls next, from the `random.Random` that it is given, best with `call`. `model`
        judges what clients were told; without one the class itself does (`ClassModel`), unless `linearizable` is False.
        `faults` come instead of those that are drawn for the profile (`raftly.testing.sim.PROFILES`).

        Raises:
            AssertionError: something does not hold: SafetyViolation, NotLinearizable, NotLive, or a callback failed.
            KeyError: there is no such profile.
        """
        if model is None and linearizable:
            model = ClassModel(factory)
        number = self.seed if seed is None else seed

        def make(faults: Sequence[Fault] | None) -> Run[Any]:
            options = RunOptions(size=size, clients=clients, profile=profile, seconds=seconds)
            return Run(number, factory, workload, options, faults=faults, model=model)

        self._run = make(faults)
        self._make = make
        self._recorder = Recorder(self._run) if self._reports is not None else None
        try:
            return self._run.go()
        except AssertionError as error:
            self._error = error
            raise

    def shrink(self, seconds: float = 60.0) -> list[Fault]:
        """After a run that failed: fewer faults that fail in the same way, found in so many seconds of real time.

        Raises:
            ValueError: no run failed.
        """
        if self._run is None or self._error is None:
            raise ValueError("no run failed, so there is nothing to shrink")
        return shrink_run(self._make, self._run.faults, type(self._error), seconds)

    def on_failure(self, name: str) -> list[str]:
        """Lines for who reads the failure of a test; pages are written where pages are wanted."""
        if self._run is None:
            return []
        run = self._run
        lines = [f"seed {run.world.seed}, virtual time {run.world.now:.3f} s, {run.world.events} events; its faults:"]
        lines += [f"    {fault}" for fault in run.faults]
        if self._reports is not None and self._recorder is not None:
            lines += self._write(Path(self._reports), name)
        return lines

    def _write(self, folder: Path, name: str) -> list[str]:
        assert self._run is not None
        assert self._recorder is not None
        folder.mkdir(parents=True, exist_ok=True)
        stem = re.sub(r"[^\w.-]+", "_", name)
        pages = [folder / f"{stem}.html", folder / f"{stem}.faults"]
        write_trace_page(pages[0], self._recorder.events(), f"{name}, seed {self._run.world.seed}")
        pages[1].write_text("".join(to_line(fault) + "\n" for fault in self._run.faults), encoding="utf-8")
        if isinstance(self._error, NotLinearizable):
            pages.append(folder / f"{stem}.history.html")
            write_counterexample(pages[-1], self._error.verdict.violations[0], name)
        return [f"written: {page}" for page in pages]

    def close(self) -> None:
        """Runs close themselves."""


@final
class ClusterFactory:
    """The fixture `raft_cluster`: clusters that run already."""

    def __init__(self, seed: int, reports: str | None = None) -> None:
        self.seed = seed
        self._clusters: list[Cluster[Any]] = []

    def __call__(
        self,
        factory: Callable[[], T],
        size: int = 3,
        *,
        configure: Callable[[NodeId, tuple[NodeId, ...], int], NodeConfig] = make_config,
    ) -> Cluster[T]:
        """Replicas of your class, started, with a leader. `configure` gives the options of a node, as in SimCluster."""
        cluster = Cluster(self.seed + len(self._clusters), factory, size, configure)
        self._clusters.append(cluster)
        cluster.begin()
        return cluster

    def on_failure(self, name: str) -> list[str]:
        """Lines for who reads the failure of a test."""
        return [cluster.describe() for cluster in self._clusters]

    def close(self) -> None:
        """Let all clusters go."""
        for cluster in self._clusters:
            cluster.world.close()


@final
class Cluster(Generic[T]):
    """A simulated cluster as a plain test uses it. Time passes in its methods alone, and none waits for real time."""

    def __init__(
        self,
        seed: int,
        factory: Callable[[], T],
        size: int,
        configure: Callable[[NodeId, tuple[NodeId, ...], int], NodeConfig],
    ) -> None:
        self.world = World(seed)
        self.sim: SimCluster[T] = SimCluster(self.world, factory, size, configure=configure)
        self.sim.on_failure = self._on_failure
        self.watch = Watch(self.sim)

    def _on_failure(self, id_: NodeId, error: BaseException) -> None:
        """The class failed, or its replicas parted; disks are yours to break."""
        if not isinstance(error, StorageError):
            self.world.errors.append(NodeFailed(id_, self.world.now, error))

    def begin(self) -> None:
        """Start all nodes and wait for a leader."""
        self.do(self.sim.start())
        self.do(self.sim.wait_leader())

    def do(self, script: Coroutine[Any, Any, R], within: float = 4 * _WITHIN_S) -> R:
        """Run a script of your own on the cluster: a coroutine that uses `sim`, on virtual time.

        Raises:
            OutOfTime: it took more virtual seconds.
            Exception: whatever it raises.
        """
        return self.world.run(script, within=within)

    # --- what callers do ---

    def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a command at whoever leads, again while it is certain that it did not happen.

        Raises:
            OutcomeUnknown: it may have happened.
            OutOfTime: nobody took it for half a minute of virtual time.
            Exception: whatever the class registered.
        """
        return self.do(self._again(lambda id_: self.sim.call(id_, method, *args, **kwargs)))

    def ask(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a query, linearizably.

        Raises:
            OutOfTime: nobody answered.
        """

        def at(id_: NodeId) -> Coroutine[Any, Any, R]:
            return _await(self.sim.hosts[id_].run(self.sim.nodes[id_].ask(method, *args, **kwargs)))

        return self.do(self._again(at))

    def look(self, id_: NodeId, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a query on what one node knows here and now.

        Raises:
            HostDown: it does not run.
        """
        if id_ not in self.sim.nodes:
            raise HostDown(f"node {id_} does not run")
        return self.sim.nodes[id_].look(method, *args, **kwargs)

    async def _again(self, work: Callable[[NodeId], Coroutine[Any, Any, R]]) -> R:
        until = self.world.now + _WITHIN_S
        last: Exception | None = None
        while self.world.now < until:
            leader = await self.sim.wait_leader(until - self.world.now)
            try:
                return await work(leader)
            except OutcomeUnknown:
                raise
            except RaftlyError as error:
                if type(error) in getattr(self.sim.cls, "errors", ()) and not isinstance(error, NotLeader):
                    raise
                last = error
            await asyncio.sleep(_POLL_S)
        raise OutOfTime(f"nobody answered within {_WITHIN_S:g} s; the last error was {last!r}")

    # --- what goes wrong ---

    @property
    def ids(self) -> tuple[NodeId, ...]:
        """All nodes."""
        return self.sim.ids

    @property
    def leader(self) -> NodeId:
        """Whoever leads; time passes until somebody does."""
        return self.do(self.sim.wait_leader())

    def kill(self, id_: NodeId, *, power: bool = True) -> None:
        """End a node here and now; with `power` what its disk has not synced is lost, in part or whole."""
        self.sim.kill(id_, power=power)

    def stop(self, id_: NodeId) -> None:
        """End a node in good order."""
        self.do(self.sim.stop(id_))

    def restart(self, id_: NodeId) -> None:
        """Start a node that does not run, and wait until it serves."""

        async def script() -> None:
            if not self.sim.hosts[id_].alive:
                self.sim.boot(id_)
            while id_ not in self.sim.nodes:  # noqa: ASYNC110 - nodes know of no events of the director's
                await asyncio.sleep(_POLL_S)

        self.do(script())

    def partition(self, *sides: Sequence[NodeId]) -> None:
        """Cut the nodes of each side off from those of the others, until `heal`."""
        self.sim.partition(*[tuple(side) for side in sides])

    def isolate(self, id_: NodeId) -> None:
        """Cut one node off from the others, until `heal`."""
        self.partition([id_], [other for other in self.ids if other != id_])

    def heal(self) -> None:
        """Everything is well from now on: the network, disks and clocks; nodes that are down are started."""
        heal(self.sim)

    def transfer(self, id_: NodeId) -> None:
        """Ask whoever leads to hand over to a node."""
        self.do(self.sim.transfer(id_))

    def snapshot(self, id_: NodeId) -> None:
        """Have a node make a snapshot now."""
        self.do(self.sim.snapshot(id_))

    def add(self, id_: NodeId) -> None:
        """Bring in a new node, as a voter."""
        self.do(self.sim.add(id_))

    def remove(self, id_: NodeId) -> None:
        """Let a node go for good."""
        self.do(self.sim.remove(id_))

    def run_for(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.world.run_for(seconds)

    def wait_equal(self) -> None:
        """Let time pass until all replicas are equal to the last byte.

        Raises:
            OutOfTime: they did not become so.
        """
        self.do(self.sim.wait_equal())

    def describe(self) -> str:
        """How things stand."""
        parts = [f"seed {self.world.seed}, virtual time {self.world.now:.3f} s"]
        for id_ in self.ids:
            node = self.sim.nodes.get(id_)
            parts.append(f"    node {id_}: {'down' if node is None else node.status().basic}")
        return "\n".join(parts)


async def _await(future: asyncio.Future[R]) -> R:
    return await future
