"""Route: a caller's way to the node that can answer it, through changes of leader and broken connections.

It remembers who leads, follows what other nodes say of it, and asks each address in turn while nobody knows. Whoever it
connects to is asked for the members, so the addresses it was given at first need not stay right.

What may be sent again depends on its `Effect`: a query always, a call of a session always, because it is applied once;
a plain call only as long as it is certain that it was not taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, final

from raftly.base.rand import RandomSource
from raftly.errors import (
    ConfigError,
    DecodeError,
    DiskFull,
    OutcomeUnknown,
    PeerRefused,
    ProposalDropped,
    RaftlyError,
    RequestLost,
)
from raftly.node.deadlines import Deadlines
from raftly.node.errors import Busy, NodeStopped, NoNodeReached, ReadTimeout
from raftly.node.requests import (
    AskStatus,
    GroupStatus,
    NotLeading,
    Query,
    Request,
    Response,
    Value,
    decode_response,
    encode_request,
)
from raftly.node.shapes import checker
from raftly.transport.base import Channel, Dialer
from raftly.transport.dial import Backoff
from raftly.transport.options import Address

_TIMER_ERROR_S: Final = 1e-6  # loops round, and a timer may be so much early
_LEARN_S: Final = 2.0  # between two looks at who is a member
_HOPS_MAX: Final = 3  # hints that are followed in a row, without a pause
_FOR_GOOD: Final = {"CLUSTER", "CERTIFICATE", "VERSION", "FEATURES"}  # refusals that waiting does not end


class Effect(Enum):
    """What a request does when it is carried out more than once."""

    NONE = "none"  # it only reads
    ONCE = "once"  # the group takes it once, however often it comes
    EACH_TIME = "each time"
    ADMIN = "admin"  # it does what is not done yet, and takes its time


@final
@dataclass(frozen=True, slots=True)
class RouteOptions:
    """Seconds.

    Raises:
        ConfigError: a value is not above 0.
    """

    attempt_s: float = 1.0
    """After so long without an answer another node is tried, if that does no harm; longer each time."""
    poll_s: float = 8.0
    """So much longer a poll is waited for. A node answers it when half of its time is over, with news or without."""
    backoff_s_min: float = 0.02
    backoff_s_max: float = 0.25
    in_flight_max: int = 1024
    """Requests on one connection; more wait. Not above `client_in_flight_max` of the nodes."""

    def __post_init__(self) -> None:
        """Check the bounds."""
        for name in ("attempt_s", "poll_s", "backoff_s_min", "backoff_s_max", "in_flight_max"):
            if not getattr(self, name) > 0:
                raise ConfigError(name, f"is {getattr(self, name)}, it must be above 0")


@final
@dataclass(slots=True)
class _Trying:
    """One request on its way: what is known of its attempts."""

    deadline: float
    patience: float
    wait: float = 0.0  # so much longer an answer may take: that of a poll
    backoff: Backoff | None = None  # made when it is needed
    unknown: bool = False  # an attempt may have been carried out
    reached: bool = False  # an attempt was answered, or may have been
    hops: int = 0
    refused: PeerRefused | None = None  # a refusal that waiting does not end
    failed: set[Address] = field(default_factory=set)  # where no connection could be made
    error: Exception | None = None  # why the last attempt gave nothing


@final
class Route:
    """All connections of one caller. Runs on one event loop."""

    def __init__(
        self,
        dialer: Dialer,
        addresses: Sequence[Address],
        errors: Mapping[str, type[Exception]],
        options: RouteOptions,
        random: RandomSource,
    ) -> None:
        """Take the settings; nothing is opened before the first request.

        Raises:
            ConfigError: there are no addresses.
        """
        if not addresses:
            raise ConfigError("addresses", "are none, at least one is needed")
        self._dialer = dialer
        self._given = list(dict.fromkeys(addresses))
        self._addresses = list(self._given)
        self._errors = errors
        self._options = options
        self._random = random
        self._turn = random.below(len(addresses))  # of `_addresses`
        self._leader: Address | None = None
        self._channels: dict[Address, Channel] = {}
        self._dialing: dict[Address, asyncio.Task[Channel]] = {}
        self._deadlines = Deadlines()
        self._silent_until: dict[Address, float] = {}  # did not answer in time, so others are asked until then
        self._learning: set[asyncio.Task[None]] = set()
        self._learn_at = 0.0  # not before
        self._closed = False

    @property
    def addresses(self) -> list[Address]:
        """Where nodes are, as far as is known."""
        return list(self._addresses)

    async def ask(self, request: Request, within: float, effect: Effect, *, anywhere: bool = False) -> Value:
        """The answer to a request; of the leader, or of any node. A poll has `poll_s` seconds besides `within`.

        Raises:
            OutcomeUnknown: it may have been carried out, or may still be.
            ReadTimeout: no answer in time, to what only reads.
            NoNodeReached: no connection in time; nothing was sent.
            NotLeader, Busy, ProposalDropped, DiskFull, NodeStopped: not taken, and time ran out.
            PeerRefused: every node that can be reached refuses this caller.
            NodeStopped: this caller was closed.
            Exception: what the node answered.
        """
        loop = asyncio.get_running_loop()
        wait = self._options.poll_s if isinstance(request, Query) and request.after is not None else 0.0
        trying = _Trying(loop.time() + within + wait, self._options.attempt_s, wait)
        while True:
            address = self._pick(loop.time(), anywhere=anywhere)
            channel = self._channels.get(address)
            if channel is None or not channel.is_open:
                channel = await self._reach(address, trying)
            if channel is not None:
                response = await self._attempt(channel, address, request, trying, effect)
                if isinstance(response, Value):
                    if not anywhere:
                        self._leader = address
                    return response
                if response is not None:
                    await self._judge(response, address, trying, effect)
            if loop.time() >= trying.deadline - _TIMER_ERROR_S:
                raise self._end(trying, effect)

    def _end(self, trying: _Trying, effect: Effect) -> Exception:
        """Time is over."""
        if trying.unknown:
            unknown = OutcomeUnknown(f"no answer in time; it may still be carried out ({trying.error})")
            unknown.__cause__ = trying.error
            return unknown
        if effect is Effect.NONE and trying.reached:
            late = ReadTimeout(f"no answer in time ({trying.error})")
            late.__cause__ = trying.error
            return late
        return trying.error or NoNodeReached("there was no time to ask anybody")

    def _hopeless(self, trying: _Trying, error: RaftlyError) -> RaftlyError:
        """There is no point in another attempt."""
        return OutcomeUnknown(f"it may have been carried out; then: {error}") if trying.unknown else error

    # --- one attempt ---

    async def _attempt(
        self, channel: Channel, address: Address, request: Request, trying: _Trying, effect: Effect
    ) -> Response | None:
        """What the node says; None when it says nothing, and `trying` tells why."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if channel.in_flight >= self._options.in_flight_max:
            return Busy("requests_in_flight", channel.in_flight + 1, self._options.in_flight_max)
        patience = trying.deadline - now
        if effect in (Effect.NONE, Effect.ONCE):
            patience = min(patience, trying.patience + trying.wait)
        try:
            future = channel.request(encode_request(request, patience))
            self._deadlines.add(future, now + patience)
            try:
                data = await future
            finally:
                self._deadlines.drop(future)
            response = decode_response(data, self._errors)
        except RequestLost as lost:
            trying.unknown |= lost.sent and effect is not Effect.NONE
            trying.reached |= lost.sent
            self._lost(address, trying, lost)
        except TimeoutError as late:
            trying.unknown |= effect is not Effect.NONE
            trying.reached = True
            trying.error = late
            if channel.heard_at <= now and patience >= self._options.attempt_s:  # it answers nobody
                self._silent_until[address] = loop.time() + trying.patience
                self._lost(address, trying, late)
            trying.patience *= 2
        except DecodeError as garbled:
            channel.close()
            trying.unknown |= effect is not Effect.NONE
            trying.reached = True
            self._lost(address, trying, garbled)
        else:
            trying.reached = True
            if loop.time() >= self._learn_at:
                self._begin_to_learn(channel)
            return response
        if trying.unknown and effect is Effect.EACH_TIME:
            raise self._end(trying, effect)
        await self._pause(trying)
        return None

    async def _judge(self, response: Response, address: Address, trying: _Trying, effect: Effect) -> None:
        """Not a value: raise it, or make ready for the next attempt."""
        if isinstance(response, NotLeading):
            trying.error = response.error()
            hint = response.address
            now = asyncio.get_running_loop().time()
            if hint is None or hint == address or trying.hops >= _HOPS_MAX or self._is_silent(hint, now):
                self._avoid(address)
                trying.hops = 0
            else:
                trying.hops += 1
                self._leader = hint
                return
        elif isinstance(response, OutcomeUnknown) and effect is not Effect.EACH_TIME:
            trying.unknown |= effect is not Effect.NONE
            trying.error = response
        elif isinstance(response, NodeStopped) or (isinstance(response, ReadTimeout) and effect is Effect.NONE):
            trying.error = response
            self._avoid(address)  # it is cut off, perhaps
        elif isinstance(response, Busy | ProposalDropped | DiskFull):
            trying.error = response
        else:
            assert isinstance(response, Exception)
            raise response
        await self._pause(trying)

    def _lost(self, address: Address, trying: _Trying, error: Exception) -> None:
        host, port = address
        trying.error = NoNodeReached(f"{host}:{port}: {str(error) or type(error).__name__}")
        trying.error.__cause__ = error
        self._avoid(address)

    async def _pause(self, trying: _Trying) -> None:
        if trying.backoff is None:
            trying.backoff = Backoff(self._options.backoff_s_min, self._options.backoff_s_max, self._random)
        left = trying.deadline - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, min(trying.backoff.take(), left)))

    # --- who to ask ---

    def _pick(self, now: float, *, anywhere: bool) -> Address:
        """The leader, if it is wanted and known; else whose turn it is of those that were not silent lately."""
        if self._leader is not None and not anywhere and not self._is_silent(self._leader, now):
            return self._leader
        for _ in self._addresses:
            address = self._addresses[self._turn % len(self._addresses)]
            if not self._is_silent(address, now):
                return address
            self._turn += 1
        return self._addresses[self._turn % len(self._addresses)]

    def _is_silent(self, address: Address, now: float) -> bool:
        return now < self._silent_until.get(address, now)

    def _avoid(self, address: Address) -> None:
        """Ask somebody else next."""
        if self._leader == address:
            self._leader = None
        if self._addresses[self._turn % len(self._addresses)] == address:
            self._turn += 1

    async def _reach(self, address: Address, trying: _Trying) -> Channel | None:
        """A connection to the node at an address; None when there is none, and `trying` tells why."""
        if self._closed:
            raise self._hopeless(trying, NodeStopped("this caller was closed"))
        dialing = self._dialing.get(address)
        if dialing is None:
            dialing = self._dialing[address] = asyncio.get_running_loop().create_task(self._dial(address))
            dialing.add_done_callback(lambda task: self._on_dialed(address, task))
        left = trying.deadline - asyncio.get_running_loop().time()
        await asyncio.wait([dialing], timeout=max(0.0, min(left, trying.patience)))
        if not dialing.done():
            self._silent_until[address] = asyncio.get_running_loop().time() + trying.patience
            self._lost(address, trying, TimeoutError("it does not answer"))
            return None
        try:
            return dialing.result()
        except asyncio.CancelledError:
            raise self._hopeless(trying, NodeStopped("this caller was closed")) from None
        except PeerRefused as error:
            if error.reason in _FOR_GOOD:
                trying.refused = error
            self._lost(address, trying, error)
        except (OSError, UnicodeError, ConfigError) as error:
            self._lost(address, trying, error)
        trying.failed.add(address)
        if trying.refused is not None and trying.failed.issuperset(self._addresses):
            raise self._hopeless(trying, trying.refused)
        await self._pause(trying)
        return None

    async def _dial(self, address: Address) -> Channel:
        channel = self._channels[address] = await self._dialer.dial(address)
        self._begin_to_learn(channel)
        return channel

    def _on_dialed(self, address: Address, task: asyncio.Task[Channel]) -> None:
        self._dialing.pop(address, None)
        if not task.cancelled():
            task.exception()  # seen, also when nobody waits any more

    def _begin_to_learn(self, channel: Channel) -> None:
        """With every connection, and now and then: all members may be replaced while one of them goes on answering."""
        loop = asyncio.get_running_loop()
        self._learn_at = loop.time() + _LEARN_S
        learning = loop.create_task(self._learn(channel))
        self._learning.add(learning)
        learning.add_done_callback(self._learning.discard)

    async def _learn(self, channel: Channel) -> None:
        """Ask a node for the members."""
        with suppress(RaftlyError):
            response = decode_response(await channel.request(encode_request(AskStatus(), 0.0)), self._errors)
            if isinstance(response, Value):
                self.learn(to_status(response))

    def learn(self, status: GroupStatus, *, follow: bool = False) -> None:
        """Use what a node knows of the members; the addresses given at first stay as the last resort.

        With `follow`, the leader that it names is the one to ask, also when another was known.
        """
        found = {member.id: (member.host, member.port) for member in status.members if member.host and member.port}
        members = list(found.values())
        if members:
            next_ = self._addresses[self._turn % len(self._addresses)]
            first = members.index(next_) if next_ in members else self._random.below(len(members))
            members = members[first:] + members[:first]  # each has its turn before the last resort has
            self._turn = 0
        self._addresses = list(dict.fromkeys([*members, *self._given]))
        if follow or self._leader is None:
            self._leader = found.get(status.leader)

    async def close(self) -> None:
        """End all connections. Who waits is told."""
        self._closed = True
        tasks = [*self._dialing.values(), *self._learning]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self._dialer.close()


def to_status(response: Value) -> GroupStatus:
    """What a status request was answered with.

    Raises:
        ValueTypeError: it is something else.
    """
    status: GroupStatus = checker(GroupStatus)(response.value)
    return status
