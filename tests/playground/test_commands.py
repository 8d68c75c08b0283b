"""What can be typed at the prompt, and what the ledger holds against a cluster."""

import pytest

from raftly.playground.cluster import Refused
from raftly.playground.commands import COMMANDS, Command, help_lines, parse
from raftly.playground.ledger import Ledger
from raftly.playground.tour import TOUR


def test_lines_become_commands() -> None:
    assert parse("") is parse("# a comment") is None
    assert parse('put k "a value" more') == Command("put", ("k", "a value", "more"))
    assert parse("KILL store 1") == parse("kill store-1") == Command("kill", ("store-1",))
    assert parse("ls") == parse("stores") == Command("show")
    assert parse("start pd 1") == Command("restart", ("pd-1",))
    assert parse("remove store 3 keep") == parse("remove store-3 keep") == Command("remove", ("store-3", "keep"))
    assert parse("merge 9 2") == Command("merge", ("9", "2"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("kil 1", "Did you mean `kill`"),
        ("put k", "it is typed like this: put KEY VALUE"),
        ("merge 9", "it is typed like this: merge REGION INTO"),
        ("show me", "it is typed like this: show"),
        ('put k "v', "a quotation mark is missing"),
    ],
)
def test_what_means_nothing_is_refused(line: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        parse(line)


def test_every_command_is_in_the_help_and_the_tour_can_be_typed() -> None:
    assert len(help_lines()) == len(COMMANDS)
    assert all(parse(scene.line) is not None for scene in TOUR)
    assert TOUR[-1].line == "check"


def test_what_was_acknowledged_must_be_there() -> None:
    ledger = Ledger()
    ledger.begin(b"k", b"1")
    assert ledger.judge({}) == []
    ledger.acknowledge(b"k", b"1")
    assert ledger.judge({b"k": b"1"}) == []
    assert ledger.judge({}) == ["b'k' was acknowledged with b'1', and it is not there"]
    ledger.begin(b"k", b"2")
    assert ledger.judge({b"k": b"2"}) == ledger.judge({b"k": b"1"}) == []
    ledger.acknowledge(b"k", b"2")
    assert ledger.judge({b"k": b"1"}) == ["b'k' was acknowledged with b'2', and b'1' is there"]
    ledger.begin(b"k", b"3")
    ledger.refuse(b"k", b"3")
    assert ledger.judge({b"k": b"3"}) != []
    assert (ledger.acknowledged, ledger.keys) == (2, [b"k"])
