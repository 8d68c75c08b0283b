"""The window of a peer in use (raft-rs): freed by heartbeat answers, resized, switched off, its memory given back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.core.messages import MsgApp, MsgHeartbeatResp
from tests.support.lone import acked, indexes, leader, peer, propose, receive, sent, take
from tests.support.network import DEFAULTS, Host, cluster

FREEING = replace(DEFAULTS, max_inflight_msgs=3, free_inflight_on_heartbeat=True)


def beat(from_: int = 2) -> MsgHeartbeatResp:
    return MsgHeartbeatResp(1, from_, 1)


def full(host: Host, waiting: int = 0) -> None:
    """Fill the window of 2, and add entries that have to wait."""
    while not peer(host, 2).inflights.full():
        assert sent(propose(host), MsgApp, to=2)
    for _ in range(waiting):
        assert not sent(propose(host), MsgApp, to=2)


@pytest.mark.behaviour("X80")
def test_a_heartbeat_answer_frees_one_slot_of_a_full_window() -> None:
    host = leader(template=FREEING, followed_by=(2,))
    full(host)
    for _ in range(3):
        receive(host, beat())
        assert peer(host, 2).inflights.count() == 2
        receive(host, beat())  # not full any more: nothing is freed
        assert peer(host, 2).inflights.count() == 2
        full(host, waiting=2)
        # What waits goes out in the freed slot, and then the window is full again.
        (append,) = sent(receive(host, beat()), MsgApp, to=2)
        assert len(append.entries) == 2
        assert peer(host, 2).inflights.full()


@pytest.mark.behaviour("X80")
def test_by_default_an_empty_append_goes_instead() -> None:
    host = leader(template=replace(FREEING, free_inflight_on_heartbeat=False), followed_by=(2,))
    full(host, waiting=1)
    (append,) = sent(receive(host, beat()), MsgApp, to=2)
    assert append.entries == []
    assert peer(host, 2).inflights.count() == 3


@pytest.mark.behaviour("X81")
def test_a_window_is_resized_while_it_is_in_use() -> None:
    host = leader(template=FREEING, followed_by=(2, 3))
    full(host, waiting=1)
    host.node.adjust_max_inflight_msgs(2, 5)
    (append,) = sent(receive(host, beat()), MsgApp, to=2)
    assert indexes(append.entries) == [host.raft.log.last_index]
    assert peer(host, 2).inflights.count() == 4
    full(host)
    assert peer(host, 2).inflights.count() == 5

    host.node.adjust_max_inflight_msgs(2, 1)
    assert peer(host, 2).inflights.full()
    receive(host, acked(host, 2))
    assert peer(host, 2).inflights.size == 1
    full(host)
    assert peer(host, 2).inflights.count() == 1
    assert peer(host, 3).inflights.size == 3
    host.node.adjust_max_inflight_msgs(9, 1)  # unknown nodes are passed over


@pytest.mark.behaviour("X82")
@pytest.mark.parametrize("freeing", [False, True])
def test_size_zero_switches_a_peer_off_until_it_is_raised_and_heard(freeing: bool) -> None:
    template = replace(DEFAULTS, free_inflight_on_heartbeat=freeing)
    host = leader(template=template, followed_by=(2,))
    host.node.adjust_max_inflight_msgs(2, 0)
    for _ in range(2):
        assert not sent(propose(host), MsgApp, to=2)
        assert not sent(receive(host, beat()), MsgApp, to=2)
        assert not sent(receive(host, acked(host, 3)), MsgApp, to=2)
    assert peer(host, 2).inflights.full()
    assert peer(host, 2).inflights.count() == 0

    host.node.adjust_max_inflight_msgs(2, 10)
    (append,) = sent(receive(host, beat()), MsgApp, to=2)
    assert indexes(append.entries) == [2, 3]
    assert sent(propose(host), MsgApp, to=2)


@pytest.mark.behaviour("X82")
def test_a_cluster_goes_on_without_the_peer_and_brings_it_back() -> None:
    network = cluster(3)
    network.campaign(1)
    host = network.host(1)
    host.node.adjust_max_inflight_msgs(3, 0)
    for at in range(4):
        network.propose(1, b"%d" % at)
        network.tick(only=(1,))
    assert network.host(2).payloads() == [b"0", b"1", b"2", b"3"]
    assert network.host(3).payloads() == []
    host.node.adjust_max_inflight_msgs(3, 256)
    network.tick(only=(1,))
    assert network.host(3).payloads() == [b"0", b"1", b"2", b"3"]


@pytest.mark.behaviour("X83")
def test_windows_take_memory_on_first_use_and_give_it_back_when_idle() -> None:
    host = leader()
    assert host.node.inflight_buffers_size() == 0
    assert host.node.maybe_free_inflight_buffers() == 0
    receive(host, acked(host, 2), acked(host, 3))
    propose(host)
    both = host.node.inflight_buffers_size()
    assert both > 0
    assert host.node.maybe_free_inflight_buffers() == 0  # both in use
    receive(host, acked(host, 2))
    assert host.node.inflight_buffers_size() == both
    assert host.node.maybe_free_inflight_buffers() == 1
    assert host.node.inflight_buffers_size() == both / 2
    assert [peer(host, id_).inflights.count() for id_ in (2, 3)] == [0, 1]
    propose(host)
    assert [peer(host, id_).inflights.count() for id_ in (2, 3)] == [1, 2]
    assert take(host) == []
