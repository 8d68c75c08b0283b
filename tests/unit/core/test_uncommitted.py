"""The limit on payload bytes in a leader's uncommitted tail, and what does and does not count against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.types import Entry
from raftly.core.messages import APPLY_THREAD, MsgApp, MsgHeartbeat, MsgStorageApplyResp
from raftly.core.role import Role
from raftly.errors import DropReason, ProposalDropped
from tests.support.lone import acked, lead, leader, receive
from tests.support.network import DEFAULTS, Host, cluster

HELLO = b"hello world!"
LIMITED = replace(DEFAULTS, max_uncommitted_entries_size=len(HELLO))


def is_dropped(host: Host, data: bytes) -> bool:
    last = host.raft.log.last_index
    dropped: ProposalDropped | None = None
    try:
        host.node.propose(data)
    except ProposalDropped as error:
        dropped = error
    assert dropped in {None, ProposalDropped(DropReason.UNCOMMITTED_LIMIT)}
    assert host.raft.log.last_index == last + (dropped is None)
    return dropped is not None


@pytest.mark.behaviour("X08")
def test_the_tail_is_limited_but_never_for_empty_entries() -> None:
    host = leader(template=LIMITED, followed_by=(2,))
    assert not is_dropped(host, HELLO)
    assert is_dropped(host, b"x")
    assert not is_dropped(host, b"")
    receive(host, acked(host, 2))  # committed and applied: the tail is empty again
    assert host.raft.uncommitted_bytes == 0
    assert not is_dropped(host, b"1234")
    assert not is_dropped(host, b"56789abc")  # up to the limit
    assert is_dropped(host, b"d")


@pytest.mark.behaviour("X08")
def test_an_oversize_entry_passes_when_nothing_is_uncommitted() -> None:
    host = leader(template=LIMITED, followed_by=(2,))
    assert not is_dropped(host, 2 * HELLO)
    assert is_dropped(host, 2 * HELLO)
    assert is_dropped(host, b"x")
    assert not is_dropped(host, b"")


@pytest.mark.behaviour("X08")
def test_a_batch_is_taken_or_dropped_as_a_whole() -> None:
    host = leader(template=LIMITED, followed_by=(2,))
    host.node.propose_batch([b"123456", b"123456"])
    with pytest.raises(ProposalDropped):
        host.node.propose_batch([b"", b"1"])
    host.node.propose_batch([b"", b""])
    assert host.raft.uncommitted_bytes == len(HELLO)


@pytest.mark.behaviour("X09")
@pytest.mark.parametrize("count_own", [False, True])
def test_a_new_leader_starts_at_zero_whatever_it_inherits(count_own: bool) -> None:
    network = cluster(5, replace(LIMITED, count_own_uncommitted=count_own))
    network.campaign(1)
    for far in (3, 4, 5):
        network.cut(1, far)
    network.propose(1, HELLO)
    network.isolate(1)
    network.ignore(MsgApp)
    network.campaign(2)
    heir = network.host(2)
    assert heir.raft.role is Role.LEADER
    assert [entry.data for entry in heir.log()] == [b"", HELLO, b""]
    assert heir.raft.uncommitted_bytes == 0
    assert not is_dropped(heir, HELLO)
    assert is_dropped(heir, HELLO)


@pytest.mark.behaviour("X09")
def test_a_leader_that_leads_again_starts_at_zero_too() -> None:
    host = leader(template=LIMITED, followed_by=(2,))
    assert not is_dropped(host, HELLO)
    receive(host, MsgHeartbeat(1, 2, 2))
    lead(host)
    assert host.raft.uncommitted_bytes == 0
    assert not is_dropped(host, HELLO)


@pytest.mark.behaviour("X10")
@pytest.mark.parametrize("count_own, left", [(True, len(HELLO)), (False, 0)])
def test_entries_of_an_earlier_leader_do_not_reduce_the_count(count_own: bool, left: int) -> None:
    """The application may be slow: what it applies now may come from before this node led."""
    network = cluster(3, replace(LIMITED, count_own_uncommitted=count_own))
    network.campaign(1)
    network.propose(1, HELLO)
    network.propose(1, HELLO)
    network.campaign(2)
    network.isolate(2)
    heir = network.host(2)
    network.propose(2, HELLO)
    assert heir.raft.uncommitted_bytes == len(HELLO)
    inherited = [Entry(1, 2, data=HELLO), Entry(1, 3, data=HELLO)]
    heir.node.step(MsgStorageApplyResp(2, APPLY_THREAD, 0, inherited))
    assert heir.raft.uncommitted_bytes == left
    # Its own count as ever.
    network.recover()
    network.tick(DEFAULTS.heartbeat_tick, only=(2,))
    assert heir.payloads() == [HELLO] * 3
    assert heir.raft.uncommitted_bytes == 0
