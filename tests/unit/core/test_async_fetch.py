"""Entries that the storage must fetch first (raft-rs): the append goes out once the application says they are there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.core.messages import MsgApp, MsgHeartbeat, MsgHeartbeatResp
from raftly.core.role import Role
from raftly.core.sizes import entries_bytes
from raftly.core.storage import FetchContext
from tests.support.lone import acked, entries, indexes, lead, leader, peer, propose, receive, sent, take
from tests.support.network import DEFAULTS, Host, cluster


def waiting_leader() -> tuple[Host, FetchContext]:
    """Node 1 leads; 2 lacks everything durable, and the storage has just been asked for it."""
    host = leader(followed_by=(3,))
    for _ in range(3):
        propose(host)
    host.storage.set_log_not_ready(True)
    messages = receive(host, acked(host, 3), acked(host, 2, 1))
    assert not [append for append in sent(messages, MsgApp, to=2) if append.entries]
    contexts = host.storage.take_fetches()
    assert {(context.to, context.term) for context in contexts} == {(2, 1)}
    host.storage.set_log_not_ready(False)
    return host, contexts[0]


@pytest.mark.behaviour("X50")
def test_the_append_goes_out_when_the_entries_are_there() -> None:
    host, context = waiting_leader()
    host.node.on_entries_fetched(context)
    (append,) = sent(take(host), MsgApp)
    assert (append.to, append.index, indexes(append.entries)) == (2, 1, [2, 3, 4])
    assert peer(host, 2).next == 5
    host.node.on_entries_fetched(context)  # once more says nothing new
    assert take(host) == []


@pytest.mark.behaviour("X50")
def test_the_storage_may_ask_for_patience_again() -> None:
    host, context = waiting_leader()
    host.storage.set_log_not_ready(True)
    host.node.on_entries_fetched(context)
    assert take(host) == []
    (again,) = host.storage.take_fetches()
    host.storage.set_log_not_ready(False)
    host.node.on_entries_fetched(again)
    assert sent(take(host), MsgApp)


@pytest.mark.behaviour("X50")
def test_a_long_log_follows_in_several_appends() -> None:
    limit = entries_bytes(entries(2, 1, data=b"x"))
    host = leader(template=replace(DEFAULTS, max_size_per_msg=limit), followed_by=(3,))
    for _ in range(3):
        propose(host)
    host.storage.set_log_not_ready(True)
    receive(host, acked(host, 3), acked(host, 2, 1))
    context = host.storage.take_fetches()[0]
    host.storage.set_log_not_ready(False)
    host.node.on_entries_fetched(context)
    assert [indexes(append.entries) for append in sent(take(host), MsgApp)] == [[2], [3], [4]]


@pytest.mark.behaviour("X50")
def test_what_is_not_durable_needs_no_fetch() -> None:
    host = leader(followed_by=(2, 3))
    host.storage.set_log_not_ready(True)
    host.node.propose(b"x")
    assert {append.to for append in sent(take(host), MsgApp) if append.entries} == {2, 3}
    assert host.storage.take_fetches() == []


@pytest.mark.behaviour("X50")
def test_a_cluster_catches_up_through_fetches() -> None:
    network = cluster(3)
    network.campaign(1)
    network.isolate(3)
    for at in range(5):
        network.propose(1, b"%d" % at)
    network.recover()
    host = network.host(1)
    host.storage.set_log_not_ready(True)
    network.tick(2 * DEFAULTS.heartbeat_tick, only=(1,))
    assert network.host(3).payloads() == []
    contexts = host.storage.take_fetches()
    assert {context.to for context in contexts} == {3}
    host.storage.set_log_not_ready(False)
    for context in contexts:
        host.node.on_entries_fetched(context)
    network.stabilise()
    assert network.host(3).payloads() == network.host(1).payloads()


@pytest.mark.behaviour("X51")
def test_nothing_is_sent_to_a_peer_that_was_removed_meanwhile() -> None:
    host, context = waiting_leader()
    host.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    take(host)
    host.node.on_entries_fetched(context)
    assert take(host) == []


@pytest.mark.behaviour("X52")
def test_nothing_is_sent_when_leadership_was_lost_meanwhile() -> None:
    host, context = waiting_leader()
    receive(host, MsgHeartbeat(1, 3, 2))
    host.node.on_entries_fetched(context)
    assert take(host) == []

    # Not even in the same term.
    host, context = waiting_leader()
    host.node.set_check_quorum(True)
    for _ in range(2 * DEFAULTS.election_tick):
        host.node.tick()
    assert (host.raft.role, host.raft.term) == (Role.FOLLOWER, context.term)
    take(host)
    peer(host, 2).become_replicate()  # as if there were something to send
    host.node.on_entries_fetched(context)
    assert take(host) == []


@pytest.mark.behaviour("X53")
def test_nothing_is_sent_for_a_fetch_of_an_earlier_leadership() -> None:
    host, context = waiting_leader()
    receive(host, MsgHeartbeat(1, 3, 2))
    lead(host)
    assert (host.raft.role, host.raft.term) == (Role.LEADER, 3)
    receive(host, acked(host, 3), MsgHeartbeatResp(1, 2, 3))
    peer(host, 2).become_replicate()  # streamed to again, with everything still to send
    host.node.on_entries_fetched(context)
    assert take(host) == []
    host.node.on_entries_fetched(FetchContext(2, 3))  # one of this leadership would be answered
    assert sent(take(host), MsgApp, to=2)
