"""One node driven by hand: the test is every other member of its group.

host = leader()                                   node 1 of three, elected, its empty entry in its own log only
messages = receive(host, acked(host, 2))          node 2 holds all of it
appends = sent(messages, MsgApp, to=3)
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from raftly.base.types import Entry
from raftly.core.messages import Message, MsgAppResp, MsgPreVoteResp, MsgVoteResp
from raftly.core.raft import Raft
from raftly.core.role import Role
from raftly.core.tracker import Progress
from tests.support.network import DEFAULTS, Host, host_with, storage_with

if TYPE_CHECKING:
    from raftly.core.config import Config

M = TypeVar("M", bound=Message)


def voter(
    id_: int = 1,
    *,
    voters: Sequence[int] = (1, 2, 3),
    template: Config = DEFAULTS,
    terms: Sequence[int] = (),
    term: int = 0,
    commit: int = 0,
) -> Host:
    """A member of a group, at rest."""
    return host_with(id_, template, storage_with(voters=voters, terms=terms, term=term, commit=commit))


def take(host: Host) -> list[Message]:
    """Let the node do all there is to do (synchronous style); the messages that leave it, in order."""
    leaving: list[Message] = []
    while host.node.has_ready():
        leaving += host.run_ready()
    return leaving


def receive(host: Host, *messages: Message) -> list[Message]:
    """Step messages, then `take`."""
    for message in messages:
        host.node.step(message)
    return take(host)


def lead(host: Host) -> list[Message]:
    """Make the node leader by the votes of all others; what it sends as leader."""
    raft = host.raft
    host.node.campaign()
    take(host)
    others = [id_ for id_ in raft.tracker.config.voters.ids() if id_ != raft.id]
    leaving: list[Message] = []
    while raft.role is not Role.LEADER:
        pre = raft.role is Role.PRE_CANDIDATE
        term, answer = (raft.term + 1, MsgPreVoteResp) if pre else (raft.term, MsgVoteResp)
        before = raft.role
        for id_ in others:
            if raft.role is before:
                leaving += receive(host, answer(raft.id, id_, term))
        assert raft.role is not before, "the votes of all others elect nobody"
    return leaving


def leader(
    *,
    voters: Sequence[int] = (1, 2, 3),
    template: Config = DEFAULTS,
    terms: Sequence[int] = (),
    followed_by: Sequence[int] = (),
) -> Host:
    """Node 1 as leader; `followed_by` hold its whole log and are streamed to."""
    host = voter(voters=voters, template=template, terms=terms)
    lead(host)
    for id_ in followed_by:
        receive(host, acked(host, id_))
    return host


def acked(host: Host, from_: int, index: int | None = None) -> MsgAppResp:
    """Node `from_` holds the log up to `index`, by default all of it."""
    raft = host.raft
    return MsgAppResp(raft.id, from_, raft.term, raft.log.last_index if index is None else index)


def propose(host: Host, data: bytes = b"x") -> list[Message]:
    """Propose, then `take`."""
    host.node.propose(data)
    return take(host)


def peer(host: Host, id_: int) -> Progress:
    """What the node knows of another."""
    return host.raft.tracker.progress[id_]


def sent(messages: Iterable[Message], kind: type[M], to: int = 0) -> list[M]:
    """The messages of one class, perhaps only those to one node."""
    return [message for message in messages if isinstance(message, kind) and to in (0, message.to)]


def entries(first: int, *terms: int, data: bytes = b"") -> list[Entry]:
    """Entries of these terms from index `first` on."""
    return [Entry(term, first + at, data=data) for at, term in enumerate(terms)]


def indexes(entries_: Iterable[Entry]) -> list[int]:
    return [entry.index for entry in entries_]


def terms_of(entries_: Iterable[Entry]) -> list[int]:
    return [entry.term for entry in entries_]


# --- everything a node remembers -------------------------------------------------------------------------------

_SKIPPED = {"config", "reader", "trace"}  # never change, or are not the node's


def state_of(raft: Raft) -> Any:
    """All that a node remembers, down to the last field, as a value that can be compared with a later one."""
    return _freeze(raft)


def _freeze(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | bytes | str | enum.Enum):
        return value
    if isinstance(value, list | tuple | deque):
        return tuple(_freeze(item) for item in value)
    if isinstance(value, dict):
        return tuple((repr(key), _freeze(item)) for key, item in sorted(value.items(), key=lambda item: repr(item[0])))
    if callable(value):
        return value
    fields = {}
    for name in dir(value):
        if not name.startswith("__") and name not in _SKIPPED:
            field = getattr(value, name)
            if not callable(field):
                fields[name] = _freeze(field)
    return type(value).__name__, tuple(sorted(fields.items()))
