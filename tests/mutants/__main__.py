"""Plant faults one at a time and see what notices: `python -m tests.mutants [ID ...]`.

What has been found out is kept in a file, and a run that was stopped goes on from there. An outcome counts as long as
the fault is the same; `--again` begins anew, `--survivors` runs those again that nothing caught.
"""
# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from zlib import crc32

from tests.mutants.catalogue import FAULTS, sample, select
from tests.mutants.fault import LAYERS, Fault
from tests.mutants.hunt import ROOT, Effort, Outcome, check_sound, hunt
from tests.mutants.report import as_json, bug_table, summary, table


class _State:
    """What is known of the faults so far, in a file; of how far it was looked, the key says."""

    def __init__(self, path: Path, effort: Effort) -> None:
        self._path = path
        tests = " ".join(name for name in ("directed", "related") if getattr(effort, name))
        self._key = f"{tests}; {effort.seeds} {' '.join(effort.profiles)}".strip()
        self._all: dict[str, dict[str, dict[str, object]]] = {}
        if path.exists():
            self._all = json.loads(path.read_text("utf-8"))
        self._known = self._all.setdefault(self._key, {})

    def forget(self, faults: list[Fault], *, survivors: bool) -> None:
        for fault in faults:
            known = self.outcome(fault)
            if known is not None and not (survivors and known.is_killed):
                del self._known[fault.id]

    def outcome(self, fault: Fault) -> Outcome | None:
        entry = self._known.get(fault.id)
        if entry is None or entry["fault"] != _mark(fault):
            return None
        return Outcome(fault.id, str(entry["killed_by"]), str(entry["catcher"]), float(str(entry["seconds"])))

    def keep(self, fault: Fault, outcome: Outcome) -> None:
        self._known[fault.id] = {**asdict(outcome), "fault": _mark(fault)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(self._all, indent=1), "utf-8")
        fresh.replace(self._path)


def _mark(fault: Fault) -> int:
    return crc32(f"{fault.file}\0{fault.old}\0{fault.new}".encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("ids", nargs="*", metavar="ID", help="faults; all when none is named")
    parser.add_argument("--layer", action="append", default=[], choices=LAYERS, help="all faults of a layer")
    parser.add_argument(
        "--row", action="append", default=[], type=int, help="all faults for a row of the bug catalogue"
    )
    parser.add_argument("--sample", type=int, default=0, help="so many of those that break safety; always the same")
    parser.add_argument("--list", action="store_true", help="only list the faults")
    parser.add_argument("--random", action="store_true", help="seeds alone, no tests")
    parser.add_argument("--directed", action="store_true", help="only the tests that are named with a fault")
    parser.add_argument("--seeds", default=None, help='A..B, not B itself; "" for none')
    parser.add_argument("--profile", action="append", default=[], help="of `raftly sim run`; may be given again")
    parser.add_argument("--minutes", type=float, default=10.0, help="for one fault at most")
    parser.add_argument("--patience", type=float, default=1.0, help="all limits times this, on a busy machine")
    parser.add_argument("--jobs", type=int, default=1, help="faults at once")
    parser.add_argument("--again", action="store_true", help="forget what is known")
    parser.add_argument("--survivors", action="store_true", help="forget what is known of those that were not caught")
    parser.add_argument("--no-sound-check", action="store_true", help="do not run the tests without a fault first")
    parser.add_argument("--state", type=Path, default=ROOT / "build/mutants.json", help="what is known so far")
    parser.add_argument("--json", action="store_true", help="the outcomes as JSON, and nothing else")
    parser.add_argument("--markdown", action="store_true", help="the outcomes as tables, and nothing else")
    parser.add_argument(
        "--bugs", action="store_true", help="the bugs of the catalogue, what is planted for each, and what caught it"
    )
    return parser.parse_args()


def main() -> int:
    """Run the hunts; 1 if a fault survived, 2 if the sound tree fails."""
    options = _arguments()
    faults = select(options.ids, options.layer, options.row)
    if options.sample:
        faults = sample(faults, options.sample)
    if options.list:
        for fault in faults:
            print(f"{fault.layer:<9} {fault.id:<34} {fault.what}")
        return 0
    seeds = options.seeds
    if seeds is None:
        seeds = "" if options.directed else "0..300" if options.random else "0..40"
    effort = Effort(
        60 * options.minutes,
        directed=not options.random,
        related=not (options.random or options.directed),
        seeds=seeds,
        profiles=tuple(options.profile),
    ).patient(options.patience)
    state = _State(options.state, effort)
    if options.again or options.survivors:
        state.forget(faults, survivors=options.survivors and not options.again)
    todo = [fault for fault in faults if state.outcome(fault) is None]
    if todo and not options.no_sound_check:
        problem = check_sound(todo, effort)
        if problem:
            print(f"without any fault this fails: {problem}", file=sys.stderr)
            return 2
        print("without any fault all of these pass", file=sys.stderr)
    _run(todo, effort, state, options.jobs)
    outcomes = {fault.id: outcome for fault in faults if (outcome := state.outcome(fault)) is not None}
    if options.json:
        print(json.dumps(as_json(faults, outcomes), indent=1))
    elif options.markdown:
        print(table(faults, outcomes))
    elif options.bugs:
        print(bug_table(faults, outcomes))
    else:
        print(summary(faults, outcomes))
    return 0 if all(outcome.is_killed for outcome in outcomes.values()) else 1


def _run(todo: list[Fault], effort: Effort, state: _State, jobs: int) -> None:
    with ThreadPoolExecutor(max(jobs, 1)) as pool:
        hunts = {pool.submit(hunt, fault, effort): fault for fault in todo}
        try:
            for done, future in enumerate(as_completed(hunts), 1):
                fault, outcome = hunts[future], future.result()
                state.keep(fault, outcome)
                end = f"{outcome.killed_by}: {outcome.catcher}" if outcome.killed_by else "SURVIVED"
                print(
                    f"[{done}/{len(todo)}] {fault.layer} {fault.id}: {end} ({outcome.seconds:.1f} s)", file=sys.stderr
                )
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


if __name__ == "__main__":
    assert FAULTS
    sys.exit(main())
