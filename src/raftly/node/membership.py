"""Membership: who belongs to the group, changed one step at a time by its leader.

    add      learner ──► catches up ──► joint configuration ──► voter
    promote             └─────────────── from here
    replace  the new one as for add, then one joint configuration that brings it and lets the old one go
    remove   a leader hands over first; a voter goes by a joint configuration, a learner at once

Each call looks at what is there already and does the rest, so it may be called again, on another leader too. What is
proposed is decided and proposed in one step of the loop, behind an applied entry of the leader's own term and no other
change, so no two leaders' changes can meet (the bug of single-server changes).

Caught up means, as in the thesis, rounds: in each the learner gets what had been committed when the round began, and it
is caught up by a round no longer than an election time-out. So it lacks no more than comes in such a time.

Each member makes its own address known: when it is not the one in the roster, it proposes it, again after each election
time-out. A leader also enters the addresses that it was started with for members that have none.

Sources: Raft thesis §4.2.1 (rounds), §4.2.2 (removing the leader), §4.3 (joint consensus); the bug: raft-dev, 2015.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, final

from raftly.base.membership import ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState
from raftly.base.types import NO_NODE, Entry, Index, NodeId, Term
from raftly.core.raw_node import RawNode
from raftly.core.role import Role
from raftly.core.storage import LogReader
from raftly.core.tracker import ProgressState
from raftly.errors import (
    ConfChangeError,
    ConfigError,
    DropReason,
    NotLeader,
    OutcomeUnknown,
    ProposalDropped,
    ProposalError,
)
from raftly.node.config import NodeConfig
from raftly.node.errors import ChangePending, IdRetired, LearnerBehind, QuorumAtRisk
from raftly.node.group import Group, Proposal
from raftly.node.roster import GONE, Roster, advance, change_of, check_address, encode_addresses, ids_of, update_change
from raftly.transport.base import Transport
from raftly.transport.options import Address

_log: Final = logging.getLogger("raftly.node")
_ADD: Final = ConfChangeType.ADD_NODE
_ADD_LEARNER: Final = ConfChangeType.ADD_LEARNER_NODE
_REMOVE: Final = ConfChangeType.REMOVE_NODE


class MemberRole(Enum):
    """What a member does."""

    VOTER = "voter"
    LEARNER = "learner"
    LEAVING = "leaving"  # votes until the joint configuration is left


@final
@dataclass(frozen=True, slots=True)
class Member:
    """A member as one node sees it. What only a leader knows is None elsewhere."""

    id: NodeId
    address: Address | None  # None: nobody has said yet where it is
    role: MemberRole
    match: Index | None = None  # its log is known to equal the leader's up to here
    lag: int | None = None  # entries that it lacks
    reachable: bool | None = None  # was it heard within the last election time-out?


@final
class Membership:
    """The membership of one replica, and the changes that are asked for here."""

    def __init__(
        self,
        group: Group,
        roster: Roster,
        transport: Transport,
        config: NodeConfig,
        *,
        place: Callable[[Index, list[Proposal]], None],
        check: Callable[[], None],
        on_removed: Callable[[], None],
    ) -> None:
        self.roster = roster
        self._address = config.address  # None: where the transport listens
        self._group = group
        self._raft = group.raw.raft
        self._transport = transport
        self._patience = config.tick * config.election_tick  # an election time-out
        self._stall = config.catch_up_stall
        self._place = place
        self._check = check  # raises when this node takes no calls
        self._on_removed = on_removed
        self._hints = dict(sorted(config.addresses.items()))
        self._told: dict[NodeId, Address] = {}  # what the transport knows
        self._heard: dict[NodeId, float] = {}
        self._led_term: Term = 0  # the last in which this node led
        self._led_from = 0.0
        self._announce_at = 0.0
        self._moved = asyncio.Event()  # set, and replaced, whenever there may be news
        for id_, hint in self._hints.items():
            transport.set_address(id_, hint)

    # --- what the replica brings ---

    def recover(self, log: LogReader, applied: Index, in_force: Index) -> None:
        """A node starts: its snapshot is in the roster, and what is in force behind it is known to the transport.

        Raises:
            StorageError: the log could not be read.
        """
        begun = log.first_index()
        self.roster.replay(log, begun, applied + 1)  # only a state that is on disk itself is ahead of the snapshot
        ahead = self.roster.copy()
        ahead.replay(log, max(begun, applied + 1), in_force + 1)
        self._tell_transport(ahead)

    def apply(self, entry: Entry, in_force: Index) -> ConfState | None:
        """A configuration entry was committed; up to `in_force` the core has them already. What is new to it.

        Raises:
            ConfChangeError: it does not fit, here as everywhere; nothing was changed.
            MachineFailed: it is of a later version.
        """
        change = change_of(entry)
        is_new = entry.index > in_force
        conf = self._group.raw.apply_conf_change(change) if is_new else advance(self.roster.conf, change)
        was_member = self._raft.id in ids_of(self.roster.conf)
        self.roster.apply(change, conf)
        if entry.index >= in_force:  # before that, the transport knows better
            self._tell_transport(self.roster)
        if was_member and self._raft.id not in ids_of(conf):
            self._on_removed()
        self.ring()
        return conf if is_new else None

    def on_snapshot(self, conf: ConfState) -> None:
        """The whole state was replaced by one with this configuration."""
        self.roster.conf = conf
        self._tell_transport(self.roster)
        self.ring()

    def _tell_transport(self, roster: Roster) -> None:
        """Where the members are, and who is none any more."""
        own = self._raft.id
        present = ids_of(roster.conf)
        for id_, address in sorted(roster.state.members.items()):
            if id_ == own or self._told.get(id_) == address:
                continue
            try:
                if address == GONE:
                    self._transport.expel(id_)
                elif id_ in present:
                    self._transport.set_address(id_, address)
            except ConfigError as error:  # an address that another member may use, and this one not
                _log.warning("node %d cannot be reached from node %d: %s", id_, own, error)
            self._told[id_] = address

    def on_soft_state(self) -> None:
        """Leader or role changed."""
        if self._raft.role is Role.LEADER and self._led_term != self._raft.term:
            self._led_term, self._led_from = self._raft.term, self._now()
        self._announce_at = 0.0 if self._raft.role is Role.LEADER else self._now() + 2 * self._patience
        self.ring()

    def on_tick(self, now: float) -> None:
        """A tick passed."""
        if self._raft.role is Role.LEADER:
            for id_, progress in self._raft.tracker.peers:
                if progress.recent_active:
                    self._heard[id_] = now
        self._announce(now)
        self.ring()

    def ring(self) -> None:
        """There may be news for those who wait."""
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    # --- what callers ask ---

    def address_of(self, id_: NodeId) -> Address | None:
        """See `Changing.address_of`."""
        if id_ == self._raft.id:
            return self._address or self._transport.address
        known = self.roster.state.members.get(id_) or self._hints.get(id_)
        return None if known == GONE else known

    def announce(self, address: Address) -> None:
        """See `Changing.announce`."""
        self._address = check_address(address)
        self._announce_at = 0.0

    def members(self) -> list[Member]:
        """See `Changing.member_list`."""
        return [self._member(id_) for id_ in ids_of(self.roster.conf)]

    def _member(self, id_: NodeId) -> Member:
        conf = self.roster.conf
        role = MemberRole.LEARNER
        if id_ in conf.voters:
            role = MemberRole.VOTER
        elif id_ in conf.voters_outgoing:
            role = MemberRole.LEAVING
        address = self.roster.state.members.get(id_)
        progress = self._raft.tracker.progress.get(id_)
        if self._raft.role is not Role.LEADER or progress is None:
            return Member(id_, address, role)
        last = self._raft.log.last_index
        return Member(id_, address, role, progress.match, last - progress.match, self._reachable(id_))

    async def add(self, id_: NodeId, address: Address | None, *, voter: bool, force: bool, within: float) -> None:
        """See `Changing.add`."""
        until = self._now() + within
        self._lead()
        await self._bring(id_, address, until)
        if voter:
            await self._promote(id_, force, until)
        elif id_ in self.roster.conf.voters:
            raise ConfChangeError(f"node {id_} is a voter already; remove it, and add another")

    async def promote(self, id_: NodeId, *, force: bool, within: float) -> None:
        """See `Changing.promote`."""
        self._lead()
        self._find(id_)
        await self._promote(id_, force, self._now() + within)

    async def remove(self, id_: NodeId, *, force: bool, within: float) -> None:
        """See `Changing.remove`."""
        until = self._now() + within
        self._lead()
        if not self.roster.is_gone(id_):
            self._find(id_)
            await self._settled(until)
            await self._let_go(id_, [], force, until)
        await self._out_of_joint(until)

    async def replace(self, old: NodeId, new: NodeId, address: Address | None, *, force: bool, within: float) -> None:
        """See `Changing.replace`."""
        until = self._now() + within
        self._lead()
        if old == new:
            raise IdRetired(f"node {old} cannot be replaced by itself: give the new node an id of its own")
        if self.roster.is_gone(old):
            await self.add(new, address, voter=True, force=force, within=within)
            return
        self._find(old)
        if old == self._raft.id:
            await self._hand_over()
        await self._bring(new, address, until)
        if old in self.roster.conf.learners:
            await self._change([(_REMOVE, old)], {}, until)
            return
        changes = []
        if new not in self.roster.conf.voters:
            await self._catch_up(new, until)
            changes.append((_ADD, new))
        await self._let_go(old, changes, force, until)

    # --- steps ---

    async def _bring(self, id_: NodeId, address: Address | None, until: float) -> None:
        """Make it a member, if it is none."""
        if not NO_NODE < id_ < 1 << 63:
            raise ConfigError("id", f"is {id_}, it must be in [1, 2**63)")
        if address is not None:
            check_address(address)
        await self._settled(until)
        members = self.roster.state.members
        if self.roster.is_gone(id_):
            raise IdRetired(f"a node {id_} was removed, and ids are not used again: give the new node another")
        known = members.get(id_)
        is_member = id_ in ids_of(self.roster.conf)
        if is_member and address is not None and known is not None and known != address:
            raise ConfChangeError(f"node {id_} is a member already, at {known[0]}:{known[1]}")
        if is_member:
            return
        taken = [other for other, place in sorted(members.items()) if address is not None and place == address]
        if taken:
            raise ConfChangeError(f"node {taken[0]} is at that address already")
        await self._change([(_ADD_LEARNER, id_)], {} if address is None else {id_: address}, until)

    async def _promote(self, id_: NodeId, force: bool, until: float) -> None:
        if id_ not in self.roster.conf.voters:
            await self._catch_up(id_, until)
            await self._settled(until)
            self._find(id_)
            if id_ not in self.roster.conf.voters:
                await self._guard({*self.roster.conf.voters, id_}, force, until)
                await self._change([(_ADD, id_)], {}, until)
        await self._out_of_joint(until)

    async def _let_go(
        self, id_: NodeId, changes: list[tuple[ConfChangeType, NodeId]], force: bool, until: float
    ) -> None:
        """Remove a member, together with other changes."""
        conf = self.roster.conf
        if id_ in conf.voters:
            after = ({*conf.voters} | {other for _, other in changes}) - {id_}
            if not after:
                raise ConfChangeError(f"node {id_} is the last voter: without it there is no group")
            await self._guard(after, force, until)
        if id_ == self._raft.id:
            await self._hand_over()
        await self._change([*changes, (_REMOVE, id_)], {}, until)
        await self._out_of_joint(until)

    async def _change(
        self, changes: list[tuple[ConfChangeType, NodeId]], addresses: dict[NodeId, Address], until: float
    ) -> None:
        """Propose one change, and wait until it is applied here."""
        await self._settled(until)
        voters = set(self.roster.conf.voters)
        joint = any(type_ is _ADD or id_ in voters for type_, id_ in changes)
        change = ConfChangeV2(
            tuple(ConfChangeSingle(type_, id_) for type_, id_ in changes),
            ConfChangeTransition.JOINT_IMPLICIT if joint else ConfChangeTransition.AUTO,
            encode_addresses(addresses),
        )
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        proposal = Proposal(b"", future, until)
        self._group.act(lambda raw: self._propose(raw, change, proposal))
        result = await future
        if isinstance(result, Exception):
            raise result
        await self._out_of_joint(until)

    def _propose(self, raw: RawNode, change: ConfChangeV2, proposal: Proposal) -> None:
        index = raw.propose_conf_change(change)
        if raw.raft.pending_conf_index != index:
            raise ChangePending("another change of members is under way")
        proposal.term = raw.raft.term
        self._place(index, [proposal])

    async def _settled(self, until: float) -> None:
        """Wait an election time-out at most until nothing stands in the way of a change."""
        until = min(until, self._now() + self._patience)
        raft = self._raft
        while (
            self.roster.conf.voters_outgoing or raft.pending_conf_index > raft.log.applied or not raft.applied_in_term()
        ):
            self._lead()
            if self._now() >= until:
                raise ChangePending("another change of members, or this leader's first entry, is not through yet")
            await self._moved.wait()
        self._lead()

    async def _out_of_joint(self, until: float) -> None:
        """Wait until both majorities have agreed, and the old one is let go. The leader sees to that by itself."""
        while self.roster.conf.voters_outgoing:
            if self._now() >= until:
                raise OutcomeUnknown("the change is made, and its joint configuration not left yet: a majority is slow")
            await self._moved.wait()
            self._check()

    async def _catch_up(self, id_: NodeId, until: float) -> None:
        """Wait until a learner lacks no more than comes in an election time-out."""
        raft = self._raft
        begun = moved = self._now()
        goal = raft.log.committed
        match = -1
        while True:
            self._lead()
            progress = raft.tracker.progress.get(id_)
            if progress is None:
                raise ConfChangeError(f"node {id_} was removed before it had caught up")
            now = self._now()
            if progress.match > match or progress.state is ProgressState.SNAPSHOT:
                match, moved = progress.match, now
            if progress.match >= goal and self._reachable(id_):
                if now - begun <= self._patience:
                    return
                begun, goal = now, raft.log.committed
            if now >= until or now - moved > self._stall:
                raise LearnerBehind(
                    f"learner {id_} has {match} of {raft.log.last_index} entries and makes no progress in time; it "
                    f"remains a learner. Does it run, and does it know the address of node {raft.id}?"
                )
            await self._moved.wait()

    async def _hand_over(self) -> None:
        """A leader that is to go lets another one lead, which is then to be asked.

        Raises:
            NotLeader: it leads now.
            ProposalDropped: nobody took over in time.
        """
        raft = self._raft
        while not (others := self._successors()):
            if self._now() >= self._led_from + self._patience:
                raise QuorumAtRisk(f"node {raft.id} leads, and no other voter can be reached to lead instead")
            await self._moved.wait()
            self._lead()
        until = self._now() + 3 * self._patience
        while self._now() < until:
            # One that has not applied its newest configuration does not take over, and after a while is asked again.
            if raft.role is Role.LEADER and raft.lead_transferee == NO_NODE:
                self._group.act(lambda raw: raw.transfer_leader(max(others)[1]))
            await self._moved.wait()
            self._check()
            if raft.leader not in (raft.id, NO_NODE):
                raise NotLeader(raft.leader)
        raise ProposalDropped(DropReason.TRANSFERRING)

    def _successors(self) -> list[tuple[Index, NodeId]]:
        """The other voters that can be reached, with how much of the log they have."""
        raft = self._raft
        voters = raft.tracker.config.voters.incoming.ids
        return [
            (progress.match, id_)
            for id_, progress in raft.tracker.peers
            if id_ != raft.id and id_ in voters and self._reachable(id_)
        ]

    # --- what decides ---

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _lead(self) -> None:
        """Is this node one to ask?"""
        self._check()
        if self._raft.role is not Role.LEADER:
            raise NotLeader(self._raft.leader)
        if self._raft.lead_transferee != NO_NODE:
            raise ProposalDropped(DropReason.TRANSFERRING)

    def _find(self, id_: NodeId) -> None:
        if self.roster.is_gone(id_):
            raise IdRetired(f"node {id_} was removed, and ids are not used again")
        if id_ not in ids_of(self.roster.conf):
            raise ConfChangeError(f"node {id_} is no member; the members are {_listed(ids_of(self.roster.conf))}")

    def _reachable(self, id_: NodeId) -> bool:
        return id_ == self._raft.id or self._now() - self._heard.get(id_, -self._patience) < self._patience

    async def _guard(self, voters: set[NodeId], force: bool, until: float) -> None:
        """Will there be a majority? A leader that is new has an election time-out to hear of it."""
        until = min(until, self._led_from + self._patience)
        while not force:
            silent = [id_ for id_ in sorted(voters) if not self._reachable(id_)]
            if 2 * (len(voters) - len(silent)) > len(voters):
                return
            if self._now() >= until:
                raise QuorumAtRisk(
                    f"of the voters that would be left, {_listed(sorted(voters))}, no majority can be reached: nothing "
                    f"is heard from {_listed(silent)}. Bring them back first, or pass force=True"
                )
            await self._moved.wait()
            self._lead()

    # --- addresses ---

    def _announce(self, now: float) -> None:
        """Make known where this node is, if the roster does not say so."""
        raft = self._raft
        present = ids_of(self.roster.conf)
        if now < self._announce_at or raft.leader == NO_NODE or raft.id not in present:
            return
        members = self.roster.state.members
        own = self._address or self._transport.address
        wanted = {} if own is None or members.get(raft.id) == own else {raft.id: own}
        if raft.role is Role.LEADER:
            if raft.pending_conf_index > raft.log.applied or not raft.applied_in_term():
                return
            wanted |= {id_: address for id_, address in self._hints.items() if id_ in present and id_ not in members}
        if not wanted or self.roster.conf.voters_outgoing:
            return
        self._announce_at = now + self._patience
        change = update_change(raft.id, wanted)

        def propose(raw: RawNode) -> None:
            with suppress(ProposalError):  # asked again
                raw.propose_conf_change(change)

        self._group.act(propose)


def _listed(ids: list[NodeId]) -> str:
    return ", ".join(map(str, ids)) or "nobody"
