"""HandingOver: the part of a node that gives leadership away."""

from __future__ import annotations

import asyncio

from raftly.base.types import NO_NODE, NodeId
from raftly.core.role import Role
from raftly.errors import ConfigError, NotLeader, OutcomeUnknown, RaftlyError
from raftly.node.config import NodeConfig
from raftly.node.group import Group


class HandingOver:
    """Source: Raft thesis §3.10."""

    config: NodeConfig
    failure: RaftlyError | None
    _group: Group
    _leader_changed: asyncio.Event

    async def transfer_leader(self, to: NodeId, *, within: float | None = None) -> None:
        """Have a voter lead instead of this node; returns when this node knows that it does.

        Raises:
            NotLeader: this node does not lead.
            ConfigError: `to` is no voter.
            OutcomeUnknown: it took longer than `within` seconds (`call_timeout`), or another node leads now.
        """
        raft = self._group.raw.raft
        if raft.role is not Role.LEADER:
            raise NotLeader(raft.leader)
        if to not in raft.tracker.config.voters.ids():
            raise ConfigError("to", f"is node {to}, which is no voter")
        if to == raft.id:
            return
        self._group.act(lambda raw: raw.transfer_leader(to))
        try:
            async with asyncio.timeout(within or self.config.call_timeout):
                while raft.leader in (raft.id, NO_NODE) and self.failure is None:
                    self._leader_changed.clear()
                    await self._leader_changed.wait()
        except TimeoutError:
            pass
        if raft.leader != to:
            raise OutcomeUnknown(f"node {to} does not lead yet, as far as is known")
