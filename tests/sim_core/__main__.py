"""Run more seeds than the test suite does: `python -m tests.sim_core --seeds A..B`."""
# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.sim_core.simulation import run_seed


def main() -> int:
    """Run the seeds; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim_core", description=__doc__)
    parser.add_argument("--seeds", default="0..100", help="A..B, the last not included")
    parser.add_argument("--steps", type=int, default=3_000, help="random steps before healing")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every step")
    options = parser.parse_args()
    first, _, stop = options.seeds.partition("..")
    failed: list[int] = []
    judged: Counter[str] = Counter()
    for seed in range(int(first), int(stop)):
        try:
            judged += run_seed(seed, options.steps, verbose=options.verbose).checker.counts
        except AssertionError as error:
            failed.append(seed)
            print(error, file=sys.stderr)
    print(f"{int(stop) - int(first) - len(failed)} seeds passed, {len(failed)} failed {failed or ''}")
    print("judged:", ", ".join(f"{count} {what}" for what, count in sorted(judged.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
