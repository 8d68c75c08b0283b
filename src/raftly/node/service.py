"""Service: what a node does with the requests of callers elsewhere.

    transport.serve(Service(node))

Commands go to the leader: any other node names it, and where it is, and the caller goes there. What callers send is
looked at before it is proposed, so that nothing enters the log at which replicas would stop; what is wrong with a
request is its answer. All requests of one turn are proposed together, all that is applied in one turn is answered
together, and a command costs no task: its proposal's waiter writes the response.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, final

from raftly.base.types import NO_NODE, Index, NodeId
from raftly.errors import LimitExceeded, NotLeader, RaftlyError
from raftly.node.commands import call_payload, close_payload, open_payload
from raftly.node.errors import Busy, NodeStopped, ReadTimeout, RemoteFailed, UnknownCommand, ValueTypeError
from raftly.node.intake import Make
from raftly.node.reads import STRONG, Freshness, Mode, Proof
from raftly.node.replicated import Replicated
from raftly.node.requests import (
    Admin,
    AskStatus,
    Call,
    Close,
    GroupStatus,
    MemberStatus,
    Open,
    Query,
    Request,
    decode_request,
    encode_not_leader,
    encode_raised,
    encode_read,
    encode_refused,
    encode_result,
)
from raftly.transport.base import Caller
from raftly.transport.exchange import Item
from raftly.transport.options import Address

ADMIN: Final = frozenset({"add", "remove", "promote", "replace", "transfer_leader"})
FLAGS: Final = frozenset({"force", "voter"})
_WITHIN_MIN_S: Final = 0.001


@final
@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """What callers elsewhere may make a group hold."""

    sessions: int = 100_000
    session_ttl: float = 86_400.0
    """Seconds."""
    replies: int = 4096
    """Of one session, kept until its caller says that it has them."""
    polls: int = 256
    """That wait at the same time for one connection."""
    poll_s: float = 30.0
    """No poll waits longer. Seconds."""


@final
class Service:
    """The `RequestHandler` of a node. `address_of` tells where a member is, as long as the members do not know it."""

    def __init__(
        self,
        node: Replicated[Any],
        *,
        address_of: Callable[[NodeId], Address | None] | None = None,
        limits: ServiceLimits | None = None,
    ) -> None:
        self._node = node
        self._given = address_of
        self._limits = limits or ServiceLimits()
        errors = getattr(type(node.machine.instance), "errors", ())
        self._registered: dict[type[BaseException], str] = {error: error.__qualname__ for error in errors}
        self._tasks: set[asyncio.Task[None]] = set()
        self._polls: dict[Caller, int] = {}  # how many wait

    # --- requests ---

    def on_requests(self, caller: Caller, items: list[Item]) -> None:
        """See `RequestHandler.on_requests`."""
        for id_, data in items:
            try:
                within, request = decode_request(data)
                self._take(caller, id_, max(within, _WITHIN_MIN_S), request)
            except Exception as error:  # noqa: BLE001 - whatever a request sets off is its answer, not this node's end
                self.refuse(caller, id_, error)

    def on_excess(self, caller: Caller, items: list[Item]) -> None:
        """See `RequestHandler.on_excess`."""
        bound = caller.in_flight_max
        answer = encode_refused(Busy("requests_in_flight", bound + 1, bound))
        for id_, _ in items:
            caller.respond(id_, answer)

    def _take(self, caller: Caller, id_: int, within: float, request: Request) -> None:
        if isinstance(request, Call):
            self._call(caller, id_, within, request)
        elif isinstance(request, Query) and request.after is not None:
            self._spawn(caller, id_, partial(self._poll, caller, id_, within, request, request.after))
        elif isinstance(request, Query):
            fresh = self._node.fresh_nowait() if request.read is STRONG or request.read == STRONG else None
            if fresh is not None:
                self._answer_query(caller, id_, request, fresh)
            else:
                self._spawn(caller, id_, partial(self._query, caller, id_, within, request))
        elif isinstance(request, Open):
            self._open(caller, id_, within, request)
        elif isinstance(request, Close):
            session = request.session
            self._submit(caller, id_, within, lambda stamp_us: close_payload(stamp_us, session))
        elif isinstance(request, AskStatus):
            caller.respond(id_, encode_result(self.status()))
        else:
            self._spawn(caller, id_, partial(self._admin, caller, id_, within, request))

    def _submit(self, caller: Caller, id_: int, within: float, make: Make) -> None:
        self._node.submit(make, _Reply(self, caller, id_), min(within, self._node.config.call_timeout))

    def _call(self, caller: Caller, id_: int, within: float, request: Call) -> None:
        call, session, number, done_below = request.call, request.session, request.number, request.done_below
        machine = self._node.machine
        machine.check_call(call)
        if session:
            known = machine.sessions.get(session)
            if known is not None and len(known.replies) >= self._limits.replies and number not in known.replies:
                kept = [reply for reply in known.replies if reply >= done_below]
                if len(kept) >= self._limits.replies:
                    raise Busy("replies_kept", len(kept) + 1, self._limits.replies)
        self._submit(caller, id_, within, lambda stamp: call_payload(stamp, session, number, done_below, call))

    def _open(self, caller: Caller, id_: int, within: float, request: Open) -> None:
        limits = self._limits
        count = len(self._node.machine.sessions)
        if count >= limits.sessions:
            raise Busy("sessions", count + 1, limits.sessions)
        if not 0 < request.ttl_us <= limits.session_ttl * 1e6:
            raise LimitExceeded("session_ttl_us", request.ttl_us, int(limits.session_ttl * 1e6))
        self._submit(caller, id_, within, lambda stamp_us: open_payload(stamp_us, request.ttl_us, request.nonce))

    async def _query(self, caller: Caller, id_: int, within: float, request: Query) -> None:
        self._answer_query(caller, id_, request, await self._node.fresh(request.read, within=within))

    async def _poll(self, caller: Caller, id_: int, within: float, request: Query, after: Index) -> None:
        """What the query gives once something beyond `after` is applied; or as fresh as it asks for, if nothing comes.

        Never of a state before `after`, so that who polls one node after the other does not go back in time. What is
        applied can never be undone, so news need no proof; that there are none does.
        """
        node = self._node
        is_leaders = request.read.mode in (Mode.STRONG, Mode.LEASE)
        leadership = node.leadership().value
        if is_leaders and not leadership.is_self:
            raise NotLeader(leadership.leader)
        waiting = self._polls.get(caller, 0) + 1
        if waiting > self._limits.polls:
            raise Busy("polls_waiting", waiting, self._limits.polls)
        self._polls[caller] = waiting
        try:
            await self._wait_news(after, min(within / 2, self._limits.poll_s))
        finally:
            self._polls[caller] -= 1
            if not self._polls[caller]:
                del self._polls[caller]
        if node.failure is not None:
            raise node.failure
        fresh = Freshness(Proof.NONE, node.machine.applied, None)
        if fresh.applied <= after:
            fresh = await node.fresh(STRONG if is_leaders else request.read, within=within / 4)
        if fresh.applied < after:
            raise ReadTimeout(f"entries up to {fresh.applied} are applied here, entry {after} is not")
        self._answer_query(caller, id_, request, fresh)

    async def _wait_news(self, after: Index, patience: float) -> None:
        """Until something beyond `after` is applied, another leads, or time is over."""
        leadership = self._node.leadership()
        loop = asyncio.get_running_loop()
        news = loop.create_task(self._node.next_change(after))
        election = loop.create_task(leadership.wait_change(leadership.version))
        try:
            await asyncio.wait([news, election], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if news.done():
                news.result()
        finally:
            news.cancel()
            election.cancel()

    def _answer_query(self, caller: Caller, id_: int, request: Query, fresh: Freshness) -> None:
        try:
            result = self._node.machine.query(request.name, request.arguments, {})
        except TypeError as error:
            raise ValueTypeError(f"{request.name}: {error}") from error
        self._respond(caller, id_, encode_read(fresh, result))

    # --- the group ---

    def status(self) -> GroupStatus:
        """The group as this node knows it.

        Raises:
            RaftlyError: it knows nothing any more.
        """
        node = self._node
        if node.failure is not None:
            raise node.failure
        status = node.status()
        members: list[MemberStatus] = []
        for member in node.member_list():
            host, port = member.address or self._address_of(member.id) or ("", 0)
            members.append(MemberStatus(member.id, member.role.value, host, port))
        basic = status.basic
        leader, term = basic.soft_state.leader, basic.hard_state.term
        return GroupStatus(node.config.id, leader, term, node.machine.applied, members)

    def _address_of(self, id_: NodeId) -> Address | None:
        for member in self._node.member_list():
            if member.id == id_ and member.address is not None:
                return member.address
        return None if self._given is None else self._given(id_)

    async def _admin(self, caller: Caller, id_: int, within: float, request: Admin) -> None:
        method: Callable[..., Awaitable[object]] | None = None
        if request.name in ADMIN:
            method = getattr(self._node, request.name, None)
        if method is None:
            raise UnknownCommand(f"there is nothing to administer that is called {request.name}")
        for argument in request.arguments:
            if not _is_id(argument) and not _is_address(argument):
                raise ValueTypeError(f"{request.name} takes ids of nodes and addresses, not {type(argument).__name__}")
        if not request.flags.keys() <= FLAGS:
            raise ValueTypeError(f"{request.name} has no flags {sorted(request.flags)}")
        try:
            await method(*request.arguments, **request.flags, within=within)
        except TypeError as error:
            raise ValueTypeError(f"{request.name}: {error}") from error
        self._respond(caller, id_, encode_result(None))

    # --- responses ---

    def _spawn(self, caller: Caller, id_: int, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            try:
                await work()  # made here: a task that is cancelled before it begins would leave it behind
            except Exception as error:  # noqa: BLE001 - as in `on_requests`
                self.refuse(caller, id_, error)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def answer(self, caller: Caller, id_: int, result: object) -> None:
        """What an entry gave: a value, or an exception."""
        if isinstance(result, Exception):
            self.refuse(caller, id_, result)
            return
        try:
            self._respond(caller, id_, encode_result(result))
        except Exception as error:  # noqa: BLE001 - as in `on_requests`; a round of the driver runs this
            self.refuse(caller, id_, error)

    def _respond(self, caller: Caller, id_: int, data: bytes) -> None:
        if len(data) > caller.response_bytes_max:
            raise LimitExceeded("response_bytes", len(data), caller.response_bytes_max)
        caller.respond(id_, data)

    def refuse(self, caller: Caller, id_: int, error: Exception) -> None:
        """Answer with an error."""
        caller.respond(id_, self._encode_error(caller, error))

    def _encode_error(self, caller: Caller, error: Exception) -> bytes:
        name = self._registered.get(type(error))
        if name is not None:
            try:
                data = encode_raised(name, error)
            except RaftlyError as problem:
                error = problem
            else:
                if len(data) <= caller.response_bytes_max:
                    return data
                error = LimitExceeded("response_bytes", len(data), caller.response_bytes_max)
        if isinstance(error, NotLeader):
            leader = error.leader_id
            return encode_not_leader(leader, self._address_of(leader) if leader != NO_NODE else None)
        if not isinstance(error, RaftlyError):
            error = RemoteFailed(f"{type(self._node.machine.instance).__qualname__}: {_describe(error)}")
        elif error is self._node.failure and not isinstance(error, NodeStopped):
            error = NodeStopped(f"this node failed: {error}")
        return encode_refused(error)


@final
class _Reply:
    """Waits for the result of a proposal in the place of a future."""

    __slots__ = ("_answered", "_caller", "_id", "_service")

    def __init__(self, service: Service, caller: Caller, id_: int) -> None:
        self._service = service
        self._caller = caller
        self._id = id_
        self._answered = False

    def done(self) -> bool:
        """See `Waiter.done`."""
        return self._answered

    def set_result(self, result: object, /) -> None:
        """See `Waiter.set_result`."""
        self._answered = True
        self._service.answer(self._caller, self._id, result)

    def set_exception(self, exception: Exception, /) -> None:
        """See `Waiter.set_exception`."""
        self._answered = True
        self._service.refuse(self._caller, self._id, exception)


def _describe(error: Exception) -> str:
    try:
        return repr(error)
    except Exception:  # noqa: BLE001 - the user's class has a __repr__, and what it raises is no business of callers
        return type(error).__qualname__


def _is_id(argument: object) -> bool:
    return type(argument) is int and NO_NODE < argument < 1 << 64


def _is_address(argument: object) -> bool:
    return type(argument) is tuple and len(argument) == 2 and type(argument[0]) is str and type(argument[1]) is int
