"""Log lines: one for every event that etcd logs, word by word, and a level for each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raftly.base.membership import ConfChangeV2, ConfState, parse_changes
from raftly.base.types import EntryType, Snapshot, SnapshotMeta
from raftly.core import trace
from raftly.core.logtext import LogLevel, fatal_line, log_line
from raftly.core.messages import MsgApp, MsgAppResp, MsgPreVote, MsgVote
from raftly.core.raft import Raft
from raftly.core.role import Role
from raftly.core.trace import TraceEvent
from raftly.core.tracker import Inflights, Progress
from raftly.errors import InvariantError
from tests.support.network import DEFAULTS, storage_with

SNAPSHOT = Snapshot(SnapshotMeta(9, 2, ConfState((1, 17), (3,), (2,), (4,), auto_leave=True)))
PROGRESS = Progress(8, Inflights(1), match=5, active=True)
VOTE = MsgVote(10, 27, 5, 2, 9)
AT = "[logterm: 3, index: 4, vote: b]"
MUTE = {
    trace.LeaderElected: trace.LeaderElected(),
    trace.ReadyAccepted: trace.ReadyAccepted(),
    trace.EntryReplicated: trace.EntryReplicated(EntryType.NORMAL),
    trace.ConfChangeAccepted: trace.ConfChangeAccepted(ConfChangeV2()),
    trace.ConfigSwitching: trace.ConfigSwitching((1,)),
    trace.CommitAttempted: trace.CommitAttempted(),
    trace.MessageSent: trace.MessageSent(VOTE),
    trace.MessageReceived: trace.MessageReceived(VOTE),
}
LINES: list[tuple[TraceEvent, str]] = [
    (
        trace.NodeCreated(),
        "INFO newRaft a [peers: [2,a,1b], term: 3, commit: 2, applied: 0, lastindex: 4, lastterm: 3]",
    ),
    (trace.RoleChanged(Role.FOLLOWER), "INFO a became follower at term 3"),
    (trace.RoleChanged(Role.CANDIDATE), "INFO a became candidate at term 3"),
    (trace.RoleChanged(Role.PRE_CANDIDATE), "INFO a became pre-candidate at term 3"),
    (trace.RoleChanged(Role.LEADER), "INFO a became leader at term 3"),
    (trace.CampaignStarted(), "INFO a is starting a new election at term 3"),
    (
        trace.VoteRequested(MsgPreVote(27, 10, 4, 3, 4)),
        "INFO a [logterm: 3, index: 4] sent MsgPreVote request to 1b at term 3",
    ),
    (trace.VoteReceived("MsgVoteResp", 27, reject=False), "INFO a received MsgVoteResp from 1b at term 3"),
    (trace.VoteReceived("MsgVoteResp", 27, reject=True), "INFO a received MsgVoteResp rejection from 1b at term 3"),
    (trace.VotesTallied("MsgPreVoteResp", 2, 1), "INFO a has received 2 MsgPreVoteResp votes and 1 vote rejections"),
    (trace.VoteCast(VOTE), f"INFO a {AT} cast MsgVote for 1b [logterm: 2, index: 9] at term 3"),
    (trace.VoteRefused(VOTE), f"INFO a {AT} rejected MsgVote from 1b [logterm: 2, index: 9] at term 3"),
    (
        trace.VoteIgnoredInLease(VOTE),
        (
            f"INFO a {AT} ignored MsgVote from 1b [logterm: 2, index: 9] at term 3: "
            "lease is not expired (remaining ticks: 6)"
        ),
    ),
    (trace.HupIgnored(), "DEBUG a ignoring MsgHup because already leader"),
    (trace.Unpromotable(late=False), "WARN a is unpromotable and can not campaign"),
    (trace.Unpromotable(late=True), "WARN a is unpromotable; campaign() should have been called"),
    (
        trace.CampaignBlocked(),
        "WARN a cannot campaign at term 3 since there are still pending configuration changes to apply",
    ),
    (trace.QuorumLost(), "WARN a stepped down to follower since quorum is not active"),
    (trace.LeaderForgotten(), "INFO a forgetting leader 1b at term 3"),
    (trace.ForgetLeaderRefused(), "ERROR ignoring MsgForgetLeader due to ReadOnlyLeaseBased"),
    (
        trace.HigherTermSeen(VOTE),
        "INFO a [term: 3] received a MsgVote message with higher term from 1b [term: 5]",
    ),
    (
        trace.LowerTermIgnored(MsgApp(10, 27, 2, 0, 0, [], 0)),
        "INFO a [term: 3] ignored a MsgApp message with lower term from 1b [term: 2]",
    ),
    (trace.TransferStarted(27), "INFO a [term 3] starts to transfer leadership to 1b"),
    (
        trace.TransferTargetReady(27, caught_up=False),
        "INFO a sends MsgTimeoutNow to 1b immediately as 1b already has up-to-date log",
    ),
    (trace.TransferTargetReady(27, caught_up=True), "INFO a sent MsgTimeoutNow to 1b after received MsgAppResp"),
    (
        trace.TransferRepeated(27),
        "INFO a [term 3] transfer leadership to 1b is in progress, ignores request to same node 1b",
    ),
    (trace.TransferReplaced(27), "INFO a [term 3] abort previous transferring leadership to 1b"),
    (trace.TransferIgnored(to_self=True), "DEBUG a is already leader. Ignored transferring leadership to self"),
    (trace.TransferIgnored(to_self=False), "DEBUG a is learner. Ignored transferring leadership"),
    (trace.TransferHasNoLeader(), "INFO a no leader at term 3; dropping leader transfer msg"),
    (
        trace.TimeoutNowReceived(27),
        "INFO a [term 3] received MsgTimeoutNow from 1b and starts an election to get leadership.",
    ),
    (trace.TimeoutNowIgnored(27), "DEBUG a [term 3 state StateFollower] ignored MsgTimeoutNow from 1b"),
    (trace.ProposalHasNoLeader(), "INFO a no leader at term 3; dropping proposal"),
    (trace.ProposalNotForwarded(), "INFO a not forwarding to leader 1b at term 3; dropping proposal"),
    (
        trace.ProposalDuringTransfer(),
        "DEBUG a [term 3] transfer leadership to c is in progress; dropping proposal",
    ),
    (
        trace.UncommittedLimitReached(),
        "WARN a appending new entries to log would exceed uncommitted entry size limit; dropping proposal",
    ),
    (trace.ReadHasNoLeader(), "INFO a no leader at term 3; dropping index reading msg"),
    (
        trace.ReadsReleasedEarly(),
        "ERROR pending MsgReadIndex should be released only after first commit in current term",
    ),
    (
        trace.ConfChangeRefused(ConfChangeV2(parse_changes("v4 l20")), "must transition out of joint config first"),
        (
            "INFO a ignoring conf change transition:ConfChangeTransitionAuto "
            "changes:{type:ConfChangeAddNode node_id:4} changes:{type:ConfChangeAddLearnerNode node_id:20} "
            "at config voters=(2 a 1b): "
            "must transition out of joint config first"
        ),
    ),
    (trace.ConfigSwitched(), "INFO a switched to configuration voters=(2 a 1b)"),
    (
        trace.AutoLeaveProposed(),
        "INFO initiating automatic transition out of joint configuration voters=(2 a 1b)",
    ),
    (
        trace.AutoLeaveFailed(),
        "DEBUG not initiating automatic transition out of joint configuration voters=(2 a 1b): raft proposal dropped",
    ),
    (
        trace.LogConflictFound(9, 2, 3),
        "INFO found conflict at index 9 [existing term: 2, conflicting term: 3]",
    ),
    (trace.UnstableReplaced(9), "INFO replace the unstable entries from index 9"),
    (trace.UnstableTruncated(9), "INFO truncate the unstable entries before index 9"),
    (
        trace.AppendRejected(27, 9, 2, 0),
        "DEBUG a [logterm: 0, index: 9] rejected MsgApp [logterm: 2, index: 9] from 1b",
    ),
    (
        trace.AppendRejectionReceived(MsgAppResp(10, 27, 3, 9, reject=True, reject_hint=4, log_term=2)),
        "DEBUG a received MsgAppResp(rejected, hint: (index 4, term 2)) from 1b for index 9",
    ),
    (
        trace.ProgressDecreased(27, PROGRESS),
        "DEBUG a decreased progress of 1b to [StateProbe match=5 next=8]",
    ),
    (trace.ProgressMissing(27), "DEBUG a no progress available for 1b"),
    (
        trace.PeerUnreachable(27, PROGRESS),
        "DEBUG a failed to send message to 1b because it is unreachable [StateProbe match=5 next=8]",
    ),
    (
        trace.SnapshotSent(27, SNAPSHOT, PROGRESS),
        "DEBUG a [firstindex: 1, commit: 2] sent snapshot[index: 9, term: 2] to 1b [StateProbe match=5 next=8]",
    ),
    (
        trace.ReplicationPaused(27, PROGRESS),
        "DEBUG a paused sending replication messages to 1b [StateProbe match=5 next=8]",
    ),
    (
        trace.SnapshotSkipped(27, not_ready=False),
        "DEBUG ignore sending snapshot to 1b since it is not recently active",
    ),
    (
        trace.SnapshotSkipped(27, not_ready=True),
        "DEBUG a failed to send snapshot to 1b because snapshot is temporarily unavailable",
    ),
    (
        trace.ProgressRecovered(27, PROGRESS),
        (
            "DEBUG a recovered from needing snapshot, resumed sending replication messages to 1b "
            "[StateProbe match=5 next=8]"
        ),
    ),
    (
        trace.SnapshotReported(27, failed=False, progress=PROGRESS),
        "DEBUG a snapshot succeeded, resumed sending replication messages to 1b [StateProbe match=5 next=8]",
    ),
    (
        trace.SnapshotReported(27, failed=True, progress=PROGRESS),
        "DEBUG a snapshot failed, resumed sending replication messages to 1b [StateProbe match=5 next=8]",
    ),
    (
        trace.SnapshotRestoreStarted(SNAPSHOT),
        (
            "INFO log [committed=2, applied=0, applying=0, unstable.offset=5, unstable.offsetInProgress=5, "
            "len(unstable.Entries)=0] starts to restore snapshot [index: 9, term: 2]"
        ),
    ),
    (
        trace.SnapshotRestored(SNAPSHOT),
        "INFO a [commit: 2, lastindex: 4, lastterm: 3] restored snapshot [index: 9, term: 2]",
    ),
    (
        trace.SnapshotFastForwarded(SNAPSHOT),
        "INFO a [commit: 2, lastindex: 4, lastterm: 3] fast-forwarded commit to snapshot [index: 9, term: 2]",
    ),
    (trace.SnapshotHandled(SNAPSHOT, restored=True), "INFO a [commit: 2] restored snapshot [index: 9, term: 2]"),
    (trace.SnapshotHandled(SNAPSHOT, restored=False), "INFO a [commit: 2] ignored snapshot [index: 9, term: 2]"),
    (
        trace.SnapshotForeign(SNAPSHOT.meta.conf_state),
        (
            "WARN a attempted to restore snapshot but it is not in the ConfState voters:1 voters:17 learners:3 "
            "voters_outgoing:2 learners_next:4 auto_leave:true; should never happen"
        ),
    ),
    (trace.SnapshotWhileLeading(), "WARN a attempted to restore snapshot as leader; should never happen"),
    (
        trace.StaleAppendAck(2),
        "INFO a [term: 3] ignored entry appends from a MsgStorageAppendResp message with lower term [term: 2]",
    ),
    (
        trace.AppendAckUnusable(9, matched_snapshot=False),
        "INFO entry at index 9 missing from unstable log; ignoring",
    ),
    (
        trace.AppendAckUnusable(9, matched_snapshot=True),
        "INFO entry at index 9 matched unstable snapshot; ignoring",
    ),
    (
        trace.AppendAckMismatched(9, 2, 3),
        "INFO entry at (index,term)=(9,2) mismatched with entry at (9,3) in unstable log; ignoring",
    ),
]


@pytest.fixture
def node() -> Raft:
    """Node 10 of 2, 10 and 27 at term 3, with the vote of 11 in it, following 27, on its way to hand over to 12."""
    storage = storage_with(voters=(27, 2, 10), terms=(1, 2, 2, 3), vote=11, commit=2)
    raft = Raft(replace(DEFAULTS, id=10), storage)
    raft.leader = 27
    raft.lead_transferee = 12
    raft.election_elapsed = 4
    return raft


@pytest.mark.parametrize(
    "event,line", LINES, ids=lambda value: type(value).__name__ if isinstance(value, TraceEvent) else ""
)
def test_lines(node: Raft, event: TraceEvent, line: str) -> None:
    rendered = log_line(node, event)
    assert rendered is not None
    level, text = rendered
    assert f"{level.name} {text}" == line


def test_every_event_has_a_line_or_none_on_purpose(node: Raft) -> None:
    events = {kind for kind in vars(trace).values() if isinstance(kind, type) and issubclass(kind, TraceEvent)}
    assert {type(event) for event, _ in LINES} | set(MUTE) == events - {TraceEvent}
    assert [event for event in MUTE.values() if log_line(node, event) is not None] == []


def test_a_broken_invariant_is_fatal() -> None:
    assert fatal_line(InvariantError("need non-empty snapshot")) == (LogLevel.FATAL, "need non-empty snapshot")


def test_levels_are_in_order() -> None:
    assert sorted(LogLevel) == list(LogLevel)
    assert [level.name for level in LogLevel] == ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"]
