"""What the runs of `raftly sim run` came to: for people, for programs, and for a page of the documentation.

Rates mean little without the form of the core that ran, so each says which it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from raftly.cli.form import core_form

if TYPE_CHECKING:
    from raftly.testing.core_sim.fleet import Totals

__all__ = ["as_dict", "report_lines", "summary_lines"]


def summary_lines(totals: Totals) -> Iterator[str]:
    """What there is to say, for people; the verdict last."""
    for kind in sorted(totals.seeds):
        events_s, times = totals.rates(kind)
        yield (
            f"{kind}: {totals.seeds[kind]} seeds, {totals.seconds[kind] / 3600:.2f} virtual hours, "
            f"{totals.events[kind]:,} events; a core does {events_s:,.0f} events/s, {times:.1f} times real time"
        )
    yield f"raftly core: {core_form()}"
    yield "faults: " + (", ".join(f"{kind} {number}" for kind, number in totals.faults().items()) or "none")
    yield "judged: " + ", ".join(f"{number} {what}" for what, number in sorted(totals.counts.items()))
    yield "rare: " + (", ".join(f"{number} {what}" for what, number in sorted(totals.rare.items())) or "nothing")
    yield f"reached: {len(totals.coverage)} pairs of role and message; slowest recovery {totals.recovery_s_max:.1f} s"
    yield f"{totals.passed} passed, {len(totals.failures)} failed"


def as_dict(totals: Totals) -> dict[str, object]:
    """The same for programs."""
    return {
        "passed": totals.passed,
        "failed": [
            {"seed": job.seed, "kind": job.kind, "problem": problem, "replay": job.command()}
            for job, problem in totals.failures
        ],
        "core_form": core_form(),
        "wall_s": round(totals.wall_s, 1),
        "kinds": {
            kind: {
                "seeds": totals.seeds[kind],
                "virtual_s": totals.seconds[kind],
                "events": totals.events[kind],
                "events_per_cpu_s": round(totals.rates(kind)[0]),
                "times_real_time": round(totals.rates(kind)[1], 1),
            }
            for kind in sorted(totals.seeds)
        },
        "faults": totals.faults(),
        "judged": dict(sorted(totals.counts.items())),
        "rare": dict(sorted(totals.rare.items())),
        "reached": {f"{role} {message}": number for (role, message), number in sorted(totals.coverage.items())},
        "recovery_s_max": round(totals.recovery_s_max, 1),
    }


def report_lines(totals: Totals) -> Iterator[str]:
    """The same for a page of the documentation."""
    yield "| runs | seeds | virtual hours | events | events/s of a core | times real time |"
    yield "|---|---:|---:|---:|---:|---:|"
    for kind in sorted(totals.seeds):
        events_s, times = totals.rates(kind)
        hours = totals.seconds[kind] / 3600
        events = totals.events[kind]
        yield f"| {kind} | {totals.seeds[kind]:,} | {hours:.2f} | {events:,} | {events_s:,.0f} | {times:.1f} |"
    yield ""
    judged = f"{totals.passed} passed, {len(totals.failures)} failed"
    yield f"{judged}, in {totals.wall_s / 60:.1f} minutes; raftly core: {core_form()}."
    for job, problem in totals.failures:
        yield f"\n    {job.command()}\n    {problem.splitlines()[0]}"
    yield "\n| fault | times |\n|---|---:|"
    for fault, number in totals.faults().items():
        yield f"| {fault} | {number:,} |"
    yield "\n| judged | times |\n|---|---:|"
    for what, number in sorted(totals.counts.items()):
        yield f"| {what} | {number:,} |"
    yield "\n| rare | times |\n|---|---:|"
    for what, number in sorted(totals.rare.items()):
        yield f"| {what} | {number:,} |"
    yield "\n| role | message | handled |\n|---|---|---:|"
    for (role, message), number in sorted(totals.coverage.items()):
        yield f"| {role} | {message} | {number:,} |"
