"""What was acknowledged must be on every replica: a doctored one is found out, an honest one is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.demo.live.ledger import Ledger, Outcome
from raftly.demo.live.report import Stored
from tests.unit.demo.live_pictures import whole


def written(*writes: tuple[str, str, int]) -> Ledger:
    ledger = Ledger()
    for key, value, revision in writes:
        ledger.acknowledge(ledger.begin(key, value), revision)
    return ledger


def test_a_replica_with_everything_is_right() -> None:
    ledger = written(("a", "1", 1), ("b", "2", 2), ("a", "3", 3))
    assert ledger.judge(whole(a=("3", 3), b=("2", 2), other=("x", 9))) == []
    assert ledger.acknowledged == 3


@pytest.mark.parametrize(
    "items,problem",
    [
        (whole(b=("2", 2)), "a=3 was acknowledged (revision 3), and is not there"),
        (whole(a=("1", 1), b=("2", 2)), "a=3 was acknowledged (revision 3), and 1 is there (revision 1)"),
        (whole(a=("4", 3), b=("2", 2)), "a=3 was acknowledged (revision 3), and 4 is there (revision 3)"),
        (whole(a=("1", 7), b=("2", 2)), "a=3 was acknowledged (revision 3), and 1 is there (revision 7), which nobody"),
    ],
)
def test_a_doctored_replica_is_found_out(items: dict[str, Stored], problem: str) -> None:
    found = written(("a", "1", 1), ("b", "2", 2), ("a", "3", 3)).judge(items)
    assert len(found) == 1
    assert found[0].startswith(problem)


def test_every_lost_key_has_its_sentence() -> None:
    assert len(written(("a", "1", 1), ("b", "2", 2)).judge({})) == 2


def test_a_write_of_unknown_outcome_may_be_there_or_not() -> None:
    ledger = written(("a", "1", 1))
    ledger.give_up(ledger.begin("a", "2"))
    pending = ledger.begin("a", "3")
    for items in (whole(a=("1", 1)), whole(a=("2", 2)), whole(a=("3", 3))):
        assert ledger.judge(items) == []
    ledger.refuse(pending)
    assert pending.outcome is Outcome.REFUSED
    assert ledger.judge(whole(a=("3", 3))) != []
    assert ledger.unknown == 1


def test_a_write_of_unknown_outcome_does_not_excuse_that_a_later_one_is_missing() -> None:
    ledger = written(("a", "1", 1))
    ledger.give_up(ledger.begin("a", "2"))
    ledger.acknowledge(ledger.begin("a", "3"), 3)
    assert ledger.judge(whole(a=("3", 3))) == []
    assert ledger.judge(whole(a=("2", 2))) == ["a=3 was acknowledged (revision 3), and 2 is there (revision 2)"]


def test_what_was_never_acknowledged_is_not_missed() -> None:
    ledger = Ledger()
    ledger.give_up(ledger.begin("a", "1"))
    ledger.refuse(ledger.begin("b", "1"))
    assert ledger.judge({}) == []


def test_revisions_that_go_back_prove_a_loss_though_the_key_was_written_again() -> None:
    ledger = written(("a", "1", 5), ("b", "2", 6), ("c", "3", 6))
    assert ledger.contradictions == [
        "c was acknowledged as revision 6, and revision 6 had been acknowledged before it began: the group went back"
    ]


def test_writes_that_overlap_may_end_in_any_order() -> None:
    ledger = Ledger()
    first, second = ledger.begin("a", "1"), ledger.begin("b", "2")
    ledger.acknowledge(second, 2)
    ledger.acknowledge(first, 1)
    assert ledger.contradictions == []


@pytest.mark.parametrize(
    "value,problem",
    [
        ("1", ""),
        ("2", ""),  # of unknown outcome
        (None, "a=1 was acknowledged, and is not there"),
        ("0", "a=1 was acknowledged, and 0 is read, which was not written later"),
        ("9", "a=1 was acknowledged, and 9 is read, which was not written later"),
    ],
)
def test_a_read_gives_what_was_written_last(value: str | None, problem: str) -> None:
    ledger = written(("a", "0", 1), ("a", "1", 2))
    since = ledger.newest("a")
    ledger.give_up(ledger.begin("a", "2"))
    assert ledger.judge_value("a", value, since) == problem


def test_a_read_may_see_what_was_acknowledged_meanwhile() -> None:
    ledger = written(("a", "0", 1))
    since = ledger.newest("a")
    ledger.acknowledge(ledger.begin("a", "1"), 2)
    assert ledger.judge_value("a", "1", since) == ""
    assert ledger.judge_value("a", "0", since) == ""
    assert ledger.judge_value("a", "0", ledger.newest("a")) != ""
    assert ledger.judge_value("nothing", "0", ledger.newest("nothing")) == ""


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "unknown, done", "unknown, not done", "no"]))))
def test_the_state_that_the_writes_lead_to_is_right_and_any_part_less_is_not(writes: list[tuple[str, str]]) -> None:
    ledger = Ledger()
    state: dict[str, Stored] = {}
    promised: set[str] = set()
    revision = 0
    for number, (key, fate) in enumerate(writes):
        write = ledger.begin(key, str(number))
        if fate in ("ok", "unknown, done"):
            revision += 1
            state[key] = Stored(str(number), revision)
        if fate == "ok":
            ledger.acknowledge(write, revision)
            promised.add(key)
        elif fate == "no":
            ledger.refuse(write)
        else:
            ledger.give_up(write)
    assert ledger.judge(state) == []
    assert ledger.contradictions == []
    for key in promised:
        assert len(ledger.judge({name: stored for name, stored in state.items() if name != key})) == 1
