"""Small clusters that do little but lose and find their leader, while whoever leads is asked for reads all the time.

Links are cut one way or both, messages come late or never, hosts stand still, crash, or have clocks that are wrong, and
followers are told that they lost their leader whether it is true or not. No lease may meet a newer leader.
"""

from collections import Counter
from random import Random

from raftly.testing.core_sim.faults import Fault
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import run

SEEDS = range(40)
SECONDS = 8.0
_SPANS = {"cut": 0.6, "isolate": 0.6, "deaf": 0.4, "late": 0.6, "pause": 0.4, "exit": 0.05, "crash": 0.05}
_WEIGHTS = {
    "cut": 8, "isolate": 2, "deaf": 2, "late": 3, "pause": 2, "exit": 1, "crash": 1, "clock_rate": 2, "campaign": 1,
    "transfer": 1, "leader_lost": 8,
}  # fmt: skip


def lease_script(random: Random, ids: tuple[int, ...]) -> list[Fault]:
    """Reads every 20 ms, and some misfortune every 40 ms."""
    script = [Fault(at * 0.02, "read", (random.choice(ids),)) for at in range(int(SECONDS / 0.02))]
    script += [Fault(at * 0.5, "write", (random.choice(ids),), 0.0, 1.0) for at in range(int(SECONDS / 0.5))]
    at = 0.5
    while at < SECONDS:
        kind = random.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        nodes = tuple(random.sample(ids, 2))
        span = random.random() * _SPANS.get(kind, 1.0)
        amount = {"clock_rate": random.uniform(0.9, 1.1), "late": random.uniform(0.05, 1.0)}.get(kind, 0.0)
        if kind == "leader_lost":
            script += [Fault(at, kind, (id_,)) for id_ in ids if random.random() < 0.6]
        else:
            script.append(Fault(at, kind, nodes, span, amount))
        at += random.expovariate(25.0)
    return sorted(script, key=lambda fault: fault.at)


def test_no_lease_meets_a_newer_leader() -> None:
    judged: Counter[str] = Counter()
    for seed in SEEDS:
        random = Random(seed)
        size = random.choice((3, 3, 3, 4, 5))
        script = lease_script(random, tuple(range(1, size + 1)))
        outcome = run(seed, Options("calm", size, SECONDS), script)  # calm: with the options of `raftly.node`
        assert not outcome.problem, f"seed {seed}: {outcome.problem}"
        judged += outcome.counts + outcome.rare
    # A run in which nothing happens proves nothing.
    assert judged["leases"] > 1_000, judged
    assert judged["lease reads"] > 500, judged
    assert judged["leaders"] > 50, judged
    assert judged["two that believe to lead"] > 10, judged
