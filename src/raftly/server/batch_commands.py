"""BatchCommands: many commands on one stream, each with an id; answers in any order, as many as are ready at once.

    requests ──► _read ──► Commands.begin, each on its own ──► _ready ──► one message for all that is ready

A slow command holds nothing up. A client that does not take its answers is not read from, past a bound.
Source: kvproto tikvpb; tikv/client-go internal/client/client_batch.go (what the other side relies on).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from functools import cache, partial
from typing import Any, Final, final

from raftly.proto import errorpb_pb2
from raftly.proto.tikvpb_pb2 import BatchCommandsRequest, BatchCommandsResponse
from raftly.rpc import RpcError, StatusCode, later
from raftly.server.commands import Command, Commands, Message, refusal

__all__ = ["BatchStream"]

_log: Final = logging.getLogger("raftly.server")
_UNANSWERED_MAX: Final = 4096  # on one stream; past it no more are begun until answers are taken
_READY_BYTES_MAX: Final = 32 << 20  # likewise; of those that were begun then, large answers become errors
_SMALL_BYTES: Final = 1 << 10  # an answer that is always given
_ANSWERS_MAX: Final = 256  # in one message
_ANSWERS_BYTES: Final = 1 << 20  # a message is full with so many, whatever its last answer added
_TURN_COMMANDS: Final = 64  # a message with so many has the turn of the loop to itself
_TURN_COMMANDS_MAX: Final = 256  # so many of one message are begun in one turn

_Request = BatchCommandsRequest.Request
_Response = BatchCommandsResponse.Response


@final
class BatchStream(AsyncIterator[BatchCommandsResponse]):
    """The answers to one stream of requests. `aclose` gives up what has not been answered."""

    def __init__(
        self,
        commands: Commands,
        slots: Mapping[str, Command],
        requests: AsyncIterator[BatchCommandsRequest],
        ready_bytes_max: int = _READY_BYTES_MAX,
    ) -> None:
        self._commands = commands
        self._slots = slots
        self._requests = requests
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Future[Message]] = set()
        self._ready: list[tuple[int, str, Message, int]] = []  # id, slot, answer and its size
        self._ready_bytes = 0
        self._ready_bytes_max = ready_bytes_max
        self._is_taking = False  # a message, the rest of which will be begun
        self._unanswered = 0  # those that are ready included
        self._is_over = False  # nothing more is read
        self._failure: Exception | None = None
        self._wake: asyncio.Future[None] | None = None  # of who waits for something to be ready
        self._room: asyncio.Future[None] | None = None  # of the reader, that waits for answers to be taken

    # --- answers -----------------------------------------------------------------------------------------------------

    async def __anext__(self) -> BatchCommandsResponse:
        if self._reader is None and not self._is_over:
            self._reader = self._loop.create_task(self._read())
        while not self._ready:
            if self._failure is not None:
                raise self._failure
            if self._is_over and not self._unanswered and not self._is_taking:
                raise StopAsyncIteration
            self._wake = self._loop.create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        taken = self._take()
        self._commands.counts.response_batch.observe(len(taken))
        message = BatchCommandsResponse(request_ids=[id_ for id_, _, _, _ in taken])
        for _, slot, response, _ in taken:
            answer = message.responses.add()
            if slot:
                getattr(answer, slot).CopyFrom(response)
        return message

    def _take(self) -> list[tuple[int, str, Message, int]]:
        """The answers of one message: what is ready, within bounds, but one at least."""
        count = size = 0
        for _, _, _, answer_bytes in self._ready:
            count += 1
            size += answer_bytes
            if count == _ANSWERS_MAX or size >= _ANSWERS_BYTES:
                break
        taken = self._ready[:count]
        del self._ready[:count]
        self._unanswered -= count
        self._ready_bytes -= size
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        return taken

    def drain(self) -> None:
        """Take no more requests; the stream ends when those that were taken have been answered."""
        self._is_over = True
        if self._reader is not None and not self._is_taking:
            self._reader.cancel()
        self._notify()

    async def aclose(self) -> None:
        """End now: the client is gone."""
        self._is_over = True
        tasks: set[asyncio.Future[Any]] = {*self._tasks} | ({self._reader} if self._reader is not None else set())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # --- requests ----------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            async for message in self._requests:
                ids = message.request_ids
                if len(ids) != len(message.requests):
                    problem = f"{len(message.requests)} requests with {len(ids)} ids"
                    raise RpcError(StatusCode.INVALID_ARGUMENT, problem)
                self._commands.counts.request_batch.observe(len(ids))
                self._is_taking = True
                count = 0
                for id_, request in zip(ids, message.requests, strict=True):
                    if count == _TURN_COMMANDS_MAX:
                        count = 0
                        await asyncio.sleep(0)
                        await self._wait_room()
                    count += 1
                    self._unanswered += 1
                    self._begin(id_, request)
                self._is_taking = False
                if self._is_over:
                    return
                if count >= _TURN_COMMANDS:
                    await asyncio.sleep(0)
                await self._wait_room()
        except Exception as error:  # noqa: BLE001 - it ends the stream, and is told to the client
            self._failure = error
        finally:
            self._is_over = True
            self._is_taking = False
            self._notify()

    async def _wait_room(self) -> None:
        while self._unanswered >= _UNANSWERED_MAX or self._ready_bytes >= self._ready_bytes_max:
            self._room = self._loop.create_future()
            await self._room

    def _begin(self, id_: int, request: _Request) -> None:
        slot = request.WhichOneof("cmd") or ""
        command = self._slots.get(slot)
        if command is None:
            answer = _failed(_twin(slot), f"{slot} is not served") if slot else None
            self._answer(id_, slot, answer)  # an unknown command has no answer but that there is none
            return
        on_done = partial(self._on_done, id_, command)
        try:
            begun = self._commands.begin(command, getattr(request, slot), None)
        except Exception as error:  # noqa: BLE001 - an outcome like any other
            on_done(None, error)
            return
        task = later.begin(self._loop, begun, on_done)
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _on_done(self, id_: int, command: Command, response: Message, error: BaseException | None) -> None:
        if error is not None:
            if isinstance(error, asyncio.CancelledError):
                return  # by aclose: nobody waits
            if isinstance(error, RpcError):
                text = error.message
            else:
                _log.error("command %s failed", command.slot, exc_info=error)
                text = "the handler failed"
            response = _failed(command.response, text)
        self._answer(id_, command.slot, response)

    def _answer(self, id_: int, slot: str, response: Message) -> None:
        size = response.ByteSize() if slot else 0
        if self._ready_bytes >= self._ready_bytes_max and size > _SMALL_BYTES:
            response = _failed(type(response), "the answers before this one are not taken")
            size = response.ByteSize()
        self._ready.append((id_, slot, response, size))
        self._ready_bytes += size
        self._notify()

    def _notify(self) -> None:
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)


def _failed(response: Message, text: str) -> Message:
    """The answer to a command that failed: only it, and not the stream, ends in an error."""
    told = refusal(response, text)
    if told is None and "region_error" in response.DESCRIPTOR.fields_by_name:
        told = response(region_error=errorpb_pb2.Error(message=text))
    return response() if told is None else told


@cache
def _twin(slot: str) -> Message:
    """The class of the answers to a command."""
    return type(getattr(_Response(), slot))
