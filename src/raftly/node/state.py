"""State: all that entries changed in a replica, as a stream of bytes and back.

    u32   size of the head
    head  a value (`values`): (version, own, applied, log time, sessions, members)
            sessions   [(id, time to live, active, done below, [(number, class of exception or "", reply), ...]), ...]
            members    [(id, host, port), ...]
    then  own = 0: the fields of the instance, one value: {name: value}, and {"": [names]} for those that `__init__`
          sets and a command deleted; own = 1: what the class's `snapshot` gave

A class may bring its own streams (`Streams`), and may keep its state on disk itself (`OnDisk`); otherwise its fields
are encoded whole. The stream is made of what was there when `StateCodec.stream` was called, however late it is read.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from struct import Struct
from typing import ClassVar, Final, Generic, Protocol, TypeVar, cast, final

from raftly.base.membership import ConfState
from raftly.base.types import Index, NodeId, Term
from raftly.errors import ConfigError, DecodeError, LimitExceeded, RaftlyError
from raftly.node.annotations import TypeArguments, hints_of, substitute
from raftly.node.errors import MachineFailed, SnapshotFailed, ValueTypeError
from raftly.node.shapes import Check, checker, settle
from raftly.node.values import VALUE_BYTES_MAX, decode_raw, encode_value
from raftly.storage.items import decode_membership, encode_membership

T = TypeVar("T")

VERSION: Final = 2
_WHAT: Final = "snapshot"
_SIZE: Final = Struct("<I")
_GONE: Final = ""  # the name of no field
# A head holds the replies of all sessions, each of them as large, and nested as deep, as a value may be.
_HEAD_BYTES_MAX: Final = 1 << 30
_AROUND_REPLY: Final = 6
_PIECE_BYTES: Final = 256 << 10  # of fields that were encoded whole
_OUR_ERRORS: Final[dict[str, type[Exception]]] = {
    error.__qualname__: error for error in (ValueTypeError, DecodeError, LimitExceeded)
}
_Stored = tuple[int, int, int, int, list[tuple[int, str, object]]]  # a session in a head


class Streams(Protocol):
    """A class whose state is too large to be encoded whole.

    If it has a `close(self) -> None` too, that is called when another instance took its place, or the node stops.
    """

    def snapshot(self) -> Iterable[bytes]:
        """The state as it is now, in pieces of your choice.

        The simulator wants equal bytes of equal states. The digests of running nodes (`raftly.node.digests`) do not
        read them: they want a method `state_digest`.

        Commands run between two pieces, so take what you need (a copy, a read transaction) before the first: it is
        asked for at once, the others later.
        """
        ...

    async def restore(self, chunks: AsyncIterator[bytes]) -> None:
        """Fill this new instance from those bytes, cut into other pieces of at most 1 MiB; read to the end.

        The node goes on while you wait for the next piece, so its loop stands still no longer than you take for one.
        """
        ...


class OnDisk(Streams, Protocol):
    """A class that keeps its state itself, and knows what of it is there after a crash.

    1. What commands did counts, after a crash, up to the last `save` that is durable: all of it or nothing, together
       with that save's index and head.
    2. A new instance that is being restored leaves what is there alone until its first `save`, which replaces it.
    """

    def durable(self) -> tuple[Index, bytes] | None:
        """Index and head of the newest save that a crash now would leave; None where there is none."""
        ...

    def save(self, index: Index, head: bytes) -> None:
        """Keep all effects so far, and these two, in one transaction. Called after each batch of commands.

        It need not be durable when this returns; the log is kept until it is.
        """
        ...

    def close(self) -> None:
        """As of `Streams`. What was not saved is not wanted."""
        ...


@final
@dataclass(slots=True)
class SessionState:
    """A caller, as all replicas see it."""

    ttl_us: int
    active_us: int  # log time of its last call
    done_below: int  # replies below it are gone, and calls below it refused
    replies: dict[int, object]  # number -> result, or the exception that is the result


@final
@dataclass(slots=True)
class State(Generic[T]):
    """What entries changed."""

    instance: T
    applied: Index
    now_us: int
    sessions: dict[int, SessionState]
    members: dict[NodeId, tuple[str, int]]


@final
class StateCodec(Generic[T]):
    """How the state of one class becomes bytes and comes back. `marked` names its commands and queries."""

    VERSION: ClassVar[int] = VERSION

    def __init__(self, factory: Callable[[], T], first: T, marked: Collection[str], arguments: TypeArguments) -> None:
        """Look at the class, and at an instance as `factory` makes it.

        Raises:
            ConfigError: it has only a part of what streams or a state on disk need, or a field that cannot travel.
        """
        cls = type(first)
        self._factory = factory
        self._name = cls.__qualname__
        self._errors: Mapping[str, type[Exception]] = {
            error.__qualname__: error for error in getattr(cls, "errors", ()) if issubclass(error, Exception)
        }
        self.streams = _has_all(cls, marked, ("snapshot", "restore"))
        self.on_disk = self.streams and _has_all(cls, marked, ("durable", "save"))
        if self.streams and not inspect.iscoroutinefunction(getattr(cls, "restore", None)):
            raise ConfigError(f"{self._name}.restore", "must be `async def`: it takes its chunks with `async for`")
        self.closes = self.streams and "close" not in marked and callable(getattr(cls, "close", None))
        if self.on_disk and not self.closes:
            raise ConfigError(self._name, "keeps its state on disk and needs `close` too")
        hints = {} if self.streams else _field_types(cls)
        self._born = frozenset() if self.streams else frozenset(_state_of(first))
        self._fields: dict[str, Check] = {}
        for name, hint in hints.items():
            wanted = substitute(hint, arguments)
            self._fields[name] = checker(wanted, keeps=True)
            settle(wanted)

    # --- to bytes ---

    def stream(self, state: State[T], *, restorable: bool = True) -> Iterator[bytes]:
        """The state of now, to be read whenever; if not `restorable`, only what is there, not what is gone.

        Raises:
            ValueTypeError: a field cannot travel, so it could not be restored.
            LimitExceeded: the fields are larger than a value may be, or the replies in the sessions than a head.
            SnapshotFailed: the class's own `snapshot` failed; also while it is read.
        """
        head = self.head(state)
        if self.streams:
            rest = self._own(state.instance)
        else:
            fields = self._checked(state.instance)
            gone = sorted(self._born - fields.keys())
            if gone and restorable:
                fields = {_GONE: gone, **fields}
            rest = _pieces(encode_value(fields))
        return chain([_SIZE.pack(len(head)) + head], rest)

    def head(self, state: State[T]) -> bytes:
        """All but the instance.

        Raises:
            LimitExceeded: the replies in the sessions are larger than 1 GiB together.
        """
        sessions = [
            (
                id_,
                session.ttl_us,
                session.active_us,
                session.done_below,
                [(number, *_reply_parts(reply)) for number, reply in session.replies.items()],
            )
            for id_, session in state.sessions.items()
        ]
        members = [(id_, *address) for id_, address in sorted(state.members.items())]
        parts = (VERSION, int(self.streams), state.applied, state.now_us, sessions, members)
        return encode_value(parts, around=_AROUND_REPLY, bytes_max=_HEAD_BYTES_MAX)

    def _checked(self, instance: T) -> dict[str, object]:
        fields = _state_of(instance)
        for name, value in fields.items():
            try:
                self._check_of(name)(value)
            except ValueTypeError as error:
                raise ValueTypeError(f"{self._name}.{name}: {error}") from error
        return fields

    def _own(self, instance: T) -> Iterator[bytes]:
        """What the class gives. The first piece now: a generator takes what it needs when it begins to run."""
        pieces = self._guarded(instance)
        first = next(pieces, b"")
        return chain([first], pieces)

    def _guarded(self, instance: T) -> Iterator[bytes]:
        try:
            for piece in cast("Streams", instance).snapshot():
                if not isinstance(piece, bytes):
                    raise SnapshotFailed(f"{self._name}.snapshot gave {type(piece).__qualname__}, not bytes")
                yield piece
        except RaftlyError:
            raise
        except Exception as error:
            raise SnapshotFailed(f"{self._name}.snapshot raised {error!r}") from error

    # --- from bytes ---

    async def read(self, chunks: AsyncIterator[bytes]) -> State[T]:
        """A state with a new instance, made of a stream that is cut up in any way.

        Raises:
            DecodeError: malformed, of a newer version, or of a class with other streams.
            ValueTypeError: it does not fit the class.
            SnapshotFailed: the class's own `restore` failed.
            RaftlyError: whatever reading `chunks` raises.
        """
        source = _Source(chunks)
        size: int = _SIZE.unpack(await source.exactly(_SIZE.size))[0]
        if size > _HEAD_BYTES_MAX:
            raise DecodeError(_WHAT, 0, f"a head of {size} bytes, the limit is {_HEAD_BYTES_MAX}")
        head = await source.exactly(size)
        instance = self._factory()
        try:
            state = self.decode_head(head, instance)
            if self.streams:
                await self._restore(cast("Streams", instance), source)
            else:
                self._fill(instance, await source.all(VALUE_BYTES_MAX))
        except BaseException:
            self.close(instance)
            raise
        return state

    def close(self, instance: T) -> None:
        """Let an instance go, if the class wants to know."""
        if self.closes:
            cast("OnDisk", instance).close()

    async def _restore(self, instance: Streams, source: _Source) -> None:
        try:
            await instance.restore(source.rest())
        except RaftlyError:
            raise
        except Exception as error:
            raise SnapshotFailed(f"{self._name}.restore raised {error!r}") from error
        async for _ in source.rest():  # whether the file was whole is known at its end
            raise SnapshotFailed(f"{self._name}.restore did not read to the end")

    def _fill(self, instance: T, data: bytes) -> None:
        fields = decode_raw(data)
        gone = fields.pop(_GONE, []) if type(fields) is dict else None
        if type(gone) is not list:
            raise DecodeError(_WHAT, 0, "it is not of the form of a snapshot")
        for name in _state_of(instance):  # one that it lacks otherwise is new, and as `__init__` made it
            if name in gone:
                delattr(instance, name)
        for name, value in fields.items():
            setattr(instance, name, self._check_of(name)(value))

    def decode_head(self, head: bytes, instance: T) -> State[T]:
        """The state of that head, with an instance that has what belongs to it.

        Raises:
            DecodeError: malformed, or of a newer version.
        """
        parts = decode_raw(head, around=_AROUND_REPLY, bytes_max=_HEAD_BYTES_MAX)
        if type(parts) is not tuple or not parts or parts[0] != VERSION:
            found = parts[0] if type(parts) is tuple and parts else "none"
            raise DecodeError(_WHAT, 0, f"its head is of version {found}, this release knows {VERSION}")
        try:
            _, own, applied, now_us, stored, addresses = parts
            sessions = {
                id_: SessionState(
                    ttl_us, active_us, done_below, {number: self._reply(kind, reply) for number, kind, reply in replies}
                )
                for id_, ttl_us, active_us, done_below, replies in cast("list[_Stored]", stored)
            }
            members = {id_: (host, port) for id_, host, port in cast("list[tuple[int, str, int]]", addresses)}
        except (TypeError, ValueError) as error:
            raise DecodeError(_WHAT, 0, "its head is not of its form") from error
        if type(applied) is not int or type(now_us) is not int:
            raise DecodeError(_WHAT, 0, "its head is not of its form")
        if own != int(self.streams):
            made, reads = ("its own streams", "fields") if own else ("fields", "its own streams")
            raise DecodeError(_WHAT, 0, f"it was made of {made}, and {self._name} has {reads}")
        return State(instance, applied, now_us, sessions, members)

    def _check_of(self, field: str) -> Check:
        check = self._fields.get(field)
        if check is None:
            check = self._fields[field] = checker(object, keeps=True)
        return check

    def _reply(self, name: str, value: object) -> object:
        if not name:
            return value
        arguments = value if isinstance(value, tuple) else (value,)
        return build_error(self._errors.get(name) or _OUR_ERRORS.get(name, RaftlyError), arguments)


@final
class _Source:
    """A stream that is cut up in any way, read from its front."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._held = bytearray()

    async def exactly(self, size: int) -> bytes:
        """The next so many bytes.

        Raises:
            DecodeError: there are fewer.
        """
        while len(self._held) < size:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                raise DecodeError(_WHAT, 0, "it ends too early")
            self._held += chunk
        taken = bytes(self._held[:size])
        del self._held[:size]
        return taken

    async def rest(self) -> AsyncIterator[bytes]:
        """All that is left, in pieces."""
        if self._held:
            held = bytes(self._held)
            self._held.clear()
            yield held
        async for chunk in self._chunks:
            yield chunk

    async def all(self, bytes_max: int) -> bytes:
        """All that is left, at once.

        Raises:
            DecodeError: more than `bytes_max`.
        """
        async for chunk in self._chunks:
            self._held += chunk
            if len(self._held) > bytes_max:
                raise DecodeError(_WHAT, 0, f"its fields have more than {bytes_max} bytes")
        return bytes(self._held)


def kept_head(state_on_disk: OnDisk) -> tuple[Index, bytes] | None:
    """What a class says is durable.

    Raises:
        MachineFailed: it could not tell, or not in that form.
    """
    try:
        kept = state_on_disk.durable()
    except Exception as error:
        raise MachineFailed(f"{type(state_on_disk).__qualname__}.durable raised {error!r}") from error
    if kept is not None and not (type(kept) is tuple and len(kept) == 2 and type(kept[0]) is int):
        raise MachineFailed(f"{type(state_on_disk).__qualname__}.durable gave {kept!r}, not an index and a head")
    return kept


def encode_kept(term: Term, conf_state: ConfState, head: bytes) -> bytes:
    """What a state on disk keeps beside it: a value (term, membership, head)."""
    return encode_value((term, encode_membership(conf_state), head), bytes_max=_HEAD_BYTES_MAX)


def decode_kept(kept: tuple[Index, bytes]) -> tuple[Index, Term, ConfState, bytes]:
    """Index, term, membership and head of what `OnDisk.durable` gave.

    Raises:
        DecodeError: it is not what was given to `save`.
    """
    index, data = kept
    parts = decode_raw(data, bytes_max=_HEAD_BYTES_MAX)
    if type(parts) is not tuple or [type(part) for part in parts] != [int, bytes, bytes]:
        raise DecodeError("state on disk", 0, "what it kept is not of its form")
    term, membership, head = cast("tuple[int, bytes, bytes]", parts)
    conf_state, _ = decode_membership(membership, 0)
    return index, term, conf_state, head


def plain_error(error: Exception) -> Exception:
    """A registered exception as a result: no traceback, so no way back into the state; arguments that can travel.

    Of another argument only its type is told: what it says of itself may be an address, another one on every replica.
    """
    arguments: list[object] = []
    for argument in error.args:
        try:
            arguments.append(checker(object)(decode_raw(encode_value(argument))))
        except RaftlyError:
            arguments.append(type(argument).__qualname__)
    error.args = tuple(arguments)
    return error.with_traceback(None)


def same_error(error: Exception) -> Exception:
    """Another one like a result: whoever changes it, or its arguments, or keeps its traceback, has no part in that."""
    return build_error(
        type(error), cast("tuple[object, ...]", decode_raw(encode_value(error.args, around=1), around=1))
    )


def build_error(cls: type[Exception], arguments: tuple[object, ...]) -> Exception:
    """An exception with exactly the arguments it had; one whose `__init__` makes others of them has just these."""
    error = None
    try:
        made = cls(*arguments)
        if made.args == arguments:
            error = made
    except Exception:  # noqa: BLE001, S110 - an __init__ of the user's may raise what it likes
        pass
    if error is None:
        error = cls.__new__(cls)
    error.args = arguments  # a 1 is equal to a True, and has other bytes
    return error


def _reply_parts(reply: object) -> tuple[str, object]:
    if isinstance(reply, Exception):
        return type(reply).__qualname__, reply.args
    return "", reply


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES))


def _has_all(cls: type, marked: Collection[str], names: tuple[str, ...]) -> bool:
    """Has the class all of these, apart from commands and queries of such a name?

    Raises:
        ConfigError: it has only some.
    """
    there = [name for name in names if name not in marked and callable(getattr(cls, name, None))]
    if there and len(there) < len(names):
        lacking = next(name for name in names if name not in there)
        raise ConfigError(cls.__qualname__, f"has `{there[0]}` and needs `{lacking}` too")
    return bool(there)


def _field_types(cls: type) -> dict[str, object]:
    """Annotations of the class's fields, where it has any.

    Raises:
        ConfigError: one names what is not there when the class runs.
    """
    hints = hints_of(cls).items()
    return {name: hint for name, hint in hints if hint is not ClassVar and typing.get_origin(hint) is not ClassVar}


def _state_of(instance: object) -> dict[str, object]:
    """The fields of an instance by name, in order of their names; of `__slots__` too."""
    names = set(getattr(instance, "__dict__", ()))
    for cls in type(instance).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names |= {_mangled(name, cls) for name in ((slots,) if isinstance(slots, str) else slots)}
    names -= {"__dict__", "__weakref__", "__orig_class__"}  # the last: of a generic class, what `Stock[str]()` made
    return {name: getattr(instance, name) for name in sorted(names) if hasattr(instance, name)}


def _mangled(name: str, cls: type) -> str:
    """The name under which Python keeps a slot of the class: a private one has the class's before it."""
    owner = cls.__name__.lstrip("_")
    return f"_{owner}{name}" if owner and name.startswith("__") and not name.endswith("__") else name
