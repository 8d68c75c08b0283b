"""Where a function stands in the source, for plain and compiled code alike: looked up in the syntax tree."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, final

AnyFunction: TypeAlias = Callable[..., Any]


@final
@dataclass(frozen=True, slots=True)
class Place:
    """A function: its full name, and the line of its `def`."""

    name: str  # as raftly.core.log.RaftLog.append
    path: Path
    line: int

    def __str__(self) -> str:
        """`path:line`, the path relative to the working directory where that is possible."""
        here = Path.cwd()
        path = self.path.relative_to(here) if self.path.is_relative_to(here) else self.path
        return f"{path}:{self.line}"


@cache
def place_of(function: AnyFunction) -> Place:
    """Where a function or method of raftly is defined.

    A compiled one is a built-in without code or file, but it knows its name, and its source lies beside it.

    Raises:
        LookupError: its source is not there, or does not define it.
    """
    owner = getattr(function, "__objclass__", function)  # the class, for a compiled method
    module = owner.__module__
    path = _source_of(module)
    node: ast.AST = ast.parse(path.read_text("utf-8"))
    for name in function.__qualname__.split("."):
        node = _child(node, name, path)
    assert isinstance(node, ast.FunctionDef)
    return Place(f"{module}.{function.__qualname__}", path, node.lineno)


def _source_of(module: str) -> Path:
    package, _, name = module.rpartition(".")
    for folder in sys.modules[package].__path__:
        path = Path(folder) / f"{name}.py"
        if path.is_file():
            return path
    raise LookupError(f"the source of {module} is not installed")


def _child(node: ast.AST, name: str, path: Path) -> ast.AST:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef) and child.name == name:
            return child
    raise LookupError(f"{path} defines no {name}")
