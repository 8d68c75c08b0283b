"""The share of random seeds of every commit; `raftly sim run` takes as many as you like.

With the plain form of the core, which is slower, it is a small part of them.
"""

from collections import Counter

import pytest

from raftly.cli.form import core_form
from raftly.testing.core_sim.faults import PROFILES
from raftly.testing.core_sim.fleet import size_of
from raftly.testing.core_sim.kinds import Job
from raftly.testing.core_sim.options import Options
from raftly.testing.sim import SCENARIOS, scenario_of

COMPILED = core_form() == "compiled"
CORE_SEEDS = range(30) if COMPILED else range(1)  # for each profile
FULL_SEEDS = range(8) if COMPILED else range(1)
SECONDS = 20.0 if COMPILED else 2.0
CORE_BATCH = 6


def options(kind: str, profile: str, seed: int) -> Options:
    return Options(profile, size_of(kind, seed), SECONDS)


def test_the_share_is_what_was_promised() -> None:
    assert len(PROFILES) * 30 >= 240
    assert len(PROFILES) * 8 >= 60
    assert {scenario_of(seed) for seed in range(8)} == set(SCENARIOS)


@pytest.mark.parametrize("first", range(0, len(CORE_SEEDS), CORE_BATCH))
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_core_and_its_log_are_safe_and_recover(profile: str, first: int) -> None:
    judged: Counter[str] = Counter()
    for seed in CORE_SEEDS[first : first + CORE_BATCH]:
        job = Job("core", seed, options("core", profile, seed))
        outcome = job.run()
        assert not outcome.problem, f"{job.command()}\n{outcome.problem}"
        judged += outcome.counts
    # A run in which nothing happens proves nothing.
    assert judged["leaders"] >= 1
    assert judged["writes"] >= 50 if COMPILED else 1
    assert judged["reads"] >= 10 if COMPILED else 1


@pytest.mark.parametrize("seed", FULL_SEEDS)
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_whole_nodes_are_linearizable_and_recover(profile: str, seed: int) -> None:
    job = Job("full", seed, options("full", profile, 0))
    outcome = job.run()
    assert not outcome.problem, f"{job.command()}\n{outcome.problem}"
    assert outcome.counts["operations"] > 5
