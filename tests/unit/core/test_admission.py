"""Bad input from peers: each kind has its typed answer, and the node is exactly as it was before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from raftly.base import limits
from raftly.base.membership import ConfChange, ConfChangeType, ConfChangeV2, ConfState, parse_changes
from raftly.base.types import Entry, EntryType, Snapshot, SnapshotMeta
from raftly.core.messages import (
    APPEND_THREAD,
    APPLY_THREAD,
    Message,
    MsgApp,
    MsgAppResp,
    MsgForgetLeader,
    MsgHeartbeat,
    MsgHeartbeatResp,
    MsgPreVote,
    MsgPreVoteResp,
    MsgProp,
    MsgReadIndex,
    MsgReadIndexResp,
    MsgSnap,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgVote,
    MsgVoteResp,
)
from raftly.core.role import Role
from raftly.errors import DamagedMessage, LimitExceeded, PeerError, PeerNotFound, Retry
from tests.support.lone import entries, leader, receive, sent, state_of, take, voter
from tests.support.network import DEFAULTS, Host


def follower() -> Host:
    """Node 1 of three at term 3, which node 2 leads; entries 1/1, 1/2, 2/3, 3/4, the first three committed."""
    host = voter(terms=(1, 1, 2, 3), term=3, commit=3)
    receive(host, MsgHeartbeat(1, 2, 3))
    return host


def candidate() -> Host:
    host = follower()
    host.node.campaign()
    take(host)
    return host


def the_leader() -> Host:
    """Node 1 of three leads term 1; node 2 is streamed to and has acknowledged 2 of 4 entries."""
    host = leader(followed_by=[2, 3])
    for _ in range(3):
        host.node.propose(b"x")
    take(host)
    receive(host, MsgAppResp(1, 2, 1, 2))
    host.node.read_index(b"waits for heartbeats")
    take(host)
    return host


ROLES: list[Callable[[], Host]] = [follower, candidate, the_leader]
IN_EVERY_ROLE = pytest.mark.parametrize("make", ROLES, ids=lambda make: make.__name__)


def refuse(host: Host, message: Message, error: type[Exception] = DamagedMessage, text: str = ".") -> None:
    """Step a message; it must be refused, and change nothing at all."""
    before, had_ready = state_of(host.raft), host.node.has_ready()
    with pytest.raises(error, match=text) as refused:
        host.node.step(message)
    assert state_of(host.raft) == before
    assert host.node.has_ready() == had_ready
    if isinstance(refused.value, DamagedMessage):
        assert refused.value.message_type == message.type.name
        assert refused.value.from_ == message.from_
        assert refused.value.retry is Retry.NEVER
        assert isinstance(refused.value, PeerError)


def snapshot(index: int, term: int, conf_state: ConfState | None = None) -> Snapshot:
    return Snapshot(SnapshotMeta(index, term, conf_state or ConfState((1, 2, 3))))


# --- unknown peers and removed nodes ---------------------------------------------------------------------------

RESPONSES: list[Callable[[int, int], Message]] = [
    lambda from_, term: MsgAppResp(1, from_, term, 1),
    lambda from_, term: MsgHeartbeatResp(1, from_, term),
    lambda from_, term: MsgVoteResp(1, from_, term),
    lambda from_, term: MsgPreVoteResp(1, from_, term),
    lambda from_, term: MsgReadIndexResp(1, from_, term, 1),
]


@IN_EVERY_ROLE
@pytest.mark.parametrize("response", RESPONSES, ids=lambda response: type(response(9, 1)).__name__)
@pytest.mark.parametrize("from_", [0, 9, 2**64 - 3])
def test_a_response_of_an_unknown_node_is_refused(
    make: Callable[[], Host], response: Callable[[int, int], Message], from_: int
) -> None:
    host = make()
    for term in (1, host.raft.term, host.raft.term + 7):
        refuse(host, response(from_, term), PeerNotFound, f"node {from_} is not a member")


@pytest.mark.parametrize("response", RESPONSES, ids=lambda response: type(response(9, 1)).__name__)
def test_a_response_of_a_removed_node_is_refused(response: Callable[[int, int], Message]) -> None:
    host = the_leader()
    host.node.apply_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 3))
    take(host)
    refuse(host, response(3, 1), PeerNotFound)
    host.node.step(response(2, 1))


def test_a_removed_node_cannot_disturb_a_group_that_hears_its_leader() -> None:
    # It never learned of its removal, so it asks for votes, at ever higher terms (thesis §4.2.3).
    host = voter(voters=(1, 2), template=replace(DEFAULTS, check_quorum=True), terms=(1,), term=1)
    receive(host, MsgHeartbeat(1, 2, 1))
    before = state_of(host.raft)
    for term in (2, 50):
        assert receive(host, MsgVote(1, 3, term, 1, 9)) == []
        assert receive(host, MsgPreVote(1, 3, term, 1, 9)) == []
    assert state_of(host.raft) == before


def test_an_append_of_an_unknown_leader_is_taken_since_membership_may_lag_behind() -> None:
    host = follower()
    receive(host, MsgApp(1, 9, 4, 3, 4, entries(5, 4), 3))
    assert (host.raft.leader, host.raft.log.last_index) == (9, 5)


# --- oneself, nobody, and others -------------------------------------------------------------------------------

REQUESTS: list[Callable[[int, int], Message]] = [
    lambda from_, term: MsgApp(1, from_, term, 0, 0, [], 0),
    lambda from_, term: MsgHeartbeat(1, from_, term),
    lambda from_, term: MsgVote(1, from_, term, 1, 9),
    lambda from_, term: MsgPreVote(1, from_, term, 1, 9),
    lambda from_, term: MsgTimeoutNow(1, from_, term),
]


@IN_EVERY_ROLE
@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request(9, 1)).__name__)
def test_a_request_from_oneself_from_nobody_or_in_no_term_is_refused(
    make: Callable[[], Host], request_: Callable[[int, int], Message]
) -> None:
    host = make()
    for term in (host.raft.term, host.raft.term + 1):
        refuse(host, request_(1, term), text="from this node itself")
        for nobody in (0, APPEND_THREAD, APPLY_THREAD):
            refuse(host, request_(nobody, term), text="names no sender")
    refuse(host, request_(2, 0), text="carries no term")


@IN_EVERY_ROLE
def test_a_snapshot_from_oneself_is_refused(make: Callable[[], Host]) -> None:
    refuse(make(), MsgSnap(1, 1, 9, snapshot(20, 3)), text="from this node itself")


@IN_EVERY_ROLE
@pytest.mark.parametrize("to", [2, 9, APPEND_THREAD])
def test_a_message_to_another_node_is_refused(make: Callable[[], Host], to: int) -> None:
    host = make()
    for message in (
        MsgHeartbeat(to, 2, host.raft.term),
        MsgAppResp(to, 2, host.raft.term, 1),
        MsgProp(to, 2, 0, [Entry(data=b"x")]),
        MsgSnap(to, 2, host.raft.term, snapshot(20, 1)),
        MsgVote(to, 2, 99, 9, 9),
    ):
        refuse(host, message, text=f"addressed to node {to}")


# --- from the future -------------------------------------------------------------------------------------------


@IN_EVERY_ROLE
@pytest.mark.parametrize("term", [limits.TERM_MAX + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_term_that_no_group_reaches_is_refused(make: Callable[[], Host], term: int) -> None:
    messages: list[Message] = [make_(2, term) for make_ in [*REQUESTS, *RESPONSES]]
    messages += [
        MsgSnap(1, 2, term, snapshot(20, 3)),
        MsgProp(1, 2, term, [Entry(data=b"x")]),
        MsgReadIndex(1, 2, term),
        MsgTransferLeader(1, 2, term),
        MsgForgetLeader(1, 2, term),
    ]
    host = make()
    for message in messages:
        refuse(host, message, text=f"term {term} is beyond")


@pytest.mark.parametrize("index", [limits.TERM_MAX, 2**63 - 1, 2**64 - 1])
def test_an_index_that_no_log_reaches_is_refused(index: int) -> None:
    host = follower()
    refuse(host, MsgApp(1, 2, 3, 3, index, [Entry(3, index + 1)], 0), text="beyond any that a log can reach")
    refuse(host, MsgSnap(1, 2, 3, snapshot(index + 1, 3)), text="beyond any that a log can reach")
    refuse(host, MsgVote(1, 2, 4, 3, index + 1), text="no log ends in")


def test_the_last_term_and_index_that_are_allowed_do_no_harm() -> None:
    host = follower()
    receive(host, MsgApp(1, 2, limits.TERM_MAX, 3, limits.TERM_MAX, [], 0))
    assert (host.raft.term, host.raft.log.last_index, host.raft.leader) == (limits.TERM_MAX, 4, 2)


@pytest.mark.parametrize("make", [follower, candidate], ids=["follower", "candidate"])
def test_a_heartbeat_that_commits_what_is_not_in_the_log_is_refused(make: Callable[[], Host]) -> None:
    host = make()
    for commit in (5, 6, 2**64 - 1):
        refuse(host, MsgHeartbeat(1, 2, host.raft.term, commit), text="this log ends at 4")
        refuse(host, MsgHeartbeat(1, 2, host.raft.term + 1, commit), text="this log ends at 4")
    receive(host, MsgHeartbeat(1, 2, host.raft.term, 4))
    assert host.raft.log.committed == 4


def test_such_a_heartbeat_of_an_older_term_is_only_ignored() -> None:
    host = follower()
    before = state_of(host.raft)
    assert receive(host, MsgHeartbeat(1, 2, 2, 99)) == []
    assert state_of(host.raft) == before


# --- appends ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prev, prev_term, carried, text",
    [
        pytest.param(4, 3, [Entry(3, 6)], "entry 6 stands where entry 5 belongs", id="a gap at the start"),
        pytest.param(4, 3, [Entry(3, 5), Entry(3, 7)], "entry 7 stands where entry 6", id="a gap amid"),
        pytest.param(4, 3, [Entry(3, 5), Entry(3, 5)], "entry 5 stands where entry 6", id="an entry twice"),
        pytest.param(4, 3, [Entry(3, 4)], "entry 4 stands where entry 5", id="an entry too early"),
        pytest.param(4, 3, [Entry(2, 5)], "the term falls from 3 to 2 at entry 5", id="a term falls at the start"),
        pytest.param(3, 2, [Entry(3, 4), Entry(2, 5)], "the term falls from 3 to 2 at entry 5", id="a term falls"),
        pytest.param(4, 3, [Entry(4, 5)], "term 4", id="an entry of a later term than the message"),
        pytest.param(4, 4, [], "term 4, later than its own 3", id="a previous entry of a later term"),
        pytest.param(0, 0, [Entry(1, 1), Entry(2, 2)], "contradicts a committed", id="against a committed entry"),
        pytest.param(2, 1, [Entry(3, 3)], "contradicts a committed", id="against the last committed entry"),
        pytest.param(1, 1, [Entry(1, 2), Entry(3, 3), Entry(3, 4)], "contradicts", id="... with good ones around"),
    ],
)
@pytest.mark.parametrize("make", [follower, candidate], ids=["follower", "candidate"])
def test_an_append_that_no_correct_leader_sends_is_refused(
    make: Callable[[], Host], prev: int, prev_term: int, carried: list[Entry], text: str
) -> None:
    host = make()
    later = host.raft.term - 3  # the candidate is one term ahead
    carried = [Entry(entry.term + later if entry.term > 3 else entry.term, entry.index) for entry in carried]
    term = prev_term + later if prev_term > 3 else prev_term
    if later:
        text = text.replace("term 4", "term 5").replace("its own 3", "its own 4")
    refuse(host, MsgApp(1, 2, host.raft.term, term, prev, carried, 99), text=text)


def test_an_entry_of_no_term_is_refused() -> None:
    refuse(voter(), MsgApp(1, 2, 1, 0, 0, [Entry(0, 1)], 0), text="to 0 at entry 1")


def test_an_old_append_that_contradicts_committed_entries_is_refused_in_a_new_term_too() -> None:
    refuse(follower(), MsgApp(1, 3, 4, 1, 2, [Entry(4, 3)], 0), text="contradicts a committed")


def test_a_commit_beyond_what_an_append_proves_is_cut_not_refused() -> None:
    host = follower()
    receive(host, MsgApp(1, 2, 3, 3, 4, entries(5, 3), 2**64 - 1))
    assert host.raft.log.committed == 5


# --- acknowledgements ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [5, 6, 2**64 - 1])
def test_an_acknowledgement_of_entries_that_were_never_written_is_refused(index: int) -> None:
    refuse(the_leader(), MsgAppResp(1, 2, 1, index), text="this log ends at 4")


def test_a_bogus_hint_of_a_rejection_is_survived() -> None:
    host = the_leader()
    for hint, term in ((2**64 - 1, 0), (2**64 - 1, 2**64 - 1), (0, 2**64 - 1), (4, 0)):
        receive(host, MsgAppResp(1, 2, 1, 3, reject=True, reject_hint=hint, log_term=term))
        progress = host.raft.tracker.progress[2]
        assert progress.match < progress.next <= host.raft.log.last_index + 1
    receive(host, MsgAppResp(1, 2, 1, 2**64 - 1, reject=True))
    assert host.raft.tracker.progress[2].match == 2


@pytest.mark.parametrize(
    "context",
    [b"x", b"\x00" * 7, b"\x00" * 9, (2).to_bytes(8, "little"), b"\xff" * 8],
    ids=lambda context: context.hex(),
)
def test_a_confirmation_of_reads_that_were_never_asked_for_is_refused(context: bytes) -> None:
    refuse(the_leader(), MsgHeartbeatResp(1, 2, 1, context), text="never asked for")


def test_a_true_confirmation_of_reads_is_taken() -> None:
    host = the_leader()
    receive(host, MsgHeartbeatResp(1, 2, 1, (1).to_bytes(8, "little")))
    assert [read.context for read in host.read_states] == [b"waits for heartbeats"]


@pytest.mark.parametrize("log_term, index", [(5, 1), (2**64 - 1, 1), (4, 2**64 - 1)])
@pytest.mark.parametrize("kind", [MsgVote, MsgPreVote])
def test_a_vote_request_of_an_impossible_log_is_refused(
    kind: type[MsgVote | MsgPreVote], log_term: int, index: int
) -> None:
    refuse(follower(), kind(1, 2, 4, log_term, index), text="no log ends in")


# --- snapshots -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "conf_state",
    [
        ConfState((), (1,)),
        ConfState((1, 1)),
        ConfState((1, 0)),
        ConfState((1, 2), (2,)),
        ConfState((1, 2), (), (), (2,)),
        ConfState((1,), (), (), (), auto_leave=True),
        ConfState((), (), (1, 2)),
        ConfState((1,), (), (1, 2), (3,)),
    ],
    ids=str,
)
@IN_EVERY_ROLE
def test_a_snapshot_with_an_impossible_membership_is_refused(make: Callable[[], Host], conf_state: ConfState) -> None:
    host = make()
    refuse(host, MsgSnap(1, 2, host.raft.term, Snapshot(SnapshotMeta(20, 1, conf_state))), text="impossible")


def test_a_snapshot_of_an_empty_group_is_no_news() -> None:
    host = follower()
    (answer,) = sent(receive(host, MsgSnap(1, 2, 3, Snapshot(SnapshotMeta(20, 3)))), MsgAppResp)
    assert (answer.index, host.raft.log.last_index) == (3, 4)


def test_a_snapshot_of_a_later_term_than_its_message_or_of_none_is_refused() -> None:
    refuse(follower(), MsgSnap(1, 2, 3, snapshot(20, 4)), text="term 4, later than its own 3")
    refuse(follower(), MsgSnap(1, 2, 3, snapshot(20, 0)), text="of no term")


def test_a_snapshot_of_a_huge_membership_takes_no_long_time() -> None:
    # Quadratic work on twenty thousand members takes minutes; this test would then not end in any patience.
    members = tuple(range(1, 20_001))
    host = follower()
    receive(host, MsgSnap(1, 2, 3, snapshot(20, 3, ConfState(members[:10_000], members[10_000:]))))
    assert len(host.raft.tracker.progress) == 20_000


# --- proposals -------------------------------------------------------------------------------------------------

MALFORMED = [
    pytest.param(EntryType.CONF_CHANGE, b"\xff", id="a cut varint"),
    pytest.param(EntryType.CONF_CHANGE, b"\x22\x7f", id="a cut field"),
    pytest.param(EntryType.CONF_CHANGE, b"\x10\x09", id="an unknown change type"),
    pytest.param(EntryType.CONF_CHANGE_V2, b"\x08\x07", id="an unknown transition"),
    pytest.param(EntryType.CONF_CHANGE_V2, b"\x12\x02\x08", id="a cut change"),
    pytest.param(EntryType.CONF_CHANGE_V2, b"\x12\x02\x08\x05", id="an unknown type in a list"),
]


@IN_EVERY_ROLE
@pytest.mark.parametrize("kind, data", MALFORMED)
def test_a_forwarded_configuration_change_that_does_not_decode_is_refused(
    make: Callable[[], Host], kind: EntryType, data: bytes
) -> None:
    refuse(make(), MsgProp(1, 2, 0, [Entry(data=b"good"), Entry(0, 0, kind, data)]), text="does not decode")


@IN_EVERY_ROLE
def test_a_forwarded_proposal_without_entries_is_refused(make: Callable[[], Host]) -> None:
    refuse(make(), MsgProp(1, 2, 0, []), text="no entries")


@pytest.fixture
def huge() -> bytes:
    """One byte more than a payload may have; the zeros cost no memory until somebody looks at them."""
    return bytes(limits.PAYLOAD_BYTES_MAX + 1)


@IN_EVERY_ROLE
def test_proposals_that_are_too_large_or_none_are_refused(make: Callable[[], Host], huge: bytes) -> None:
    host = make()
    refuse(host, MsgProp(1, 2, 0, [Entry(data=b"x"), Entry(data=huge)]), LimitExceeded, "payload_bytes")
    before = state_of(host.raft)
    attempts: list[Callable[[], object]] = [
        lambda: host.node.propose(huge),
        lambda: host.node.propose(huge[:-1], b"y"),
        lambda: host.node.propose(b"", huge),
        lambda: host.node.propose_batch([b"x", huge]),
        lambda: host.node.propose_batch([]),
        lambda: host.node.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 4, huge)),
        lambda: host.node.propose_conf_change(ConfChangeV2(parse_changes("v4"), context=huge)),
    ]
    for attempt in attempts:
        with pytest.raises(LimitExceeded) as refused:
            attempt()
        assert refused.value.value != refused.value.bound
        assert state_of(host.raft) == before


def test_the_largest_payload_is_taken(huge: bytes) -> None:
    host = leader(voters=(1,))
    assert host.node.propose(huge[:-1]) == 2
    assert host.raft.role is Role.LEADER


def test_a_forwarded_proposal_is_taken_as_if_made_here() -> None:
    host = the_leader()
    forged = [Entry(77, 99, data=b"term and index of a proposal mean nothing")]
    (append,) = sent(receive(host, MsgProp(1, 2, 0, forged)), MsgApp, to=2)
    assert append.entries == [Entry(1, 5, data=forged[0].data)]
    assert (forged[0].term, forged[0].index) == (77, 99)
