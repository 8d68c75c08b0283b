"""Health in words: is there a leader, and if not, why; what is wrong with this node; which node may be stopped.

Pure functions over a `View`, what one node knows at one moment. A leader knows how far the others are; a follower knows
who it can reach, and no more. Sentences carry no number that changes while nothing else does, so that a stream of
healths tells changes only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, final

from raftly.base.types import NO_NODE, Index, NodeId, Term
from raftly.core.role import Role
from raftly.node.events import Members

BEHIND_MAX: Final = 1000
"""Entries; a follower that lacks more of what is committed does not count as up to date."""


class Disk(Enum):
    """How it stands with the log's disk; the value is the sentence about it."""

    OK = "the disk works"
    STALLED = "a write to the disk takes longer than an election time-out"
    FULL = "the disk is full: nothing is written, reads go on, and it is tried again until there is space"
    FAILED = "the disk failed: this node stopped, and has to be started again to recover from what is on it"


@final
@dataclass(frozen=True, slots=True)
class Follower:
    """A member as its leader sees it."""

    match: Index
    takes_snapshot: bool = False


@final
@dataclass(frozen=True, slots=True)
class View:
    """What one node knows. `followers` has the others at a leader, and nothing elsewhere."""

    id: NodeId
    role: Role
    leader: NodeId
    term: Term
    members: Members
    committed: Index = 0
    followers: Mapping[NodeId, Follower] = field(default_factory=dict)
    unreachable: frozenset[NodeId] = frozenset()
    disk: Disk = Disk.OK
    lease: bool = False
    failure: str = ""  # why this node answers nothing any more
    snapshot_failure: str = ""  # why the log is not compacted
    suspicion: str = ""  # why its state may not be what the others have


@final
@dataclass(frozen=True, slots=True)
class Health:
    """How it stands, as one node sees it. Equal healths differ in `lease` and `behind` at most."""

    id: NodeId
    leader: NodeId
    term: Term
    no_leader: str
    """Why there is no leader, as far as this node can tell; empty when there is one."""
    disk: Disk
    lease: bool = field(compare=False)  # comes and goes with reads
    """Does this node lead, and may it answer strong reads alone?"""
    problems: tuple[str, ...]
    """Sentences, the worst first; none when all is well."""
    unreachable: tuple[NodeId, ...]
    behind: Mapping[NodeId, int] = field(compare=False)
    """At a leader: entries that are committed and that a member is not known to hold."""

    @property
    def serving(self) -> bool:
        """Is there a leader, and does this node go on?"""
        return not self.no_leader

    def __str__(self) -> str:
        if self.problems:
            return "; ".join(self.problems)
        return "this node leads, all is well" if self.leader == self.id else f"node {self.leader} leads, all is well"


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """Yes or no, with the reason in words. True when yes."""

    ok: bool
    why: str

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.why


def health(view: View) -> Health:
    """All that can be said about a view."""
    no_leader = why_no_leader(view)
    behind = {id_: max(view.committed - peer.match, 0) for id_, peer in sorted(view.followers.items())}
    unreachable = tuple(id_ for id_ in view.members.all() if id_ in view.unreachable)
    return Health(
        view.id,
        view.leader,
        view.term,
        no_leader,
        view.disk,
        view.lease,
        tuple(_problems(view, no_leader)),
        unreachable,
        behind,
    )


def _problems(view: View, no_leader: str) -> list[str]:
    problems = [no_leader] if no_leader else []
    if view.failure:
        return problems  # `no_leader` says so, and nothing else counts any more
    if view.disk is not Disk.OK and view.disk.value not in no_leader:
        problems.append(view.disk.value)
    if view.suspicion:
        problems.append(view.suspicion)
    if view.snapshot_failure:
        problems.append(f"no snapshot can be made, so the log grows: {view.snapshot_failure}")
    if view.role is not Role.LEADER:
        return problems
    members = view.members.all()
    problems += [f"node {id_} is not reachable from the leader" for id_ in members if id_ in view.unreachable]
    for half in _halves(view.members):
        left, needed = _count(half, view.unreachable)
        if needed == left < len(half):
            problems.append("no other voter may fail: those that are left are just a majority")
            break
    for id_, peer in sorted(view.followers.items()):
        if id_ in view.unreachable or id_ not in members:
            continue
        if peer.takes_snapshot:
            problems.append(f"node {id_} is so far behind that it is sent a snapshot")
        elif view.committed - peer.match > BEHIND_MAX:
            problems.append(f"node {id_} is more than {BEHIND_MAX} entries behind")
    return problems


# --- no leader ---


def why_no_leader(view: View) -> str:
    """Why there is no leader here, in words; empty when there is one."""
    if view.failure:
        return f"this node does not serve: {view.failure}"
    if view.leader != NO_NODE:
        return ""
    members = view.members
    if view.id not in members.all():
        return "no leader: this node is not a member of the group; it was removed, or not yet added"
    for half, name in zip(_halves(members), _names(members), strict=True):
        left, needed = _count(half, view.unreachable)
        if left < needed:
            return (
                f"no leader: {needed} of {len(half)} {name} are needed, only {left} {_are(left)} reachable from here "
                f"(not {_ids(sorted(id_ for id_ in half if id_ in view.unreachable))})"
            )
    if view.disk is not Disk.OK:
        return f"no leader: {view.disk.value}"
    if view.id not in (*members.voters, *members.outgoing):
        return "no leader: this node is a learner, and waits to hear from the leader that the voters elect"
    if view.role is Role.FOLLOWER:
        return "no leader: none has been heard; an election begins when this goes on for an election time-out"
    return "no leader: an election is under way"


def _halves(members: Members) -> list[tuple[NodeId, ...]]:
    return [members.voters, members.outgoing] if members.outgoing else [members.voters]


def _names(members: Members) -> list[str]:
    return ["voters of the new membership", "voters of the old membership"] if members.outgoing else ["voters"]


def _count(half: tuple[NodeId, ...], lost: frozenset[NodeId]) -> tuple[int, int]:
    """Voters of one half that are left, and how many are needed."""
    return sum(id_ not in lost for id_ in half), len(half) // 2 + 1


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _ids(ids: list[NodeId]) -> str:
    return ("node " if len(ids) == 1 else "nodes ") + ", ".join(map(str, ids))


# --- stopping a node ---


def safe_to_stop(view: View, id_: NodeId) -> Verdict:
    """May node `id_` be stopped, so that the others go on at once? They must be a majority, reachable and up to date.

    Nothing that is committed is lost either way: this is about being served.
    """
    if view.failure:
        return Verdict(ok=False, why=f"this node cannot tell: {view.failure}")
    if view.leader == NO_NODE:
        return Verdict(ok=False, why=f"not while there is no leader ({why_no_leader(view)})")
    if view.leader != view.id:
        return Verdict(ok=False, why=f"only the leader knows how far the others are: ask node {view.leader}")
    members = view.members
    voters = {*members.voters, *members.outgoing}
    if id_ not in members.all():
        return Verdict(ok=True, why=f"yes: node {id_} is not a member")
    if id_ not in voters:
        return Verdict(ok=True, why=f"yes: node {id_} is a learner, no decision needs it")
    if voters == {id_}:
        return Verdict(ok=False, why=f"no: node {id_} is the only voter, without it nothing is served")
    unfit = {other: why for other in sorted(voters - {id_}) if (why := _unfit(view, other))}
    for half, name in zip(_halves(members), _names(members), strict=True):
        left, needed = _count(half, frozenset({id_, *unfit}))
        if left < needed:
            reasons = "".join(f"; node {other} {why}" for other, why in unfit.items() if other in half)
            return Verdict(
                ok=False,
                why=f"no: without node {id_} there {_are(left)} {left} of {len(half)} {name} reachable and up to date, "
                f"{needed} are needed{reasons}",
            )
    after = "leadership moves to another node" if id_ == view.leader else "the rest is a majority"
    return Verdict(ok=True, why=f"yes: {after}, reachable and up to date")


def _unfit(view: View, id_: NodeId) -> str:
    """Why a voter does not count for those who would be left; empty when it does."""
    if id_ == view.id:
        return "" if view.disk is Disk.OK else "has a disk that does not work"
    peer = view.followers.get(id_)
    if id_ in view.unreachable or peer is None:
        return "is not reachable"
    if peer.takes_snapshot:
        return "is being sent a snapshot"
    if view.committed - peer.match > BEHIND_MAX:
        return f"is more than {BEHIND_MAX} entries behind"
    return ""


# --- who was heard ---


@final
class Contacts:
    """Who is reachable, as far as messages and the transport tell. Kept by the driver, counted in ticks."""

    __slots__ = ("_silent", "heard", "lost")

    def __init__(self) -> None:
        self.heard: set[NodeId] = set()  # since the last tick
        self.lost: set[NodeId] = set()  # the transport could not reach it, and nothing was heard of it since
        self._silent: dict[NodeId, int] = {}  # ticks

    def on_lost(self, peer: NodeId) -> None:
        """The transport could not reach a node."""
        self.heard.discard(peer)
        self.lost.add(peer)

    def on_tick(self) -> None:
        """A tick passed."""
        silent = self._silent
        for peer in silent:
            silent[peer] += 1
        if self.heard:
            self.lost -= self.heard
            silent.update(dict.fromkeys(self.heard, 0))
            self.heard.clear()

    def silent_ticks(self, peer: NodeId) -> int | None:
        """Ticks since a message came from it; None if none ever did."""
        return self._silent.get(peer)
