"""Versions that users get are no older than those that are safe: our own tests run on the pinned ones."""

import re
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())


def floor(requirements: list[str], name: str) -> tuple[int, ...]:
    (found,) = (re.fullmatch(rf"{name}>=([\d.]+)", line) for line in requirements if line.startswith(name))
    assert found is not None
    return tuple(map(int, found[1].split(".")))


def test_hpack_ends_an_integer_that_has_no_end() -> None:
    for requirements in (PROJECT["build-system"]["requires"], PROJECT["project"]["optional-dependencies"]["rpc"]):
        assert floor(requirements, "hpack") >= (4, 2)
