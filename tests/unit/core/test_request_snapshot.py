"""A follower asks for a snapshot (raft-rs), as when its state machine is damaged, and gets one that is new enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.messages import MsgApp, MsgAppResp, MsgHeartbeat, MsgHeartbeatResp, MsgSnap
from raftly.core.role import Role
from raftly.core.tracker import ProgressState
from raftly.errors import RequestSnapshotDropped
from tests.support.lone import entries, leader, peer, propose, receive, sent, take, voter
from tests.support.network import DEFAULTS, Host, Network, cluster

PROBE, REPLICATE, SNAPSHOT = ProgressState.PROBE, ProgressState.REPLICATE, ProgressState.SNAPSHOT


def group() -> Network:
    """Three nodes that applied ten commands; leader 1 made a snapshot of five and then five more came."""
    network = cluster(3)
    network.campaign(1)
    for at in range(10):
        network.propose(1, b"%d" % at)
        if at == 4:
            network.host(1).compact()
    return network


def request(host: Host) -> MsgAppResp:
    """The node asks; its request, not delivered."""
    host.node.request_snapshot()
    (asked,) = sent(take(host), MsgAppResp)
    return asked


def requested(network: Network, id_: int = 2) -> MsgAppResp:
    return request(network.host(id_))


def of_peer(network: Network, id_: int = 2) -> ProgressState:
    return network.raft(1).tracker.progress[id_].state


# --- asking ----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("X40")
def test_a_request_is_refused_where_it_makes_no_sense() -> None:
    leading = leader()
    leaderless = voter(terms=(1, 1))
    behind = voter(terms=(1, 1))
    receive(behind, MsgHeartbeat(1, 2, 3))  # a leader of term 3, but no entry of it yet
    twice = voter(terms=(1, 1))
    receive(twice, MsgHeartbeat(1, 2, 1))
    twice.node.request_snapshot()
    restoring = voter()
    restoring.node.step(MsgSnap(1, 2, 1, Snapshot(SnapshotMeta(5, 1, ConfState((1, 2, 3))))))
    for host, reason in (
        (leading, "a leader has nobody to ask"),
        (leaderless, "no leader is known"),
        (behind, "the log holds no entry of this term yet"),
        (twice, "a snapshot is already on its way"),
        (restoring, "a snapshot is already on its way"),
    ):
        waiting = host.raft.pending_request_snapshot
        with pytest.raises(RequestSnapshotDropped) as caught:
            host.node.request_snapshot()
        assert caught.value == RequestSnapshotDropped(reason)
        assert host.raft.pending_request_snapshot == waiting


@pytest.mark.behaviour("X41")
def test_the_request_names_the_end_of_the_log() -> None:
    network = group()
    last = network.raft(2).log.last_index
    asked = requested(network)
    assert (asked.to, asked.reject, asked.request_snapshot) == (1, True, last)
    assert (asked.index, asked.reject_hint, asked.log_term) == (last, last, 1)
    assert network.raft(2).pending_request_snapshot == last


@pytest.mark.behaviour("X41")
def test_an_up_to_date_follower_gets_a_snapshot_at_least_as_new() -> None:
    network = group()
    follower, leading = network.host(2), network.host(1)
    follower.state = b"damaged"
    follower.node.request_snapshot()
    network.stabilise()
    # The stored snapshot is too old, so the leader waits until there is a newer one and sends nothing else meanwhile.
    assert leading.storage.snapshot().meta.index < follower.raft.pending_request_snapshot
    network.propose(1, b"later")
    assert follower.state == b"damaged"
    assert follower.raft.log.last_index == 11
    leading.compact()
    network.tick(DEFAULTS.heartbeat_tick, only=(1,))
    assert follower.state == leading.state != b"damaged"
    assert follower.storage.snapshot().meta.index == 12
    assert follower.raft.pending_request_snapshot == 0
    leading.node.report_snapshot(2)
    network.propose(1, b"and on")
    network.tick(DEFAULTS.heartbeat_tick, only=(1,))  # the peer's next sign
    assert follower.state == leading.state
    assert of_peer(network) is REPLICATE


@pytest.mark.behaviour("X41")
def test_the_leader_pauses_replication_while_the_snapshot_is_on_its_way() -> None:
    network = group()
    leading = network.host(1)
    leading.compact()
    messages = receive(leading, requested(network))
    (snap,) = sent(messages, MsgSnap)
    assert (snap.to, snap.snapshot.meta.index) == (2, 11)
    progress = peer(leading, 2)
    assert (progress.state, progress.pending_snapshot, progress.next) == (SNAPSHOT, 11, 12)
    assert not sent(propose(leading), MsgApp, to=2)
    # Asking again, as each heartbeat makes it do, sends no second one.
    again = MsgAppResp(1, 2, 1, 11, reject=True, reject_hint=11, log_term=1, request_snapshot=11)
    assert not sent(receive(leading, again), MsgSnap)


# --- at the leader ---------------------------------------------------------------------------------------------


def streaming_leader() -> Host:
    """A leader of a log of eleven, compacted to its end, with 2 streamed to."""
    host = leader(followed_by=(2,))
    for _ in range(10):
        propose(host)
    receive(host, MsgAppResp(1, 2, 1, 11))
    host.compact()
    assert peer(host, 2).state is REPLICATE
    return host


def ask(index: int = 11, at_least: int = 11) -> MsgAppResp:
    return MsgAppResp(1, 2, 1, index, reject=True, reject_hint=index, request_snapshot=at_least)


@pytest.mark.behaviour("X42")
def test_a_request_from_before_the_match_is_ignored() -> None:
    host = streaming_leader()
    assert not sent(receive(host, ask(9)), MsgSnap)
    assert (peer(host, 2).state, peer(host, 2).pending_request_snapshot) == (REPLICATE, 0)
    assert sent(receive(host, ask()), MsgSnap)


@pytest.mark.behaviour("X42")
@pytest.mark.parametrize("strict", [False, True])
def test_acknowledgements_do_not_end_the_pause_a_report_does(strict: bool) -> None:
    host = leader(template=replace(DEFAULTS, snapshot_must_reach_pending=strict), followed_by=(2,))
    for _ in range(10):
        propose(host)
    receive(host, MsgAppResp(1, 2, 1, 11))
    host.compact()
    for _ in range(3):
        propose(host)
    receive(host, ask())
    progress = peer(host, 2)
    # Those that were on their way, and that of the snapshot itself.
    for index in (11, 12, 13):
        messages = receive(host, MsgAppResp(1, 2, 1, index), MsgHeartbeatResp(1, 2, 1))
        assert not sent(messages, MsgSnap)
        assert not sent(messages, MsgApp)
        assert (progress.state, progress.pending_snapshot, progress.match) == (SNAPSHOT, 11, index)
        assert progress.is_paused()
    host.node.report_snapshot(2)
    assert (progress.pending_snapshot, progress.pending_request_snapshot, progress.next) == (0, 0, 14)
    assert str(progress) == "StateProbe match=13 next=14 paused"
    (append,) = sent(receive(host, MsgHeartbeatResp(1, 2, 1)), MsgApp)
    assert append.index == 13


@pytest.mark.behaviour("X42")
def test_after_a_failed_report_the_request_comes_again() -> None:
    network = group()
    network.host(1).compact()
    network.ignore(MsgSnap)  # the network reports the failure
    network.host(2).node.request_snapshot()
    network.stabilise()
    assert of_peer(network) is PROBE
    network.recover()
    network.tick(DEFAULTS.heartbeat_tick, only=(1,))
    assert network.host(2).storage.snapshot().meta.index == 11
    assert network.raft(2).pending_request_snapshot == 0


@pytest.mark.behaviour("X43")
def test_without_a_snapshot_the_peer_is_probed_and_a_repeated_request_succeeds() -> None:
    host = streaming_leader()
    host.storage.set_snapshot_not_ready(True)
    for _ in range(2):
        assert not sent(receive(host, ask()), MsgSnap)
        assert peer(host, 2).state is PROBE
    host.storage.set_snapshot_not_ready(False)
    # Not stale although it no longer fits the place that is probed.
    peer(host, 2).next = 5
    assert sent(receive(host, ask()), MsgSnap)
    assert peer(host, 2).state.value == "StateSnapshot"


@pytest.mark.behaviour("X43")
def test_an_older_snapshot_than_asked_for_is_no_answer() -> None:
    host = streaming_leader()
    propose(host)
    assert not sent(receive(host, MsgAppResp(1, 2, 1, 12), ask(12, 12)), MsgSnap)
    assert peer(host, 2).pending_request_snapshot == 12
    receive(host, MsgAppResp(1, 3, 1, 12))
    host.compact()
    (snap,) = sent(receive(host, ask(12, 12)), MsgSnap)
    assert snap.snapshot.meta.index == 12


@pytest.mark.behaviour("X44")
def test_a_request_that_was_ignored_comes_again_with_the_next_heartbeat() -> None:
    network = group()
    network.host(1).compact()
    follower = network.host(2)
    asked = request(follower)
    (again,) = sent(receive(follower, MsgHeartbeat(2, 1, 1, 11)), MsgAppResp)
    assert (again.request_snapshot, again.index) == (asked.request_snapshot, 11)
    (also,) = sent(receive(follower, MsgApp(2, 1, 1, 1, 11, entries(12, 1), 11)), MsgAppResp)
    assert also.request_snapshot == 11
    assert follower.raft.log.last_index == 11  # nothing is taken meanwhile
    network.send(again)
    assert follower.raft.pending_request_snapshot == 0
    assert follower.storage.snapshot().meta.index == 11


@pytest.mark.behaviour("X44")
def test_a_request_that_speaks_of_a_commit_below_the_match_is_ignored_until_then() -> None:
    network = group()
    follower = network.host(2)
    # 2 has the next entry and acknowledged it, but does not know that it is committed, which its request speaks of.
    network.drop(lambda message: isinstance(message, MsgApp) and not message.entries)
    network.propose(1, b"not known committed")
    network.host(1).compact()
    assert network.raft(1).tracker.progress[2].match > follower.raft.log.committed
    follower.node.request_snapshot()
    network.stabilise()
    assert of_peer(network) is REPLICATE
    network.recover()
    network.tick(2 * DEFAULTS.heartbeat_tick, only=(1,))
    assert follower.raft.pending_request_snapshot == 0
    assert follower.state == network.host(1).state


@pytest.mark.behaviour("X45")
def test_a_request_in_probe_state_is_remembered() -> None:
    host = streaming_leader()
    host.storage.set_snapshot_not_ready(True)
    host.node.report_unreachable(2)
    for index, at_least in ((11, 11), (3, 9)):  # the first one counts
        receive(host, ask(index, at_least))
        assert (peer(host, 2).state, peer(host, 2).pending_request_snapshot) == (PROBE, 11)
    assert not sent(propose(host), MsgApp, to=2)
    host.storage.set_snapshot_not_ready(False)
    assert sent(propose(host), MsgSnap, to=2)


# --- when things change at the follower ------------------------------------------------------------------------


@pytest.mark.behaviour("X46")
def test_a_request_is_cancelled_when_the_leader_changes() -> None:
    network = group()
    network.isolate(2)
    network.campaign(3)
    assert network.raft(3).role is Role.LEADER
    requested(network)
    network.recover()
    network.tick(DEFAULTS.heartbeat_tick, only=(3,))
    assert network.raft(2).leader == 3
    assert network.raft(2).pending_request_snapshot == 0
    network.propose(3, b"goes on")
    assert network.host(2).payloads()[-1] == b"goes on"


@pytest.mark.behaviour("X47")
def test_becoming_follower_of_the_same_term_keeps_it_and_becoming_candidate_clears_it() -> None:
    host = group().host(2)
    requested_index = request(host).request_snapshot
    host.raft.become_follower(host.raft.term, 1)
    assert host.raft.pending_request_snapshot == requested_index
    host.node.campaign()
    assert host.raft.role is Role.CANDIDATE
    assert host.raft.pending_request_snapshot == 0


@pytest.mark.behaviour("X47")
def test_a_pre_candidate_that_hears_its_leader_again_keeps_asking() -> None:
    host = voter(template=replace(DEFAULTS, pre_vote=True), terms=(1, 1))
    receive(host, MsgHeartbeat(1, 2, 1))
    request(host)
    host.node.campaign()
    (again,) = sent(receive(host, MsgHeartbeat(1, 2, 1)), MsgAppResp)
    assert (again.to, again.request_snapshot) == (2, 2)


@pytest.mark.behaviour("X48")
def test_a_change_of_term_clears_it() -> None:
    for same_leader in (True, False):
        host = group().host(2)
        request(host)
        receive(host, MsgHeartbeat(2, 1 if same_leader else 3, host.raft.term + 1))
        assert host.raft.pending_request_snapshot == 0


@pytest.mark.behaviour("X41")
def test_an_older_snapshot_on_its_way_does_not_cut_what_was_acknowledged() -> None:
    host = voter(terms=(1, 1, 1, 1), commit=2)
    receive(host, MsgHeartbeat(1, 2, 1))
    request(host)
    for index in (2, 3):
        old = Snapshot(SnapshotMeta(index, 1, ConfState((1, 2, 3))))
        receive(host, MsgSnap(1, 2, 1, old))
        assert host.raft.log.last_index == 4
        assert host.raft.pending_request_snapshot == 4
    fresh = Snapshot(SnapshotMeta(4, 1, ConfState((1, 2, 3))), b"fresh")
    receive(host, MsgSnap(1, 2, 1, fresh))
    assert (host.state, host.raft.pending_request_snapshot) == (b"fresh", 0)
