"""Randomised runs of whole clusters, judged after every step by the safety properties of Raft.

    python -m tests.sim_core --seeds 0..1000       more seeds than the test suite takes
    python -m tests.sim_core --seeds 17..18 -v     one of them, with all its steps

Reading order: `safety` (what must always hold), `host` (one node and its disk), `simulation` (what may happen),
`test_random_cluster` (the CI share), `test_directed` (what chance hardly ever finds).
"""
