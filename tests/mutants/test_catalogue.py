"""The catalogue does not rot: each fault can still be planted, and each row of the bug catalogue has one."""

from pathlib import Path

import pytest

import raftly
from tests.mutants.bugs import BUGS
from tests.mutants.catalogue import FAULTS, NOT_APPLICABLE, sample, select
from tests.mutants.fault import BREAKS, LAYERS, Fault, Rotten

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "raftly"
TESTS = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_can_be_planted(fault: Fault) -> None:
    mutated = fault.mutate((PACKAGE / fault.file).read_text("utf-8"))
    compile(mutated, fault.file, "exec")  # a fault that does not even parse is found by anything


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_the_tests_that_are_run_first_are_there(fault: Fault) -> None:
    assert fault.first
    assert [test for test in fault.first if not (TESTS / test).exists()] == []


def test_every_fault_says_what_it_is() -> None:
    assert len({fault.id for fault in FAULTS}) == len(FAULTS)
    for fault in FAULTS:
        assert fault.layer in LAYERS
        assert fault.breaks
        assert set(fault.breaks) <= set(BREAKS)
        assert set(fault.rows) <= set(BUGS)
        assert fault.what


def test_every_row_that_applies_has_a_fault() -> None:
    planted = {row for fault in FAULTS for row in fault.rows}
    assert set(BUGS) - planted == set(NOT_APPLICABLE)
    assert all(NOT_APPLICABLE.values())


def test_text_that_is_not_there_once_is_rotten() -> None:
    fault = Fault("it", "core", "it", ("ES",), "core/raft.py", "a", "b", ())
    assert fault.mutate("xax") == "xbx"
    for source in ("x", "aa"):
        with pytest.raises(Rotten):
            fault.mutate(source)


def test_faults_are_selected_by_id_layer_and_row() -> None:
    assert select([]) == list(FAULTS)
    assert [fault.id for fault in select(["commit-of-older-term"])] == ["commit-of-older-term"]
    assert {fault.layer for fault in select([], ["session"])} == {"session"}
    assert all(8 in fault.rows for fault in select([], rows=[8]))
    with pytest.raises(KeyError):
        select(["no-such-fault"])


def test_a_sample_is_the_same_each_time_and_breaks_safety() -> None:
    chosen = sample(FAULTS, 40)
    assert chosen == sample(reversed(FAULTS), 40)
    assert len(chosen) == 40
    assert all(fault.is_safety for fault in chosen)
    assert len({fault.layer for fault in chosen}) > 1


def test_the_package_is_the_one_whose_sources_are_looked_at() -> None:
    """So that a compiled or installed copy is not mistaken for the sources."""
    assert raftly.__file__ is not None
    assert (PACKAGE / "core" / "raft.py").exists()
