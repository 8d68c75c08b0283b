"""Raft groups on asyncio: what the core leaves to its user, done once.

1. Nothing is sent or told that this node's disk does not hold yet, unless the core said it may be.
2. One append and one sync a round for all groups; the network does not wait for the disk, nor the disk for the network.
3. A proposal ends in its result, in an error that says it was not taken, or in OutcomeUnknown; never in silence.
4. Replicas that applied the same entries are equal to the last byte; one that cannot be sure of that stops.

Reading order: `group` and `driver` (any group), `values`, `shapes` and `commands` (calls as bytes), `machine` (a class
and its sessions), `state` and `snapshots` (all of it as a stream, and as files), `log_time`, `reads` and `session`
(callers), `founding`, `roster`, `membership` and `changing` (who belongs to a group), `replicated` (all of it at
once), `replicate` (the short way in), `structures` (ready-made classes). Callers elsewhere: `requests` (bytes),
`service` (the node's side), `route` and `remote` (theirs); `blocking` is all of it without asyncio. What a node tells:
`events`, `health`, `metrics`, `logs`, `digests`, wired by `observed`. `docs/node.md` and `docs/observe.md` are for
users.
"""

from raftly.node.commands import command, query, schema
from raftly.node.config import NodeConfig
from raftly.node.driver import Driver, DriverOptions
from raftly.node.events import Leadership, Level, Members
from raftly.node.group import Group, GroupHandler, Proposal
from raftly.node.health import Health, Verdict
from raftly.node.log_time import Timed, log_time_us
from raftly.node.membership import Member, MemberRole
from raftly.node.metrics import Metrics
from raftly.node.reads import FOLLOWER, LEASE, LOCAL, STRONG, Freshness, Proof, Read, bounded
from raftly.node.remote import Remote, RemoteOptions, RemoteSession, connect
from raftly.node.replicate import replicate
from raftly.node.replicated import Replicated
from raftly.node.serve import serve
from raftly.node.session import Session

__all__ = [
    "FOLLOWER",
    "LEASE",
    "LOCAL",
    "STRONG",
    "Driver",
    "DriverOptions",
    "Freshness",
    "Group",
    "GroupHandler",
    "Health",
    "Leadership",
    "Level",
    "Member",
    "MemberRole",
    "Members",
    "Metrics",
    "NodeConfig",
    "Proof",
    "Proposal",
    "Read",
    "Remote",
    "RemoteOptions",
    "RemoteSession",
    "Replicated",
    "Session",
    "Timed",
    "Verdict",
    "bounded",
    "command",
    "connect",
    "log_time_us",
    "query",
    "replicate",
    "schema",
    "serve",
]
