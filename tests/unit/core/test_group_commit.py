"""Group commit (raft-rs): an entry is committed once two commit groups hold it. The arithmetic is in test_quorum."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.core.messages import MsgApp, MsgHeartbeat
from raftly.core.role import Role
from raftly.errors import ConfigError
from tests.support.lone import acked, leader, peer, propose, receive, sent, take
from tests.support.network import DEFAULTS, Host, cluster

GROUPED = replace(DEFAULTS, group_commit=True)


def leader_with(*matches: int, groups: tuple[int, ...] = ()) -> Host:
    """Node 1 leading with group commit, its log as long as `matches[0]`; the others hold that much of it."""
    host = leader(voters=range(1, len(matches) + 1), template=GROUPED)
    assign(host, groups)
    for _ in range(matches[0] - 1):
        propose(host)
    for id_, match in enumerate(matches[1:], 2):
        receive(host, acked(host, id_, match))
    return host


def assign(host: Host, groups: tuple[int, ...]) -> None:
    host.node.assign_commit_groups([(id_, group) for id_, group in enumerate(groups, 1) if group])


CASES = [
    # (matches, groups, committed with groups, committed by majority)
    ((1,), (0,), 1, 1),
    ((1,), (1,), 1, 1),
    ((2, 2, 1), (1, 2, 1), 2, 2),
    ((2, 2, 1), (1, 1, 2), 1, 2),
    ((2, 2, 1), (1, 0, 1), 1, 2),
    ((2, 2, 1), (0, 0, 0), 1, 2),
    ((4, 2, 1, 3), (0, 0, 0, 0), 1, 2),
    ((4, 2, 1, 3), (0, 1, 0, 2), 2, 2),
    ((4, 2, 1, 3), (0, 2, 1, 0), 1, 2),
    ((4, 2, 1, 3), (1, 1, 1, 1), 2, 2),
    ((4, 2, 1, 3), (1, 1, 2, 1), 1, 2),
    ((4, 2, 1, 3), (4, 3, 2, 1), 2, 2),
]


@pytest.mark.behaviour("X25")
@pytest.mark.parametrize("matches, groups, by_groups, by_majority", CASES)
def test_a_leader_commits_what_two_groups_hold(
    matches: tuple[int, ...], groups: tuple[int, ...], by_groups: int, by_majority: int
) -> None:
    assert leader_with(*matches, groups=groups).raft.log.committed == by_groups
    host = leader_with(*matches, groups=groups)
    host.node.enable_group_commit(False)
    assert host.raft.log.committed == by_majority


@pytest.mark.behaviour("X26")
@pytest.mark.parametrize("matches, groups, by_groups, by_majority", CASES)
def test_assigning_groups_looks_at_the_commit_again(
    matches: tuple[int, ...], groups: tuple[int, ...], by_groups: int, by_majority: int
) -> None:
    host = leader_with(*matches)
    before = host.raft.log.committed
    take(host)
    assign(host, groups)
    assert host.raft.log.committed == max(before, by_groups)
    told = {(append.to, append.commit) for append in sent(take(host), MsgApp)}
    moved = by_groups > before
    assert told == ({(id_, by_groups) for id_ in range(2, len(matches) + 1)} if moved else set())


@pytest.mark.behaviour("X26")
def test_disabling_looks_at_the_commit_again_and_tells_everybody() -> None:
    host = leader_with(4, 3, 1, groups=(1, 1, 2))
    assert host.raft.log.committed == 1
    take(host)
    host.node.enable_group_commit(True)  # nothing new
    assert not sent(take(host), MsgApp)
    host.node.enable_group_commit(False)
    assert host.raft.log.committed == 3
    assert {(append.to, append.commit) for append in sent(take(host), MsgApp)} == {(2, 3), (3, 3)}


@pytest.mark.behaviour("X26")
def test_groups_do_nothing_at_a_follower_or_while_the_mode_is_off() -> None:
    network = cluster(3, GROUPED)
    network.campaign(1)
    follower = network.host(2)
    follower.node.assign_commit_groups([(1, 1), (2, 1), (3, 2)])
    assert not follower.node.has_ready()
    follower.node.enable_group_commit(False)
    assert not follower.node.has_ready()

    host = leader(followed_by=(2,))
    committed = host.raft.log.committed
    host.node.assign_commit_groups([(1, 1), (2, 1), (3, 2)])
    propose(host)
    receive(host, acked(host, 2))
    assert host.raft.log.committed == committed + 1


def test_groups_survive_elections_and_can_be_cleared() -> None:
    host = leader_with(2, 2, 1, groups=(1, 1, 2))
    receive(host, MsgHeartbeat(1, 2, host.raft.term + 1))
    assert [peer(host, id_).commit_group_id for id_ in (1, 2, 3)] == [1, 1, 2]
    host.node.clear_commit_groups()
    assert [peer(host, id_).commit_group_id for id_ in (1, 2, 3)] == [0, 0, 0]


def test_a_group_must_be_above_zero_and_a_bad_one_moves_nobody() -> None:
    host = leader_with(2, 2, 1, groups=(1, 1, 2))
    for bad in (0, -1):
        with pytest.raises(ConfigError, match="commit group of node 3"):
            host.node.assign_commit_groups([(1, 7), (3, bad)])
    assert [peer(host, id_).commit_group_id for id_ in (1, 2, 3)] == [1, 1, 2]
    host.node.assign_commit_groups([(9, 7)])  # unknown nodes are passed over


@pytest.mark.behaviour("X27")
@pytest.mark.parametrize(
    "matches, groups, consistent",
    [
        ((3,), (0,), False),  # a lone node has no two groups
        ((3,), (1,), False),
        ((3, 2, 3), (1, 1, 2), True),
        ((3, 3, 3), (1, 1, 1), False),
        ((3, 3, 3), (1, 1, 0), False),
        ((3, 3, 3), (0, 0, 0), False),
    ],
)
def test_consistent_when_two_groups_hold_the_commit(
    matches: tuple[int, ...], groups: tuple[int, ...], consistent: bool
) -> None:
    host = leader_with(*matches, groups=groups)
    assert host.raft.applied_in_term()
    assert host.node.check_group_commit_consistent() is consistent
    host.node.enable_group_commit(False)
    assert host.node.check_group_commit_consistent() is False


@pytest.mark.behaviour("X27")
def test_inconsistent_while_the_second_group_lags_behind_the_commit() -> None:
    host = leader(voters=(1, 2, 3), followed_by=(2,))
    for _ in range(3):
        propose(host)
    receive(host, acked(host, 2), acked(host, 3, 1))
    host.node.assign_commit_groups([(1, 1), (2, 1), (3, 2)])
    host.node.enable_group_commit(True)  # the commit of before stays
    assert host.raft.log.committed == 4
    assert host.node.check_group_commit_consistent() is False
    receive(host, acked(host, 3))
    assert host.node.check_group_commit_consistent() is True


@pytest.mark.behaviour("X27")
def test_there_is_no_answer_without_an_applied_entry_of_the_own_term() -> None:
    host = leader_with(2, 1, 1, groups=(1, 1, 2))
    receive(host, acked(host, 2), acked(host, 3))
    assert host.node.check_group_commit_consistent() is True
    receive(host, MsgHeartbeat(1, 2, 2))
    assert host.raft.role is Role.FOLLOWER
    assert host.node.check_group_commit_consistent() is None

    fresh = leader(template=GROUPED, terms=(1, 1))
    assert fresh.node.check_group_commit_consistent() is None
    fresh.node.assign_commit_groups([(1, 1), (2, 2), (3, 2)])
    fresh.node.step(acked(fresh, 2))
    assert fresh.raft.committed_in_term()
    assert fresh.node.check_group_commit_consistent() is None  # committed, but not applied
    take(fresh)
    assert fresh.node.check_group_commit_consistent() is True
