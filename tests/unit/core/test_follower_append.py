"""The follower's side of replication: what it takes, refuses, answers and hands out."""

from __future__ import annotations

import pytest

from raftly.base.types import Entry
from raftly.core.messages import Message, MsgApp, MsgAppResp, MsgHeartbeat, MsgHeartbeatResp
from raftly.errors import InvariantError
from tests.support.lone import entries, indexes, lead, peer, receive, sent, take, terms_of, voter
from tests.support.network import Host


def append(prev: int, prev_term: int, *terms: int, commit: int = 0, term: int = 2) -> MsgApp:
    """From node 2, leader of `term`: entries of `terms` behind the entry (prev_term, prev)."""
    return MsgApp(1, 2, term, prev_term, prev, entries(prev + 1, *terms), commit)


def follower(*terms: int, term: int = 2, commit: int = 0) -> Host:
    """Node 1 of three with a log of these terms."""
    return voter(terms=terms, term=term, commit=commit)


def the_answer(messages: list[Message]) -> MsgAppResp:
    (answer,) = sent(messages, MsgAppResp)
    return answer


# --- heartbeats ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LR04")
@pytest.mark.parametrize(("told", "commit"), [(3, 3), (2, 2), (1, 2), (0, 2)])
def test_a_heartbeat_raises_the_commit_never_lowers_it_and_is_answered(told: int, commit: int) -> None:
    host = follower(1, 2, 3, term=3, commit=2)
    host.raft.become_follower(3, 2)
    messages = receive(host, MsgHeartbeat(1, 2, 3, told, b"ctx"))
    assert host.raft.log.committed == commit
    assert messages == [MsgHeartbeatResp(2, 1, 3, b"ctx")]


# --- accepting and rejecting -----------------------------------------------------------------------------------


@pytest.mark.behaviour("LR10")
@pytest.mark.tinykv("TestFollowerCommitEntry2AB")
@pytest.mark.parametrize(("terms", "commit"), [((1,), 1), ((1, 1), 2), ((1, 1), 1), ((1, 1, 1, 1), 3), ((1, 1), 0)])
def test_a_follower_hands_out_entries_in_order_up_to_the_leaders_commit(terms: tuple[int, ...], commit: int) -> None:
    host = follower(term=1)
    receive(host, MsgApp(1, 2, 1, 0, 0, entries(1, *terms, data=b"d"), commit))
    assert host.applied == entries(1, *terms[:commit], data=b"d")
    receive(host, append(len(terms), 1, term=1, commit=len(terms)))
    assert indexes(host.applied) == list(range(1, len(terms) + 1))


@pytest.mark.behaviour("LR11")
@pytest.mark.tinykv("TestFollowerCheckMessageType_MsgAppend2AB")
@pytest.mark.parametrize(
    ("prev", "prev_term", "hint"),
    [
        pytest.param(0, 0, None, id="from the beginning"),
        pytest.param(1, 1, None, id="committed"),
        pytest.param(2, 2, None, id="the last entry"),
        pytest.param(2, 1, (1, 1), id="another term there"),
        pytest.param(2, 3, (2, 2), id="a later term there"),
        pytest.param(3, 3, (2, 2), id="beyond the end"),
        pytest.param(9, 1, (1, 1), id="far beyond the end, and the last entry cannot match"),
    ],
)
def test_an_append_fits_behind_an_entry_that_is_held_and_else_is_rejected_with_a_hint(
    prev: int, prev_term: int, hint: tuple[int, int] | None
) -> None:
    host = follower(1, 2, term=3, commit=1)
    answer = the_answer(receive(host, append(prev, prev_term, term=3)))
    assert (answer.to, answer.term) == (2, 3)
    if hint is None:
        assert (answer.index, answer.reject) == (max(prev, 1), False)
    else:
        assert (answer.index, answer.reject, answer.reject_hint, answer.log_term) == (prev, True, *hint)
    assert host.log_terms() == [1, 2]


@pytest.mark.behaviour("LR11", "LR22")
def test_an_append_below_the_commit_index_is_answered_with_the_commit_index() -> None:
    host = follower(1, 1, 1, term=2, commit=2)
    answer = the_answer(receive(host, append(1, 1, 1, 1, 2, commit=4)))
    # Its new entry is not looked at either: the leader sends it again from where the answer says.
    assert (answer.index, answer.reject) == (2, False)
    assert host.log_terms() == [1, 1, 1]
    assert host.raft.log.committed == 2


@pytest.mark.behaviour("LR12")
@pytest.mark.tinykv("TestFollowerAppendEntries2AB")
@pytest.mark.parametrize(
    ("message", "log", "written"),
    [
        pytest.param(append(2, 2, 3, term=3), [1, 2, 3], [3], id="extends"),
        pytest.param(append(1, 1, 3, 4, term=4), [1, 3, 4], [3, 4], id="replaces a conflicting tail"),
        pytest.param(append(0, 0, 1, term=3), [1, 2], [], id="keeps what matches"),
        pytest.param(append(0, 0, 1, 2, term=3), [1, 2], [], id="all held already"),
        pytest.param(append(0, 0, 3, term=3), [3], [3], id="replaces all"),
        pytest.param(append(0, 0, 1, 2, 3, term=3), [1, 2, 3], [3], id="partly held: only the new one is written"),
        pytest.param(append(0, 0, 1, 3, 3, term=3), [1, 3, 3], [3, 3], id="partly held, then a conflict"),
    ],
)
def test_conflicts_are_replaced_matches_kept_and_only_news_is_written(
    message: MsgApp, log: list[int], written: list[int]
) -> None:
    host = follower(1, 2)
    host.node.step(message)
    ready = host.node.ready()
    assert host.log_terms() == log
    assert terms_of(ready.entries) == written


@pytest.mark.behaviour("LR12")
def test_a_late_short_append_does_not_cut_a_matching_tail() -> None:
    host = follower(1, 2, 2, 2)
    receive(host, append(1, 1, 2))
    assert host.log_terms() == [1, 2, 2, 2]


@pytest.mark.behaviour("LR22")
@pytest.mark.tinykv("TestHandleMessageType_MsgAppend2AB")
@pytest.mark.parametrize(
    ("message", "last", "commit", "rejected"),
    [
        # The previous entry does not match, or is missing.
        (append(2, 3, commit=3, term=3), 2, 0, True),
        (append(3, 3, commit=3, term=3), 2, 0, True),
        # It matches: conflicts go, new entries come.
        (append(1, 1, commit=1), 2, 1, False),
        (append(0, 0, 2, commit=1), 1, 1, False),
        (append(2, 2, 2, 2, commit=3), 4, 3, False),
        (append(2, 2, 2, commit=4), 3, 3, False),
        (append(1, 1, 2, commit=4), 2, 2, False),
        # The commit index stops at the last entry that this append proves, whatever else is in the log.
        (append(1, 1, commit=3), 2, 1, False),
        (append(1, 1, 2, commit=3), 2, 2, False),
        (append(2, 2, commit=3), 2, 2, False),
        (append(2, 2, commit=4), 2, 2, False),
    ],
)
def test_what_an_append_does_to_a_log_of_two(message: MsgApp, last: int, commit: int, rejected: bool) -> None:
    host = follower(1, 2)
    answer = the_answer(receive(host, message))
    assert (host.raft.log.last_index, host.raft.log.committed, answer.reject) == (last, commit, rejected)
    if not rejected:
        assert answer.index == message.index + len(message.entries)


def test_entries_of_a_dead_leader_behind_what_an_append_proves_are_not_committed() -> None:
    # Entries 2 and 3 came from a leader of term 2 that nobody else heard; the leader of term 3 has others there.
    host = follower(1, 2, 2)
    receive(host, append(1, 1, term=3, commit=3))
    assert host.raft.log.committed == 1
    assert indexes(host.applied) == [1]
    receive(host, append(1, 1, 3, 3, term=3, commit=3))
    assert terms_of(host.applied) == [1, 3, 3]


def test_overwritten_entries_are_gone_from_the_storage_too() -> None:
    host = follower(1, 2, 2, 2)
    receive(host, append(1, 1, 3, term=3))
    assert terms_of(host.storage.entries(1, host.storage.last_index() + 1, 1 << 20)) == [1, 3]
    host.restart()
    assert host.log_terms() == [1, 3]


def test_a_conflict_with_a_committed_entry_that_got_past_admission_stops_the_node() -> None:
    host = follower(1, 2, 2, commit=2)
    with pytest.raises(InvariantError, match="conflict with committed entry"):
        host.raft.log.maybe_append(1, 1, entries(2, 3), 0)


# --- fast rejection: both sides skip what cannot match ---------------------------------------------------------


@pytest.mark.behaviour("LR23")
@pytest.mark.parametrize(
    ("leads", "follows", "hint", "then"),
    [
        pytest.param((1, 2, 2, 4, 4, 4), (1, 2, 2, 3, 3, 3, 3, 3), (6, 3), (3, 2), id="the leader skips its term 4"),
        pytest.param((1, 3, 3, 3, 4, 4, 5), (1, 3, 3, 3, 3, 3, 3, 3), (7, 3), (4, 3), id="... and its terms 4 and 5"),
        pytest.param((1, 1, 1), (1, 2, 3), (1, 1), (1, 1), id="the follower skips its terms 2 and 3"),
        pytest.param((1, 1, 1, 1, 1), (1, 2, 3), (1, 1), (1, 1), id="... with a shorter log"),
        pytest.param((1, 1, 1), (1, 2, 3, 3, 3), (1, 1), (1, 1), id="... with a longer log"),
        pytest.param((1, 1, 2, 3), (1, 1, 2), (3, 2), (3, 2), id="no conflict, only a gap"),
        pytest.param((2, 6, 6, 6, 6), (2, 4, 4), (3, 4), (1, 2), id="nothing between the terms of both"),
        pytest.param((2, 2, 2, 2), (2, 5, 5, 5, 5, 5), (1, 2), (1, 2), id="the follower has only later terms"),
        pytest.param((3, 3, 3), (1, 1, 1, 1), (3, 1), (0, 0), id="nothing in common"),
    ],
)
def test_one_rejection_skips_whole_terms(
    leads: tuple[int, ...], follows: tuple[int, ...], hint: tuple[int, int], then: tuple[int, int]
) -> None:
    term = max(*leads, *follows)
    first, second = voter(1, terms=leads, term=term), voter(2, terms=follows, term=term)
    (probe,) = sent(lead(first), MsgApp, to=2)
    assert (probe.index, probe.log_term) == (len(leads), leads[-1])
    answer = the_answer(receive(second, probe))
    assert (answer.reject, answer.reject_hint, answer.log_term) == (True, *hint)
    (retry,) = sent(receive(first, answer), MsgApp, to=2)
    assert (retry.index, retry.log_term) == then
    answer = the_answer(receive(second, retry))
    assert not answer.reject
    assert second.log_terms() == [*leads, first.raft.term]


@pytest.mark.behaviour("LR24")
def test_an_append_below_the_compaction_point_is_rejected_without_a_term_and_the_leader_steps_back_one() -> None:
    first, second = voter(1, terms=(1, 1, 3)), voter(2, terms=(1, 1, 3, 3, 3), term=3)
    (probe,) = sent(lead(first), MsgApp, to=2)
    assert (probe.index, probe.log_term) == (3, 3)
    second.storage.compact(5)  # further than it has committed, which no sane application does
    answer = the_answer(receive(second, probe))
    assert (answer.reject, answer.index, answer.reject_hint, answer.log_term) == (True, 3, 3, 0)
    (retry,) = sent(receive(first, answer), MsgApp, to=2)
    assert (retry.index, retry.log_term) == (2, 1)


@pytest.mark.behaviour("LR24")
def test_a_rejection_never_moves_a_probe_forward() -> None:
    host = voter(terms=(1,) * 6)
    lead(host)
    for rejected, hint in ((6, 40), (5, 6), (4, 4)):
        receive(host, MsgAppResp(1, 2, 2, rejected, reject=True, reject_hint=hint))
        assert peer(host, 2).next == rejected  # one step back, as when the hint says nothing


def test_a_probe_steps_back_to_the_first_entry_at_most() -> None:
    host = voter(terms=(1,))
    lead(host)
    for rejected in (1, 0):
        receive(host, MsgAppResp(1, 2, 2, rejected, reject=True))
        assert peer(host, 2).next == 1


def test_the_answer_waits_for_the_disk() -> None:
    host = follower(1)
    host.node.step(append(1, 1, 2))
    assert host.raft.messages == []
    assert host.raft.after_append == [MsgAppResp(2, 1, 2, 2)]
    assert take(host) == [MsgAppResp(2, 1, 2, 2)]
    assert host.storage.last_index() == 2
    assert host.log() == [Entry(1, 1), Entry(2, 2)]
