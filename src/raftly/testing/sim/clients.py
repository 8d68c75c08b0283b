"""Clients: tasks on hosts of their own that call the nodes over the simulated network, and write down what they saw.

    workload = lambda random: Call("set", "a", (1,), method=Register.set, args=("a", 1))

A call that is refused for certain leaves no trace in the history; one whose end nobody knows has no end there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Any, Final, Generic, TypeAlias, TypeVar, final

from raftly.base.types import NO_NODE, NodeId
from raftly.errors import NotLeader, OutcomeUnknown, ProposalError, StorageError
from raftly.node import Replicated
from raftly.node.commands import is_command
from raftly.node.errors import (
    LeaseNotHeld,
    MachineFailed,
    NodeStopped,
    NoNodeReached,
    ReadTimeout,
    Removed,
    SessionExpired,
)
from raftly.node.reads import FOLLOWER, LEASE, STRONG, Mode, Read, bounded
from raftly.testing.class_model import frozen
from raftly.testing.history import History
from raftly.testing.sim.cluster import SimCluster
from raftly.testing.sim.host import Host
from raftly.testing.sim.remotes import NoSession, RemoteWay
from raftly.testing.sim.watch import Watch

T = TypeVar("T")

_REQUEST_BYTES: Final = 200
_DRAWS_MAX: Final = 1000
REFUSALS: Final = (
    ProposalError,
    StorageError,
    NodeStopped,
    Removed,
    MachineFailed,
    LeaseNotHeld,
    ReadTimeout,
    NoNodeReached,
)
"""What says that a call took no effect and never will; the middle ones are why a node serves no more."""


STALE: Final = (Mode.BOUNDED, Mode.LOCAL)
"""Modes whose answers need not be linearizable."""


class NotRunning(Exception):
    """The machine is up, and the node is not: nothing was called."""


def itself(result: object) -> object:
    """A result as it is."""
    return result


@final
@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call: how it is written down, and what it is.

    `key` names the object in the history, which is judged on its own. `shape` makes of a result what the model of the
    history compares: itself, unless it cannot be hashed or says more than the model knows.
    """

    name: str
    key: Hashable
    argument: Hashable
    method: Callable[..., Any]
    args: tuple[Any, ...] = ()
    is_query: bool = False
    shape: Callable[[Any], Any] = itself


def call(method: Callable[..., Any], /, *args: Any) -> Call[Any]:  # noqa: ANN401 - whatever it takes
    """A call of a method of the replicated class, as `ClassModel` judges it.

    Raises:
        TypeError: the method is neither command nor query.
    """
    return Call(method.__name__, None, args, method, args, is_query=not is_command(method), shape=frozen)


async def outcome(work: Coroutine[Any, Any, object], call: Call[Any], cls: type[Any]) -> Hashable:
    """What came of a call of a class; of an exception that it registered as a result, its `repr`."""
    try:
        result = call.shape(await work)
    except Exception as error:
        if type(error) not in getattr(cls, "errors", ()) or isinstance(error, ProposalError):
            raise
        return repr(error)
    assert isinstance(result, Hashable), f"a history cannot hold {result!r}"
    return result


Workload: TypeAlias = Callable[[Random], Call[T]]


class Way(Enum):
    """How a client reaches the nodes."""

    DIRECT = "direct"  # messages without connections, one node a call: what a node says is seen as it is
    REMOTE = "remote"  # `raftly.node.remote`
    SESSION = "session"  # that, with a session


@final
@dataclass(slots=True)
class ClientOptions:
    """How clients behave. Seconds."""

    think_s_mean: float = 0.05
    """Between two calls."""
    patience_s: float = 2.0
    """Then the outcome is unknown, and the client goes on as another one: it may not know what it did."""
    wander: float = 0.1
    """How often a call goes to any node at all, not to the last known leader."""
    ways: tuple[Way, ...] = (Way.DIRECT, Way.REMOTE, Way.SESSION)
    """Each client draws one of these."""
    reads: tuple[Read, ...] = (STRONG, STRONG, STRONG, STRONG, LEASE, FOLLOWER, FOLLOWER, bounded(0.1), bounded(1))
    """Each query draws one of these. Those that may be stale are judged by `Watch` alone and are not in the history."""


@final
class Client(Generic[T]):
    """One client; `run` until cancelled."""

    def __init__(
        self,
        cluster: SimCluster[T],
        number: int,
        workload: Workload[T],
        history: History,
        options: ClientOptions | None = None,
    ) -> None:
        self.host: Host = cluster.world.host(f"client{number}")
        self.answered = 0
        self.written = 0  # of those, calls that are no queries
        self.stale = 0  # answers of reads that may be
        self.watch: Watch | None = None  # who judges what reads were given
        self._wanted: tuple[int, int] | None = None  # counts that are to rise: see `prove`
        self._only_asks = False  # its workload has no commands
        self._cluster = cluster
        self._id = number  # changes after an unknown outcome: a client has one call at a time
        self._step = 1000
        self._workload = workload
        self._history = history
        self._options = options or ClientOptions()
        self._random = cluster.world.stream(f"client/{number}")
        self._leader: NodeId = NO_NODE
        self.host.start()
        ways = self._options.ways
        self.way = ways[self._random.randrange(len(ways))]
        self._remote = RemoteWay(cluster, self.host, self._options.patience_s, sessions=self.way is Way.SESSION)

    def start(self) -> None:
        """Begin to call."""
        self.host.begin(self._run())

    def find_again(self) -> None:
        """See `RemoteWay.find_again`."""
        self._remote.find_again()

    def prove(self) -> None:
        """From now on call nothing but commands, as long as the workload has any, until `is_proven`."""
        self._wanted = (self.written, self._heard())

    @property
    def is_proven(self) -> bool:
        """Was a command answered since `prove`? Of a workload without commands: anything."""
        written, heard = self._wanted or (-1, -1)
        return self.written > written or (self._only_asks and self._heard() > heard)

    def _heard(self) -> int:
        return self.answered + self.stale

    def _draw(self) -> Call[T]:
        call = self._workload(self._random)
        if self._wanted is None or self._only_asks or self.is_proven:
            return call
        for _ in range(_DRAWS_MAX):
            if not call.is_query:
                return call
            call = self._workload(self._random)
        self._only_asks = True
        return call

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1.0 / self._options.think_s_mean))
            await self._one(self._draw())

    async def _one(self, call: Call[T]) -> None:
        ids = self._cluster.ids
        node = self._leader
        if node not in self._cluster.hosts or self._random.random() < self._options.wander:
            node = ids[self._random.randrange(len(ids))]
        read = self._options.reads[self._random.randrange(len(self._options.reads))] if call.is_query else STRONG
        invocation = self._history.invoke(self._id, call.name, call.key, call.argument)
        if read.mode in STALE:
            invocation.refused()  # any order explains it
        note = self._cluster.world.note
        note(self.host.name, "call", f"{node} {call.name} {call.key!r} {call.argument!r} {read.mode.value}")
        try:
            if self.way is Way.DIRECT:
                result = await self._ask(node, call, read)
            else:
                result = await outcome(self._far(call, read), call, self._cluster.cls)
        except (*REFUSALS, NotRunning, NoSession) as error:
            if read.mode not in STALE:
                invocation.refused()
            self._leader = error.leader_id if isinstance(error, NotLeader) else NO_NODE
            note(self.host.name, "refused", type(error).__name__)
        except (OutcomeUnknown, SessionExpired, TimeoutError):
            self._leader = NO_NODE
            self._id += self._step
            note(self.host.name, "unknown")
        else:
            self._leader = node if read.mode in {Mode.STRONG, Mode.LEASE} else self._leader
            self.stale += read.mode in STALE
            self.answered += read.mode not in STALE
            self.written += not call.is_query
            if read.mode not in STALE:
                invocation.returned(result)
            note(self.host.name, "result", repr(result))

    async def _far(self, call: Call[T], read: Read) -> object:
        """Through the real callers."""
        if not call.is_query:
            return await self._remote.perform(call)
        asked = self.watch.asked() if self.watch is not None else None
        result, fresh = await self._remote.read(call, read)
        if self.watch is not None and asked is not None:
            self.watch.answered(asked, read, fresh)
        return result

    async def _near(self, id_: NodeId, node: Replicated[T], call: Call[T], read: Read) -> object:
        """At a node, on its host."""
        if not call.is_query:
            return await node.call(call.method, *call.args)
        if self.watch is None:
            await node.fresh(read)
            return node.look(call.method, *call.args)
        asked = self.watch.asked()
        fresh = await node.fresh(read)
        self.watch.answered(asked, read, fresh, id_)
        return node.look(call.method, *call.args)

    async def _ask(self, id_: NodeId, call: Call[T], read: Read) -> Hashable:
        """Send the call to a node and wait for its answer; both may be lost."""
        cluster, here = self._cluster, self.host
        there = cluster.hosts[id_]
        net = cluster.world.net
        answer: asyncio.Future[Hashable] = asyncio.get_running_loop().create_future()

        def reply(take: Callable[[], None]) -> None:
            net.post(there, here, _REQUEST_BYTES, lambda: None if answer.done() else take())

        async def serve() -> None:
            try:
                node = cluster.nodes.get(id_)
                if node is None:
                    raise NotRunning
                result = await outcome(self._near(id_, node, call, read), call, cluster.cls)
            except AssertionError:
                raise  # a check's own words do not travel: they might be lost
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
                reply(lambda error=error: answer.set_exception(error))  # type: ignore[misc]
            else:
                reply(lambda: answer.set_result(result))

        net.post(here, there, _REQUEST_BYTES, lambda: there.begin(serve()))
        async with asyncio.timeout(self._options.patience_s):
            return await answer
