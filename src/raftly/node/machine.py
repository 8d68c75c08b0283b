"""StateMachine: an instance of the user's class, driven by committed entries; sessions make a retry count once.

Everything here is a function of the entries alone: every replica that applied the same entries is equal to the last
byte.

A call's number counts up within its session. The reply to a call is kept until the caller says that it is done with it
(`done_below`), so a call that arrives twice is answered twice and applied once. Sessions expire by log time: an entry's
stamp is the leader's clock, never going back, so replicas agree on who expired when.

Source: Raft thesis §6.3 (linearizable semantics, sessions, expiry agreed through the log).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar, final

from raftly.base.types import Entry, Index
from raftly.errors import DecodeError, RaftlyError, Retry
from raftly.node.commands import Kind, decode_arguments, decode_call, decode_head, decode_number, methods_of
from raftly.node.values import ValueTypeError, conform, decode_raw, encode_value

T = TypeVar("T")

SNAPSHOT_VERSION = 1


class SessionExpired(RaftlyError):
    """The session was closed or expired by log time: whether calls of it still in flight were applied is unknown."""

    code: ClassVar[str] = "session_expired"


class UnknownCommand(RaftlyError):
    """A command that this class, or this version of it, does not have. Nothing was applied."""

    code: ClassVar[str] = "unknown_command"
    retry: ClassVar[Retry] = Retry.NEVER


class MachineFailed(RaftlyError):
    """A command raised what its class did not register: a bug. The node stops rather than let replicas part."""

    code: ClassVar[str] = "machine_failed"


@final
@dataclass(slots=True)
class Session:
    """A caller, as all replicas see it."""

    ttl_us: int
    active_us: int  # log time of its last call
    replies: dict[int, tuple[bool, object]]  # number -> (is it an error, value); until the caller is done with it


@final
class StateMachine(Generic[T]):
    """The user's instance and the sessions around it. `errors` are the exceptions that are results."""

    __slots__ = ("_errors", "_factory", "_methods", "applied", "instance", "now_us", "sessions")

    def __init__(self, factory: Callable[[], T]) -> None:
        self._factory = factory
        self.instance = factory()
        cls = type(self.instance)
        self._methods = methods_of(cls)
        self._errors: dict[str, type[Exception]] = {
            error.__qualname__: error for error in getattr(cls, "errors", ()) if issubclass(error, Exception)
        }
        self.applied: Index = 0
        self.now_us = 0  # log time
        self.sessions: dict[int, Session] = {}

    def apply(self, entry: Entry) -> object:
        """Apply a committed entry; its result, or the exception that is its result.

        Raises:
            MachineFailed: the class has a bug; this replica must stop.
        """
        self.applied = entry.index
        if not entry.data:
            return None
        try:
            kind, stamp_us = decode_head(entry.data)
            self.now_us = max(self.now_us, stamp_us)
            self._expire()
            if kind is Kind.COMMAND:
                return self._command(entry)
            if kind is Kind.OPEN:
                self.sessions[entry.index] = Session(decode_number(entry.data), self.now_us, {})
                return entry.index
            if kind is Kind.CLOSE:
                self.sessions.pop(decode_number(entry.data), None)
        except DecodeError as error:
            return error  # the same on every replica, and nothing was changed by it
        return None

    def _expire(self) -> None:
        gone = [id_ for id_, session in self.sessions.items() if self.now_us - session.active_us > session.ttl_us]
        for id_ in gone:
            del self.sessions[id_]

    def _command(self, entry: Entry) -> object:
        call = decode_call(entry.data)
        if call.session == 0:
            return self._run(call.name, call.schema, call.arguments)[1]
        session = self.sessions.get(call.session)
        if session is None:
            return SessionExpired(f"session {call.session} has expired or was closed")
        session.active_us = self.now_us
        for number in [number for number in session.replies if number < call.done_below]:
            del session.replies[number]
        if call.number < call.done_below:
            return SessionExpired(f"call {call.number} was already answered and given up")
        reply = session.replies.get(call.number)
        if reply is None:
            reply = self._run(call.name, call.schema, call.arguments)
            session.replies[call.number] = reply
        return reply[1]

    def _run(self, name: str, schema: int, arguments: bytes) -> tuple[bool, object]:
        """Call the method: (is it an error, result)."""
        method = self._methods.get(name)
        if method is None or not method.is_command or schema > method.schema:
            return True, UnknownCommand(f"{type(self.instance).__qualname__} has no command {name} of schema {schema}")
        try:
            values = decode_arguments(arguments, method)
        except (DecodeError, ValueTypeError) as error:
            return True, error
        try:
            return False, method.function(self.instance, *values)
        except tuple(self._errors.values()) as error:
            return True, error
        except Exception as error:
            raise MachineFailed(f"{type(self.instance).__qualname__}.{name} raised {error!r}") from error

    def query(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call a reading method on the state as it is here."""
        method = self._methods[name]
        return method.function(self.instance, *method.bind(args, kwargs))

    def bind(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[int, bytes]:
        """(schema, encoded arguments) of a call, checked before it goes anywhere.

        Raises:
            UnknownCommand: no such command.
            ValueTypeError: an argument is not of its type.
        """
        method = self._methods.get(name)
        if method is None or not method.is_command:
            raise UnknownCommand(f"{type(self.instance).__qualname__} has no command {name}")
        return method.schema, encode_value(method.bind(args, kwargs))

    def is_query(self, name: str) -> bool:
        """Is this a method marked @query?"""
        method = self._methods.get(name)
        return method is not None and not method.is_command

    # --- snapshots ---

    def snapshot(self) -> bytes:
        """The whole state, sessions included.

        Raises:
            ValueTypeError: a field of the instance cannot be encoded.
        """
        sessions = [
            (
                id_,
                session.ttl_us,
                session.active_us,
                [(number, failed, _encode_reply(value)) for number, (failed, value) in session.replies.items()],
            )
            for id_, session in self.sessions.items()
        ]
        return encode_value((SNAPSHOT_VERSION, self.applied, self.now_us, sessions, dict(vars(self.instance))))

    def restore(self, data: bytes) -> None:
        """Become what the snapshot says.

        Raises:
            DecodeError: malformed, or of a newer version.
            ValueTypeError: it does not fit the class.
        """
        version, applied, now_us, sessions, fields = _parts(data)
        if version != SNAPSHOT_VERSION:
            raise DecodeError("snapshot", 0, f"version {version} is unknown")
        instance = self._factory()
        hints = _field_types(type(instance))
        for name, value in fields.items():
            setattr(instance, name, conform(value, hints.get(name, object)))
        self.instance = instance
        self.applied = applied
        self.now_us = now_us
        self.sessions = {
            id_: Session(ttl_us, active_us, {number: (failed, self._reply(raw)) for number, failed, raw in replies})
            for id_, ttl_us, active_us, replies in sessions
        }

    def _reply(self, raw: tuple[str, object]) -> object:
        name, value = raw
        if not name:
            return value
        error = self._errors.get(name)
        arguments = value if isinstance(value, list) else []
        return error(*arguments) if error is not None else RaftlyError(*arguments)

    def digest(self) -> int:
        """CRC-32 of the snapshot: equal on replicas that applied the same entries."""
        return zlib.crc32(self.snapshot())


def _encode_reply(value: object) -> tuple[str, object]:
    if isinstance(value, Exception):
        return type(value).__qualname__, [str(argument) for argument in value.args]
    return "", value


def _parts(data: bytes) -> tuple[int, int, int, list[Any], dict[str, object]]:
    parts = decode_raw(data)
    if not isinstance(parts, tuple) or len(parts) != 5 or not isinstance(parts[4], dict):
        raise DecodeError("snapshot", 0, "it is not of the form of a snapshot")
    return parts[0], parts[1], parts[2], parts[3], parts[4]


def _field_types(cls: type) -> dict[str, object]:
    """Annotations of the class's fields, where it has any."""
    import typing  # noqa: PLC0415 - only here

    try:
        return dict(typing.get_type_hints(cls))
    except NameError:
        return {}
