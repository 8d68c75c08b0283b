"""What a package offers is what it says it offers, and each offered thing explains itself."""

import ast
import importlib

import pytest

from tests.arch.layers import Module, modules, parse


def exported(module: Module) -> list[str] | None:
    """The literal `__all__` of a module, None when it has none."""
    for node in module.tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign)
            return list(ast.literal_eval(node.value))
    return None


def needs_all(module: Module) -> bool:
    """A package that gathers names from its modules has to say which of them it offers."""
    gathers = (isinstance(node, ast.ImportFrom) and node.module != "__future__" for node in module.tree.body)
    return module.is_package and any(gathers)


def public(module: Module) -> set[str]:
    """`__all__`, or, without one, every top-level function and class that is not private."""
    names = exported(module)
    if names is not None:
        return set(names)
    return {
        node.name
        for node in module.tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_")
    }


ALL = list(modules())


@pytest.mark.parametrize("module", ALL, ids=lambda module: module.name or "raftly")
def test_a_module_says_what_it_offers(module: Module) -> None:
    assert ast.get_docstring(module.tree), "no docstring"
    names = exported(module)
    if names is None:
        assert not needs_all(module), "gathers names, but has no __all__"
        return
    assert not [name for name in names if name.startswith("_")]
    assert len(names) == len(set(names))
    imported = importlib.import_module(f"raftly.{module.name}".rstrip("."))
    assert [name for name in names if not hasattr(imported, name)] == []


@pytest.mark.parametrize("module", ALL, ids=lambda module: module.name or "raftly")
def test_every_export_explains_itself(module: Module) -> None:
    offered = public(module)
    bare = [
        node.name
        for node in module.tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name in offered
        and not ast.get_docstring(node)
    ]
    assert bare == []


def test_a_missing_all_is_found() -> None:
    assert needs_all(parse("core", "from raftly.core.raft import Raft", is_package=True))
    assert not needs_all(parse("core", "from __future__ import annotations", is_package=True))
