"""What a server sees of a store: regions to read from and to write to.

`RegionStore` implements it over Raft; a standalone engine may implement it too. Keys are users' keys.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from raftly.base.region import Peer, Region, RegionEpoch, RegionId
from raftly.base.types import Term
from raftly.engine.base import KeyValue
from raftly.node.group import Waiter
from raftly.store.ops import Op


@final
@dataclass(frozen=True, slots=True)
class RequestContext:
    """Which replica of which region, as its caller knows it, a request is for."""

    region_id: RegionId
    epoch: RegionEpoch
    peer: Peer
    term: Term = 0
    """Of the leadership that the caller knows; 0: none."""
    replica_read: bool = False
    """Any replica will do, once it has confirmed that it is up to date."""
    stale_read: bool = False


class RegionReader(Protocol):
    """The keys of a region at one moment: for the turn of the loop in which it was given, longer after `pin`.

    A key outside the region raises KeyNotInRegion; ranges are clipped to it.
    """

    @property
    def region(self) -> Region:
        """Which, as of the moment."""
        ...

    def get(self, cf: str, key: bytes) -> bytes | None:
        """The value of a key; None where there is none."""
        ...

    def get_many(self, cf: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of many keys, in their order."""
        ...

    def scan(
        self, cf: str, lo: bytes, hi: bytes, limit: int, *, reverse: bool = False, keys_only: bool = False
    ) -> list[KeyValue]:
        """The first `limit` keys in [lo, hi) and their values, ascending; with `reverse` the last ones, descending.

        An empty `hi` has nothing above it. With `keys_only` every value is empty.
        """
        ...

    def pin(self) -> None:
        """Hold the moment for later turns; `close` must follow."""
        ...

    def close(self) -> None:
        """Done with it; needed after `pin`, always fine."""
        ...


class KvBackend(Protocol):
    """Reads and writes of regions.

    Checks are made in TiKV's order: StoreNotMatch, RegionNotFound, MismatchPeerId, NotRegionLeader, StaleCommand,
    EpochNotMatch, KeyNotInRegion.
    """

    def read_now(self, ctx: RequestContext) -> RegionReader | None:
        """Read at once, by the leader's lease; None: there is none now, `read` has to ask.

        Raises:
            RegionError: the request is for somebody else, or later.
        """
        ...

    async def read(self, ctx: RequestContext, deadline: float) -> RegionReader:
        """Read what is no older than the moment of asking. `deadline` is of the loop's time.

        Raises:
            RegionError: the request is for somebody else, or later; ReadIndexNotReady when nobody confirmed in time.
        """
        ...

    def submit(self, ctx: RequestContext, ops: Sequence[Op], deadline: float, waiter: Waiter) -> None:
        """As `write`, without a future: the waiter is told in the turn that knows, of errors too."""
        ...

    def write(self, ctx: RequestContext, ops: Sequence[Op], deadline: float) -> Awaitable[list[object]]:
        """Do all ops at once or none: one result for each, as the ops say. `deadline` is of the loop's time.

        Await it only once. These are raised by the call itself or by awaiting it:

        Raises:
            RegionError: nothing was written, and will not be.
            LimitExceeded: too large; nothing was written.
            DiskFull: nothing was written.
            OutcomeUnknown: it may or may not be written.
        """
        ...

    async def split(self, ctx: RequestContext, keys: Sequence[bytes], deadline: float) -> list[Region]:
        """Cut the region at these keys, as far as it is not; the parts, in order. `deadline` is of the loop's time.

        Raises:
            RegionError: it was not split, or not at all of them.
            OutcomeUnknown: it may or may not be split.
            RaftlyError: there are no ids for new regions.
        """
        ...

    def will_expire(self, region_id: RegionId, second: int) -> None:
        """Whoever is about to write a value that expires says when: it is taken away some time after."""
        ...
