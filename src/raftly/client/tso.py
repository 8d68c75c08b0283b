"""Timestamps from the placement driver: requests that come while one is under way go together in the next.

caller   take(1)  take(1) take(5)
stream   ──▶ count 1 ──▶ count 6 ──▶       one answer for each, whose logical part is the last of its batch
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from raftly.client.backoff import Backoff, Cause, Draw
from raftly.client.errors import ClientClosed, NotDone, PlacementRefused
from raftly.errors import ConfigError, RaftlyError
from raftly.proto import pdpb_pb2
from raftly.rpc import ClientCall, RpcError, StatusCode

__all__ = ["LOGICAL_BITS", "Timestamps"]

LOGICAL_BITS: Final = 18
COUNT_MAX: Final = 10_000  # of one request
ANSWER_S: Final = 2.0

_Stream: TypeAlias = ClientCall[pdpb_pb2.TsoRequest, pdpb_pb2.TsoResponse]
_Open: TypeAlias = Callable[[], Awaitable[tuple[_Stream, int]]]


@final
@dataclass(slots=True, eq=False)
class _Asked:
    count: int
    answer: asyncio.Future[int]


@final
class Timestamps:
    """One stream, made again when it is lost; `open_stream` gives it, with the cluster's id.

    `on_lost` hears of each loss: who was asked may lead no longer.
    """

    def __init__(self, open_stream: _Open, on_lost: Callable[[], None], draw: Draw) -> None:
        self._open = open_stream
        self._on_lost = on_lost
        self._draw = draw
        self._waiting: deque[_Asked] = deque()
        self._somebody = asyncio.Event()  # waits
        self._work: asyncio.Task[None] | None = None
        self._last = 0  # the highest timestamp that was ever given
        self._closed = False

    async def take(self, count: int, timeout_s: float) -> int:
        """The last of `count` consecutive timestamps.

        Raises:
            ConfigError: a count that no request may have.
            NotDone: the time is over.
            PlacementRefused: the driver answers with an error, or with timestamps that it gave before.
            ClientClosed: no more are asked for.
        """
        if not 1 <= count <= COUNT_MAX:
            raise ConfigError("count", f"must lie between 1 and {COUNT_MAX}, and is {count}")
        if self._closed:
            raise ClientClosed
        loop = asyncio.get_running_loop()
        asked = _Asked(count, loop.create_future())
        self._waiting.append(asked)
        self._somebody.set()
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._serve())
        try:
            async with asyncio.timeout(timeout_s):
                return await asked.answer
        except TimeoutError:
            raise NotDone("a timestamp", "the placement driver gave none") from None
        finally:
            if asked.answer.cancelled():
                self._forget(asked)

    async def close(self) -> None:
        """End the stream; whoever waits gets ClientClosed."""
        self._closed = True
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)
        self._fail(ClientClosed())

    async def _serve(self) -> None:
        """Answer whoever asks, over as many streams as it takes; one that breaks costs its batch a second attempt.

        Ends when nobody waits after a failure, and with an error that all who waited were told: `take` begins it again.
        """
        backoff = Backoff(float("inf"), self._draw)
        while True:
            try:
                stream, cluster_id = await self._open()
                async with stream:
                    while True:
                        await self._answer(stream, cluster_id, await self._next())
                        backoff = Backoff(float("inf"), self._draw)
            except (RpcError, TimeoutError, NotDone):
                self._on_lost()
                await asyncio.sleep(backoff.pause(Cause.PLACEMENT, 0.0) or 0.0)
                if not self._waiting:
                    return
            except RaftlyError as error:
                self._on_lost()
                self._fail(error)
                return

    async def _next(self) -> list[_Asked]:
        """Who asks, as many as fit in one request; waits for the first."""
        batch: list[_Asked] = []
        count = 0
        while not batch:
            await self._somebody.wait()
            while self._waiting and count + self._waiting[0].count <= COUNT_MAX:
                asked = self._waiting.popleft()
                if not asked.answer.done():  # else it has given up
                    batch.append(asked)
                    count += asked.count
            if not self._waiting:
                self._somebody.clear()
        return batch

    async def _answer(self, stream: _Stream, cluster_id: int, batch: list[_Asked]) -> None:
        count = sum(asked.count for asked in batch)
        try:
            request = pdpb_pb2.TsoRequest(header=pdpb_pb2.RequestHeader(cluster_id=cluster_id), count=count)
            await stream.send(request)
            async with asyncio.timeout(ANSWER_S):
                response = await stream.recv()
            last = self._checked(response, count)
        except BaseException:
            # Whatever it was, a cancellation too: nobody was answered yet, and whoever handles it, the next stream, an
            # error for all, or `close`, finds those who wait in the queue. Timestamps that were lost are never given.
            self._waiting.extendleft(asked for asked in reversed(batch) if not asked.answer.done())
            self._somebody.set()
            raise
        given = last - count
        for asked in batch:
            given += asked.count
            if not asked.answer.done():
                asked.answer.set_result(given)

    def _checked(self, response: pdpb_pb2.TsoResponse | None, count: int) -> int:
        """The last timestamp of an answer."""
        if response is None:
            raise RpcError(StatusCode.UNAVAILABLE, "the stream of timestamps ended")
        header = response.header
        if header.HasField("error") and header.error.type != pdpb_pb2.ErrorType.OK:
            raise PlacementRefused(pdpb_pb2.ErrorType.Name(header.error.type), header.error.message)
        if response.count != count or not response.HasField("timestamp"):
            raise RpcError(StatusCode.INTERNAL, "the answer is not to the question: another count, or no timestamp")
        last = (response.timestamp.physical << LOGICAL_BITS) + response.timestamp.logical
        if last - count < self._last:
            raise PlacementRefused("TIMESTAMPS", f"{last - count + 1} is not above {self._last}, which it gave before")
        self._last = last
        return last

    def _forget(self, asked: _Asked) -> None:
        """It has given up; it may be part of a batch that was sent, and wait no longer here."""
        with suppress(ValueError):
            self._waiting.remove(asked)

    def _fail(self, error: RaftlyError) -> None:
        """Tell all who wait."""
        for asked in self._waiting:
            if not asked.answer.done():
                asked.answer.set_exception(error)
        self._waiting.clear()
        self._somebody.clear()
