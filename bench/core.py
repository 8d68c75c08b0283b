"""CPU per committed entry of the core, plain and compiled, beside a floor measured in the same run.

    make bench-core            the table of docs/performance.md
    python bench/core.py --json --rounds 5

Three in-memory nodes, 128-byte payloads, everything through Ready, messages encoded and decoded once per hop. The
figure is the CPU time of this process per committed entry, all three nodes together. The forms take turns in processes
of their own, and the median of the rounds is given: the machine may be noisy, so look at the ratio to the floor first.

The garbage collector runs rarely, as a long-running node should set it up (`gc.freeze()` after the start, a high
threshold): every entry of the log is an object, and the default would look at all of them again and again. `--gc
default` shows what that costs.

The floor does what no implementation can leave out (encode, append, acknowledge, count) and nothing else: no terms, no
roles, no log matching, no Ready.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from disk import steal

ROOT = Path(__file__).resolve().parent.parent
PAYLOAD = b"x" * 128
BATCH = 64
TARGETS = {  # (compiled, plain) in microseconds, from the issue that asked for the core
    "one proposal at a time": (20.0, 100.0),
    "64 single proposals between two exchanges": (8.0, 45.0),
    "one proposal of a batch of 64": (1.5, 3.0),
}


def measure(work: Callable[[int], None], entries: int) -> float:
    """Microseconds of CPU an entry; `work(n)` commits n entries. Best of three: noise only ever adds."""
    work(max(entries // 20, BATCH))
    best = float("inf")
    for _ in range(3):
        gc.collect()
        start = time.process_time()
        work(entries)
        best = min(best, (time.process_time() - start) / entries * 1e6)
    return best


def run_child(scale: float, *, rare_gc: bool) -> dict[str, float]:
    """All figures of the form that this process runs."""
    from core_cases import Cluster, Floor, idle_tick, with_long_log  # noqa: PLC0415 - only the child has a form

    def cases(cluster: Cluster | Floor, prefix: str = "") -> dict[str, float]:
        count = int(4000 * scale)
        return {
            prefix + "one proposal at a time": measure(cluster.one_at_a_time, count),
            prefix + "64 single proposals between two exchanges": measure(cluster.singles, count * 2 // BATCH * BATCH),
            prefix + "one proposal of a batch of 64": measure(cluster.batches, count * 10 // BATCH * BATCH),
        }

    gc.freeze()
    if rare_gc:
        gc.set_threshold(100_000, 50, 100)
    figures = cases(Cluster(3))
    figures |= cases(Floor(3), "floor: ")
    batched = Cluster(3, batch_append=True, skip_bcast_commit=True)
    figures["64 single proposals, batch_append and skip_bcast_commit"] = measure(
        batched.singles, int(8000 * scale) // BATCH * BATCH
    )
    asynchronous = Cluster(3, async_storage_writes=True)
    figures["one proposal at a time, asynchronous storage writes"] = measure(
        asynchronous.one_at_a_time, int(4000 * scale)
    )
    figures["one proposal at a time, log of 1,000,000 entries"] = measure(
        with_long_log(1_000_000).one_at_a_time, int(4000 * scale)
    )
    figures["one proposal at a time, 2 more voters that never answer"] = measure(
        Cluster(3, silent=2).one_at_a_time, int(4000 * scale)
    )
    figures["tick of an idle follower"] = measure(idle_tick(), int(200_000 * scale))
    return figures


def child(form: str, scale: float, collector: str) -> dict[str, float]:
    """Measure one form in a process of its own."""
    path = str(ROOT / "src") if form == "plain" else str(ROOT / "build" / "compiled")
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([path, str(ROOT / "bench")]), PYTHONHASHSEED="0")
    command = [sys.executable, str(Path(__file__)), "--child", form, "--scale", str(scale), "--gc", collector]
    out = subprocess.run(command, env=env, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(out)
    return figures


def collect(forms: list[str], rounds: int, scale: float, collector: str) -> dict[str, dict[str, float]]:
    """The median of every figure of every form, the forms taking turns."""
    seen: dict[str, list[dict[str, float]]] = {form: [] for form in forms}
    for number in range(rounds):
        for form in forms:
            if sys.stderr.isatty():
                print(f"\rround {number + 1} of {rounds}: {form}   ", end="", file=sys.stderr, flush=True)
            seen[form].append(child(form, scale, collector))
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return {
        form: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for form, runs in seen.items()
    }


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as a Markdown table, the targets beside them."""
    forms = list(figures)
    lines = ["| µs of CPU | " + " | ".join(forms) + " | target " + " / ".join(forms) + " |"]
    lines.append("|---" * (len(forms) + 2) + "|")
    order = {"compiled": 0, "plain": 1}
    for name in figures[forms[0]]:
        target = TARGETS.get(name)
        goal = " / ".join(f"≤ {target[order[form]]:g}" for form in forms) if target else ""
        lines.append(f"| {name} | " + " | ".join(f"{figures[form][name]:.2f}" for form in forms) + f" | {goal} |")
    return "\n".join(lines)


def main() -> int:
    """Run, print, and fail only when something broke: a figure is for a person to judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each form is measured (median taken)")
    parser.add_argument("--scale", type=float, default=1.0, help="more or less work a figure")
    parser.add_argument("--gc", choices=["rare", "default"], default="rare", help="how often garbage is collected")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--child", choices=["plain", "compiled"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        from raftly.cli.form import core_form  # noqa: PLC0415 - only the child has a form

        if core_form() != options.child:
            print(f"this is not the {options.child} form", file=sys.stderr)
            return 2
        print(json.dumps(run_child(options.scale, rare_gc=options.gc == "rare")))
        return 0
    forms = ["compiled", "plain"] if (ROOT / "build" / "compiled" / "raftly").exists() else ["plain"]
    before = steal()
    started = time.time()
    figures = collect(forms, options.rounds, options.scale, options.gc)
    stolen = (steal() - before) / (time.time() - started)
    if options.json:
        print(json.dumps({"figures": figures, "steal_cores": round(stolen, 3)}))
        return 0
    print(table(figures))
    print(f"\nsteal: {stolen:.2f} cores; rounds: {options.rounds}, median")
    if "compiled" not in forms:
        print("the compiled form is missing: no C compiler, or `make build` was not run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
