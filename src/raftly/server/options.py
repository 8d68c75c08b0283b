"""Options: fields of dataclasses that come from a TOML file, explain themselves and check what they are given.

    @dataclass(frozen=True, slots=True)
    class Log:
        level: str = text("info", "From which severity on lines are written.", choices=("info", "warning"))
        rotate_bytes: int = size("64MiB", "A new file begins after so many.", at_least="1MiB")

Sizes are written "96MiB", durations "1.5s"; in the field they are bytes and seconds. A field whose
default_factory is a dataclass of options is a section.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final, TypeVar, final

from raftly.errors import ConfigError

__all__ = [
    "Explained",
    "as_size",
    "as_time",
    "duration",
    "explain",
    "flag",
    "load",
    "number",
    "ratio",
    "size",
    "table",
    "text",
    "texts",
]

T = TypeVar("T")
_KEY: Final = "option"
_SIZES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_TIMES: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")


@final
@dataclass(frozen=True, slots=True)
class _Option:
    kind: str  # what is to be written
    default: object  # as it is written
    about: str
    read: Callable[[object], object]  # raises ValueError saying what it must be
    bound: str = ""


@final
@dataclass(frozen=True, slots=True)
class Explained:
    """An option for people: its full name, what it is, its default and bound as they are written, what it does."""

    name: str
    kind: str
    default: object
    bound: str
    about: str


# --- what a field may be ---------------------------------------------------------------------------------------


def _field(option: _Option) -> Any:  # noqa: ANN401 - as dataclasses.field
    return field(default_factory=lambda: option.read(option.default), metadata={_KEY: option})


def size(default: str, about: str, *, at_least: str = "0B", at_most: str = "") -> Any:  # noqa: ANN401
    """Bytes, written with a unit: B, KiB, MiB, GiB, TiB."""
    return _field(
        _Option("size", default, about, _bounded(_reads(_SIZES, int), at_least, at_most), _said(at_least, at_most))
    )


def duration(default: str, about: str, *, at_least: str = "0s", at_most: str = "") -> Any:  # noqa: ANN401
    """Seconds, written with a unit: ms, s, m, h, d."""
    read = _bounded(_reads(_TIMES, float), at_least, at_most)
    return _field(_Option("duration", default, about, read, _said(at_least, at_most)))


def number(default: int, about: str, *, at_least: int = 0, at_most: int | None = None) -> Any:  # noqa: ANN401
    """A whole number."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("a whole number")  # noqa: TRY004 - all readers raise the same
        return value

    return _field(_Option("number", default, about, _bounded(read, at_least, at_most), _said(at_least, at_most)))


def ratio(default: float, about: str) -> Any:  # noqa: ANN401
    """A number above 0 and at most 1."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise ValueError("a number above 0 and at most 1")
        return float(value)

    return _field(_Option("ratio", default, about, read, "above 0, at most 1"))


def flag(default: bool, about: str) -> Any:  # noqa: ANN401
    """True or false."""

    def read(value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError("true or false")  # noqa: TRY004 - all readers raise the same
        return value

    return _field(_Option("flag", default, about, read))


def text(default: str, about: str, *, choices: tuple[str, ...] = (), address: bool = False) -> Any:  # noqa: ANN401
    """A string; one of `choices`, if there are any; with `address` host:port, or empty."""

    def read(value: object) -> str:
        if choices and value not in choices:
            raise ValueError(f"one of {', '.join(map(repr, choices))}")
        if not isinstance(value, str):
            raise ValueError("a string")  # noqa: TRY004 - as above
        return _address(value) if address and value else value

    kind = "address" if address else "text"
    return _field(_Option(kind, default, about, read, f"one of {', '.join(choices)}" if choices else ""))


def texts(default: tuple[str, ...], about: str, *, address: bool = False) -> Any:  # noqa: ANN401
    """A list of strings; with `address` each is host:port, with or without http:// before it."""

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise ValueError("a list of strings")
        return tuple(_url(one) if address else one for one in value)

    return _field(_Option("list of addresses" if address else "list", list(default), about, read))


def table(about: str, *, address: bool = False) -> Any:  # noqa: ANN401
    """Names and strings; with `address` each string is host:port."""

    def read(value: object) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise ValueError('a table of strings, such as { zone = "z1" }')
        return {str(name): _address(one) if address else one for name, one in value.items()}

    return _field(_Option("table of addresses" if address else "table", {}, about, read))


def _reads(units: Mapping[str, float], kind: type[T]) -> Callable[[object], T]:
    def read(value: object) -> T:
        match = _AMOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None or match[2] not in units:
            raise ValueError(f"a string of a number and a unit ({', '.join(units)})")
        return kind(float(match[1]) * units[match[2]])  # type: ignore[call-arg]

    return read


def as_size(count: int) -> str:
    """So many bytes as they are written: in the largest unit of which they are a whole number."""
    return _written(count, _SIZES, 1)


def as_time(seconds: float) -> str:
    """Seconds as they are written, to the millisecond."""
    return _written(round(seconds * 1000), {unit: round(each * 1000) for unit, each in _TIMES.items()}, 1000)


def _written(amount: int, units: Mapping[str, int], of_nothing: int) -> str:
    unit = max((unit for unit, each in units.items() if amount % each == 0), key=units.__getitem__)
    if not amount:
        unit = next(unit for unit, each in units.items() if each == of_nothing)
    return f"{amount // units[unit]}{unit}"


def _bounded(read: Callable[[object], Any], at_least: object, at_most: object) -> Callable[[object], object]:
    lowest = read(at_least)
    highest = None if at_most in ("", None) else read(at_most)

    def checked(value: object) -> object:
        amount = read(value)
        if amount < lowest or (highest is not None and amount > highest):
            raise ValueError(_said(at_least, at_most))
        return amount

    return checked


def _said(at_least: object, at_most: object) -> str:
    return f"at least {at_least}" if at_most in ("", None) else f"at least {at_least}, at most {at_most}"


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or "/" in host or not port.isdecimal() or not int(port) < 65536:
        raise ValueError("host:port")
    return value


def _url(value: str) -> str:
    _address(value.split("://", 1)[-1])
    return value


# --- reading ---------------------------------------------------------------------------------------------------


def load(cls: type[T], values: Mapping[str, object], prefix: str = "") -> T:
    """An instance with these values, and defaults for the rest.

    Raises:
        ConfigError: an option is not known, or its value is wrong; it says what is meant, or what it must be.
    """
    known = {one.name: one for one in fields(cls)}  # type: ignore[arg-type]
    made: dict[str, object] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(prefix + name, _unknown(cls, prefix, name))
        made[name] = _value(known[name], prefix + name, value)
    return cls(**made)


def _value(one: Field[Any], name: str, value: object) -> object:
    option = _option(one)
    if option is None:
        if not isinstance(value, dict):
            raise ConfigError(name, f"is a section: write [{name}] and its options below it")
        return load(_section(one), value, f"{name}.")
    try:
        return option.read(value)
    except ValueError as error:
        raise ConfigError(name, f"must be {error}, and is {value!r}") from None


def _unknown(cls: type[Any], prefix: str, name: str) -> str:
    names = [prefix + one.name for one in fields(cls)]
    near = difflib.get_close_matches(prefix + name, names, n=1, cutoff=0.5)
    if not near:
        return f"is no option; there are {', '.join(names)}"
    return f"is no option; the nearest is {near[0]}"


def explain(cls: type[Any], prefix: str = "") -> Iterator[Explained]:
    """All options, those of sections after the others."""
    sections = []
    for one in fields(cls):
        option = _option(one)
        if option is None:
            sections.append(one)
        else:
            yield Explained(prefix + one.name, option.kind, option.default, option.bound, option.about)
    for one in sections:
        yield from explain(_section(one), f"{prefix}{one.name}.")


def _option(one: Field[Any]) -> _Option | None:
    found = one.metadata.get(_KEY)
    return found if isinstance(found, _Option) else None


def _section(one: Field[Any]) -> type[Any]:
    made: object = one.default_factory
    assert isinstance(made, type), f"{one.name} is neither an option nor a section"
    return made
