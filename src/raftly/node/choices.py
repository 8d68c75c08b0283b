"""Choices: those of a union, so that what arrives is of the one that it was sent as.

A record names no class, only fields, and those that lack take defaults. So dataclasses with few fields come first,
before one that would fill some in, and two are refused whose fields have the same names and tell no difference.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from itertools import combinations, product
from typing import Union

from raftly.errors import ConfigError
from raftly.node.annotations import CONTAINERS, SCALARS, class_of, field_hints, field_names, unwrapped
from raftly.node.values import Record


def choices_of(annotation: object) -> list[object]:
    """The choices of a union, in the order in which they are to be tried.

    Raises:
        ConfigError: nothing that travels tells two of them apart.
    """
    choices = sorted(_choices(annotation), key=lambda choice: _width(choice) or math.inf)
    if any(_alike(one, other) for one, other in combinations(choices, 2)):
        raise ConfigError(
            f"annotation {annotation}", "has two dataclasses with the same fields: what arrives could be either"
        )
    return choices


def _choices(annotation: object) -> list[object]:
    """Those of a union; anything else is the only one."""
    annotation = unwrapped(annotation)
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return [annotation]
    return [choice for argument in typing.get_args(annotation) for choice in _choices(argument)]


def _width(annotation: object) -> int:
    """How many dataclasses there are in an annotation, with all their fields."""
    annotation = unwrapped(annotation)
    names = field_names(annotation)
    return (0 if names is None else 1 + len(names)) + sum(map(_width, typing.get_args(annotation)))


def _alike(one: object, other: object) -> bool:
    """Does nothing that travels tell these two apart, though they are of different classes?"""
    if class_of(one) is not class_of(other):
        names = field_names(one)
        if names is None or names != field_names(other):
            return False
        hints, hints_there = field_hints(one), field_hints(other)
        return not any(_apart(hints[name], hints_there[name]) for name in names)
    arguments, others = typing.get_args(one), typing.get_args(other)
    differ = [pair for pair in zip(arguments, others, strict=False) if pair[0] != pair[1]]
    return len(arguments) == len(others) and differ != [] and all(_some_alike(a, b) for a, b in differ)


def _some_alike(one: object, other: object) -> bool:
    return any(_alike(a, b) for a, b in product(_choices(one), _choices(other)))


def _apart(one: object, other: object) -> bool:
    """Does every value tell which of these two it is of?"""
    return all(_differ(a, b) for a, b in product(_choices(one), _choices(other)))


def _differ(one: object, other: object) -> bool:
    names, names_there = field_names(one), field_names(other)
    if names is not None and names_there is not None:
        return not _required(one) | _required(other) <= names & names_there
    if typing.get_origin(one) is typing.get_origin(other) is typing.Literal:
        return _literals(one).isdisjoint(_literals(other))
    return _kinds(one).isdisjoint(_kinds(other))


def _required(annotation: object) -> frozenset[str]:
    """Of a dataclass: the fields that a record must have."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(class_of(annotation))
    return frozenset(field.name for field in fields if field.default is missing and field.default_factory is missing)


def _literals(annotation: object) -> frozenset[tuple[type, object]]:
    return frozenset((type(choice), choice) for choice in typing.get_args(annotation))


def _kinds(annotation: object) -> frozenset[object]:
    """The types of what arrives as that."""
    origin = class_of(annotation)
    if origin is typing.Literal:
        return frozenset(kind for kind, _ in _literals(annotation))
    if field_names(annotation) is not None:
        return frozenset((Record,))
    if origin is float:
        return frozenset((float, int))
    return frozenset((origin,)) if origin in SCALARS | CONTAINERS else SCALARS | CONTAINERS
