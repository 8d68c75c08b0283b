"""The same seed gives the same run, to the last event, twice in a process, in any process, under any hash seed."""

import os
import subprocess
import sys
from pathlib import Path

import raftly
from raftly.cli.form import core_form
from raftly.testing.core_sim.faults import PROFILES
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import run

ROOT = Path(__file__).parents[2]
SEEDS = range(20)
SECONDS = 4.0 if core_form() == "compiled" else 0.8

PROGRAM = """
from tests.sim.test_determinism import digests
print(*digests())
"""


def digests() -> list[str]:
    names = sorted(PROFILES)
    return [run(seed, Options(names[seed % len(names)], seconds=SECONDS)).digest for seed in SEEDS]


def test_a_seed_is_one_run_in_any_process() -> None:
    expected = digests()
    assert digests() == expected
    assert len(set(expected)) == len(SEEDS)
    for hash_seed in ("0", "4711"):
        package = str(Path(raftly.__file__).parents[1])
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join([package, str(ROOT)])}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == expected, f"PYTHONHASHSEED={hash_seed}"
