"""Raw commands: get, put, delete, scan and their like over a KvBackend, without gRPC.

A read takes kvrpcpb's request and a deadline of the loop's time. Under the leader's lease it is answered in the turn
that brought it; a long scan gives the loop a turn every few hundred keys. A write is planned here, which ops and where,
and carried out by `commands`. Source: TiKV's raw API, V1 and V1TTL.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final, final

from raftly.base.region_errors import ServerIsBusy
from raftly.engine.base import CF_DEFAULT, DATA_CFS
from raftly.errors import ConfigError, LimitExceeded
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.rpc import RpcError, StatusCode
from raftly.server import ttl
from raftly.server.commands import InvalidRequest, Write
from raftly.server.contexts import Contexts
from raftly.server.crc64 import crc64
from raftly.server.slices import SLICE_KEYS, Scan, Turns, slices
from raftly.store.kv import KvBackend, RegionReader, RequestContext
from raftly.store.ops import Cas, CasResult, Delete, DeleteRange, Put

__all__ = ["RawKv", "RawOptions"]

_CF_NAMES: Final = {"": CF_DEFAULT} | {cf: cf for cf in DATA_CFS}
_TURN_CRC_BYTES: Final = 16 << 10  # in one turn of the loop: about a millisecond
_BACKOFF_MS: Final = 100
_PAIR_BYTES: Final = 64  # in memory, beside key and value


@final
@dataclass(frozen=True, slots=True)
class RawOptions:
    """What the raw commands take. Sizes in bytes."""

    enable_ttl: bool = True
    """Keys may expire: values are kept in the layout of `ttl`. Never to be changed where there is data."""
    key_bytes_max: int = 8 << 10
    value_bytes_max: int = 4 << 20
    answer_bytes_max: int = 32 << 20
    """Of keys and values in one answer, with 64 more for each pair, which it takes in memory; past it the call fails: a
    shorter answer would read like the end of a range."""
    reading_bytes_max: int = 256 << 20
    """Of all answers that are put together at once; past it ServerIsBusy."""

    def __post_init__(self) -> None:
        for name in ("key_bytes_max", "value_bytes_max", "answer_bytes_max", "reading_bytes_max"):
            if getattr(self, name) <= 0:
                raise ConfigError(name, f"must be positive, not {getattr(self, name)}")


@final
class RawKv:
    """The raw commands of one store. `wall_clock` gives seconds since 1970."""

    def __init__(
        self, backend: KvBackend, contexts: Contexts, wall_clock: Callable[[], float], options: RawOptions | None = None
    ) -> None:
        self._backend = backend
        self._contexts = contexts
        self._wall_clock = wall_clock
        self._options = options or RawOptions()
        self._has_ttl = self._options.enable_ttl
        self._reading_bytes = 0  # of answers that are being put together

    # --- reads -------------------------------------------------------------------------------------------------------

    def get(
        self, request: pb.RawGetRequest, deadline: float
    ) -> pb.RawGetResponse | Coroutine[object, object, pb.RawGetResponse]:
        """The value of a key: at once under the leader's lease."""
        cf = _cf(request.cf)
        ctx = self._contexts.of(request.context)
        reader = self._backend.read_now(ctx)
        return self._get_later(ctx, cf, request.key, deadline) if reader is None else self._get(reader, cf, request.key)

    async def _get_later(self, ctx: RequestContext, cf: str, key: bytes, deadline: float) -> pb.RawGetResponse:
        return self._get(await self._backend.read(ctx, deadline), cf, key)

    def _get(self, reader: RegionReader, cf: str, key: bytes) -> pb.RawGetResponse:
        value = self._value(reader.get(cf, key))
        reader.close()
        if value is None:
            return pb.RawGetResponse(not_found=True)
        return pb.RawGetResponse(value=value)

    async def batch_get(self, request: pb.RawBatchGetRequest, deadline: float) -> pb.RawBatchGetResponse:
        """Those of some keys that are there, with their values."""
        cf = _cf(request.cf)
        reader = await self._reader(request.context, deadline)
        response = pb.RawBatchGetResponse()
        budget = _Budget(self, self._options)
        keys = list(request.keys)
        turns = Turns(reader, deadline)
        try:
            for start in range(0, len(keys), SLICE_KEYS):
                await turns.next()
                turns.spend(SLICE_KEYS)
                asked = keys[start : start + SLICE_KEYS]
                for key, stored in zip(asked, reader.get_many(cf, asked), strict=True):
                    value = self._value(stored)
                    if value is not None:
                        budget.spend(len(key) + len(value) + _PAIR_BYTES)
                        response.pairs.add(key=key, value=value)
        finally:
            reader.close()
            budget.close()
        return response

    async def get_key_ttl(self, request: pb.RawGetKeyTTLRequest, deadline: float) -> pb.RawGetKeyTTLResponse:
        """The seconds that a key has left; 0: it stays."""
        cf = _cf(request.cf)
        self._check_ttl(1)
        reader = await self._reader(request.context, deadline)
        stored = reader.get(cf, request.key)
        reader.close()
        found = None if stored is None else ttl.split(stored, self._now_s())
        if found is None:
            return pb.RawGetKeyTTLResponse(not_found=True)
        return pb.RawGetKeyTTLResponse(ttl=found[1])

    async def scan(self, request: pb.RawScanRequest, deadline: float) -> pb.RawScanResponse:
        """The first keys of a range, or with `reverse` the last ones of [end_key, start_key), descending."""
        cf = _cf(request.cf)
        reader = await self._reader(request.context, deadline)
        response = pb.RawScanResponse()
        scan = Scan(cf, request.start_key, request.end_key, request.limit, request.reverse, request.key_only)
        await self._scan(reader, [scan], deadline, response)
        return response

    async def batch_scan(self, request: pb.RawBatchScanRequest, deadline: float) -> pb.RawBatchScanResponse:
        """The first keys of each of some ranges."""
        cf = _cf(request.cf)
        reader = await self._reader(request.context, deadline)
        response = pb.RawBatchScanResponse()
        scans = [
            Scan(cf, range_.start_key, range_.end_key, request.each_limit, request.reverse, request.key_only)
            for range_ in request.ranges
        ]
        await self._scan(reader, scans, deadline, response)
        return response

    async def checksum(self, request: pb.RawChecksumRequest, deadline: float) -> pb.RawChecksumResponse:
        """The exclusive or of the CRCs of all pairs in some ranges, so that those of regions add up in any order."""
        if request.algorithm != pb.ChecksumAlgorithm.Crc64_Xor:
            raise InvalidRequest(f"checksum algorithm {request.algorithm} is not known")
        reader = await self._reader(request.context, deadline)
        response = pb.RawChecksumResponse()
        checksum = summed = 0
        turns = Turns(reader, deadline)
        try:
            for range_ in request.ranges:
                scan = Scan(CF_DEFAULT, range_.start_key, range_.end_key, 1 << 62)
                async for pairs in slices(reader, turns, scan, self._value, expire=self._has_ttl):
                    for key, value in pairs:
                        checksum ^= crc64(key + value)
                        size = len(key) + len(value)
                        response.total_kvs += 1
                        response.total_bytes += size
                        summed += size
                        if summed > _TURN_CRC_BYTES:
                            summed = 0
                            turns.end()
                            await turns.next()
        finally:
            reader.close()
        response.checksum = checksum
        return response

    # --- writes ------------------------------------------------------------------------------------------------------

    def put(self, request: pb.RawPutRequest) -> Write:
        """Give a key a value."""
        op = self._put(_cf(request.cf), request.key, request.value, request.ttl)
        ctx = self._contexts.of(request.context)
        if request.ttl:
            self._will_expire(ctx, request.ttl)
        return Write(ctx, (op,))

    def batch_put(self, request: pb.RawBatchPutRequest) -> Write:
        """Give some keys values, all at once. `ttls` is one for all or one for each."""
        cf = _cf(request.cf)
        ttls: Sequence[int] = request.ttls or (request.ttl,)
        if len(ttls) == 1:
            ttls = [ttls[0]] * len(request.pairs)
        if len(ttls) != len(request.pairs):
            raise InvalidRequest(f"{len(ttls)} ttls for {len(request.pairs)} pairs: give one, or one for each")
        puts = [self._put(cf, pair.key, pair.value, ttl_s) for pair, ttl_s in zip(request.pairs, ttls, strict=True)]
        ctx = self._contexts.of(request.context)
        if soonest := min(filter(None, ttls), default=0):
            self._will_expire(ctx, soonest)
        return Write(ctx, puts)

    def delete(self, request: pb.RawDeleteRequest) -> Write:
        """Take a key away."""
        op = Delete(_cf(request.cf), self._key(request.key))
        return Write(self._contexts.of(request.context), (op,))

    def batch_delete(self, request: pb.RawBatchDeleteRequest) -> Write:
        """Take some keys away, all at once."""
        cf = _cf(request.cf)
        ops = [Delete(cf, self._key(key)) for key in request.keys]
        return Write(self._contexts.of(request.context), ops)

    def delete_range(self, request: pb.RawDeleteRangeRequest) -> Write:
        """Take away all keys of a range that the region holds."""
        op = DeleteRange(_cf(request.cf), request.start_key, request.end_key)
        ops = (op,) if not op.hi or op.lo < op.hi else ()
        return Write(self._contexts.of(request.context), ops)

    def compare_and_swap(self, request: pb.RawCASRequest) -> Write:
        """Put a value, or take the key away, if it has the value that the caller expects; tells what it had."""
        cf, key = _cf(request.cf), self._key(request.key)
        expected = None if request.previous_not_exist else request.previous_value
        value = None if request.delete else self._put(cf, key, request.value, request.ttl).value
        op = Cas(cf, key, expected, value, self._now_s(), self._has_ttl)
        ctx = self._contexts.of(request.context)
        if request.ttl and not request.delete:
            self._will_expire(ctx, request.ttl)
        return Write(ctx, (op,), _swapped)

    # --- keys and values ---------------------------------------------------------------------------------------------

    async def _reader(self, context: pb.Context, deadline: float) -> RegionReader:
        ctx = self._contexts.of(context)
        return self._backend.read_now(ctx) or await self._backend.read(ctx, deadline)

    def _now_s(self) -> int:
        return int(self._wall_clock())

    def _key(self, key: bytes) -> bytes:
        if len(key) > self._options.key_bytes_max:
            raise LimitExceeded("key_bytes", len(key), self._options.key_bytes_max)
        return key

    def _put(self, cf: str, key: bytes, value: bytes, ttl_s: int) -> Put:
        if len(value) > self._options.value_bytes_max:
            raise LimitExceeded("value_bytes", len(value), self._options.value_bytes_max)
        if not self._has_ttl:
            self._check_ttl(ttl_s)
            return Put(cf, self._key(key), value)
        return Put(cf, self._key(key), ttl.encode(value, ttl.expires_at(ttl_s, self._now_s()) if ttl_s else 0))

    def _will_expire(self, ctx: RequestContext, ttl_s: int) -> None:
        self._backend.will_expire(ctx.region_id, ttl.expires_at(ttl_s, self._now_s()))

    def _check_ttl(self, ttl_s: int) -> None:
        if ttl_s and not self._has_ttl:
            raise InvalidRequest("keys do not expire here: the store runs without enable_ttl")

    def _value(self, stored: bytes | None) -> bytes | None:
        if stored is None or not self._has_ttl:
            return stored
        found = ttl.split(stored, self._now_s())
        return None if found is None else found[0]

    def on_reading(self, size: int) -> int:
        """So many bytes more, or less, in answers that are being put together; how many they are."""
        self._reading_bytes += size
        return self._reading_bytes

    # --- ranges ------------------------------------------------------------------------------------------------------

    async def _scan(
        self,
        reader: RegionReader,
        scans: Sequence[Scan],
        deadline: float,
        response: pb.RawScanResponse | pb.RawBatchScanResponse,
    ) -> None:
        budget = _Budget(self, self._options)
        turns = Turns(reader, deadline)
        try:
            for scan in scans:
                async for pairs in slices(reader, turns, scan, self._value, expire=self._has_ttl):
                    for key, value in pairs:
                        budget.spend(len(key) + len(value) + _PAIR_BYTES)
                        response.kvs.add(key=key, value=value)
        finally:
            reader.close()
            budget.close()


@final
class _Budget:
    """The bytes of an answer while it is put together. `close` it, whatever comes."""

    __slots__ = ("_kv", "_options", "_spent")

    def __init__(self, kv: RawKv, options: RawOptions) -> None:
        self._kv = kv
        self._options = options
        self._spent = 0

    def spend(self, size: int) -> None:
        """So many more.

        Raises:
            RpcError: they are too many.
            ServerIsBusy: those of all answers together are.
        """
        self._spent += size
        together = self._kv.on_reading(size)
        if self._spent > self._options.answer_bytes_max:
            raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "the answer would be too large: ask for fewer keys")
        if together > self._options.reading_bytes_max:
            raise ServerIsBusy("too much is read at once", _BACKOFF_MS)

    def close(self) -> None:
        """It is put together, or will never be."""
        self._kv.on_reading(-self._spent)


def _swapped(results: Sequence[object]) -> pb.RawCASResponse:
    (result,) = results
    assert isinstance(result, CasResult)
    if result.previous is None:
        return pb.RawCASResponse(succeed=result.succeeded, previous_not_exist=True)
    return pb.RawCASResponse(succeed=result.succeeded, previous_value=result.previous)


def _cf(name: str) -> str:
    cf = _CF_NAMES.get(name)
    if cf is None:
        raise InvalidRequest(f"there is no column family {name[:80]!r}: there are {', '.join(DATA_CFS)}")
    return cf
