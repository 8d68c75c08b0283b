"""StateMachine: an instance of the user's class, driven by committed entries; sessions make a retry count once.

Everything here is a function of the entries alone: every replica that applied the same entries is equal to the last
byte. Where a replica cannot tell what the others did, because it is of an older version or the class has a bug, it
stops (`MachineFailed`).

A call's number counts up within its session. The reply to a call is kept until the caller says that it is done with it
(`done_below`), so a call that arrives twice is answered twice and applied once. Sessions expire by log time: an entry's
stamp is the leader's clock, never going back, so replicas agree on who expired when.

Source: Raft thesis §6.3 (linearizable semantics, sessions, expiry agreed through the log).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Generic, TypeVar, cast, final

from raftly.base.types import Entry, Index, NodeId
from raftly.errors import DecodeError, LimitExceeded
from raftly.node.annotations import arguments_of
from raftly.node.commands import (
    CALL_AT,
    Kind,
    Method,
    call_payload,
    decode_call,
    decode_close,
    decode_head,
    decode_open,
    methods_of,
    split_call,
)
from raftly.node.errors import MachineFailed, SessionExpired, UnknownCommand, ValueTypeError
from raftly.node.log_time import CURRENT, Timed
from raftly.node.state import SessionState, State, StateCodec, plain_error

T = TypeVar("T")
R = TypeVar("R")

_NEVER: Final = 1 << 63
_COMPARISONS: Final = frozenset((Kind.CHECK, Kind.TESTIMONY))
_KINDS: Final = frozenset(Kind)


@final
class StateMachine(Generic[T]):
    """The user's instance and the sessions around it.

    `errors` of the class lists the exceptions that are results: exactly these classes, not those derived from them.
    """

    __slots__ = (
        "_by_head",
        "_errors",
        "_expiry_us",
        "_methods",
        "_timed",
        "applied",
        "codec",
        "instance",
        "members",
        "now_us",
        "on_comparison",
        "sessions",
    )

    def __init__(self, factory: Callable[[], T]) -> None:
        """Make the first instance.

        Raises:
            ConfigError: the class has no commands, or one that cannot travel.
        """
        self.instance = factory()
        cls = type(self.instance)
        arguments = arguments_of(cls, factory)
        self._methods = methods_of(cls, arguments)
        self._by_head = {method.head: method for method in self._methods.values() if method.mark.is_command}
        self._errors: dict[str, type[Exception]] = {
            error.__qualname__: error for error in getattr(cls, "errors", ()) if issubclass(error, Exception)
        }
        self.codec: StateCodec[T] = StateCodec(factory, self.instance, self._methods, arguments)
        self._timed = issubclass(cls, Timed)
        self.applied: Index = 0
        self.now_us = 0  # log time
        self.sessions: dict[int, SessionState] = {}
        self.members: dict[NodeId, tuple[str, int]] = {}  # where they are
        self._expiry_us = _NEVER  # no session expires before
        self.on_comparison: Callable[[Entry], None] = _ignore
        """Called with each CHECK and TESTIMONY, as it is applied."""

    # --- entries ---

    def apply(self, entry: Entry) -> object:
        """Apply a committed entry; its result, or the exception that is its result.

        Raises:
            MachineFailed: the class has a bug, or is older than the entry; this replica must stop.
        """
        self.applied = entry.index
        data = entry.data
        if not data:
            return None
        call = split_call(data)
        if call is not None:
            stamp_us, session, number, done_below, head, arguments = call
            method = self._by_head.get(head)
            if method is not None:
                if stamp_us > self.now_us:
                    self._let_time_pass(stamp_us)
                if session == 0:
                    return self._run(method, arguments)
                return self._command(session, number, done_below, method, arguments)
        try:
            kind, stamp_us = decode_head(data)
        except DecodeError as error:
            raise MachineFailed(f"entry {entry.index} is not for this version of raftly: {error}") from error
        self._let_time_pass(stamp_us)
        try:
            if kind == Kind.COMMAND:
                session, number, done_below, schema, name, arguments = decode_call(data)
                older = self._older(name, schema, arguments)
                return self._command(session, number, done_below, older, arguments)
            return self._other(kind, entry)
        except DecodeError as error:
            return error  # the same on every replica, and nothing was changed by it

    def _let_time_pass(self, stamp_us: int) -> None:
        if stamp_us > self.now_us:
            self.now_us = stamp_us
            if stamp_us > self._expiry_us:
                self._expire()
            if self._timed:
                self._do_what_is_due()

    def due_us(self) -> int | None:
        """The log time that something waits for, which has not come yet: a class that is `Timed` has plans."""
        if not self._timed:
            return None
        due_us = self._of_timed(cast("Timed", self.instance).due_us)
        return due_us if due_us is not None and due_us > self.now_us else None

    def _do_what_is_due(self) -> None:
        timed = cast("Timed", self.instance)
        due_us = self._of_timed(timed.due_us)
        if due_us is not None and due_us <= self.now_us:
            self._of_timed(timed.on_time)

    def _of_timed(self, hook: Callable[[], R]) -> R:
        CURRENT.now_us = self.now_us
        try:
            return hook()
        except Exception as error:
            raise MachineFailed(f"{hook.__qualname__} raised {error!r}") from error
        finally:
            CURRENT.now_us = None

    def _other(self, kind: int, entry: Entry) -> object:
        if kind == Kind.OPEN:
            ttl_us, _ = decode_open(entry.data)
            self.sessions[entry.index] = SessionState(ttl_us, self.now_us, 0, {})
            self._expiry_us = min(self._expiry_us, self.now_us + ttl_us)
            return entry.index
        if kind == Kind.CLOSE:
            self.sessions.pop(decode_close(entry.data), None)
        elif kind in _COMPARISONS:
            self.on_comparison(entry)
        elif kind != Kind.CLOCK:
            raise MachineFailed(f"entry {entry.index} is of kind {kind}, which this version of raftly does not know")
        return None

    def _expire(self) -> None:
        """Let sessions go that were silent for longer than their time, and find out when to look again."""
        gone = [id_ for id_, session in self.sessions.items() if self.now_us > session.active_us + session.ttl_us]
        for id_ in gone:
            del self.sessions[id_]
        expiries = [session.active_us + session.ttl_us for session in self.sessions.values()]
        self._expiry_us = min(expiries, default=_NEVER)

    def _older(self, name: str, schema: int, arguments: bytes) -> Method:
        """The command for a call of an older schema; a newer one was not known when this class was written."""
        method = self._methods.get(name)
        if method is None or not method.mark.is_command or schema > method.mark.schema:
            raise MachineFailed(
                f"{type(self.instance).__qualname__} has no command {name} of schema {schema}: a newer version of the "
                "class proposed it; update this replica and start it again"
            )
        try:
            method.decode(arguments)
        except DecodeError:
            pass  # it was refused by the older class too
        except ValueTypeError as error:  # replicas of the older class have done it: no result for this one
            raise MachineFailed(
                f"{type(self.instance).__qualname__}.{name} does not take a call of schema {schema} that is still in "
                f"the log ({error}): give it a form that does, and start this replica again"
            ) from error
        return method

    def _command(self, id_: int, number: int, done_below: int, method: Method, arguments: bytes) -> object:
        if id_ == 0:
            return self._run(method, arguments)
        session = self.sessions.get(id_)
        if session is None:
            return SessionExpired(f"session {id_} has expired or was closed")
        session.active_us = self.now_us
        replies = session.replies
        if done_below > session.done_below:
            done: Iterable[int] = range(session.done_below, done_below)
            if done_below - session.done_below > len(replies):
                done = [known for known in replies if known < done_below]
            session.done_below = done_below
            for answered in done:
                replies.pop(answered, None)
        if number < session.done_below:
            return SessionExpired(f"call {number} of session {id_} was given up by its caller")
        if number in replies:
            return self._again(method, replies[number])
        reply = replies[number] = self._run(method, arguments)
        return reply

    def _run(self, method: Method, arguments: bytes) -> object:
        """Call the method; its result, or the exception that is the result."""
        try:
            values = method.decode(arguments)
        except (DecodeError, ValueTypeError) as error:
            return error
        CURRENT.now_us = self.now_us
        try:
            result = method.function(self.instance, *values)
        except Exception as error:
            if self._errors.get(type(error).__qualname__) is type(error):
                return plain_error(error)
            raise MachineFailed(f"{type(self.instance).__qualname__}.{method.name} raised {error!r}") from error
        finally:
            CURRENT.now_us = None
        try:
            return method.detach(result)
        except (DecodeError, ValueTypeError, LimitExceeded) as error:
            return error

    def _again(self, method: Method, reply: object) -> object:
        """A reply once more; one that came in a snapshot holds records where its method gave dataclasses."""
        if isinstance(reply, Exception):
            return reply
        try:
            return method.conform_result(reply)
        except ValueTypeError as error:
            return error

    # --- callers ---

    def query(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call a reading method on the state as it is here.

        Raises:
            UnknownCommand: no such query.
            ValueTypeError: an argument or the result is not of its type.
        """
        method = self._method(name, is_command=False)
        values = method.bind(args, kwargs)
        CURRENT.now_us = self.now_us
        try:
            result = method.function(self.instance, *values)
        finally:
            CURRENT.now_us = None
        return method.detach(result)

    def detach(self, name: str, result: object) -> object:
        """A result of a command once more, as a value of its own: a session keeps what `apply` gave."""
        return self._methods[name].detach(result)

    def encode(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> bytes:
        """A call to put into a payload, checked before it goes anywhere.

        Raises:
            UnknownCommand: no such command.
            ValueTypeError: an argument is not of its type.
            LimitExceeded: the arguments are too large.
        """
        return self._method(name, is_command=True).encode(args, kwargs)

    def _method(self, name: str, *, is_command: bool) -> Method:
        method = self._methods.get(name)
        if method is None or method.mark.is_command is not is_command:
            kind = "command" if is_command else "query"
            raise UnknownCommand(f"{type(self.instance).__qualname__} has no {kind} {name}")
        return method

    def check(self, payload: bytes) -> None:
        """May this payload, made elsewhere, be proposed? What replicas would stop at is refused here.

        Raises:
            DecodeError: malformed, or of a version or kind that this node does not know.
            UnknownCommand: no such command of this schema.
            ValueTypeError: an argument is not of its type.
        """
        kind, _ = decode_head(payload)
        if kind == Kind.COMMAND:
            self.check_call(payload[CALL_AT:])
        elif kind == Kind.OPEN:
            decode_open(payload)
        elif kind == Kind.CLOSE:
            decode_close(payload)
        elif kind not in _KINDS:
            raise DecodeError("command", 1, f"kind {kind} is unknown")

    def check_call(self, call: bytes) -> None:
        """May this call, encoded elsewhere, be put into a payload? As `check`.

        Raises:
            DecodeError: malformed.
            UnknownCommand: no such command of this schema.
            ValueTypeError: an argument is not of its type.
        """
        end = 3 + call[2] if len(call) > 2 else 0
        method = self._by_head.get(call[:end])
        if method is None:
            _, _, _, schema, name, _ = decode_call(call_payload(0, 0, 0, 0, call))
            method = self._method(name, is_command=True)
            if schema > method.mark.schema:
                raise UnknownCommand(f"{type(self.instance).__qualname__} has no command {name} of schema {schema}")
        method.decode(call[end:])

    # --- the whole state ---

    def _state(self) -> State[T]:
        return State(self.instance, self.applied, self.now_us, self.sessions, self.members)

    def stream(self) -> Iterator[bytes]:
        """The whole state as of now, sessions included, in pieces; entries may be applied before all are read.

        Raises:
            ValueTypeError: a field of the instance cannot travel, so it could not be restored.
            LimitExceeded: larger than a value may be.
            SnapshotFailed: the class's own `snapshot` failed; also while the pieces are read.
        """
        return self.codec.stream(self._state())

    def head(self) -> bytes:
        """All of it but the instance.

        Raises:
            LimitExceeded: larger than a value may be.
        """
        return self.codec.head(self._state())

    def adopt(self, state: State[T]) -> None:
        """Become what was read; the instance of before is the caller's."""
        self.instance = state.instance
        self.applied = state.applied
        self.now_us = state.now_us
        self.sessions = state.sessions
        self.members = state.members
        self._expire()

    @property
    def is_streamed(self) -> bool:
        """Does the class write its own snapshots?"""
        return self.codec.streams

    def digest(self) -> int:
        """CRC-32 of all that is there: equal on replicas that applied the same entries. Made at once, piece by piece.

        Raises:
            RaftlyError: as `stream`.
        """
        crc = 0
        for piece in self.codec.stream(self._state(), restorable=False):
            crc = zlib.crc32(piece, crc)
        return crc


def _ignore(entry: Entry) -> None:
    """Nobody compares."""
