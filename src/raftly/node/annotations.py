"""Annotations: what they say of classes, of their fields, and of what their type variables stand for."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from raftly.errors import ConfigError

TypeArguments: TypeAlias = Mapping[object, object]  # what type variables stand for

SCALARS: Final = frozenset((type(None), bool, int, float, str, bytes))
CONTAINERS: Final = frozenset((list, tuple, dict, set, frozenset))


def hints_of(owner: Any) -> dict[str, object]:
    """The annotations of a class or a function.

    Raises:
        ConfigError: one names what is not there when the class runs.
    """
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except (NameError, AttributeError) as error:
        raise ConfigError(owner.__qualname__, f"has an annotation that cannot be resolved: {error}") from error


def type_arguments(generic: object) -> TypeArguments:
    """What the type variables of a class stand for: in `Dict[str, int]`, or in `class Stock(Dict[str, int])`."""
    origin = typing.get_origin(generic)
    cls = origin if isinstance(origin, type) else generic
    found = dict(zip(getattr(cls, "__parameters__", ()), typing.get_args(generic), strict=False))
    for derived in getattr(cls, "__mro__", ()):
        for base in derived.__dict__.get("__orig_bases__", ()):
            variables = getattr(typing.get_origin(base), "__parameters__", ())
            for variable, argument in zip(variables, typing.get_args(base), strict=False):
                found.setdefault(variable, substitute(argument, found))
    return found


def arguments_of(cls: type, factory: object) -> TypeArguments:
    """What they stand for when `factory` makes the class: itself, `Dict[str, int]`, or a partial of one of these."""
    while isinstance(factory, partial):
        factory = factory.func
    return type_arguments(factory if typing.get_origin(factory) is cls else cls)


def substitute(annotation: Any, arguments: TypeArguments) -> object:
    """The annotation with its type variables replaced, as far as they are known."""
    if isinstance(annotation, TypeVar):
        return arguments.get(annotation, annotation)
    parameters = () if isinstance(annotation, type) else getattr(annotation, "__parameters__", ())
    if not parameters or not arguments:
        return annotation
    return annotation[tuple(arguments.get(parameter, parameter) for parameter in parameters)]


def unwrapped(annotation: object) -> object:
    """What is behind a NewType, an Annotated, or a type variable with a bound."""
    if typing.get_origin(annotation) is typing.Annotated:
        return unwrapped(typing.get_args(annotation)[0])
    inner = getattr(annotation, "__bound__" if isinstance(annotation, TypeVar) else "__supertype__", None)
    return annotation if inner is None else unwrapped(inner)


def class_of(annotation: object) -> Any:
    """Of an annotation with arguments what is before them, otherwise itself."""
    return typing.get_origin(annotation) or annotation


def field_names(annotation: object) -> frozenset[str] | None:
    """Of the fields of a dataclass."""
    cls = class_of(annotation)
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        return None
    return frozenset(field.name for field in dataclasses.fields(cls))


def field_hints(annotation: object) -> dict[str, object]:
    """The annotations of a dataclass's fields."""
    cls, arguments = class_of(annotation), type_arguments(annotation)
    hints = hints_of(cls)
    return {field.name: substitute(hints[field.name], arguments) for field in dataclasses.fields(cls)}
