"""Majorities: which index a quorum has acknowledged, and how a vote stands.

Pure arithmetic over sets of voters. A joint configuration (thesis §4.3) decides with both halves; an empty half
never stands in the way.

Compare: etcd-io/raft quorum/{majority,joint}.go; tikv/raft-rs src/quorum/ (group commit).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import final

from raftly.base.types import INDEX_MAX, Index, NodeId


class VoteResult(Enum):
    """How a vote stands."""

    PENDING = "VotePending"
    LOST = "VoteLost"
    WON = "VoteWon"


def majority_index(acked: list[int]) -> Index:
    """Largest index that a majority of the voters has acknowledged, given one index a voter (0: nothing yet).

    No voters set no bound (INDEX_MAX). Sorts `acked` in place.
    """
    count = len(acked)
    if count == 0:
        return INDEX_MAX
    acked.sort()
    return acked[count - (count // 2 + 1)]


def group_index(acked: list[tuple[int, int]]) -> tuple[Index, bool]:
    """Commit index of one half under group commit, given (acknowledged index, commit group) a voter.

    The index must stand at a majority and in two different groups. With one group for all, the majority decides; with
    some voters in no group (0) and no two groups found, every voter must have it. The flag says whether groups
    limited the result. Source: tikv/raft-rs src/quorum/majority.rs.
    """
    if not acked:
        return INDEX_MAX, True
    acked = sorted(acked, key=lambda pair: pair[0], reverse=True)
    quorum_index, checked_group = acked[len(acked) // 2]
    single_group = True
    for index, group in acked:
        if group == 0:
            single_group = False
        elif checked_group == 0:
            checked_group = group
        elif checked_group != group:
            return min(index, quorum_index), True
    if single_group:
        return quorum_index, False
    return acked[-1][0], False


def majority_vote(voters: tuple[int, ...], votes: Mapping[NodeId, bool]) -> VoteResult:
    """How a vote stands in one half; a voter without an entry in `votes` has not answered."""
    if not voters:
        return VoteResult.WON
    granted = 0
    missing = 0
    for voter in voters:
        vote = votes.get(voter)
        if vote is None:
            missing += 1
        elif vote:
            granted += 1
    needed = len(voters) // 2 + 1
    if granted >= needed:
        return VoteResult.WON
    return VoteResult.PENDING if granted + missing >= needed else VoteResult.LOST


@final
class MajorityConfig:
    """One set of voters, kept ascending."""

    __slots__ = ("ids",)

    def __init__(self, ids: tuple[int, ...] = ()) -> None:
        self.ids: tuple[int, ...] = tuple(sorted(set(ids)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MajorityConfig) and self.ids == other.ids

    def __hash__(self) -> int:
        return hash(self.ids)

    def __str__(self) -> str:
        """`(1 2 a)`: ascending, hexadecimal."""
        return "(" + " ".join(f"{id_:x}" for id_ in self.ids) + ")"

    def committed_index(self, acked: Mapping[NodeId, Index]) -> Index:
        """Largest index a majority has acknowledged; a voter absent from `acked` counts as 0."""
        return majority_index([acked.get(id_, 0) for id_ in self.ids])

    def vote_result(self, votes: Mapping[NodeId, bool]) -> VoteResult:
        """How a vote stands."""
        return majority_vote(self.ids, votes)


@final
class JointConfig:
    """The incoming voters and, while joint, the outgoing ones; a decision needs a majority of each half."""

    __slots__ = ("incoming", "outgoing")

    def __init__(self, incoming: tuple[int, ...] = (), outgoing: tuple[int, ...] = ()) -> None:
        self.incoming = MajorityConfig(incoming)
        self.outgoing = MajorityConfig(outgoing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JointConfig) and self.incoming == other.incoming and self.outgoing == other.outgoing

    def __hash__(self) -> int:
        return hash((self.incoming, self.outgoing))

    def __str__(self) -> str:
        """`(1 2)`, or `(1 2)&&(2 3)` while joint."""
        return f"{self.incoming}&&{self.outgoing}" if self.outgoing.ids else str(self.incoming)

    def ids(self) -> tuple[int, ...]:
        """All voters of both halves, ascending."""
        if not self.outgoing.ids:
            return self.incoming.ids
        return tuple(sorted({*self.incoming.ids, *self.outgoing.ids}))

    def committed_index(self, acked: Mapping[NodeId, Index]) -> Index:
        """Largest index that a majority of each half has acknowledged.

        An empty half sets no bound (INDEX_MAX). O(n log n) in voters.
        Source: Raft thesis §4.3. Compare: etcd-io/raft quorum/joint.go.
        """
        return min(self.incoming.committed_index(acked), self.outgoing.committed_index(acked))

    def group_committed_index(self, acked: Mapping[NodeId, tuple[Index, int]]) -> tuple[Index, bool]:
        """As `committed_index` under group commit; values are (index, commit group). See `group_index`."""
        incoming = group_index([acked.get(id_, (0, 0)) for id_ in self.incoming.ids])
        outgoing = group_index([acked.get(id_, (0, 0)) for id_ in self.outgoing.ids])
        return min(incoming[0], outgoing[0]), incoming[1] and outgoing[1]

    def vote_result(self, votes: Mapping[NodeId, bool]) -> VoteResult:
        """Won when both halves are won, lost when either is lost, else pending."""
        first = self.incoming.vote_result(votes)
        second = self.outgoing.vote_result(votes)
        if first == second:
            return first
        if VoteResult.LOST in (first, second):
            return VoteResult.LOST
        return VoteResult.PENDING


def describe_acked(voters: tuple[int, ...], acked: Mapping[NodeId, Index]) -> str:
    """A chart of who acknowledged what: a bar a voter, as long as the number of voters behind it.

    `?` marks a voter without an entry in `acked`. An empty configuration is one line without a newline.
    """
    if not voters:
        return "<empty majority quorum>"
    ids = sorted(voters)
    count = len(ids)
    ranked = sorted(ids, key=lambda id_: (acked.get(id_, 0), id_))
    bars: dict[int, int] = {}
    for position, id_ in enumerate(ranked):
        before = ranked[position - 1] if position else id_
        bars[id_] = position if acked.get(id_, 0) > acked.get(before, 0) else bars.get(before, 0)
    lines = [" " * count + "    idx"]
    for id_ in ids:
        known = acked.get(id_)
        bar = "?" + " " * count if known is None else "x" * bars[id_] + ">" + " " * (count - bars[id_])
        lines.append(f"{bar} {known or 0:5d}    (id={id_:x})")
    return "\n".join(lines) + "\n"
