"""The checks find what they are there to find: each property broken by hand, once."""

from collections.abc import Callable

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Entry, HardState
from raftly.core.messages import MsgAppResp, MsgVoteResp
from raftly.testing.checks import Checker, SafetyViolation, quorums_overlap
from tests.support.network import Host, host_with, storage_with


def node(id_: int, terms: tuple[int, ...] = (), *, term: int = 0, commit: int = 0) -> Host:
    return host_with(id_, storage=storage_with(voters=(1, 2, 3), terms=terms, term=term, commit=commit))


def begin(checker: Checker, host: Host) -> Host:
    checker.started(host.raft)
    return host


def lead(host: Host) -> Host:
    host.raft.become_candidate()
    host.raft.become_leader()
    return host


def two_leaders(checker: Checker) -> None:
    for id_ in (1, 2):
        checker.look(lead(begin(checker, node(id_, term=4))).raft)


def elected_twice(checker: Checker) -> None:
    host = begin(checker, node(1, term=4))
    checker.look(lead(host).raft)
    host.raft.become_follower(5, 0)
    checker.look(host.raft)
    host.raft.term = 4
    checker.look(host.raft)


def two_votes(checker: Checker) -> None:
    host = begin(checker, node(1, term=2))
    for candidate in (2, 3):
        checker.sent(host.raft, MsgVoteResp(candidate, 1, 2), HardState(2, candidate), 0)


def two_votes_on_disk(checker: Checker) -> None:
    host = begin(checker, node(1, term=2))
    for candidate in (2, 3):
        checker.synced(host.raft, HardState(2, candidate))


def vote_before_disk(checker: Checker) -> None:
    checker.sent(begin(checker, node(1, term=1)).raft, MsgVoteResp(2, 1, 2), HardState(1), 0)


def vote_for_another_on_disk(checker: Checker) -> None:
    checker.sent(begin(checker, node(1, term=1)).raft, MsgVoteResp(2, 1, 2), HardState(2, 3), 0)


def acknowledgement_before_disk(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 1)))
    checker.sent(host.raft, MsgAppResp(2, 1, 1, 2), HardState(1), 2)
    checker.sent(host.raft, MsgAppResp(2, 1, 1, 3), HardState(1), 2)


def acknowledgement_before_its_term(checker: Checker) -> None:
    checker.sent(begin(checker, node(1, (1, 1))).raft, MsgAppResp(2, 1, 5, 2), HardState(1), 2)


def term_lost(checker: Checker) -> None:
    checker.synced(begin(checker, node(1, term=3)).raft, HardState(3, 2))
    checker.started(node(1, term=2).raft)


def vote_lost(checker: Checker) -> None:
    checker.synced(begin(checker, node(1, term=3)).raft, HardState(3, 2))
    checker.started(node(1, term=3).raft)


def acknowledged_entries_lost(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 1), term=1))
    checker.sent(host.raft, MsgAppResp(2, 1, 1, 2), HardState(1), 2)
    checker.started(node(1, (1,), term=1).raft)


def acknowledged_entries_lost_and_nobody_led_since(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 1), term=1))
    checker.sent(host.raft, MsgAppResp(2, 1, 1, 2), HardState(1), 2)
    checker.sent(host.raft, MsgAppResp(2, 1, 3, 1), HardState(3), 2)
    checker.started(node(1, (1,), term=3).raft)


def acknowledged_and_committed_entries_lost(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 1), term=1))
    checker.sent(host.raft, MsgAppResp(2, 1, 1, 2), HardState(1), 2)
    begin(checker, node(2, (1, 1), term=1, commit=2))
    checker.leads(host.raft, 2)
    checker.started(node(1, (1,), term=2).raft)


def acknowledged_entry_is_another_again(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 2), term=2))
    checker.sent(host.raft, MsgAppResp(2, 1, 2, 2), HardState(2), 2)
    checker.started(node(1, (1, 1), term=2).raft)


def two_that_speak_as_leaders(checker: Checker) -> None:
    for id_ in (1, 2):
        checker.leads(begin(checker, node(id_, term=4)).raft, 4)


def different_entries_of_one_term(checker: Checker) -> None:
    for id_, data in ((1, b"a"), (2, b"b")):
        host = node(id_, (1,))
        host.storage.append([Entry(1, 2, data=data)])
        host.restart()
        begin(checker, host)


def different_predecessors(checker: Checker) -> None:
    begin(checker, node(1, (1, 3)))
    begin(checker, node(2, (2, 3)))


def falling_terms(checker: Checker) -> None:
    begin(checker, node(1, (2, 1), term=2))


def future_terms(checker: Checker) -> None:
    host = begin(checker, node(1, (2,), term=2))
    host.raft.log.append([Entry(3, 2)])
    checker.look(host.raft)


def different_commits(checker: Checker) -> None:
    begin(checker, node(1, (1, 2), commit=2))
    begin(checker, node(2, (1, 3), commit=2))


def leader_without_a_committed_entry(checker: Checker) -> None:
    begin(checker, node(1, (1, 1), commit=2))
    checker.look(lead(begin(checker, node(2, (1,)))).raft)


def leader_that_cuts_its_log(checker: Checker) -> None:
    host = lead(begin(checker, node(1, (1, 1, 1))))
    checker.look(host.raft)
    host.raft.log.append([Entry(2, 2)])
    checker.look(host.raft)


def commit_that_falls(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 1), commit=2))
    host.raft.log.committed = 1
    checker.look(host.raft)


def term_that_falls(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 1), term=3))
    host.raft.term = 2
    checker.look(host.raft)


def applied_and_not_committed(checker: Checker) -> None:
    checker.applied(begin(checker, node(1, (1,))).raft, Entry(1, 1), 0)


def different_states(checker: Checker) -> None:
    for id_ in (1, 2):
        checker.applied(begin(checker, node(id_, (1,), commit=1)).raft, Entry(1, 1), id_)


def snapshot_of_nothing(checker: Checker) -> None:
    checker.restored(begin(checker, node(1)).raft, 5, 0)


def parted_quorums(checker: Checker) -> None:
    checker.configured(begin(checker, node(1)).raft, 5, ConfState((1, 2, 3)), ConfState((3, 4, 5)))


def lost_write(checker: Checker) -> None:
    checker.acknowledged(begin(checker, node(1, (1,), commit=1)).raft, 1, 2)


def write_missing_at_the_end(checker: Checker) -> None:
    host = begin(checker, node(1, (1,), commit=1))
    checker.acknowledged(host.raft, 1, 1)
    checker.check_written(node(2).raft)


def stale_read(checker: Checker) -> None:
    host = begin(checker, node(1, (1, 1), commit=2))
    checker.asked(b"x")
    checker.answered(host.raft, b"x", 2)
    checker.answered(host.raft, b"x", 1)


def read_of_the_future(checker: Checker) -> None:
    checker.asked(b"x")
    checker.answered(begin(checker, node(1)).raft, b"x", 1)


def lease_beside_a_newer_leader(checker: Checker) -> None:
    old = lead(begin(checker, node(1, term=4)))
    checker.look(old.raft)
    checker.leased(old.raft, 100, 50)
    checker.look(lead(begin(checker, node(2, term=5))).raft, 99)


def lease_behind_a_newer_leader(checker: Checker) -> None:
    old = lead(begin(checker, node(1, term=4)))
    checker.look(lead(begin(checker, node(2, term=5))).raft)
    checker.leased(old.raft, 100, 50)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (two_leaders, "leads term 5, and so does 1"),
        (elected_twice, "falls from term"),
        (two_votes, "votes for 2 and 3 in term 2"),
        (two_votes_on_disk, "votes for 2 and 3 in term 2"),
        (vote_before_disk, "not on disk"),
        (vote_for_another_on_disk, "on disk for 3"),
        (acknowledgement_before_disk, "acknowledges 3, its disk ends at 2"),
        (acknowledgement_before_its_term, "acknowledges in term 5"),
        (term_lost, "comes back in term 2"),
        (vote_lost, "comes back with vote 0"),
        (acknowledged_entries_lost, "it acknowledged 2"),
        (acknowledged_entries_lost_and_nobody_led_since, "with 1 entries, it acknowledged 2 in term 1"),
        (acknowledged_and_committed_entries_lost, "with 1 entries, it acknowledged 2 in term 1"),
        (acknowledged_entry_is_another_again, "without 2/2, which it acknowledged"),
        (two_that_speak_as_leaders, "leads term 4, and so does 1"),
        (different_entries_of_one_term, "another entry"),
        (different_predecessors, "at 3/2 than others"),
        (falling_terms, "falling terms"),
        (future_terms, "future term 3"),
        (different_commits, "commits 3/2, others 2/2|where an entry of term 2"),
        (leader_without_a_committed_entry, "leads without 1/2"),
        (leader_that_cuts_its_log, "cuts its log"),
        (commit_that_falls, "falls from commit 2"),
        (term_that_falls, "falls from term 3"),
        (applied_and_not_committed, "committed there is term None"),
        (different_states, "another state"),
        (snapshot_of_nothing, "nobody made"),
        (parted_quorums, "need not meet"),
        (lost_write, "acknowledges a write at 2/1"),
        (write_missing_at_the_end, "was acknowledged"),
        (stale_read, "answers a read with 1, 2 was committed"),
        (read_of_the_future, "no more than 0 is committed"),
        (lease_beside_a_newer_leader, "holds the lease of term 5 until 100, it is 99"),
        (lease_behind_a_newer_leader, "and 2 leads 6"),
    ],
)
def test_a_broken_property_is_found(broken: Callable[[Checker], None], said: str) -> None:
    with pytest.raises(SafetyViolation, match=said):
        broken(Checker())


def test_a_later_leader_may_cut_what_was_acknowledged_and_not_committed() -> None:
    checker = Checker()
    host = begin(checker, node(1, (1, 1, 1), term=1))
    checker.sent(host.raft, MsgAppResp(2, 1, 1, 3), HardState(1), 3)
    begin(checker, node(2, (1, 1), term=1, commit=1))
    checker.leads(host.raft, 2)
    checker.started(node(1, (1,), term=2).raft)


def test_a_damaged_disk_need_not_remember() -> None:
    checker = Checker()
    host = begin(checker, node(1, (1, 1), term=3))
    checker.synced(host.raft, HardState(3, 2))
    checker.sent(host.raft, MsgAppResp(2, 1, 3, 2), HardState(3), 2)
    checker.started(node(1).raft, remembers=False)
    checker.started(node(1).raft)
    checker.synced(host.raft, HardState(3, 3))  # it was wiped, and votes in a term in which it had (seed 9200656)


@pytest.mark.parametrize(
    ("old", "new", "overlap"),
    [
        (ConfState((1, 2, 3)), ConfState((1, 2, 3, 4)), True),
        (ConfState((1, 2, 3)), ConfState((1, 2)), True),
        (ConfState((1, 2, 3)), ConfState((1, 2, 4, 5)), False),
        (ConfState((1,)), ConfState((2,)), False),
        (ConfState((1, 2, 3)), ConfState((4, 5, 6), voters_outgoing=(1, 2, 3)), True),
        (ConfState((4, 5, 6), voters_outgoing=(1, 2, 3)), ConfState((4, 5, 6)), True),
    ],
)
def test_quorums_that_must_meet(old: ConfState, new: ConfState, overlap: bool) -> None:
    assert quorums_overlap(old, new) is overlap
    assert quorums_overlap(new, old) is overlap
