"""Asynchronous storage writes: what the storage threads are told, what their answers allow, and stale answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeType, ConfState
from raftly.base.types import Entry, EntryType, Snapshot, SnapshotMeta
from raftly.core.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    Message,
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgSnap,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
    MsgVoteResp,
)
from raftly.core.role import Role
from raftly.core.sizes import entries_bytes
from raftly.errors import InvariantError
from tests.support.lone import entries, indexes, sent, terms_of, voter
from tests.support.network import DEFAULTS, Host, cluster, host_with, storage_with

ASYNC = replace(DEFAULTS, async_storage_writes=True)


def app(prev: int, prev_term: int, *terms: int, term: int, commit: int = 0) -> MsgApp:
    return MsgApp(1, 2, term, prev_term, prev, entries(prev + 1, *terms), commit)


def jobs(host: Host) -> tuple[MsgStorageAppend | None, MsgStorageApply | None]:
    """Take a Ready; its work for the append thread and for the apply thread."""
    ready = host.node.ready()
    appends, applies = sent(ready.messages, MsgStorageAppend), sent(ready.messages, MsgStorageApply)
    assert len(appends) <= 1
    assert len(applies) <= 1
    # What leaves the node comes first, then the append, then the apply.
    assert ready.messages[len(ready.messages) - len(appends) - len(applies) :] == [*appends, *applies]
    return appends[0] if appends else None, applies[0] if applies else None


def append_job(host: Host) -> MsgStorageAppend:
    """Take a Ready that has work for the append thread."""
    job, _ = jobs(host)
    assert job is not None
    return job


def write(host: Host, job: MsgStorageAppend) -> list[Message]:
    """The append thread does its work; the answers to this node are stepped, the others come back."""
    if job.snapshot is not None:
        host.storage.apply_snapshot(job.snapshot)
    host.storage.append(job.entries)
    return answer(host, job.responses)


def answer(host: Host, responses: Iterable[Message]) -> list[Message]:
    leaving: list[Message] = []
    for response in responses:
        if response.to == host.id:
            host.node.step(response)
        else:
            leaving.append(response)
    return leaving


def settle(host: Host) -> None:
    """Do all storage work until there is none."""
    while host.node.has_ready() or host.append_queue or host.apply_queue:
        if host.node.has_ready():
            host.run_ready()
        while host.append_queue:
            answer(host, host.run_append())
        while host.apply_queue:
            answer(host, host.run_apply())


def receive_all(host: Host, *messages: Message) -> None:
    """Step messages and do all the work that follows."""
    for message in messages:
        host.node.step(message)
    settle(host)


# --- messages and their answers --------------------------------------------------------------------------------


@pytest.mark.behaviour("RN27")
def test_the_append_thread_is_told_what_to_write_and_what_to_answer() -> None:
    host = voter(template=ASYNC)
    host.node.step(app(0, 0, 1, 1, term=1, commit=1))
    job = append_job(host)
    assert (job.to, job.from_) == (APPEND_THREAD, 1)
    assert (job.term, job.vote, job.commit) == (1, 0, 1)
    assert job.entries == entries(1, 1, 1)
    assert job.responses == [MsgAppResp(2, 1, 1, 2), MsgStorageAppendResp(1, APPEND_THREAD, 1, 1, 2)]
    assert write(host, job) == [MsgAppResp(2, 1, 1, 2)]  # this is when the leader may hear of it
    assert host.raft.log.unstable.offset == 3
    _, apply = jobs(host)
    assert apply == MsgStorageApply(
        APPLY_THREAD, 1, 0, entries(1, 1), [MsgStorageApplyResp(1, APPLY_THREAD, 0, entries(1, 1))]
    )
    assert host.raft.log.applied == 0
    answer(host, apply.responses)
    assert host.raft.log.applied == 1
    assert not host.node.has_ready()


@pytest.mark.behaviour("RN27")
def test_a_job_names_the_hard_state_only_when_it_changed() -> None:
    host = voter(template=ASYNC)
    receive_all(host, app(0, 0, 1, term=1))
    host.node.step(app(1, 1, 1, term=1))
    job = append_job(host)
    assert (job.term, job.vote, job.commit) == (0, 0, 0)
    assert indexes(job.entries) == [2]


@pytest.mark.behaviour("RN27")
def test_a_vote_waits_in_the_job_that_makes_it_durable() -> None:
    host = voter(voters=(1,), template=ASYNC)
    host.node.campaign()
    job = append_job(host)
    assert (job.term, job.vote) == (1, 1)
    assert job.responses == [MsgVoteResp(1, 1, 1)]  # nothing was appended, so the disk itself has nothing to say
    assert host.raft.leader == 0
    write(host, job)
    assert host.raft.role is Role.LEADER


@pytest.mark.behaviour("RN27")
@pytest.mark.parametrize("size", [1, 3])
def test_stepping_the_answers_drives_commit_and_application(size: int) -> None:
    network = cluster(size, ASYNC)
    network.campaign(1)
    for data in (b"a", b"b", b"c"):
        network.propose(1, data)
    assert [host.payloads() for host in network.hosts.values()] == [[b"a", b"b", b"c"]] * size
    assert network.raft(1).log.applied == 4


def test_advance_has_no_place_with_asynchronous_writes() -> None:
    host = voter(template=ASYNC)
    with pytest.raises(InvariantError, match="AsyncStorageWrites"):
        host.node.advance()


# --- only what is durable here is applied here -----------------------------------------------------------------


def test_a_follower_applies_only_what_its_own_disk_has() -> None:
    host = voter(template=ASYNC)
    host.node.step(app(0, 0, 1, 1, 1, term=1, commit=2))
    first, apply = jobs(host)
    assert host.raft.log.committed == 2
    assert apply is None
    assert first is not None
    host.node.step(app(3, 1, 1, term=1, commit=4))
    second, apply = jobs(host)
    assert apply is None
    assert second is not None
    write(host, first)
    # That answer spoke of entry 3, the end of the log when it was made.
    _, apply = jobs(host)
    assert apply is not None
    assert indexes(apply.entries) == [1, 2, 3]
    write(host, second)
    _, apply = jobs(host)
    assert apply is not None
    assert indexes(apply.entries) == [4]


def test_a_leader_applies_what_others_committed_only_once_its_own_disk_has_it() -> None:
    host = voter(template=ASYNC)
    host.node.campaign()
    write(host, append_job(host))
    host.node.step(MsgVoteResp(1, 2, 1))
    assert host.raft.role is Role.LEADER
    job = append_job(host)
    host.node.step(MsgAppResp(1, 2, 1, 1))
    host.node.step(MsgAppResp(1, 3, 1, 1))
    assert host.raft.log.committed == 1  # by the other two
    assert host.node.peek_ready().committed_entries == []
    write(host, job)
    assert indexes(host.node.peek_ready().committed_entries) == [1]


# --- what was handed out is not handed out again, unless it was replaced ---------------------------------------


def test_entries_overwritten_while_being_written_are_handed_out_anew() -> None:
    host = voter(template=ASYNC)
    host.node.step(app(0, 0, 1, 1, 1, 1, term=1))
    old = append_job(host)
    assert not host.node.has_ready()
    host.node.step(app(2, 1, 2, 2, term=2))  # cuts entries 3 and 4 of term 1
    new = append_job(host)
    assert [(entry.term, entry.index) for entry in new.entries] == [(2, 3), (2, 4)]
    write(host, old)
    assert host.raft.log.unstable.offset == 1  # that answer was about a log that is gone
    write(host, new)
    assert host.raft.log.unstable.offset == 5
    assert terms_of(host.storage.entries(1, 5, 1 << 20)) == [1, 1, 2, 2]


def test_entries_overwritten_down_to_the_first_are_handed_out_anew() -> None:
    host = voter(template=ASYNC)
    host.node.step(app(0, 0, 1, 1, term=1))
    append_job(host)
    host.node.step(app(0, 0, 2, term=2))
    assert [(entry.term, entry.index) for entry in append_job(host).entries] == [(2, 1)]


def test_entries_appended_behind_those_being_written_come_alone() -> None:
    host = voter(template=ASYNC)
    host.node.step(app(0, 0, 1, 1, term=1))
    append_job(host)
    host.node.step(app(2, 1, 1, term=1))
    assert indexes(append_job(host).entries) == [3]


@pytest.mark.behaviour("RN28")
def test_a_late_answer_never_makes_a_rewritten_log_durable_even_if_it_looks_the_same() -> None:
    host = voter(template=ASYNC)
    host.node.step(app(0, 0, 1, 1, term=1))
    first = append_job(host)
    host.node.step(app(0, 0, 2, term=2))  # another leader overwrites both
    second = append_job(host)
    host.node.step(MsgApp(1, 3, 3, 0, 0, entries(1, 1, 1), 0))  # and a third brings the first entries back
    third = append_job(host)
    assert host.log_terms() == [1, 1]
    write(host, first)  # it acknowledges (1, 2), and exactly that is in the log now: but not on the disk for good
    assert host.raft.log.unstable.offset == 1
    write(host, second)
    assert host.raft.log.unstable.offset == 1
    assert host.storage.last_index() == 1
    write(host, third)
    assert host.raft.log.unstable.offset == 3
    assert terms_of(host.storage.entries(1, 3, 1 << 20)) == [1, 1]


def test_a_late_answer_about_an_entry_overwritten_in_the_same_term_trims_nothing() -> None:
    host = voter(template=ASYNC)
    host.node.step(app(0, 0, 1, 1, term=1))
    host.node.step(MsgHeartbeat(1, 2, 2))
    first = append_job(host)  # will acknowledge (1, 2), in term 2
    host.node.step(app(1, 1, 2, term=2))
    second = append_job(host)
    write(host, first)
    assert host.raft.log.unstable.offset == 1
    write(host, second)
    assert host.raft.log.unstable.offset == 3
    assert terms_of(host.storage.entries(1, 3, 1 << 20)) == [1, 2]


# --- snapshots -------------------------------------------------------------------------------------------------


def snapshot(index: int) -> Snapshot:
    return Snapshot(SnapshotMeta(index, 1, ConfState((1, 2, 3))), b"%d" % index)


def test_a_snapshot_is_handed_out_once() -> None:
    host = voter(template=ASYNC)
    host.node.step(MsgSnap(1, 2, 1, snapshot(5)))
    job = append_job(host)
    assert job.snapshot == snapshot(5)
    assert job.responses[-1] == MsgStorageAppendResp(1, APPEND_THREAD, 1, 0, 0, snapshot(5))
    assert not host.node.has_ready()
    host.node.step(app(5, 1, 1, term=1, commit=6))
    following, apply = jobs(host)
    assert following is not None
    assert (following.snapshot, indexes(following.entries), apply) == (None, [6], None)
    write(host, job)
    assert host.raft.log.applied == 5
    write(host, following)
    _, apply = jobs(host)
    assert apply is not None
    assert indexes(apply.entries) == [6]


def test_a_second_snapshot_amid_the_first_is_handed_out_and_waited_for() -> None:
    host = voter(template=ASYNC)
    host.node.step(MsgSnap(1, 2, 1, snapshot(5)))
    first = append_job(host)
    host.node.step(MsgSnap(1, 2, 1, snapshot(9)))
    second = append_job(host)
    assert second.snapshot == snapshot(9)
    write(host, first)
    assert host.raft.log.unstable.maybe_first_index() == 10  # the second one is still being written
    write(host, second)
    assert host.raft.log.unstable.snapshot is None
    assert host.raft.log.applied == 9


def test_a_snapshot_counts_even_when_its_answer_is_of_an_older_term() -> None:
    host = voter(template=ASYNC)
    host.node.step(MsgSnap(1, 2, 1, snapshot(5)))
    job = append_job(host)
    host.node.step(MsgHeartbeat(1, 3, 2))
    write(host, job)
    assert host.raft.log.unstable.snapshot is None
    assert host.raft.log.applied == 5


def test_changes_that_a_snapshot_overtakes_leave_its_configuration_alone() -> None:
    """They are still being applied when it comes (soak, seed 8902047): one node went on with other members."""
    host = voter(template=ASYNC)
    old, new = ConfChange(ConfChangeType.ADD_NODE, 7), ConfChange(ConfChangeType.ADD_NODE, 8)
    in_flight = [Entry(1, 1, EntryType.CONF_CHANGE, old.encode()), Entry(1, 2, EntryType.CONF_CHANGE, new.encode())]
    host.node.step(MsgApp(1, 2, 1, 0, 0, in_flight, 2))
    write(host, append_job(host))
    _, first = jobs(host)
    assert first is not None
    assert indexes(first.entries) == [1, 2]
    assert host.node.apply_conf_change(old).voters == (1, 2, 3, 7)
    host.node.step(MsgSnap(1, 2, 1, snapshot(9)))
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3))
    assert host.node.apply_conf_change(new).voters == (1, 2, 3, 7, 8), "so it was at that entry"
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3))
    write(host, append_job(host))
    answer(host, first.responses)

    host.node.step(MsgApp(1, 2, 1, 1, 9, [Entry(1, 10, EntryType.CONF_CHANGE, new.encode())], 10))
    write(host, append_job(host))
    _, second = jobs(host)
    assert second is not None
    assert host.node.apply_conf_change(new).voters == (1, 2, 3, 8)
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3, 8))


def test_each_of_two_snapshots_overtakes_what_was_handed_out_before_it() -> None:
    host = voter(template=ASYNC)
    host.node.step(MsgApp(1, 2, 1, 0, 0, entries(1, 1), 1))
    write(host, append_job(host))
    _, first = jobs(host)
    assert first is not None
    host.node.step(MsgSnap(1, 2, 1, snapshot(5)))
    write(host, append_job(host))
    host.node.step(MsgApp(1, 2, 1, 1, 5, entries(6, 1), 6))
    write(host, append_job(host))
    _, second = jobs(host)
    assert second is not None
    host.node.step(MsgSnap(1, 2, 1, snapshot(9)))
    assert [last for last, _ in host.raft.behind] == [1, 6]
    answer(host, first.responses)
    assert [last for last, _ in host.raft.behind] == [6]
    change = ConfChange(ConfChangeType.ADD_NODE, 7)
    assert host.node.apply_conf_change(change).voters == (1, 2, 3, 7)
    assert host.raft.tracker.config.conf_state() == ConfState((1, 2, 3))
    answer(host, second.responses)
    assert not host.raft.behind


# --- how much is handed out for application --------------------------------------------------------------------


@pytest.mark.behaviour("RN22")
def test_committed_entries_come_in_batches_within_the_limit() -> None:
    size = entries_bytes([Entry(1, 2, data=b"a" * 100)])
    template = replace(DEFAULTS, max_committed_size_per_ready=2 * size)
    host = host_with(1, template, storage_with(voters=(1,)))
    host.node.campaign()
    while host.applied_index < 1:
        host.run_ready()
    for data in (b"a" * 100, b"b" * 100, b"c" * 100, b"d" * 300, b"e"):
        host.node.propose(data)
    host.run_ready()  # writes them; what commits is in the next ones
    batches: list[list[int]] = []
    while host.node.has_ready():
        before = len(host.applied)
        host.run_ready()
        batches.append(indexes(host.applied[before:]))
    assert batches == [[2, 3], [4], [5], [6]]  # entry 5 alone is larger than the limit


@pytest.mark.behaviour("RN23")
def test_the_limit_covers_all_apply_messages_that_are_not_acknowledged() -> None:
    size = entries_bytes([Entry(1, 2, data=b"a" * 100)])
    template = replace(ASYNC, max_committed_size_per_ready=2 * size)
    host = host_with(1, template, storage_with(voters=(1,)))
    host.node.campaign()
    settle(host)
    applies: list[MsgStorageApply] = []
    for _ in range(5):
        host.node.propose(b"a" * 100)
        write(host, append_job(host))
        if host.node.has_ready():
            _, apply = jobs(host)
            applies += [apply] if apply is not None else []
    # Two fit the budget; the rest, though committed, wait for an acknowledgement.
    assert [indexes(apply.entries) for apply in applies] == [[2], [3]]
    assert host.raft.log.committed == 6
    assert not host.node.has_ready()
    answer(host, applies[0].responses)
    _, apply = jobs(host)
    assert apply is not None
    assert indexes(apply.entries) == [4]
    assert not host.node.has_ready()
    answer(host, applies[1].responses)
    answer(host, apply.responses)
    _, apply = jobs(host)
    assert apply is not None
    assert indexes(apply.entries) == [5, 6]
