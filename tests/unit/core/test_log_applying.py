"""RaftLog: which committed entries are handed out for application, and the byte budget on what is outstanding."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.types import NO_LIMIT, Entry, Snapshot, SnapshotMeta
from raftly.core.log import RaftLog
from raftly.core.messages import MsgApp, MsgHeartbeat
from raftly.core.role import Role
from raftly.core.sizes import entries_bytes
from raftly.errors import InvariantError
from tests.support.lone import acked, entries, indexes
from tests.support.network import Host, storage_with
from tests.support.threads import ASYNC, append_next, apply_next, async_leader, hand_out, settle


def log_at(
    *, applied: int, applying: int, unstable_from: int = 7, budget: int = NO_LIMIT, committed: int = 6
) -> RaftLog:
    """Entries 1 to 7 of term 1 behind a snapshot at 3, durable below `unstable_from`."""
    log = RaftLog(storage_with(snapshot=(3, 1), terms=[1] * (unstable_from - 4)), budget)
    log.append(entries(unstable_from, *[1] * (8 - unstable_from)))
    log.commit_to(committed)
    log.applied_to(applied, 0)
    if applying > applied:
        log.accept_applying(log.slice(applied + 1, applying + 1, NO_LIMIT), True)
        log.applying_paused = False
    return log


def bytes_of(count: int) -> int:
    return entries_bytes(entries(4, *[1] * count))


@pytest.mark.behaviour("LG07", "LG08")
@pytest.mark.parametrize("allow_unstable", [False, True])
@pytest.mark.parametrize("unstable_from", [4, 5, 6, 7])
@pytest.mark.parametrize("applying", [3, 4, 5, 6])
def test_committed_entries_are_handed_out_once_and_only_when_durable_unless_allowed(
    applying: int, unstable_from: int, allow_unstable: bool
) -> None:
    log = log_at(applied=3, applying=applying, unstable_from=unstable_from)
    bound = 6 if allow_unstable else unstable_from - 1
    assert indexes(log.next_committed(allow_unstable)) == list(range(applying + 1, bound + 1))
    assert log.has_next_committed(allow_unstable) is (applying < bound)


@pytest.mark.behaviour("LG07", "LG08")
def test_nothing_is_handed_out_while_paused_or_while_a_snapshot_is_not_durable() -> None:
    log = log_at(applied=3, applying=3)
    log.applying_paused = True
    assert not log.has_next_committed(True)
    assert log.next_committed(True) == []

    log = log_at(applied=3, applying=3)
    log.restore(Snapshot(SnapshotMeta(9, 1)))
    log.append(entries(10, 1))
    log.commit_to(10)
    for accepted in (False, True):  # waiting to be handed out, or being written
        assert not log.has_next_committed(True)
        assert log.next_committed(True) == []
        if not accepted:
            log.unstable.accept_in_progress()
    log.stable_snap_to(9)
    log.applied_to(9, 0)
    assert indexes(log.next_committed(True)) == [10]


@pytest.mark.behaviour("LG08")
def test_what_is_handed_out_fits_into_what_is_left_of_the_budget() -> None:
    for outstanding in (1, 2):
        for room, wanted in ((0, 1), (1, 1), (2, 2), (3, 3)):
            budget = bytes_of(outstanding) + (bytes_of(room) or 1)
            log = RaftLog(storage_with(snapshot=(3, 1), terms=[1] * 6), budget)
            log.commit_to(9)
            log.accept_applying(log.slice(4, 4 + outstanding, NO_LIMIT), False)
            log.applying_paused = False
            assert len(log.next_committed(False)) == wanted


@pytest.mark.behaviour("LG09")
@pytest.mark.parametrize(
    "taken, budget, allow_unstable, paused",
    [
        (3, 100, True, False),  # all there is, and room left
        (3, 0, True, True),  # all there is, but the budget is used up
        (2, 100, True, True),  # less than everything: it is fetched again when there is room
        (2, 100, False, False),  # everything that is durable
        (1, 100, False, True),
        (3, -1, True, True),
    ],
)
def test_accepting_pauses_when_the_budget_is_used_up_or_something_was_left_behind(
    taken: int, budget: int, allow_unstable: bool, paused: bool
) -> None:
    log = log_at(applied=3, applying=3, unstable_from=6, budget=max(bytes_of(taken) + budget, 1))
    batch = log.slice(4, 4 + taken, NO_LIMIT)
    log.accept_applying(batch, allow_unstable)
    assert log.applying == 3 + taken
    assert log.applying_bytes == bytes_of(taken)
    assert log.applying_paused is paused


@pytest.mark.behaviour("LG09")
def test_accepting_more_than_is_committed_aborts() -> None:
    log = log_at(applied=3, applying=3)
    with pytest.raises(InvariantError, match=r"applying\(7\) is out of range \[prevApplying\(3\), committed\(6\)\]"):
        log.accept_applying(log.slice(4, 8, NO_LIMIT), True)


@pytest.mark.behaviour("LG10")
@pytest.mark.parametrize(
    "to, acknowledged, left, paused",
    [(4, 1, 2, True), (5, 2, 1, False), (6, 3, 0, False), (4, 100, 0, False), (6, 0, 3, True)],
)
def test_acknowledging_gives_back_bytes_and_looks_at_the_pause_again(
    to: int, acknowledged: int, left: int, paused: bool
) -> None:
    log = log_at(applied=3, applying=3, budget=bytes_of(2))
    log.accept_applying(log.slice(4, 7, NO_LIMIT), True)
    assert log.applying_paused
    log.applied_to(to, bytes_of(acknowledged))
    assert (log.applied, log.applying) == (to, 6)
    assert log.applying_bytes == bytes_of(left)
    assert log.applying_paused is paused


@pytest.mark.behaviour("LG10")
def test_acknowledging_beyond_what_was_handed_out_moves_that_mark_along() -> None:
    log = log_at(applied=3, applying=4)
    log.applied_to(6, 0)
    assert (log.applied, log.applying) == (6, 6)
    for outside in (5, 7):
        with pytest.raises(InvariantError, match=rf"applied\({outside}\) is out of range"):
            log.applied_to(outside, 0)


# --- the budget at run time ------------------------------------------------------------------------------------

FIFTY = b"x" * 50
ONE = entries_bytes([Entry(1, 2, data=FIFTY)])


def leader_of_itself(budget: int) -> Host:
    """The only voter, asynchronous, its empty entry applied."""
    return async_leader(voters=(1,), template=replace(ASYNC, max_committed_size_per_ready=budget))


def commit(host: Host, count: int) -> None:
    """Append and commit `count` entries of FIFTY, and hand out what may be applied."""
    host.node.propose_batch([FIFTY] * count)
    hand_out(host)
    while host.append_queue:
        append_next(host)
        hand_out(host)


def batches(host: Host) -> list[list[int]]:
    """What is handed out, batch by batch, each acknowledged before the next."""
    seen = []
    while host.apply_queue:
        seen.append(indexes(host.apply_queue[0].entries))
        apply_next(host)
        hand_out(host)
    return seen


@pytest.mark.behaviour("X72")
def test_a_budget_of_zero_still_gives_one_entry_at_a_time() -> None:
    host = leader_of_itself(NO_LIMIT)
    host.node.set_max_committed_size_per_ready(0)
    commit(host, 3)
    assert batches(host) == [[2], [3], [4]]


@pytest.mark.behaviour("X72")
def test_the_budget_can_be_lowered_below_what_is_outstanding() -> None:
    host = leader_of_itself(3 * ONE)
    commit(host, 2)
    host.node.set_max_committed_size_per_ready(ONE)
    commit(host, 2)
    assert len(host.apply_queue) == 1  # nothing more until that is acknowledged
    assert batches(host) == [[2, 3], [4], [5]]


@pytest.mark.behaviour("X72")
def test_raising_the_budget_gives_more_at_once_and_lifting_it_gives_everything() -> None:
    host = leader_of_itself(ONE)
    commit(host, 6)
    assert not host.node.has_ready()
    host.node.set_max_committed_size_per_ready(3 * ONE)
    hand_out(host)
    host.node.set_max_committed_size_per_ready(NO_LIMIT)
    hand_out(host)
    assert batches(host) == [[2], [3, 4], [5, 6, 7]]
    # A limit set after that is not spoilt by what was outstanding when there was none.
    host.node.set_max_committed_size_per_ready(ONE)
    commit(host, 2)
    assert batches(host) == [[8], [9]]


@pytest.mark.behaviour("X72")
def test_entries_that_are_not_durable_are_not_given_whatever_the_budget() -> None:
    host = async_leader()
    host.node.set_max_committed_size_per_ready(NO_LIMIT)
    host.node.propose_batch([FIFTY] * 2)
    hand_out(host)
    for follower in (2, 3):
        host.node.step(acked(host, follower))
    hand_out(host)
    assert host.raft.log.committed == 3
    assert not host.apply_queue
    append_next(host)
    hand_out(host)
    assert batches(host) == [[2, 3]]


# --- applying ahead of the own disk ----------------------------------------------------------------------------


@pytest.mark.behaviour("X73")
@pytest.mark.parametrize("ahead", [0, 1, 2, 3, 10])
def test_a_leader_hands_out_committed_entries_up_to_a_limit_beyond_what_is_durable(ahead: int) -> None:
    template = replace(ASYNC, max_apply_unpersisted_log_limit=ahead)
    host = async_leader(template=template)
    durable = host.raft.log.persisted_index()
    host.node.propose_batch([b""] * 3)
    hand_out(host)
    for follower in (2, 3):
        host.node.step(acked(host, follower))
    hand_out(host)
    assert host.raft.log.committed == durable + 3
    given = [index for message in host.apply_queue for index in indexes(message.entries)]
    assert given == list(range(durable + 1, durable + 1 + min(ahead, 3)))
    # What was applied early stays applied; the rest comes when the disk is done, and nothing comes twice.
    while host.apply_queue:
        apply_next(host)
    settle(host)
    assert indexes(host.applied)[-3:] == [durable + 1, durable + 2, durable + 3]
    assert host.raft.log.applied == durable + 3


@pytest.mark.behaviour("X15")
@pytest.mark.parametrize("cause", ["quorum lost", "higher term"])
def test_becoming_follower_ends_applying_ahead(cause: str) -> None:
    template = replace(ASYNC, max_apply_unpersisted_log_limit=5, check_quorum=True)
    host = async_leader(template=template)
    assert host.raft.log.apply_ahead == 5
    if cause == "quorum lost":
        for _ in range(2 * template.election_tick):
            host.node.tick()
    else:
        host.node.step(MsgHeartbeat(1, 2, host.raft.term + 1))
    assert host.raft.role is Role.FOLLOWER
    assert host.raft.log.apply_ahead == 0
    settle(host)
    # A follower hands out only what is durable here.
    log = host.raft.log
    host.node.step(
        MsgApp(1, 2, host.raft.term, log.last_term, log.last_index, entries(log.last_index + 1, host.raft.term), 99)
    )
    hand_out(host)
    assert log.committed == log.last_index
    assert not host.apply_queue
