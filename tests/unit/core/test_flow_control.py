"""How much a leader sends to each peer: one probe, a stream within a window, or nothing. What it tells of commits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.types import Entry
from raftly.core.messages import Message, MsgApp, MsgHeartbeatResp
from raftly.core.sizes import entry_bytes
from raftly.errors import InvariantError
from tests.support.lone import acked, indexes, leader, peer, propose, receive, sent, take
from tests.support.network import DEFAULTS, Host

HEARTBEAT_ANSWER = MsgHeartbeatResp(1, 2, 1)


def appended(messages: list[Message], to: int = 2) -> list[list[int]]:
    """For each append to a peer, the indexes it carries."""
    return [indexes(append.entries) for append in sent(messages, MsgApp, to)]


# --- probe -----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("FC01")
def test_the_leaders_own_match_moves_only_when_its_entries_are_durable() -> None:
    host = leader()
    host.node.propose(b"a")
    host.node.propose(b"b")
    assert (peer(host, 1).match, peer(host, 1).next) == (1, 2)
    ready = host.node.ready()
    assert peer(host, 1).match == 1
    host.save(ready)
    host.node.advance()
    assert (peer(host, 1).match, peer(host, 1).next) == (3, 4)


@pytest.mark.behaviour("FC02")
def test_a_beat_does_not_release_a_paused_peer_and_a_heartbeat_answer_does() -> None:
    host = leader()
    assert peer(host, 2).is_paused()
    host.node.tick()
    assert appended(take(host)) == []
    assert peer(host, 2).is_paused()
    propose(host)
    assert appended(receive(host, HEARTBEAT_ANSWER)) == [[1, 2]]
    # The answer let one probe out, which is waited for again.
    assert peer(host, 2).is_paused()


@pytest.mark.behaviour("FC02")
def test_a_heartbeat_answer_leaves_a_peer_that_lacks_nothing_unpaused() -> None:
    host = leader(followed_by=[2, 3])
    receive(host, HEARTBEAT_ANSWER)
    assert str(peer(host, 2)) == "StateReplicate match=1 next=2"


@pytest.mark.behaviour("FC03")
def test_several_proposals_yield_one_append_to_a_probed_peer() -> None:
    host = leader(followed_by=[2, 3])
    host.node.report_unreachable(2)  # a probe that waits for nothing
    messages = [message for _ in range(3) for message in propose(host)]
    assert appended(messages) == [[2]]


@pytest.mark.behaviour("FC04")
def test_each_heartbeat_answer_allows_exactly_one_more_probe() -> None:
    host = leader(followed_by=[2, 3])
    host.node.report_unreachable(2)
    last = 1
    for _ in range(3):
        # The first proposal after a release is sent, the others wait.
        assert appended(propose(host)) == ([[2]] if last == 1 else [])
        assert appended(propose(host)) == []
        last += 2
        for _ in range(5):
            host.node.tick()
            assert appended(take(host)) == []
        assert appended(receive(host, HEARTBEAT_ANSWER)) == [list(range(2, last + 1))]
        assert peer(host, 2).next == 2
        assert peer(host, 2).is_paused()


@pytest.mark.behaviour("FC05")
def test_every_proposal_is_streamed_to_a_peer_in_replicate() -> None:
    host = leader(followed_by=[2, 3])
    assert [appended(propose(host)) for _ in range(4)] == [[[2]], [[3]], [[4]], [[5]]]


@pytest.mark.behaviour("FC06")
def test_nothing_is_appended_to_a_peer_that_waits_for_a_snapshot() -> None:
    host = leader(followed_by=[2, 3])
    host.raft.tracker.progress[2].become_snapshot(9)
    messages = [message for _ in range(3) for message in propose(host)]
    messages += receive(host, acked(host, 3), HEARTBEAT_ANSWER)
    assert sent(messages, MsgApp, to=2) == []
    assert appended(messages, to=3) != []


@pytest.mark.behaviour("FC07")
def test_next_runs_ahead_in_replicate_and_stays_in_probe() -> None:
    host = leader(followed_by=[2, 3])
    host.node.report_unreachable(3)
    for _ in range(3):
        propose(host)
    assert (peer(host, 2).match, peer(host, 2).next) == (1, 5)
    assert (peer(host, 3).match, peer(host, 3).next) == (1, 2)


@pytest.mark.behaviour("FC08")
def test_an_unreachable_peer_is_probed_from_behind_match() -> None:
    host = leader(followed_by=[2, 3])
    for _ in range(4):
        propose(host)
    receive(host, acked(host, 2, 3))
    assert str(peer(host, 2)) == "StateReplicate match=3 next=6 inflight=2"
    host.node.report_unreachable(2)
    assert str(peer(host, 2)) == "StateProbe match=3 next=4"
    host.node.report_unreachable(2)  # said twice
    assert str(peer(host, 2)) == "StateProbe match=3 next=4"


def test_an_unreachable_report_of_a_peer_that_is_not_streamed_to_changes_nothing() -> None:
    host = leader()
    before = str(peer(host, 2))
    host.node.report_unreachable(2)
    host.node.report_unreachable(77)
    assert str(peer(host, 2)) == before


def test_an_empty_probe_does_not_pause() -> None:
    host = leader(followed_by=[2, 3])
    host.node.report_unreachable(2)
    assert appended(receive(host, HEARTBEAT_ANSWER)) == [[]]  # it lacks nothing, so the probe is empty
    assert not peer(host, 2).is_paused()
    assert appended(propose(host)) == [[2]]  # and the next entry need not wait for its answer
    assert peer(host, 2).is_paused()


# --- the window of a stream ------------------------------------------------------------------------------------

ONE_AT_A_TIME = replace(DEFAULTS, max_size_per_msg=0)


def fill(host: Host, size: int) -> None:
    """Fill the window of node 2."""
    for _ in range(size):
        assert len(appended(propose(host))) == 1
    assert peer(host, 2).inflights.full()


@pytest.mark.behaviour("FC09")
def test_after_the_first_acknowledgement_several_appends_follow_within_the_message_window() -> None:
    two = 2 * entry_bytes(Entry(1, 9, data=b"a" * 1000))
    host = leader(template=replace(DEFAULTS, max_inflight_msgs=3, max_size_per_msg=two))
    for _ in range(10):
        assert appended(propose(host, b"a" * 1000)) == []  # the probe is out
    assert appended(receive(host, acked(host, 2, 1))) == [[2, 3], [4, 5], [6, 7]]
    # Two messages are acknowledged at once: room for two more.
    assert appended(receive(host, acked(host, 2, 5))) == [[8, 9], [10, 11]]
    assert appended(receive(host, acked(host, 2, 11))) == [[]]  # only the commit index is left to tell


@pytest.mark.behaviour("FC09")
def test_after_the_first_acknowledgement_several_appends_follow_within_the_byte_window() -> None:
    two = 2 * entry_bytes(Entry(1, 9, data=b"a" * 1000))
    host = leader(template=replace(DEFAULTS, max_inflight_msgs=9, max_inflight_bytes=3000, max_size_per_msg=two))
    for _ in range(10):
        propose(host, b"a" * 1000)
    # 2000 bytes leave room, the second message overshoots.
    assert appended(receive(host, acked(host, 2, 1))) == [[2, 3], [4, 5]]
    assert peer(host, 2).inflights.payload_bytes() == 4000
    assert appended(receive(host, acked(host, 2, 3))) == [[6, 7]]
    assert appended(receive(host, acked(host, 2, 7))) == [[8, 9], [10, 11]]


@pytest.mark.behaviour("FC10")
def test_a_full_window_pauses_the_peer_and_stops_appends() -> None:
    host = leader(template=replace(DEFAULTS, max_inflight_msgs=4), followed_by=[2, 3])
    fill(host, 4)
    assert str(peer(host, 2)) == "StateReplicate match=1 next=6 paused inflight=4[full]"
    for _ in range(10):
        assert appended(propose(host)) == []
    assert peer(host, 2).next == 6


@pytest.mark.behaviour("FC11")
def test_an_acknowledgement_frees_the_window_up_to_its_index_and_stale_ones_free_nothing() -> None:
    host = leader(template=replace(DEFAULTS, max_inflight_msgs=4), followed_by=[2, 3])
    fill(host, 4)  # entries 2 to 5
    for acknowledged in (2, 4, 5):
        receive(host, acked(host, 2, acknowledged))
        assert peer(host, 2).inflights.count() == 5 - acknowledged
        for stale in range(acknowledged + 1):
            assert receive(host, acked(host, 2, stale)) == []
            assert peer(host, 2).inflights.count() == 5 - acknowledged
    fill(host, 4)
    receive(host, acked(host, 2, 7))
    assert [len(appended(propose(host))) for _ in range(4)] == [1, 1, 0, 0]


@pytest.mark.behaviour("FC12")
def test_with_a_full_window_each_heartbeat_answer_lets_one_empty_append_through() -> None:
    host = leader(template=replace(DEFAULTS, max_inflight_msgs=3), followed_by=[2, 3])
    fill(host, 3)
    propose(host)
    for _ in range(4):
        messages = sent(receive(host, HEARTBEAT_ANSWER), MsgApp, to=2)
        assert [(append.index, append.entries) for append in messages] == [(4, [])]
        assert peer(host, 2).inflights.count() == 3
        assert peer(host, 2).is_paused()
        assert appended(propose(host)) == []


def test_adding_to_a_full_window_is_our_own_bug() -> None:
    host = leader(template=replace(DEFAULTS, max_inflight_msgs=1), followed_by=[2, 3])
    fill(host, 1)
    with pytest.raises(InvariantError, match="Full inflights"):
        peer(host, 2).inflights.add(9, 0)


def test_no_append_is_counted_while_a_snapshot_is_on_its_way() -> None:
    host = leader(followed_by=[2, 3])
    peer(host, 2).become_snapshot(9)
    with pytest.raises(InvariantError, match="unhandled state"):
        peer(host, 2).sent_entries(1, 0)


# --- telling of commits ----------------------------------------------------------------------------------------


def commits(messages: list[Message], to: int = 2) -> list[tuple[list[int], int]]:
    """For each append to a peer: what it carries, and the commit index."""
    return [(indexes(append.entries), append.commit) for append in sent(messages, MsgApp, to)]


def test_a_commit_index_is_told_once() -> None:
    host = leader(followed_by=[2, 3])
    assert commits(propose(host)) == [([2], 1)]
    assert commits(receive(host, acked(host, 3))) == [([], 2)]
    assert receive(host, acked(host, 2)) == []


def test_a_heartbeat_takes_back_what_was_told() -> None:
    # A heartbeat tells a lower commit index than the append before it; should that one be lost, only a repetition
    # on the peer's next acknowledgement brings the commit over without waiting for another heartbeat.
    host = leader(followed_by=[2, 3])
    propose(host)
    assert commits(receive(host, acked(host, 3))) == [([], 2)]
    host.node.tick()
    take(host)
    assert peer(host, 2).sent_commit == 1
    assert commits(receive(host, acked(host, 2))) == [([], 2)]


def test_a_return_to_probe_takes_back_what_was_told() -> None:
    host = leader(followed_by=[2, 3])
    propose(host)
    assert commits(receive(host, acked(host, 3))) == [([], 2)]
    host.node.report_unreachable(2)
    assert peer(host, 2).sent_commit == 1  # what it is known to hold
    # It was reachable after all, but whether that last append arrived nobody knows.
    assert commits(receive(host, acked(host, 2))) == [([], 2)]


def test_a_genuine_rejection_takes_back_what_was_told() -> None:
    host = leader(followed_by=[2, 3])
    for _ in range(3):
        propose(host)
    receive(host, acked(host, 3))
    assert peer(host, 2).sent_commit == 4
    peer(host, 2).maybe_decr_to(3, 1)
    assert (peer(host, 2).next, peer(host, 2).sent_commit) == (2, 1)


def test_a_commit_beyond_all_that_was_sent_is_not_told_alone() -> None:
    # Bytes fill the window of node 2 with entries 2 (small) and 3 (large), sent when both were long committed.
    host = leader(template=replace(ONE_AT_A_TIME, max_inflight_bytes=100), followed_by=[3])
    for data in (b"s" * 10, b"l" * 100):
        propose(host, data)
        receive(host, acked(host, 3))
    assert commits(receive(host, acked(host, 2, 1))) == [([2], 3), ([3], 3)]
    assert commits(propose(host)) == []
    assert commits(receive(host, acked(host, 3))) == []  # entry 4 is committed: node 2 was not sent it
    assert host.raft.log.committed == 4
    # The window is still full, and an append that told of commit 4 would say nothing about entries 2 and 3.
    assert commits(receive(host, acked(host, 2, 2))) == []
    assert peer(host, 2).inflights.full()
    assert commits(receive(host, acked(host, 2, 3))) == [([4], 4)]


def test_a_commit_that_concerns_what_was_sent_is_told_on_the_next_acknowledgement() -> None:
    host = leader(template=replace(ONE_AT_A_TIME, max_inflight_bytes=100), followed_by=[2, 3])
    for data in (b"s" * 10, b"l" * 100, b"x"):
        propose(host, data)  # 2 and 3 fill the window of node 2 while nothing is committed
    receive(host, acked(host, 3))
    assert host.raft.log.committed == 4
    assert peer(host, 2).sent_commit == 1
    assert commits(receive(host, acked(host, 2, 2))) == [([], 4)]  # full, but 2 and 3 are worth telling of
