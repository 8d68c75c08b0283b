"""How a proposal that has its place in the log ends: with a result only if it is what was applied there."""

import asyncio

import pytest

from raftly.base.types import Entry
from raftly.errors import NotLeader, OutcomeUnknown
from raftly.node.errors import NodeStopped
from raftly.node.group import Proposal
from raftly.node.waiting import Waiting
from tests.support.virtual import run

LEADER = 3


class Placed:
    """Proposals of one term in a row of places."""

    def __init__(self, waiting: Waiting, first: int, term: int, count: int = 1, deadline: float = 10.0) -> None:
        self.futures = [asyncio.get_running_loop().create_future() for _ in range(count)]
        proposals = [Proposal(b"", future, deadline) for future in self.futures]
        for proposal in proposals:
            proposal.term = term
        waiting.place(first, proposals)

    def ends(self) -> list[object]:
        """How each ended: its result, the class of its error, or None while it waits."""
        return [(future.done() and (type(future.exception()) if future.exception() else future.result())) or None
                for future in self.futures]  # fmt: skip


def test_the_entry_of_its_term_gives_the_result_and_others_wait_on() -> None:
    async def main() -> None:
        waiting = Waiting()
        placed = Placed(waiting, 5, 2, 3)
        waiting.resolve(Entry(2, 5), "a", LEADER)
        assert placed.ends() == ["a", None, None]
        waiting.resolve(Entry(2, 6), "b", LEADER)
        assert placed.ends() == ["a", "b", None]
        assert list(waiting.places) == [7]

    run(main())


def test_an_entry_of_another_term_took_the_place_and_the_caller_may_call_again() -> None:
    async def main() -> None:
        waiting = Waiting()
        placed = Placed(waiting, 5, 2)
        waiting.resolve(Entry(3, 5), "another's", LEADER)
        (future,) = placed.futures
        with pytest.raises(NotLeader) as caught:
            future.result()
        assert caught.value.leader_id == LEADER

    run(main())


def test_a_later_term_ends_all_places_of_earlier_ones_and_no_place_of_its_own() -> None:
    async def main() -> None:
        waiting = Waiting()
        old = Placed(waiting, 7, 2, 2)
        newer = Placed(waiting, 9, 4)
        waiting.resolve(Entry(4, 6), None, LEADER)
        assert old.ends() == [NotLeader, NotLeader]
        assert newer.ends() == [None]
        waiting.resolve(Entry(4, 9), "mine", LEADER)
        assert newer.ends() == ["mine"]

    run(main())


def test_who_leads_again_ends_what_it_had_behind_the_end_of_its_log_and_nothing_before() -> None:
    """Its entries were cut; another member may have them still, so nothing certain can be told."""

    async def main() -> None:
        waiting = Waiting()
        old = Placed(waiting, 10, 2, 5)
        new = Placed(waiting, 12, 4)
        assert old.ends() == [None, None, OutcomeUnknown, OutcomeUnknown, OutcomeUnknown]
        more = Placed(waiting, 13, 4)
        waiting.resolve(Entry(3, 10), None, LEADER)
        assert old.ends()[:2] == [NotLeader, NotLeader]
        waiting.resolve(Entry(4, 12), "mine", LEADER)
        waiting.give_up(NodeStopped("gone"))
        assert (new.ends(), more.ends()) == (["mine"], [NodeStopped])

    run(main())


def test_what_a_snapshot_covers_has_an_unknown_outcome_and_what_lies_behind_waits_on() -> None:
    async def main() -> None:
        waiting = Waiting()
        placed = Placed(waiting, 5, 2, 3)
        waiting.cover(6)
        assert placed.ends() == [OutcomeUnknown, OutcomeUnknown, None]

    run(main())


def test_what_ran_out_of_time_has_an_unknown_outcome() -> None:
    async def main() -> None:
        waiting = Waiting()
        short, long = Placed(waiting, 5, 2, deadline=1.0), Placed(waiting, 6, 2, deadline=2.0)
        waiting.on_tick(0.9)
        assert short.ends() == [None]
        waiting.on_tick(1.0)
        assert (short.ends(), long.ends()) == ([OutcomeUnknown], [None])

    run(main())


def test_giving_up_ends_all_and_who_is_gone_is_passed_over() -> None:
    async def main() -> None:
        waiting = Waiting()
        placed = Placed(waiting, 5, 2, 2)
        placed.futures[0].cancel()
        waiting.resolve(Entry(2, 5), "nobody waits", LEADER)
        waiting.give_up(NodeStopped("gone"))
        assert type(placed.futures[1].exception()) is NodeStopped
        assert waiting.places == {}

    run(main())
