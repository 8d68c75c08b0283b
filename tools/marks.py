"""Which test claims which names: `@pytest.mark.<mark>("NAME", ...)`, read from the sources without running them.

The mark stands on a test, on its class, on a parameter or on its module (`pytestmark`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FunctionOrClass = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class ClaimError(Exception):
    """A mark that proves nothing; the text has path and line."""


class Claim(NamedTuple):
    """One name that one test carries."""

    name: str
    path: str
    test: str  # function name, "Class::function", or "" for a golden script

    def __str__(self) -> str:
        return f"{self.path}::{self.test}" if self.test else self.path


def claims_in(tests: Path, mark: str) -> Iterator[Claim]:
    """The claims of all test modules below a folder.

    Raises:
        ClaimError: a claim cannot stand.
    """
    for path in sorted(tests.rglob("test_*.py")):
        where = path.relative_to(tests.parent).as_posix()
        yield from source_claims(where, path.read_text("utf-8"), mark)


def source_claims(where: str, source: str, mark: str) -> Iterator[Claim]:
    """The claims of one test module.

    Raises:
        ClaimError: a claim cannot stand: its test is skipped, expected to fail or not collected, or its name is not
            written out.
    """
    module = ast.parse(source)
    inherited = [
        node.value
        for node in module.body
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "pytestmark" for target in node.targets)
    ]
    yield from _claims_below(_Place(where, mark), module, inherited, ())


class _Place(NamedTuple):
    where: str
    mark: str


def _claims_below(
    place: _Place, parent: ast.Module | ast.ClassDef, inherited: list[ast.expr], scope: tuple[str, ...]
) -> Iterator[Claim]:
    for node in parent.body:
        if not isinstance(node, FunctionOrClass):
            continue
        marks = inherited + node.decorator_list
        if isinstance(node, ast.ClassDef):
            yield from _claims_below(place, node, marks, (*scope, node.name))
        elif node.name.startswith("test"):
            names = _marked_names(place, marks)
            if names and _never_passes(marks):
                claimed = ", ".join(names)
                raise ClaimError(f"{place.where}:{node.lineno}: {node.name} claims {claimed} but does not have to pass")
            yield from (Claim(name, place.where, "::".join((*scope, node.name))) for name in names)
        elif _marked_names(place, node.decorator_list):
            raise ClaimError(f"{place.where}:{node.lineno}: {node.name} is marked, but pytest does not collect it")


def _marked_names(place: _Place, marks: list[ast.expr]) -> list[str]:
    names: list[str] = []
    for call in (node for mark in marks for node in ast.walk(mark)):
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) == f"pytest.mark.{place.mark}"):
            continue
        for argument in call.args:
            if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                raise ClaimError(f"{place.where}:{call.lineno}: what a mark claims is written out, as strings")
            names.append(argument.value)
    return names


def _never_passes(marks: list[ast.expr]) -> bool:
    names = {ast.unparse(node) for mark in marks for node in ast.walk(mark) if isinstance(node, ast.Attribute)}
    return bool(names & {"pytest.mark.skip", "pytest.mark.xfail"})
