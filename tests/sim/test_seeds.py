"""The share of random seeds of every commit; `raftly sim run` takes as many as you like.

With the plain form of the core, which is slower, it is a small part of them.
"""

from collections.abc import Iterable

import pytest

from raftly.cli.form import core_form
from raftly.testing.core_sim.faults import PROFILES
from raftly.testing.core_sim.fleet import PROFILE_NAMES, Totals, jobs_of, size_of
from raftly.testing.core_sim.kinds import Job, loses_messages
from raftly.testing.core_sim.options import Options
from raftly.testing.sim import SCENARIOS, scenario_of

COMPILED = core_form() == "compiled"
CORE_SEEDS = range(30) if COMPILED else range(1)  # for each profile
FULL_SEEDS = range(8) if COMPILED else range(1)
SECONDS = 20.0 if COMPILED else 2.0

# What the runs of a profile must have met between them, however seldom a single one does.
RARE = {
    "core": {
        "storm": {"torn ends cut", "power lost in a write", "power lost in recovery", "leaders that hand over"},
        "disk": {"failed syncs", "writes on a full disk", "power lost in a write", "torn ends cut"},
        "membership": {"joint changes in a partition", "conflicting entries cut", "asks for a snapshot"},
        "clocks": {"two that believe to lead", "leaders that hand over", "leaders with entries of older terms"},
        "uniform": {"snapshots installed", "failed syncs", "power lost in a write"},
    },
    "full": {
        "disk": {"writes on a full disk", "power lost in a write", "ended by SyncFailed", "ended by Corruption"},
        "storm": {"power lost in a write"},
        "membership": {"snapshots installed", "leaders that hand over", "conflicting entries cut"},
    },
}


def options(kind: str, profile: str, seed: int) -> Options:
    return Options(profile, size_of(kind, seed), SECONDS)


def test_the_share_is_what_was_promised() -> None:
    assert len(PROFILES) * 30 >= 240
    assert len(PROFILE_NAMES["full"]) * 8 >= 70
    assert {size_of("full", seed) for seed in range(8)} == {3, 5}
    assert {loses_messages(seed) for seed in range(8)} == {True, False}
    assert {size_of("core", seed) for seed in range(30)} == {1, 2, 3, 4, 5}
    assert {scenario_of(seed) for seed in range(8)} == set(SCENARIOS)


def test_every_pair_of_profile_size_and_transport_is_drawn() -> None:
    for kind, share, sizes in (("core", 0.0, {1, 2, 3, 4, 5}), ("full", 1.0, {3, 5})):
        jobs = list(jobs_of(range(1000), Options(size=0), "", share))
        drawn = {(job.options.profile, job.options.size, loses_messages(job.seed)) for job in jobs}
        assert {job.kind for job in jobs} == {kind}
        assert drawn == {
            (name, size, lossy) for name in PROFILE_NAMES[kind] for size in sizes for lossy in (True, False)
        }


def test_a_profile_that_the_core_lacks_is_run_with_whole_nodes() -> None:
    assert set(PROFILE_NAMES["full"]) - set(PROFILE_NAMES["core"]) == {"upgrade"}
    assert {job.kind for job in jobs_of(range(20), Options(size=0), "upgrade", 0.0)} == {"full"}
    assert {job.kind for job in jobs_of(range(20), Options(size=0), "storm", 0.0)} == {"core"}


def run_all(kind: str, profile: str, seeds: Iterable[int]) -> Totals:
    """What these runs come to; each that fails is told with the command that shows it."""
    totals = Totals()
    for seed in seeds:
        job = Job(kind, seed, options(kind, profile, seed))
        totals.add(job, job.run(), 0.0)
    problems = [f"{job.command()}\n{problem}" for job, problem in totals.failures]
    assert not problems, "\n".join(problems)
    if COMPILED:
        missed = RARE[kind].get(profile, set()) - {what for what, number in totals.rare.items() if number}
        assert not missed, f"nothing of this happened any more: {missed}"
    return totals


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_core_and_its_log_are_safe_and_recover(profile: str) -> None:
    totals = run_all("core", profile, CORE_SEEDS)
    # A run in which nothing happens proves nothing.
    assert totals.counts["leaders"] >= len(CORE_SEEDS)
    assert totals.counts["writes"] >= 10 * len(CORE_SEEDS)
    assert totals.counts["reads"] >= len(CORE_SEEDS)
    assert ("StateFollower", "MsgApp") in totals.coverage


@pytest.mark.parametrize("profile", sorted(PROFILE_NAMES["full"]))
def test_whole_nodes_are_linearizable_and_recover(profile: str) -> None:
    totals = run_all("full", profile, FULL_SEEDS)
    assert totals.counts["operations"] > 5 * len(FULL_SEEDS)
    assert ("StateFollower", "MsgApp") in totals.coverage
    assert totals.struck["rolling"] >= (profile == "upgrade" and COMPILED)
    assert totals.struck["wall_jump"] >= (profile == "clocks" and COMPILED)
    if COMPILED:
        assert all(totals.counts[f"histories of {scenario}"] for scenario in SCENARIOS)
