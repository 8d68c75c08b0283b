"""What holds until a moment of log time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Final, Protocol, TypeVar

from raftly.errors import RaftlyError
from raftly.node.log_time import log_time_us

K = TypeVar("K")

TTL_MIN: Final = 0.001
TTL_MAX: Final = 86_400.0 * 366


class BadTimeToLive(RaftlyError):
    """`ttl`, in seconds, is not in [TTL_MIN, TTL_MAX]: a millisecond, a year."""

    code: ClassVar[str] = "bad_time_to_live"

    def __init__(self, ttl: float) -> None:
        super().__init__(ttl)
        self.ttl = ttl

    def __str__(self) -> str:
        return f"a time to live of {self.ttl} s does not lie in [{TTL_MIN:g}, {TTL_MAX:.0f}] s"


class Ending(Protocol):
    """Something with an end."""

    @property
    def until_us(self) -> int:
        """Log time from which on it does not hold any more."""
        ...


def until_us(ttl: float) -> int:
    """The log time `ttl` seconds from now.

    Raises:
        BadTimeToLive: it is not in [TTL_MIN, TTL_MAX].
    """
    if not TTL_MIN <= ttl <= TTL_MAX:
        raise BadTimeToLive(ttl)
    return log_time_us() + int(ttl * 1e6)


def ended(endings: Iterable[tuple[K, Ending]]) -> list[K]:
    """The keys of those that do not hold any more, in their order."""
    now_us = log_time_us()
    return [key for key, ending in endings if ending.until_us <= now_us]


def earliest(endings: Iterable[Ending]) -> int | None:
    """When the first one ends; None if there is none."""
    return min((ending.until_us for ending in endings), default=None)


def sooner(one: int | None, other: int) -> int:
    """The earlier of two moments, the first of which there may not be."""
    return other if one is None else min(one, other)
