"""Contexts: which region, and which replica of it, a request is for; kvrpcpb.Context as the store takes it.

A client sends the same context with every request for a region, so what it comes to is kept by its bytes.
"""

from __future__ import annotations

from typing import Final, final

from raftly.base.region import Peer, RegionEpoch
from raftly.base.region_errors import DataIsNotReady
from raftly.proto import kvrpcpb_pb2
from raftly.rpc import RpcError, StatusCode
from raftly.store.kv import RequestContext

__all__ = ["Contexts"]

_KEPT_MAX: Final = 4096
_KEPT_BYTES_MAX: Final = 256  # of one context: what tags every request differently is not worth keeping


@final
class Contexts:
    """Reads contexts for a store of this cluster; 0: whatever cluster they name."""

    def __init__(self, cluster_id: int = 0) -> None:
        self._cluster_id = cluster_id
        self._kept: dict[bytes, RequestContext] = {}

    def of(self, message: kvrpcpb_pb2.Context) -> RequestContext:
        """The context of a request.

        Raises:
            DataIsNotReady: a stale read: nothing here knows yet how stale it would be.
            RpcError: for another cluster, or in a form of keys that is not served.
        """
        encoded = message.SerializeToString()
        found = self._kept.get(encoded)
        if found is None:
            found = self._read(message)
            if len(encoded) <= _KEPT_BYTES_MAX:
                if len(self._kept) >= _KEPT_MAX:
                    self._kept.clear()
                self._kept[encoded] = found
        if found.stale_read:
            raise DataIsNotReady(found.region_id, found.peer.id)
        return found

    def _read(self, message: kvrpcpb_pb2.Context) -> RequestContext:
        if message.cluster_id and self._cluster_id and message.cluster_id != self._cluster_id:
            problem = f"this is cluster {self._cluster_id}, and the request is for cluster {message.cluster_id}"
            raise RpcError(StatusCode.INVALID_ARGUMENT, problem)
        if message.api_version == kvrpcpb_pb2.APIVersion.V2:
            raise RpcError(StatusCode.INVALID_ARGUMENT, "API V2 is not served: use V1 or V1TTL")
        return RequestContext(
            message.region_id,
            RegionEpoch(message.region_epoch.conf_ver, message.region_epoch.version),
            Peer(message.peer.id, message.peer.store_id),
            message.term,
            message.replica_read,
            message.stale_read,
        )
