"""Shapes: what an annotation wants of a value, made into a function once.

    check = checker(dict[str, Point])      at class definition: refuses annotations that nothing can travel as
    check(value)                           the value, records turned into dataclasses, or ValueTypeError

Types must match exactly: an IntEnum is no int, a True is no 1. The one conversion is from int to float. A check that
`keeps` does without it: what is restored must be what replicas have that were not.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar, Union

from raftly.errors import ConfigError
from raftly.node.annotations import CONTAINERS, SCALARS, class_of, field_hints, field_names, unwrapped
from raftly.node.choices import choices_of
from raftly.node.errors import ValueTypeError
from raftly.node.values import Record, decode_raw

Check: TypeAlias = Callable[[Any], Any]


def checker(annotation: object, *, keeps: bool = False) -> Check:
    """The function that makes of a value what the annotation wants, or refuses it with ValueTypeError.

    With `keeps` an int stays one where a float is wanted.

    Raises:
        ConfigError: no value can travel as that.
    """
    checks = _keeping if keeps else _known
    try:
        known = checks.get(annotation)
    except TypeError:  # not hashable
        return _compile(annotation, keeps)
    if known is None:
        known = checks[annotation] = _compile(annotation, keeps)
    return known


def settle(annotation: object, seen: set[type] | None = None) -> None:
    """Look at the fields of all dataclasses in an annotation, which a check leaves until the first value comes.

    Raises:
        ConfigError: no value can travel as one of them.
    """
    seen = set() if seen is None else seen
    annotation = unwrapped(annotation)
    for argument in typing.get_args(annotation):
        settle(argument, seen)
    if field_names(annotation) is None:
        return
    cls, hints = class_of(annotation), field_hints(annotation)
    for name, hint in hints.items():
        try:
            checker(hint)
        except ConfigError as error:
            raise ConfigError(f"{cls.__qualname__}.{name}", f"is what nothing can travel as: {error}") from error
    if cls not in seen:  # it may contain itself
        seen.add(cls)
        for hint in hints.values():
            settle(hint, seen)


def exact_type(annotation: object) -> type | None:
    """The class of a scalar annotation that needs no conversion: a value of exactly that class needs no check."""
    if annotation is None:
        return type(None)
    return annotation if isinstance(annotation, type) and annotation in SCALARS else None


def decode_as(data: bytes, annotation: object) -> Any:
    """The value in `data`, of the annotated type.

    Raises:
        DecodeError: malformed.
        ValueTypeError: not of that type.
        ConfigError: no value can travel as that.
    """
    return checker(annotation)(decode_raw(data))


def _compile(annotation: object, keeps: bool) -> Check:
    annotation = unwrapped(annotation)
    if annotation is object or annotation is Any or isinstance(annotation, TypeVar):
        return plain
    if annotation is None:
        return _scalar(type(None))
    origin = typing.get_origin(annotation)
    if origin is None:
        return _compile_class(annotation, keeps)
    arguments = typing.get_args(annotation)
    if origin is Union or origin is types.UnionType:
        return _union(annotation, keeps)
    if origin is typing.Literal:
        return _literal(annotation, arguments)
    if isinstance(origin, type) and dataclasses.is_dataclass(origin):
        return _dataclass(annotation, keeps)
    make = _GENERIC.get(origin)
    if make is None:
        raise ConfigError(f"annotation {annotation}", "is nothing that a command can carry")
    return make(annotation, arguments, keeps)


def _compile_class(annotation: object, keeps: bool) -> Check:
    if not isinstance(annotation, type):
        raise ConfigError(f"annotation {annotation!r}", "is nothing that a command can carry")
    if annotation is float:
        return _number if keeps else _float
    if annotation in SCALARS:
        return _scalar(annotation)
    if annotation in CONTAINERS:
        return _bare(annotation)
    if dataclasses.is_dataclass(annotation):
        return _dataclass(annotation, keeps)
    raise ConfigError(
        f"annotation {annotation.__qualname__}", "cannot travel: use scalars, bytes, containers or dataclasses"
    )


def plain(value: Any) -> Any:
    """Any value without dataclasses: those travel only where an annotation names them.

    Raises:
        ValueTypeError: there is one in it, or something that cannot travel at all.
    """
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is dict:
        for key, item in value.items():
            plain(key)
            plain(item)
    elif kind in CONTAINERS:
        for item in value:
            plain(item)
    elif kind is Record or dataclasses.is_dataclass(kind):
        raise ValueTypeError("a dataclass travels only where an annotation names it")
    else:
        raise ValueTypeError(f"{kind.__qualname__} cannot travel: use scalars, bytes, containers or dataclasses")
    return value


def _refuse(value: object, wanted: object) -> ValueTypeError:
    name = "a dataclass" if type(value) is Record else type(value).__qualname__
    expected = wanted.__qualname__ if isinstance(wanted, type) else str(wanted)
    return ValueTypeError(f"{name} arrived where {expected} is expected")


def _scalar(cls: type) -> Check:
    def check(value: Any) -> Any:
        if type(value) is cls:
            return value
        raise _refuse(value, cls)

    return check


def _float(value: Any) -> Any:
    if type(value) is float:
        return value
    if type(value) is not int:
        raise _refuse(value, float)
    try:
        return float(value)
    except OverflowError as error:
        raise ValueTypeError(f"an int of {value.bit_length()} bits does not fit a float") from error


def _number(value: Any) -> Any:
    if type(value) is float or type(value) is int:
        return value
    raise _refuse(value, float)


def _bare(cls: type) -> Check:
    def check(value: Any) -> Any:
        if type(value) is cls:
            return plain(value)
        raise _refuse(value, cls)

    return check


def _literal(annotation: object, choices: tuple[Any, ...]) -> Check:
    allowed = {(type(choice), choice) for choice in choices}
    if not {kind for kind, _ in allowed} <= SCALARS:
        raise ConfigError(f"annotation {annotation}", "is nothing that a command can carry")

    def check(value: Any) -> Any:
        if type(value) in SCALARS and (type(value), value) in allowed:
            return value
        raise _refuse(value, annotation)

    return check


def _union(annotation: object, keeps: bool) -> Check:
    choices = choices_of(annotation)
    checks = [checker(choice, keeps=keeps) for choice in choices]
    exact = frozenset(filter(None, (exact_type(choice) for choice in choices)))

    def check(value: Any) -> Any:
        if type(value) in exact:  # before a conversion that another choice would make
            return value
        for attempt in checks:
            try:
                return attempt(value)
            except ValueTypeError:
                continue
        raise _refuse(value, annotation)

    return check


def _items(cls: Any) -> Callable[[object, tuple[object, ...], bool], Check]:
    def make(annotation: object, arguments: tuple[object, ...], keeps: bool) -> Check:
        item_check = checker(arguments[0], keeps=keeps)

        def check(value: Any) -> Any:
            if type(value) is cls:
                return _gathered(cls, [item_check(item) for item in value], annotation)
            raise _refuse(value, annotation)

        return check

    return make


def _dict(annotation: object, arguments: tuple[object, ...], keeps: bool) -> Check:
    key_check, item_check = checker(arguments[0], keeps=keeps), checker(arguments[1], keeps=keeps)

    def check(value: Any) -> Any:
        if type(value) is dict:
            return _gathered(dict, [(key_check(key), item_check(item)) for key, item in value.items()], annotation)
        raise _refuse(value, annotation)

    return check


def _gathered(cls: Any, items: list[Any], annotation: object) -> Any:
    """A container of the items. Records can be hashed, what became of them perhaps cannot."""
    try:
        return cls(items)
    except Exception as error:  # a __hash__ or an __eq__ of the user's may raise what it likes
        raise ValueTypeError(f"{annotation}: a key or a member of a set cannot be hashed") from error


def _tuple(annotation: object, arguments: tuple[object, ...], keeps: bool) -> Check:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _items(tuple)(annotation, arguments, keeps)
    checks = [checker(argument, keeps=keeps) for argument in arguments]

    def check(value: Any) -> Any:
        if type(value) is tuple and len(value) == len(checks):
            return tuple([attempt(item) for attempt, item in zip(checks, value, strict=True)])
        raise _refuse(value, annotation)

    return check


def _dataclass(annotation: object, keeps: bool) -> Check:
    """Fields are looked at when the first value comes, so that a class may contain itself; see `settle`."""
    cls = class_of(annotation)
    for field in dataclasses.fields(cls):
        if not field.init:
            raise ConfigError(f"{cls.__qualname__}.{field.name}", "is no argument of its class, so it cannot travel")
    init = cls.__dict__.get("__init__")
    if isinstance(init, types.FunctionType):
        try:
            signature = inspect.signature(init, follow_wrapped=False)
            signature.bind(None, **dict.fromkeys(field.name for field in dataclasses.fields(cls)))
        except TypeError as error:  # it has an InitVar without a default, or another __init__
            raise ConfigError(cls.__qualname__, f"is not made of its fields, so it cannot travel: {error}") from error
    fields: dict[str, Check] = {}

    def check(value: Any) -> Any:
        if not fields:
            hints = field_hints(annotation)
            fields.update({name: checker(hint, keeps=keeps) for name, hint in hints.items()})
        if type(value) is cls:
            for name, attempt in fields.items():
                attempt(getattr(value, name))
            return value
        if type(value) is Record:
            return _build(value, cls, fields)
        raise _refuse(value, cls)

    return check


def _build(record: Record, cls: type, fields: dict[str, Check]) -> Any:
    """A dataclass from its fields; missing ones take their defaults, unknown ones are refused."""
    unknown = sorted(record.fields.keys() - fields.keys())
    if unknown:
        raise ValueTypeError(f"{cls.__qualname__} has no field {unknown[0]}")
    arguments = {name: fields[name](value) for name, value in record.fields.items()}
    try:
        return cls(**arguments)
    except Exception as error:  # a field is missing, or __post_init__ does not like them
        raise ValueTypeError(f"{cls.__qualname__}: {error}") from error


_known: Final[dict[object, Check]] = {}
_keeping: Final[dict[object, Check]] = {}
_GENERIC: Final[dict[object, Callable[[object, tuple[object, ...], bool], Check]]] = {
    list: _items(list),
    set: _items(set),
    frozenset: _items(frozenset),
    dict: _dict,
    tuple: _tuple,
}
