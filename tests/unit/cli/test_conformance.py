"""`raftly conformance`: what it prints, in a terminal and in a pipe, and its exit codes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raftly.cli.root import raftly

GOOD = "vote cfg=(1) votes=(y)\n----\nVoteWon\n"
BAD = f"{GOOD}\nvote cfg=(1) votes=(n)\n----\nVoteWon\n\n{GOOD}"


def conformance(*arguments: str | Path) -> Result:
    return CliRunner().invoke(raftly, ["conformance", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "quorum").mkdir()
    (tmp_path / "quorum" / "good.txt").write_text(GOOD)
    return tmp_path


def test_all_pass(folder: Path) -> None:
    ran = conformance(folder)
    assert (ran.exit_code, ran.output) == (0, "1 passed, 0 failed\n")
    assert conformance(folder / "quorum" / "good.txt").output == ran.output


def test_a_failing_case_is_shown_with_its_place(folder: Path) -> None:
    path = folder / "quorum" / "bad.txt"
    path.write_text(BAD)
    ran = conformance(folder)
    assert ran.exit_code == 1
    assert ran.output.splitlines() == [
        f"{path}:5: vote",
        "  - expected, + came out",
        "  @@ -1 +1 @@",
        "  -VoteWon",
        "  +VoteLost",
        "  1 further case of this file not run",
        "",
        "2 passed, 1 failed",
    ]


def test_long_lines_are_not_broken_in_a_pipe(folder: Path) -> None:
    path = folder / "quorum" / "long.txt"
    path.write_text(f"vote\n----\n{'x' * 300}\n")
    assert f"  -{'x' * 300}\n" in conformance(path).output


def test_a_case_that_cannot_be_run_says_why(folder: Path) -> None:
    path = folder / "quorum" / "bad.txt"
    path.write_text("vote cfg=(x)\n----\n")
    ran = conformance(path)
    assert (ran.exit_code, ran.output.splitlines()[:2]) == (
        1,
        [f"{path}:1: vote", "  'x' is not a decimal number of 64 bits"],
    )


def test_json(folder: Path) -> None:
    (folder / "quorum" / "bad.txt").write_text(BAD)
    ran = conformance(folder, "--json")
    assert ran.exit_code == 1
    told = json.loads(ran.output)
    assert (told["files"], told["passed"], told["failed"], told["not_run"]) == (2, 2, 1, 1)
    (failure,) = told["failures"]
    assert (failure["line"], failure["expected"], failure["actual"]) == (5, "VoteWon\n", "VoteLost\n")


def test_rewriting(folder: Path) -> None:
    path = folder / "quorum" / "bad.txt"
    path.write_text(BAD)
    assert conformance(folder, "--rewrite").exit_code == 0
    assert path.read_text() == BAD.replace("(n)\n----\nVoteWon", "(n)\n----\nVoteLost")
    assert conformance(folder).output == "4 passed, 0 failed\n"


def test_unusable_input_is_told_before_anything_runs(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "script.txt").write_text(GOOD)
    (folder / "quorum" / "broken.txt").write_text("vote =x\n----\n")
    for path, problem in (
        (folder / "gone", "there is no such file or folder"),
        (folder / "other", "its kind cannot be told"),
        (folder / "quorum" / "broken.txt", "cannot parse the directive at column 6"),
    ):
        ran = conformance(folder / "quorum" / "good.txt", path)
        assert ran.exit_code == 2, ran.output
        assert problem in ran.stderr
        assert ran.stdout == ""
    assert conformance().exit_code == 2
