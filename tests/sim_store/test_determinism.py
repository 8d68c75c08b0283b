"""The same seed gives the same run of stores, to the last event, in any process, under any hash seed."""

from tests.sim_store.test_seeds import play
from tests.support.hash_seeds import digests_elsewhere


def digests() -> list[str]:
    """Of one run."""
    return [play(seed=2, seconds=1.0).world.trace.digest()]


def test_a_seed_is_one_run_of_stores_in_any_process() -> None:
    here = digests()
    assert digests_elsewhere("tests.sim_store.test_determinism", "digests") == [here, here]


def test_two_seeds_are_two_runs_of_stores() -> None:
    assert play(seed=1, seconds=0.2).world.trace.digest() != play(seed=2, seconds=0.2).world.trace.digest()
