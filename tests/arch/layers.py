"""Who may import whom, and what the layers that only decide may use: the rules, and readers of syntax trees.

Nothing here imports the package under test; `test_imports.py` and `test_purity.py` apply the rules to its sources and
to planted violations.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "raftly"

# layer -> what of raftly it may import besides itself and `errors`; a dotted name opens one module only
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "loop_thread": set(),
    "base": set(),
    "core": {"base"},
    "storage": {"base"},
    "transport": {"base", "core.fields", "core.messages"},
    "node": {"base", "core", "loop_thread", "storage", "transport"},
    "engine": {"base"},
    "store": {"base", "core", "engine", "node", "storage", "transport"},
    "mvcc": {"base", "engine"},
    "txn": {"base", "engine", "mvcc"},
    "pd": {"base", "node"},
    "rpc": {"base"},
    "proto": {"rpc"},
    "client": {"base", "loop_thread", "proto", "rpc"},
    "dashboard": set(),
}
LAYERS["server"] = set(LAYERS) - {"errors"}
LAYERS["testing"] = set(LAYERS) - {"errors"}
LAYERS["demo"] = set(LAYERS) - {"errors", "testing"}
LAYERS["playground"] = {"base", "client", "demo", "loop_thread"}  # a client of processes that it starts
LAYERS["cli"] = set(LAYERS) - {"errors"}
LAYERS[""] = {"base", "core", "node", "storage", "transport"}  # raftly/__init__.py: public names only

# layer -> packages beyond the standard library; every one of them is an extra of pyproject.toml
THIRD_PARTY: dict[str, set[str]] = {
    "node": {"prometheus_client"},  # its `prometheus` only
    "testing": {"pytest"},  # its `plugin` only, which pytest itself loads
    "rpc": {"google", "hpack"},  # google: health, reflection and codegen only
    "engine": {"rocksdict"},
    "proto": {"google"},
    "client": {"google"},
    "server": {"google", "hpack"},
    "demo": {"click", "rich"},
    "cli": {"click", "rich"},
}

# The layers that only decide. `core` has a list of what it may use; for the others, what acts is forbidden.
CORE_STDLIB = {"__future__", "bisect", "collections", "dataclasses", "enum", "heapq", "typing"}
PURE = {"errors", "base", "core", "mvcc", "txn"}
ACTING = {
    *("asyncio", "concurrent", "ctypes", "datetime", "fcntl", "http", "importlib", "io", "logging", "mmap"),
    *("multiprocessing", "os", "pathlib", "pickle", "queue", "random", "sched", "secrets", "select", "selectors"),
    *("shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib", "uuid"),
}
NEVER = {"marshal", "pickle", "shelve"}  # bytes from outside never choose what is executed


class Module(NamedTuple):
    """One source file: its dotted name below `raftly` ("" for the package itself) and its tree."""

    name: str
    is_package: bool
    tree: ast.Module

    @property
    def layer(self) -> str:
        return self.name.partition(".")[0]


class Finding(NamedTuple):
    """A broken rule, with its place in the form that editors understand."""

    module: str
    line: int
    problem: str

    def __str__(self) -> str:
        return f"raftly.{self.module}:{self.line}: {self.problem}"


def parse(name: str, source: str, *, is_package: bool = False) -> Module:
    return Module(name, is_package, ast.parse(source))


def modules(package: Path = PACKAGE) -> Iterator[Module]:
    """Every module of the package, generated ones left out."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        if is_package:
            parts = parts[:-1]
        if parts[:1] != ("proto",):
            yield parse(".".join(parts), path.read_text("utf-8"), is_package=is_package)


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import in the module, wherever it stands; `from a import b` gives `a.b`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(module, node)
            for alias in node.names:
                yield node.lineno, f"{origin}.{alias.name}"


def _origin(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    here = ["raftly", *filter(None, module.name.split("."))]
    climb = node.level - 1 if module.is_package else node.level
    return ".".join(here[: len(here) - climb] + ([node.module] if node.module else []))


def check_imports(module: Module) -> Iterator[Finding]:
    """Imports against LAYERS, THIRD_PARTY and the lists of the pure layers."""
    if module.layer not in LAYERS:
        yield Finding(module.name, 1, f"{module.layer} is in no layer: name it, and what it may import, in LAYERS")
        return
    for line, name in imports(module):
        top, _, rest = name.partition(".")
        if top == "raftly":
            problem = _own_import(module, rest)
        elif top in sys.stdlib_module_names:
            problem = _stdlib_import(module, top)
        else:
            problem = None if top in THIRD_PARTY.get(module.layer, ()) else f"{top} is no dependency of this layer"
        if problem:
            yield Finding(module.name, line, problem)


def _own_import(module: Module, target: str) -> str | None:
    layer = target.partition(".")[0]
    if not layer or layer not in LAYERS:  # the public face stands on everything, so nothing inside may use it
        return (
            None
            if module.layer in {"cli", "demo", "testing"}
            else f"import {layer or 'what is needed'} from where it is defined"
        )
    if layer in {module.layer, "errors"}:
        return None
    allowed = LAYERS[module.layer]
    if any(target == name or target.startswith(f"{name}.") for name in allowed):
        return None
    return f"{module.layer or 'raftly'} may not import raftly.{target}"


def _stdlib_import(module: Module, top: str) -> str | None:
    if top in NEVER:
        return f"{top} runs what bytes say"
    if module.layer == "core" and top not in CORE_STDLIB:
        return f"core may use {', '.join(sorted(CORE_STDLIB))}, not {top}"
    if module.layer in PURE and top in ACTING:
        return f"{module.layer} decides and does not act: no {top}"
    return None
