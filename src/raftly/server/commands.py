"""Commands: what a store does for clients, each once, whether it comes as a call of its own or inside BatchCommands.

A read is a coroutine; a write is decided at once, and then is a future: thousands that wait cost no task each. What
either raises becomes the answer here, in one place:

    RegionError, OutcomeUnknown, DiskFull      the response with `region_error`
    InvalidRequest, LimitExceeded              the response with `error`; where it has none, INVALID_ARGUMENT
    DecodeError                                the call fails with DATA_LOSS
    anything else                              the call fails
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, TypeAlias, TypeVar, final

from raftly.base.region_errors import NotRegionLeader, RegionError, ServerIsBusy
from raftly.errors import DecodeError, DiskFull, LimitExceeded, OutcomeUnknown, RaftlyError
from raftly.rpc import Method, RpcError, StatusCode
from raftly.server.metrics import CommandCounts, ServerCounts
from raftly.server.region_errors import error_message
from raftly.store.kv import KvBackend, RequestContext
from raftly.store.ops import Op

__all__ = ["Command", "Commands", "InvalidRequest", "Planner", "Reading", "Write", "refusal"]

Message: TypeAlias = Any  # a request or response whose type only its own command knows
Reading: TypeAlias = Callable[[Message, float], Awaitable[Message]]  # of a request and a deadline of the loop's time
Planner: TypeAlias = "Callable[[Message], Write]"
T = TypeVar("T")

_LEADERLESS_S: Final = 0.5  # at most, that a command waits where nobody is known to lead its region
_LEADERLESS_PAUSE_S: Final = 0.02  # the first; each is twice the one before


@final
class InvalidRequest(RaftlyError):
    """A request that no state of the store can serve."""

    code: ClassVar[str] = "invalid_request"

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem: Final = problem

    def __str__(self) -> str:
        return self.problem


@final
class Write:
    """What is to be written, and where; without ops it is done already. `answer` makes the response of the results."""

    __slots__ = ("answer", "ctx", "ops")

    def __init__(
        self, ctx: RequestContext, ops: Sequence[Op], answer: Callable[[Sequence[object]], Message] | None = None
    ) -> None:
        self.ctx = ctx
        self.ops = ops
        self.answer = answer  # None: an empty one of the command's class


@final
@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a store does: it is read, or planned and then written."""

    slot: str  # its name in BatchCommands; empty: it is not there
    method: Method[Message, Message] | None  # None: it is no call of its own
    response: Message  # its class
    counts: CommandCounts
    read: Reading | None = None
    plan: Planner | None = None


def refusal(response: Message, text: str) -> Message:
    """The response, of this class, that carries `text` as its error; None where it has no place for it."""
    fields = response.DESCRIPTOR.fields_by_name
    if "error" in fields:
        kind = fields["error"].message_type
        return response(error=text if kind is None else {"abort": text})
    if "errors" in fields:
        return response(errors=[{"abort": text}])
    return None


@final
class Commands:
    """Runs commands: admission, metrics, and what becomes of errors.

    Past `in_flight_max` a command is answered ServerIsBusy. One without a deadline, or with one far off, gets
    `seconds_max`. A write is in flight until it has ended, whether anybody waits for it or not.
    """

    def __init__(
        self, backend: KvBackend, *, store_id: int = 0, in_flight_max: int = 10_000, seconds_max: float = 30.0
    ) -> None:
        self.counts: Final = ServerCounts()
        self._backend = backend
        self._store_id = store_id
        self._in_flight_max = in_flight_max
        self._seconds_max = seconds_max

    def begin(
        self, command: Command, request: Message, deadline: float | None
    ) -> Coroutine[Any, Any, Message] | asyncio.Future[Message]:
        """The response to a request, to be awaited or waited for.

        It fails with RpcError when the request is against the protocol, and with others when the store is in trouble.
        """
        return (
            self._write(command, request, deadline)
            if command.plan is not None
            else self._read(command, request, deadline)
        )

    async def _read(self, command: Command, request: Message, deadline: float | None) -> Message:
        assert command.read is not None
        started = asyncio.get_running_loop().time()
        deadline = self._deadline(started, deadline)
        try:
            self._admit()
            try:
                return await command.read(request, deadline)
            except NotRegionLeader as error:
                return await _until_led(error, partial(command.read, request, deadline), deadline)
        except Exception as error:  # noqa: BLE001 - all of them are sorted there
            return self._answer_to(command, error)
        finally:
            self._end(command, started)

    def _write(self, command: Command, request: Message, deadline: float | None) -> asyncio.Future[Message]:
        assert command.plan is not None
        loop = asyncio.get_running_loop()
        started = loop.time()
        answer: asyncio.Future[Message] = loop.create_future()
        try:
            self._admit()
            write = command.plan(request)
            results = self._results(write, self._deadline(started, deadline)) if write.ops else None
        except Exception as error:  # noqa: BLE001 - all of them are sorted there
            self._fail(command, answer, error)
            self._end(command, started)
            return answer
        if results is None:
            answer.set_result(command.response())
            self._end(command, started)
            return answer
        written = results if isinstance(results, asyncio.Future) else asyncio.ensure_future(results)
        on_written = partial(self._on_written, command, write, answer, started)
        if written.done():
            on_written(written)
        else:
            written.add_done_callback(on_written)
        return answer

    def _results(self, write: Write, deadline: float) -> Awaitable[list[object]]:
        try:
            return self._backend.write(write.ctx, write.ops, deadline)
        except NotRegionLeader as error:
            if error.leader is not None:
                raise
            return _until_led(error, partial(self._backend.write, write.ctx, write.ops, deadline), deadline)

    def _on_written(
        self,
        command: Command,
        write: Write,
        answer: asyncio.Future[Message],
        started: float,
        written: asyncio.Future[list[object]],
    ) -> None:
        self._end(command, started)
        error = OutcomeUnknown() if written.cancelled() else written.exception()
        if answer.done():  # cancelled: nobody waits
            return
        if error is not None:
            self._fail(command, answer, error)
            return
        try:
            answer.set_result(command.response() if write.answer is None else write.answer(written.result()))
        except Exception as failure:  # noqa: BLE001 - it is for who waits
            self._fail(command, answer, failure)

    # --- admission, and the end --------------------------------------------------------------------------------------

    def _admit(self) -> None:
        counts = self.counts
        counts.in_flight += 1
        if counts.in_flight > self._in_flight_max:
            raise ServerIsBusy(f"{self._in_flight_max} commands are in flight")

    def _deadline(self, now: float, deadline: float | None) -> float:
        latest = now + self._seconds_max
        return latest if deadline is None or deadline > latest else deadline

    def _end(self, command: Command, started: float) -> None:
        self.counts.in_flight -= 1
        command.counts.seconds.observe(asyncio.get_running_loop().time() - started)

    def _fail(self, command: Command, answer: asyncio.Future[Message], error: BaseException) -> None:
        try:
            answer.set_result(self._answer_to(command, error))
        except Exception as failure:  # noqa: BLE001 - it is for who waits
            answer.set_exception(failure)

    def _answer_to(self, command: Command, error: BaseException) -> Message:
        """The response that tells of an error; raises it, or what the caller is to hear, when none does."""
        if isinstance(error, RegionError | OutcomeUnknown | DiskFull):
            self.counts.on_region_error(error.code)
            if "region_error" not in command.response.DESCRIPTOR.fields_by_name:
                raise RpcError(StatusCode.UNAVAILABLE, str(error)) from error
            return command.response(region_error=error_message(error, self._store_id))
        if isinstance(error, InvalidRequest | LimitExceeded):
            response = refusal(command.response, str(error))
            if response is not None:
                return response
            raise RpcError(StatusCode.INVALID_ARGUMENT, str(error)) from error
        command.counts.failed += 1
        if isinstance(error, DecodeError):
            raise RpcError(StatusCode.DATA_LOSS, str(error)) from error
        raise error


async def _until_led(error: NotRegionLeader, again: Callable[[], Awaitable[T]], deadline: float) -> T:
    """Try again while nobody is known to lead: an election is short, and some clients give up after ten answers."""
    now = asyncio.get_running_loop().time
    pause_s = _LEADERLESS_PAUSE_S
    until = min(now() + _LEADERLESS_S, deadline)
    while error.leader is None and now() + pause_s < until:
        await asyncio.sleep(pause_s)
        pause_s *= 2
        try:
            return await again()
        except NotRegionLeader as later:
            error = later
    raise error
