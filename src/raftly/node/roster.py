"""Roster: the members and where they are, as of the applied index; a function of the entries alone, as all state is.

The context of a configuration entry carries the addresses that it brings. Little-endian:

     0  u8   version, 1
     1  u16  count, then for each, ascending by id:
             u64 node id, u16 port, u8 bytes of the host, host in UTF-8

An empty context brings none. A version that is not known stops the replica, as any entry of a later raftly does; other
bytes that do not decode bring none, on every replica alike.

An address is entered at the index of its entry. A node that is no member any more, once a joint configuration is left,
keeps its id and has the address `GONE` for ever: ids are never used again, so whoever comes back with one can be told.

Source: etcd (server/etcdserver/api/membership): ids are not reused, addresses live in the context of the change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from struct import Struct
from typing import Final, Protocol, final

from raftly.base.membership import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    decode_conf_change,
    decode_conf_change_v2,
)
from raftly.base.types import NO_NODE, Entry, EntryType, Index, NodeId
from raftly.core.confchange import Changer, restore
from raftly.core.storage import LogReader
from raftly.core.tracker import ProgressTracker
from raftly.errors import ConfChangeError, ConfigError, DecodeError
from raftly.node.errors import MachineFailed
from raftly.transport.options import Address

GONE: Final[Address] = ("", 0)
CONTEXT_VERSION: Final = 1
HOST_BYTES_MAX: Final = 255
_PAGE_BYTES: Final = 1 << 20
_HEAD: Final = Struct("<BH")
_ENTRY: Final = Struct("<QHB")


def check_address(address: Address) -> Address:
    """An address that can be replicated.

    Raises:
        ConfigError: no host, too long a one, or not a port.
    """
    host, port = address
    if not 0 < len(host.encode()) <= HOST_BYTES_MAX:
        raise ConfigError("address", f"has a host of {len(host.encode())} bytes, it must be of 1 to {HOST_BYTES_MAX}")
    if not 0 < port < 1 << 16:
        raise ConfigError("address", f"has port {port}, it must be in [1, 65535]")
    return host, port


def encode_addresses(addresses: Mapping[NodeId, Address]) -> bytes:
    """The context that brings these addresses; nothing for none."""
    if not addresses:
        return b""
    out = [_HEAD.pack(CONTEXT_VERSION, len(addresses))]
    for id_, (host, port) in sorted(addresses.items()):
        encoded = host.encode()
        out += [_ENTRY.pack(id_, port, len(encoded)), encoded]
    return b"".join(out)


def decode_addresses(context: bytes) -> dict[NodeId, Address]:
    """The addresses that a context brings; bytes behind them are for later raftly, and skipped.

    Raises:
        MachineFailed: of a version that this raftly does not know.
        DecodeError: malformed.
    """
    if not context:
        return {}
    what = "addresses of members"
    if context[0] != CONTEXT_VERSION:
        raise MachineFailed(f"a change of members is of version {context[0]}, which this raftly does not know")
    if len(context) < _HEAD.size:
        raise DecodeError(what, 0, "the bytes end inside the head")
    addresses: dict[NodeId, Address] = {}
    at = _HEAD.size
    for _ in range(_HEAD.unpack_from(context)[1]):
        if len(context) - at < _ENTRY.size:
            raise DecodeError(what, at, "the bytes end inside an address")
        id_, port, size = _ENTRY.unpack_from(context, at)
        at += _ENTRY.size
        host = context[at : at + size]
        if len(host) < size or size == 0 or port == 0 or id_ == NO_NODE:
            raise DecodeError(what, at, "this is no address")
        try:
            addresses[id_] = (host.decode(), port)
        except UnicodeDecodeError as error:
            raise DecodeError(what, at, "the host is not text") from error
        at += size
    return addresses


def change_of(entry: Entry) -> ConfChangeV2:
    """The change that a configuration entry carries.

    Raises:
        DecodeError: malformed; the core refuses to append such an entry.
    """
    change = (
        decode_conf_change(entry.data) if entry.type == EntryType.CONF_CHANGE else decode_conf_change_v2(entry.data)
    )
    return change.as_v2()


def ids_of(conf: ConfState) -> list[NodeId]:
    """Everybody who takes part, ascending."""
    return sorted({*conf.voters, *conf.learners, *conf.voters_outgoing, *conf.learners_next})


def advance(conf: ConfState, change: ConfChangeV2) -> ConfState:
    """The configuration behind a change.

    Raises:
        ConfChangeError: the change does not fit.
    """
    tracker = ProgressTracker(1)
    tracker.switch(*restore(1, 0, conf, 0))
    return Changer(tracker, 0).change(change)[0].conf_state()


def founding_entries(members: tuple[NodeId, ...]) -> list[Entry]:
    """What the log of a new group begins with, the same on each of its first members: they are added, one by one.

    Whoever joins later, and is sent the log from its beginning, so learns of them. Source: etcd-io/raft bootstrap.go.
    """
    return [
        Entry(1, position, EntryType.CONF_CHANGE, ConfChange(ConfChangeType.ADD_NODE, id_).encode())
        for position, id_ in enumerate(sorted(members), 1)
    ]


def update_change(id_: NodeId, addresses: Mapping[NodeId, Address]) -> ConfChangeV2:
    """A change that changes no member, only addresses."""
    return ConfChangeV2((ConfChangeSingle(ConfChangeType.UPDATE_NODE, id_),), context=encode_addresses(addresses))


class HasMembers(Protocol):
    """The replicated state: `members` is part of its snapshot."""

    members: dict[NodeId, Address]


@final
class Roster:
    """See the module. The addresses are kept in `state`, so that they are in its snapshots."""

    __slots__ = ("conf", "state")

    def __init__(self, state: HasMembers, conf: ConfState) -> None:
        self.state = state
        self.conf = conf

    def apply(self, change: ConfChangeV2, conf: ConfState) -> None:
        """A change was applied, and `conf` is what it led to.

        Raises:
            MachineFailed: its context is of a later version.
        """
        try:
            brought = decode_addresses(change.context)
        except DecodeError:
            brought = {}
        before, self.conf = self.conf, conf
        present = ids_of(conf)
        members = self.state.members
        members.update({id_: address for id_, address in brought.items() if id_ in present})
        members.update({id_: GONE for id_ in ids_of(before) if id_ not in present})

    def is_gone(self, id_: NodeId) -> bool:
        """Was it a member, and is no more?"""
        return self.state.members.get(id_) == GONE

    def replay(self, log: LogReader, lo: Index, hi: Index) -> None:
        """Apply the changes among the entries [lo, hi), which are known to be committed.

        Raises:
            StorageError: the log could not be read.
        """
        for entry in changes_in(log, lo, hi):
            change = change_of(entry)
            with suppress(ConfChangeError):  # it did not fit when it was applied, and changed nothing
                self.apply(change, advance(self.conf, change))

    def copy(self) -> Roster:
        """One to try something on."""
        return Roster(_Copied(dict(self.state.members)), self.conf)


@final
class _Copied:
    __slots__ = ("members",)

    def __init__(self, members: dict[NodeId, Address]) -> None:
        self.members = members


def changes_in(log: LogReader, lo: Index, hi: Index) -> Iterator[Entry]:
    """The configuration entries in [lo, hi), read a page at a time."""
    while lo < hi:
        page = log.entries(lo, hi, _PAGE_BYTES)
        yield from (entry for entry in page if entry.type != EntryType.NORMAL)
        lo += len(page)
