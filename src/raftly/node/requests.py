"""What a caller elsewhere asks of a node, and what the node answers, as bytes.

Little-endian, version 1; the items of `raftly.transport.exchange`. Values are those of `raftly.node.values`.

    request                                               response
     0  u8   version                                       0  u8  version
     1  u8   kind                                          1  u8  kind
     2  u32  milliseconds that its caller waits            2  kind 1 VALUE: a value
     6  kind 1 CALL: the call, as in a COMMAND entry          kind 2 READ: u8 proof  u64 applied  f64 age, seconds
        kind 2 SESSION_CALL: u64 session  u64 number                       (NaN: unknown)  a value
               u64 done below  the call                       kind 3 RAISED: value (name, arguments) of an
        kind 3 OPEN: u64 time to live, microseconds                        exception that the class registered
               u64 nonce                                      kind 4 REFUSED: value (code, arguments) of an error
        kind 4 CLOSE: u64 session                                          of raftly
        kind 5 QUERY: u8 mode  f64 bound, seconds             kind 5 NOT_LEADER: u64 leader (0: none known)
               u8 size, name  arguments as a value                         u16 port  host, UTF-8
        kind 6 STATUS: nothing
        kind 7 ADMIN: u8 size, name  a value: (arguments, flags),
               a tuple, and a dict from names to bools
        kind 8 POLL: u64 after  the rest as QUERY

A call is schema, name and arguments (`raftly.node.commands`). Modes: 1 strong, 2 lease, 3 follower, 4 bounded, 5 local.
Proofs: 1 lease, 2 read index, 3 an earlier read index, 4 none. Any bytes decode, or are a DecodeError.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct
from typing import Final, TypeAlias, final

from raftly.base.types import NO_NODE, Index, NodeId, Term
from raftly.errors import (
    ConfChangeError,
    ConfigError,
    DecodeError,
    DiskFull,
    DropReason,
    LimitExceeded,
    NotLeader,
    OutcomeUnknown,
    ProposalDropped,
    RaftlyError,
)
from raftly.node.errors import (
    Busy,
    ChangePending,
    IdRetired,
    LearnerBehind,
    LeaseNotHeld,
    NodeStopped,
    QuorumAtRisk,
    ReadTimeout,
    RemoteFailed,
    SessionExpired,
    UnknownCommand,
    ValueTypeError,
)
from raftly.node.reads import Freshness, Mode, Proof, Read
from raftly.node.state import build_error
from raftly.node.values import decode_raw, encode_value
from raftly.transport.options import Address

VERSION: Final = 1
WITHIN_MS_MAX: Final = (1 << 32) - 1

_REQUEST: Final = Struct("<BBI")
_SESSION: Final = Struct("<BBIQQQ")
_TRIPLE: Final = Struct("<QQQ")
_PAIR: Final = Struct("<QQ")
_U64: Final = Struct("<Q")
_QUERY: Final = Struct("<BdB")
_RESPONSE: Final = Struct("<BB")
_READ: Final = Struct("<BQd")
_LEADER: Final = Struct("<QH")
_TEXT_MAX: Final = 2000
_WHAT: Final = "request"
_ANSWER: Final = "response"

_MODES: Final = (Mode.STRONG, Mode.LEASE, Mode.FOLLOWER, Mode.BOUNDED, Mode.LOCAL)
_PROOFS: Final = (Proof.LEASE, Proof.READ_INDEX, Proof.EARLIER, Proof.NONE)
_ERRORS: Final[dict[str, type[RaftlyError]]] = {
    error.code: error
    for error in (
        Busy,
        ChangePending,
        ConfChangeError,
        ConfigError,
        DecodeError,
        DiskFull,
        IdRetired,
        LearnerBehind,
        LeaseNotHeld,
        LimitExceeded,
        NodeStopped,
        OutcomeUnknown,
        ProposalDropped,
        QuorumAtRisk,
        ReadTimeout,
        RemoteFailed,
        SessionExpired,
        UnknownCommand,
        ValueTypeError,
    )
}


class Kind(IntEnum):
    """What a request asks for."""

    CALL = 1
    SESSION_CALL = 2
    OPEN = 3
    CLOSE = 4
    QUERY = 5
    STATUS = 6
    ADMIN = 7
    POLL = 8


class Answer(IntEnum):
    """What a response is."""

    VALUE = 1
    READ = 2
    RAISED = 3
    REFUSED = 4
    NOT_LEADER = 5


# --- requests --------------------------------------------------------------------------------------------------


@final
@dataclass(slots=True)
class Call:
    """A command. In a session it has a number, and calls below `done_below` are answered; without one, all are 0."""

    call: bytes
    session: int = 0
    number: int = 0
    done_below: int = 0


@final
@dataclass(slots=True)
class Open:
    """A new session."""

    ttl_us: int
    nonce: int


@final
@dataclass(slots=True)
class Close:
    """The end of a session."""

    session: int


@final
@dataclass(slots=True)
class Query:
    """A query, and how fresh its state must be; a poll when it has an index: it waits for something beyond that."""

    read: Read
    name: str
    arguments: tuple[object, ...]
    after: Index | None = None


@final
@dataclass(slots=True)
class AskStatus:
    """Who is in the group, who leads it."""


@final
@dataclass(slots=True)
class Admin:
    """A change of membership, or of who leads."""

    name: str
    arguments: tuple[object, ...]
    flags: dict[str, bool] = field(default_factory=dict)


Request: TypeAlias = Call | Open | Close | Query | AskStatus | Admin


def encode_request(request: Request, within_s: float) -> bytes:
    """The bytes of a request whose caller waits `within_s` seconds from now.

    Raises:
        ValueTypeError: an argument cannot travel.
        LimitExceeded: the arguments are too large.
    """
    within = int(min(max(within_s * 1000, 0), WITHIN_MS_MAX))
    if isinstance(request, Call):
        if request.session:
            session, number, done_below = request.session, request.number, request.done_below
            return _SESSION.pack(VERSION, Kind.SESSION_CALL, within, session, number, done_below) + request.call
        return _REQUEST.pack(VERSION, Kind.CALL, within) + request.call
    if isinstance(request, Query):
        name = request.name.encode()
        mode = _MODES.index(request.read.mode) + 1
        body = _QUERY.pack(mode, request.read.bound_s, len(name)) + name + encode_value(request.arguments)
        if request.after is None:
            return _REQUEST.pack(VERSION, Kind.QUERY, within) + body
        return b"".join((_REQUEST.pack(VERSION, Kind.POLL, within), _U64.pack(request.after), body))
    if isinstance(request, Open):
        return _REQUEST.pack(VERSION, Kind.OPEN, within) + _PAIR.pack(request.ttl_us, request.nonce)
    if isinstance(request, Close):
        return _REQUEST.pack(VERSION, Kind.CLOSE, within) + _U64.pack(request.session)
    if isinstance(request, AskStatus):
        return _REQUEST.pack(VERSION, Kind.STATUS, within)
    name = request.name.encode()
    head = _REQUEST.pack(VERSION, Kind.ADMIN, within) + bytes((len(name),))
    return b"".join((head, name, encode_value((request.arguments, request.flags))))


def decode_request(data: bytes) -> tuple[float, Request]:
    """How many seconds its caller waits, and the request.

    Raises:
        DecodeError: malformed, or of a version or kind that this node does not know.
    """
    size = len(data)
    if size < _REQUEST.size:
        raise DecodeError(_WHAT, 0, "it ends inside its head")
    version, kind, within_ms = _REQUEST.unpack_from(data)
    if version != VERSION:
        raise DecodeError(_WHAT, 0, f"version {version} is unknown")
    at = _REQUEST.size
    request: Request
    if kind == Kind.CALL:
        request = Call(data[at:])
    elif kind == Kind.SESSION_CALL:
        if size < _SESSION.size:
            raise DecodeError(_WHAT, at, "it ends inside the session")
        session, number, done_below = _TRIPLE.unpack_from(data, at)
        if not 0 < done_below <= number or not session:
            raise DecodeError(_WHAT, at, f"session {session} has no call {number} with those below {done_below} done")
        request = Call(data[_SESSION.size :], session, number, done_below)
    elif kind == Kind.QUERY:
        request = _decode_query(data, at, None)
    elif kind == Kind.POLL and size >= at + _U64.size:
        request = _decode_query(data, at + _U64.size, _U64.unpack_from(data, at)[0])
    elif kind == Kind.OPEN and size == at + _PAIR.size:
        request = Open(*_PAIR.unpack_from(data, at))
    elif kind == Kind.CLOSE and size == at + _U64.size:
        request = Close(_U64.unpack_from(data, at)[0])
    elif kind == Kind.STATUS and size == at:
        request = AskStatus()
    elif kind == Kind.ADMIN and size > at:
        request = _decode_admin(data, at)
    elif kind in (Kind.OPEN, Kind.CLOSE, Kind.STATUS, Kind.ADMIN, Kind.POLL):
        raise DecodeError(_WHAT, at, "it is not of its size")
    else:
        raise DecodeError(_WHAT, 1, f"kind {kind} is unknown")
    return within_ms / 1000, request


def _decode_query(data: bytes, at: int, after: Index | None) -> Query:
    if len(data) < at + _QUERY.size:
        raise DecodeError(_WHAT, at, "it ends inside the query")
    mode, bound_s, size = _QUERY.unpack_from(data, at)
    if not 1 <= mode <= len(_MODES):
        raise DecodeError(_WHAT, at, f"mode {mode} is unknown")
    if not bound_s >= 0:  # a NaN is no bound either
        raise DecodeError(_WHAT, at, f"{bound_s} is no bound")
    name, arguments = _decode_named(data, at + _QUERY.size, size)
    return Query(Read(_MODES[mode - 1], bound_s), name, arguments, after)


def _decode_admin(data: bytes, at: int) -> Admin:
    name, parts = _decode_named(data, at + 1, data[at])
    arguments, flags = parts if len(parts) == 2 else ((), None)
    if type(arguments) is not tuple or type(flags) is not dict:
        raise DecodeError(_WHAT, at, "it does not carry arguments and flags")
    if {type(flag) for flag in flags} - {str} or {type(flag) for flag in flags.values()} - {bool}:
        raise DecodeError(_WHAT, at, "a flag is not a name and a bool")
    return Admin(name, arguments, flags)


def _decode_named(data: bytes, at: int, size: int) -> tuple[str, tuple[object, ...]]:
    """A name of `size` bytes, and arguments behind it."""
    if size > len(data) - at:
        raise DecodeError(_WHAT, at, "the name does not fit")
    try:
        name = data[at : at + size].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(_WHAT, at, "the name is not UTF-8") from error
    arguments: object = decode_raw(data[at + size :])
    if type(arguments) is not tuple:
        raise DecodeError(_WHAT, at + size, "the arguments are no tuple")
    return name, arguments


# --- responses -------------------------------------------------------------------------------------------------


@final
@dataclass(slots=True)
class MemberStatus:
    """A member of a group, as a node knows it. `host` is "" when the node does not know where it is."""

    id: NodeId
    role: str  # "voter", "learner" or "leaving", as in `Member`
    host: str = ""
    port: int = 0


@final
@dataclass(slots=True)
class GroupStatus:
    """A group as one of its nodes knows it, `by` it; 0 is no leader."""

    by: NodeId
    leader: NodeId
    term: Term
    applied: Index
    members: list[MemberStatus]


@final
@dataclass(slots=True)
class Value:
    """A result; of a query with its freshness."""

    value: object
    freshness: Freshness | None = None


@final
@dataclass(slots=True)
class NotLeading:
    """Another node leads: which, and where, as far as it is known."""

    leader: NodeId
    address: Address | None

    def error(self) -> NotLeader:
        """For the caller, when there is nobody else to ask."""
        return NotLeader(self.leader)


Response: TypeAlias = Value | NotLeading | Exception


def encode_result(value: object) -> bytes:
    """A VALUE.

    Raises:
        ValueTypeError: it cannot travel.
        LimitExceeded: it is too large.
    """
    return b"\x01\x01" + encode_value(value)


def encode_read(freshness: Freshness, value: object) -> bytes:
    """A READ.

    Raises:
        ValueTypeError: it cannot travel.
        LimitExceeded: it is too large.
    """
    age = math.nan if freshness.age_s is None else freshness.age_s
    head = _READ.pack(_PROOFS.index(freshness.proof) + 1, freshness.applied, age)
    return b"".join((b"\x01\x02", head, encode_value(value)))


def encode_raised(name: str, error: Exception) -> bytes:
    """A RAISED: an exception that the class registered under `name`.

    Raises:
        ValueTypeError: an argument of it cannot travel.
    """
    return b"\x01\x03" + encode_value((name, error.args))


def encode_refused(error: RaftlyError) -> bytes:
    """A REFUSED, or a NOT_LEADER without an address."""
    if isinstance(error, NotLeader):
        return encode_not_leader(error.leader_id, None)
    code = error.code
    arguments: tuple[object, ...]
    if _ERRORS.get(code) is not type(error):
        code, arguments = RaftlyError.code, (_brief(str(error)),)
    elif isinstance(error, ProposalDropped):
        arguments = (error.reason.name,)
    else:
        arguments = tuple(_brief(argument) for argument in error.args)
    return b"\x01\x04" + encode_value((code, arguments))


def _brief(argument: object) -> object:
    """What an error has to say, but no more than a page of it."""
    return argument if type(argument) is int else str(argument)[:_TEXT_MAX]


def encode_not_leader(leader: NodeId, address: Address | None) -> bytes:
    """A NOT_LEADER."""
    host, port = address or ("", 0)
    return b"".join((b"\x01\x05", _LEADER.pack(leader, port), host.encode()))


def decode_response(data: bytes, errors: Mapping[str, type[Exception]]) -> Response:
    """A response; `errors` are the exceptions that the class registered.

    Raises:
        DecodeError: malformed, or of a version or kind that this client does not know.
    """
    if len(data) < _RESPONSE.size:
        raise DecodeError(_ANSWER, 0, "it ends inside its head")
    version, kind = _RESPONSE.unpack_from(data)
    if version != VERSION:
        raise DecodeError(_ANSWER, 0, f"version {version} is unknown")
    if kind == Answer.VALUE:
        return Value(decode_raw(data[2:]))
    if kind == Answer.READ:
        return _decode_read(data)
    if kind == Answer.RAISED:
        name, arguments = _decode_error(data)
        cls = errors.get(name)
        return build_error(cls, arguments) if cls is not None else RemoteFailed(f"it raised {name}{arguments!r}")
    if kind == Answer.REFUSED:
        return _refusal(*_decode_error(data))
    if kind == Answer.NOT_LEADER:
        return _decode_not_leader(data)
    raise DecodeError(_ANSWER, 1, f"kind {kind} is unknown")


def _decode_read(data: bytes) -> Value:
    at = _RESPONSE.size + _READ.size
    if len(data) < at:
        raise DecodeError(_ANSWER, 2, "it ends inside the freshness")
    proof, applied, age = _READ.unpack_from(data, _RESPONSE.size)
    if not 1 <= proof <= len(_PROOFS):
        raise DecodeError(_ANSWER, 2, f"proof {proof} is unknown")
    freshness = Freshness(_PROOFS[proof - 1], applied, None if math.isnan(age) else age)
    return Value(decode_raw(data[at:]), freshness)


def _decode_error(data: bytes) -> tuple[str, tuple[object, ...]]:
    parts: object = decode_raw(data[2:])
    if type(parts) is not tuple or len(parts) != 2 or type(parts[0]) is not str or type(parts[1]) is not tuple:
        raise DecodeError(_ANSWER, 2, "an error is not a name and its arguments")
    return parts[0], parts[1]


def _decode_not_leader(data: bytes) -> NotLeading:
    at = _RESPONSE.size + _LEADER.size
    if len(data) < at:
        raise DecodeError(_ANSWER, 2, "it ends inside the leader")
    leader, port = _LEADER.unpack_from(data, _RESPONSE.size)
    try:
        host = data[at:].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(_ANSWER, at, "the host is not UTF-8") from error
    return NotLeading(leader, (host, port) if host and port and leader != NO_NODE else None)


def _refusal(code: str, arguments: tuple[object, ...]) -> Exception:
    cls = _ERRORS.get(code)
    if cls is ProposalDropped:
        known = [reason for reason in DropReason if arguments == (reason.name,)]
        return ProposalDropped(known[0]) if known else RemoteFailed(f"it dropped the proposal: {arguments!r}")
    if cls is None:
        return RemoteFailed(", ".join(map(str, arguments)) or code)
    try:
        return cls(*arguments)
    except TypeError:
        return RemoteFailed(f"it answered {code} with {arguments!r}")
