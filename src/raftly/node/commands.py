"""Which methods of a class go through the log, and how a call looks inside an entry.

    class Counter:
        def __init__(self) -> None:
            self.value = 0

        @command
        def add(self, amount: int) -> int:       changes state: through the log, on every replica, once
            self.value += amount
            return self.value

        @query
        def get(self) -> int:                    reads state: on one replica
            return self.value

The payload of an entry, little-endian, version 1:

     0  u8 version   1  u8 kind   2  u64 stamp: log time, microseconds since 1970
    10  kind 1 COMMAND: u64 session (0: none)  u64 number  u64 done below  u16 schema  u8 size, name  arguments as a
    value
        kind 2 OPEN: u64 time to live, microseconds       the session's id is the entry's index
        kind 3 CLOSE: u64 session
        kind 4 CLOCK: nothing; only lets log time pass
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import Any, Final, TypeVar, final, overload

from raftly.errors import ConfigError, DecodeError
from raftly.node.values import conform, decode_value, encode_value

F = TypeVar("F", bound=Callable[..., object])

VERSION: Final = 1
_HEAD: Final = Struct("<BBQ")
_COMMAND: Final = Struct("<QQQHB")
_U64: Final = Struct("<Q")
_WHAT: Final = "command"
_MARK: Final = "__raftly__"


@final
@dataclass(frozen=True, slots=True)
class _Mark:
    """What a decorator leaves on a function."""

    is_command: bool
    schema: int


@overload
def command(function: F, /) -> F: ...
@overload
def command(*, schema: int = 1) -> Callable[[F], F]: ...
def command(function: F | None = None, /, *, schema: int = 1) -> F | Callable[[F], F]:
    """Mark a method whose calls go through the log.

    It must depend on nothing but the state and its arguments: no clock, no randomness, no I/O. Raise `schema` when the
    meaning of the arguments changes; a replica refuses calls of a newer schema than its own.
    """
    if function is not None:
        setattr(function, _MARK, _Mark(is_command=True, schema=schema))
        return function

    def mark(function: F) -> F:
        setattr(function, _MARK, _Mark(is_command=True, schema=schema))
        return function

    return mark


def query(function: F) -> F:
    """Mark a method that only reads."""
    setattr(function, _MARK, _Mark(is_command=False, schema=1))
    return function


class Kind(IntEnum):
    """What an entry asks for."""

    COMMAND = 1
    OPEN = 2
    CLOSE = 3
    CLOCK = 4


@final
@dataclass(frozen=True, slots=True)
class Method:
    """One marked method: its function and the types of its arguments and result."""

    name: str
    function: Callable[..., object]
    is_command: bool
    schema: int
    parameters: dict[str, object]
    result: object
    signature: inspect.Signature  # without self

    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, ...]:
        """All arguments, in order, each checked against its annotation.

        Raises:
            ValueTypeError: one is not of its type.
            TypeError: they do not fit the method.
        """
        if kwargs or len(args) != len(self.parameters):
            bound = self.signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args = tuple(bound.arguments.values())
        return self.check(args)

    def check(self, args: tuple[object, ...]) -> tuple[object, ...]:
        """The arguments as the annotations want them.

        Raises:
            ValueTypeError: one is not of its type.
        """
        return tuple(conform(value, wanted) for value, wanted in zip(args, self.parameters.values(), strict=True))


def methods_of(cls: type) -> dict[str, Method]:
    """The marked methods of a class.

    Raises:
        ConfigError: there are none, or one cannot be called by position.
    """
    found: dict[str, Method] = {}
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        mark = getattr(function, _MARK, None)
        if not isinstance(mark, _Mark):
            continue
        hints = typing.get_type_hints(function)
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                raise ConfigError(f"{cls.__qualname__}.{name}", "takes variable arguments, a command cannot")
        if len(name.encode()) > 255:
            raise ConfigError(f"{cls.__qualname__}.{name}", "has too long a name")
        wanted = {parameter.name: hints.get(parameter.name, object) for parameter in parameters}
        found[name] = Method(
            name,
            function,
            mark.is_command,
            mark.schema,
            wanted,
            hints.get("return", object),
            signature.replace(parameters=parameters),
        )
    if not found:
        raise ConfigError(cls.__qualname__, "has no method marked @command or @query")
    return found


@final
@dataclass(frozen=True, slots=True)
class Call:
    """A command in an entry."""

    session: int
    number: int
    done_below: int
    schema: int
    name: str
    arguments: bytes

    def encode(self) -> bytes:
        """The body of the payload, without the head that the leader stamps."""
        name = self.name.encode()
        head = _COMMAND.pack(self.session, self.number, self.done_below, self.schema, len(name))
        return head + name + self.arguments


def stamp(kind: Kind, stamp_us: int, body: bytes) -> bytes:
    """The payload: what the leader puts into the log."""
    return _HEAD.pack(VERSION, kind, stamp_us) + body


def open_body(ttl_us: int) -> bytes:
    """The body that opens a session."""
    return _U64.pack(ttl_us)


def close_body(session: int) -> bytes:
    """The body that closes one."""
    return _U64.pack(session)


def decode_head(payload: bytes) -> tuple[Kind, int]:
    """Kind and stamp of a payload.

    Raises:
        DecodeError: not one of ours, or of a newer version.
    """
    try:
        version, kind, stamp_us = _HEAD.unpack_from(payload)
    except struct_error as error:
        raise DecodeError(_WHAT, 0, "the payload ends inside its head") from error
    if version != VERSION:
        raise DecodeError(_WHAT, 0, f"version {version} is unknown")
    if not 1 <= kind <= 4:
        raise DecodeError(_WHAT, 1, f"kind {kind} is unknown")
    return Kind(kind), stamp_us


def decode_number(payload: bytes) -> int:
    """The one number of OPEN and CLOSE.

    Raises:
        DecodeError: it is not there.
    """
    if len(payload) != _HEAD.size + _U64.size:
        raise DecodeError(_WHAT, _HEAD.size, "the payload is not of its size")
    return int(_U64.unpack_from(payload, _HEAD.size)[0])


def decode_call(payload: bytes) -> Call:
    """The command in a payload.

    Raises:
        DecodeError: it does not fit.
    """
    at = _HEAD.size
    try:
        session, number, done_below, schema, size = _COMMAND.unpack_from(payload, at)
    except struct_error as error:
        raise DecodeError(_WHAT, at, "the payload ends inside the command") from error
    at += _COMMAND.size
    if size > len(payload) - at:
        raise DecodeError(_WHAT, at, "the name does not fit")
    try:
        name = payload[at : at + size].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(_WHAT, at, "the name is not UTF-8") from error
    return Call(session, number, done_below, schema, name, payload[at + size :])


def encode_arguments(arguments: tuple[object, ...]) -> bytes:
    """Arguments as bytes.

    Raises:
        ValueTypeError: one of them cannot travel.
    """
    return encode_value(arguments)


def decode_arguments(data: bytes, method: Method) -> tuple[object, ...]:
    """Arguments for a method.

    Raises:
        DecodeError: malformed, or not as many as the method takes.
        ValueTypeError: one is not of its type.
    """
    wanted = tuple[tuple(method.parameters.values())] if method.parameters else tuple[()]  # type: ignore[misc]
    values: Any = decode_value(data, wanted)
    return tuple(values)
