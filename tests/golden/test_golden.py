"""Every golden script passes: our own always, those of the conformance kit where it lies beside this repository."""

from pathlib import Path

import pytest

from raftly.testing.golden import ScriptFile, find_scripts, run_file
from raftly.testing.golden.interaction import DIRECTIVES

ROOT = Path(__file__).parents[2]
KIT = ROOT.parent / "shared" / "raft-conformance"
OWN = find_scripts([ROOT / "tests" / "datadriven"])
KINDS = ["interaction", "quorum", "confchange"]


def assert_passes(file: ScriptFile) -> None:
    result = run_file(file)
    if result.failure is not None:
        failure = result.failure
        pytest.fail("\n".join([f"{failure.path}:{failure.line}: {failure.command} {failure.problem}", *failure.diff()]))
    assert result.passed > 0
    assert result.not_run == 0


@pytest.mark.parametrize("file", OWN, ids=lambda file: f"{file.kind}/{file.path.stem}")
def test_our_own_scripts(file: ScriptFile) -> None:
    assert_passes(file)


@pytest.mark.behaviour("HN06")
def test_our_own_scripts_are_of_every_kind_and_use_every_directive() -> None:
    assert {file.kind for file in OWN} == set(KINDS)
    text = "\n".join(file.path.read_text("utf-8") for file in OWN if file.kind == "interaction")
    assert [name for name in DIRECTIVES if f"\n{name}" not in text] == []


@pytest.mark.skipif(not KIT.exists(), reason="the conformance kit is not beside this repository")
@pytest.mark.parametrize("kind", KINDS)
def test_the_kit(kind: str) -> None:
    files = find_scripts([KIT / kind])
    assert {file.kind for file in files} == {kind}
    for file in files:
        assert_passes(file)
