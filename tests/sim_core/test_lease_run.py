"""The share of random leases in every test run; `python -m tests.sim_core.lease_run` takes as many as you like."""

from collections import Counter

from tests.sim_core.lease_run import LeaseRun


def test_no_lease_meets_a_newer_leader() -> None:
    judged: Counter[str] = Counter()
    for seed in range(25):
        judged += LeaseRun(seed).run(3_000).counts
    # A run in which nothing happens proves nothing.
    assert judged["leases"] > 1_000, judged
    assert judged["leaders"] > 50, judged
