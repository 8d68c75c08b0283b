"""Files: which are scripts, of which kind, what comes of them, and that a rewrite loses nothing."""

import shutil
from pathlib import Path

import pytest

from raftly.testing.golden import ScriptError, ScriptFile, find_scripts, rewrite_file, run_file
from raftly.testing.golden.run import kind_of

GOOD = "vote cfg=(1) votes=(y)\n----\nVoteWon\n"
BAD = f"{GOOD}\nvote cfg=(1) votes=(n)\n----\nVoteWon\n\n{GOOD}"


def script(folder: Path, text: str, name: str = "a.txt", kind: str = "quorum") -> ScriptFile:
    path = folder / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return ScriptFile(path, kind)


def test_folders_are_searched_to_the_bottom_and_each_file_comes_once(tmp_path: Path) -> None:
    script(tmp_path, GOOD, "deep/b.txt")
    script(tmp_path, GOOD, "a.txt")
    script(tmp_path, GOOD, "notes.md")
    script(tmp_path, GOOD, "c.txt", "confchange")
    found = find_scripts([tmp_path, tmp_path / "quorum" / "a.txt", tmp_path / "quorum" / "notes.md"])
    assert [(file.path.relative_to(tmp_path).as_posix(), file.kind) for file in found] == [
        ("confchange/c.txt", "confchange"),
        ("quorum/a.txt", "quorum"),
        ("quorum/deep/b.txt", "quorum"),
        ("quorum/notes.md", "quorum"),
    ]


def test_the_nearest_folder_tells_the_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kind_of(Path("/x/quorum/testdata/a.txt")) == "quorum"
    assert kind_of(Path("/x/quorum/interaction/a.txt")) == "interaction"
    assert kind_of(Path("/x/quorum/../confchange/a.txt")) == "confchange"
    script(tmp_path, GOOD)
    monkeypatch.chdir(tmp_path / "quorum")
    assert [file.kind for file in find_scripts([Path()])] == ["quorum"]
    with pytest.raises(ScriptError, match="kind cannot be told"):
        kind_of(Path("/x/quorum.txt"))


def test_what_cannot_be_found(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="no such file or folder"):
        find_scripts([tmp_path / "gone"])
    with pytest.raises(ScriptError, match=r"no \*\.txt in this folder"):
        find_scripts([tmp_path])


def test_what_cannot_be_read(tmp_path: Path) -> None:
    file = script(tmp_path, "")
    with pytest.raises(ScriptError, match="not a script"):
        run_file(file)
    file.path.write_bytes(b"vote\n----\n\xff\n")
    with pytest.raises(ScriptError, match="not UTF-8"):
        run_file(file)
    shutil.rmtree(file.path.parent)
    with pytest.raises(ScriptError, match="cannot be read"):
        run_file(file)


def test_a_file_stops_at_its_first_failure(tmp_path: Path) -> None:
    result = run_file(script(tmp_path, BAD))
    assert (result.passed, result.not_run) == (1, 1)
    failure = result.failure
    assert failure is not None
    assert (failure.line, failure.command, failure.problem) == (5, "vote", "")
    assert list(failure.diff()) == ["@@ -1 +1 @@", "-VoteWon", "+VoteLost"]


def test_an_argument_that_makes_no_sense_fails_its_case(tmp_path: Path) -> None:
    result = run_file(script(tmp_path, "vote cfg=(x) votes=(y)\n----\n"))
    assert result.failure is not None
    assert "'x' is not a decimal number" in result.failure.problem


def test_every_byte_of_an_expected_text_counts(tmp_path: Path) -> None:
    for text in (GOOD.replace("VoteWon", " VoteWon"), GOOD.replace("VoteWon", "VoteWon "), GOOD + "x\n"):
        assert run_file(script(tmp_path, text)).failure is not None


def test_rewriting(tmp_path: Path) -> None:
    file = script(tmp_path, "# kept\n" + BAD + "\n\n# kept, too\n")
    assert rewrite_file(file).failure is None
    text = file.path.read_text("utf-8")
    assert text == "# kept\n" + BAD.replace("(n)\n----\nVoteWon", "(n)\n----\nVoteLost") + "\n\n# kept, too\n"
    assert run_file(file).passed == 3


def test_a_script_that_cannot_be_run_is_left_as_it_is(tmp_path: Path) -> None:
    file = script(tmp_path, BAD + "\nvote cfg=(x)\n----\n")
    assert rewrite_file(file).failure is not None
    assert file.path.read_text("utf-8") == BAD + "\nvote cfg=(x)\n----\n"


def test_a_broken_invariant_ends_a_script_and_shows_what_was_printed(tmp_path: Path) -> None:
    text = """add-nodes 1 voters=(1) index=2 disable-conf-change-validation=true
----

log-level none
----

campaign 1
----

stabilize
----

log-level warn
----

propose-conf-change 1
r1
----

stabilize
----

raft-state
----
"""
    result = rewrite_file(script(tmp_path, text, kind="interaction"))
    assert result.failure is not None
    assert result.failure.problem == "a node broke an invariant: removed all voters"
    assert result.failure.actual.endswith("FATAL removed all voters\n")
    assert "1/4 EntryConfChangeV2 r1" in result.failure.actual
    assert (result.passed, result.not_run) == (6, 1)
