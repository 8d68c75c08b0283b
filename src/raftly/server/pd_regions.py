"""pdpb.PD: where regions are, and what clients ask to be done with them.

A region is told of only together with its leader. For a key whose region is being split or has not reported yet the
answer waits a little, since clients take "no region" for an answer about their data.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from typing import Final, final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import RegionId
from raftly.client.wire import region_of
from raftly.errors import RaftlyError
from raftly.pd import admin
from raftly.pd.errors import NotReady, Refused
from raftly.pd.operators import PlanKind
from raftly.pd.region_tree import RegionTree
from raftly.proto import pdpb_pb2 as pb
from raftly.proto import pdpb_rpc
from raftly.rpc import bind
from raftly.rpc.service import Bound
from raftly.server.pd_edge import PATIENCE_S, Edge, error_message, region_answer, status_of

SCAN_MAX: Final = 8192
"""Regions in one answer: clients take no message above 4 MiB."""
SCAN_BYTES_MAX: Final = 3 << 20
"""The same where their keys are long; who is told of fewer than asked for goes on where they end."""
ASKED_MAX: Final = 16_384
"""Keys, ids or ranges in one request."""
SPLIT_KEYS_MAX: Final = 1024
SPLIT_PATIENCE_S: Final = 8.0
"""Below the 10 s of a client: it is to hear what was done."""


@final
class RegionHandlers:
    """See the module."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._member = edge.member

    def bound(self) -> list[Bound]:
        """All of them."""
        unary = self._edge.unary
        return [
            unary(pdpb_rpc.PD_GET_REGION, self.get_region),
            unary(pdpb_rpc.PD_GET_PREV_REGION, self.get_prev_region),
            unary(pdpb_rpc.PD_GET_REGION_BY_ID, self.get_region_by_id),
            bind(pdpb_rpc.PD_QUERY_REGION, self.query_region),
            unary(pdpb_rpc.PD_SCAN_REGIONS, self.scan_regions),
            unary(pdpb_rpc.PD_BATCH_SCAN_REGIONS, self.batch_scan_regions),
            unary(pdpb_rpc.PD_ASK_SPLIT, self.ask_split),
            unary(pdpb_rpc.PD_REPORT_SPLIT, self.report_split),
            unary(pdpb_rpc.PD_ASK_BATCH_SPLIT, self.ask_batch_split),
            unary(pdpb_rpc.PD_REPORT_BATCH_SPLIT, self.report_batch_split),
            unary(pdpb_rpc.PD_SCATTER_REGION, self.scatter_region),
            unary(pdpb_rpc.PD_SPLIT_REGIONS, self.split_regions),
            unary(pdpb_rpc.PD_SPLIT_AND_SCATTER_REGIONS, self.split_and_scatter_regions),
            unary(pdpb_rpc.PD_GET_OPERATOR, self.get_operator),
        ]

    # --- lookups ----------------------------------------------------------------------------------------------------

    @property
    def _tree(self) -> RegionTree:
        return self._member.leader().cluster.regions

    async def get_region(self, request: pb.GetRegionRequest) -> pb.GetRegionResponse:
        report = await self._find(lambda tree: tree.by_key(request.region_key))
        if report is None:
            raise self._missing(f"no leader told of a region that holds key {request.region_key.hex()}")
        return _answer(report)

    async def get_prev_region(self, request: pb.GetRegionRequest) -> pb.GetRegionResponse:
        here = await self._find(lambda tree: tree.by_key(request.region_key))
        if here is None:
            raise self._missing(f"no leader told of a region that holds key {request.region_key.hex()}")
        if not here.region.start_key:
            return pb.GetRegionResponse()  # nothing is before the first
        before = await self._find(lambda tree: tree.before(request.region_key))
        if before is None:
            raise self._missing(f"no leader told of the region before key {request.region_key.hex()}")
        return _answer(before)

    async def get_region_by_id(self, request: pb.GetRegionByIDRequest) -> pb.GetRegionResponse:
        report = self._tree.by_id(request.region_id)
        return pb.GetRegionResponse() if report is None else _answer(report)

    async def query_region(
        self, requests: AsyncIterator[pb.QueryRegionRequest]
    ) -> AsyncIterator[pb.QueryRegionResponse]:
        """One answer a request, in order. An id of 0 stands for a key whose region is not known."""
        async for request in requests:
            try:
                self._edge.check(request.header)
                response = await self._edge.ready(partial(self._query, request))
            except Refused as refused:
                response = pb.QueryRegionResponse(header=self._edge.header())
                response.header.error.CopyFrom(error_message(refused))
            except RaftlyError as error:
                raise status_of(error) from error
            yield response

    async def _query(self, request: pb.QueryRegionRequest) -> pb.QueryRegionResponse:
        _check_count(len(request.keys) + len(request.prev_keys) + len(request.ids))
        response = pb.QueryRegionResponse(header=self._edge.header())
        deadline = asyncio.get_running_loop().time() + PATIENCE_S  # for all of them together

        def add(report: RegionReport | None, ids: list[RegionId]) -> None:
            ids.append(0 if report is None else report.region.id)
            if report is not None and report.region.id not in response.regions_by_id:
                told = region_answer(report)
                response.regions_by_id[report.region.id].CopyFrom(
                    pb.RegionResponse(
                        region=told.region,
                        leader=told.leader,
                        down_peers=told.down_peers,
                        pending_peers=told.pending_peers,
                    )
                )

        key_ids: list[RegionId] = []
        prev_ids: list[RegionId] = []
        for key in request.keys:
            add(await self._find(lambda tree, key=key: tree.by_key(key), deadline), key_ids)  # type: ignore[misc]
        for key in request.prev_keys:
            add(self._tree.before(key), prev_ids)
        for region_id in request.ids:
            add(self._tree.by_id(region_id), [])
        response.key_id_map.extend(key_ids)
        response.prev_key_id_map.extend(prev_ids)
        return response

    async def scan_regions(self, request: pb.ScanRegionsRequest) -> pb.ScanRegionsResponse:
        limit = min(request.limit, SCAN_MAX) if request.limit > 0 else SCAN_MAX
        found: list[pb.Region] = []
        left = SCAN_BYTES_MAX
        for report in self._tree.scan(request.start_key, request.end_key, limit):
            told = region_answer(report)
            left -= 2 * told.ByteSize()  # it is in there in both forms
            if found and left < 0:
                break
            found.append(told)
        return pb.ScanRegionsResponse(
            region_metas=[told.region for told in found], leaders=[told.leader for told in found], regions=found
        )

    async def batch_scan_regions(self, request: pb.BatchScanRegionsRequest) -> pb.BatchScanRegionsResponse:
        """Regions in the order of their keys, each once, however the ranges lie."""
        _check_count(len(request.ranges))
        left = min(request.limit, SCAN_MAX) if request.limit > 0 else SCAN_MAX
        found: list[RegionReport] = []
        for lo, hi in _united((each.start_key, each.end_key) for each in request.ranges):
            begin = lo if not found else max(lo, found[-1].region.end_key)
            if not left or (found and not found[-1].region.end_key):
                break
            if hi and begin >= hi:
                continue
            part = self._tree.scan(begin, hi, left)
            if request.contain_all_key_range and len(part) < left:
                _check_whole(part, begin, hi)
            found += part
            left -= len(part)
        return pb.BatchScanRegionsResponse(regions=map(region_answer, found))

    async def _find(
        self, look: Callable[[RegionTree], RegionReport | None], deadline: float | None = None
    ) -> RegionReport | None:
        """What a lookup gives, waited for while there is nothing."""
        found = look(self._tree)
        if found is not None or not self._member.state.is_bootstrapped:
            return found
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while found is None:
            try:
                await self._edge.next_ranges(deadline)
            except NotReady:
                return None
            found = look(self._tree)
        return found

    def _missing(self, why: str) -> Refused:
        if not self._member.state.is_bootstrapped:
            return Refused("NOT_BOOTSTRAPPED", "the cluster has no region yet")
        return Refused("REGION_NOT_FOUND", why)

    # --- splits by stores -------------------------------------------------------------------------------------------

    async def ask_split(self, request: pb.AskSplitRequest) -> pb.AskSplitResponse:
        (ids,) = await self._member.split_ids(region_of(request.region), 1)
        return pb.AskSplitResponse(new_region_id=ids.region_id, new_peer_ids=ids.peer_ids)

    async def report_split(self, request: pb.ReportSplitRequest) -> pb.ReportSplitResponse:
        self._member.leader().coordinator.on_split([request.left.id, request.right.id])
        return pb.ReportSplitResponse()

    async def ask_batch_split(self, request: pb.AskBatchSplitRequest) -> pb.AskBatchSplitResponse:
        found = await self._member.split_ids(region_of(request.region), request.split_count)
        return pb.AskBatchSplitResponse(
            ids=[pb.SplitID(new_region_id=ids.region_id, new_peer_ids=ids.peer_ids) for ids in found]
        )

    async def report_batch_split(self, request: pb.ReportBatchSplitRequest) -> pb.ReportBatchSplitResponse:
        """Only noted: halves are known when their leaders report, since no region is told of without its leader."""
        self._member.leader().coordinator.on_split([region.id for region in request.regions])
        return pb.ReportBatchSplitResponse()

    # --- what clients ask for ---------------------------------------------------------------------------------------

    async def scatter_region(self, request: pb.ScatterRegionRequest) -> pb.ScatterRegionResponse:
        _check_count(len(request.regions_id))
        region_ids = list(request.regions_id) or [request.region_id]
        failed = self._scatter(region_ids, request.group)
        if failed and not request.regions_id:
            raise Refused("UNKNOWN", f"region {request.region_id} cannot be scattered now")
        return pb.ScatterRegionResponse(
            finished_percentage=_percent(len(region_ids) - len(failed), len(region_ids)), failed_regions_id=failed
        )

    async def split_regions(self, request: pb.SplitRegionsRequest) -> pb.SplitRegionsResponse:
        percent, region_ids = await self._split(request.split_keys)
        return pb.SplitRegionsResponse(finished_percentage=percent, regions_id=region_ids)

    async def split_and_scatter_regions(
        self, request: pb.SplitAndScatterRegionsRequest
    ) -> pb.SplitAndScatterRegionsResponse:
        percent, region_ids = await self._split(request.split_keys)
        failed = self._scatter(region_ids, request.group)
        return pb.SplitAndScatterRegionsResponse(
            split_finished_percentage=percent,
            scatter_finished_percentage=_percent(len(region_ids) - len(failed), len(region_ids)),
            regions_id=region_ids,
        )

    def _scatter(self, region_ids: Iterable[RegionId], group: str) -> list[RegionId]:
        """Begin to spread these; those that cannot be."""
        leader = self._member.leader()
        failed: list[RegionId] = []
        for region_id in region_ids:
            try:
                plan = admin.scatter_region(leader, region_id, group)
            except Refused:
                failed.append(region_id)
                continue
            step = None if plan is None else leader.next_step(plan)
            if step is not None:
                self._member.on_steps([step])
        return failed

    async def _split(self, keys: Iterable[bytes]) -> tuple[int, list[RegionId]]:
        """Let regions begin at these keys: how many of a hundred do in the end, and the ids of those."""
        wanted = sorted(set(keys))
        if len(wanted) > SPLIT_KEYS_MAX:
            raise Refused(
                "INVALID_VALUE", f"{len(wanted)} keys to split at are too many at once, at most {SPLIT_KEYS_MAX}"
            )
        deadline = asyncio.get_running_loop().time() + SPLIT_PATIENCE_S
        while True:
            leader = self._member.leader()
            inside: dict[RegionId, list[bytes]] = {}
            done: list[RegionId] = []
            for key in wanted:
                report = leader.cluster.regions.by_key(key)
                if report is not None and report.region.start_key == key:
                    done.append(report.region.id)
                elif report is not None:
                    inside.setdefault(report.region.id, []).append(key)
            for region_id, cuts in inside.items():
                running = leader.coordinator.plans.get(region_id)
                if running is not None and running.kind is PlanKind.SPLIT:
                    continue
                try:
                    step = leader.next_step(admin.split_region(leader, region_id, tuple(cuts)))
                except Refused:
                    continue  # something else is under way; it may be over when regions change next
                if step is not None:
                    self._member.on_steps([step])
            if len(done) == len(wanted):
                return _percent(len(done), len(wanted)), done
            try:
                await self._edge.next_ranges(deadline)
            except NotReady:
                return _percent(len(done), len(wanted)), done

    async def get_operator(self, request: pb.GetOperatorRequest) -> pb.GetOperatorResponse:
        plan = self._member.leader().coordinator.plan_of(request.region_id)
        if plan is None:
            raise Refused("REGION_NOT_FOUND", f"nothing was planned for region {request.region_id} lately")
        return pb.GetOperatorResponse(
            region_id=request.region_id,
            desc=str(plan).encode(),
            status=pb.OperatorStatus.Name(plan.end.value),
            kind=plan.kind.value.encode(),
        )


def _answer(report: RegionReport) -> pb.GetRegionResponse:
    told = region_answer(report)
    return pb.GetRegionResponse(
        region=told.region, leader=told.leader, down_peers=told.down_peers, pending_peers=told.pending_peers
    )


def _check_count(count: int) -> None:
    """Raises Refused: the loop would be busy for too long."""
    if count > ASKED_MAX:
        raise Refused("INVALID_VALUE", f"{count} at once are too many to ask for, at most {ASKED_MAX}")


def _united(ranges: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """The same keys in ranges that are in order and apart; an empty end has nothing above it."""
    lo = hi = None
    for start, end in sorted(ranges):
        if lo is None or hi is None:
            lo, hi = start, end
        elif hi and start > hi:
            yield lo, hi
            lo, hi = start, end
        elif hi:
            hi = max(hi, end) if end else end
    if lo is not None and hi is not None:
        yield lo, hi


def _check_whole(part: list[RegionReport], start_key: bytes, end_key: bytes) -> None:
    """Raises Refused when there is a gap."""
    at: bytes | None = start_key
    for report in part:
        if at is None or report.region.start_key > at:
            break
        at = report.region.end_key or None
    if at is None or (end_key and at >= end_key):
        return
    raise Refused("REGIONS_NOT_CONTAIN_ALL_KEY_RANGE", f"no leader told of a region that holds key {at.hex()}")


def _percent(part: int, whole: int) -> int:
    return 100 if not whole else 100 * part // whole
