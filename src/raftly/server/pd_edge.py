"""What all handlers of the placement driver share: headers, refusals, who may answer; and our values as messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, Protocol, TypeVar, final

from raftly.base.heartbeats import DownPeer, RegionReport
from raftly.base.operators import ChangePeers, MergeInto, Operator, PeerChange, SplitRegion, TransferLeader
from raftly.client.wire import epoch_message, peer_message, peer_of, region_message, region_of
from raftly.errors import DecodeError, LimitExceeded, NotLeader, RaftlyError, Retry
from raftly.pd.errors import NotReady, Refused
from raftly.pd.member import Member
from raftly.pd.region_tree import StaleRegion
from raftly.proto import eraftpb_pb2
from raftly.proto import pdpb_pb2 as pb
from raftly.rpc import Method, RpcError, ServerCall, StatusCode, bind
from raftly.rpc.service import Bound

PATIENCE_S: Final = 1.0
"""How long a request waits for what is about to be known; clients that are known give up after 2 s."""


class Header(Protocol):
    """Of a request."""

    @property
    def cluster_id(self) -> int: ...


class HasHeader(Protocol):
    """A request."""

    @property
    def header(self) -> Header: ...


class HasResponseHeader(Protocol):
    """A response."""

    @property
    def header(self) -> pb.ResponseHeader: ...


Request = TypeVar("Request", bound=HasHeader)
Response = TypeVar("Response", bound=HasResponseHeader)
V = TypeVar("V")


@final
class Edge:
    """Between handlers and one member."""

    def __init__(self, member: Member) -> None:
        self.member: Final = member

    def unary(
        self, method: Method[Request, Response], handler: Callable[[Request], Coroutine[object, object, Response]]
    ) -> Bound:
        """A handler of this member: its refusals become headers, all else becomes a status."""

        async def answer(request: Request, call: ServerCall) -> Response:
            try:
                self.check(request.header)
                response = await self.ready(lambda: handler(request))
            except Refused as refused:
                response = method.decode_response(b"")
                response.header.error.CopyFrom(error_message(refused))
            except StaleRegion as stale:
                response = method.decode_response(b"")
                response.header.error.type = pb.ErrorType.UNKNOWN
                response.header.error.message = str(stale)
            except RaftlyError as error:
                raise status_of(error) from error
            response.header.cluster_id = self.member.state.cluster_id
            return response

        return bind(method, answer)

    def header(self) -> pb.ResponseHeader:
        """Of an answer in a stream."""
        return pb.ResponseHeader(cluster_id=self.member.state.cluster_id)

    def check(self, header: Header) -> None:
        """Is the request for this cluster? One that does not know yet which it is says 0.

        Raises:
            RpcError: it is for another one.
        """
        own = self.member.state.cluster_id
        if header.cluster_id not in (0, own):
            raise RpcError(
                StatusCode.FAILED_PRECONDITION, f"mismatch cluster id, need {own} but got {header.cluster_id}"
            )

    async def ready(self, make: Callable[[], Awaitable[V]]) -> V:
        """What it gives, as soon as this member is ready to lead; whoever does not lead says so at once."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                return await make()
            except NotReady:
                await self.next_ranges(deadline)

    async def next_ranges(self, deadline: float) -> None:
        """Wait until regions or leadership changed.

        Raises:
            NotReady: not until the deadline.
        """
        try:
            async with asyncio.timeout_at(deadline):
                await self.member.next_ranges()
        except TimeoutError:
            raise NotReady from None


def error_message(refused: Refused) -> pb.Error:
    """A refusal for a header."""
    return pb.Error(type=pb.ErrorType.Name(pb.ErrorType.Value(refused.kind)), message=str(refused))


def status_of(error: RaftlyError) -> RpcError:
    """How a call ends that could not be answered here. The words for a follower are those that clients look for."""
    if isinstance(error, RpcError):
        return error
    if isinstance(error, NotLeader):
        return RpcError(StatusCode.UNAVAILABLE, "not leader")
    if isinstance(error, LimitExceeded | DecodeError):
        return RpcError(StatusCode.INVALID_ARGUMENT, str(error))
    if error.retry is Retry.NEVER:
        return RpcError(StatusCode.INTERNAL, f"{error.code}: {error}")
    return RpcError(StatusCode.UNAVAILABLE, f"{error.code}: {error}")


# --- heartbeats ------------------------------------------------------------------------------------------------


def report_of(message: pb.RegionHeartbeatRequest) -> RegionReport:
    """What a region's leader tells.

    Raises:
        DecodeError: a peer has a role that does not exist.
    """
    interval = message.interval
    return RegionReport(
        region_of(message.region),
        peer_of(message.leader),
        message.term,
        message.approximate_size,
        message.approximate_keys,
        message.bytes_written,
        message.keys_written,
        message.bytes_read,
        message.keys_read,
        max(0, interval.end_timestamp - interval.start_timestamp),
        tuple(DownPeer(peer_of(down.peer), down.down_seconds) for down in message.down_peers),
        tuple(map(peer_of, message.pending_peers)),
    )


def step_message(operator: Operator, header: pb.ResponseHeader) -> pb.RegionHeartbeatResponse:
    """A step for a region's leader."""
    message = pb.RegionHeartbeatResponse(
        header=header,
        region_id=operator.region_id,
        region_epoch=epoch_message(operator.epoch),
        target_peer=peer_message(operator.leader),
    )
    step = operator.step
    if isinstance(step, TransferLeader):
        message.transfer_leader.peer.CopyFrom(peer_message(step.peer))
    elif isinstance(step, ChangePeers):
        if len(step.changes) == 1:
            message.change_peer.CopyFrom(_change_message(step.changes[0]))
        else:
            message.change_peer_v2.CopyFrom(pb.ChangePeerV2(changes=map(_change_message, step.changes)))
    elif isinstance(step, SplitRegion):
        policy = pb.CheckPolicy.Name(step.policy)
        message.split_region.CopyFrom(pb.SplitRegion(policy=policy, keys=step.keys))
    else:
        assert isinstance(step, MergeInto)
        message.merge.target.CopyFrom(region_message(step.target))
    return message


def _change_message(change: PeerChange) -> pb.ChangePeer:
    kind = eraftpb_pb2.ConfChangeType.Name(change.kind)
    return pb.ChangePeer(peer=peer_message(change.peer), change_type=kind)


def region_answer(report: RegionReport) -> pb.Region:
    """A region for a client."""
    return pb.Region(
        region=region_message(report.region),
        leader=peer_message(report.leader),
        down_peers=(pb.PeerStats(peer=peer_message(d.peer), down_seconds=d.down_s) for d in report.down_peers),
        pending_peers=map(peer_message, report.pending_peers),
    )
