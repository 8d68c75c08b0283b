"""The quorum runner: what it refuses, and that its cross-checks bite."""

from collections.abc import Mapping

import pytest

from raftly.core.quorum import VoteResult
from raftly.testing.golden import quorum as golden_quorum
from raftly.testing.golden.quorum import QuorumRunner
from raftly.testing.golden.script import Directive, ScriptError, parse_directive


def run(line: str) -> str:
    command, arguments = parse_directive(line)
    return QuorumRunner().run(Directive(command, arguments))


@pytest.mark.parametrize(
    "line,problem",
    [
        ("elect cfg=(1) votes=(y)", "unknown directive elect"),
        ("vote cfg=(1) votes=(maybe)", "'maybe' is no vote"),
        ("vote cfg=(1) vote=(y)", "unknown argument vote"),
        ("committed cfg=(1) idx=(0)", "0 is written _"),
        ("committed cfg=(1) cfgj=(2,zero) idx=(1,1)", "zero stands alone"),
        ("committed cfg=(one) idx=(1)", "'one' is not a decimal number"),
    ],
)
def test_arguments_that_make_no_sense(line: str, problem: str) -> None:
    with pytest.raises(ScriptError, match=problem):
        run(line)


def test_a_voter_named_twice_has_one_value() -> None:
    assert run("committed cfg=(1,1,2) idx=(3,4)") == run("committed cfg=(1,2) idx=(3,4)")
    assert run("vote cfg=(1,2) cfgj=(2,1) votes=(y,y)") == "VoteWon\n"


class Wrong:
    """Stands in for both configurations: hears the incoming half only, and has an answer of its own."""

    def __init__(self, incoming: tuple[int, ...], outgoing: tuple[int, ...] = ()) -> None:
        self.ids = incoming

    def committed_index(self, acked: Mapping[int, int]) -> int:
        return min(acked.get(id_, 0) for id_ in self.ids)

    def vote_result(self, votes: Mapping[int, bool]) -> VoteResult:
        return VoteResult.WON if votes[self.ids[0]] else VoteResult.LOST


@pytest.mark.parametrize(
    "name,line,problem",
    [
        ("MajorityConfig", "committed cfg=(1,2,3) idx=(7,8,9)", "counting gives another index"),
        ("JointConfig", "committed cfg=(1,2,3) idx=(7,8,9)", "an empty half changes the index"),
        ("JointConfig", "committed cfg=(1) cfgj=(2) idx=(3,4)", "not symmetric"),
        ("MajorityConfig", "vote cfg=(1,2) votes=(y,n)", "counting gives another result"),
        ("JointConfig", "vote cfg=(1) cfgj=(2) votes=(y,n)", "not symmetric"),
    ],
)
def test_a_wrong_calculation_is_noticed(name: str, line: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(line)
    monkeypatch.setattr(golden_quorum, name, Wrong)
    with pytest.raises(AssertionError, match=problem):
        run(line)
