"""Running script files: which kind each is, what came of it, and writing expected texts anew."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, final

from raftly.testing.golden.confchange import ConfChangeRunner
from raftly.testing.golden.interaction import InteractionRunner, ScriptAborted
from raftly.testing.golden.quorum import QuorumRunner
from raftly.testing.golden.script import Case, Directive, Script, ScriptError, ended, parse_script


class Runner(Protocol):
    """State of one script; carries out its cases in order."""

    def run(self, directive: Directive) -> str:
        """What comes out of a directive."""
        ...


RUNNERS: Final[dict[str, Callable[[], Runner]]] = {
    "interaction": InteractionRunner,
    "quorum": QuorumRunner,
    "confchange": ConfChangeRunner,
}  # kind, which is the name of a folder above the script: its runner
SUFFIX: Final = ".txt"  # of scripts in a folder; a file named by itself may be called anything


@final
@dataclass(frozen=True, slots=True)
class ScriptFile:
    """A script to run. `path` is shown as it was asked for."""

    path: Path
    kind: str


@final
@dataclass(frozen=True, slots=True)
class CaseFailure:
    """A case that did not give its expected text, or (`problem`) could not be carried out to its end."""

    path: str
    line: int
    command: str
    expected: str
    actual: str
    problem: str = ""

    def diff(self) -> Iterator[str]:
        """Lines from expected to actual, in unified form without a header: ' ', '-', '+' or '@' first."""
        expected, actual = self.expected.split("\n")[:-1], self.actual.split("\n")[:-1]
        for number, line in enumerate(difflib.unified_diff(expected, actual, lineterm="", n=4)):
            if number >= 2:  # before that: the names of the two sides
                yield line


@final
@dataclass(slots=True)
class FileResult:
    """What came of a file: cases passed, the failure that stopped it, and cases that were not run because of it."""

    file: ScriptFile
    passed: int = 0
    failure: CaseFailure | None = None
    not_run: int = 0
    outputs: list[str] = field(default_factory=list)  # of the cases that were carried out to their end, in order


# --- finding ---------------------------------------------------------------------------------------------------


def find_scripts(paths: Iterable[Path]) -> list[ScriptFile]:
    """The scripts that files and folders (searched to the bottom, in order of name) stand for, each once.

    Raises:
        ScriptError: a path is missing, a folder holds no scripts, or nothing tells the kind of a script.
    """
    found: dict[str, ScriptFile] = {}
    for path in paths:
        if path.is_dir():
            files = [file for file in sorted(path.rglob(f"*{SUFFIX}")) if file.is_file()]
            if not files:
                raise ScriptError(f"there is no *{SUFFIX} in this folder", str(path))
        elif path.exists():
            files = [path]
        else:
            raise ScriptError("there is no such file or folder", str(path))
        for file in files:
            found.setdefault(os.path.realpath(file), ScriptFile(file, kind_of(file)))
    return list(found.values())


def kind_of(path: Path) -> str:
    """The kind of a script: the nearest folder above it that is named like one.

    Raises:
        ScriptError: there is none.
    """
    for folder in Path(os.path.abspath(path)).parents:  # noqa: PTH100 - links stay, `..` goes
        if folder.name in RUNNERS:
            return folder.name
    raise ScriptError(f"its kind cannot be told: no folder above it is named {', '.join(RUNNERS)}", str(path))


def read_script(path: Path) -> Script:
    """Read and parse a file.

    Raises:
        ScriptError: it cannot be read, or is no script.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ScriptError(f"it cannot be read: {error.strerror}", str(path)) from error
    except UnicodeDecodeError as error:
        raise ScriptError(f"it is not UTF-8 text (byte {error.start}): not a script", str(path)) from error
    return parse_script(text, str(path))


# --- running ---------------------------------------------------------------------------------------------------


def run_file(file: ScriptFile) -> FileResult:
    """Run the cases of a file in order, up to the first that fails.

    Raises:
        ScriptError: it cannot be read, or is no script.
    """
    return _run(file, read_script(file.path), compare=True)


def rewrite_file(file: ScriptFile) -> FileResult:
    """Run the cases of a file and write what comes out of them into it.

    A failure is a case that could not be carried out to its end; the file is then left as it is.

    Raises:
        ScriptError: it cannot be read or written, or is no script.
    """
    script = read_script(file.path)
    result = _run(file, script, compare=False)
    if result.failure is None:
        try:
            file.path.write_bytes(script.rewritten(result.outputs).encode())
        except OSError as error:
            raise ScriptError(f"it cannot be written: {error.strerror}", str(file.path)) from error
    return result


def _run(file: ScriptFile, script: Script, *, compare: bool) -> FileResult:
    runner = RUNNERS[file.kind]()
    result = FileResult(file)
    for case in script.cases:
        output, problem = _run_case(runner, case)
        if problem or (compare and output != case.expected):
            result.failure = CaseFailure(
                str(file.path), case.line, case.directive.command, case.expected, output, problem
            )
            break
        result.outputs.append(output)
        result.passed += 1
    result.not_run = len(script.cases) - result.passed - (result.failure is not None)
    return result


def _run_case(runner: Runner, case: Case) -> tuple[str, str]:
    """The output of a case, and what kept it from its end, if anything."""
    try:
        return ended(runner.run(case.directive)), ""
    except ScriptAborted as aborted:
        return ended(aborted.output), f"a node broke an invariant: {aborted.problem}"
    except ScriptError as error:
        return "", error.problem
