"""Commands: what a store does for clients, each once, whether it comes as a call of its own or inside BatchCommands.

A handler takes a request and a deadline of the loop's time, and returns the response or raises. What it raises becomes
the answer here, in one place:

    RegionError, OutcomeUnknown, DiskFull      the response with `region_error`
    InvalidRequest, LimitExceeded              the response with `error`; where it has none, INVALID_ARGUMENT
    DecodeError                                the call fails with DATA_LOSS
    anything else                              the call fails
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias, final

from raftly.base.region_errors import RegionError, ServerIsBusy
from raftly.errors import DecodeError, DiskFull, LimitExceeded, OutcomeUnknown, RaftlyError
from raftly.rpc import Method, RpcError, StatusCode
from raftly.server.metrics import CommandCounts, ServerCounts
from raftly.server.region_errors import error_message

__all__ = ["Command", "Commands", "Handler", "InvalidRequest", "refusal"]

Message: TypeAlias = Any  # a request or response whose type only its own command knows
Handler: TypeAlias = Callable[[Message, float], Awaitable[Message]]


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
@dataclass(frozen=True, slots=True)
class Command:
    """One thing that a store does."""

    slot: str  # its name in BatchCommands; empty: it is not there
    method: Method[Message, Message] | None  # None: it is no call of its own
    response: Message  # its class
    handler: Handler
    counts: CommandCounts


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
    `seconds_max`.
    """

    def __init__(self, *, store_id: int = 0, in_flight_max: int = 10_000, seconds_max: float = 30.0) -> None:
        self.counts: Final = ServerCounts()
        self._store_id = store_id
        self._in_flight_max = in_flight_max
        self._seconds_max = seconds_max

    async def run(self, command: Command, request: Message, deadline: float | None) -> Message:
        """The response to a request.

        Raises:
            RpcError: the request is against the protocol.
            RaftlyError: the store itself is in trouble.
        """
        counts = self.counts
        now = asyncio.get_running_loop().time
        started = now()
        latest = started + self._seconds_max
        try:
            counts.in_flight += 1
            if counts.in_flight > self._in_flight_max:
                raise ServerIsBusy(f"{self._in_flight_max} commands are in flight")
            return await command.handler(request, latest if deadline is None or deadline > latest else deadline)
        except (RegionError, OutcomeUnknown, DiskFull) as error:
            counts.on_region_error(error.code)
            return command.response(region_error=error_message(error, self._store_id))
        except (InvalidRequest, LimitExceeded) as error:
            response = refusal(command.response, str(error))
            if response is None:
                raise RpcError(StatusCode.INVALID_ARGUMENT, str(error)) from error
            return response
        except DecodeError as error:
            command.counts.failed += 1
            raise RpcError(StatusCode.DATA_LOSS, str(error)) from error
        except BaseException:
            command.counts.failed += 1
            raise
        finally:
            counts.in_flight -= 1
            command.counts.seconds.observe(now() - started)
