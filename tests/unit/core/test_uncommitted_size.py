"""The bound on a leader's uncommitted tail: what counts, what is dropped, and when the space comes back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.types import Entry
from raftly.core.sizes import payload_bytes
from raftly.errors import DropReason, ProposalDropped
from tests.support.lone import acked, lead, leader, propose, receive, take, voter
from tests.support.network import DEFAULTS, Host

DATA = b"testdata"


def limited(limit: int, *, voters: tuple[int, ...] = (1, 2, 3)) -> Host:
    """A leader with this limit whose empty entry is applied everywhere."""
    template = replace(DEFAULTS, max_uncommitted_entries_size=limit)
    return leader(voters=voters, template=template, followed_by=voters[1:])


def refuses(host: Host, data: bytes = DATA) -> bool:
    """Is a proposal dropped for its size?"""
    before = host.raft.log.last_index, host.raft.uncommitted_bytes
    try:
        host.node.propose(data)
    except ProposalDropped as error:
        reason = error.reason
    else:
        return False
    assert reason is DropReason.UNCOMMITTED_LIMIT
    assert (host.raft.log.last_index, host.raft.uncommitted_bytes) == before
    return True


@pytest.mark.behaviour("FC13")
def test_proposals_beyond_the_limit_are_dropped_until_applied_entries_give_space_back() -> None:
    host = limited(10 * len(DATA))
    assert [refuses(host) for _ in range(12)] == [False] * 10 + [True] * 2
    take(host)
    receive(host, acked(host, 2, 4))  # three of ten are applied
    assert host.raft.uncommitted_bytes == 7 * len(DATA)
    assert [refuses(host) for _ in range(5)] == [False] * 3 + [True] * 2


@pytest.mark.behaviour("FC13")
def test_the_limit_itself_may_be_reached() -> None:
    host = limited(20)
    assert not refuses(host, b"x" * 12)
    assert refuses(host, b"x" * 9)
    assert not refuses(host, b"x" * 8)
    assert refuses(host, b"x")


@pytest.mark.behaviour("FC13")
def test_a_batch_counts_as_a_whole() -> None:
    host = limited(20)
    host.node.propose(b"x")
    with pytest.raises(ProposalDropped):
        host.node.propose_batch([b"x" * 10, b"x" * 10])
    assert host.raft.log.last_index == 2


@pytest.mark.behaviour("FC13")
def test_a_new_term_starts_with_an_empty_count() -> None:
    host = limited(10)
    assert not refuses(host, b"x" * 10)
    take(host)
    host.raft.become_follower(2, 0)
    lead(host)
    assert host.raft.uncommitted_bytes == 0
    assert not refuses(host, b"x" * 10)


@pytest.mark.behaviour("FC14")
def test_an_oversize_proposal_is_taken_when_nothing_is_uncommitted_and_an_empty_one_always() -> None:
    host = limited(10)
    assert not refuses(host, b"x" * 100)
    assert refuses(host, b"x")
    assert not refuses(host, b"")
    take(host)
    receive(host, acked(host, 2))
    assert host.raft.uncommitted_bytes == 0
    assert not refuses(host, b"x" * 100)


@pytest.mark.behaviour("FC15")
def test_the_empty_entry_of_a_new_leader_counts_nothing() -> None:
    assert payload_bytes([Entry(1, 1)]) == 0
    host = voter(template=replace(DEFAULTS, max_uncommitted_entries_size=1))
    lead(host)
    assert host.raft.log.last_index == 1
    assert host.raft.uncommitted_bytes == 0
    assert not refuses(host, b"x" * 1000)


@pytest.mark.behaviour("RN26")
def test_under_a_partition_the_log_stays_bounded_and_space_returns_on_application() -> None:
    entries_max = 16
    host = limited(entries_max * len(DATA))
    outcomes = [refuses(host) for _ in range(100)]
    assert outcomes == [False] * entries_max + [True] * (100 - entries_max)
    ready = host.node.ready()
    assert len(ready.entries) == entries_max
    host.save(ready)
    host.node.advance()
    assert refuses(host)  # written here, but not committed
    host.node.step(acked(host, 3))
    assert host.raft.log.committed == entries_max + 1
    assert refuses(host)  # committed, but not applied
    ready = host.node.ready()
    assert len(ready.committed_entries) == entries_max
    assert refuses(host)  # being applied
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.advance()
    assert host.raft.uncommitted_bytes == 0
    assert not refuses(host)


def test_without_a_limit_nothing_is_counted() -> None:
    for host in (leader(), limited(0)):
        for _ in range(50):
            propose(host, b"x" * 100)
        assert host.raft.uncommitted_bytes == 0
