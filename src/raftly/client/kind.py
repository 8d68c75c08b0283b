"""Kind: what a request does if it is sent twice, and so whether it is sent again when its answer was lost."""

from __future__ import annotations

from enum import Enum

__all__ = ["Kind"]


class Kind(Enum):
    """What a request does if it is sent twice."""

    READ = "read"  # nothing
    WRITE = "write"  # what it did the first time
    ONCE = "once"  # something else: it is sent again only if it certainly did nothing
