"""Changing: the part of a node that changes who belongs to its group. What is behind it is in `membership`."""

from __future__ import annotations

from raftly.base.types import NodeId
from raftly.node.config import NodeConfig
from raftly.node.membership import Member, Membership
from raftly.transport.options import Address


class Changing:
    """Changes of members, which are the leader's: elsewhere they raise `NotLeader`.

    Each may be called again when its outcome is unknown, or on another leader: it does what is not done yet.
    """

    config: NodeConfig
    _membership: Membership

    def member_list(self) -> list[Member]:
        """Everybody who belongs to the group as of the entries applied here, ascending by id."""
        return self._membership.members()

    def address_of(self, id: NodeId) -> Address | None:
        """Where a member is, as far as is known here."""
        return self._membership.address_of(id)

    def announce(self, address: Address) -> None:
        """From now on the others reach this node at `address`; it is replicated as soon as there is a leader.

        Where its transport listens is announced without this, when it is not what the others know.

        Raises:
            ConfigError: not an address.
        """
        self._membership.announce(address)

    async def add(
        self,
        id: NodeId,
        address: Address | None = None,
        *,
        voter: bool = True,
        force: bool = False,
        within: float | None = None,
    ) -> None:
        """Bring a node in: as a learner, and, once it has caught up, as a voter. Start it with `join`, before or after.

        `address` is None where the transport needs none. In all `within` seconds may pass (`change_timeout`).

        Raises:
            NotLeader: ask the node that it names.
            ChangePending: another change is under way.
            LearnerBehind: it did not catch up, and remains a learner.
            IdRetired: a node with this id was removed.
            QuorumAtRisk: with it no majority could be reached; it remains a learner. `force` makes it a voter anyway.
            ConfChangeError: it is a member at another address, or its address is another member's.
            OutcomeUnknown: it may or may not have become a member, or a voter.
            ConfigError: not an id, or not an address.
        """
        await self._membership.add(id, address, voter=voter, force=force, within=self._within(within))

    async def promote(self, id: NodeId, *, force: bool = False, within: float | None = None) -> None:
        """Make a learner a voter, once it has caught up.

        Raises:
            NotLeader, ChangePending, LearnerBehind, IdRetired, QuorumAtRisk, OutcomeUnknown: as `add`.
            ConfChangeError: it is no member.
        """
        await self._membership.promote(id, force=force, within=self._within(within))

    async def remove(self, id: NodeId, *, force: bool = False, within: float | None = None) -> None:
        """Let a member go, for good: its id is not used again.

        Raises:
            NotLeader: as `add`; also when the leader itself is to go: it has handed over to the node that is named,
                and that one is to be asked.
            QuorumAtRisk: of those that would be left no majority can be reached. `force` removes it anyway.
            ChangePending, OutcomeUnknown: as `add`.
            ConfChangeError: it is no member and never was, or the last voter.
        """
        await self._membership.remove(id, force=force, within=self._within(within))

    async def replace(
        self,
        old: NodeId,
        new: NodeId,
        address: Address | None = None,
        *,
        force: bool = False,
        within: float | None = None,
    ) -> None:
        """Put a new node in the place of a member, in one step once it has caught up: so no majority grows meanwhile.

        Raises:
            NotLeader, QuorumAtRisk: as `remove`.
            ChangePending, LearnerBehind, IdRetired, ConfChangeError, OutcomeUnknown, ConfigError: as `add`.
        """
        await self._membership.replace(old, new, address, force=force, within=self._within(within))

    def _within(self, within: float | None) -> float:
        return self.config.change_timeout if within is None else within
