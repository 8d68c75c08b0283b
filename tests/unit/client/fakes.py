"""A cluster in this process that answers as a placement driver and stores do, and does what a test tells it to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from raftly.base.region import Peer, Region, RegionEpoch
from raftly.base.region_errors import EpochNotMatch, NotRegionLeader, RegionError, RegionNotFound
from raftly.base.store_meta import StoreMeta
from raftly.client.admin import ADMIN_DO
from raftly.client.raw import RawClient
from raftly.client.regions import ClientOptions
from raftly.client.wire import peer_message, region_message, store_message
from raftly.proto import kvrpcpb_pb2, pdpb_pb2, pdpb_rpc, tikvpb_rpc
from raftly.rpc import Limits, RpcError, Server, Service, StatusCode, bind
from raftly.server.region_errors import error_message

CLUSTER_ID = 77
OK = pdpb_pb2.ResponseHeader(cluster_id=CLUSTER_ID)
OPTIONS = ClientOptions(timeout_s=20.0)

Fault = Callable[[], Any]
"""Raises what the caller of a store shall get instead of an answer; a RegionError becomes one in the answer."""


@dataclass
class Led:
    region: Region
    leader: int  # store id


@dataclass
class FakeStore:
    id: int
    cluster: FakeCluster
    server: Server | None = None
    port: int = 0
    faults: deque[Exception] = field(default_factory=deque)  # one a request, before anything is done
    answer_max: int = 0  # pairs in an answer, past which it is refused; 0: any number
    message_max: int = 4 << 20  # bytes of a request
    lost_answers: int = 0  # so many requests are carried out, and their answers lost
    requests: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        raw = {
            tikvpb_rpc.TIKV_RAW_GET: self.get,
            tikvpb_rpc.TIKV_RAW_PUT: self.put,
            tikvpb_rpc.TIKV_RAW_DELETE: self.delete,
            tikvpb_rpc.TIKV_RAW_BATCH_GET: self.batch_get,
            tikvpb_rpc.TIKV_RAW_BATCH_PUT: self.batch_put,
            tikvpb_rpc.TIKV_RAW_BATCH_DELETE: self.batch_delete,
            tikvpb_rpc.TIKV_RAW_SCAN: self.scan,
            tikvpb_rpc.TIKV_RAW_DELETE_RANGE: self.delete_range,
            tikvpb_rpc.TIKV_RAW_COMPARE_AND_SWAP: self.swap,
        }
        service = Service("tikvpb.Tikv", [bind(m, self._served(m, do)) for m, do in raw.items()])  # type: ignore[arg-type]
        self.server = Server([service], limits=Limits(message_bytes_max=self.message_max))
        self.port = await self.server.start(port=self.port)

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(grace_s=0.0)
            self.server = None

    def _served(self, method: Any, do: Any) -> Any:
        async def handler(request: Any) -> Any:
            self.requests.append(method.name)
            self.asked.set()
            response = method.decode_response(b"")
            try:
                if self.faults:
                    raise self.faults.popleft()
                self.cluster.check(self.id, request.context)
            except RegionError as error:
                response.region_error.CopyFrom(error_message(error, self.id))
                return response
            do(request, response)
            if self.answer_max and max(len(getattr(response, name, ())) for name in ("pairs", "kvs")) > self.answer_max:
                raise RpcError(StatusCode.RESOURCE_EXHAUSTED, "the answer would be too large: ask for fewer keys")
            if self.lost_answers:
                self.lost_answers -= 1
                raise RpcError(StatusCode.UNAVAILABLE, "the answer is lost")
            return response

        return handler

    # --- commands: each knows its region's keys only ---

    def get(self, request: Any, response: Any) -> None:
        value = self._data(request).get(request.key)
        response.not_found, response.value = value is None, value or b""

    def put(self, request: Any, response: Any) -> None:
        if request.ttl:
            response.error = "no ttl here"
        else:
            self._put(request, request.key, request.value)

    def delete(self, request: Any, response: Any) -> None:
        self.cluster.data.pop(self._own(request, request.key), None)

    def batch_get(self, request: Any, response: Any) -> None:
        data = self._data(request)
        response.pairs.extend(kvrpcpb_pb2.KvPair(key=key, value=data[key]) for key in request.keys if key in data)

    def batch_put(self, request: Any, response: Any) -> None:
        for pair in request.pairs:
            self._put(request, pair.key, pair.value)

    def batch_delete(self, request: Any, response: Any) -> None:
        for key in request.keys:
            self.cluster.data.pop(self._own(request, key), None)

    def scan(self, request: Any, response: Any) -> None:
        lo, hi = (request.end_key, request.start_key) if request.reverse else (request.start_key, request.end_key)
        keys = [key for key in sorted(self._data(request)) if lo <= key and (not hi or key < hi)]
        if request.reverse:
            keys.reverse()
        data = self.cluster.data
        response.kvs.extend(
            kvrpcpb_pb2.KvPair(key=key, value=b"" if request.key_only else data[key]) for key in keys[: request.limit]
        )

    def delete_range(self, request: Any, response: Any) -> None:
        for key in self._data(request):
            if request.start_key <= key < request.end_key:
                del self.cluster.data[key]

    def swap(self, request: Any, response: Any) -> None:
        present = self.cluster.data.get(self._own(request, request.key))
        expected = None if request.previous_not_exist else request.previous_value
        response.succeed = present == expected
        response.previous_not_exist, response.previous_value = present is None, present or b""
        if response.succeed:
            self._put(request, request.key, request.value)

    def _put(self, request: Any, key: bytes, value: bytes) -> None:
        self.cluster.data[self._own(request, key)] = value
        self.cluster.writes += 1

    def _own(self, request: Any, key: bytes) -> bytes:
        region = self.cluster.regions[request.context.region_id].region
        assert region.contains(key), f"{key!r} was sent to the wrong region"
        return key

    def _data(self, request: Any) -> dict[bytes, bytes]:
        region = self.cluster.regions[request.context.region_id].region
        return {key: value for key, value in self.cluster.data.items() if region.contains(key)}


class FakeCluster:
    """One placement driver and three stores; region 2 holds everything, and store 1 leads it."""

    def __init__(self) -> None:
        self.stores = {id_: FakeStore(id_, self) for id_ in (1, 2, 3)}
        whole = Region(2, epoch=RegionEpoch(1, 1), peers=tuple(Peer(10 + id_, id_) for id_ in self.stores))
        self.regions = {2: Led(whole, 1)}
        self.data: dict[bytes, bytes] = {}
        self.writes = 0
        self.seen: dict[int, Led] = {}  # what the placement driver has been told; set `told` after a change
        self.told()
        self.pd_faults: deque[Exception] = deque()
        self.scan_max = 100  # regions in one answer
        self.pd_is_ours = False  # and takes what kvproto has no call for
        self.pd_lost_answers = 0  # so many commands are carried out, and their answers lost
        self.pd_done: list[Any] = []  # commands
        self.pd_requests: list[str] = []
        self.pd: Server | None = None
        self.pd_port = 0
        self.members: list[int] = []  # ports of the members, the leader first; empty: this one alone
        self.ts = 1000 << 18

    def told(self) -> None:
        self.seen = {id_: replace(led) for id_, led in self.regions.items()}

    async def __aenter__(self) -> Self:
        for store in self.stores.values():
            await store.start()
        await self.start_pd()
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self.stores.values():
            await store.stop()
        if self.pd is not None:
            await self.pd.stop(grace_s=0.0)

    async def start_pd(self) -> None:
        calls = {
            pdpb_rpc.PD_GET_MEMBERS: self.get_members,
            pdpb_rpc.PD_GET_REGION: self.get_region,
            pdpb_rpc.PD_GET_PREV_REGION: self.get_prev_region,
            pdpb_rpc.PD_GET_STORE: self.get_store,
            pdpb_rpc.PD_PUT_STORE: self.put_store,
            pdpb_rpc.PD_SCAN_REGIONS: self.scan_regions,
        }
        bound = [bind(m, self._served(m, do)) for m, do in calls.items()]  # type: ignore[arg-type]
        services = [Service("pdpb.PD", [*bound, bind(pdpb_rpc.PD_TSO, self.tso)])]
        if self.pd_is_ours:
            services.append(Service(ADMIN_DO.service, [bind(ADMIN_DO, self.admin)]))
        self.pd = Server(services)
        self.pd_port = await self.pd.start(port=self.pd_port)

    def client(self, options: ClientOptions = OPTIONS) -> Any:
        return RawClient.connect([f"127.0.0.1:{self.pd_port}"], options)

    def _served(self, method: Any, do: Any) -> Any:
        async def handler(request: Any) -> Any:
            self.pd_requests.append(method.name)
            if method.name != "GetMembers":
                assert request.header.cluster_id == CLUSTER_ID
                if self.pd_faults:
                    raise self.pd_faults.popleft()
            return do(request)

        return handler

    # --- placement driver ---

    def get_members(self, request: Any) -> pdpb_pb2.GetMembersResponse:
        members = [
            pdpb_pb2.Member(name=f"pd-{port}", member_id=port, client_urls=[f"http://127.0.0.1:{port}"])
            for port in self.members or [self.pd_port]
        ]
        return pdpb_pb2.GetMembersResponse(header=OK, members=members, leader=members[0])

    def get_region(self, request: Any) -> pdpb_pb2.GetRegionResponse:
        return self._region(lambda region: region.contains(request.region_key))

    def get_prev_region(self, request: Any) -> pdpb_pb2.GetRegionResponse:
        start = next(led.region.start_key for led in self.seen.values() if led.region.contains(request.region_key))
        return self._region(lambda region: region.end_key == start != b"")

    def _region(self, wanted: Callable[[Region], bool]) -> pdpb_pb2.GetRegionResponse:
        for led in self.seen.values():
            if wanted(led.region):
                leader = led.region.peer_on(led.leader)
                assert leader is not None
                return pdpb_pb2.GetRegionResponse(
                    header=OK, region=region_message(led.region), leader=peer_message(leader)
                )
        return pdpb_pb2.GetRegionResponse(header=OK)

    def get_store(self, request: Any) -> pdpb_pb2.GetStoreResponse:
        store = StoreMeta(request.store_id, f"127.0.0.1:{self.stores[request.store_id].port}")
        return pdpb_pb2.GetStoreResponse(header=OK, store=store_message(store))

    def scan_regions(self, request: Any) -> pdpb_pb2.ScanRegionsResponse:
        told = sorted((led.region for led in self.seen.values()), key=lambda region: region.start_key)
        lo, hi = request.start_key, request.end_key
        found = [each for each in told if (not hi or each.start_key < hi) and (not each.end_key or lo < each.end_key)]
        count = min(request.limit or 100, self.scan_max)
        return pdpb_pb2.ScanRegionsResponse(
            header=OK, regions=[pdpb_pb2.Region(region=region_message(each)) for each in found[:count]]
        )

    def put_store(self, request: Any) -> pdpb_pb2.PutStoreResponse:
        self._command(request.store.id)
        return pdpb_pb2.PutStoreResponse(header=OK)

    async def admin(self, request: dict[str, object]) -> object:
        if self.pd_faults:
            raise self.pd_faults.popleft()
        if self.pd_done and request["do"] != "set-config":
            raise RpcError(StatusCode.INVALID_ARGUMENT, "it was done before")
        self._command(request["do"])
        return {}

    def _command(self, what: Any) -> None:
        self.pd_done.append(what)
        if self.pd_lost_answers:
            self.pd_lost_answers -= 1
            raise RpcError(StatusCode.UNAVAILABLE, "the answer is lost")

    async def tso(self, requests: AsyncIterator[Any]) -> AsyncIterator[pdpb_pb2.TsoResponse]:
        async for request in requests:
            self.pd_requests.append(f"Tso {request.count}")
            if self.pd_faults:
                raise self.pd_faults.popleft()
            self.ts += request.count
            stamp = pdpb_pb2.Timestamp(physical=self.ts >> 18, logical=self.ts & (1 << 18) - 1)
            yield pdpb_pb2.TsoResponse(header=OK, count=request.count, timestamp=stamp)

    # --- regions ---

    def check(self, store_id: int, context: Any) -> None:
        led = self.regions.get(context.region_id)
        if led is None:
            raise RegionNotFound(context.region_id)
        if led.leader != store_id:
            raise NotRegionLeader(led.region.id, led.region.peer_on(led.leader))
        if context.region_epoch.version != led.region.epoch.version:
            raise EpochNotMatch(tuple(led.region for led in self.regions.values()))

    def split(self, key: bytes, new_id: int, leader: int) -> None:
        """The upper half becomes a region of its own, which the placement driver does not know yet."""
        old = next(led for led in self.regions.values() if led.region.contains(key) and led.region.start_key != key)
        epoch = RegionEpoch(old.region.epoch.conf_ver, old.region.epoch.version + 1)
        peers = tuple(Peer(100 * new_id + id_, id_) for id_ in self.stores)
        self.regions[new_id] = Led(Region(new_id, key, old.region.end_key, epoch, peers), leader)
        old.region = replace(old.region, end_key=key, epoch=epoch)
