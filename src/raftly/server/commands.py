"""Commands: what a store does for clients, each once, whether it comes as a call of its own or inside BatchCommands.

A read is answered at once if it can be, and is a coroutine if it waits. A write is decided at once, and its answer is
told in the turn that knows it: thousands that wait cost no task each, and no turn of the loop. What either raises
becomes the answer here, in one place:

    RegionError, OutcomeUnknown, DiskFull      the response with `region_error`
    InvalidRequest, LimitExceeded              the response with `error`; where it has none, INVALID_ARGUMENT
    DecodeError                                the call fails with DATA_LOSS
    anything else                              the call fails
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, TypeAlias, TypeVar, final

from raftly.base.region_errors import NotRegionLeader, RegionError, ServerIsBusy
from raftly.errors import DecodeError, DiskFull, LimitExceeded, OutcomeUnknown, RaftlyError
from raftly.rpc import Later, Method, RpcError, ServerCall, StatusCode
from raftly.rpc.later import Begun, settled
from raftly.server.metrics import CommandCounts, ServerCounts
from raftly.server.region_errors import error_message
from raftly.store.kv import KvBackend, RequestContext
from raftly.store.ops import Op

__all__ = ["Command", "Commands", "InvalidRequest", "Planner", "Reading", "Write", "refusal"]

Message: TypeAlias = Any  # a request or response whose type only its own command knows
Reading: TypeAlias = Callable[[Message, float], Begun]  # of a request and a deadline of the loop's time
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
        self._loop: asyncio.AbstractEventLoop | None = None  # that it runs on
        self._again: set[asyncio.Task[None]] = set()  # writes that a transfer of leadership refused

    def serve(self, command: Command, request: Message, call: ServerCall) -> Begun:
        """As `begin`, for a command that is a call of its own."""
        return self.begin(command, request, call.deadline, call.arrived)

    def begin(self, command: Command, request: Message, deadline: float | None, started: float | None = None) -> Begun:
        """The response to a request, or what leads to it; `started` is when it came, if that is known.

        It fails, here or later, with RpcError when the request is against the protocol, and with others when the store
        is in trouble.
        """
        if started is None:
            started = self._time()
        until = started + self._seconds_max
        if deadline is not None and deadline < until:
            until = deadline
        try:
            self._admit()
            if command.plan is not None:
                write = command.plan(request)
                if write.ops:
                    return self._submit(command, write, started, until)
                response = command.response()
            else:
                response = self._read(command, request, started, until)
                if type(response) is not command.response:
                    return response  # it waits, and ends by itself
        except Exception as error:  # noqa: BLE001 - all of them are sorted there
            self._end(command, started)
            return self._answer_to(command, error)
        self._end(command, started)
        return response

    def _read(self, command: Command, request: Message, started: float, until: float) -> Begun:
        read = command.read
        assert read is not None
        try:
            begun = read(request, until)
            if type(begun) is command.response:
                return begun
        except NotRegionLeader as error:
            if error.leader is not None:
                raise
            begun = error
        return self._finish(command, begun, lambda: settled(read(request, until)), started, until)

    def _submit(self, command: Command, write: Write, started: float, until: float) -> Begun:
        writing = _Writing(self, command, write, started, until)
        try:
            self._backend.submit(write.ctx, write.ops, until, writing)
        except NotRegionLeader as error:
            if error.leader is not None:
                raise
            return self._finish(command, error, lambda: self._write(command, write, until), started, until)
        return writing.answer

    async def _write(self, command: Command, write: Write, until: float) -> Message:
        results = await self._backend.write(write.ctx, write.ops, until)
        return command.response() if write.answer is None else write.answer(results)

    async def _finish(
        self,
        command: Command,
        begun: Awaitable[Message] | NotRegionLeader,
        again: Callable[[], Awaitable[Message]],
        started: float,
        until: float,
    ) -> Message:
        """The answer to what waits; where nobody is known to lead it tries again."""
        try:
            leaderless: NotRegionLeader
            if isinstance(begun, NotRegionLeader):
                leaderless = begun
            else:
                try:
                    return await begun
                except NotRegionLeader as error:
                    leaderless = error
            return await _until_led(leaderless, again, until)
        except Exception as failure:  # noqa: BLE001 - all of them are sorted there; compiled, a name has one type
            return self._answer_to(command, failure)
        finally:
            self._end(command, started)

    def on_written(self, writing: _Writing, results: list[object] | None, error: Exception | None) -> None:
        """A write has ended, whether anybody waits for it or not; or it did nothing, since a leader had to be found."""
        command, write, answer = writing.command, writing.write, writing.answer
        if isinstance(error, NotRegionLeader) and error.leader is None:
            task = asyncio.get_running_loop().create_task(self._write_again(writing, error))
            self._again.add(task)
            task.add_done_callback(self._again.discard)
            return
        self._end(command, writing.started)
        try:
            if error is not None:
                response = self._answer_to(command, error)
            else:
                response = command.response() if write.answer is None else write.answer(results or ())
        except Exception as failure:  # noqa: BLE001 - it is for who waits
            answer.set_exception(failure)
            return
        answer.set_result(response)

    async def _write_again(self, writing: _Writing, error: NotRegionLeader) -> None:
        command, until = writing.command, writing.until
        again = partial(self._write, command, writing.write, until)
        try:
            response = await self._finish(command, error, again, writing.started, until)
        except Exception as failure:  # noqa: BLE001 - it is for who waits
            writing.answer.set_exception(failure)
        else:
            writing.answer.set_result(response)

    # --- admission, and the end --------------------------------------------------------------------------------------

    def _admit(self) -> None:
        counts = self.counts
        counts.in_flight += 1
        if counts.in_flight > self._in_flight_max:
            raise ServerIsBusy(f"{self._in_flight_max} commands are in flight")

    def _end(self, command: Command, started: float) -> None:
        self.counts.in_flight -= 1
        command.counts.seconds.observe(self._time() - started)

    def _time(self) -> float:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        return loop.time()

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


@final
class _Writing:
    """A write under way, to whoever brings its results. See `Waiter`."""

    __slots__ = ("_commands", "_is_done", "answer", "command", "started", "until", "write")

    def __init__(self, commands: Commands, command: Command, write: Write, started: float, until: float) -> None:
        self._commands = commands
        self._is_done = False
        self.answer: Final[Later[Message]] = Later()
        self.command: Final = command
        self.write: Final = write
        self.started: Final = started
        self.until: Final = until

    def done(self) -> bool:
        """See `Waiter.done`."""
        return self._is_done

    def set_result(self, result: object, /) -> None:
        """See `Waiter.set_result`."""
        assert isinstance(result, list), "one result for each op"
        self._is_done = True
        self._commands.on_written(self, result, None)

    def set_exception(self, exception: Exception, /) -> None:
        """See `Waiter.set_exception`."""
        self._is_done = True
        self._commands.on_written(self, None, exception)


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
