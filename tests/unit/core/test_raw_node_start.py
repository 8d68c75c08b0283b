"""How a node begins: bootstrapped, from a snapshot, or restarted from what it stored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeType, ConfState, decode_conf_change
from raftly.base.types import NO_LIMIT, Entry, EntryType, HardState, Index, NodeId, Snapshot, SnapshotMeta, Term
from raftly.core.memory import MemoryStorage
from raftly.core.messages import MsgHeartbeat
from raftly.core.raw_node import RawNode
from raftly.core.role import Role
from raftly.core.sizes import entries_bytes
from raftly.core.storage import FetchContext
from raftly.errors import ConfChangeError, ConfigError, InvariantError
from tests.support.lone import entries, indexes, propose, take, voter
from tests.support.network import DEFAULTS, Host, host_with, storage_with

# --- bootstrap -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN11")
def test_bootstrap_emits_a_committed_entry_a_peer_and_then_proposals_work() -> None:
    host = host_with(1)
    host.node.bootstrap([(1, b"addr")])
    ready = host.node.ready()
    entry = Entry(1, 1, EntryType.CONF_CHANGE, ConfChange(ConfChangeType.ADD_NODE, 1, b"addr").encode())
    assert ready.entries == ready.committed_entries == [entry]
    assert (ready.hard_state, ready.must_sync) == (HardState(1, 0, 1), True)
    assert ready.messages == []
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.advance()
    host.node.campaign()
    host.run_ready()  # its vote
    host.run_ready()  # its empty entry
    host.node.propose(b"foo")
    ready = host.node.ready()
    assert (ready.hard_state, ready.must_sync) == (HardState(2, 1, 2), True)
    assert (ready.entries, ready.committed_entries) == ([Entry(2, 3, data=b"foo")], [Entry(2, 2)])
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.advance()
    ready = host.node.ready()
    assert (ready.hard_state, ready.must_sync) == (HardState(2, 1, 3), False)
    assert (ready.entries, ready.committed_entries) == ([], [Entry(2, 3, data=b"foo")])
    host.apply(ready.committed_entries)
    host.node.advance()
    assert not host.node.has_ready()


@pytest.mark.behaviour("RN11")
def test_bootstrap_of_several_makes_them_all_voters_at_once() -> None:
    host = host_with(2)
    host.node.bootstrap([(3, b""), (1, b"one"), (2, b"")])
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3))
    ready = host.node.peek_ready()
    assert [decode_conf_change(entry.data).node_id for entry in ready.committed_entries] == [3, 1, 2]
    take(host)
    assert host.conf_state == ConfState((1, 2, 3))
    host.node.campaign()
    assert host.raft.role is Role.CANDIDATE


def test_bootstrap_is_for_new_nodes_with_peers() -> None:
    with pytest.raises(ConfigError) as refused:
        host_with(1).node.bootstrap([])
    assert refused.value.option == "peers"
    with pytest.raises(ConfigError) as refused:
        voter(terms=(1,)).node.bootstrap([(1, b"")])
    assert refused.value.option == "storage"


# --- from a snapshot -------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN12")
def test_a_node_starts_from_a_stored_snapshot_with_membership_and_then_elects_and_commits() -> None:
    storage = storage_with(conf_state=ConfState((1,)), snapshot=(1, 1), term=1, commit=1)
    host = host_with(1, replace(DEFAULTS, applied=1), storage)
    assert not host.node.has_ready()
    assert host.raft.tracker.config.conf_state() == ConfState((1,))
    host.node.campaign()
    host.run_ready()
    host.run_ready()
    host.node.propose(b"foo")
    ready = host.node.ready()
    assert (ready.hard_state, ready.entries) == (HardState(2, 1, 2), [Entry(2, 3, data=b"foo")])
    assert ready.committed_entries == [Entry(2, 2)]
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.advance()
    take(host)
    assert host.payloads() == [b"foo"]
    assert not host.node.has_ready()


# --- restart ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN13")
@pytest.mark.tinykv("TestRawNodeRestart2AC")
@pytest.mark.parametrize("commit", [0, 1, 2])
def test_a_restart_hands_out_stored_entries_up_to_the_commit_and_no_unchanged_hard_state(commit: int) -> None:
    host = voter(voters=(1, 2), terms=(1, 1), term=1, commit=commit)
    assert host.node.has_ready() == (commit > 0)
    ready = host.node.ready()
    assert (ready.hard_state, ready.soft_state, ready.must_sync) == (None, None, False)
    assert (ready.entries, ready.messages, ready.snapshot) == ([], [], None)
    assert indexes(ready.committed_entries) == list(range(1, commit + 1))
    host.node.advance()
    assert not host.node.has_ready()


@pytest.mark.behaviour("RN13")
def test_what_the_application_says_it_applied_is_not_handed_out_again() -> None:
    template = replace(DEFAULTS, applied=2)
    host = voter(voters=(1, 2), template=template, terms=(1, 1, 1), term=1, commit=3)
    assert indexes(host.node.ready().committed_entries) == [3]


@pytest.mark.behaviour("RN14")
@pytest.mark.tinykv("TestRawNodeRestartFromSnapshot2C")
def test_a_restart_above_a_snapshot_hands_out_what_follows_it() -> None:
    storage = storage_with(conf_state=ConfState((1, 2)), snapshot=(2, 1), terms=(1, 1), term=1, commit=3)
    host = host_with(1, DEFAULTS, storage)
    ready = host.node.ready()
    assert (ready.hard_state, ready.snapshot, ready.entries) == (None, None, [])
    assert indexes(ready.committed_entries) == [3]
    assert host.raft.log.applied == 2
    host.node.advance()
    assert not host.node.has_ready()
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2))


def test_a_restarted_node_remembers_its_vote() -> None:
    host = host_with(1, DEFAULTS, storage_with(voters=(1, 2, 3), term=3, vote=2))
    assert (host.raft.term, host.raft.vote, host.raft.role) == (3, 2, Role.FOLLOWER)


@pytest.mark.parametrize("commit", [1, 5])
def test_a_stored_commit_index_outside_the_log_stops_the_node(commit: int) -> None:
    storage = storage_with(conf_state=ConfState((1,)), snapshot=(2, 1), terms=(1, 1), term=1)
    storage.set_hard_state(HardState(1, 0, commit))
    with pytest.raises(InvariantError, match=r"out of range \[2, 4\]"):
        RawNode(DEFAULTS, storage)


def test_an_applied_index_beyond_the_commit_stops_the_node() -> None:
    with pytest.raises(InvariantError, match="applied"):
        RawNode(replace(DEFAULTS, applied=3), storage_with(voters=(1,), terms=(1, 1, 1), term=1, commit=2))


def test_a_stored_membership_that_contradicts_itself_is_refused() -> None:
    storage = MemoryStorage()
    storage.apply_snapshot(Snapshot(SnapshotMeta(0, 0, ConfState((1, 2), (2,)))))
    with pytest.raises(ConfChangeError, match="contradicts"):
        RawNode(DEFAULTS, storage)


# --- a storage that gives more than it was asked for -----------------------------------------------------------


class Generous:
    """A LogReader that ignores the size hint."""

    def __init__(self, inner: MemoryStorage) -> None:
        self.inner = inner

    def initial_state(self) -> tuple[HardState, ConfState]:
        return self.inner.initial_state()

    def entries(self, lo: Index, hi: Index, bytes_max: int, context: FetchContext | None = None) -> list[Entry]:
        return self.inner.entries(lo, hi, NO_LIMIT, context)

    def term(self, index: Index) -> Term:
        return self.inner.term(index)

    def first_index(self) -> Index:
        return self.inner.first_index()

    def last_index(self) -> Index:
        return self.inner.last_index()

    def snapshot(self, at_least: Index, to: NodeId) -> Snapshot:
        return self.inner.snapshot(at_least, to)


def _over_a_generous_storage() -> RawNode:
    """Eleven entries, ten of them committed, which is more than the size hint allows for."""
    storage = storage_with(voters=(1,), term=1, vote=1)
    stored = entries(1, *(1,) * 11, data=b"a")
    storage.append(stored)
    storage.set_hard_state(HardState(1, 1, 10))
    limit = entries_bytes(stored[:10]) - entries_bytes(stored[9:10]) - 1
    return RawNode(replace(DEFAULTS, max_size_per_msg=limit), Generous(storage))


@pytest.mark.behaviour("RN24")
def test_a_storage_that_ignores_the_size_hint_does_not_make_the_commit_index_fall_after_a_restart() -> None:
    node = _over_a_generous_storage()
    ready = node.ready()
    assert ready.hard_state is None or ready.hard_state.commit >= 10
    node.advance()
    assert node.basic_status().hard_state.commit == 10


@pytest.mark.behaviour("RN25")
def test_nor_does_it_make_the_application_skip_an_index() -> None:
    node = _over_a_generous_storage()
    applied: list[int] = []
    while len(applied) < 11:
        ready = node.ready()
        assert ready.committed_entries, applied
        applied += indexes(ready.committed_entries)
        node.advance()
        node.step(MsgHeartbeat(1, 2, 1, 11))  # from no member: it only raises the commit index
    assert applied == list(range(1, 12))


def test_a_proposal_survives_a_restart() -> None:
    host: Host = voter(voters=(1,))
    host.node.campaign()
    take(host)
    propose(host, b"kept")
    host.restart()
    take(host)
    assert host.payloads() == [b"kept"]
