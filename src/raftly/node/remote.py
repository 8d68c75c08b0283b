"""Remote: a replicated class, used from elsewhere.

    async with connect(Counter, ["10.0.0.1:4001", "10.0.0.2:4001"], cluster_id=7) as counter:
        await counter.call(Counter.add, 5)                    at most once
        session = await counter.open_session()
        await session.call(Counter.add, 5)                    exactly once, whoever leads, whatever breaks
        await counter.ask(Counter.get)                        linearizable
        await counter.reading(LOCAL).ask(Counter.get)         what some node has
        await counter.within(0.5).ask(Counter.get)            half a second at most

Of the class only its definition is needed. Calls and reads end as those of `Replicated` do, with two differences: what
was certainly not taken is sent again, to whoever leads by then, until its time is over; and there is NoNodeReached,
when there was no connection in all that time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar, cast, final, get_origin

from raftly.base.rand import SplitMix64
from raftly.base.types import NO_NODE, Index, NodeId
from raftly.errors import ConfigError, DecodeError, RaftlyError
from raftly.node.annotations import arguments_of
from raftly.node.commands import Method, methods_of, ttl_in_us
from raftly.node.errors import UnknownCommand
from raftly.node.reads import STRONG, Freshness, Mode, Read
from raftly.node.requests import Admin, AskStatus, Call, Close, GroupStatus, Open, Query
from raftly.node.route import Effect, Route, RouteOptions, to_status
from raftly.transport.base import Dialer
from raftly.transport.client import TcpDialer
from raftly.transport.options import Address, TcpOptions
from raftly.transport.tls import PeerTls

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


@final
@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Seconds."""

    call_timeout: float = 10.0
    """For each call and read; `within` gives another."""
    admin_timeout: float = 60.0
    """For each change of members: who joins must catch up."""
    session_ttl: float = 60.0
    """A session that is silent for so long, by log time, expires."""
    seed: int = field(default_factory=lambda: int.from_bytes(os.urandom(8), "little"))
    """Source of jitter and nonces; different for every caller."""
    route: RouteOptions = field(default_factory=RouteOptions)

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ConfigError: a time is not above 0, or no time to live.
        """
        for name in ("call_timeout", "admin_timeout"):
            if not getattr(self, name) > 0:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be above 0")
        ttl_in_us("session_ttl", self.session_ttl)


def connect(
    cls: type[T],
    addresses: Sequence[str | Address],
    *,
    cluster_id: int = 1,
    tls: PeerTls | None = None,
    tcp: TcpOptions | None = None,
    options: RemoteOptions | None = None,
    dialer: Dialer | None = None,
) -> Remote[T]:
    """A caller of the class that the nodes at `addresses` ("host:port", or pairs) replicate; some of them will do.

    Name a generic class with what it holds, `Dict[str, int]`, as the nodes do.

    Nothing is opened before the first call. Use it with `async with`, or `close` it. `tls` is for `tcp` too, which has
    the rest that can be set about connections; `dialer` takes the place of both.

    Raises:
        ConfigError: an option or an address is wrong, or not loopback without TLS, or the class is not replicable.
    """
    options = options or RemoteOptions()
    places = [parse_address(address) if isinstance(address, str) else address for address in addresses]
    if dialer is None:
        tcp = tcp or TcpOptions(tls=tls)
        if tls is not None and tcp.tls is not tls:
            raise ConfigError("tls", "is given beside tcp: put it into tcp.tls")
        for place in places:
            tcp.check_address("addresses", place)
        dialer = TcpDialer(cluster_id, tcp)
    made: type[T] = get_origin(cls) or cls
    errors: dict[str, type[Exception]] = {error.__qualname__: error for error in getattr(made, "errors", ())}
    random = SplitMix64(options.seed)
    route = Route(dialer, places, errors, options.route, random)
    methods = methods_of(made, arguments_of(made, cls))
    return Remote(_Shared(made.__qualname__, methods, route, options, random), STRONG, options.call_timeout)


def parse_address(text: str) -> Address:
    """Host and port of "host:port", or of "[host]:port" for an IPv6 address.

    Raises:
        ConfigError: it is not of this form.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host or not port.isascii() or not port.isdecimal():
        raise ConfigError("address", f"{text!r} is not of the form host:port")
    return host, int(port)


@final
@dataclass(frozen=True, slots=True)
class _Shared:
    """What all views of one caller have in common."""

    class_name: str
    methods: dict[str, Method]
    route: Route
    options: RemoteOptions
    random: SplitMix64

    def method(self, name: str, *, is_command: bool) -> Method:
        method = self.methods.get(name)
        if method is None or method.mark.is_command is not is_command:
            raise UnknownCommand(f"{self.class_name} has no {'command' if is_command else 'query'} {name}")
        return method

    async def call(self, method: Method, request: Call, within: float, effect: Effect) -> object:
        answer = await self.route.ask(request, within, effect)
        return method.conform_result(answer.value)


@final
class Remote(Generic[T]):
    """A caller; made by `connect`. Calls may overlap; everything on one event loop."""

    __slots__ = ("_read", "_shared", "_within")

    def __init__(self, shared: _Shared, read: Read, within: float) -> None:
        self._shared = shared
        self._read = read
        self._within = within

    def within(self, seconds: float) -> Remote[T]:
        """The same caller, with another time for each call and read; it shares all connections."""
        return Remote(self._shared, self._read, seconds)

    def reading(self, read: Read) -> Remote[T]:
        """The same caller, with another freshness for `ask`: STRONG, LEASE, FOLLOWER, LOCAL or `bounded(s)`."""
        return Remote(self._shared, read, self._within)

    # --- calls ---

    async def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a command; applied at most once.

        Raises:
            OutcomeUnknown: it was sent, and the connection or the time was lost. It may be applied, also later.
            NotLeader, Busy, ProposalDropped, DiskFull, NodeStopped, NoNodeReached: not taken, in all that time.
            PeerRefused: every node that can be reached refuses this caller.
            ValueTypeError, UnknownCommand, LimitExceeded: the call is wrong, or too large; not taken.
            LimitExceeded: of "response_bytes": applied, with a result that is too large to be told.
            Exception: whatever the class registered as a result.
        """
        shared = self._shared
        command = shared.method(method.__name__, is_command=True)
        request = Call(command.encode(args, kwargs))
        return cast("R", await shared.call(command, request, self._within, Effect.EACH_TIME))

    async def open_session(self, *, ttl: float | None = None) -> RemoteSession[T]:
        """Register a session through the log; its calls have the time that calls have here.

        Raises:
            OutcomeUnknown: nobody answered in time; what may have been opened expires by itself.
            NotLeader, Busy, ProposalDropped, DiskFull, NodeStopped, NoNodeReached: not opened.
            PeerRefused: every node that can be reached refuses this caller.
            LimitExceeded: `ttl` is longer than nodes allow.
            ConfigError: it is no time to live.
        """
        shared = self._shared
        ttl_us = ttl_in_us("ttl", shared.options.session_ttl if ttl is None else ttl)
        request = Open(ttl_us, shared.random.next_u64() | 1)
        answer = await shared.route.ask(request, self._within, Effect.ONCE)
        if type(answer.value) is not int:
            raise DecodeError("response", 2, "a session's id is no number")
        return RemoteSession(shared, answer.value, self._within)

    async def ask(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a query, strongly unless `reading` said otherwise.

        Raises:
            ReadTimeout: nobody could give that freshness in time.
            NotLeader, Busy, NodeStopped, NoNodeReached: no answer in all the time there was.
            LeaseNotHeld: reading(LEASE), and the leader holds none.
            PeerRefused: every node that can be reached refuses this caller.
            ValueTypeError, UnknownCommand, LimitExceeded: the query is wrong, or it or its result is too large.
            Exception: whatever the class registered.
        """
        return (await self.ask_fresh(method, *args, **kwargs))[0]

    async def ask_fresh(
        self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, Freshness]:
        """As `ask`, and how fresh the state was when the node that answered looked at it."""
        value, fresh = await self._query(self._read, method.__name__, None, args, kwargs)
        return cast("R", value), fresh

    async def poll(
        self, after: Index | None, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, Index]:
        """Call a query once something beyond `after` is applied, and how far the state was that it saw; None: now.

        A node that has nothing new after a few seconds answers as well, when it is as fresh as `reading` says: so who
        polls a node that is cut off is told, or sent to another. No state before `after` is ever seen, whoever answers.
        This is what `watch` and `observe` stand on (`raftly.node.structures`).

        Raises:
            ReadTimeout, NoNodeReached and the others of `ask`: nobody answered in the time of this caller, which
                begins when a poll that found nothing would have been answered. Polling again loses nothing.
        """
        read = STRONG if self._read.mode is Mode.LEASE else self._read  # no lease stays while nobody asks for it
        value, fresh = await self._query(read, method.__name__, after, args, kwargs)
        return cast("R", value), fresh.applied

    async def _query(
        self, read: Read, name: str, after: Index | None, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> tuple[object, Freshness]:
        query = self._shared.method(name, is_command=False)
        request = Query(read, query.name, query.bind(args, kwargs), after)
        anywhere = read.mode not in (Mode.STRONG, Mode.LEASE)
        answer = await self._shared.route.ask(request, self._within, Effect.NONE, anywhere=anywhere)
        if answer.freshness is None:
            raise DecodeError("response", 2, "a query was answered without its freshness")
        return query.conform_result(answer.value), answer.freshness

    # --- the group ---

    async def members(self) -> GroupStatus:
        """Members, addresses and leader, as the leader knows them; without one, as the node that answers does.

        Raises:
            ReadTimeout, NodeStopped, NoNodeReached, PeerRefused: as `ask`.
        """
        route = self._shared.route
        status = to_status(await route.ask(AskStatus(), self._within, Effect.NONE))
        route.learn(status, follow=True)
        if status.leader not in (status.by, NO_NODE):
            status = to_status(await route.ask(AskStatus(), self._within, Effect.NONE))
            route.learn(status, follow=True)
        return status

    async def add(self, id: NodeId, address: Address, *, voter: bool = True, force: bool = False) -> None:
        """Bring a node in; see `Changing.add`, also for what it raises besides what `call` does."""
        await self._administer("add", id, address, voter=voter, force=force)

    async def promote(self, id: NodeId, *, force: bool = False) -> None:
        """Make a learner a voter; see `Changing.promote`, also for what it raises besides what `call` does."""
        await self._administer("promote", id, force=force)

    async def remove(self, id: NodeId, *, force: bool = False) -> None:
        """Let a member go; see `Changing.remove`, also for what it raises besides what `call` does."""
        await self._administer("remove", id, force=force)

    async def replace(self, old: NodeId, new: NodeId, address: Address, *, force: bool = False) -> None:
        """Put a new node in the place of a member; see `Changing.replace`, also for what it raises besides."""
        await self._administer("replace", old, new, address, force=force)

    async def transfer_leader(self, to: NodeId) -> None:
        """Have another voter lead; see `HandingOver.transfer_leader`."""
        await self._administer("transfer_leader", to)

    async def _administer(self, name: str, *arguments: NodeId | Address, **flags: bool) -> None:
        """Ask the leader; all of these do only what is not done yet, so they may be asked for again."""
        request = Admin(name, arguments, flags)
        await self._shared.route.ask(request, self._shared.options.admin_timeout, Effect.ADMIN)

    # --- life ---

    @property
    def addresses(self) -> list[Address]:
        """Where nodes are, as far as this caller knows: of all members, then those that it was given."""
        return self._shared.route.addresses

    async def close(self) -> None:
        """End all connections, those of other views too."""
        await self._shared.route.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


@final
class RemoteSession(Generic[T]):
    """A caller that the group knows; made by `Remote.open_session`. Calls may overlap.

    It ends by `close`, or by itself when it made no call for its time to live, by log time.
    """

    __slots__ = ("_in_flight", "_next", "_shared", "id", "within")

    def __init__(self, shared: _Shared, id_: int, within: float) -> None:
        self.id = id_
        self.within = within
        """Seconds for each call."""
        self._shared = shared
        self._next = 1
        self._in_flight: dict[int, None] = {}  # numbers that wait for an answer, ascending

    async def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a command; applied exactly once, whoever leads meanwhile and however often it must be sent.

        Raises:
            OutcomeUnknown: no answer in time. Applied once or never; the next call of this session that is answered
                makes sure that it no longer can be, once no older one is in flight.
            SessionExpired: this session is no more; open another. Calls that were in flight have an unknown outcome.
            NotLeader, Busy, ProposalDropped, DiskFull, NodeStopped, NoNodeReached: not taken, in all that time.
            PeerRefused: every node that can be reached refuses this caller.
            ValueTypeError, UnknownCommand, LimitExceeded: as `Remote.call`.
            Exception: whatever the class registered as a result.
        """
        shared = self._shared
        command = shared.method(method.__name__, is_command=True)
        call = command.encode(args, kwargs)
        number = self._next
        self._next += 1
        self._in_flight[number] = None
        try:
            request = Call(call, self.id, number, next(iter(self._in_flight)))
            return cast("R", await shared.call(command, request, self.within, Effect.ONCE))
        finally:
            del self._in_flight[number]

    async def close(self) -> None:
        """Let the group forget this session; if that cannot be done now, it expires by itself."""
        with suppress(RaftlyError):
            await self._shared.route.ask(Close(self.id), self.within, Effect.ONCE)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
