"""The checker finds what it is there to find: each property broken by hand, once."""

from collections.abc import Callable

import pytest

from raftly.base.types import Entry, HardState
from raftly.core.messages import MsgAppResp, MsgVoteResp
from raftly.core.readindex import ReadState
from tests.sim_core.safety import SafetyChecker, SafetyViolationError
from tests.support.network import Host, host_with, storage_with


def node(id_: int, terms: tuple[int, ...] = (), *, term: int = 0, commit: int = 0) -> Host:
    return host_with(id_, storage=storage_with(voters=(1, 2, 3), terms=terms, term=term, commit=commit))


def lead(host: Host) -> Host:
    host.raft.become_candidate()
    host.raft.become_leader()
    return host


def two_leaders(checker: SafetyChecker) -> None:
    checker.look(lead(node(1, term=4)))
    checker.look(lead(node(2, term=4)))


def two_votes(checker: SafetyChecker) -> None:
    host = node(1, term=2)
    for candidate in (2, 3):
        host.storage.set_hard_state(HardState(2, candidate))
        checker.sent(host, MsgVoteResp(candidate, 1, 2))


def vote_before_disk(checker: SafetyChecker) -> None:
    checker.sent(node(1, term=1), MsgVoteResp(2, 1, 2))


def acknowledgement_before_disk(checker: SafetyChecker) -> None:
    host = node(1, (1, 1))
    checker.sent(host, MsgAppResp(2, 1, 1, 2))
    checker.sent(host, MsgAppResp(2, 1, 1, 3))


def different_entries_of_one_term(checker: SafetyChecker) -> None:
    hosts = [node(1, (1,)), node(2, (1,))]
    for host, data in zip(hosts, (b"a", b"b"), strict=True):
        host.storage.append([Entry(1, 2, data=data)])
        host.restart()
        checker.look(host)


def different_predecessors(checker: SafetyChecker) -> None:
    checker.look(node(1, (1, 3)))
    checker.look(node(2, (2, 3)))


def falling_terms(checker: SafetyChecker) -> None:
    checker.look(node(1, (2, 1), term=2))


def different_commits(checker: SafetyChecker) -> None:
    checker.look(node(1, (1, 2), commit=2))
    checker.look(node(2, (1, 3), commit=2))


def leader_without_a_committed_entry(checker: SafetyChecker) -> None:
    checker.look(node(1, (1, 1), commit=2))
    checker.look(lead(node(2, (1,))))


def leader_that_cuts_its_log(checker: SafetyChecker) -> None:
    host = lead(node(1, (1, 1, 1)))
    checker.look(host)
    host.raft.log.append([Entry(2, 2)])
    checker.look(host)


def commit_that_falls(checker: SafetyChecker) -> None:
    host = node(1, (1, 1), commit=2)
    checker.look(host)
    host.raft.log.committed = 1
    checker.look(host)


def entry_applied_that_nobody_committed(checker: SafetyChecker) -> None:
    checker.applied(node(1, (1,)), Entry(1, 1))


def different_states(checker: SafetyChecker) -> None:
    for id_ in (1, 2):
        host = node(id_, (1,), commit=1)
        checker.look(host)
        host.state = b"%d" % id_
        checker.applied(host, Entry(1, 1))


def stale_read(checker: SafetyChecker) -> None:
    checker.look(node(1, (1, 1), commit=2))
    checker.asked(b"x")
    checker.answered(node(2), ReadState(2, b"x"))
    checker.answered(node(2), ReadState(1, b"x"))


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (two_leaders, "leads term 5, and so does 1"),
        (two_votes, "votes for 2 and 3 in term 2"),
        (vote_before_disk, "not on disk"),
        (acknowledgement_before_disk, "acknowledges 3, its disk ends at 2"),
        (different_entries_of_one_term, "at 1/2, others"),
        (different_predecessors, "at 3/2, others"),
        (falling_terms, "falling terms"),
        (different_commits, "where an entry of term 2 is committed"),
        (leader_without_a_committed_entry, "leads without 1/2"),
        (leader_that_cuts_its_log, "cuts its log"),
        (commit_that_falls, "falls from commit 2"),
        (entry_applied_that_nobody_committed, "applied Entry"),
        (different_states, "another state"),
        (stale_read, "answers a read with 1, 2 was committed"),
    ],
)
def test_a_broken_property_is_found(broken: Callable[[SafetyChecker], None], said: str) -> None:
    with pytest.raises(SafetyViolationError, match=said):
        broken(SafetyChecker())
