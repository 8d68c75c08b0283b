"""RawNode: what may be stepped, what a Ready holds and when the next one comes, status."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChange, ConfChangeType, ConfChangeV2, ConfState, parse_changes
from raftly.base.types import NO_LIMIT, Entry, EntryType, HardState
from raftly.core.describe import describe_entry
from raftly.core.messages import (
    LOCAL_MESSAGES,
    MESSAGE_CLASSES,
    RESPONSE_MESSAGES,
    Message,
    MessageType,
    MsgApp,
    MsgBeat,
    MsgCheckQuorum,
    MsgHeartbeat,
    MsgHup,
    MsgProp,
    MsgReadIndex,
    MsgSnapStatus,
    MsgStorageAppend,
    MsgStorageAppendResp,
    MsgStorageApply,
    MsgStorageApplyResp,
    MsgUnreachable,
)
from raftly.core.raft import Raft
from raftly.core.raw_node import RawNode
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from raftly.core.sizes import entries_bytes, limit_bytes
from raftly.core.status import SoftState
from raftly.core.trace import MessageReceived, TraceEvent
from raftly.errors import DropReason, InvariantError, ProposalDropped, StepLocalMessage
from tests.support.lone import entries, leader, peer, propose, receive, state_of, take, voter
from tests.support.network import DEFAULTS, cluster, storage_with

# --- stepping --------------------------------------------------------------------------------------------------

LOCAL = [
    MsgHup(1, 1),
    MsgBeat(1, 1),
    MsgUnreachable(1, 2),
    MsgSnapStatus(1, 2),
    MsgCheckQuorum(1, 1),
    MsgStorageAppend(1, 2, 1, 0, 0, [], None, []),
    MsgStorageAppendResp(1, 2, 1),
    MsgStorageApply(1, 2, 1, [], []),
    MsgStorageApplyResp(1, 2, 1, []),
]


@pytest.mark.behaviour("RN01")
@pytest.mark.parametrize("message", LOCAL, ids=lambda message: message.type.name)
@pytest.mark.parametrize("leads", [False, True])
def test_what_is_local_to_a_node_is_refused_from_outside(message: Message, leads: bool) -> None:
    host = leader() if leads else voter()
    before = state_of(host.raft)
    with pytest.raises(StepLocalMessage, match=message.type.name):
        host.node.step(message)
    assert state_of(host.raft) == before


@pytest.mark.behaviour("RN01")
def test_every_local_class_is_tried_above() -> None:
    assert {type(message) for message in LOCAL} == LOCAL_MESSAGES


@pytest.mark.behaviour("RN29")
def test_the_classes_of_local_and_of_response_messages() -> None:
    local = "Hup Beat Unreachable SnapStatus CheckQuorum StorageAppend StorageAppendResp StorageApply StorageApplyResp"
    response = "AppResp VoteResp HeartbeatResp Unreachable ReadIndexResp PreVoteResp StorageAppendResp StorageApplyResp"
    for classes, names in ((LOCAL_MESSAGES, local), (RESPONSE_MESSAGES, response)):
        assert {cls.type for cls in classes} == {MessageType[f"Msg{name}"] for name in names.split()}
    assert [cls.type for cls in MESSAGE_CLASSES] == list(MessageType)
    assert [int(kind) for kind in MessageType] == list(range(24))


# --- proposing -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN04")
def test_a_proposal_reaches_the_log_with_its_data_and_tells_its_index() -> None:
    host = leader(voters=(1,))
    assert host.node.propose(b"somedata", b"context") == 2
    assert host.node.propose_batch([b"a", b"b"]) == 4
    take(host)
    assert host.applied[1:] == [
        Entry(1, 2, data=b"somedata", context=b"context"),
        Entry(1, 3, data=b"a"),
        Entry(1, 4, data=b"b"),
    ]


@pytest.mark.behaviour("RN04")
def test_a_proposal_at_a_follower_is_passed_on_as_it_is() -> None:
    host = voter()
    receive(host, MsgHeartbeat(1, 2, 1))
    assert host.node.propose(b"somedata") == 0
    assert take(host) == [MsgProp(2, 1, 0, [Entry(data=b"somedata")])]


@pytest.mark.behaviour("RN05")
@pytest.mark.parametrize(
    "change, kind",
    [
        (ConfChange(ConfChangeType.ADD_NODE, 2), EntryType.CONF_CHANGE),
        (ConfChangeV2(parse_changes("v2 l3")), EntryType.CONF_CHANGE_V2),
    ],
)
def test_a_configuration_proposal_reaches_the_log_encoded(change: ConfChange | ConfChangeV2, kind: EntryType) -> None:
    host = leader(voters=(1,))
    host.node.propose_conf_change(change)
    assert host.log()[-1] == Entry(1, 2, kind, change.encode())


@pytest.mark.behaviour("RN06")
@pytest.mark.parametrize("disabled", [False, True])
def test_a_follower_passes_proposals_on_unless_forwarding_is_disabled(disabled: bool) -> None:
    network = cluster(3, replace(DEFAULTS, disable_proposal_forwarding=disabled))
    network.campaign(1)
    network.propose(1, b"at the leader")
    if disabled:
        with pytest.raises(ProposalDropped) as dropped:
            network.propose(2, b"at a follower")
        assert dropped.value.reason is DropReason.FORWARDING_DISABLED
        assert not network.host(2).node.has_ready()
    else:
        network.propose(2, b"at a follower")
    payloads = [b"at the leader"] if disabled else [b"at the leader", b"at a follower"]
    assert [host.payloads() for host in network.hosts.values()] == [payloads] * 3


def test_a_proposal_without_a_leader_is_dropped() -> None:
    host = voter()
    with pytest.raises(ProposalDropped) as dropped:
        host.node.propose(b"x")
    assert dropped.value.reason is DropReason.NO_LEADER


# --- ticking ---------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN09")
def test_a_tick_raises_the_election_timer_by_one() -> None:
    host = voter()
    for elapsed in range(1, 10):
        host.node.tick()
        assert host.raft.election_elapsed == elapsed
    host.node.tick_quiesced()
    assert host.raft.election_elapsed == 10
    assert not host.node.has_ready()


# --- ready and advance -----------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN15")
def test_the_next_ready_comes_only_after_advance() -> None:
    host = leader(voters=(1,))
    host.node.propose(b"foo")
    ready = host.node.ready()
    assert [entry.data for entry in ready.entries] == [b"foo"]
    assert not host.node.has_ready()  # nothing new until this one is dealt with
    host.save(ready)
    host.node.advance()
    assert host.node.has_ready()
    assert [entry.data for entry in host.node.ready().committed_entries] == [b"foo"]


@pytest.mark.behaviour("RN15")
def test_two_readies_without_advance_are_our_callers_bug() -> None:
    host = voter(voters=(1,))
    host.node.campaign()
    host.node.ready()
    host.node.campaign()
    with pytest.raises(InvariantError, match="without call to Advance"):
        host.node.ready()


@pytest.mark.behaviour("RN16")
def test_peeking_consumes_nothing_taking_empties_and_later_messages_survive_advance() -> None:
    host = leader()
    first, second = MsgHeartbeat(2, 1, 1, context=b"foo"), MsgHeartbeat(2, 1, 1, context=b"bar")
    host.raft.messages.append(first)
    host.node.propose(b"x")
    before = state_of(host.raft)
    for _ in range(2):
        peeked = host.node.peek_ready()
        assert peeked.messages == [first]
        assert [entry.data for entry in peeked.entries] == [b"x"]
        assert state_of(host.raft) == before
    ready = host.node.ready()
    assert ready.messages == [first]
    assert host.raft.messages == host.raft.after_append == []
    host.raft.messages.append(second)
    assert ready.messages == [first]
    host.save(ready)
    host.node.advance()
    assert host.raft.messages == [second]


class _Steps:
    """Notes the messages that a node is stepped, in order."""

    def __init__(self) -> None:
        self.seen: list[Message] = []

    def on_event(self, node: Raft, event: TraceEvent) -> None:
        if isinstance(event, MessageReceived):
            self.seen.append(event.message)


def test_advance_steps_own_answers_then_the_log_then_what_was_applied() -> None:
    steps, storage = _Steps(), storage_with(voters=(1,))
    node = RawNode(DEFAULTS, storage, steps)

    def round_trip() -> None:
        ready = node.ready()
        storage.append(ready.entries)
        node.advance()

    node.campaign()
    round_trip()  # the vote
    round_trip()  # the empty entry
    node.propose(b"x")
    steps.seen.clear()
    round_trip()  # the empty entry is committed, the proposal is written
    assert [message.type.name for message in steps.seen] == [
        "MsgAppResp",
        "MsgStorageAppendResp",
        "MsgStorageApplyResp",
    ]


def test_an_empty_ready_says_so() -> None:
    host = voter()
    assert not host.node.has_ready()
    assert host.node.peek_ready().is_empty()
    host.node.campaign()
    assert host.node.has_ready()
    assert not host.node.ready().is_empty()


@pytest.mark.parametrize(
    "message, must_sync",
    [
        (MsgHeartbeat(1, 2, 1, 1), False),  # only the commit index moves
        (MsgHeartbeat(1, 2, 2), True),  # the term
        (MsgApp(1, 2, 1, 1, 1, entries(2, 1), 0), True),
        (MsgApp(1, 2, 1, 1, 1, [], 1), False),
    ],
)
def test_a_ready_must_be_synced_for_entries_term_and_vote_only(message: Message, must_sync: bool) -> None:
    host = voter(terms=(1,), term=1)
    receive(host, MsgHeartbeat(1, 2, 1))
    host.node.step(message)
    assert host.node.ready().must_sync == must_sync


# --- reads -----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN17")
def test_read_states_appear_in_one_ready() -> None:
    host = leader(voters=(1,))
    for context in (b"one", b"two"):
        host.node.read_index(context)
    assert host.node.has_ready()
    ready = host.node.ready()
    assert ready.read_states == [ReadState(1, b"one"), ReadState(1, b"two")]
    assert host.raft.read_states == []
    host.node.advance()
    assert not host.node.has_ready()
    host.node.read_index(b"three")
    assert host.node.ready().read_states == [ReadState(1, b"three")]
    assert len(ready.read_states) == 2  # what was handed out is not touched again


@pytest.mark.behaviour("RN18")
def test_read_index_steps_a_read_message_with_the_callers_context() -> None:
    host = voter()
    receive(host, MsgHeartbeat(1, 2, 1))
    host.node.read_index(b"somedata2")
    assert take(host) == [MsgReadIndex(2, 1, 0, b"somedata2")]


# --- status ----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN19")
def test_progress_is_shown_on_a_leader_only_and_the_configuration_always() -> None:
    host = voter(voters=(1, 2))
    status = host.node.status()
    assert (status.progress, status.conf_state) == ({}, ConfState((1, 2)))
    assert status.basic.soft_state == SoftState(0, Role.FOLLOWER)
    leads = leader(voters=(1, 2), followed_by=[2])
    propose(leads)
    status = leads.node.status()
    assert {id_: str(progress) for id_, progress in status.progress.items()} == {
        1: "StateReplicate match=2 next=3",
        2: "StateReplicate match=1 next=3 inflight=1",
    }
    assert status.conf_state == ConfState((1, 2))
    assert status.basic == leads.node.basic_status()
    assert (status.basic.id, status.basic.hard_state, status.basic.applied) == (1, HardState(1, 1, 1), 1)


@pytest.mark.behaviour("RN19")
def test_a_status_does_not_change_with_the_node_nor_the_node_with_it() -> None:
    host = leader(voters=(1, 2), followed_by=[2])
    status = host.node.status()
    propose(host)
    assert str(status.progress[2]) == "StateReplicate match=1 next=2"
    status.progress[2].become_probe()
    status.progress[2].inflights.add(99, 1)
    assert str(peer(host, 2)) == "StateReplicate match=1 next=3 inflight=1"


# --- small values ----------------------------------------------------------------------------------------------


@pytest.mark.behaviour("RN20")
def test_soft_states_are_equal_iff_leader_and_role_are() -> None:
    assert SoftState() == SoftState(0, Role.FOLLOWER)
    assert SoftState(1, Role.LEADER) == SoftState(1, Role.LEADER)
    assert SoftState(1) != SoftState()
    assert SoftState(0, Role.LEADER) != SoftState()


@pytest.mark.behaviour("RN21")
def test_hard_states_are_equal_iff_term_vote_and_commit_are() -> None:
    assert HardState() == HardState(0, 0, 0)
    assert HardState().is_empty()
    assert HardState(1, 2, 3) == HardState(1, 2, 3)
    for other in (HardState(term=1), HardState(vote=1), HardState(commit=1)):
        assert other != HardState()
        assert not other.is_empty()


@pytest.mark.behaviour("RN30")
@pytest.mark.parametrize(
    "entry, text",
    [
        (Entry(1, 2, data=b"hello\x00world"), '1/2 EntryNormal "hello\\x00world"'),
        (Entry(1, 2), '1/2 EntryNormal ""'),
        (Entry(7, 19, data='q"\\é\n'.encode() + b"\xff"), '7/19 EntryNormal "q\\"\\\\é\\n\\xff"'),
        (
            Entry(1, 3, EntryType.CONF_CHANGE, ConfChange(ConfChangeType.ADD_NODE, 10).encode()),
            "1/3 EntryConfChange v10",
        ),
        (Entry(1, 3, EntryType.CONF_CHANGE_V2), "1/3 EntryConfChangeV2"),
        (
            Entry(1, 3, EntryType.CONF_CHANGE_V2, ConfChangeV2(parse_changes("v3 l4 r5 u6")).encode()),
            "1/3 EntryConfChangeV2 v3 l4 r5 u6",
        ),
    ],
)
def test_an_entry_prints_as_term_index_type_and_payload(entry: Entry, text: str) -> None:
    assert describe_entry(entry) == text


@pytest.mark.behaviour("RN30")
def test_an_application_may_render_its_own_payloads() -> None:
    entry = Entry(1, 2, data=b"hello")
    assert describe_entry(entry, lambda data: data.decode().upper()) == "1/2 EntryNormal HELLO"


@pytest.mark.behaviour("RN31")
def test_limiting_by_size_keeps_the_longest_prefix_that_fits_and_at_least_one() -> None:
    three = entries(4, 4, 5, 6, data=b"payload")
    sizes = [entries_bytes(three[:count]) for count in range(4)]
    assert sizes[1] > 0
    for limit in range(sizes[3] + 2):
        fitting = max(count for count in range(4) if sizes[count] <= limit)
        assert limit_bytes(three, limit) == three[: max(fitting, 1)]
    assert limit_bytes(three, NO_LIMIT) == three
    assert limit_bytes([], 0) == []
