"""`raftly conformance`: run golden scripts against this Raft."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Final

import click

from raftly.testing.golden import (
    CaseFailure,
    FileResult,
    ScriptError,
    ScriptFile,
    find_scripts,
    read_script,
    rewrite_file,
    run_file,
)

__all__ = ["conformance"]

STYLES: Final = {"-": "red", "+": "green", "@": "cyan"}  # of a line of a diff, by its first character


class UnusableInput(click.ClickException):
    """What was given cannot be run at all: told in a sentence, before anything runs."""

    exit_code: ClassVar[int] = 2


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH...")
@click.option("--rewrite", is_flag=True, help="Write what comes out into the scripts; read the difference afterwards.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def conformance(paths: tuple[Path, ...], *, rewrite: bool, as_json: bool) -> None:
    """Run golden scripts: files, or folders searched for *.txt.

    The nearest folder above a script that is named interaction, quorum or confchange tells its kind. A file stops at
    its first failing case, since what follows depends on it. Exit code 0: all passed. 1: a case failed. 2: a path is
    missing, a file is no script, or its kind cannot be told.
    """
    try:
        files = find_scripts(paths)
        for file in files:
            read_script(file.path)
        results = [_run(file, rewrite=rewrite) for file in files]
    except ScriptError as error:
        raise UnusableInput(str(error)) from error
    if as_json:
        click.echo(json.dumps(_summary(results), ensure_ascii=False))
    else:
        _tell(results)
    sys.exit(1 if any(result.failure for result in results) else 0)


def _run(file: ScriptFile, *, rewrite: bool) -> FileResult:
    return rewrite_file(file) if rewrite else run_file(file)


def _failures(results: list[FileResult]) -> list[CaseFailure]:
    return [result.failure for result in results if result.failure is not None]


def _summary(results: list[FileResult]) -> dict[str, object]:
    failures = _failures(results)
    return {
        "files": len(results),
        "passed": sum(result.passed for result in results),
        "failed": len(failures),
        "not_run": sum(result.not_run for result in results),
        "failures": [asdict(failure) for failure in failures],
    }


def _tell(results: list[FileResult]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)  # in a pipe it leaves the colours out
    for result in results:
        if result.failure is not None:
            for line, style in _failure_lines(result.failure, result.not_run):
                console.print(Text(line, style))
    passed, failed = sum(result.passed for result in results), len(_failures(results))
    console.print(Text(f"{passed} passed, {failed} failed", "red" if failed else "green"))


def _failure_lines(failure: CaseFailure, not_run: int) -> Iterator[tuple[str, str]]:
    """What to print of a failing case, with the style of each line."""
    yield f"{failure.path}:{failure.line}: {failure.command}", "bold"
    if failure.problem:
        yield f"  {failure.problem}", "red"
    if failure.actual or not failure.problem:
        yield "  - expected, + came out", "dim"
        for line in failure.diff():
            yield f"  {line}".rstrip(), STYLES.get(line[0], "")
    if not_run:
        yield f"  {not_run} further {'case' if not_run == 1 else 'cases'} of this file not run", "dim"
    yield "", ""
