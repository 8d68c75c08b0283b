"""Waiting: the proposals of this replica that have a place in its log, and how each of them ends.

A place is won when the entry that is applied there is of the term in which it was taken; another entry took it when
that one is of another term, or when any later term was applied before: terms never fall along a log.

Who leads again gives places anew from the end of its log on. What waits there from an earlier leadership was cut from
this log; another member may have it still, and may come to lead with it, so its outcome is unknown.
"""

from __future__ import annotations

from typing import Final, final

from raftly.base.types import Entry, Index, NodeId, Term
from raftly.errors import NotLeader, OutcomeUnknown
from raftly.node.group import Proposal

_CUT: Final = "this node lost its leadership and the entry; whether another member keeps it is unknown"


@final
class Waiting:
    """Proposals by the index of their place."""

    __slots__ = ("_newest_term", "_oldest_term", "places")

    def __init__(self) -> None:
        self.places: dict[Index, Proposal] = {}
        self._newest_term: Term = 0  # in which a place was taken
        self._oldest_term: Term = 0  # no proposal is of an older one

    def place(self, first: Index, proposals: list[Proposal]) -> None:
        """These have the places from `first` on."""
        places = self.places
        term = proposals[0].term
        if term != self._newest_term:
            self._newest_term = term
            if places:
                self._end([place for place in places if place >= first], OutcomeUnknown(_CUT))
        if not places:
            self._oldest_term = term
        for proposal in proposals:
            places[first] = proposal
            first += 1

    def resolve(self, entry: Entry, result: object, leader: NodeId) -> None:
        """The entry was applied, with this result; `leader` is told to those whose place it shows to be lost."""
        proposal = self.places.pop(entry.index, None)
        if proposal is not None:
            if proposal.term != entry.term:
                proposal.refuse(NotLeader(leader))
            elif not proposal.future.done():
                proposal.future.set_result(result)
        if entry.term > self._oldest_term:
            for index in [index for index, other in self.places.items() if other.term < entry.term]:
                self.places.pop(index).refuse(NotLeader(leader))
            self._oldest_term = entry.term

    def cover(self, index: Index) -> None:
        """A snapshot up to `index` took the place of the entries."""
        self._end(
            [place for place in self.places if place <= index],
            OutcomeUnknown("a snapshot covers the entry; whether it was this call is unknown"),
        )

    def on_tick(self, now: float) -> None:
        """End what waited too long."""
        self._end(
            [place for place, proposal in self.places.items() if now >= proposal.deadline],
            OutcomeUnknown("no result in time; the call may still be applied"),
        )

    def give_up(self, error: Exception) -> None:
        """Nobody will answer any more."""
        self._end(list(self.places), error)

    def _end(self, places: list[Index], error: Exception) -> None:
        for place in places:
            self.places.pop(place).refuse(error)
