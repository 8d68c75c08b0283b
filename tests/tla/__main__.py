"""Write traces, and let TLC replay traces against etcd-io/raft's trace specification.

python -m tests.tla --write DIRECTORY                          every scenario, 3 and 5 nodes, --seeds seeds each
python -m tests.tla --spec DIRECTORY --jar FILE TRACE...       each must be accepted
python -m tests.tla --spec ... --jar ... --corrupt TRACE...    each corrupted copy must be rejected
"""
# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from raftly.core.tlatrace import TlaRecord
from tests.tla.cluster import EVENTS_MAX
from tests.tla.corrupt import corruptions
from tests.tla.scenarios import SCENARIOS, run
from tests.tla.tlc import Verdict, missing, replay


def main() -> int:
    """0 when all went as it must, or TLC cannot run here; 1 for a wrong verdict."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tla", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, metavar="DIRECTORY", help="write the traces of all scenarios")
    parser.add_argument("--seeds", type=int, default=2, help="how many of each scenario and size")
    parser.add_argument("--spec", type=Path, metavar="DIRECTORY", help="where Traceetcdraft.tla is")
    parser.add_argument("--jar", type=Path, metavar="FILE", help="tla2tools.jar")
    parser.add_argument("--corrupt", action="store_true", help="replay corrupted copies instead")
    parser.add_argument("--jobs", type=int, default=1, help="how many TLCs at a time")
    parser.add_argument("traces", type=Path, nargs="*", metavar="TRACE")
    options = parser.parse_args()
    if options.write is not None:
        _write(options.write, options.seeds)
    if not options.traces:
        return 0
    reason = missing(options.spec, options.jar)
    if reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    return _judge(options.traces, options.spec, options.jar, options.jobs, corrupt=options.corrupt)


def _write(directory: Path, seeds: int) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in SCENARIOS:
        for size in (3, 5):
            for seed in range(seeds):
                records = run(name, size, seed)
                if len(records) > EVENTS_MAX:
                    print(f"left out: {name}-{size}-{seed} has {len(records)} events", file=sys.stderr)
                    continue
                lines = "".join(json.dumps(record) + "\n" for record in records)
                (directory / f"{name}-{size}-{seed}.ndjson").write_text(lines, encoding="utf-8")


def _judge(traces: list[Path], spec: Path, jar: Path, jobs: int, *, corrupt: bool) -> int:
    cases: list[tuple[str, list[TlaRecord]]] = []
    for path in traces:
        records = _read(path)
        if corrupt:
            cases += [(f"{path.stem} {name}", spoilt) for name, spoilt in corruptions(records).items()]
        else:
            cases.append((path.stem, records))

    def judge(case: tuple[str, list[TlaRecord]]) -> Verdict:
        return replay(case[1], spec, jar)

    wrong = 0
    with ThreadPoolExecutor(jobs) as pool:
        for (name, records), verdict in zip(cases, pool.map(judge, cases), strict=True):
            said = "accepted" if verdict.accepted else f"rejected: {verdict.reason}"
            print(f"{name} ({len(records)} events): {said}", flush=True)
            wrong += verdict.accepted is corrupt
    print(f"{len(cases) - wrong} of {len(cases)} {'rejected' if corrupt else 'accepted'}")
    return 1 if wrong else 0


def _read(path: Path) -> list[TlaRecord]:
    """The trace lines of a file; others, and fields around the event, are left out."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    return [{"tag": "trace", "event": line["event"]} for line in lines if line.get("tag") == "trace"]


if __name__ == "__main__":
    sys.exit(main())
