"""RawClient: keys and values without transactions, as TiKV's raw commands have them.

A put or delete whose answer is lost is sent again: it then may be carried out twice, which is the same as once unless
somebody else wrote the key in between. `compare_and_swap` is never sent twice: it ends with OutcomeUnknown instead.
What covers several keys is atomic for none of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, Self, TypeVar, final

from raftly.client.batching import batches, pieces
from raftly.client.errors import RequestRefused
from raftly.client.pd import PdClient
from raftly.client.region_cache import Route
from raftly.client.regions import TOP, Attempt, ClientOptions, Kind, Regions, TooMuchError
from raftly.errors import ConfigError
from raftly.proto import kvrpcpb_pb2, tikvpb_rpc

__all__ = ["Checksum", "RawClient", "Swap"]

DEFAULT: Final = "default"
SMALL_PAGE_BYTES: Final = 4 << 20  # twice as many are well below what a store answers at once
Item = TypeVar("Item")
Pair = tuple[bytes, bytes]


@final
@dataclass(frozen=True, slots=True)
class Swap:
    """How a compare_and_swap ended: was the value as expected, and so set? `previous` is what was found."""

    done: bool
    previous: bytes | None


@final
@dataclass(frozen=True, slots=True)
class Checksum:
    """Of a range: all CRC-64s of its pairs xored, how many pairs there are, and their bytes."""

    crc64_xor: int = 0
    keys: int = 0
    bytes: int = 0


@final
class RawClient:
    """Reads and writes of keys. `cf` is a column family: default, write or lock. Times are in seconds.

    Every method takes `timeout_s`, of all attempts together, and raises:
        NotDone: the time is over; nothing was changed.
        OutcomeUnknown: the time is over, or the link was lost; some of it may have been done, or may be yet.
        RequestRefused: the cluster does not do this.
        RaftEntryTooLarge: a value, or a batch for one region, that no log takes.
        PlacementRefused, ClientClosed.

    `rng` is for jitter.
    """

    def __init__(self, pd: PdClient, options: ClientOptions | None = None, *, rng: Random | None = None) -> None:
        self.options: Final = options or ClientOptions()
        self.pd: Final = pd
        self.regions: Final = Regions(pd, self.options, rng)

    @classmethod
    async def connect(cls, endpoints: Sequence[str], options: ClientOptions | None = None) -> Self:
        """A client of the cluster with a placement driver at these addresses (one of them is enough)."""
        options = options or ClientOptions()
        return cls(await PdClient.connect(endpoints, tls=options.tls, timeout_s=options.timeout_s), options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it, and its client of the placement driver."""
        await self.regions.close()
        await self.pd.close()

    # --- single keys ------------------------------------------------------------------------------------------------

    async def get(self, key: bytes, *, cf: str = DEFAULT, timeout_s: float | None = None) -> bytes | None:
        """The value, or None."""
        attempt = self.regions.attempt("get", Kind.READ, timeout_s)
        request = kvrpcpb_pb2.RawGetRequest(key=key, cf=cf)
        response = await self.regions.at(tikvpb_rpc.TIKV_RAW_GET, key, request, attempt)
        _check(attempt, response.error)
        return None if response.not_found else response.value

    async def put(
        self, key: bytes, value: bytes, *, ttl: int = 0, cf: str = DEFAULT, timeout_s: float | None = None
    ) -> None:
        """Set a value; with a `ttl` it is gone after so many seconds."""
        attempt = self.regions.attempt("put", Kind.WRITE, timeout_s)
        request = kvrpcpb_pb2.RawPutRequest(
            key=key, value=value, cf=cf, ttl=_ttl(ttl), for_cas=self.options.atomic_writes
        )
        _check(attempt, (await self.regions.at(tikvpb_rpc.TIKV_RAW_PUT, key, request, attempt)).error)

    async def delete(self, key: bytes, *, cf: str = DEFAULT, timeout_s: float | None = None) -> None:
        """Remove a key, if it is there."""
        attempt = self.regions.attempt("delete", Kind.WRITE, timeout_s)
        request = kvrpcpb_pb2.RawDeleteRequest(key=key, cf=cf, for_cas=self.options.atomic_writes)
        _check(attempt, (await self.regions.at(tikvpb_rpc.TIKV_RAW_DELETE, key, request, attempt)).error)

    async def ttl(self, key: bytes, *, cf: str = DEFAULT, timeout_s: float | None = None) -> int | None:
        """Seconds until the key is gone; 0: it stays; None: it is not there."""
        attempt = self.regions.attempt("ttl", Kind.READ, timeout_s)
        request = kvrpcpb_pb2.RawGetKeyTTLRequest(key=key, cf=cf)
        response = await self.regions.at(tikvpb_rpc.TIKV_RAW_GET_KEY_TTL, key, request, attempt)
        _check(attempt, response.error)
        return None if response.not_found else response.ttl

    async def compare_and_swap(
        self,
        key: bytes,
        expected: bytes | None,
        value: bytes,
        *,
        ttl: int = 0,
        cf: str = DEFAULT,
        timeout_s: float | None = None,
    ) -> Swap:
        """Set a value if the present one is `expected`; None: if there is none. Atomic; done at most once.

        In TiKV it does not see plain writes that are under way: set `ClientOptions.atomic_writes` for those as well.
        """
        attempt = self.regions.attempt("compare_and_swap", Kind.ONCE, timeout_s)
        request = kvrpcpb_pb2.RawCASRequest(
            key=key,
            value=value,
            previous_not_exist=expected is None,
            previous_value=expected or b"",
            cf=cf,
            ttl=_ttl(ttl),
        )
        response = await self.regions.at(tikvpb_rpc.TIKV_RAW_COMPARE_AND_SWAP, key, request, attempt)
        _check(attempt, response.error)
        return Swap(response.succeed, None if response.previous_not_exist else response.previous_value)

    # --- many keys --------------------------------------------------------------------------------------------------

    async def batch_get(
        self, keys: Iterable[bytes], *, cf: str = DEFAULT, timeout_s: float | None = None
    ) -> dict[bytes, bytes]:
        """The values of those keys that are there."""
        attempt = self.regions.attempt("batch_get", Kind.READ, timeout_s)
        found: dict[bytes, bytes] = {}

        async def read(route: Route, part: list[bytes]) -> bool:
            request = kvrpcpb_pb2.RawBatchGetRequest(keys=part, cf=cf)
            response = await self.regions.send(
                tikvpb_rpc.TIKV_RAW_BATCH_GET, route, request, attempt, divisible=len(part) > 1
            )
            if response is None:
                return False
            for pair in response.pairs:
                _check(attempt, str(pair.error) if pair.HasField("error") else "")
                found[pair.key] = pair.value
            return True

        await self._in_batches(sorted(set(keys)), _itself, len, read, attempt)
        return found

    async def batch_put(
        self,
        pairs: Mapping[bytes, bytes],
        *,
        ttl: int = 0,
        cf: str = DEFAULT,
        timeout_s: float | None = None,
    ) -> None:
        """Set values."""
        attempt = self.regions.attempt("batch_put", Kind.WRITE, timeout_s)
        seconds = _ttl(ttl)

        async def write(route: Route, part: list[Pair]) -> bool:
            request = kvrpcpb_pb2.RawBatchPutRequest(
                pairs=(kvrpcpb_pb2.KvPair(key=key, value=value) for key, value in part),
                cf=cf,
                ttl=seconds,
                ttls=[seconds] if seconds else [],
                for_cas=self.options.atomic_writes,
            )
            response = await self.regions.send(
                tikvpb_rpc.TIKV_RAW_BATCH_PUT, route, request, attempt, divisible=len(part) > 1
            )
            if response is not None:
                _check(attempt, response.error)
            return response is not None

        await self._in_batches(sorted(pairs.items()), _key_of, _pair_bytes, write, attempt)

    async def batch_delete(self, keys: Iterable[bytes], *, cf: str = DEFAULT, timeout_s: float | None = None) -> None:
        """Remove keys, those that are there."""
        attempt = self.regions.attempt("batch_delete", Kind.WRITE, timeout_s)

        async def write(route: Route, part: list[bytes]) -> bool:
            request = kvrpcpb_pb2.RawBatchDeleteRequest(keys=part, cf=cf, for_cas=self.options.atomic_writes)
            response = await self.regions.send(
                tikvpb_rpc.TIKV_RAW_BATCH_DELETE, route, request, attempt, divisible=len(part) > 1
            )
            if response is not None:
                _check(attempt, response.error)
            return response is not None

        await self._in_batches(sorted(set(keys)), _itself, len, write, attempt)

    async def _in_batches(
        self,
        items: list[Item],
        key: Callable[[Item], bytes],
        size: Callable[[Item], int],
        do: Callable[[Route, list[Item]], Awaitable[bool]],
        attempt: Attempt,
    ) -> None:
        """Have all items done, by region and in pieces; those whose region refused are sorted in anew.

        A piece that was too much is cut, and so are all that come after it.
        """
        options = self.options
        keys_max = options.batch_keys_max
        free = asyncio.Semaphore(options.parallel_max)

        async def part(route: Route, piece: list[Item]) -> list[Item]:
            nonlocal keys_max
            async with free:
                try:
                    done = await do(route, piece)
                except TooMuchError:
                    keys_max = min(keys_max, len(piece) // 2)
                    return piece
                except asyncio.CancelledError:  # another part has failed, and this one may be under way
                    attempt.on_part_done()
                    raise
            if done and len(piece) < len(items):
                attempt.on_part_done()
            return [] if done else piece

        todo = items
        with attempt.judging():
            while todo:
                found, unknown = batches(todo, key, self.regions.cache.find)
                if unknown is not None:
                    await self.regions.locate(key(unknown), attempt)
                    continue
                parts = [
                    part(batch.route, piece)
                    for batch in found
                    for piece in pieces(batch.items, size, keys_max, options.batch_bytes_max)
                ]
                todo = [item for left in await _all(parts) for item in left]

    # --- ranges -----------------------------------------------------------------------------------------------------

    async def scan(
        self,
        lo: bytes = b"",
        hi: bytes = b"",
        *,
        limit: int,
        reverse: bool = False,
        keys_only: bool = False,
        cf: str = DEFAULT,
        timeout_s: float | None = None,
    ) -> list[Pair]:
        """At most `limit` pairs of [lo, hi), in the order of their keys or in `reverse`; an empty `hi` is no bound.

        Each region is read as it is when its turn comes: a scan of several is not of one moment.
        """
        attempt = self.regions.attempt("scan", Kind.READ, timeout_s)
        found: list[Pair] = []
        size = _PageSize(self.options.scan_keys_max)
        while len(found) < limit:
            size.wanted = min(limit - len(found), size.keys)
            page, at = await self._page(lo, hi, size, attempt, reverse=reverse, keys_only=keys_only, cf=cf)
            found += page
            if at is None:
                break
            lo, hi = (lo, at) if reverse else (at, hi)
        return found

    async def iterate(
        self, lo: bytes = b"", hi: bytes = b"", *, reverse: bool = False, keys_only: bool = False, cf: str = DEFAULT
    ) -> AsyncIterator[Pair]:
        """All pairs of [lo, hi), a page at a time, each page with a time-out of its own."""
        size = _PageSize(self.options.scan_keys_max)
        while True:
            attempt = self.regions.attempt("scan", Kind.READ, None)
            size.wanted = size.keys
            page, at = await self._page(lo, hi, size, attempt, reverse=reverse, keys_only=keys_only, cf=cf)
            for pair in page:
                yield pair
            if at is None:
                return
            lo, hi = (lo, at) if reverse else (at, hi)

    async def _page(
        self, lo: bytes, hi: bytes, size: _PageSize, attempt: Attempt, *, reverse: bool, keys_only: bool, cf: str
    ) -> tuple[list[Pair], bytes | None]:
        """Pairs of the first region of the range that is left, and where the rest begins (in reverse: ends), if any."""
        if hi and lo >= hi:
            return [], None
        while True:
            route = await self.regions.locate(hi if reverse else lo, attempt, below=reverse)
            region = route.region
            first, past = max(lo, region.start_key), _lower(hi, region.end_key)
            start, end = (past or TOP, first) if reverse else (first, past)
            request = kvrpcpb_pb2.RawScanRequest(
                start_key=start, end_key=end, limit=size.wanted, key_only=keys_only, cf=cf, reverse=reverse
            )
            try:
                response = await self.regions.send(
                    tikvpb_rpc.TIKV_RAW_SCAN, route, request, attempt, divisible=size.wanted > 1
                )
            except TooMuchError:
                size.halve()
                continue
            if response is not None:
                break
        for pair in response.kvs:
            _check(attempt, str(pair.error) if pair.HasField("error") else "")
        page = [(pair.key, pair.value) for pair in response.kvs]
        is_full = len(page) >= size.wanted
        size.on_page(page)
        if is_full:
            last = page[-1][0]
            if reverse:
                return page, last if last > lo else None  # nothing is below the empty key, which as an end is no bound
            return page, last + b"\0"
        if reverse:
            return page, first if first > lo else None
        return page, past if past != hi else None

    async def delete_range(
        self, lo: bytes, hi: bytes = b"", *, cf: str = DEFAULT, timeout_s: float | None = None
    ) -> None:
        """Remove all keys of [lo, hi); an empty `hi` is no bound. Region by region, so not at one moment."""
        attempt = self.regions.attempt("delete_range", Kind.WRITE, timeout_s)

        async def delete(route: Route, first: bytes, past: bytes) -> bool:
            request = kvrpcpb_pb2.RawDeleteRangeRequest(start_key=first, end_key=past or TOP, cf=cf)
            response = await self.regions.send(tikvpb_rpc.TIKV_RAW_DELETE_RANGE, route, request, attempt)
            if response is not None:
                _check(attempt, response.error)
                attempt.on_part_done()
            return response is not None

        await self._over_range(lo, hi, delete, attempt)

    async def checksum(self, lo: bytes = b"", hi: bytes = b"", *, timeout_s: float | None = None) -> Checksum:
        """Of all pairs of [lo, hi) in the default column family.

        A store takes seconds for a large region: give it a `timeout_s` of minutes, for all of them together.
        """
        attempt = self.regions.attempt("checksum", Kind.READ, timeout_s)
        total = Checksum()

        async def add(route: Route, first: bytes, past: bytes) -> bool:
            nonlocal total
            request = kvrpcpb_pb2.RawChecksumRequest(ranges=[kvrpcpb_pb2.KeyRange(start_key=first, end_key=past)])
            response = await self.regions.send(tikvpb_rpc.TIKV_RAW_CHECKSUM, route, request, attempt)
            if response is not None:
                _check(attempt, response.error)
                total = Checksum(
                    total.crc64_xor ^ response.checksum,
                    total.keys + response.total_kvs,
                    total.bytes + response.total_bytes,
                )
            return response is not None

        await self._over_range(lo, hi, add, attempt)
        return total

    async def _over_range(
        self, lo: bytes, hi: bytes, do: Callable[[Route, bytes, bytes], Awaitable[bool]], attempt: Attempt
    ) -> None:
        """Have `do` done for the part of [lo, hi) in each region, in order."""
        with attempt.judging():
            while not hi or lo < hi:
                route = await self.regions.locate(lo, attempt)
                past = _lower(hi, route.region.end_key)
                if await do(route, lo, past):
                    if past == hi:
                        return
                    lo = past


@final
class _PageSize:
    """How many keys a scan asks for at once: half as many when they are too much, more again when they are small."""

    __slots__ = ("_most", "keys", "wanted")

    def __init__(self, most: int) -> None:
        self._most = most
        self.keys = most
        self.wanted = most  # on the next page, where a scan may need fewer

    def halve(self) -> None:
        """The page was too much."""
        self.keys = self.wanted = self.wanted // 2

    def on_page(self, page: Sequence[Pair]) -> None:
        """This came of it."""
        if self.keys < self._most and sum(map(_pair_bytes, page)) < SMALL_PAGE_BYTES:
            self.keys = min(self.keys * 2, self._most)


def _lower(one: bytes, other: bytes) -> bytes:
    """The lower of two ends of ranges, where an empty one is no bound."""
    return min(one, other) if one and other else one or other


def _itself(key: bytes) -> bytes:
    return key


def _key_of(pair: Pair) -> bytes:
    return pair[0]


def _pair_bytes(pair: Pair) -> int:
    return len(pair[0]) + len(pair[1])


def _ttl(seconds: int) -> int:
    if seconds < 0:
        raise ConfigError("ttl", f"must not be negative, and is {seconds}")
    return seconds


def _check(attempt: Attempt, error: str) -> None:
    if error:
        raise attempt.judged(RequestRefused(attempt.what, error))


async def _all(parts: Sequence[Coroutine[Any, Any, Item]]) -> list[Item]:
    """What all of them return, in order; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
