"""Kill, pause and part three real processes under load, and check what their clients were told.

    python -m tests.cluster.kills --cycles 500                    kill -9 of the leader, of others, of all
    python -m tests.cluster.kills --mode pause --cycles 50        SIGSTOP of the leader for 0.5 to 5 s, reads by lease
    python -m tests.cluster.kills --mode partition                links between the nodes cut, by proxies
    python -m tests.cluster.kills --mode mixed --seed 7 --json    all of that; one line of JSON at the end

Every few cycles the group is left to heal, all replicas are read, and the history since the last time is checked: is it
linearizable, was each acknowledged write applied exactly once on every replica, and each refused one never. At the
first thing that is wrong it ends with 1, and keeps history, data and logs (`--keep`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from raftly.testing.history import to_lines
from tests.cluster.support.run import MODES, Setting, Totals, started


async def run(setting: Setting, cycles: int, per_chapter: int, root: Path, totals: Totals, *, quiet: bool) -> list[str]:
    """What is wrong; nothing if all is well."""
    async with started(root, setting) as running:
        while (left := cycles - totals.faults.total()) > 0:
            chapter = await running.chapter(min(per_chapter, left))
            totals.add(chapter)
            if not quiet:
                print(
                    f"history {chapter.number}: {len(chapter.faults)} faults, {len(chapter.operations)} operations, "
                    f"{chapter.unknown} unknown, {chapter.refused} refused, {len(chapter.problems)} problems "
                    f"(checked in {chapter.check_s:.1f} s; {totals.faults.total()} of {cycles} cycles)",
                    flush=True,
                )
            if chapter.problems:
                (root / "history.jsonl").write_text(to_lines(chapter.operations), "utf-8")
                return chapter.problems
    return []


def main() -> int:
    """Parse, run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cycles", type=int, default=100, help="faults, one after the other")
    parser.add_argument("--mode", choices=MODES, default="kill")
    parser.add_argument("--seed", type=int, default=1, help="of the faults and of what clients call, not of the timing")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--per-history", type=int, default=4, help="cycles in one history")
    parser.add_argument("--keep", type=Path, help="an empty directory for data, logs and a history that is wrong")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    arguments = parser.parse_args()
    root = arguments.keep or Path(tempfile.mkdtemp(prefix="raftly-kills-"))
    root.mkdir(parents=True, exist_ok=True)
    totals = Totals()
    setting = Setting(arguments.mode, arguments.seed, arguments.clients)
    problems = asyncio.run(run(setting, arguments.cycles, arguments.per_history, root, totals, quiet=arguments.json))
    print(
        json.dumps(
            {"mode": setting.mode, "seed": setting.seed, **totals.figures()}, indent=None if arguments.json else 1
        )
    )
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"kept: {root}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
