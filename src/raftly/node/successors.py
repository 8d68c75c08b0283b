"""Whom a leader that stops hands over to."""

from __future__ import annotations

from raftly.base.types import NodeId
from raftly.core.raft import Raft
from raftly.core.role import Role
from raftly.node.health import Contacts


def successors(raft: Raft, contacts: Contacts) -> list[NodeId]:
    """The voters that could lead instead of this leader, the best first: heard of lately, then with the longest log."""
    if raft.role is not Role.LEADER:
        return []
    voters = raft.tracker.config.voters.ids()
    rated: list[tuple[bool, int, NodeId]] = []
    for id_, progress in raft.tracker.peers:
        if id_ != raft.id and id_ in voters:
            silent = contacts.silent_ticks(id_)
            heard = id_ not in contacts.lost and silent is not None and silent < raft.config.election_tick
            rated.append((heard, progress.match, id_))
    return [id_ for _, _, id_ in sorted(rated, reverse=True)]
