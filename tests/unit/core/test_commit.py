"""When entries commit, and that what commits reaches everybody."""

from __future__ import annotations

import pytest

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.core.messages import MsgApp
from raftly.core.role import Role
from raftly.errors import ProposalDropped
from tests.support.lone import acked, indexes, leader, propose, receive, sent, take, voter
from tests.support.network import Network, cluster


@pytest.mark.behaviour("LR07")
@pytest.mark.tinykv("TestLeaderCommitEntry2AB")
def test_a_replicated_entry_is_handed_out_and_later_appends_carry_the_commit() -> None:
    host = leader(followed_by=[2, 3])
    (append, _) = sent(propose(host, b"data"), MsgApp)
    assert append.commit == 1
    assert host.payloads() == []
    messages = receive(host, acked(host, 2))
    assert host.raft.log.committed == 2
    assert host.payloads() == [b"data"]
    assert [(append.to, append.index, append.entries, append.commit) for append in sent(messages, MsgApp)] == [
        (2, 2, [], 2),
        (3, 2, [], 2),
    ]


@pytest.mark.behaviour("LR08")
@pytest.mark.tinykv("TestLeaderAcknowledgeCommit2AB")
@pytest.mark.parametrize(
    ("size", "others", "commits"),
    [
        (1, [], True),
        (2, [], False),
        (2, [2], True),
        (3, [], False),
        (3, [2], True),
        (3, [2, 3], True),
        (4, [2], False),
        (4, [2, 4], True),
        (5, [], False),
        (5, [2], False),
        (5, [3, 5], True),
        (5, [2, 3, 4, 5], True),
        (7, [2, 3], False),
        (7, [5, 6, 7], True),
    ],
)
def test_an_entry_commits_once_a_majority_holds_it(size: int, others: list[int], commits: bool) -> None:
    voters = range(1, size + 1)
    host = leader(voters=voters, followed_by=voters[1:])
    assert host.raft.log.committed == 1
    propose(host)
    for id_ in others:
        receive(host, acked(host, id_))
    assert host.raft.log.committed == (2 if commits else 1)


@pytest.mark.behaviour("LR08")
def test_the_leaders_own_copy_counts_only_once_it_is_durable() -> None:
    host = leader(voters=(1, 2, 3, 4, 5), followed_by=[2, 3, 4, 5])
    host.node.propose(b"x")
    ready = host.node.ready()
    host.node.step(acked(host, 2))
    host.node.step(acked(host, 3))
    assert host.raft.log.committed == 1  # two of five
    host.save(ready)
    host.node.advance()
    assert host.raft.log.committed == 2


@pytest.mark.behaviour("LR09")
@pytest.mark.tinykv("TestLeaderCommitPrecedingEntries2AB")
@pytest.mark.parametrize("terms", [(), (2,), (1, 2), (1,), (1, 1, 3)])
def test_an_entry_of_the_own_term_commits_all_before_it(terms: tuple[int, ...]) -> None:
    host = leader(terms=terms)
    propose(host, b"data")
    last = len(terms) + 2  # the empty entry, then the proposal
    assert host.raft.log.committed == 0
    receive(host, acked(host, 2, last))
    assert host.raft.log.committed == last
    assert indexes(host.applied) == list(range(1, last + 1))


@pytest.mark.behaviour("LR14")
@pytest.mark.tinykv("TestLeaderOnlyCommitsLogFromCurrentTerm2AB")
def test_entries_of_older_terms_do_not_commit_by_counting() -> None:
    host = leader(terms=(1, 2))  # leads term 3; its empty entry is the third
    for index in (1, 2):
        receive(host, acked(host, 2, index), acked(host, 3, index))
        assert host.raft.log.committed == 0  # on every node, and still not safe (thesis, figure 3.7)
    receive(host, acked(host, 3, 3))
    assert host.raft.log.committed == 3


@pytest.mark.behaviour("LR14", "LR15")
@pytest.mark.parametrize(
    ("terms", "term", "matches", "commit"),
    [
        # One voter.
        ((1,), 1, {1: 1}, 1),
        ((1,), 2, {1: 1}, 0),
        ((1, 2), 2, {1: 2}, 2),
        # Three: the second largest.
        ((1, 1), 1, {1: 2, 2: 1, 3: 1}, 1),
        ((1, 1), 2, {1: 2, 2: 1, 3: 1}, 0),
        ((1, 2), 2, {1: 2, 2: 1, 3: 2}, 2),
        ((1, 1), 2, {1: 2, 2: 1, 3: 2}, 0),
        ((1, 2), 2, {1: 2, 2: 0, 3: 0}, 0),
        # Four: the third largest, since two of four are no majority.
        ((1, 2), 1, {1: 2, 2: 1, 3: 1, 4: 1}, 1),
        ((1, 1), 2, {1: 2, 2: 1, 3: 1, 4: 1}, 0),
        ((1, 2), 1, {1: 2, 2: 2, 3: 1, 4: 1}, 1),
        ((1, 1), 2, {1: 2, 2: 2, 3: 1, 4: 1}, 0),
        ((1, 2), 2, {1: 2, 2: 2, 3: 2, 4: 1}, 2),
        ((1, 1), 2, {1: 2, 2: 2, 3: 2, 4: 1}, 0),
        ((1, 2), 2, {1: 2, 2: 2, 3: 0, 4: 0}, 0),
    ],
)
def test_the_commit_index_of_a_match_table(
    terms: tuple[int, ...], term: int, matches: dict[int, int], commit: int
) -> None:
    # In a few rows the term is lower than the last entry's: the rule looks at the entry in question only.
    raft = voter(voters=list(matches), terms=terms, term=term).raft
    for id_, match in matches.items():
        raft.tracker.progress[id_].maybe_update(match)
    assert raft.tracker.committed_index() == sorted(matches.values(), reverse=True)[len(matches) // 2]
    assert raft.maybe_commit() == (commit > 0)
    assert raft.log.committed == commit


@pytest.mark.behaviour("LR16")
def test_without_an_entry_of_the_new_term_old_entries_stay_uncommitted() -> None:
    network, old = _entries_on_two_of_five()
    # The new leader's own empty entry does not get through, only the old entries that others lack.
    network.drop(
        lambda message: isinstance(message, MsgApp) and any(entry.term == old + 1 for entry in message.entries)
    )
    network.campaign(2)
    network.tick(3)
    assert network.leader() == 2
    assert network.raft(2).log.last_index == 4
    assert network.raft(2).log.committed == 1
    for id_ in (3, 4, 5):
        network.propose(2)  # not even when everybody answers everything else
        assert network.raft(id_).log.committed == 1
    network.recover()
    network.tick()
    assert {network.raft(id_).log.committed for id_ in range(1, 6)} == {7}


@pytest.mark.behaviour("LR17")
@pytest.mark.tinykv("TestCommitWithoutNewTermEntry2AB")
def test_the_new_leaders_empty_entry_commits_the_old_ones() -> None:
    network, old = _entries_on_two_of_five()
    network.campaign(2)
    assert network.raft(2).term == old + 1
    assert network.raft(2).log.committed == 4
    assert [host.payloads() for host in network.hosts.values()] == [[b"a", b"b"]] * 5


def _entries_on_two_of_five() -> tuple[Network, int]:
    """Two proposals reached nodes 1 and 2 only, and are not committed; all links work again. Also the term."""
    network = cluster(5)
    network.campaign(1)
    network.isolate(3, 4, 5)
    network.propose(1, b"a")
    network.propose(1, b"b")
    network.recover()
    assert [network.raft(id_).log.last_index for id_ in range(1, 6)] == [3, 3, 1, 1, 1]
    assert network.raft(1).log.committed == 1
    return network, network.raft(1).term


@pytest.mark.behaviour("LR18")
@pytest.mark.tinykv("TestSingleNodeCommit2AB")
def test_a_single_node_commits_by_itself() -> None:
    host = leader(voters=(1,))
    for data in (b"a", b"b"):
        assert propose(host, data) == []
    assert host.payloads() == [b"a", b"b"]
    assert host.raft.log.committed == 3


@pytest.mark.behaviour("LR19")
@pytest.mark.tinykv("TestLogReplication2AB")
def test_proposals_are_applied_in_order_across_a_change_of_leader() -> None:
    network = cluster(3)
    network.campaign(1)
    network.propose(1, b"a")
    network.propose(1, b"b")
    network.campaign(2)
    assert network.raft(1).role is Role.FOLLOWER
    network.propose(2, b"c")
    network.propose(1, b"d")  # passed on
    for host in network.hosts.values():
        assert host.payloads() == [b"a", b"b", b"c", b"d"]
        assert host.log_terms() == [1, 1, 1, 2, 2, 2]


@pytest.mark.behaviour("LR20")
@pytest.mark.tinykv("TestProposal2AB")
@pytest.mark.parametrize(
    ("size", "down", "succeeds"),
    [(3, [], True), (3, [3], True), (3, [2, 3], False), (4, [3, 4], False), (5, [4, 5], True)],
)
def test_proposals_need_a_reachable_quorum(size: int, down: list[int], succeeds: bool) -> None:
    network = cluster(size)
    network.isolate(*down)
    network.campaign(1)
    if succeeds:
        network.propose(1, b"data")
    else:
        with pytest.raises(ProposalDropped):
            network.propose(1, b"data")
    for id_, host in network.hosts.items():
        reached = succeeds and id_ not in down
        assert host.payloads() == ([b"data"] if reached else [])
        assert host.raft.log.last_index == (2 if reached else 0)
        assert host.raft.log.committed == host.raft.log.last_index
    assert network.raft(1).term == 1


@pytest.mark.behaviour("LR21")
@pytest.mark.parametrize("down", [[], [3]])
def test_a_proposal_at_a_follower_reaches_the_leader_and_all_logs(down: list[int]) -> None:
    network = cluster(3)
    network.isolate(*down)
    network.campaign(1)
    network.propose(2, b"by proxy")
    for id_, host in network.hosts.items():
        assert host.payloads() == ([] if id_ in down else [b"by proxy"])


@pytest.mark.behaviour("LR29")
@pytest.mark.tinykv("TestCommitAfterRemoveNode3A")
def test_removing_a_voter_lowers_the_quorum_and_commits_what_waits() -> None:
    host = leader(voters=(1, 2), followed_by=[2])
    host.node.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    take(host)
    propose(host, b"waits")
    receive(host, acked(host, 2, 2))  # the removal, but not what follows it
    assert host.raft.tracker.config.voters.ids() == (1,)
    assert host.raft.log.committed == 3
    assert host.payloads() == [b"waits"]


@pytest.mark.behaviour("LR13")
@pytest.mark.tinykv("TestLeaderSyncFollowerLog2AB")
@pytest.mark.parametrize(
    "behind",
    [
        pytest.param((1, 1, 1, 4, 4, 5, 5, 6, 6), id="a: one entry short"),
        pytest.param((1, 1, 1, 4), id="b: many short"),
        pytest.param((1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6), id="c: one more"),
        pytest.param((1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7), id="d: two of a later term"),
        pytest.param((1, 1, 1, 4, 4, 4, 4), id="e: both, from the fifth on"),
        pytest.param((1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3), id="f: both, from the fourth on"),
    ],
)
def test_a_leader_brings_the_logs_of_the_paper_into_line(behind: tuple[int, ...]) -> None:
    best = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)  # Raft paper, figure 7
    # All have seen term 7, whose leader wrote to node 2 at most.
    network = Network(voter(id_, terms=terms, term=7) for id_, terms in ((1, best), (2, behind), (3, best)))
    network.campaign(1)
    assert network.leader() == 1
    network.propose(1)
    assert network.host(2).log_terms() == network.host(1).log_terms() == [*best, 8, 8]
    assert network.raft(2).log.committed == 12
