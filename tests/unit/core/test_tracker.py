"""Progress: what a leader knows of one peer, and when it may send."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from raftly.core.tracker import Inflights, Progress, ProgressState
from raftly.errors import InvariantError

PROBE, REPLICATE, SNAPSHOT = ProgressState.PROBE, ProgressState.REPLICATE, ProgressState.SNAPSHOT


def progress(
    state: ProgressState = PROBE, match: int = 0, next_: int = 1, *, pending: int = 0, window: int = 256
) -> Progress:
    """A peer in this state; in Snapshot, of the snapshot at `pending`."""
    made = Progress(next_, Inflights(window), match=match, active=True)
    if state is REPLICATE:
        made.become_replicate()
        made.sent_entries(next_ - match - 1, 0)
    elif state is SNAPSHOT:
        made.become_snapshot(pending)
    return made


@pytest.mark.behaviour("TR01")
def test_a_progress_prints_what_differs_from_the_ordinary() -> None:
    assert str(progress()) == "StateProbe match=0 next=1"
    assert str(Progress(1, Inflights(1))) == "StateProbe match=0 next=1 inactive"
    assert str(progress(REPLICATE, 3, 4)) == "StateReplicate match=3 next=4"
    assert str(progress(REPLICATE, 3, 6)) == "StateReplicate match=3 next=6 inflight=1"
    assert str(progress(REPLICATE, 3, 6, window=1)) == "StateReplicate match=3 next=6 paused inflight=1[full]"
    assert str(progress(SNAPSHOT, 3, pending=9)) == "StateSnapshot match=3 next=10 paused pendingSnap=9"
    full = Progress(1, Inflights(1), is_learner=True)
    full.become_snapshot(7)
    assert str(full) == "StateSnapshot match=0 next=8 learner paused pendingSnap=7 inactive"


@pytest.mark.behaviour("TR02")
def test_the_flag_pauses_probe_and_replicate_and_snapshot_always_is() -> None:
    for state in (PROBE, REPLICATE):
        for flag in (False, True):
            peer = progress(state, 1, 2)
            peer.flow_paused = flag
            assert peer.is_paused() is flag
    peer = progress(SNAPSHOT, 1, pending=9)
    assert peer.is_paused()
    peer.flow_paused = False
    assert peer.is_paused()


@pytest.mark.behaviour("TR02")
def test_sending_pauses_a_probe_with_entries_and_a_replicating_peer_with_a_full_window() -> None:
    for count, paused in ((0, False), (3, True)):  # an empty one may only have told the commit index
        peer = progress(PROBE, 1, 2)
        peer.sent_entries(count, 30)
        assert peer.flow_paused is paused
        assert (peer.next, peer.inflights.count()) == (2, 0)  # a probe does not run ahead

    peer = progress(REPLICATE, 1, 2, window=2)
    peer.sent_entries(0, 0)
    assert (peer.next, peer.inflights.count(), peer.flow_paused) == (2, 0, False)
    peer.sent_entries(3, 30)
    assert (peer.next, peer.inflights.count(), peer.flow_paused) == (5, 1, False)
    peer.sent_entries(1, 10)
    assert (peer.next, peer.inflights.count(), peer.flow_paused) == (6, 2, True)
    assert peer.inflights.payload_bytes() == 40
    with pytest.raises(InvariantError, match="unhandled state StateSnapshot"):
        progress(SNAPSHOT, pending=5).sent_entries(1, 1)


@pytest.mark.behaviour("TR03")
def test_a_genuine_rejection_and_an_update_resume_a_stale_one_does_not() -> None:
    acts: list[tuple[Callable[[Progress], bool], bool]] = [
        (lambda peer: peer.maybe_decr_to(1, 1), True),
        (lambda peer: peer.maybe_update(2), True),
        (lambda peer: peer.maybe_decr_to(7, 1), False),
        (lambda peer: peer.maybe_update(0), False),
    ]
    for act, resumes in acts:
        peer = progress(PROBE, 0, 2)
        peer.flow_paused = True
        assert act(peer) is resumes
        assert peer.flow_paused is not resumes


@pytest.mark.behaviour("TR04")
def test_becoming_probe_starts_behind_match_or_behind_a_finished_snapshot() -> None:
    peer = progress(REPLICATE, 1, 5)
    peer.become_probe()
    assert (peer.state, peer.match, peer.next) == (PROBE, 1, 2)
    assert peer.inflights.count() == 0

    peer = progress(SNAPSHOT, 1, pending=10)
    peer.become_probe()  # it arrived
    assert (peer.state, peer.match, peer.next, peer.pending_snapshot) == (PROBE, 1, 11, 0)

    peer = progress(SNAPSHOT, 1, pending=10)
    peer.pending_snapshot = 0  # it failed
    peer.become_probe()
    assert (peer.state, peer.match, peer.next) == (PROBE, 1, 2)

    peer = progress(SNAPSHOT, 1, pending=10)
    peer.maybe_update(15)  # it got further by another way
    peer.become_probe()
    assert (peer.match, peer.next) == (15, 16)


@pytest.mark.behaviour("TR04")
def test_becoming_probe_lowers_the_sent_commit_below_next() -> None:
    peer = progress(REPLICATE, 1, 5)
    peer.sent_commit = 4
    peer.become_probe()
    assert peer.sent_commit == 1
    peer.sent_commit = 0
    peer.become_probe()
    assert peer.sent_commit == 0


@pytest.mark.behaviour("TR05")
def test_becoming_replicate_starts_behind_match_with_an_empty_window() -> None:
    peer = progress(PROBE, 1, 5)
    peer.flow_paused = True
    peer.become_replicate()
    assert (peer.state, peer.match, peer.next, peer.flow_paused) == (REPLICATE, 1, 2, False)
    peer.sent_entries(3, 1)
    peer.become_replicate()
    assert (peer.next, peer.inflights.count(), peer.inflights.payload_bytes()) == (2, 0, 0)


@pytest.mark.behaviour("TR06")
def test_becoming_snapshot_keeps_match_and_notes_what_is_pending() -> None:
    peer = progress(REPLICATE, 1, 5)
    peer.become_snapshot(10)
    assert (peer.state, peer.match, peer.next) == (SNAPSHOT, 1, 11)
    assert (peer.pending_snapshot, peer.sent_commit) == (10, 10)
    assert peer.inflights.count() == 0
    assert not peer.is_snapshot_caught_up()
    assert peer.maybe_update(10)
    assert peer.is_snapshot_caught_up()


@pytest.mark.behaviour("TR07")
@pytest.mark.parametrize(
    "index, match, next_, moved",
    [(2, 3, 5, False), (3, 3, 5, False), (4, 4, 5, True), (5, 5, 6, True), (9, 9, 10, True)],
)
def test_an_update_raises_match_and_never_lowers_next(index: int, match: int, next_: int, moved: bool) -> None:
    peer = progress(PROBE, 3, 5)
    assert peer.maybe_update(index) is moved
    assert (peer.match, peer.next) == (match, next_)


@pytest.mark.behaviour("TR08")
@pytest.mark.parametrize(
    "state, match, next_, rejected, hint, genuine, wanted",
    [
        (REPLICATE, 5, 10, 5, 5, False, 10),  # stale: it holds that
        (REPLICATE, 5, 10, 4, 4, False, 10),
        (REPLICATE, 5, 10, 9, 9, True, 6),  # everything on its way may be lost
        (PROBE, 0, 0, 0, 0, False, 0),
        (PROBE, 0, 10, 5, 5, False, 10),  # stale: another probe is on its way
        (PROBE, 0, 10, 9, 9, True, 9),
        (PROBE, 0, 2, 1, 1, True, 1),
        (PROBE, 0, 1, 0, 0, True, 1),  # at least 1
        (PROBE, 0, 10, 9, 2, True, 3),  # the hint
        (PROBE, 0, 10, 9, 0, True, 1),
        (PROBE, 0, 10, 9, 20, True, 9),  # a hint ahead of the rejected index says nothing
        (PROBE, 4, 10, 9, 1, True, 5),  # never at or below match
    ],
)
def test_rejections(
    state: ProgressState, match: int, next_: int, rejected: int, hint: int, genuine: bool, wanted: int
) -> None:
    peer = progress(state, match, next_)
    assert peer.maybe_decr_to(rejected, hint) is genuine
    assert (peer.match, peer.next) == (match, wanted)


@pytest.mark.behaviour("TR08")
def test_a_genuine_rejection_lowers_the_sent_commit() -> None:
    peer = progress(PROBE, 0, 10)
    peer.sent_commit = 9
    assert not peer.maybe_decr_to(3, 3)
    assert peer.sent_commit == 9
    assert peer.maybe_decr_to(9, 3)
    assert peer.sent_commit == 3


@pytest.mark.behaviour("TR08")
def test_a_commit_is_worth_sending_only_when_it_concerns_entries_that_were_sent() -> None:
    peer = progress(REPLICATE, 3, 6)
    peer.sent_commit = 3
    assert not peer.can_bump_commit(3)
    assert peer.can_bump_commit(4)
    assert peer.can_bump_commit(9)
    peer.sent_commit = 5  # next - 1: the peer knows all that it can commit
    assert not peer.can_bump_commit(9)
