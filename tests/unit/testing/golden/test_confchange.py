"""The membership runner: refused changes leave everything as it was and still count."""

import pytest

from raftly.testing.golden.confchange import ConfChangeRunner
from raftly.testing.golden.script import Directive, ScriptError, parse_directive


def run(runner: ConfChangeRunner, line: str, input_: str = "") -> str:
    command, arguments = parse_directive(line)
    return runner.run(Directive(command, arguments, input_))


def test_every_case_counts_as_an_entry() -> None:
    runner = ConfChangeRunner()
    assert run(runner, "simple", "r1") == "removed all voters"
    assert run(runner, "dance") == "unknown command"
    assert run(runner, "simple", "v") == "unknown token v"
    assert run(runner, "leave-joint", "v1") == "this command takes no input"
    assert run(runner, "simple", "v1") == "voters=(1)\n1: StateProbe match=0 next=4\n"


def test_a_refused_change_leaves_the_configuration() -> None:
    runner = ConfChangeRunner()
    run(runner, "simple", "v1")
    assert run(runner, "enter-joint autoleave=true", "r1") == "removed all voters"
    assert run(runner, "simple", "u1").startswith("voters=(1)\n")


def test_arguments_that_make_no_sense() -> None:
    runner = ConfChangeRunner()
    with pytest.raises(ScriptError, match="needs the argument autoleave="):
        run(runner, "enter-joint now", "v1")
    with pytest.raises(ScriptError, match="neither true nor false"):
        run(runner, "enter-joint autoleave=later", "v1")
