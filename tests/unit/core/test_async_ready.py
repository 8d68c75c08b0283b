"""What raft-rs does with numbered Readies, met by asynchronous storage writes.

raft-rs                              here
Ready number n                       the n-th MsgStorageAppend; several may be outstanding
messages / persisted_messages        messages of the Ready / responses of the MsgStorageAppend
on_persist_ready(n)                  delivering the responses of the n-th; that of the disk confirms all before it
LightReady, next Ready               the next Ready
advance_apply_to(i)                  delivering the response of a MsgStorageApply
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import NO_LIMIT, HardState, Snapshot, SnapshotMeta
from raftly.core.messages import (
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgPreVote,
    MsgSnap,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.role import Role
from tests.support.lone import acked, entries, indexes, receive, sent, terms_of, voter
from tests.support.network import Host
from tests.support.threads import ASYNC, append_next, apply_next, async_follower, async_leader, hand_out, settle


def queued(host: Host) -> list[list[int]]:
    """The entries of each outstanding job of the append thread."""
    return [indexes(job.entries) for job in host.append_queue]


def to_apply(host: Host) -> list[int]:
    return [index for job in host.apply_queue for index in indexes(job.entries)]


def confirm_only(host: Host, number: int) -> None:
    """All jobs up to this one are durable, but only the disk's word on the last of them arrives."""
    answers: list[MsgStorageAppendResp] = []
    for _ in range(number):
        answers = [answer for answer in host.run_append() if isinstance(answer, MsgStorageAppendResp)]
    for answer in answers:
        host.node.step(answer)


def snapshot(index: int, term: int, data: bytes = b"state") -> Snapshot:
    return Snapshot(SnapshotMeta(index, term, ConfState((1, 2, 3))), data)


def app(term: int, prev: tuple[int, int], *terms: int, commit: int = 0) -> MsgApp:
    """An append from leader 1 to node 2 behind `prev`, a term and an index."""
    return MsgApp(2, 1, term, prev[0], prev[1], entries(prev[1] + 1, *terms), commit)


# --- several outstanding ---------------------------------------------------------------------------------------


@pytest.mark.behaviour("X60")
def test_several_writes_may_be_outstanding_and_the_disk_confirms_all_up_to_one() -> None:
    host = async_leader()
    first = host.raft.log.last_index + 1
    for _ in range(4):
        host.node.propose(b"x")
        hand_out(host)
    assert queued(host) == [[first], [first + 1], [first + 2], [first + 3]]
    confirm_only(host, 3)
    assert host.raft.log.persisted_index() == first + 2
    confirm_only(host, 1)
    assert host.raft.log.persisted_index() == first + 3
    assert not host.raft.log.unstable.entries


@pytest.mark.behaviour("X60")
def test_each_write_holds_only_what_is_new() -> None:
    host = async_follower(2, terms=(1,))
    for at in range(3):
        host.node.step(app(1, (1, 1 + at), 1))
        hand_out(host)
    assert queued(host) == [[2], [3], [4]]
    assert not host.node.has_ready()
    # Answers may also come one by one, in order.
    for durable in (2, 3, 4):
        append_next(host)
        assert host.raft.log.persisted_index() == durable


@pytest.mark.behaviour("X61")
def test_a_leader_sends_before_its_own_disk_is_done_and_a_follower_answers_after() -> None:
    host = async_leader()
    host.node.propose(b"x")
    leaving = hand_out(host)
    last = host.raft.log.last_index
    assert [indexes(append.entries) for append in sent(leaving, MsgApp, to=2)] == [[last]]
    (job,) = host.append_queue
    assert [answer.to for answer in job.responses] == [1, 1]  # its own acknowledgement and the disk's word

    follower = async_follower(2, terms=(1,))
    follower.node.step(app(1, (1, 1), 1))
    assert hand_out(follower) == []
    (answer,) = sent(append_next(follower), MsgAppResp)
    assert (answer.to, answer.index) == (1, 2)


@pytest.mark.behaviour("X61")
def test_a_vote_leaves_only_with_the_hard_state_that_it_promises() -> None:
    follower = async_follower(2)
    follower.node.step(MsgVote(2, 3, 5))
    assert hand_out(follower) == []
    (job,) = follower.append_queue
    assert (job.term, job.vote) == (5, 3)
    (vote,) = sent(append_next(follower), MsgVoteResp)
    assert (vote.to, vote.term, vote.reject) == (3, 5, False)
    assert follower.storage.initial_state()[0] == HardState(5, 3, 0)


@pytest.mark.behaviour("X61")
def test_a_single_voter_leads_only_when_its_vote_is_durable() -> None:
    host = async_follower(1, voters=(1,))
    host.node.campaign()
    hand_out(host)
    assert host.raft.role is Role.CANDIDATE
    append_next(host)
    assert host.raft.role.value == "StateLeader"


# --- commit and apply ------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X62")
def test_the_disk_s_word_can_advance_the_commit() -> None:
    host = async_leader()
    before = host.raft.log.committed
    host.node.propose(b"x")
    hand_out(host)
    host.node.step(acked(host, 2))  # of three, this one and the leader itself
    assert host.raft.log.committed == before
    assert not host.node.has_ready()
    append_next(host)
    assert host.raft.log.committed == before + 1
    ready = host.node.ready()
    assert ready.hard_state == HardState(1, 1, before + 1)
    assert indexes(ready.committed_entries) == [before + 1]
    assert {append.commit for append in sent(ready.messages, MsgApp)} == {before + 1}


@pytest.mark.behaviour("X63")
def test_followers_can_commit_what_the_leader_has_not_on_disk_and_it_applies_it_later() -> None:
    host = async_leader()
    committed = host.raft.log.committed
    host.node.propose(b"x")
    hand_out(host)
    for follower in (2, 3):
        host.node.step(acked(host, follower))
    assert host.raft.log.committed == committed + 1
    hand_out(host)
    assert to_apply(host) == []
    while host.append_queue:
        append_next(host)
    hand_out(host)
    assert to_apply(host) == [committed + 1]


@pytest.mark.behaviour("X64")
def test_a_follower_hands_out_only_what_is_on_its_disk() -> None:
    host = async_follower(2, terms=(1,))
    host.node.step(app(1, (1, 1), 1, 1, commit=1))
    hand_out(host)
    assert to_apply(host) == [1]
    host.node.step(app(1, (1, 3), 1, commit=4))
    hand_out(host)
    assert host.raft.log.committed == 4
    assert to_apply(host) == [1]
    append_next(host)
    hand_out(host)
    assert to_apply(host) == [1, 2, 3]
    append_next(host)
    hand_out(host)
    assert to_apply(host) == [1, 2, 3, 4]


@pytest.mark.behaviour("X67")
def test_a_commit_index_is_told_only_when_it_changed() -> None:
    host = async_leader()
    host.node.propose(b"x")
    ready, _ = host.accept_ready()
    assert ready.hard_state is None  # nothing new of term, vote or commit
    (job,) = host.append_queue
    assert (job.term, job.vote, job.commit) == (0, 0, 0)
    host.node.step(acked(host, 2))
    append_next(host)
    ready, _ = host.accept_ready()
    assert ready.hard_state == HardState(1, 1, host.raft.log.committed)
    assert not ready.must_sync  # a commit index alone may be lost
    settle(host)
    host.node.step(acked(host, 3))  # brings a message, no commit
    ready, _ = host.accept_ready()
    assert sent(ready.messages, MsgApp)
    assert ready.hard_state is None


@pytest.mark.behaviour("X68")
def test_late_words_on_what_was_applied_do_not_change_what_comes_next() -> None:
    host = async_follower(2, terms=(1,) * 9)
    seen: list[int] = []
    for commit in (3, 6, 9):
        host.node.step(app(1, (1, 9), commit=commit))
        hand_out(host)
        seen += to_apply(host)[len(seen) :]
    assert seen == list(range(1, 10))
    assert [indexes(job.entries) for job in host.apply_queue] == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    for applied in (3, 6, 9):
        apply_next(host)
        assert host.raft.log.applied == applied
        assert host.raft.log.applying == 9
        hand_out(host)
    assert indexes(host.applied) == seen


# --- snapshots -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X65")
def test_a_snapshot_between_outstanding_writes_counts_when_it_is_confirmed() -> None:
    host = async_follower(2, terms=(1,) * 4)
    host.node.step(app(1, (1, 4), 1, commit=2))
    hand_out(host)
    host.node.step(MsgSnap(2, 1, 2, snapshot(10, 1)))
    hand_out(host)
    host.node.step(app(2, (1, 10), 2, 2, commit=12))
    hand_out(host)
    assert queued(host) == [[5], [], [11, 12]]
    log = host.raft.log
    assert (log.last_index, log.committed, log.persisted_index()) == (12, 12, 2)
    append_next(host)  # of a log that is no more
    assert log.persisted_index() == 2
    append_next(host)
    assert log.persisted_index() == 10
    assert host.state == b"state"
    assert log.applied == 10
    append_next(host)
    assert log.persisted_index() == 12
    hand_out(host)
    assert to_apply(host)[-2:] == [11, 12]


@pytest.mark.behaviour("X65")
def test_several_snapshots_are_confirmed_one_by_one_or_together() -> None:
    for together in (False, True):
        host = async_follower(2, terms=(1,) * 4)
        for index in (10, 20):
            host.node.step(MsgSnap(2, 1, 2, snapshot(index, 1, b"%d" % index)))
            host.node.step(app(2, (1, index), 2))
            hand_out(host)
        assert len(host.append_queue) == 2
        if together:
            confirm_only(host, 2)
        else:
            append_next(host)
            assert host.raft.log.persisted_index() == 0
            append_next(host)
        assert host.raft.log.persisted_index() == 21
        assert (host.state, host.raft.log.applied) == (b"20", 20)


@pytest.mark.behaviour("X65")
def test_a_snapshot_counts_even_when_its_confirmation_is_of_an_older_term() -> None:
    host = async_follower(2, terms=(1,) * 4)
    host.node.step(MsgSnap(2, 1, 2, snapshot(10, 1)))
    hand_out(host)
    host.node.step(MsgHeartbeat(2, 3, 3))
    append_next(host)  # what it holds is committed, in any term
    assert host.raft.log.unstable.snapshot is None
    assert (host.raft.log.persisted_index(), host.raft.log.applied) == (10, 10)


@pytest.mark.behaviour("X69")
def test_with_a_snapshot_in_the_ready_there_are_no_committed_entries() -> None:
    host = voter(2)
    host.node.step(MsgSnap(2, 1, 2, snapshot(10, 1)))
    host.node.step(app(2, (1, 10), 2, 2, commit=11))
    ready = host.node.ready()
    assert ready.snapshot is not None
    assert (ready.snapshot.meta.index, indexes(ready.entries), ready.committed_entries) == (10, [11, 12], [])
    assert ready.must_sync
    host.save(ready)
    host.node.advance()
    ready = host.node.ready()
    assert (ready.snapshot, indexes(ready.committed_entries)) == (None, [11])


@pytest.mark.behaviour("X69")
def test_the_same_with_asynchronous_writes() -> None:
    host = async_follower(2)
    host.node.step(MsgSnap(2, 1, 2, snapshot(10, 1)))
    host.node.step(app(2, (1, 10), 2, 2, commit=11))
    hand_out(host)
    assert to_apply(host) == []
    append_next(host)
    hand_out(host)
    assert to_apply(host) == [11]


# --- changes on the way ----------------------------------------------------------------------------------------


@pytest.mark.behaviour("X66")
def test_a_node_that_becomes_leader_with_writes_outstanding_is_not_misled_by_their_answers() -> None:
    host = async_follower(1, terms=(1,))
    host.node.step(MsgApp(1, 2, 1, 1, 1, entries(2, 1, 1), 0))
    hand_out(host)
    host.node.campaign()
    hand_out(host)
    for follower in (2, 3):
        host.node.step(MsgVoteResp(1, follower, host.raft.term))
    hand_out(host)
    assert host.raft.role is Role.LEADER
    assert [job.entries[0].index for job in host.append_queue if job.entries] == [2, 4]
    log = host.raft.log
    before = log.persisted_index()
    append_next(host)  # the write of the follower that it was: of an older term, so it proves nothing now
    assert (log.persisted_index(), log.committed) == (before, 0)
    settle(host)
    assert log.persisted_index() == 4
    host.node.step(acked(host, 2))
    settle(host)
    assert indexes(host.applied) == [1, 2, 3, 4]


@pytest.mark.behaviour("X70")
def test_overwritten_entries_are_replaced_in_the_next_ready_and_only_the_new_are_applied() -> None:
    host = voter(2)
    host.node.step(app(1, (0, 0), 1, 1, 1))
    ready = host.node.ready()
    assert terms_of(ready.entries) == [1, 1, 1]
    host.save(ready)
    # Before that is acknowledged another leader overwrites the last two.
    host.node.step(MsgApp(2, 3, 2, 1, 1, entries(2, 2, 2, data=b"new"), 3))
    host.node.advance()
    ready = host.node.ready()
    assert (indexes(ready.entries), terms_of(ready.entries)) == ([2, 3], [2, 2])
    host.save(ready)
    host.apply(ready.committed_entries)
    host.node.advance()
    receive(host, MsgHeartbeat(2, 3, 2, 3))
    assert terms_of(host.applied) == [1, 2, 2]
    assert host.payloads() == [b"new", b"new"]


@pytest.mark.behaviour("X70")
def test_the_same_with_both_writes_outstanding() -> None:
    host = async_follower(2)
    host.node.step(app(1, (0, 0), 1, 1, 1))
    hand_out(host)
    host.node.step(MsgApp(2, 3, 2, 1, 1, entries(2, 2, 2, data=b"new"), 3))
    hand_out(host)
    assert queued(host) == [[1, 2, 3], [2, 3]]
    append_next(host)
    hand_out(host)
    assert to_apply(host) == []  # its answer is of an older term: not even the first entry is believed
    settle(host)
    assert terms_of(host.applied) == [1, 2, 2]
    assert terms_of(host.storage.entries(1, 4, NO_LIMIT)) == [1, 2, 2]


@pytest.mark.behaviour("X66", "X70")
@pytest.mark.parametrize("back_again", [False, True])
def test_an_answer_about_entries_that_look_the_same_again_is_not_believed(back_again: bool) -> None:
    """Written, overwritten, and the same again: only the last write makes them durable."""
    host = async_follower(2)
    host.node.step(app(1, (0, 0), 1, 1))
    hand_out(host)
    host.node.step(MsgApp(2, 3, 2, 0, 0, entries(1, 2), 0))
    hand_out(host)
    if back_again:
        host.node.step(app(3, (0, 0), 1, 1))
        hand_out(host)
    log = host.raft.log
    append_next(host)
    assert log.persisted_index() == 0
    append_next(host)
    assert log.persisted_index() == (0 if back_again else 1)
    if back_again:
        append_next(host)
        assert log.persisted_index() == 2


# --- candidates ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [False, True])
def test_a_candidate_may_wait_for_its_own_vote_before_it_asks_for_others(first: bool) -> None:
    """Elected by the others alone it may lead, crash, know nothing of that term, and be elected in it a second time."""
    host = async_follower(1, terms=(1,), template=replace(ASYNC, own_vote_first=first))
    host.node.campaign()
    ready = host.node.ready()
    job = next(message for message in ready.messages if isinstance(message, MsgStorageAppend))
    assert (job.term, job.vote) == (2, 1)
    at_once, later = sent(ready.messages, MsgVote), sent(job.responses, MsgVote)
    assert ([vote.to for vote in at_once], [vote.to for vote in later]) == (([], [2, 3]) if first else ([2, 3], []))
    assert sent(job.responses, MsgVoteResp, to=1)


def test_a_pre_candidate_promises_nothing_and_asks_at_once() -> None:
    host = async_follower(1, terms=(1,), template=replace(ASYNC, own_vote_first=True, pre_vote=True))
    host.node.campaign()
    assert [vote.to for vote in sent(host.node.ready().messages, MsgPreVote)] == [2, 3]
