"""What came of the hunts: in a few lines, as a page's tables, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Final

from tests.mutants.bugs import BUGS
from tests.mutants.catalogue import NOT_APPLICABLE
from tests.mutants.fault import LAYERS, Fault
from tests.mutants.hunt import Outcome

SURVIVES: Final[Mapping[str, str]] = {}
"""Why a fault is not caught, and what is to be done about it."""


def summary(faults: Sequence[Fault], outcomes: Mapping[str, Outcome]) -> str:
    """One line a layer, then the survivors, then the score."""
    lines = [f"{'layer':<10} faults  killed  directed  related  seeds  median s"]
    for layer in (*LAYERS, ""):
        done = [outcomes[it.id] for it in faults if it.id in outcomes and (not layer or it.layer == layer)]
        if done:
            lines.append(_line(layer or "all", done))
    for fault in faults:
        outcome = outcomes.get(fault.id)
        if outcome is not None and not outcome.is_killed:
            reason = outcome.catcher or SURVIVES.get(fault.id, "no reason known")
            lines.append(f"survived: {fault.layer} {fault.id} ({' '.join(fault.breaks)}): {fault.what}; {reason}")
    killed = sum(outcome.is_killed for outcome in outcomes.values())
    safety = [outcomes[fault.id] for fault in faults if fault.is_safety and fault.id in outcomes]
    lines.append(f"safety: {sum(it.is_killed for it in safety)} of {len(safety)} killed")
    lines.append(f"{killed} killed, {len(outcomes) - killed} survived")
    return "\n".join(lines)


def _line(name: str, done: Sequence[Outcome]) -> str:
    killed = [it for it in done if it.is_killed]
    by = [sum(it.killed_by.startswith(stage) for it in killed) for stage in ("directed", "related")]
    seconds = median(it.seconds for it in killed) if killed else 0.0
    rest = len(killed) - sum(by)
    return f"{name:<10} {len(done):6} {len(killed):7} {by[0]:9} {by[1]:8} {rest:6} {seconds:9.1f}"


def table(faults: Sequence[Fault], outcomes: Mapping[str, Outcome]) -> str:
    """For a page: a table a layer, one line a fault."""
    out: list[str] = []
    for layer in LAYERS:
        out += [f"### {layer.capitalize()}", "", "| fault | what it does | breaks | row | caught by | s |"]
        out.append("|---|---|---|---|---|---|")
        for fault in faults:
            outcome = outcomes.get(fault.id)
            if fault.layer != layer or outcome is None:
                continue
            rows = " ".join(map(str, fault.rows))
            catcher = f"`{_short(outcome.catcher)}`" if outcome.is_killed else "**nothing**"
            breaks = " ".join(fault.breaks)
            out.append(f"| {fault.id} | {fault.what} | {breaks} | {rows} | {catcher} | {outcome.seconds:.0f} |")
        out.append("")
    return "\n".join(out)


def bug_table(faults: Sequence[Fault], outcomes: Mapping[str, Outcome]) -> str:
    """For a page: a line a bug of the catalogue, with the faults planted for it and what caught each."""
    out = ["| row | bug | planted | caught by |", "|---|---|---|---|"]
    for row, bug in BUGS.items():
        planted = [fault for fault in faults if row in fault.rows]
        if not planted and row not in NOT_APPLICABLE:
            continue  # not among those that were chosen
        caught = {_verdict(outcomes.get(fault.id)): None for fault in planted}
        names = ", ".join(fault.id for fault in planted) or f"none: {NOT_APPLICABLE[row]}"
        out.append(f"| {row} | {bug} | {names} | {', '.join(caught)} |")
    return "\n".join(out)


def _verdict(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not tried"
    if not outcome.is_killed:
        return "**nothing**"
    place, _, test = outcome.catcher.partition("::")
    module = place.rsplit("/", maxsplit=1)[-1].removesuffix(".py").removeprefix("test_")
    return f"`{module}`" if test else f"`{outcome.catcher}`"


def _short(catcher: str) -> str:
    """A test without its folder and parameters; `|` would end the cell."""
    name = catcher.rsplit("/", maxsplit=1)[-1]
    return name.split("[", maxsplit=1)[0].replace("|", "/")


def as_json(faults: Sequence[Fault], outcomes: Mapping[str, Outcome]) -> list[dict[str, object]]:
    """Everything, fault by fault."""
    return [
        {
            **asdict(outcomes[fault.id]),
            "layer": fault.layer,
            "what": fault.what,
            "breaks": list(fault.breaks),
            "rows": list(fault.rows),
            "killed": outcomes[fault.id].is_killed,
        }
        for fault in faults
        if fault.id in outcomes
    ]
