"""Queue: values in order, taken exactly once, or reserved until they are done."""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import ClassVar, Final, Generic, TypeVar, final

from raftly.errors import LimitExceeded, RaftlyError, Retry
from raftly.node.commands import command, query
from raftly.node.log_time import log_time_us
from raftly.node.structures.deadlines import BadTimeToLive, earliest, ended, sooner, until_us
from raftly.node.structures.order import check_limit
from raftly.node.values import encode_value

V = TypeVar("V")

TAKE_BYTES: Final = 8 << 20
"""Of the values that one `take` removes, if they are more than one: half of what a caller elsewhere can be answered."""


class QueueFull(RaftlyError):
    """The queue holds as many values as it may, `bound`; nothing was put."""

    code: ClassVar[str] = "queue_full"
    retry: ClassVar[Retry] = Retry.BACKOFF

    def __init__(self, bound: int) -> None:
        super().__init__(bound)
        self.bound = bound

    def __str__(self) -> str:
        return f"the queue holds {self.bound} values, as many as it may"


@final
@dataclass(frozen=True, slots=True)
class Reservation(Generic[V]):
    """A value that nobody else gets before `until_us`, in log time. `receipt` names it when it is done."""

    receipt: int
    value: V
    until_us: int


@final
@dataclass(frozen=True, slots=True)
class Outstanding:
    """What the queue remembers of a reservation."""

    number: int  # of the value
    until_us: int


@dataclass(slots=True)
class Queue(Generic[V]):
    """First in, first out, at most `items_max` values, those that are reserved included. `items_max` is state.

    Two ways to get a value:

    - `take` removes it. In a session the caller gets it exactly once, however often the call has to be retried. If the
      caller dies before it has done anything with it, it is gone: at most once, seen from the work. Without a session,
      after `OutcomeUnknown`, it may be gone likewise.
    - `reserve` hides it for some time, `ack` removes it. What was not acknowledged in time goes back to its old place,
      so whoever dies loses nothing, and whoever is slow finds that another has done the work too: at least once. A
      receipt is good for one reservation, so a late `ack` cannot remove what somebody else works on.

    Reservations end by log time. Values that went back come before younger ones; those that are reserved meanwhile are
    overtaken.
    """

    errors: ClassVar[tuple[type[Exception], ...]] = (BadTimeToLive, LimitExceeded, QueueFull)

    items_max: int = 10_000
    last_number: int = 0  # of values, in the order of putting
    last_receipt: int = 0
    items: dict[int, V] = field(default_factory=dict)  # by number
    ready: list[int] = field(default_factory=list)  # a heap: numbers of items that are not reserved
    reserved: dict[int, Outstanding] = field(default_factory=dict)  # by receipt
    sweep_us: int | None = None  # no reservation ends before; None: there is none

    @command
    def put(self, value: V) -> int:
        """Append a value; its number, one higher than that of the last.

        Raises:
            QueueFull: there are `items_max` already.
        """
        if len(self.items) >= self.items_max:
            raise QueueFull(self.items_max)
        self.last_number += 1
        self.items[self.last_number] = value
        heappush(self.ready, self.last_number)
        return self.last_number

    @command
    def take(self, limit: int = 1) -> list[V]:
        """Remove the oldest values, at most `limit` (up to 1,000); none if there are none.

        Fewer if they are large: no more than TAKE_BYTES together, but one at least. So what was removed can be told.

        Raises:
            LimitExceeded: `limit` is not in [1, 1000].
        """
        check_limit(limit)
        self.on_time()
        count = min(limit, len(self.ready))
        taken: list[V] = []
        room = TAKE_BYTES
        while len(taken) < count:
            if count > 1:
                room -= _bytes_of(self.items[self.ready[0]])
                if room < 0 and taken:
                    break
            taken.append(self.items.pop(heappop(self.ready)))
        return taken

    @command
    def reserve(self, ttl: float) -> Reservation[V] | None:
        """Hide the oldest value from others for `ttl` seconds of log time; None if there is none.

        Raises:
            BadTimeToLive: `ttl` is not between a millisecond and a year.
        """
        ends_us = until_us(ttl)
        self.on_time()
        if not self.ready:
            return None
        number = heappop(self.ready)
        self.last_receipt += 1
        self.reserved[self.last_receipt] = Outstanding(number, ends_us)
        self.sweep_us = sooner(self.sweep_us, ends_us)
        return Reservation(self.last_receipt, self.items[number], ends_us)

    @command
    def ack(self, receipt: int) -> bool:
        """The reserved value is done, remove it. False: the reservation had ended, so another may have it."""
        self.on_time()
        outstanding = self.reserved.pop(receipt, None)
        if outstanding is None:
            return False
        del self.items[outstanding.number]
        return True

    @command
    def give_back(self, receipt: int) -> bool:
        """End a reservation before its time. False: it had ended."""
        self.on_time()
        outstanding = self.reserved.pop(receipt, None)
        if outstanding is None:
            return False
        heappush(self.ready, outstanding.number)
        return True

    @query
    def size(self) -> int:
        """How many values there are, reserved or not."""
        return len(self.items)

    @query
    def waiting(self) -> int:
        """How many values could be taken now."""
        return len(self.ready) + len(ended(self.reserved.items()))

    # --- time ---

    def due_us(self) -> int | None:
        """See `Timed.due_us`."""
        return self.sweep_us

    def on_time(self) -> None:
        """See `Timed.on_time`: what was reserved for too long goes back."""
        if self.sweep_us is None or log_time_us() < self.sweep_us:
            return
        for receipt in ended(self.reserved.items()):
            heappush(self.ready, self.reserved.pop(receipt).number)
        self.sweep_us = earliest(self.reserved.values())


def _bytes_of(value: object) -> int:
    """Of its form in an answer. What has none is not answered with: the queue is inside of a class that keeps it."""
    try:
        return len(encode_value(value))
    except RaftlyError:
        return 0
