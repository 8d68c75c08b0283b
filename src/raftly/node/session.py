"""Sessions: calls that are offered again until they are answered, and applied exactly once.

A call has a number in its session. It is offered to whoever leads, again after an election time-out and whenever a
leader appears; the machine applies it once and answers it every time, at every replica, so the replica that the caller
sits on sees the answer go by in the log. A call that ran out of time has an unknown outcome; once the session has
no older call in flight, its next call makes sure that it can no longer be applied.

Source: Raft thesis §6.3.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Concatenate, Generic, ParamSpec, TypeAlias, TypeVar, cast, final

from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.node.commands import call_key, call_payload, close_payload
from raftly.node.intake import Make
from raftly.node.machine import StateMachine
from raftly.node.state import same_error

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")

Key: TypeAlias = tuple[int, int]  # (session, number)


@final
class _Call:
    __slots__ = ("deadline", "future", "make", "offer_at")

    def __init__(self, make: Make, future: asyncio.Future[object], deadline: float) -> None:
        self.make = make
        self.future = future
        self.deadline = deadline
        self.offer_at = 0.0  # again


@final
class Calls:
    """The calls of all sessions at one replica that wait for an answer."""

    __slots__ = ("_offer", "_on_failed", "_retry", "_stamp", "waiting")

    def __init__(
        self,
        offer: Callable[[bytes], None],
        retry: float,
        stamp: Callable[[], int],
        on_failed: Callable[[str], None],
    ) -> None:
        self._offer = offer
        self._retry = retry
        self._stamp = stamp
        self._on_failed = on_failed  # told the code of the error that a call ended in
        self.waiting: dict[Key, _Call] = {}

    async def make(self, key: Key, make: Make, within: float) -> object:
        """Offer until it is answered; the answer.

        Raises:
            OutcomeUnknown: no answer in time.
            Exception: the answer, when it is one.
        """
        loop = asyncio.get_running_loop()
        call = self.waiting[key] = _Call(make, loop.create_future(), loop.time() + within)
        try:
            self._offer_again(call, loop.time())
            result = await call.future
        except RaftlyError as error:
            self._on_failed(error.code)
            raise
        finally:
            self.waiting.pop(key, None)
        if isinstance(result, Exception):
            raise same_error(result)  # what the session keeps is state
        return result

    def tell(self, make: Make) -> None:
        """Offer once; nobody waits."""
        self._offer(make(self._stamp()))

    def _offer_again(self, call: _Call, now: float) -> None:
        call.offer_at = now + self._retry
        self._offer(call.make(self._stamp()))

    def answer(self, payload: bytes, result: object) -> None:
        """An entry was applied; perhaps somebody waits for it here."""
        call = self.waiting.get(call_key(payload))
        if call is not None and not call.future.done():
            call.future.set_result(result)

    def offer_all(self, now: float) -> None:
        """A leader appeared: what was offered before it may be lost."""
        for call in self.waiting.values():
            if not call.future.done():
                self._offer_again(call, now)

    def on_tick(self, now: float) -> None:
        """End what waited too long, offer again what may be lost."""
        for call in self.waiting.values():
            if call.future.done():
                continue
            if now >= call.deadline:
                call.future.set_exception(OutcomeUnknown("no answer in time; the call may still be applied"))
            elif now >= call.offer_at:
                self._offer_again(call, now)

    def give_up(self, error: Exception) -> None:
        """Nobody will answer any more."""
        for call in self.waiting.values():
            if not call.future.done():
                call.future.set_exception(error)


@final
class Session(Generic[T]):
    """A caller that the machine knows; made by `Replicated.open_session`. Calls may overlap.

    It ends by `close`, or by itself when it made no call for its time to live, by log time.
    """

    __slots__ = ("_admit", "_calls", "_in_flight", "_machine", "_next", "id", "within")

    def __init__(
        self, id_: int, machine: StateMachine[T], calls: Calls, admit: Callable[[], None], within: float
    ) -> None:
        self.id = id_
        self.within = within
        """Seconds for each call."""
        self._machine = machine
        self._calls = calls
        self._admit = admit
        self._next = 1
        self._in_flight: dict[int, None] = {}  # numbers that wait for an answer, ascending

    async def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a command; it is applied exactly once, whoever leads meanwhile. Any node will do.

        Raises:
            OutcomeUnknown: no answer in time. Applied once or never.
            SessionExpired: this session is no more; open another. Calls that were in flight have an unknown outcome.
            Busy: too many calls are in flight; not taken.
            NodeStopped, NotLeader: this node stops, the latter names another; not taken.
            ValueTypeError: an argument is not of its type; not taken.
            Exception: whatever the class registered as a result.
        """
        call = self._machine.encode(method.__name__, args, kwargs)
        self._admit()
        number = self._next
        self._next += 1
        self._in_flight[number] = None
        try:
            result = await self._calls.make((self.id, number), self._maker(number, call), self.within)
        finally:
            del self._in_flight[number]
        return cast("R", self._machine.detach(method.__name__, result))  # as above

    def _maker(self, number: int, call: bytes) -> Make:
        def make(stamp_us: int) -> bytes:
            # The oldest that is still waited for, as of this offer.
            return call_payload(stamp_us, self.id, number, next(iter(self._in_flight), number), call)

        return make

    def close(self) -> None:
        """Let the machine forget this session; without waiting, since it would expire anyway."""
        self._calls.tell(lambda stamp_us: close_payload(stamp_us, self.id))
