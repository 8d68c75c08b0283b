"""A client of the store, and of any TiKV cluster: the same wire.

    async with await RawClient.connect(["127.0.0.1:2379"]) as client:
        await client.put(b"k", b"v")
        assert await client.get(b"k") == b"v"

Invariants:
1. A request ends by its deadline, in one of three ways: done, certainly not done, or OutcomeUnknown.
2. Nothing that a store refuses or a lost link does is told to the caller while there is time to try elsewhere.
3. What is decided about where to go and how long to wait is pure: `region_cache`, `backoff`, `batching`.

Reading order: `region_cache`, `backoff`, `batching`; `wire` (messages and our values); `channels`, `pd`, `tso`;
`regions` (one request to one region, tried until it is done), `raw`; `blocking` (the same without asyncio).
"""

from __future__ import annotations

from raftly.client.errors import ClientClosed, ClientError, NotDone, PlacementRefused, RequestRefused
from raftly.client.pd import PdClient
from raftly.client.raw import RawClient
from raftly.client.regions import ClientOptions

__all__ = [
    "ClientClosed",
    "ClientError",
    "ClientOptions",
    "NotDone",
    "PdClient",
    "PlacementRefused",
    "RawClient",
    "RequestRefused",
]
