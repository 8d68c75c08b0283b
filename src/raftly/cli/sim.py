"""`raftly sim`: whole clusters on virtual time, from seeds, with everything going wrong."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from raftly.testing.core_sim.fleet import Totals
    from raftly.testing.core_sim.kinds import Job
    from raftly.testing.core_sim.options import Options
    from raftly.testing.core_sim.run import Outcome
    from raftly.testing.html import TraceEvent
    from raftly.testing.linearizability import Violation

__all__ = ["sim"]

_CORE_PROFILES: Final = ("calm", "uniform", "storm", "disk", "partitions", "membership", "clocks", "overload")
_PROFILES: Final = (*_CORE_PROFILES, "upgrade")
_FAILURES_SHOWN: Final = 10
_INTERRUPTED: Final = 130  # what shells make of SIGINT
_KIND: Final = click.Choice(("core", "full"))
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


class _Seeds(click.ParamType):  # type: ignore[type-arg]  # generic in some versions of click only
    """A..B, the last not included; A alone is one seed; A.. goes on for ever."""

    name = "A..B"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Iterable[int]:
        text = str(value)
        first, dots, stop = text.partition("..")
        try:
            if not dots:
                return range(int(first), int(first) + 1)
            return range(int(first), int(stop)) if stop else count(int(first))
        except ValueError:
            self.fail(f"{text!r} is not of the form A..B", param, ctx)


@click.group()
def sim() -> None:
    """Whole clusters on virtual time, from seeds, with everything going wrong."""


@sim.command("run")
@click.option("--seeds", type=_Seeds(), default="0..100", show_default=True, metavar="A..B", help="B not included.")
@click.option("--minutes", type=float, default=None, metavar="M", help="Begin no run after so many minutes.")
@click.option("--profile", type=click.Choice(_PROFILES), default=None, help="One profile; drawn by default.")
@click.option("--jobs", type=int, default=0, metavar="N", help="Processes; 0: as many as there are processors.")
@click.option("--full-share", type=float, default=0.2, show_default=True, metavar="X", help="Runs of whole nodes.")
@click.option("--seconds", type=float, default=20.0, show_default=True, metavar="S", help="Virtual, with faults.")
@click.option("--size", type=int, default=0, metavar="N", help="Nodes; 0: three mostly, also others.")
@click.option("--report", type=_FILE, metavar="FILE", help="Also write a Markdown report here.")
@click.option("--trace", type=_FILE, metavar="FILE", help="Write a page to scrub through the time of a run.")
@click.option("--history", type=_FILE, metavar="FILE", help="Write a page of a history that is not linearizable.")
@click.option("--tla", type=_FILE, metavar="FILE", help="Write the steps of a run for the TLA+ specification of etcd.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def run_command(
    seeds: Iterable[int],
    minutes: float | None,
    profile: str | None,
    jobs: int,
    full_share: float,
    seconds: float,
    size: int,
    report: Path | None,
    trace: Path | None,
    history: Path | None,
    tla: Path | None,
    *,
    as_json: bool,
) -> None:
    """Run seeds and judge them.

    Exit code 0: all passed. 1: some failed; each names the command that replays it. 130: interrupted (Ctrl-C); what was
    done until then is told all the same.

    What --trace and --tla write is of the failing run with the lowest seed; when none fails, of the run with the
    highest. With --tla all runs are of the core, and made of what the specification knows; 500 steps are written.
    What --history writes is of the lowest seed whose history is not linearizable; without one, nothing.
    """
    from raftly.cli.sim_report import as_dict, report_lines, summary_lines
    from raftly.testing.core_sim.fleet import Totals, jobs_of, make_all
    from raftly.testing.core_sim.modelled import WRITES_PER_S
    from raftly.testing.core_sim.options import Options

    options = Options(size=size, seconds=seconds)
    if tla is not None:
        _check_profile("core", profile or "")
        options, full_share = replace(options, rate=WRITES_PER_S, modelled=True), 0.0
    begun = time.monotonic()
    until = None if minutes is None else begun + 60 * minutes
    work = jobs_of(seeds, options, profile or "", full_share)
    totals = Totals()
    last: Job | None = None
    expected = len(seeds) if isinstance(seeds, range) else None
    interrupted = False
    with closing(make_all(work, jobs or os.cpu_count() or 1, until)) as results:
        try:
            for job, outcome, cpu_s in _with_progress(results, expected, totals, quiet=as_json):
                totals.add(job, outcome, cpu_s)
                last = job if last is None or job.seed > last.seed else last
                if outcome.problem and not as_json and len(totals.failures) <= _FAILURES_SHOWN:
                    _tell_failure(job, outcome)
        except KeyboardInterrupt:
            interrupted = True
            click.echo("interrupted: waiting for the runs that have begun, then what was done until now", err=True)
    totals.wall_s = time.monotonic() - begun
    if as_json:
        click.echo(json.dumps(as_dict(totals), separators=(",", ":")))
    else:
        for line in summary_lines(totals):
            click.echo(line)
    if report is not None:
        report.write_text("\n".join(report_lines(totals)) + "\n", encoding="utf-8")
    if history is not None and totals.violations:
        _write_history(history, *min(totals.violations, key=lambda found: found[0].seed))
    shown = min((job for job, _ in totals.failures), key=lambda job: job.seed, default=last)
    if shown is not None and (trace or tla):
        _show(shown, trace=trace, tla=tla)
    sys.exit(_INTERRUPTED if interrupted else 1 if totals.failures else 0)


def _tell_failure(job: Job, outcome: Outcome) -> None:
    click.echo(f"seed {job.seed} ({job.kind}, {job.options.profile}) FAILED: {outcome.problem}", err=True)
    click.echo(f"    {job.command()}", err=True)


def _with_progress(
    results: Iterator[tuple[Job, Outcome, float]], expected: int | None, totals: Totals, *, quiet: bool
) -> Iterator[tuple[Job, Outcome, float]]:
    """The results, with a bar above them in a terminal."""
    if quiet or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("seeds", total=expected)
        for result in results:
            yield result
            hours = sum(totals.seconds.values()) / 3600
            failed = f"[red]{len(totals.failures)} failed" if totals.failures else "none failed"
            progress.update(bar, advance=1, description=f"{hours:.2f} virtual hours, {failed}")


# --- one run ---


@sim.command("replay")
@click.argument("what", metavar="SEED|FILE")
@click.option("--kind", type=_KIND, default="core", show_default=True, help="Of a seed; `run` draws it too.")
@click.option("--profile", type=click.Choice(_PROFILES), default=None, help="The one that `run` draws, by default.")
@click.option("--size", type=int, default=0, metavar="N", help="Nodes; 0: as many as `run` draws.")
@click.option("--seconds", type=float, default=20.0, show_default=True, metavar="S", help="Virtual, with faults.")
@click.option("--until", type=float, default=None, metavar="T", help="Show what happened before T seconds only.")
@click.option("--trace", type=_FILE, metavar="FILE", help="Write an HTML page to scrub through its time.")
@click.option("--history", type=_FILE, metavar="FILE", help="Write a page of a history that is not linearizable.")
@click.option("--tla", type=_FILE, metavar="FILE", help="Make it of what etcd's TLA+ specification knows; write it.")
@click.option("--quiet", is_flag=True, help="Show the verdict only.")
def replay_command(
    what: str,
    kind: str,
    profile: str | None,
    size: int,
    seconds: float,
    until: float | None,
    trace: Path | None,
    history: Path | None,
    tla: Path | None,
    *,
    quiet: bool,
) -> None:
    """Show one run as a timeline: of a seed, or of a file that `shrink` wrote. Exit code 1: it fails.

    With --until a run of the core ends there, be it in the healing, and is judged so far. One of whole nodes is made,
    and judged, to its end all the same.
    """
    from raftly.testing.core_sim.modelled import WRITES_PER_S
    from raftly.testing.core_sim.options import Options

    job = _job(what, kind, profile or "", Options(size=size, seconds=seconds))
    if tla is not None:
        if job.kind != "core":
            raise click.BadParameter("is for runs of the core", param_hint="--tla")
        job = replace(job, options=replace(job.options, rate=WRITES_PER_S, modelled=True))
    if history is not None and job.kind != "full":
        raise click.BadParameter("is for runs of whole nodes", param_hint="--history")
    outcome = _show(job, None if quiet else click.echo, until, trace, tla)
    if history is not None and outcome.violation is not None:
        _write_history(history, job, outcome.violation)
    click.echo(f"{outcome.seconds:.3f} virtual seconds, {outcome.events} events, digest {outcome.digest}")
    click.echo(_verdict(outcome))
    sys.exit(1 if outcome.problem else 0)


def _job(what: str, kind: str, profile: str, options: Options) -> Job:
    """The run of a file; or of a seed, which is that of `run` when this has the seed make one of this kind."""
    from raftly.testing.core_sim.fleet import jobs_of
    from raftly.testing.core_sim.kinds import load

    if what.isdecimal():
        _check_profile(kind, profile)
        return next(jobs_of([int(what)], options, profile, 1.0 if kind == "full" else 0.0))
    path = Path(what)
    if not path.is_file():
        raise click.BadParameter(f"{what} is neither a seed nor a file", param_hint="SEED|FILE")
    return load(path)


def _check_profile(kind: str, profile: str) -> None:
    if kind == "core" and profile not in ("", *_CORE_PROFILES):
        raise click.BadParameter(f"{profile} is for whole nodes (--kind full)", param_hint="--profile")


def _show(
    job: Job,
    echo: Callable[[str], None] | None = None,
    until: float | None = None,
    trace: Path | None = None,
    tla: Path | None = None,
) -> Outcome:
    """Make a run once more, and let it be seen."""
    from raftly.testing.html import write_trace_page

    if job.kind == "full":
        outcome, events = _show_full(job, echo, until, recorded=trace is not None)
    else:
        outcome, events = _show_core(job, echo, until, tla, recorded=trace is not None)
    if trace is not None:
        write_trace_page(trace, events, f"Seed {job.seed}, {job.kind}, {job.options.profile}: {_verdict(outcome)}")
    return outcome


def _write_history(path: Path, job: Job, violation: Violation) -> None:
    """The calls around the one that nothing explains."""
    from raftly.testing.html import write_counterexample

    write_counterexample(path, violation, f"Seed {job.seed}, {job.options.profile}: not linearizable")


def _show_core(
    job: Job, echo: Callable[[str], None] | None, until: float | None, tla: Path | None, *, recorded: bool
) -> tuple[Outcome, list[TraceEvent]]:
    from raftly.core.tlatrace import TlaRecord, TlaTracer
    from raftly.testing.core_sim.modelled import EVENTS_MAX
    from raftly.testing.core_sim.record import CoreRecorder
    from raftly.testing.core_sim.run import run

    recorder = CoreRecorder() if recorded else None
    records: list[TlaRecord] = []
    tracer = None if tla is None else TlaTracer(records.append)
    keep = None if echo else 0
    outcome = run(job.seed, job.options, job.script, tracer=tracer, keep=keep, until=until, recorder=recorder)
    if tla is not None:
        tla.write_text("".join(json.dumps(record) + "\n" for record in records[:EVENTS_MAX]), encoding="utf-8")
    if echo:
        for line in outcome.lines:
            echo(line)
    return outcome, recorder.events(outcome.script) if recorder else []


def _show_full(
    job: Job, echo: Callable[[str], None] | None, until: float | None, *, recorded: bool
) -> tuple[Outcome, list[TraceEvent]]:
    from raftly.testing.core_sim.kinds import run_full

    told = {"fault", "serves", "failed", "retired", "result", "unknown", "refused", "call", "log"}

    def show(line: str) -> None:
        at, host, what, *_ = line.split(" ", 3)
        if echo and what in told and (until is None or float(at) <= until):
            echo(f"{float(at):10.6f}  {host:9} {line.split(' ', 2)[2]}".rstrip())

    events: list[TraceEvent] = []
    recording = events if recorded else None
    outcome = run_full(job.seed, job.options, job.script, sink=show if echo else None, recorded=recording)
    return outcome, [event for event in events if until is None or event.at <= until]


def _verdict(outcome: Outcome) -> str:
    if outcome.problem:
        return f"FAILED: {outcome.problem}"
    return f"stopped at {outcome.seconds:g} s, not judged to its end" if outcome.stopped else "passed"


@sim.command("shrink")
@click.argument("what", metavar="SEED|FILE")
@click.option("--kind", type=_KIND, default="core", show_default=True, help="Of a seed; `run` draws it too.")
@click.option("--profile", type=click.Choice(_PROFILES), default=None, help="The one that `run` draws, by default.")
@click.option("--size", type=int, default=0, metavar="N", help="Nodes; 0: as many as `run` draws.")
@click.option("--seconds", type=float, default=20.0, show_default=True, metavar="S", help="Virtual, with faults.")
@click.option("--within", type=float, default=300.0, show_default=True, metavar="S", help="Real seconds for it.")
@click.option("--to", type=_FILE, metavar="FILE", help="The file to write.")
def shrink_command(
    what: str, kind: str, profile: str | None, size: int, seconds: float, within: float, to: Path | None
) -> None:
    """Make a failing run small: a file with the few events that still make it fail."""
    from raftly.testing.core_sim.options import Options
    from raftly.testing.core_sim.shrink import NothingFails, shrink

    job = _job(what, kind, profile or "", Options(size=size, seconds=seconds))
    try:
        shrunk = shrink(job, within)
    except NothingFails as error:
        raise click.ClickException(str(error)) from error
    path = to or Path(f"{job.kind}-{job.options.profile}-{job.seed}.script")
    shrunk.job.save(path)
    click.echo(f"{shrunk.problem}")
    click.echo(f"{len(shrunk.job.script or ())} events are left, after {shrunk.runs} runs in {shrunk.seconds:.0f} s")
    click.echo(f"raftly sim replay {path}")
