"""A placement driver and stores made with grpcio, another gRPC than ours, which answer as a script says.

They know kvproto's messages and nothing of our server: they send what TiKV's do, with fields that ours leave out.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

import grpc
import grpc.aio

from raftly.client import ClientOptions, RawClient
from raftly.proto import errorpb_pb2, kvrpcpb_pb2, metapb_pb2, pdpb_pb2

CLUSTER_ID = 6987654321
REGION = 40
PEERS = {1: 41, 2: 42, 3: 43}  # store id: peer id

Turn = Callable[["ScriptedStore", str, Any], Awaitable[Any]]
"""What becomes of one request to a store: the answer."""


def refuse(error: errorpb_pb2.Error) -> Turn:
    """A region error: nothing was done."""

    async def turn(store: ScriptedStore, method: str, request: Any) -> Any:
        return store.empty(method)(region_error=error)

    return turn


def abort(code: grpc.StatusCode, *, after: bool) -> Turn:
    """A gRPC status, before or after the request was carried out."""

    async def turn(store: ScriptedStore, method: str, request: Any) -> Any:
        if after:
            store.carry_out(method, request)
        raise _Abort(code)

    return turn


async def hang(store: ScriptedStore, method: str, request: Any) -> Any:
    """Carried out, and never answered; `hung` and `let_go` tell that it came, and that the caller has given it up."""
    store.carry_out(method, request)
    store.hung.set()
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        store.let_go.set()


def slow(seconds: float) -> Turn:
    """Answered after so long."""

    async def turn(store: ScriptedStore, method: str, request: Any) -> Any:
        await asyncio.sleep(seconds)
        return store.carry_out(method, request)

    return turn


class _Abort(Exception):
    pass


class ScriptedStore:
    """One store; what the script has nothing for is served, whoever leads."""

    def __init__(self, id_: int, cluster: ScriptedCluster) -> None:
        self.id = id_
        self.cluster = cluster
        self.script: deque[Turn] = deque()
        self.seen: list[tuple[str, Any]] = []
        self.hung = asyncio.Event()
        self.let_go = asyncio.Event()
        self.server: grpc.aio.Server | None = None
        self.port = 0

    @staticmethod
    def empty(method: str) -> Any:
        return getattr(kvrpcpb_pb2, "RawCASResponse" if method == "RawCompareAndSwap" else f"{method}Response")

    async def start(self) -> None:
        methods = ("RawGet", "RawPut", "RawBatchGet", "RawBatchPut", "RawScan", "RawChecksum", "RawCompareAndSwap")
        self.server, self.port = await _serve("tikvpb.Tikv", {name: self._handler(name) for name in methods})

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(0)
            self.server = None

    def _handler(self, method: str) -> grpc.RpcMethodHandler:
        async def handle(request: Any, context: Any) -> Any:
            self.seen.append((method, request))
            assert request.context.region_id == REGION
            assert request.context.peer.id == PEERS[self.id]
            try:
                if self.script:
                    return await self.script.popleft()(self, method, request)
                return self.carry_out(method, request)
            except _Abort as aborted:
                await context.abort(aborted.args[0], "as the script says")

        asked = "RawCASRequest" if method == "RawCompareAndSwap" else f"{method}Request"
        return _unary(handle, getattr(kvrpcpb_pb2, asked), self.empty(method))

    def carry_out(self, method: str, request: Any) -> Any:
        """As TiKV does, with the details that it adds to each answer."""
        data = self.cluster.data
        response = self.empty(method)()
        if method == "RawGet":
            response.not_found, response.value = request.key not in data, data.get(request.key, b"")
        elif method == "RawPut":
            data[request.key] = request.value
        elif method == "RawBatchGet":
            response.pairs.extend(kvrpcpb_pb2.KvPair(key=k, value=data[k]) for k in request.keys if k in data)
        elif method == "RawBatchPut":
            data.update({pair.key: pair.value for pair in request.pairs})
        elif method == "RawScan":
            keys = [k for k in sorted(data) if k >= request.start_key and (not request.end_key or k < request.end_key)]
            response.kvs.extend(kvrpcpb_pb2.KvPair(key=k, value=data[k]) for k in keys[: request.limit])
        elif method == "RawChecksum":
            response.total_kvs = len(data)
        else:
            found = data.get(request.key)
            response.succeed = found == (None if request.previous_not_exist else request.previous_value)
            response.previous_not_exist, response.previous_value = found is None, found or b""
            if response.succeed:
                data[request.key] = request.value
        return response


class ScriptedCluster:
    """A driver of one or more members, and three stores with one region."""

    def __init__(self, members: int = 1) -> None:
        self.stores = {id_: ScriptedStore(id_, self) for id_ in PEERS}
        self.data: dict[bytes, bytes] = {}
        self.cluster_id = CLUSTER_ID
        self.leader = 1  # store
        self.version = 3
        self.names_leader = True
        self.pd_leader = 0  # member
        self.pd_ports: list[int] = []
        self.pd_seen: list[tuple[int, str]] = []
        self.logical = 0
        self._members = members
        self._servers: list[grpc.aio.Server] = []

    async def __aenter__(self) -> Self:
        for store in self.stores.values():
            await store.start()
        for number in range(self._members):
            server, port = await _serve("pdpb.PD", self._driver(number))
            self._servers.append(server)
            self.pd_ports.append(port)
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self.stores.values():
            await store.stop()
        await asyncio.gather(*(server.stop(0) for server in self._servers))

    async def client(self, **options: Any) -> RawClient:
        endpoints = [f"127.0.0.1:{port}" for port in self.pd_ports]
        return await RawClient.connect(endpoints, ClientOptions(**{"timeout_s": 20.0, **options}))

    def looked_up(self) -> int:
        """How often a client asked where a region is."""
        return sum(method == "GetRegion" for _, method in self.pd_seen)

    # --- what the driver says ---

    def region(self) -> metapb_pb2.Region:
        return metapb_pb2.Region(
            id=REGION,
            region_epoch=metapb_pb2.RegionEpoch(conf_ver=5, version=self.version),
            peers=[metapb_pb2.Peer(id=peer, store_id=store) for store, peer in PEERS.items()],
        )

    def peer(self, store: int) -> metapb_pb2.Peer:
        return metapb_pb2.Peer(id=PEERS[store], store_id=store)

    def _driver(self, number: int) -> dict[str, grpc.RpcMethodHandler]:
        def header() -> pdpb_pb2.ResponseHeader:
            return pdpb_pb2.ResponseHeader(cluster_id=self.cluster_id)

        def member(at: int) -> pdpb_pb2.Member:
            urls = [f"http://127.0.0.1:{self.pd_ports[at]}"]
            return pdpb_pb2.Member(name=f"pd{at}", member_id=100 + at, client_urls=urls, peer_urls=urls)

        async def of_leader(method: str, context: Any) -> None:
            self.pd_seen.append((number, method))
            if number != self.pd_leader:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "not leader")

        async def members(request: Any, context: Any) -> Any:
            everyone = [member(at) for at in range(self._members)]
            leader = member(self.pd_leader)
            return pdpb_pb2.GetMembersResponse(header=header(), members=everyone, leader=leader, etcd_leader=leader)

        async def get_region(request: Any, context: Any) -> Any:
            await of_leader("GetRegion", context)
            if request.header.cluster_id != self.cluster_id:
                text = f"mismatch cluster id, need {self.cluster_id} but got {request.header.cluster_id}"
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)
            pending = [self.peer(3)]
            answer = pdpb_pb2.GetRegionResponse(header=header(), region=self.region(), pending_peers=pending)
            answer.down_peers.add(peer=self.peer(2), down_seconds=7)
            answer.buckets.keys.extend([b"", b"m", b""])
            if self.names_leader:
                answer.leader.CopyFrom(self.peer(self.leader))
            return answer

        async def get_store(request: Any, context: Any) -> Any:
            await of_leader("GetStore", context)
            store = metapb_pb2.Store(
                id=request.store_id,
                address=f"127.0.0.1:{self.stores[request.store_id].port}",
                version="8.5.0",
                git_hash="abcdef",
                start_timestamp=1_700_000_000,
                last_heartbeat=1_700_000_000_000_000_000,
                deploy_path="/opt",
                labels=[metapb_pb2.StoreLabel(key="engine", value="tikv")],
            )
            return pdpb_pb2.GetStoreResponse(header=header(), store=store, stats=pdpb_pb2.StoreStats(region_count=9))

        async def tso(requests: Any, context: Any) -> Any:
            async for request in requests:
                await of_leader("Tso", context)
                self.logical += request.count
                stamp = pdpb_pb2.Timestamp(physical=1_700_000_000_000, logical=self.logical, suffix_bits=0)
                yield pdpb_pb2.TsoResponse(header=header(), count=request.count, timestamp=stamp)

        return {
            "GetMembers": _unary(members, pdpb_pb2.GetMembersRequest, pdpb_pb2.GetMembersResponse),
            "GetRegion": _unary(get_region, pdpb_pb2.GetRegionRequest, pdpb_pb2.GetRegionResponse),
            "GetStore": _unary(get_store, pdpb_pb2.GetStoreRequest, pdpb_pb2.GetStoreResponse),
            "Tso": grpc.stream_stream_rpc_method_handler(
                tso,
                request_deserializer=pdpb_pb2.TsoRequest.FromString,
                response_serializer=pdpb_pb2.TsoResponse.SerializeToString,
            ),
        }


def _unary(handle: Any, asked: Any, answered: Any) -> grpc.RpcMethodHandler:
    return grpc.unary_unary_rpc_method_handler(
        handle, request_deserializer=asked.FromString, response_serializer=answered.SerializeToString
    )


async def _serve(service: str, handlers: dict[str, grpc.RpcMethodHandler]) -> tuple[grpc.aio.Server, int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return server, port
