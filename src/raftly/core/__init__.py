"""Raft without I/O: messages, ticks and proposals in; a Ready, with all there is to do, out.

The core holds no socket, file, clock, thread, logger or random source of its own. What it promises:

1. At most one leader a term (thesis §3.4), for a vote leaves only after it is durable.
2. A leader only appends to its log; an entry that it committed is in the log of every later leader (§3.6).
3. `applied <= applying <= committed <= last_index`, none of them ever falls, and committed entries never change.
4. Nothing that speaks of this node's disk is sent before that is durable: it waits in `after_append`.
5. What a peer sends can be refused, but never breaks the node: refusal comes before any change.

Reading order: `raw_node` (the handle), `ready` (its output), `raft` (state and roles), `dispatch` (who handles what),
then the handlers: `proposals`, `replication`, `following`, `election`, `readindex`, `acks`. Below them are the leaves,
each a small machine with its rules stated: `log` over `unstable` and a `storage`, `tracker`, `quorum`, `confchange`.
Beside them: `admission` (what may come in), `trace` (what happened), `describe` and `logtext` (how that reads).
"""

from raftly.core.config import Config, ReadOnlyOption
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.ready import Ready
from raftly.core.role import Role
from raftly.core.status import BasicStatus, SoftState, Status
from raftly.core.storage import FetchContext, LogReader

__all__ = [
    "BasicStatus",
    "Config",
    "FetchContext",
    "LogReader",
    "MemoryStorage",
    "Message",
    "RawNode",
    "ReadOnlyOption",
    "ReadState",
    "Ready",
    "Role",
    "SoftState",
    "Status",
]
