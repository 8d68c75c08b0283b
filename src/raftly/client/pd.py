"""PdClient: the placement driver as a client sees it. Finds the leader among the members and follows it.

Every call is repeated, elsewhere if need be, until its time is over: nothing asked here does harm when done twice, but
for plans, which are sent again only if they certainly were not made.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol, Self, TypeVar, final

from raftly.base.heartbeats import DownPeer
from raftly.base.region import Peer, Region, RegionId, StoreId
from raftly.base.store_meta import StoreMeta
from raftly.client.admin import ADMIN_DO, kind_of
from raftly.client.backoff import Backoff, Cause
from raftly.client.channels import Channels
from raftly.client.errors import ClientClosed, NotDone, PlacementRefused
from raftly.client.kind import Kind
from raftly.client.tso import Timestamps
from raftly.client.wire import peer_of, region_of, store_of
from raftly.errors import ConfigError, OutcomeUnknown
from raftly.proto import metapb_pb2, pdpb_pb2, pdpb_rpc
from raftly.rpc import Channel, ClientCall, ClientTls, Method, RpcError, StatusCode

__all__ = ["Member", "Members", "PdClient", "PlacedRegion", "RegionOperator"]

CALL_S: Final = 2.0  # of one attempt; past it another member is asked who leads
SPLIT_S: Final = 12.0  # the driver answers when it is done, or gives up after 8 s
TIMEOUT_S: Final = 10.0
REFUSALS: Final = frozenset(
    {
        StatusCode.UNIMPLEMENTED,
        StatusCode.INVALID_ARGUMENT,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNAUTHENTICATED,
        StatusCode.OUT_OF_RANGE,
    }
)
NOTHING_DONE: Final = frozenset({"not leader", "this member has just begun to lead", "ids are being reserved"})
"""What a member says that was asked too early or instead of another: then it did nothing."""


class _Response(Protocol):
    @property
    def header(self) -> pdpb_pb2.ResponseHeader: ...


class _Request(Protocol):
    @property
    def header(self) -> pdpb_pb2.RequestHeader: ...


Request = TypeVar("Request", bound=_Request)
Response = TypeVar("Response", bound=_Response)
Req = TypeVar("Req")
Res = TypeVar("Res")


@final
@dataclass(frozen=True, slots=True)
class Member:
    """One process of the placement driver."""

    id: int
    name: str
    client_urls: tuple[str, ...]
    peer_urls: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Members:
    """All of them, as one of them told."""

    cluster_id: int
    members: tuple[Member, ...]
    leader: Member


@final
@dataclass(frozen=True, slots=True)
class PlacedRegion:
    """A region and who leads it, as the placement driver last heard."""

    region: Region
    leader: Peer | None = None
    down_peers: tuple[DownPeer, ...] = ()
    pending_peers: tuple[Peer, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class RegionOperator:
    """What the placement driver is about to do with a region, or did last."""

    region_id: RegionId
    description: str
    status: str
    kind: str


@final
class PdClient:
    """Calls to a placement driver of one or more members.

    Every method raises PlacementRefused when it answers with an error, NotDone when its time is over, ClientClosed.
    Those that change something raise OutcomeUnknown when an answer was lost and no later one tells that it was done.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: ClientTls | None = None,
        timeout_s: float = TIMEOUT_S,
        rng: Random | None = None,
    ) -> None:
        if not endpoints:
            raise ConfigError(
                "endpoints", "must name at least one member of the placement driver, such as 127.0.0.1:2379"
            )
        self.timeout_s = timeout_s
        self.cluster_id = 0  # until a member has told it
        self._rng = rng or Random()  # noqa: S311 - jitter is no secret
        self._channels = Channels(tls=tls, rng=self._rng)
        for endpoint in endpoints:
            self._channels.to(endpoint)  # one that cannot be dialled is told here
        self._endpoints = list(dict.fromkeys(endpoints))
        self._known: Members | None = None
        self._leader = ""
        self._finding: asyncio.Task[Members] | None = None
        self._timestamps = Timestamps(self._open_tso, self.forget_leader, self._rng)
        self._closed = False

    @classmethod
    async def connect(
        cls, endpoints: Sequence[str], *, tls: ClientTls | None = None, timeout_s: float = TIMEOUT_S
    ) -> Self:
        """A client that has found the cluster."""
        client = cls(endpoints, tls=tls, timeout_s=timeout_s)
        try:
            await client.members()
        except BaseException:
            await client.close()
            raise
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End it; calls under way fail."""
        self._closed = True
        if self._finding is not None:
            self._finding.cancel()
            await asyncio.gather(self._finding, return_exceptions=True)
        await self._timestamps.close()
        await self._channels.close()

    # --- calls ------------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: Method[Request, Response],
        request: Request,
        *,
        timeout_s: float | None = None,
        attempt_s: float = CALL_S,
        kind: Kind = Kind.READ,
    ) -> Response:
        """One call to the leader. Sets the request's header.

        With the `kind` of what changes something, OutcomeUnknown may come in the place of NotDone. Numbers that nobody
        will use, and heartbeats, need none.
        """

        def make() -> Request:
            request.header.cluster_id = self.cluster_id
            return request

        response = await self._ask(method, make, timeout_s, attempt_s, kind)
        _check(response.header)
        return response

    async def admin(
        self, do: str, arguments: Mapping[str, object] | None = None, *, timeout_s: float | None = None
    ) -> object:
        """Something that kvproto has no call for, of our own placement driver: see `raftly.client.admin`."""
        return await self._ask(ADMIN_DO, lambda: {"do": do, **(arguments or {})}, timeout_s, CALL_S, kind_of(do))

    async def _ask(
        self, method: Method[Req, Res], make: Callable[[], Req], timeout_s: float | None, attempt_s: float, kind: Kind
    ) -> Res:
        loop = asyncio.get_running_loop()
        backoff = Backoff(loop.time() + (self.timeout_s if timeout_s is None else timeout_s), self._rng)
        what = f"{method.name} of the placement driver"
        is_lost = False  # an attempt that may have been carried out
        while True:
            try:
                leader = await self._find(backoff)
                limit = min(attempt_s, backoff.left(loop.time()))
                return await self._channels.to(leader).unary(method, make(), timeout_s=limit)
            except RpcError as error:
                is_refused = error.status in REFUSALS
                if kind is not Kind.READ and not is_refused:
                    is_lost = is_lost or (error.maybe_processed and error.message not in NOTHING_DONE)
                is_final = is_refused or self._closed or (is_lost and kind is Kind.ONCE)
                self._leader = self._leader if is_refused else ""
                pause = None if is_final else backoff.pause(Cause.PLACEMENT, loop.time())
                if pause is not None:
                    await asyncio.sleep(pause)
                    continue
                if is_lost:
                    raise _unknown(what, error) from error
                if self._closed:
                    raise ClientClosed from error
                if is_refused:
                    raise PlacementRefused(error.status.name, error.message) from error
                raise NotDone(what, str(error)) from error
            except (NotDone, PlacementRefused, ClientClosed) as error:  # nobody leads any more, as far as can be told
                if is_lost:
                    raise _unknown(what, error) from error
                raise

    async def stream(self, method: Method[Request, Response]) -> ClientCall[Request, Response]:
        """A stream with the leader, for one attempt; whoever uses it opens another when it ends.

        Raises RpcError besides; `fill` sets the headers.
        """
        leader = await self._find(Backoff(asyncio.get_running_loop().time() + CALL_S, self._rng))
        try:
            return await self._channels.to(leader).open(method)
        except RpcError:
            self._leader = ""
            raise

    @property
    def leader(self) -> str:
        """The address of the member that leads, as far as is known; empty: it is to be found out."""
        return self._leader

    def forget_leader(self) -> None:
        """A stream with it ended: find out who leads before the next call."""
        self._leader = ""

    # --- members ----------------------------------------------------------------------------------------------------

    async def members(self) -> Members:
        """Who there is, and who leads; asked anew."""
        backoff = Backoff(asyncio.get_running_loop().time() + self.timeout_s, self._rng)
        self._leader = ""
        leader = await self._find(backoff)
        with suppress(RpcError):  # whoever named the leader first may have been removed, and not know it
            self._known = await self._ask_member(leader)
        assert self._known is not None
        return self._known

    async def _find(self, backoff: Backoff) -> str:
        """The leader's address."""
        loop = asyncio.get_running_loop()
        problem = "no member answers"
        while not self._leader:
            if self._closed:
                raise ClientClosed
            if self._finding is None or self._finding.done():
                self._finding = loop.create_task(self._ask_members())
                self._finding.add_done_callback(_see)
            try:
                async with asyncio.timeout_at(backoff.deadline):
                    known = await asyncio.shield(self._finding)
            except TimeoutError:
                raise NotDone("finding the placement driver's leader", problem) from None
            except asyncio.CancelledError:
                if self._closed:
                    raise ClientClosed from None
                raise
            except RpcError as error:
                if error.status in REFUSALS:
                    raise PlacementRefused(error.status.name, error.message) from error
                problem = str(error)
                pause = backoff.pause(Cause.PLACEMENT, loop.time())
                if pause is None:
                    raise NotDone("finding the placement driver's leader", problem) from error
                await asyncio.sleep(pause)
                continue
            self._known = known
            self._leader = known.leader.client_urls[0]
        return self._leader

    async def _ask_members(self) -> Members:
        """All known members at once; the first answer that names a leader counts.

        Raises:
            RpcError: there is none; it is a refusal only if all of them refuse.
        """
        known = [url for member in (self._known.members if self._known else ()) for url in member.client_urls[:1]]
        addresses = dict.fromkeys([*known, *self._endpoints])
        asked = [asyncio.ensure_future(self._ask_member(address)) for address in addresses]
        problem = none = RpcError(StatusCode.UNAVAILABLE, "no member was asked")
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    return await answer
                except RpcError as error:
                    if error.status not in REFUSALS or problem is none:
                        problem = error
            raise problem
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    async def _ask_member(self, address: str) -> Members:
        response = await self._channel(address).unary(
            pdpb_rpc.PD_GET_MEMBERS, pdpb_pb2.GetMembersRequest(), timeout_s=CALL_S
        )
        if response.header.HasField("error"):
            raise RpcError(StatusCode.UNAVAILABLE, f"{address}: {response.header.error.message}")
        if not response.leader.client_urls:
            raise RpcError(StatusCode.UNAVAILABLE, f"{address} knows no leader of the placement driver")
        cluster_id = response.header.cluster_id
        if self.cluster_id not in (0, cluster_id):
            raise RpcError(
                StatusCode.FAILED_PRECONDITION, f"{address} belongs to cluster {cluster_id}, not {self.cluster_id}"
            )
        self._channel(response.leader.client_urls[0])
        self.cluster_id = cluster_id
        return Members(cluster_id, tuple(map(_member, response.members)), _member(response.leader))

    def _channel(self, address: str) -> Channel:
        """The channel to a member; RpcError, after which members are asked again, if one of them named no address."""
        try:
            return self._channels.to(address)
        except ConfigError as error:
            problem = f"the placement driver names a member whose {error}"
            raise RpcError(StatusCode.UNAVAILABLE, problem, maybe_processed=False) from error

    # --- timestamps -------------------------------------------------------------------------------------------------

    async def timestamp(self, *, timeout_s: float | None = None) -> int:
        """One timestamp, above all that were given before: milliseconds since 1970 times 2**18, and a counter."""
        return await self._timestamps.take(1, self.timeout_s if timeout_s is None else timeout_s)

    async def timestamps(self, count: int, *, timeout_s: float | None = None) -> range:
        """`count` consecutive ones (1 to 10,000)."""
        last = await self._timestamps.take(count, self.timeout_s if timeout_s is None else timeout_s)
        return range(last - count + 1, last + 1)

    async def _open_tso(self) -> tuple[ClientCall[pdpb_pb2.TsoRequest, pdpb_pb2.TsoResponse], int]:
        return await self.stream(pdpb_rpc.PD_TSO), self.cluster_id

    # --- regions ----------------------------------------------------------------------------------------------------

    async def get_region(self, key: bytes, *, timeout_s: float | None = None) -> PlacedRegion:
        """The region that holds `key`."""
        return _placed(
            await self.call(pdpb_rpc.PD_GET_REGION, pdpb_pb2.GetRegionRequest(region_key=key), timeout_s=timeout_s)
        )

    async def get_prev_region(self, key: bytes, *, timeout_s: float | None = None) -> PlacedRegion:
        """The region before the one that holds `key`."""
        return _placed(
            await self.call(pdpb_rpc.PD_GET_PREV_REGION, pdpb_pb2.GetRegionRequest(region_key=key), timeout_s=timeout_s)
        )

    async def get_region_by_id(self, region_id: RegionId, *, timeout_s: float | None = None) -> PlacedRegion:
        """The region with this id."""
        request = pdpb_pb2.GetRegionByIDRequest(region_id=region_id)
        return _placed(await self.call(pdpb_rpc.PD_GET_REGION_BY_ID, request, timeout_s=timeout_s))

    async def scan_regions(self, start_key: bytes = b"", end_key: bytes = b"", limit: int = 0) -> list[PlacedRegion]:
        """Regions that hold keys in [start_key, end_key), in order; an empty end and a limit of 0 mean none.

        Of more than fit in one answer each part is as it is when its turn comes. It ends where nobody has reported.
        """
        found: list[PlacedRegion] = []
        at = start_key
        while part := await self._scan_regions(at, end_key, limit - len(found) if limit else 0):
            while found and found[-1].region.start_key >= part[0].region.start_key:
                found.pop()  # it was merged meanwhile
            found += part
            past = part[-1].region.end_key
            if past <= at or (end_key and past >= end_key) or (limit and len(found) >= limit):
                break
            at = past
        return found

    async def _scan_regions(self, start_key: bytes, end_key: bytes, limit: int) -> list[PlacedRegion]:
        request = pdpb_pb2.ScanRegionsRequest(start_key=start_key, end_key=end_key, limit=limit)
        response = await self.call(pdpb_rpc.PD_SCAN_REGIONS, request)
        if response.regions:
            return list(map(_placed, response.regions))
        pairs = zip(response.region_metas, response.leaders, strict=False)  # the older form
        return [PlacedRegion(region_of(region), peer_of(leader) if leader.id else None) for region, leader in pairs]

    async def batch_scan_regions(self, ranges: Iterable[tuple[bytes, bytes]], limit: int = 0) -> list[PlacedRegion]:
        """The same for several ranges."""
        request = pdpb_pb2.BatchScanRegionsRequest(
            ranges=(pdpb_pb2.KeyRange(start_key=lo, end_key=hi) for lo, hi in ranges), limit=limit
        )
        response = await self.call(pdpb_rpc.PD_BATCH_SCAN_REGIONS, request)
        return list(map(_placed, response.regions))

    async def scatter_regions(self, region_ids: Iterable[RegionId], group: str = "") -> int:
        """Spread these regions over the stores; percent that were begun."""
        request = pdpb_pb2.ScatterRegionRequest(regions_id=region_ids, group=group)
        return (await self.call(pdpb_rpc.PD_SCATTER_REGION, request, kind=Kind.WRITE)).finished_percentage

    async def split_regions(self, keys: Iterable[bytes], *, timeout_s: float | None = None) -> list[RegionId]:
        """Make regions begin at these keys; the ids of the new ones."""
        request = pdpb_pb2.SplitRegionsRequest(split_keys=keys)
        response = await self.call(
            pdpb_rpc.PD_SPLIT_REGIONS, request, timeout_s=timeout_s, attempt_s=SPLIT_S, kind=Kind.WRITE
        )
        return list(response.regions_id)

    async def get_operator(self, region_id: RegionId) -> RegionOperator:
        """What is being done with a region."""
        told = await self.call(pdpb_rpc.PD_GET_OPERATOR, pdpb_pb2.GetOperatorRequest(region_id=region_id))
        status = pdpb_pb2.OperatorStatus.Name(told.status)
        return RegionOperator(
            told.region_id, told.desc.decode("utf-8", "replace"), status, told.kind.decode("utf-8", "replace")
        )

    # --- stores -----------------------------------------------------------------------------------------------------

    async def get_store(self, store_id: StoreId, *, timeout_s: float | None = None) -> StoreMeta:
        """One store."""
        request = pdpb_pb2.GetStoreRequest(store_id=store_id)
        return store_of((await self.call(pdpb_rpc.PD_GET_STORE, request, timeout_s=timeout_s)).store)

    async def get_all_stores(self, *, tombstones: bool = False) -> list[StoreMeta]:
        """All stores, by id; those that are gone for good only on request."""
        request = pdpb_pb2.GetAllStoresRequest(exclude_tombstone_stores=not tombstones)
        response = await self.call(pdpb_rpc.PD_GET_ALL_STORES, request)
        return sorted(map(store_of, response.stores), key=lambda store: store.id)

    async def is_bootstrapped(self) -> bool:
        """Has the cluster a first region?"""
        response = await self.call(pdpb_rpc.PD_IS_BOOTSTRAPPED, pdpb_pb2.IsBootstrappedRequest())
        return response.bootstrapped

    async def put_store(self, store: metapb_pb2.Store) -> None:
        """Say who and where a store is."""
        await self.call(pdpb_rpc.PD_PUT_STORE, pdpb_pb2.PutStoreRequest(store=store), kind=Kind.WRITE)


def _see(finding: asyncio.Task[Members]) -> None:
    """All who waited for it may have given up: then nobody else looks at its outcome."""
    if not finding.cancelled():
        finding.exception()


def _unknown(what: str, problem: Exception) -> OutcomeUnknown:
    return OutcomeUnknown(f"{what} was sent, and whether it was done is unknown: {problem}")


def _member(message: pdpb_pb2.Member) -> Member:
    return Member(message.member_id, message.name, tuple(message.client_urls), tuple(message.peer_urls))


def _placed(message: pdpb_pb2.GetRegionResponse | pdpb_pb2.Region) -> PlacedRegion:
    if not message.HasField("region"):
        raise PlacementRefused("REGION_NOT_FOUND", "it knows no such region")
    return PlacedRegion(
        region_of(message.region),
        peer_of(message.leader) if message.HasField("leader") and message.leader.id else None,
        tuple(DownPeer(peer_of(down.peer), down.down_seconds) for down in message.down_peers),
        tuple(map(peer_of, message.pending_peers)),
    )


def _check(header: pdpb_pb2.ResponseHeader) -> None:
    if header.HasField("error") and header.error.type != pdpb_pb2.ErrorType.OK:
        name: str = pdpb_pb2.ErrorType.Name(header.error.type)
        raise PlacementRefused(name, header.error.message)
