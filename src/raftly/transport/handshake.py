"""Who speaks to whom: the first frame each way on every connection, and whether it is taken. Decides only.

Little-endian, bodies of frames (`raftly.transport.frame`); bytes behind these are for later versions, and skipped:

    HELLO, from the dialer            WELCOME, the answer                 REFUSAL, the other answer
     0  u16  version, lowest           0  u16  version chosen              0  u8   reason
     2  u16  version, highest          2  u64  cluster id                  1  u64  cluster id
     4  u8   purpose                  10  u64  node id, answerer's         9  u64  node id, answerer's
     5  u64  cluster id               18  u64  node id, dialer's          17  text, UTF-8, at most 400 bytes
    13  u64  node id, own             26  u64  incarnation, answerer's
    21  u64  node id, expected        34  u64  features of both
    29  u64  incarnation
    37  u64  features offered
    45  u64  features required       42  u64  origin
    53  u64  origin                  50  u64  directory
    61  u64  directory
    69  u16  port, 0: not told
    71  u8   size, then the host: UTF-8

An incarnation is a number drawn by each process: it tells a node that restarted from a second node with its id. An
origin is a digest of the group's first members, 0 where it is not known yet: two groups that were founded under one
cluster id do not talk. A directory is a number drawn when a data directory was begun, or 0: a node that comes back
with another one has lost what it promised. Host and port are where the dialer can be dialed, as it says: an answerer
that knows no other address answers there for as long as the dialer is connected.

A client (purpose 3) is no node: its id is 0, and it may expect 0, whoever is at the address; the welcome tells who is.
A refusal may also come later on its connection, as the last frame: why it is closed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag
from typing import Final, final

from raftly.base.types import NO_NODE, NodeId
from raftly.errors import DecodeError, PeerRefused
from raftly.transport.frame import FRAME_HELLO, FRAME_REFUSAL, FRAME_WELCOME, encode_frame
from raftly.transport.options import Address

VERSION: Final = 1  # of everything that follows the handshake; raised when a change is not a feature
VERSION_MIN: Final = 1
HANDSHAKE_BYTES_MAX: Final = 1024  # body of a handshake frame
TEXT_BYTES_MAX: Final = 400

_HELLO: Final = struct.Struct("<HHBQQQQQQ")
_WELCOME: Final = struct.Struct("<HQQQQQ")
_TAIL: Final = struct.Struct("<QQ")  # origin and directory: left out when both are 0, as an older version does
_PLACE: Final = struct.Struct("<HB")  # port, and size of the host that follows
_HOST_BYTES_MAX: Final = 255
_REFUSAL: Final = struct.Struct("<BQQ")


class Purpose(IntEnum):
    """What a connection is for."""

    MESSAGES = 1  # from the dialer to the answerer, never back
    SNAPSHOT = 2  # one snapshot, from the dialer to the answerer
    CLIENT = 3  # requests from the dialer, which is no node, and responses to it


class Feature(IntFlag):
    """What a node can do beyond its version. Used between two when both have it."""

    RESUME = 1  # a snapshot may go on where an earlier connection broke


FEATURES: Final = int(Feature.RESUME)  # an int: `~` of an IntFlag keeps to the flags it knows


class Reason(IntEnum):
    """Why a node is refused."""

    VERSION = 1
    CLUSTER = 2  # it belongs to another cluster
    WRONG_NODE = 3  # this is not the node it looks for
    DUPLICATE = 4  # a node with its id is connected, and alive
    SELF = 5  # a node dialed itself
    FEATURES = 6  # one lacks what the other requires
    CERTIFICATE = 7  # its certificate is not that of the node it says it is
    BUSY = 8  # too many clients are connected
    NO_SERVICE = 9  # clients are not served here, or not yet
    BROKEN = 10  # the caller broke the protocol: garbage, or a frame over the limit
    SILENT = 11  # the caller was silent, or read too slowly, for too long
    STOPPING = 12  # this node stops
    REMOVED = 13  # the caller was a member of the group, and is none any more
    ORIGIN = 14  # the cluster id is the same, but the group began with other members
    DIRECTORY = 15  # the caller came with another data directory before


@final
@dataclass(frozen=True, slots=True)
class Identity:
    """Who a node is. `features` it offers; of these a peer must have those in `required`."""

    cluster_id: int
    node_id: NodeId
    incarnation: int
    features: int = FEATURES
    required: int = 0
    origin: int = 0
    directory: int = 0
    address: Address | None = None  # where it can be dialed


@final
@dataclass(frozen=True, slots=True)
class Hello:
    """What a dialer says."""

    version_lo: int
    version_hi: int
    purpose: int
    cluster_id: int
    node_id: NodeId
    expected: NodeId
    incarnation: int
    features: int
    required: int
    origin: int = 0
    directory: int = 0
    address: Address | None = None

    def encode(self) -> bytes:
        """The whole frame."""
        body = _HELLO.pack(
            self.version_lo,
            self.version_hi,
            self.purpose,
            self.cluster_id,
            self.node_id,
            self.expected,
            self.incarnation,
            self.features,
            self.required,
        )
        if self.address is None:
            return encode_frame(FRAME_HELLO, body + _encode_tail(self.origin, self.directory))
        host = self.address[0].encode()
        place = _PLACE.pack(self.address[1], len(host)) + host if len(host) <= _HOST_BYTES_MAX else b""
        return encode_frame(FRAME_HELLO, body + _TAIL.pack(self.origin, self.directory) + place)


@final
@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to a dialer that is taken. `features` are those of both."""

    version: int
    cluster_id: int
    node_id: NodeId
    to: NodeId
    incarnation: int
    features: int
    origin: int = 0
    directory: int = 0

    def encode(self) -> bytes:
        """The whole frame."""
        body = _WELCOME.pack(self.version, self.cluster_id, self.node_id, self.to, self.incarnation, self.features)
        return encode_frame(FRAME_WELCOME, body + _encode_tail(self.origin, self.directory))


@final
@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to one that is not. `reason` is a Reason, or a later version's number."""

    reason: int
    cluster_id: int
    node_id: NodeId
    text: str

    def encode(self) -> bytes:
        """The whole frame."""
        text = self.text.encode()[:TEXT_BYTES_MAX]
        return encode_frame(FRAME_REFUSAL, _REFUSAL.pack(self.reason, self.cluster_id, self.node_id) + text)

    def error(self, peer: NodeId) -> PeerRefused:
        """As an error about `peer`."""
        known = self.reason in Reason.__members__.values()
        return PeerRefused(peer, Reason(self.reason).name if known else str(self.reason), self.text)


def _encode_tail(origin: int, directory: int) -> bytes:
    return _TAIL.pack(origin, directory) if origin or directory else b""


def _decode_tail(body: bytes, at: int) -> tuple[int, int]:
    if len(body) < at + _TAIL.size:
        return 0, 0
    origin, directory = _TAIL.unpack_from(body, at)
    return origin, directory


def _decode_place(body: bytes, at: int) -> Address | None:
    """Where the dialer can be dialed; None: not told, or nothing that could be dialed."""
    if len(body) < at + _PLACE.size:
        return None
    port, size = _PLACE.unpack_from(body, at)
    host = body[at + _PLACE.size : at + _PLACE.size + size]
    if not port or not size or len(host) < size:
        return None
    text = printable(host)
    return (text, port) if text.encode() == host else None


def decode_hello(body: bytes) -> Hello:
    """The body of a HELLO.

    Raises:
        DecodeError: it is too short.
    """
    if len(body) < _HELLO.size:
        raise DecodeError("hello", len(body), "it is too short")
    origin, directory = _decode_tail(body, _HELLO.size)
    address = _decode_place(body, _HELLO.size + _TAIL.size)
    return replace(Hello(*_HELLO.unpack_from(body)), origin=origin, directory=directory, address=address)


def decode_welcome(body: bytes) -> Welcome:
    """The body of a WELCOME.

    Raises:
        DecodeError: it is too short.
    """
    if len(body) < _WELCOME.size:
        raise DecodeError("welcome", len(body), "it is too short")
    origin, directory = _decode_tail(body, _WELCOME.size)
    return replace(Welcome(*_WELCOME.unpack_from(body)), origin=origin, directory=directory)


def decode_refusal(body: bytes) -> Refusal:
    """The body of a REFUSAL; of its text only what can be printed.

    Raises:
        DecodeError: it is too short.
    """
    if len(body) < _REFUSAL.size:
        raise DecodeError("refusal", len(body), "it is too short")
    reason, cluster_id, node_id = _REFUSAL.unpack_from(body)
    return Refusal(reason, cluster_id, node_id, printable(body[_REFUSAL.size :][:TEXT_BYTES_MAX]))


def printable(text: bytes) -> str:
    """Text from a peer, made harmless for a log: no line breaks, no escape codes."""
    return "".join(char if char.isprintable() else "?" for char in text.decode("utf-8", "replace"))


def make_hello(local: Identity, expected: NodeId, purpose: Purpose) -> Hello:
    """What to say to the node at an address that should be `expected`'s."""
    return Hello(
        VERSION_MIN,
        VERSION,
        purpose,
        local.cluster_id,
        local.node_id,
        expected,
        local.incarnation,
        local.features,
        local.required,
        local.origin,
        local.directory,
        local.address,
    )


def judge_hello(local: Identity, hello: Hello) -> Welcome | Refusal:
    """The answer to a hello, as far as it depends on nothing but the two."""
    refused = _find_problem(local, hello)
    if refused is not None:
        return Refusal(refused[0], local.cluster_id, local.node_id, refused[1])
    return Welcome(
        min(VERSION, hello.version_hi),
        local.cluster_id,
        local.node_id,
        hello.node_id,
        local.incarnation,
        local.features & hello.features,
        local.origin,
        local.directory,
    )


def _find_problem(local: Identity, hello: Hello) -> tuple[Reason, str] | None:
    here = f"node {local.node_id} of cluster {local.cluster_id}"
    if hello.version_hi < VERSION_MIN or hello.version_lo > VERSION:
        spoken = f"{hello.version_lo} to {hello.version_hi}"
        return Reason.VERSION, f"{here} speaks versions {VERSION_MIN} to {VERSION}, the caller {spoken}"
    if hello.purpose not in Purpose.__members__.values():
        return Reason.VERSION, f"{here} does not know connections for purpose {hello.purpose}"
    if hello.cluster_id != local.cluster_id:
        return Reason.CLUSTER, f"this is {here}; the caller belongs to cluster {hello.cluster_id}: check its addresses"
    if hello.purpose == Purpose.CLIENT:
        return _find_client_problem(local, hello, here)
    if hello.node_id == local.node_id and hello.incarnation == local.incarnation:
        return Reason.SELF, f"node {local.node_id} dialed itself; another node's address points here"
    if hello.expected != local.node_id:
        return Reason.WRONG_NODE, f"this is {here}, not node {hello.expected}: correct the address of that node"
    if hello.node_id in {local.node_id, NO_NODE}:
        return (
            Reason.DUPLICATE,
            f"this is {here}: no other may use id {hello.node_id}, so give the caller one of its own",
        )
    if hello.origin and local.origin and hello.origin != local.origin:
        return Reason.ORIGIN, (
            f"this is {here}; the caller was started as a first member of another group: of two groups with one "
            "cluster id, start one anew, or the node alone, with an empty directory and as one that joins"
        )
    return _find_missing(hello.required & ~local.features | local.required & ~hello.features, here)


def _find_client_problem(local: Identity, hello: Hello, here: str) -> tuple[Reason, str] | None:
    if hello.node_id != NO_NODE:
        return Reason.DUPLICATE, f"this is {here}: a client is no node, and must not call itself node {hello.node_id}"
    if hello.expected not in {local.node_id, NO_NODE}:
        return Reason.WRONG_NODE, f"this is {here}, not node {hello.expected}"
    return _find_missing(hello.required & ~local.features, here)  # what nodes require of each other is not asked of it


def _find_missing(missing: int, here: str) -> tuple[Reason, str] | None:
    if missing:
        return Reason.FEATURES, f"{here} and the caller do not both have the required features {missing:#x}"
    return None


def check_welcome(local: Identity, expected: NodeId, welcome: Welcome) -> None:
    """Is this the node that was dialed (any, if `expected` is NO_NODE), and can it do what is needed?

    Raises:
        PeerRefused: it is not, or cannot.
    """
    if not VERSION_MIN <= welcome.version <= VERSION:
        raise PeerRefused(expected, Reason.VERSION.name, f"it chose version {welcome.version}, which was not offered")
    if welcome.cluster_id != local.cluster_id:
        raise PeerRefused(expected, Reason.CLUSTER.name, f"the address leads to a node of cluster {welcome.cluster_id}")
    if expected not in {welcome.node_id, NO_NODE} or welcome.to != local.node_id:
        problem = f"the address leads to node {welcome.node_id}, which takes us for node {welcome.to}"
        raise PeerRefused(expected, Reason.WRONG_NODE.name, problem)
    if welcome.origin and local.origin and welcome.origin != local.origin:
        raise PeerRefused(expected, Reason.ORIGIN.name, "the address leads to a node of a group that began otherwise")
    if local.required & ~welcome.features or welcome.features & ~local.features:
        problem = f"it agreed on features {welcome.features:#x}; {local.required:#x} are required"
        raise PeerRefused(expected, Reason.FEATURES.name, problem)
