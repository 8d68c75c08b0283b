"""Which form of the core is running: compiled by mypyc, or plain Python."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final

__all__ = ["COMPILED_PACKAGES", "core_form"]

COMPILED_PACKAGES: Final = ("raftly.base", "raftly.core")


def core_form() -> str:
    """`compiled`, `plain`, or `mixed` when only some modules are compiled, which no build of ours makes."""
    forms = {_origin(name).endswith(tuple(EXTENSION_SUFFIXES)) for name in _modules()}
    if len(forms) > 1:
        return "mixed"
    return "compiled" if forms == {True} else "plain"


def _modules() -> Iterator[str]:
    yield from ("raftly.transport.codec", "raftly.transport.frame")
    for package in COMPILED_PACKAGES:
        yield package
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            yield module.name


def _origin(name: str) -> str:
    spec = find_spec(name)
    return (spec.origin if spec else None) or ""
