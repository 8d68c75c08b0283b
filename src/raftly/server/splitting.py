"""SplitRegion: a client's word to cut a region at some keys. The new regions' ids are the placement driver's."""

from __future__ import annotations

from typing import Final, final

from raftly.base.memcomparable import encode_bytes
from raftly.base.region_errors import RegionError, ServerIsBusy
from raftly.client.wire import region_message
from raftly.errors import LimitExceeded, OutcomeUnknown, RaftlyError
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.rpc import RpcError
from raftly.server.commands import InvalidRequest
from raftly.server.contexts import Contexts
from raftly.store.kv import KvBackend

__all__ = ["RegionSplitter"]

_BACKOFF_MS: Final = 500


@final
class RegionSplitter:
    """Splits regions of one store."""

    def __init__(self, backend: KvBackend, contexts: Contexts, key_bytes_max: int) -> None:
        self._backend = backend
        self._contexts = contexts
        self._key_bytes_max = key_bytes_max

    async def split(self, request: pb.SplitRegionRequest, deadline: float) -> pb.SplitRegionResponse:
        """Cut it; where a cut is already, nothing is done. Without `is_raw_kv` keys are in the form of transactions."""
        ctx = self._contexts.of(request.context)
        keys = [request.split_key] if request.split_key else list(request.split_keys)
        if not keys or not all(keys):
            raise InvalidRequest("a region is split at keys: none is given, or an empty one, which begins all")
        longest = max(map(len, keys))
        if longest > self._key_bytes_max:
            raise LimitExceeded("key_bytes", longest, self._key_bytes_max)
        if not request.is_raw_kv:
            keys = [encode_bytes(key) for key in keys]
        try:
            parts = await self._backend.split(ctx, keys, deadline)
        except (RegionError, OutcomeUnknown, RpcError):
            raise
        except RaftlyError as error:
            raise ServerIsBusy(f"the placement driver gave no ids for new regions: {error}", _BACKOFF_MS) from error
        regions = [region_message(part) for part in parts]
        return pb.SplitRegionResponse(left=regions[0], right=regions[1] if len(regions) > 1 else None, regions=regions)
