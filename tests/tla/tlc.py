"""TLC replays a trace against etcd-io/raft's trace specification, which whoever runs this has at hand.

The specification stays where it is: its two modules are copied into a scratch directory beside our stand-ins for the
community modules (`modules/`) and a module with the trace as a literal, so that a jar of TLC alone is enough.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from raftly.core.tlatrace import TlaRecord, TlaValue

ROOT_MODULE: Final = "Traceetcdraft"
SPEC_FILES: Final = (f"{ROOT_MODULE}.tla", f"{ROOT_MODULE}.cfg", "etcdraft.tla")
_MODULES: Final = Path(__file__).parent / "modules"
_MEMORY: Final = ("-Xmx2g", "-Xss64m")  # folding a trace goes as deep as the trace is long
_REACHED_END: Final = '<<"Progress %:", 100>>'
_NO_ERROR: Final = "No error has been found"
_VIOLATED: Final = "violated"
_SECONDS_MAX: Final = 900
# Older tools know neither how they were called nor the length of their queue, and do not read this option from the
# file: we call them as the specification demands, and ask ourselves whether the last event was reached.
_UNKNOWN: Final = {'TLCGet("config")': '[mode |-> "bfs", worker |-> 1]', 'TLCGet("queue") = 1': "TRUE"}
_DEADLOCK: Final = re.compile(r"^CHECK_DEADLOCK\s+FALSE\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What TLC said of a trace; `output` is all it printed."""

    accepted: bool
    output: str

    @property
    def reason(self) -> str:
        """Why it was rejected, as far as one line can say it; empty for an accepted trace."""
        if self.accepted:
            return ""
        errors = [line for line in self.output.splitlines() if line.startswith("Error:")]
        return errors[0] if errors else f"stuck at {self.progress} % of the trace"

    @property
    def progress(self) -> int:
        """How much of the trace could be replayed, in percent."""
        steps = [line for line in self.output.splitlines() if line.startswith('<<"Progress %:"')]
        return max((int(line.rstrip(">").split(",")[1]) for line in steps), default=0)


def missing(spec: Path | None, jar: Path | None) -> str:
    """Why TLC cannot run here; empty when it can."""
    if shutil.which("java") is None:
        return "there is no java on the path"
    if jar is None or not jar.is_file():
        return "the jar of TLC is not at hand"
    if spec is None or not all((spec / name).is_file() for name in SPEC_FILES):
        return f"the specification is not at hand: a directory with {', '.join(SPEC_FILES)}"
    return ""


def replay(records: list[TlaRecord], spec: Path, jar: Path) -> Verdict:
    """Can the specification do what the trace says, to its last event?

    Raises:
        RuntimeError: TLC came to no verdict.
        subprocess.TimeoutExpired: it took too long.
    """
    with tempfile.TemporaryDirectory(prefix="tla-") as name:
        directory = Path(name)
        _lay_out(directory, spec, records)
        return _run(directory, jar)


def _lay_out(directory: Path, spec: Path, records: list[TlaRecord]) -> None:
    for module in sorted(_MODULES.glob("*.tla")):
        shutil.copy(module, directory)
    for name in SPEC_FILES:
        text = (spec / name).read_text(encoding="utf-8")
        for unknown, known in _UNKNOWN.items():
            text = text.replace(unknown, known)
        (directory / name).write_text(_DEADLOCK.sub("", text), encoding="utf-8")
    (directory / "Json.tla").write_text(_trace_module(records), encoding="utf-8")


def _run(directory: Path, jar: Path) -> Verdict:
    command = [
        "java",
        *_MEMORY,
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Djava.io.tmpdir={directory}",
        "-cp",
        str(jar.resolve()),
        "tlc2.TLC",
    ]
    command += ["-workers", "1", "-deadlock", "-lncheck", "final", "-metadir", str(directory / "states"), ROOT_MODULE]
    run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=_SECONDS_MAX, check=False)
    accepted = run.returncode == 0 and _REACHED_END in run.stdout and _NO_ERROR in run.stdout
    if _NO_ERROR not in run.stdout and _VIOLATED not in run.stdout:
        raise RuntimeError(f"TLC came to no verdict:\n{run.stdout}{run.stderr}")
    return Verdict(accepted, run.stdout + run.stderr)


def _trace_module(records: list[TlaRecord]) -> str:
    """A module that reads every file as the given trace."""
    literal = ",\n".join(to_tla(record) for record in records)
    return f"---- MODULE Json ----\nndJsonDeserialize(path) == <<\n{literal}\n>>\n====\n"


def to_tla(value: TlaValue) -> str:
    """A JSON value as a TLA+ expression: records, tuples, strings, numbers, truth values."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return f"<<{', '.join(map(to_tla, value))}>>"
    if not value:
        return "<<>>"  # nothing has no fields either way
    return f"[{', '.join(f'{name} |-> {to_tla(field)}' for name, field in value.items())}]"
