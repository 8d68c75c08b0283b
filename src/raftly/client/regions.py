"""Regions: one request to one region, tried wherever it may be served until it is done or its time is over.

key ─▶ cache, else placement driver ─▶ leader's store ─▶ answer
         ▲                                   │ region error, lost link
         └── what is learned from it ◀───────┘ pause by its cause
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, TypeVar, final

from raftly.base.region import StoreId
from raftly.base.region_errors import RegionError, ServerIsBusy, StoreNotMatch
from raftly.client.backoff import Backoff, Cause
from raftly.client.channels import Channels
from raftly.client.errors import ClientClosed, NotDone, PlacementRefused, RequestRefused, UndeterminedResult
from raftly.client.kind import Kind
from raftly.client.pd import REFUSALS, PdClient, PlacedRegion
from raftly.client.region_cache import RegionCache, Route
from raftly.client.wire import epoch_message, peer_message, region_error_of
from raftly.errors import ConfigError, DecodeError, OutcomeUnknown, RaftlyError, Retry
from raftly.proto import errorpb_pb2, kvrpcpb_pb2
from raftly.rpc import ClientTls, Limits, Method, RpcError, StatusCode

__all__ = ["TOP", "Attempt", "ClientOptions", "Kind", "Regions", "TooMuchError"]

TOP: Final = b"\xff" * 8193  # above every key that a store takes
_LEAST_S: Final = 0.005  # for an attempt; one that is cut short says only that its outcome is unknown
_LOOK_UP_S: Final = 0.5  # for the address of a store that may have moved

ANSWER_BYTES_MAX: Final = 64 << 20
TOO_LARGE: Final = ("message of ", "Received message larger than max")
"""How a server that has not looked at a request begins to say that it is too large: ours, and gRPC's C core."""
MISSING: Final = frozenset({"REGION_NOT_FOUND", "NOT_BOOTSTRAPPED", "REGIONS_NOT_CONTAIN_ALL_KEY_RANGE"})


@final
@dataclass(frozen=True, slots=True)
class ClientOptions:
    """What may be chosen. Times in seconds, sizes in bytes."""

    timeout_s: float = 10.0  # of a request, all attempts together
    attempt_s: float = 2.0  # of one attempt; past it another peer is asked. A read's next takes twice as long
    batch_keys_max: int = 512  # of one request
    batch_bytes_max: int = 1 << 20  # the same
    scan_keys_max: int = 1024  # of one request; a scan makes as many as it takes
    parallel_max: int = 16  # requests of one batch that are under way at once
    atomic_writes: bool = False  # put and delete and compare_and_swap see each other; TiKV asks for that to be said
    tls: ClientTls | None = None

    def __post_init__(self) -> None:
        for name in ("timeout_s", "attempt_s", "batch_keys_max", "batch_bytes_max", "scan_keys_max", "parallel_max"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, f"must be positive, not {getattr(self, name)}")


@final
class TooMuchError(Exception):
    """The request was not done and can be cut: its answer, or it itself, is larger than a message may be."""


class _Request(Protocol):
    @property
    def context(self) -> kvrpcpb_pb2.Context: ...


class _Response(Protocol):
    @property
    def region_error(self) -> errorpb_pb2.Error: ...

    def HasField(self, field_name: str) -> bool: ...  # noqa: N802 - protobuf's name


Request = TypeVar("Request", bound=_Request)
Response = TypeVar("Response", bound=_Response)


@final
class Attempt:
    """One request of a caller, over all its attempts: its time, and whether one of them may have been carried out."""

    __slots__ = ("_problem", "_unknown", "backoff", "kind", "longest_s", "what")

    def __init__(self, what: str, kind: Kind, deadline: float, rng: Random, longest_s: float) -> None:
        self.what: Final = what
        self.kind: Final = kind
        self.longest_s = longest_s  # an attempt
        self.backoff: Final = Backoff(deadline, rng)
        self._unknown = False  # something was sent whose outcome was lost
        self._problem = ""  # the last one

    def left(self) -> float:
        """Seconds until its time is over, not below 0."""
        return self.backoff.left(asyncio.get_running_loop().time())

    async def wait(self, cause: Cause, problem: Exception, *, at_least: float = 0.0) -> None:
        """Pause before the next attempt.

        Raises:
            OutcomeUnknown, NotDone: there is no time for another.
        """
        self._note(problem)
        pause = self.backoff.pause(cause, asyncio.get_running_loop().time(), at_least)
        if pause is None:
            raise self.over() from problem
        await asyncio.sleep(pause)
        if self.left() < _LEAST_S:
            raise self.over() from problem

    def on_lost(self, problem: Exception) -> None:
        """It was sent, and may have been carried out. Raises OutcomeUnknown if it must not be sent again."""
        self.on_part_done()
        if self.kind is Kind.ONCE:
            self._note(problem)
            raise self.over() from problem

    def on_late(self, longest_s: float) -> None:
        """The answer did not come within `longest_s`. A read may only need longer: it has much to look at."""
        if self.kind is Kind.READ:
            self.longest_s = max(self.longest_s, 2 * longest_s)  # once, for parts that are late together

    def _note(self, problem: Exception) -> None:
        """What stood in the way at last. That the time ran out is told anyway; what was there before says more."""
        is_late = isinstance(problem, RpcError) and problem.status is StatusCode.DEADLINE_EXCEEDED
        if not is_late or not self._problem:
            self._problem = str(problem)

    def on_part_done(self) -> None:
        """A part of it was carried out, or may have been: from now on nobody can say that it changed nothing."""
        self._unknown = self.kind is not Kind.READ

    def over(self) -> RaftlyError:
        """How to say that the time is over."""
        return self.judged(NotDone(self.what, self._problem or "no time was left"))

    def judged(self, error: RaftlyError) -> RaftlyError:
        """The error that ends the request, if it is true: OutcomeUnknown if a part of it may have been carried out."""
        if not self._unknown or isinstance(error, OutcomeUnknown):
            return error
        problem = error.cause if isinstance(error, NotDone) else str(error)
        return OutcomeUnknown(f"{self.what} was sent, and whether all of it was done is unknown: {problem}")

    @contextmanager
    def judging(self) -> Iterator[None]:
        """An error from within that would not be true is another one outside: see `judged`."""
        try:
            yield
        except RaftlyError as error:
            if (judged := self.judged(error)) is error:
                raise
            raise judged from error


@final
class Regions:
    """Routes and connections of one client."""

    def __init__(self, pd: PdClient, options: ClientOptions, rng: Random | None = None) -> None:
        self.pd: Final = pd
        self.options: Final = options
        self.cache: Final = RegionCache()
        self._rng: Final = rng or Random()  # noqa: S311 - jitter is no secret
        limits = Limits(message_bytes_max=ANSWER_BYTES_MAX)
        self._channels = Channels(tls=options.tls, limits=limits, rng=self._rng)
        self._addresses: dict[StoreId, str] = {}
        self._doubted: set[StoreId] = set()  # those of them that may be old
        self._closed = False

    async def close(self) -> None:
        """Close all connections but those of the placement driver's client."""
        self._closed = True
        await self._channels.close()

    def attempt(self, what: str, kind: Kind, timeout_s: float | None) -> Attempt:
        """A request that begins now."""
        if self._closed:
            raise ClientClosed
        seconds = self.options.timeout_s if timeout_s is None else timeout_s
        return Attempt(what, kind, asyncio.get_running_loop().time() + seconds, self._rng, self.options.attempt_s)

    # --- where ------------------------------------------------------------------------------------------------------

    async def locate(self, key: bytes, attempt: Attempt, *, below: bool = False) -> Route:
        """The route to the region that holds `key`; `below`: what lies just below it, where an empty key is above all.

        As long as there is none, and there is time, it asks again. One that is doubted is better than none.
        """
        find = self.cache.find_below if below else self.cache.find
        while (route := find(key)) is None:
            is_known = self.cache.believe(key, below=below)  # for others meanwhile, and here if nobody tells better
            patience = min(attempt.left(), _LOOK_UP_S) if is_known else attempt.left()
            problem: Exception
            try:
                placed = await self._look_up(key, patience, below=below)
                if self.cache.add(placed.region, placed.leader):
                    continue
                cause, problem = Cause.ROUTE, RegionError("the placement driver has yet to learn where the region is")
            except PlacementRefused as error:
                if error.kind not in MISSING:
                    raise
                cause, problem = Cause.ROUTE, error
            except NotDone as error:
                cause, problem = Cause.PLACEMENT, error
            if not is_known:
                await attempt.wait(cause, problem)
        return route

    async def _look_up(self, key: bytes, patience: float, *, below: bool) -> PlacedRegion:
        if not below:
            return await self.pd.get_region(key, timeout_s=patience)
        placed = await self.pd.get_region(key or TOP, timeout_s=patience)
        if key and placed.region.start_key == key:
            return await self.pd.get_prev_region(key, timeout_s=patience)
        return placed

    async def _address(self, store_id: StoreId, attempt: Attempt) -> str:
        known = self._addresses.get(store_id)
        if known is not None and store_id not in self._doubted:
            return known
        longest = self.options.attempt_s if known is None else _LOOK_UP_S  # another peer's may be known
        patience = min(attempt.left(), longest)
        try:
            store = await self.pd.get_store(store_id, timeout_s=patience)
        except NotDone:
            if known is None:
                raise
            return known  # the placement driver does not answer; a store seldom moves
        self._doubted.discard(store_id)
        self._addresses[store_id] = store.address
        return store.address

    # --- sending ----------------------------------------------------------------------------------------------------

    async def at(self, method: Method[Request, Response], key: bytes, request: Request, attempt: Attempt) -> Response:
        """The answer to a request about one key, from wherever its region is."""
        with attempt.judging():
            while True:
                route = await self.locate(key, attempt)
                response = await self.send(method, route, request, attempt)
                if response is not None:
                    return response

    async def send(
        self,
        method: Method[Request, Response],
        route: Route,
        request: Request,
        attempt: Attempt,
        *,
        divisible: bool = False,
    ) -> Response | None:
        """The answer of the region's leader; None when it was refused there, and paused for, and may be sent anew.

        Raises:
            TooMuchError: it asks for too much, and is `divisible`: ask for less.
            NotDone, OutcomeUnknown: the time is over, or it must not be sent a second time.
            RequestRefused: it would be refused again.
            RegionError: one that is final, such as RaftEntryTooLarge.
            ClientClosed: the client was closed.
        """
        context = request.context
        context.region_id = route.region.id
        context.region_epoch.CopyFrom(epoch_message(route.region.epoch))
        context.peer.CopyFrom(peer_message(route.leader))
        longest_s = attempt.longest_s
        try:
            channel = self._channels.to(await self._address(route.leader.store_id, attempt))
        except (PlacementRefused, NotDone, ConfigError) as error:  # it has no address for the store
            await attempt.wait(self.cache.on_connection_lost(route), error)
            return None
        if not attempt.left():  # looking it up took what there was
            raise attempt.over()
        try:
            response = await channel.unary(method, request, timeout_s=min(longest_s, attempt.left()))
        except RpcError as error:
            if error.maybe_processed and error.status is StatusCode.DEADLINE_EXCEEDED:
                attempt.on_late(longest_s)
            await self._on_rpc_error(error, route, attempt, divisible=divisible)
            return None
        if response.HasField("region_error"):
            await self._on_region_error(response.region_error, route, attempt)
            return None
        self.cache.on_served(route)
        self._doubted.discard(route.leader.store_id)
        return response

    async def _on_rpc_error(self, error: RpcError, route: Route, attempt: Attempt, *, divisible: bool) -> None:
        if error.status in REFUSALS:
            raise RequestRefused(attempt.what, str(error)) from error
        is_exhausted = error.status is StatusCode.RESOURCE_EXHAUSTED
        if is_exhausted and error.maybe_processed:
            too_large = error.message.startswith(TOO_LARGE)  # else a write may have been done, and its answer dropped
            if divisible and (too_large or attempt.kind is Kind.READ):
                raise TooMuchError from error
            if too_large:
                raise RequestRefused(attempt.what, str(error)) from error
        if error.maybe_processed:
            attempt.on_lost(error)
        if self._closed:
            raise ClientClosed from error
        if is_exhausted:  # the store is there, and leads as far as is known
            await attempt.wait(Cause.CONNECTION, error)
            return
        self._doubted.add(route.leader.store_id)
        await attempt.wait(self.cache.on_connection_lost(route), error)

    async def _on_region_error(self, message: errorpb_pb2.Error, route: Route, attempt: Attempt) -> None:
        try:
            error = region_error_of(message)
        except DecodeError as problem:
            raise RequestRefused(attempt.what, str(problem)) from problem
        if isinstance(error, UndeterminedResult):
            attempt.on_lost(error)
        if error.retry is Retry.NEVER:
            raise error
        if isinstance(error, StoreNotMatch):
            self._doubted.add(route.leader.store_id)
        advised = error.backoff_ms / 1000 if isinstance(error, ServerIsBusy) else 0.0
        await attempt.wait(self.cache.on_error(route, error), error, at_least=advised)
