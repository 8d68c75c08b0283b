"""A storage that fails: its own error passes through the core unchanged, from wherever the core reads.

What the core then did is half done; the application stops the group (`LogReader`). Errors of the conversation
(Compacted, Unavailable, SnapshotNotReady, LogNotReady) mean something to the core; in the wrong place they are a bug of
the storage, and an InvariantError.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState, Index, NodeId, Snapshot, Term
from raftly.core.memory import MemoryStorage
from raftly.core.messages import MsgApp, MsgAppResp, MsgHeartbeat, MsgHeartbeatResp, MsgVoteResp
from raftly.core.raw_node import RawNode
from raftly.core.role import Role
from raftly.core.storage import FetchContext
from raftly.errors import (
    Compacted,
    Corruption,
    InvariantError,
    LogNotReady,
    RaftlyError,
    SnapshotNotReady,
    StorageError,
    Unavailable,
)
from tests.support.lone import entries
from tests.support.network import DEFAULTS, storage_with

DAMAGE = Corruption("wal/0001", 4096, "checksum does not match")


class Failing:
    """A LogReader that raises an error from one of its methods, once told to."""

    def __init__(self, inner: MemoryStorage) -> None:
        self.inner = inner
        self.method = ""
        self.error: Exception = DAMAGE
        self.calls: list[str] = []

    def fail(self, method: str, error: Exception = DAMAGE) -> None:
        self.method, self.error = method, error
        self.calls.clear()

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if method == self.method:
            raise self.error

    def initial_state(self) -> tuple[HardState, ConfState]:
        self._called("initial_state")
        return self.inner.initial_state()

    def entries(self, lo: Index, hi: Index, bytes_max: int, context: FetchContext | None = None) -> list[Entry]:
        self._called("entries")
        return self.inner.entries(lo, hi, bytes_max, context)

    def term(self, index: Index) -> Term:
        self._called("term")
        return self.inner.term(index)

    def first_index(self) -> Index:
        self._called("first_index")
        return self.inner.first_index()

    def last_index(self) -> Index:
        self._called("last_index")
        return self.inner.last_index()

    def snapshot(self, at_least: Index, to: NodeId) -> Snapshot:
        self._called("snapshot")
        return self.inner.snapshot(at_least, to)


def failing() -> Failing:
    """Nodes 1 to 3, a snapshot at 2, entries 3 to 6 of terms 1, 1, 2, 2, of which the first is committed."""
    conf_state = ConfState((1, 2, 3))
    return Failing(storage_with(conf_state=conf_state, snapshot=(2, 1), terms=(1, 1, 2, 2), term=2, commit=3))


def node_on(storage: Failing, *, leads: bool = False) -> RawNode:
    """Node 1 over the storage; entry 3 is applied."""
    node = RawNode(replace(DEFAULTS, applied=3), storage)
    if leads:
        node.campaign()
        run(node, storage)
        node.step(MsgVoteResp(1, 2, 3))
        run(node, storage)
        assert node.raft.role is Role.LEADER
        assert node.raft.log.unstable.offset == 8
    return node


def run(node: RawNode, storage: Failing) -> None:
    while node.has_ready():
        ready = node.ready()
        storage.inner.append(ready.entries)
        node.advance()


@pytest.mark.parametrize("method", ["initial_state", "first_index", "last_index", "term"])
def test_a_node_that_cannot_read_its_storage_does_not_start(method: str) -> None:
    storage = failing()
    storage.fail(method)
    with pytest.raises(Corruption) as failed:
        RawNode(DEFAULTS, storage)
    assert failed.value is DAMAGE


LEADING: list[tuple[str, Callable[[RawNode], object]]] = [
    # the call that fails, and what the leader was asked
    ("entries", lambda node: node.step(MsgAppResp(1, 2, 3, 4))),
    ("entries", lambda node: node.step(MsgAppResp(1, 2, 3, 6, reject=True, reject_hint=4, log_term=1))),
    ("entries", lambda node: node.step(MsgHeartbeatResp(1, 2, 3))),
    ("term", lambda node: node.step(MsgAppResp(1, 2, 3, 6, reject=True, reject_hint=4, log_term=1))),
    ("term", lambda node: node.step(MsgAppResp(1, 2, 3, 5))),
    ("snapshot", lambda node: node.step(MsgAppResp(1, 2, 3, 6, reject=True, reject_hint=1, log_term=1))),
]


@pytest.mark.parametrize("method, ask", LEADING, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("error", [DAMAGE, StorageError("lost"), OSError("no such device")], ids=repr)
def test_an_error_under_a_leader_passes_through(
    method: str, ask: Callable[[RawNode], object], error: Exception
) -> None:
    storage = failing()
    node = node_on(storage, leads=True)
    storage.fail(method, error)
    with pytest.raises(type(error)) as failed:
        ask(node)
    assert failed.value is error
    assert storage.calls[-1] == method


FOLLOWING: list[tuple[str, Callable[[RawNode], object]]] = [
    ("entries", lambda node: node.ready()),
    ("entries", lambda node: node.campaign()),  # looks for a configuration change that is not applied
    ("term", lambda node: node.step(MsgApp(1, 2, 2, 2, 5, entries(6, 2), 0))),
]


@pytest.mark.parametrize("method, ask", FOLLOWING, ids=lambda value: value if isinstance(value, str) else "")
def test_an_error_under_a_follower_passes_through(method: str, ask: Callable[[RawNode], object]) -> None:
    storage = failing()
    node = node_on(storage)
    node.step(MsgHeartbeat(1, 2, 2, 4))  # commits entry 4
    storage.fail(method)
    with pytest.raises(Corruption) as failed:
        ask(node)
    assert failed.value is DAMAGE


# --- errors of the conversation --------------------------------------------------------------------------------


def test_entries_compacted_between_two_calls_bring_a_snapshot() -> None:
    storage = failing()
    node = node_on(storage, leads=True)
    node.step(MsgHeartbeatResp(1, 2, 3))
    storage.fail("entries", Compacted())
    node.step(MsgAppResp(1, 2, 3, 5))
    assert [message.type.name for message in node.raft.messages if message.to == 2][-1] == "MsgSnap"


@pytest.mark.parametrize("error", [SnapshotNotReady(), LogNotReady()], ids=repr)
def test_not_ready_is_an_answer_where_it_is_allowed(error: RaftlyError) -> None:
    storage = failing()
    node = node_on(storage, leads=True)
    if isinstance(error, SnapshotNotReady):
        storage.fail("snapshot", error)
        node.step(MsgAppResp(1, 2, 3, 6, reject=True, reject_hint=1, log_term=1))
    else:
        storage.fail("entries", error)
        node.step(MsgAppResp(1, 2, 3, 4))
    assert node.raft.messages == []


@pytest.mark.parametrize("error", [Compacted(), Unavailable(), LogNotReady()], ids=repr)
def test_committed_entries_that_the_storage_says_it_lacks_stop_the_node(error: RaftlyError) -> None:
    storage = failing()
    node = node_on(storage)
    node.step(MsgHeartbeat(1, 2, 2, 5))
    storage.fail("entries", error)
    with pytest.raises(InvariantError):
        node.ready()


def test_entries_to_send_that_the_storage_says_it_never_had_stop_the_node() -> None:
    storage = failing()
    node = node_on(storage, leads=True)
    storage.fail("entries", Unavailable())
    with pytest.raises(InvariantError, match="unavailable from storage"):
        node.step(MsgAppResp(1, 2, 3, 4))
