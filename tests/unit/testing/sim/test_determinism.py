"""The same seed gives the same run, to the last event, in any process and under any hash seed."""

import os
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import pytest

from raftly.node import NodeConfig
from raftly.testing.sim import Run, RunOptions, Trace
from tests.support.nodes import Register
from tests.unit.testing.sim.machine import workload

ROOT = Path(__file__).parents[4]
SECONDS = 3.0
PROFILES = ("uniform", "storm", "disk")

PROGRAM = """
from tests.unit.testing.sim.test_determinism import PROFILES, run
for profile in PROFILES:
    print(run(3, profile)[0])
"""


def run(seed: int, profile: str, keep: int = 0) -> tuple[str, list[str]]:
    """Digest of a run, and its last lines."""
    trace = Trace(keep=keep)
    options = RunOptions(profile=profile, seconds=SECONDS, messages=profile == "storm")
    report = Run(seed, Register, workload, options, trace=trace).go()
    return report.digest, list(trace.kept)


@pytest.mark.parametrize("profile", PROFILES)
def test_two_runs_of_a_seed_are_the_same(profile: str) -> None:
    first, before = run(1, profile, keep=1_000_000)
    second, after = run(1, profile, keep=1_000_000)
    for number, (one, other) in enumerate(zip_longest(before, after)):
        assert one == other, f"line {number} differs"
    assert first == second


def test_a_source_that_nobody_seeded_is_found() -> None:
    options = RunOptions(profile="calm", seconds=1.0, configure=lambda id_, members, _: NodeConfig(id_, members))
    assert Run(1, Register, workload, options).go().digest != Run(1, Register, workload, options).go().digest


def test_two_seeds_are_two_runs() -> None:
    assert run(1, "uniform")[0] != run(2, "uniform")[0]


def test_another_process_and_hash_seed_change_nothing() -> None:
    expected = [run(3, profile)[0] for profile in PROFILES]
    for hash_seed in ("0", "4711"):
        environment = os.environ | {
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        }
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == expected, f"PYTHONHASHSEED={hash_seed}"
