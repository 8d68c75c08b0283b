"""Safe points: below which no transaction may read any more, and below which old versions may be removed.

    gc safe point  <=  txn safe point  <=  every barrier, and every safe point of a service

Nothing goes back. A barrier, or a service's safe point, keeps the txn safe point from going beyond it until it is
removed or its time is over. Source: the messages of kvproto's pdpb about GC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, final

from raftly.pd.errors import Refused

FOREVER: Final = (1 << 63) - 1
"""Seconds to live of what never expires, as pdpb has it."""
HELD_MAX: Final = 1000
"""Barriers, and services, that there may be at once."""
NAME_CHARS_MAX: Final = 256
GC_WORKER: Final = "gc_worker"
"""The service by which older clients mean the txn safe point."""


@final
@dataclass(slots=True)
class Barrier:
    """Keeps what is at or above `ts`. `until_us` is log time; 0: for ever."""

    ts: int
    until_us: int = 0

    def ttl_s(self, now_us: int) -> int:
        """Seconds that it has left."""
        return max(0, (self.until_us - now_us) // 1_000_000) if self.until_us else FOREVER


@final
@dataclass(slots=True)
class SafePoints:
    """See the module. Part of the replicated state; `now_us` is log time."""

    gc: int = 0
    txn: int = 0
    barriers: dict[str, Barrier] = field(default_factory=dict)
    services: dict[str, Barrier] = field(default_factory=dict)

    def expire(self, now_us: int) -> None:
        """Let go what is over."""
        self.services.pop(GC_WORKER, None)  # once it had a safe point of its own
        for held in (self.barriers, self.services):
            for name in [name for name, barrier in held.items() if barrier.until_us and barrier.until_us <= now_us]:
                del held[name]

    def advance_txn(self, target: int, now_us: int) -> tuple[int, int, str]:
        """The txn safe point before and after, and what stood in the way, if anything.

        Raises:
            Refused: the target lies below it.
        """
        self.expire(now_us)
        before = self.txn
        if target < before:
            raise Refused("INVALID_VALUE", f"the txn safe point is {before}, it does not go back to {target}")
        blockers = [(barrier.ts, f"barrier {name}") for name, barrier in sorted(self.barriers.items())]
        blockers += [(barrier.ts, f"service {name}") for name, barrier in sorted(self.services.items())]
        lowest, name = min(blockers, default=(target, ""))
        self.txn = max(before, min(target, lowest))
        return before, self.txn, name if self.txn < target else ""

    def advance_gc(self, target: int) -> tuple[int, int]:
        """The gc safe point before and after.

        Raises:
            Refused: the target lies below it, or beyond the txn safe point.
        """
        before = self.gc
        if target < before:
            raise Refused("INVALID_VALUE", f"the gc safe point is {before}, it does not go back to {target}")
        if target > self.txn:
            raise Refused("INVALID_VALUE", f"the gc safe point cannot pass the txn safe point {self.txn} to {target}")
        self.gc = target
        return before, target

    def update_gc(self, target: int, now_us: int) -> int:
        """The gc safe point afterwards, as older clients move it: never back, and the txn safe point before it.

        Like that one it goes as far as it may.
        """
        self.advance_txn(max(target, self.txn), now_us)
        self.gc = max(self.gc, min(target, self.txn))
        return self.gc

    def set_barrier(self, name: str, ts: int, ttl_s: int, now_us: int) -> None:
        """Put up a barrier, or move it.

        Raises:
            Refused: no time to live, no name, or below the txn safe point; there are too many.
        """
        if ttl_s <= 0 or not name:
            raise Refused("INVALID_VALUE", "a barrier needs a name and a time to live above 0")
        if ts < self.txn:
            raise Refused("INVALID_VALUE", f"a barrier at {ts} lies below the txn safe point {self.txn}")
        self.expire(now_us)
        _check_room(self.barriers, name)
        self.barriers[name] = Barrier(ts, _until(ttl_s, now_us))

    def delete_barrier(self, name: str, now_us: int) -> Barrier | None:
        """Take a barrier down; what it was."""
        self.expire(now_us)
        return self.barriers.pop(name, None)

    def update_service(self, name: str, ts: int, ttl_s: int, now_us: int) -> tuple[str, int, int]:
        """A service's safe point, as older clients set it: the service with the lowest, its seconds to live, and it.

        One below the txn safe point is not taken, and the answer tells: the lowest is above it. No time to live removes
        it. `GC_WORKER`'s is the txn safe point, and moves it.

        Raises:
            Refused: there are too many.
        """
        self.expire(now_us)
        if ttl_s <= 0:
            self.services.pop(name, None)
        elif name == GC_WORKER:
            self.advance_txn(max(ts, self.txn), now_us)
        elif ts >= self.txn:
            _check_room(self.services, name)
            self.services[name] = Barrier(ts, _until(ttl_s, now_us))
        held = {GC_WORKER: Barrier(self.txn)} | self.services
        lowest = min(held, key=lambda each: (held[each].ts, each))
        return lowest, held[lowest].ttl_s(now_us), held[lowest].ts


def _check_room(held: Mapping[str, Barrier], name: str) -> None:
    """Raises Refused: a name that is too long, or one too many."""
    if len(name) > NAME_CHARS_MAX:
        raise Refused("INVALID_VALUE", f"a name of {len(name)} characters is too long, at most {NAME_CHARS_MAX}")
    if name not in held and len(held) >= HELD_MAX:
        raise Refused("INVALID_VALUE", f"there are {len(held)} already, no more are possible")


def _until(ttl_s: int, now_us: int) -> int:
    """0 stands for so long that nobody will see its end."""
    return 0 if ttl_s >= 1 << 40 else now_us + ttl_s * 1_000_000
