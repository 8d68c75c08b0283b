"""Ready-made classes to replicate, or to hold as fields of one's own class. `docs/structures.md` is for users.

1. A command is linearizable: it happens once, between its call and its result. What is known when there is no result is
   said at each class.
2. Queries are as fresh as the read that was asked for.
3. Time is log time: replicas agree on when a lease or a reservation ends.
4. What these classes hold is bounded by options, which are part of the state.

Reading order: `counter`, `order`, `set`, `dict`, `watch`, `deadlines`, `queue`, `lock`, `hold`, `election`.
"""

from raftly.node.structures.counter import Counter
from raftly.node.structures.deadlines import BadTimeToLive
from raftly.node.structures.dict import Change, Dict, HistoryGone, Item, Page
from raftly.node.structures.election import Election, lead, observe
from raftly.node.structures.hold import LockCalls, held, hold
from raftly.node.structures.lock import HeldBy, Lease, LeaseLost, Locks
from raftly.node.structures.queue import Queue, QueueFull, Reservation
from raftly.node.structures.set import Set
from raftly.node.structures.watch import Watch, watch

__all__ = [
    "BadTimeToLive",
    "Change",
    "Counter",
    "Dict",
    "Election",
    "HeldBy",
    "HistoryGone",
    "Item",
    "Lease",
    "LeaseLost",
    "LockCalls",
    "Locks",
    "Page",
    "Queue",
    "QueueFull",
    "Reservation",
    "Set",
    "Watch",
    "held",
    "hold",
    "lead",
    "observe",
    "watch",
]
