"""Shapes: what an annotation wants of a value, made into a function once.

    check = checker(dict[str, Point])      at class definition: refuses annotations that nothing can travel as
    check(value)                           the value, records turned into dataclasses, or ValueTypeError

Types must match exactly: an IntEnum is no int, a True is no 1. The one conversion is from int to float. A check that
`keeps` does without it: what is restored must be what replicas have that were not.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations, product
from typing import Any, Final, TypeAlias, TypeVar, Union

from raftly.errors import ConfigError
from raftly.node.errors import ValueTypeError
from raftly.node.values import Record, decode_raw

Check: TypeAlias = Callable[[Any], Any]
TypeArguments: TypeAlias = Mapping[object, object]  # what type variables stand for

SCALARS: Final = frozenset((type(None), bool, int, float, str, bytes))
_CONTAINERS: Final = frozenset((list, tuple, dict, set, frozenset))


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
    annotation = _unwrapped(annotation)
    for argument in typing.get_args(annotation):
        settle(argument, seen)
    if _names(annotation) is None:
        return
    cls, hints = _class_of(annotation), _field_hints(annotation)
    for name, hint in hints.items():
        try:
            checker(hint)
        except ConfigError as error:
            raise ConfigError(f"{cls.__qualname__}.{name}", f"is what nothing can travel as: {error}") from error
    if cls not in seen:  # it may contain itself
        seen.add(cls)
        for hint in hints.values():
            settle(hint, seen)


def hints_of(owner: Any) -> dict[str, object]:
    """The annotations of a class or a function.

    Raises:
        ConfigError: one names what is not there when the class runs.
    """
    try:
        return typing.get_type_hints(owner, include_extras=True)
    except (NameError, AttributeError) as error:
        raise ConfigError(owner.__qualname__, f"has an annotation that cannot be resolved: {error}") from error


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


def _compile(annotation: object, keeps: bool) -> Check:
    annotation = _unwrapped(annotation)
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


def _unwrapped(annotation: object) -> object:
    """What is behind a NewType, an Annotated, or a type variable with a bound."""
    if typing.get_origin(annotation) is typing.Annotated:
        return _unwrapped(typing.get_args(annotation)[0])
    inner = getattr(annotation, "__bound__" if isinstance(annotation, TypeVar) else "__supertype__", None)
    return annotation if inner is None else _unwrapped(inner)


def _class_of(annotation: object) -> Any:
    """Of an annotation with arguments what is before them, otherwise itself."""
    return typing.get_origin(annotation) or annotation


def _compile_class(annotation: object, keeps: bool) -> Check:
    if not isinstance(annotation, type):
        raise ConfigError(f"annotation {annotation!r}", "is nothing that a command can carry")
    if annotation is float:
        return _number if keeps else _float
    if annotation in SCALARS:
        return _scalar(annotation)
    if annotation in _CONTAINERS:
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
    elif kind in _CONTAINERS:
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
    """What no choice takes as it is goes to the first that can make it its own.

    A record names no class, only fields, and those that lack take defaults. So dataclasses with few fields come first,
    before one that would fill some in, and two are refused whose fields have the same names and tell no difference.
    """
    choices = sorted(_choices(annotation), key=lambda choice: _width(choice) or math.inf)
    if any(_alike(one, other) for one, other in combinations(choices, 2)):
        raise ConfigError(
            f"annotation {annotation}", "has two dataclasses with the same fields: what arrives could be either"
        )
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


def _choices(annotation: object) -> list[object]:
    """Those of a union; anything else is the only one."""
    annotation = _unwrapped(annotation)
    if typing.get_origin(annotation) not in (Union, types.UnionType):
        return [annotation]
    return [choice for argument in typing.get_args(annotation) for choice in _choices(argument)]


def _names(annotation: object) -> frozenset[str] | None:
    """Of the fields of a dataclass."""
    cls = _class_of(annotation)
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        return None
    return frozenset(field.name for field in dataclasses.fields(cls))


def _width(annotation: object) -> int:
    """How many dataclasses there are in an annotation, with all their fields."""
    annotation = _unwrapped(annotation)
    names = _names(annotation)
    return (0 if names is None else 1 + len(names)) + sum(map(_width, typing.get_args(annotation)))


def _alike(one: object, other: object) -> bool:
    """Does nothing that travels tell these two apart, though they are of different classes?"""
    if _class_of(one) is not _class_of(other):
        names = _names(one)
        if names is None or names != _names(other):
            return False
        hints, hints_there = _field_hints(one), _field_hints(other)
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
    names, names_there = _names(one), _names(other)
    if names is not None and names_there is not None:
        return not _required(one) | _required(other) <= names & names_there
    if typing.get_origin(one) is typing.get_origin(other) is typing.Literal:
        return _literals(one).isdisjoint(_literals(other))
    return _kinds(one).isdisjoint(_kinds(other))


def _required(annotation: object) -> frozenset[str]:
    """Of a dataclass: the fields that a record must have."""
    missing = dataclasses.MISSING
    fields = dataclasses.fields(_class_of(annotation))
    return frozenset(field.name for field in fields if field.default is missing and field.default_factory is missing)


def _literals(annotation: object) -> frozenset[tuple[type, object]]:
    return frozenset((type(choice), choice) for choice in typing.get_args(annotation))


def _kinds(annotation: object) -> frozenset[object]:
    """The types of what arrives as that."""
    origin = _class_of(annotation)
    if origin is typing.Literal:
        return frozenset(kind for kind, _ in _literals(annotation))
    if _names(annotation) is not None:
        return frozenset((Record,))
    if origin is float:
        return frozenset((float, int))
    return frozenset((origin,)) if origin in SCALARS | _CONTAINERS else SCALARS | _CONTAINERS


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
    cls = _class_of(annotation)
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
            hints = _field_hints(annotation)
            fields.update({name: checker(hint, keeps=keeps) for name, hint in hints.items()})
        if type(value) is cls:
            for name, attempt in fields.items():
                attempt(getattr(value, name))
            return value
        if type(value) is Record:
            return _build(value, cls, fields)
        raise _refuse(value, cls)

    return check


def _field_hints(annotation: object) -> dict[str, object]:
    """The annotations of a dataclass's fields."""
    cls, arguments = _class_of(annotation), type_arguments(annotation)
    hints = hints_of(cls)
    return {field.name: substitute(hints[field.name], arguments) for field in dataclasses.fields(cls)}


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
