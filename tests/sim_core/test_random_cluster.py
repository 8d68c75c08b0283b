"""The share of random seeds that every test run takes; `python -m tests.sim_core` takes as many as you like."""

from collections import Counter

import pytest

from tests.sim_core.simulation import run_seed

SEEDS_PER_BATCH = 10
STEPS = 4_000


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("first", range(0, 40, SEEDS_PER_BATCH))
def test_random_clusters_are_safe_and_recover(first: int, asynchronous: bool) -> None:
    judged: Counter[str] = Counter()
    for seed in range(first, first + SEEDS_PER_BATCH):
        judged += run_seed(seed, STEPS, asynchronous=asynchronous).checker.counts
    # A run in which nothing happens proves nothing.
    wanted = {"leaders": 10, "applied": 500, "joint": 10, "reads": 10, "crashes": 50, "snapshots": 5, "leases": 1}
    for what, least in wanted.items():
        assert judged[what] >= least, judged


def test_a_seed_always_tells_the_same_story() -> None:
    def story(seed: int) -> tuple[list[str], Counter[str]]:
        simulation = run_seed(seed, 500)
        return list(simulation.steps), simulation.checker.counts

    assert story(3) == story(3)
    assert story(3) != story(4)
