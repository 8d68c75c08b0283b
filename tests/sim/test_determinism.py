"""The same seed gives the same run, to the last event, twice in a process, in any process, under any hash seed."""

from raftly.cli.form import core_form
from raftly.testing.core_sim.faults import PROFILES
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import run
from raftly.testing.sim import PROFILES as FULL_PROFILES
from raftly.testing.sim import SCENARIOS, run_of, scenario_of
from tests.support.hash_seeds import digests_elsewhere

SEEDS = range(20)
SECONDS = 4.0 if core_form() == "compiled" else 0.8
FULL_SEEDS = range(len(FULL_PROFILES))
FULL_SECONDS = 1.5


def digests() -> list[str]:
    """Of core runs, all profiles in turn."""
    names = sorted(PROFILES)
    return [run(seed, Options(names[seed % len(names)], seconds=SECONDS)).digest for seed in SEEDS]


def full_digests() -> list[str]:
    """Of runs of whole nodes, one a profile."""
    return [run_of(seed, name, FULL_SECONDS).go().digest for seed, name in enumerate(sorted(FULL_PROFILES))]


def test_a_seed_is_one_run_in_any_process() -> None:
    expected = digests()
    assert digests() == expected
    assert len(set(expected)) == len(SEEDS)
    assert digests_elsewhere("tests.sim.test_determinism", "digests") == [expected, expected]


def test_a_seed_is_one_run_of_whole_nodes_in_any_process() -> None:
    """With every profile and every scenario: that it is so within a process is seen in tests/unit/testing/sim."""
    assert {scenario_of(seed) for seed in FULL_SEEDS} == set(SCENARIOS)
    first, second = digests_elsewhere("tests.sim.test_determinism", "full_digests")
    assert first == second
    assert len(set(first)) == len(FULL_SEEDS)
