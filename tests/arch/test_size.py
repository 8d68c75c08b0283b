"""Files stay under 500 lines and functions under 60; what is larger is in `ratchet.toml` and never grows."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.arch.layers import PACKAGE

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60  # of code: a contract in a docstring may be as long as it needs
RATCHET = Path(__file__).with_name("ratchet.toml")


def function_lengths(tree: ast.AST, scope: str = "") -> Iterator[tuple[str, int]]:
    """(qualified name, lines from `def` to the end without the docstring) of every function, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        name = scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{scope}.{node.name}".lstrip(".")
            if not isinstance(node, ast.ClassDef):
                yield name, (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
        yield from function_lengths(node, name)


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return (node.body[0].end_lineno or node.body[0].lineno) - node.body[0].lineno + 1


def compare(sizes: dict[str, int], limit: int, ratchet: dict[str, int]) -> list[str]:
    """What is too large, what grew past its entry, and which entries ought to be lowered or removed."""
    problems = []
    for name, size in sizes.items():
        bound = ratchet.get(name, limit)
        if size > bound:
            problems.append(f"{name} has {size} lines, the limit is {bound}: split it")
    for name, bound in ratchet.items():
        size = sizes.get(name, 0)
        if size <= limit:
            problems.append(f"{name} has {size} lines now: remove it from ratchet.toml")
        elif size < bound:
            problems.append(f"{name} shrank to {size}: lower its entry in ratchet.toml from {bound}")
    return problems


def test_files_and_functions_stay_small() -> None:
    ratchet = tomllib.loads(RATCHET.read_text("utf-8"))
    files: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        where = path.relative_to(PACKAGE).as_posix()
        if where.startswith("proto/"):
            continue
        source = path.read_text("utf-8")
        files[where] = len(source.splitlines())
        functions |= {f"{where}:{name}": lines for name, lines in function_lengths(ast.parse(source))}
    problems = compare(files, FILE_LINES_MAX, ratchet["files"])
    problems += compare(functions, FUNCTION_LINES_MAX, ratchet["functions"])
    assert not problems, "\n".join(problems)


def test_the_limit_and_the_ratchet_bite() -> None:
    assert compare({"a": 60}, 60, {}) == []
    assert compare({"a": 61}, 60, {}) == ["a has 61 lines, the limit is 60: split it"]
    assert compare({"a": 70}, 60, {"a": 70}) == []
    assert compare({"a": 71}, 60, {"a": 70}) == ["a has 71 lines, the limit is 70: split it"]
    assert compare({"a": 65}, 60, {"a": 70}) == ["a shrank to 65: lower its entry in ratchet.toml from 70"]
    assert compare({}, 60, {"a": 70}) == ["a has 0 lines now: remove it from ratchet.toml"]


def test_lengths_are_counted_without_docstrings() -> None:
    tree = ast.parse('class A:\n    def f(self):\n        """One.\n\n        Two.\n        """\n        return 1\n')
    assert dict(function_lengths(tree)) == {"A.f": 2}
