"""The leader's side of replication: heartbeats, appends, what answers to them change. See also test_commit.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.types import Entry
from raftly.core.fields import to_fields
from raftly.core.messages import MsgApp, MsgAppResp, MsgBeat, MsgHeartbeat, MsgHeartbeatResp
from raftly.core.role import Role
from raftly.core.sizes import entries_bytes, entry_bytes
from raftly.core.tracker import ProgressState
from tests.support.lone import acked, indexes, lead, leader, peer, propose, receive, sent, take, voter
from tests.support.network import DEFAULTS, cluster


def heartbeat_answer(from_: int, term: int = 1) -> MsgHeartbeatResp:
    return MsgHeartbeatResp(1, from_, term)


# --- heartbeats ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LR01")
@pytest.mark.tinykv("TestLeaderBcastBeat2AA")
def test_a_heartbeat_goes_to_every_follower_each_interval_and_names_no_entry() -> None:
    host = leader(template=replace(DEFAULTS, heartbeat_tick=3), voters=(1, 2, 3, 4))
    for _ in range(2):
        for _ in range(2):
            host.node.tick()
            assert take(host) == []
        host.node.tick()
        messages = take(host)
        assert [(type(message), message.to, message.term) for message in messages] == [
            (MsgHeartbeat, id_, 1) for id_ in (2, 3, 4)
        ]
        for message in messages:
            flat = to_fields(message)
            assert (flat.index, flat.log_term, flat.entries) == (0, 0, [])


@pytest.mark.behaviour("LR01")
def test_followers_and_candidates_send_no_heartbeats_when_time_passes() -> None:
    follower, candidate = voter(), voter()
    candidate.node.campaign()
    take(candidate)
    for host in (follower, candidate):
        for _ in range(9):
            host.node.tick()
            assert sent(take(host), MsgHeartbeat) == []


@pytest.mark.behaviour("LR02")
def test_a_heartbeat_never_commits_more_than_the_follower_is_known_to_hold() -> None:
    host = leader(voters=(1, 2, 3, 4, 5))
    for _ in range(4):
        propose(host)
    receive(host, acked(host, 2, 5), acked(host, 3, 4), acked(host, 4, 2))
    assert host.raft.log.committed == 4  # 1 and 2 hold five, 3 holds four
    host.node.tick()
    commits = {beat.to: beat.commit for beat in sent(take(host), MsgHeartbeat)}
    # Node 2 holds more than is committed, node 4 less, and nothing is known of node 5.
    assert commits == {2: 4, 3: 4, 4: 2, 5: 0}


@pytest.mark.behaviour("LR03")
@pytest.mark.tinykv("TestRecvMessageType_MsgBeat2AA")
@pytest.mark.parametrize("role", list(Role))
def test_only_a_leader_reacts_to_the_beat(role: Role) -> None:
    host = voter(template=replace(DEFAULTS, pre_vote=role is Role.PRE_CANDIDATE))
    if role is Role.LEADER:
        lead(host)
    elif role is not Role.FOLLOWER:
        host.node.campaign()
    take(host)
    assert host.raft.role is role
    host.raft.step(MsgBeat(1, 1))
    beats = [message.to for message in sent(take(host), MsgHeartbeat)]
    assert beats == ([2, 3] if role is Role.LEADER else [])


@pytest.mark.behaviour("LR05")
def test_a_heartbeat_answer_prompts_an_append_to_a_peer_that_lags_and_to_no_other() -> None:
    host = leader(followed_by=[2, 3])
    propose(host)
    receive(host, acked(host, 3))
    assert sent(receive(host, heartbeat_answer(3)), MsgApp) == []
    # Node 2 has not acknowledged entry 2; the append may be lost, but nothing says so: only the commit goes again.
    (append,) = sent(receive(host, heartbeat_answer(2)), MsgApp)
    assert (append.to, append.index, append.entries, append.commit) == (2, 2, [], 2)
    receive(host, acked(host, 2))
    assert sent(receive(host, heartbeat_answer(2)), MsgApp) == []


@pytest.mark.behaviour("LR05")
def test_a_heartbeat_answer_of_a_probed_peer_repeats_the_lost_entries() -> None:
    host = leader()
    (append,) = sent(receive(host, heartbeat_answer(2)), MsgApp)
    assert (append.to, append.index, append.log_term, indexes(append.entries)) == (2, 0, 0, [1])
    (append,) = sent(receive(host, heartbeat_answer(2)), MsgApp)
    assert indexes(append.entries) == [1]


# --- appends ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("LR06")
@pytest.mark.tinykv("TestLeaderStartReplication2AB")
def test_a_proposal_is_appended_and_sent_at_once_behind_the_previous_entry() -> None:
    host = leader(followed_by=[2, 3], terms=(1, 1))
    assert host.raft.log.last_index == 3  # the empty entry of term 2
    host.node.propose(b"some data")
    ready = host.node.ready()
    entry = Entry(2, 4, data=b"some data")
    assert ready.entries == [entry]
    assert sent(ready.messages, MsgApp) == [
        MsgApp(2, 1, 2, 2, 3, [entry], 3),
        MsgApp(3, 1, 2, 2, 3, [entry], 3),
    ]  # before it is on the leader's own disk (thesis §10.2.1)


@pytest.mark.behaviour("LR25")
def test_a_late_smaller_hint_does_not_move_next_below_what_is_acknowledged() -> None:
    host = leader(followed_by=[2, 3])
    propose(host)
    propose(host)
    # The append of entry 3 overtook that of entry 2: rejected at 2 first, then all is acknowledged.
    receive(host, MsgAppResp(1, 2, 1, 2, reject=True, reject_hint=1, log_term=1))
    assert peer(host, 2).next == 2
    receive(host, acked(host, 2))
    assert (peer(host, 2).match, peer(host, 2).next) == (3, 4)
    # The same rejection, doubled by the network, comes last.
    assert receive(host, MsgAppResp(1, 2, 1, 2, reject=True, reject_hint=1, log_term=1)) == []
    assert (peer(host, 2).match, peer(host, 2).next, peer(host, 2).state) == (3, 4, ProgressState.REPLICATE)


@pytest.mark.behaviour("LR25")
def test_a_small_hint_stops_behind_match() -> None:
    host = leader(followed_by=[2, 3])
    for _ in range(3):
        propose(host)
    receive(host, acked(host, 2, 3))
    host.node.report_unreachable(2)  # to probe: next is 4, match 3
    receive(host, MsgAppResp(1, 2, 1, 3, reject=True, reject_hint=0))
    assert (peer(host, 2).match, peer(host, 2).next) == (3, 4)


@pytest.mark.behaviour("LR25")
def test_appends_that_overtake_each_other_bring_all_entries_over() -> None:
    network = cluster(2)
    network.campaign(1)
    network.propose(1, b"a")
    host = network.host(1)
    network.hold(lambda message: isinstance(message, MsgApp))
    for data in (b"b", b"c", b"d"):
        host.node.propose(data)
        network.run_host(host)
    network.held.reverse()
    network.release()
    assert network.host(2).payloads() == [b"a", b"b", b"c", b"d"]
    assert peer(host, 2).match == host.raft.log.last_index


@pytest.mark.behaviour("LR26")
def test_an_acknowledgement_releases_the_wait_of_its_sender_only() -> None:
    host = leader()  # both peers are probed with entry 1, and wait
    receive(host, acked(host, 2))
    messages = propose(host)
    assert [(append.to, indexes(append.entries)) for append in sent(messages, MsgApp)] == [(2, [2])]
    messages = receive(host, acked(host, 3, 1))
    assert [(append.to, indexes(append.entries)) for append in sent(messages, MsgApp, to=3)] == [(3, [2])]


def rejected(index: int, hint: int, term: int = 2) -> MsgAppResp:
    """Node 2 does not hold the entry at `index`; the logs may meet at `hint`, an entry of term 1."""
    return MsgAppResp(1, 2, term, index, reject=True, reject_hint=hint, log_term=1)


@pytest.mark.behaviour("LR27")
def test_a_stale_rejection_of_a_probe_changes_nothing() -> None:
    host = leader(terms=(1, 1))  # the empty entry is 3/2; both peers are probed behind entry 2
    for index in (1, 3, 4):
        assert receive(host, rejected(index, 0)) == []
        assert str(peer(host, 2)) == "StateProbe match=0 next=3 paused"


@pytest.mark.behaviour("LR27")
def test_a_genuine_rejection_lowers_next_and_probes_again() -> None:
    host = leader(terms=(1, 1))
    (append,) = sent(receive(host, rejected(2, 1)), MsgApp)
    assert (append.to, append.index, append.log_term, indexes(append.entries)) == (2, 1, 1, [2, 3])
    assert str(peer(host, 2)) == "StateProbe match=0 next=2 paused"


@pytest.mark.behaviour("LR27")
def test_a_rejection_turns_a_stream_back_into_a_probe_behind_match() -> None:
    host = leader(followed_by=[2, 3])
    propose(host)
    propose(host)
    receive(host, rejected(3, 1, term=1))
    assert str(peer(host, 2)) == "StateProbe match=1 next=2 paused"


@pytest.mark.behaviour("LR27")
def test_an_acknowledgement_that_commits_is_told_to_all_who_are_streamed_to() -> None:
    host = leader(voters=(1, 2, 3, 4, 5), terms=(1, 1))
    assert receive(host, acked(host, 3)) == []
    messages = receive(host, acked(host, 2))
    assert [(type(message), message.to) for message in messages] == [(MsgApp, 2), (MsgApp, 3)]  # 4 and 5 are paused
    assert [(append.index, append.entries, append.commit) for append in sent(messages, MsgApp)] == [(3, [], 3)] * 2
    assert str(peer(host, 2)) == "StateReplicate match=3 next=4"


@pytest.mark.behaviour("LR27")
def test_an_acknowledgement_of_match_in_probe_starts_the_stream() -> None:
    host = leader(terms=(1, 1))
    (append,) = sent(receive(host, acked(host, 2, 0)), MsgApp)
    assert (append.to, append.index, indexes(append.entries)) == (2, 0, [1, 2, 3])
    assert str(peer(host, 2)) == "StateReplicate match=0 next=4 inflight=1"


@pytest.mark.behaviour("LR28")
@pytest.mark.parametrize("limit", [0, 700, 2048])
def test_appends_stay_within_the_size_limit_and_use_it(limit: int) -> None:
    network = cluster(3, replace(DEFAULTS, max_size_per_msg=limit))
    seen: list[MsgApp] = []

    def watch(message: object) -> bool:
        if isinstance(message, MsgApp):
            seen.append(message)
        return False

    network.campaign(1)
    network.isolate(1)
    for _ in range(20):
        network.propose(1, b"x" * 200)
    network.recover()
    network.drop(watch)
    network.tick()  # the heartbeat answers release the two peers
    network.tick()
    assert network.raft(3).log.last_index == 21
    sizes = [entries_bytes(append.entries) for append in seen if append.entries]
    one = entry_bytes(Entry(1, 21, data=b"x" * 200))
    for append in seen:
        assert len(append.entries) <= 1 or entries_bytes(append.entries) <= limit
    assert max(sizes) > max(limit - one, 0)  # another entry would not have fitted
