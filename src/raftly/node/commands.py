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

     0  u8 version   1  u8 kind   2  u64 stamp: the leader's clock, microseconds since 1970; 0 on the way to it
    10  kind 1 COMMAND: u64 session (0: none)  u64 number  u64 done below  u16 schema  u8 size, name  arguments as a
    value
        kind 2 OPEN: u64 time to live, microseconds  u64 nonce      the session's id is the entry's index
        kind 3 CLOSE: u64 session
        kind 4 CLOCK: nothing; only lets log time pass
        kind 5 CHECK: nothing; replicas note the digest of their state here
        kind 6 TESTIMONY: u64 index of the CHECK  u64 node  u32 its digest  u8 whether it leads
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as struct_error
from typing import Final, TypeVar, cast, final

from raftly.base.limits import PAYLOAD_BYTES_MAX
from raftly.base.types import Index, NodeId
from raftly.errors import ConfigError, DecodeError, LimitExceeded
from raftly.node.annotations import SCALARS, TypeArguments, hints_of, substitute
from raftly.node.errors import ValueTypeError
from raftly.node.shapes import Check, checker, exact_type, settle
from raftly.node.values import decode_raw, decode_scalars, encode_scalars, encode_value

F = TypeVar("F", bound=Callable[..., object])

VERSION: Final = 1
_HEAD: Final = Struct("<BBQ")
_COMMAND: Final = Struct("<BBQQQQ")  # the head, then session, number, done below
_METHOD: Final = Struct("<HB")
_WHOLE: Final = Struct("<BBQQQQHB")  # both
_COMMAND_BYTES: Final = _WHOLE.size
CALL_AT: Final = _COMMAND.size  # of a COMMAND: what `Method.encode` gave begins here
CALL_BYTES_MAX: Final = PAYLOAD_BYTES_MAX - CALL_AT
_U64: Final = Struct("<Q")
_PAIR: Final = Struct("<QQ")
_TESTIMONY: Final = Struct("<QQIB")
_WHAT: Final = "command"
_MARK: Final = "__raftly__"


@final
@dataclass(frozen=True, slots=True)
class _Mark:
    """What a decorator leaves on a function."""

    is_command: bool
    schema: int


def command(function: F) -> F:
    """Mark a method whose calls go through the log.

    It must depend on nothing but the state and its arguments: no clock, no randomness, no I/O, no order of a set.
    """
    setattr(function, _MARK, _Mark(is_command=True, schema=1))
    return function


def schema(version: int) -> Callable[[F], F]:
    """Above @command: the version of what the arguments mean, 1 (the default) to 65,535.

    Raise it when that changes. A replica stops at a call of a newer version than its own, so update all of them before
    the first such call. Calls of older versions that are still in the log come as they are, with the defaults of
    parameters that were added behind; a replica stops at one that does not fit.

    Raises:
        ConfigError: the version is out of its bounds, or the method is no command.
    """

    def mark(function: F) -> F:
        known = getattr(function, _MARK, None)
        if not isinstance(known, _Mark) or not known.is_command or not 1 <= version <= 0xFFFF:
            raise ConfigError(f"schema {version}", "goes above @command, and lies in [1, 65535]")
        setattr(function, _MARK, _Mark(is_command=True, schema=version))
        return function

    return mark


def query(function: F) -> F:
    """Mark a method that only reads."""
    setattr(function, _MARK, _Mark(is_command=False, schema=1))
    return function


def is_command(function: Callable[..., object]) -> bool:
    """Is a marked function a command, or a query?

    Raises:
        TypeError: it is neither.
    """
    mark = getattr(function, _MARK, None)
    if not isinstance(mark, _Mark):
        raise TypeError(f"{function!r} is neither a command nor a query")
    return mark.is_command


class Kind(IntEnum):
    """What an entry asks for."""

    COMMAND = 1
    OPEN = 2
    CLOSE = 3
    CLOCK = 4
    CHECK = 5
    TESTIMONY = 6


# --- methods ---------------------------------------------------------------------------------------------------


@final
class Method:
    """One marked method: its function, and how its arguments and its result travel. Made once, used for every call."""

    __slots__ = ("_checks", "_exact", "_result", "_result_exact", "_signature", "function", "head", "mark", "name")

    def __init__(
        self,
        name: str,
        function: Callable[..., object],
        mark: _Mark,
        signature: inspect.Signature,
        arguments: TypeArguments,
    ) -> None:
        hints = {parameter: substitute(hint, arguments) for parameter, hint in hints_of(function).items()}
        for hint in hints.values():
            settle(hint)
        wanted = [hints.get(parameter, object) for parameter in signature.parameters]
        self.name = name
        self.function = function
        self.mark = mark
        self._signature = signature
        self._checks: list[Check] = [checker(annotation) for annotation in wanted]
        # Types of the arguments when all are scalars: equal types need no further look.
        exact = [exact_type(annotation) for annotation in wanted]
        self._exact = None if None in exact else exact
        self._result = checker(hints.get("return", object))
        self._result_exact = exact_type(hints.get("return", object))
        self.head = _METHOD.pack(mark.schema, len(name.encode())) + name.encode()

    def bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, ...]:
        """All arguments, in order, each checked against its annotation.

        Raises:
            ValueTypeError: one is not of its type.
            TypeError: they do not fit the method.
        """
        if kwargs or len(args) != len(self._checks):
            bound = self._signature.bind(*args, **kwargs)
            bound.apply_defaults()
            args = tuple(bound.arguments.values())
        return self._conform(args)

    def _conform(self, args: tuple[object, ...]) -> tuple[object, ...]:
        if list(map(type, args)) == self._exact:
            return args
        return tuple([check(value) for check, value in zip(self._checks, args, strict=True)])

    def encode(self, args: tuple[object, ...], kwargs: dict[str, object]) -> bytes:
        """Schema, name and checked arguments: what `call_payload` takes.

        Raises:
            ValueTypeError: an argument is not of its type, or nested too deep.
            LimitExceeded: they are too large.
            TypeError: they do not fit the method.
        """
        values = self.bind(args, kwargs)
        data = self.head + (encode_scalars(values) or encode_value(values))
        if len(data) > CALL_BYTES_MAX:
            raise LimitExceeded("call_bytes", len(data), CALL_BYTES_MAX)
        return data

    def decode(self, data: bytes) -> tuple[object, ...]:
        """Arguments that were encoded, checked again; the last may be missing, where the method has defaults for them.

        Raises:
            DecodeError: malformed.
            ValueTypeError: not as many as the method takes, or one is not of its type.
        """
        values: object = decode_scalars(data)
        if values is None:
            values = decode_raw(data)
        if type(values) is tuple and len(values) < len(self._checks):
            values = self._completed(values)
        if type(values) is not tuple or len(values) != len(self._checks):
            raise ValueTypeError(f"{self.name} takes {len(self._checks)} arguments, others arrived")
        return self._conform(values)

    def _completed(self, values: tuple[object, ...]) -> tuple[object, ...]:
        """The arguments of a caller that does not know the last parameters yet: these take their defaults."""
        defaults = [parameter.default for parameter in self._signature.parameters.values()][len(values) :]
        if any(default is inspect.Parameter.empty for default in defaults):
            return values
        # Of their own: what the method does with them does not change what the next call gets.
        return values + tuple(cast("list[object]", decode_raw(encode_value(defaults))))

    def detach(self, result: object) -> object:
        """The result as a value of its own, so that nobody who changes it changes the state.

        Raises:
            ValueTypeError: it is not of the annotated type.
        """
        kind = type(result)
        if kind is self._result_exact:
            return result
        if kind in SCALARS:
            return self._result(result)
        return self._result(decode_raw(encode_value(self._result(result))))

    def conform_result(self, reply: object) -> object:
        """A result that was decoded, as the annotation wants it.

        Raises:
            ValueTypeError: it is not of the annotated type.
        """
        return self._result(reply)


def methods_of(cls: type, arguments: TypeArguments | None = None) -> dict[str, Method]:
    """The marked methods of a class; `arguments` are what its type variables stand for.

    Raises:
        ConfigError: there are none, or one cannot be called by position, or an annotation is of what cannot travel.
    """
    found: dict[str, Method] = {}
    for name, function in inspect.getmembers(cls, inspect.isfunction):
        mark = getattr(function, _MARK, None)
        if not isinstance(mark, _Mark):
            continue
        signature = inspect.signature(function)
        parameters = list(signature.parameters.values())[1:]
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                raise ConfigError(f"{cls.__qualname__}.{name}", "takes variable arguments, a command cannot")
        if len(name.encode()) > 255:
            raise ConfigError(f"{cls.__qualname__}.{name}", "has too long a name")
        try:
            found[name] = Method(name, function, mark, signature.replace(parameters=parameters), arguments or {})
        except ConfigError as error:
            raise ConfigError(f"{cls.__qualname__}.{name}", f"cannot be called from elsewhere: {error}") from error
    if not found:
        raise ConfigError(cls.__qualname__, "has no method marked @command or @query")
    return found


@final
@dataclass(frozen=True, slots=True)
class Testimony:
    """A node says which digest its state had at a CHECK, and whether it leads."""

    check: Index
    witness: NodeId
    digest: int
    leads: bool


# --- payloads --------------------------------------------------------------------------------------------------


def call_payload(stamp_us: int, session: int, number: int, done_below: int, call: bytes) -> bytes:
    """A COMMAND; `call` is what `Method.encode` gave."""
    return _COMMAND.pack(VERSION, 1, stamp_us, session, number, done_below) + call


def ttl_in_us(option: str, ttl: float) -> int:
    """A session's time to live, in seconds, as an OPEN has it.

    Raises:
        ConfigError: it is none.
    """
    if not 1 <= ttl * 1e6 < 1 << 63:
        raise ConfigError(option, f"is {ttl} s, it must be at least 1 us, and less than 2**63 us")
    return int(ttl * 1e6)


def open_payload(stamp_us: int, ttl_us: int, nonce: int) -> bytes:
    """An OPEN. The nonce lets its proposer know it again."""
    return _HEAD.pack(VERSION, 2, stamp_us) + _PAIR.pack(ttl_us, nonce)


def close_payload(stamp_us: int, session: int) -> bytes:
    """A CLOSE."""
    return _HEAD.pack(VERSION, 3, stamp_us) + _U64.pack(session)


def clock_payload(stamp_us: int) -> bytes:
    """A CLOCK."""
    return _HEAD.pack(VERSION, 4, stamp_us)


def check_payload() -> bytes:
    """A CHECK. Without a stamp: it lets no time pass."""
    return _HEAD.pack(VERSION, 5, 0)


def testimony_payload(testimony: Testimony) -> bytes:
    """A TESTIMONY. Without a stamp."""
    return _HEAD.pack(VERSION, 6, 0) + _TESTIMONY.pack(
        testimony.check, testimony.witness, testimony.digest, testimony.leads
    )


def with_stamp(payload: bytes, stamp_us: int) -> bytes:
    """The payload with another stamp."""
    return payload[:2] + _U64.pack(stamp_us) + payload[10:]


def decode_head(payload: bytes) -> tuple[int, int]:
    """Kind and stamp of a payload. The kind may be one of a newer version.

    Raises:
        DecodeError: not one of ours, or of a newer version.
    """
    try:
        version, kind, stamp_us = _HEAD.unpack_from(payload)
    except struct_error as error:
        raise DecodeError(_WHAT, 0, "the payload ends inside its head") from error
    if version != VERSION:
        raise DecodeError(_WHAT, 0, f"version {version} is unknown")
    return kind, stamp_us


def decode_open(payload: bytes) -> tuple[int, int]:
    """Time to live and nonce.

    Raises:
        DecodeError: the payload is not of its size.
    """
    if len(payload) != _HEAD.size + _PAIR.size:
        raise DecodeError(_WHAT, _HEAD.size, "the payload is not of its size")
    ttl_us, nonce = _PAIR.unpack_from(payload, _HEAD.size)
    return ttl_us, nonce


def decode_close(payload: bytes) -> int:
    """The session.

    Raises:
        DecodeError: the payload is not of its size.
    """
    if len(payload) != _HEAD.size + _U64.size:
        raise DecodeError(_WHAT, _HEAD.size, "the payload is not of its size")
    return int(_U64.unpack_from(payload, _HEAD.size)[0])


def decode_testimony(payload: bytes) -> Testimony:
    """What a TESTIMONY says.

    Raises:
        DecodeError: the payload is not of its size, or not of its form.
    """
    if len(payload) != _HEAD.size + _TESTIMONY.size or payload[-1] > 1:
        raise DecodeError(_WHAT, _HEAD.size, "the payload is no testimony")
    check, witness, digest, leads = _TESTIMONY.unpack_from(payload, _HEAD.size)
    return Testimony(check, witness, digest, bool(leads))


def split_call(payload: bytes) -> tuple[int, int, int, int, bytes, bytes] | None:
    """Stamp, session, number, done below, `Method.head` and arguments of a COMMAND; None if it is no whole one."""
    if len(payload) < _COMMAND_BYTES or payload[0] != VERSION or payload[1] != 1:
        return None
    _, _, stamp_us, session, number, done_below, _, size = _WHOLE.unpack_from(payload)
    end = _COMMAND_BYTES + size
    return stamp_us, session, number, done_below, payload[_COMMAND.size : end], payload[end:]


def decode_call(payload: bytes) -> tuple[int, int, int, int, str, bytes]:
    """Session, number, done below, schema, name and arguments of a COMMAND.

    Raises:
        DecodeError: it does not fit.
    """
    try:
        _, _, _, session, number, done_below = _COMMAND.unpack_from(payload)
        schema, size = _METHOD.unpack_from(payload, _COMMAND.size)
    except struct_error as error:
        raise DecodeError(_WHAT, _HEAD.size, "the payload ends inside the command") from error
    at = _COMMAND.size + _METHOD.size
    if size > len(payload) - at:
        raise DecodeError(_WHAT, at, "the name does not fit")
    try:
        name = payload[at : at + size].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(_WHAT, at, "the name is not UTF-8") from error
    return session, number, done_below, schema, name, payload[at + size :]


def call_key(payload: bytes) -> tuple[int, int]:
    """Whose call an entry is: (session, number), of an OPEN (0, nonce); (0, 0) if nobody's."""
    if len(payload) >= _COMMAND.size and payload[0] == VERSION and payload[1] == Kind.COMMAND:
        _, _, _, session, number, _ = _COMMAND.unpack_from(payload)
        return (session, number) if session else (0, 0)
    if len(payload) == _HEAD.size + _PAIR.size and payload[0] == VERSION and payload[1] == Kind.OPEN:
        return 0, decode_open(payload)[1]
    return 0, 0
