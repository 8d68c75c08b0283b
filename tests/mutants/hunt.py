"""Looking for one fault: commands on a copy of the tree that has it, until one of them fails.

A hunt goes from the nearest to the farthest: the tests named with the fault, the tests of its layer, then seeds. It
ends with the first command that fails, or when its time is over. Tests that do not end in time have noticed, too: on
the sound tree they take a small part of that.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final

from tests.mutants.fault import Fault, Rotten

ROOT: Final = Path(__file__).resolve().parents[2]
_COPIED: Final = ("src", "tests", "examples", "docs", "pyproject.toml")
_LEFT_OUT: Final = shutil.ignore_patterns("*.so", "mutants", "*.egg-info", ".hypothesis")

RELATED: Final = {
    "core": ("unit/core", "sim/test_leases.py", "sim/test_directed.py", "golden"),
    "log": ("unit/storage", "unit/base", "unit/node/test_crashes.py", "unit/node/test_founding.py"),
    "snapshot": (
        "unit/storage/test_snapshot.py",
        "unit/node/test_snapshots.py",
        "unit/node/test_snapshot_crashes.py",
        "unit/node/test_machine.py",
        "unit/node/test_membership.py",
        "unit/node/test_snapshots_tcp.py",
    ),
    "node": ("unit/node",),
    "session": ("unit/node",),
    "store": ("unit/store", "sim_store"),
    "transport": ("unit/transport", "unit/node/test_remote_tcp.py", "unit/node/test_snapshots_tcp.py"),
}
"""Tests of a layer, below tests/."""

_SIMULATE: Final = (sys.executable, "-c", "from raftly.cli import main; main()", "sim", "run", "--jobs", "1")
_CORE_SEEDS: Final = 20  # of one command, so that a hunt ends soon after the first that fails
_NODE_SEEDS: Final = 5  # each takes three times as long


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """One command of a hunt."""

    name: str  # directed, related, seeds
    command: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Outcome:
    """How a hunt ended."""

    id: str
    killed_by: str
    """The stage; "" when the fault survived; "error" when the hunt itself went wrong."""
    catcher: str
    """The test, the seed, or what went wrong."""
    seconds: float

    @property
    def is_killed(self) -> bool:
        return self.killed_by not in ("", "error")


@final
@dataclass(frozen=True, slots=True)
class Effort:
    """How far a hunt goes."""

    seconds_max: float = 600.0
    """For one fault."""
    directed_seconds_max: float = 90.0
    """For the tests named with a fault; on the sound tree they take a tenth of it."""
    stage_seconds_max: float = 300.0
    """For any other command; the slowest on the sound tree takes a fifth of it."""
    directed: bool = True
    related: bool = True
    seeds: str = "0..40"
    """A..B of `raftly sim run`, B not included; "" for none."""
    profiles: tuple[str, ...] = ()
    """Of `raftly sim run`; none: its own choice."""

    def patient(self, factor: float) -> Effort:
        """The same with so many times as long for everything: for a machine that is busy."""
        return replace(
            self,
            seconds_max=factor * self.seconds_max,
            directed_seconds_max=factor * self.directed_seconds_max,
            stage_seconds_max=factor * self.stage_seconds_max,
        )


def stages(fault: Fault, effort: Effort) -> Iterator[Stage]:
    """What to run for a fault, in order."""
    if effort.directed:
        yield Stage("directed", _pytest(fault.first))
    if effort.related:
        yield Stage("related", _pytest(RELATED[fault.layer]))
    if fault.layer == "store":
        return  # the seeds of stores are among its related tests
    first, _, stop = effort.seeds.partition("..")
    step = _CORE_SEEDS if fault.layer == "core" else _NODE_SEEDS
    for lo in range(int(first or 0), int(stop or 0), step):
        hi = min(lo + step, int(stop))
        for profile in effort.profiles or ("",):
            yield Stage("seeds", _simulate(fault.layer, f"{lo}..{hi}", profile))


def _simulate(layer: str, seeds: str, profile: str) -> tuple[str, ...]:
    """Runs of the core alone show what is wrong in the core, and are quick; the rest takes runs of whole nodes."""
    share = "0" if layer == "core" else "1"
    return (*_SIMULATE, "--seeds", seeds, "--full-share", share, *(("--profile", profile) if profile else ()))


def _pytest(paths: Sequence[str]) -> tuple[str, ...]:
    there = [f"tests/{path}" for path in paths if (ROOT / "tests" / path).exists()]
    return (sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", "-p", "no:cacheprovider", *there)


def hunt(fault: Fault, effort: Effort) -> Outcome:
    """Plant the fault in a copy of the tree, and run one command after the other until one fails."""
    began = time.monotonic()
    with copied_tree() as tree:
        try:
            fault.plant(tree / "src")
        except Rotten as error:
            return Outcome(fault.id, "error", str(error), 0.0)
        for stage in stages(fault, effort):
            left = effort.seconds_max - (time.monotonic() - began)
            if left <= 0:
                break
            most = effort.directed_seconds_max if stage.name == "directed" else effort.stage_seconds_max
            code, output = run(stage, tree, min(left, most))
            seconds = time.monotonic() - began
            if code is None:
                if stage.name == "seeds" or most > left:
                    break  # no more time; runs of a simulation are bounded by themselves
                return Outcome(fault.id, stage.name, "it does not end", seconds)
            if code == 1:
                return Outcome(fault.id, stage.name, _catcher(output), seconds)
            if code != 0:
                return Outcome(fault.id, "error", f"{stage.name} ended with {code}: {output[-300:]}", seconds)
    return Outcome(fault.id, "", "", time.monotonic() - began)


def check_sound(faults: Sequence[Fault], effort: Effort) -> str:
    """What fails without any fault, of all the tests that the hunts would run; "" when nothing does."""
    with copied_tree() as tree:
        commands: dict[tuple[str, ...], str] = {}
        if effort.directed:
            commands[_pytest(sorted({test for fault in faults for test in fault.first}))] = "directed"
        for fault in faults:
            for stage in stages(fault, effort):
                if stage.name != "directed":
                    commands[stage.command] = stage.name
        for command, name in commands.items():
            code, output = run(Stage(name, command), tree, 4 * effort.stage_seconds_max)
            if code != 0:
                return f"{name}: {_catcher(output) if code == 1 else output[-2000:]}"
    return ""


@contextmanager
def copied_tree() -> Iterator[Path]:
    """A copy of what the tests need, in a directory of its own that goes away."""
    with tempfile.TemporaryDirectory(prefix="raftly-mutant-", ignore_cleanup_errors=True) as name:
        tree = Path(name) / "tree"
        tree.mkdir()
        for part in _COPIED:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, tree / part, ignore=_LEFT_OUT)
            elif source.exists():
                shutil.copy2(source, tree / part)
        yield tree


def run(stage: Stage, tree: Path, within: float) -> tuple[int | None, str]:
    """Run a command on a tree; its exit code and what it printed. None: it did not end `within` seconds."""
    environment = os.environ | {
        "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}",
        "RAFTLY_EXPECT": "plain",
        "HYPOTHESIS_PROFILE": "hunt",
    }
    process = subprocess.Popen(
        stage.command,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,  # not a session, which the kernel would give a share of its own, whatever `nice` says
    )
    try:
        output, _ = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        _end(process)
        return None, ""
    except BaseException:
        _end(process)
        raise
    return process.returncode, output


def _end(process: subprocess.Popen[str]) -> None:
    """The command, and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _catcher(output: str) -> str:
    """The test or seed that failed first."""
    found = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", output, re.MULTILINE)
    if found is None:
        found = re.search(r"^.*\bseed\b.*$", output, re.MULTILINE)
    text = found[found.lastindex or 0] if found is not None else output.strip()[-200:]
    return text.strip()[:200]
