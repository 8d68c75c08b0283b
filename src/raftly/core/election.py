"""Elections: time-outs, campaigns, votes, the rules of terms, check-quorum and leadership transfer.

Sources: thesis §3.4 (election), §3.6.1 (who may be elected), §3.10 (transfer), §4.2.3 and §9.6 (disruption, pre-vote);
compare etcd-io/raft raft.go, tikv/raft-rs src/raft.rs (priority, commit in votes).
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from raftly.base.types import NO_NODE, Entry, EntryType, Index, NodeId
from raftly.core import replication
from raftly.core.config import ReadOnlyOption
from raftly.core.messages import (
    CAMPAIGN_TRANSFER,
    Message,
    MsgApp,
    MsgAppResp,
    MsgBeat,
    MsgCheckQuorum,
    MsgForgetLeader,
    MsgHeartbeat,
    MsgHup,
    MsgPreVote,
    MsgPreVoteResp,
    MsgSnap,
    MsgStorageAppendResp,
    MsgTimeoutNow,
    MsgTransferLeader,
    MsgVote,
    MsgVoteResp,
    VoteRequest,
    VoteResponse,
)
from raftly.core.quorum import VoteResult
from raftly.core.role import Role
from raftly.core.trace import (
    CampaignBlocked,
    CampaignStarted,
    ForgetLeaderRefused,
    HigherTermSeen,
    HupIgnored,
    LeaderForgotten,
    LowerTermIgnored,
    ProgressMissing,
    QuorumLost,
    StaleAppendAck,
    TimeoutNowIgnored,
    TimeoutNowReceived,
    TransferHasNoLeader,
    TransferIgnored,
    TransferRepeated,
    TransferReplaced,
    TransferStarted,
    TransferTargetReady,
    Unpromotable,
    VoteCast,
    VoteIgnoredInLease,
    VoteReceived,
    VoteRefused,
    VoteRequested,
    VotesTallied,
)

if TYPE_CHECKING:
    from raftly.core.raft import Raft


class Campaign(Enum):
    """Why and how a node campaigns."""

    PRE_ELECTION = "pre-election"  # ask first, raise the term later
    ELECTION = "election"
    TRANSFER = "transfer"  # the leader asked for it: no pre-vote, and leases do not protect it


# --- terms -----------------------------------------------------------------------------------------------------


def settle_term(raft: Raft, message: Message) -> bool:
    """Deal with a message of another term (thesis §3.3): step down to a higher one, answer or ignore a lower one.

    True when the message must still be handled.
    """
    if message.term > raft.term:
        return _settle_higher(raft, message)
    _settle_lower(raft, message)
    return False


def _settle_higher(raft: Raft, message: Message) -> bool:
    if isinstance(message, VoteRequest):
        if message.context != CAMPAIGN_TRANSFER and _in_lease(raft):
            if raft.trace is not None:
                raft.trace.emit(VoteIgnoredInLease(message))
            return False
        if type(message) is MsgPreVote:
            return True  # a question about the future changes nothing
    if type(message) is MsgPreVoteResp and not message.reject:
        return True  # its term is the one asked for, which is not reached yet
    if raft.trace is not None:
        raft.trace.emit(HigherTermSeen(message))
    from_leader = type(message) is MsgApp or type(message) is MsgHeartbeat or type(message) is MsgSnap
    raft.become_follower(message.term, message.from_ if from_leader else NO_NODE)
    return True


def _in_lease(raft: Raft) -> bool:
    """May a leader still count on this node, in a group that checks for it?

    With `lease_tick` that is a promise, which outlives the leader's name, this node's role, its term and a crash.
    """
    if not raft.check_quorum:
        return False
    if raft.lease_tick:
        return raft.role is Role.LEADER or raft.heard_elapsed < raft.lease_tick
    return raft.leader != NO_NODE and raft.election_elapsed < raft.config.election_tick


def _settle_lower(raft: Raft, message: Message) -> None:
    kind = type(message)
    if (kind is MsgHeartbeat or kind is MsgApp) and (raft.check_quorum or raft.config.pre_vote):
        # A leader of an older term may never learn of ours, since its group ignores our vote requests: tell it.
        raft.send_after_append(MsgAppResp(message.from_, raft.id, raft.term))
    elif isinstance(message, MsgPreVote):
        # Silence could deadlock a group in which one node with a short log reached a higher term.
        if raft.trace is not None:
            raft.trace.emit(VoteRefused(message))
        raft.send_after_append(MsgPreVoteResp(message.from_, raft.id, raft.term, reject=True))
    elif isinstance(message, MsgStorageAppendResp):
        # Its entries may have been overwritten since, even by entries that look the same; a snapshot holds
        # committed state and counts in any term.
        if message.index != 0 and raft.trace is not None:
            raft.trace.emit(StaleAppendAck(message.term))
        if message.snapshot is not None:
            applied_snapshot(raft, message.snapshot.meta.index)
    elif raft.trace is not None:
        raft.trace.emit(LowerTermIgnored(message))


def applied_snapshot(raft: Raft, index: Index) -> None:
    """The snapshot at `index` is durable and applied."""
    raft.log.stable_snap_to(index)
    raft.applied_to(index, 0)


# --- ticks -----------------------------------------------------------------------------------------------------


def tick_follower(raft: Raft) -> None:
    """A tick of a node that does not lead."""
    raft.election_elapsed += 1
    if raft.election_elapsed >= raft.randomized_election_timeout and raft.promotable():
        raft.election_elapsed = 0
        raft.step(MsgHup(raft.id, raft.id))
    elif 0 < raft.hurry_at <= raft.heard_elapsed and raft.promotable():
        # Others may have heard the leader later, so once is not enough; then the usual time-outs take over, which all
        # this has not delayed.
        again = raft.heard_elapsed + 1 + raft.draw_below(_hurry_spread(raft))
        raft.hurry_at = again if again < raft.config.election_tick else 0
        raft.step(MsgHup(raft.id, raft.id))


def leader_lost(raft: Raft, id_: NodeId) -> None:
    """Follower of `id_`: it is probably dead; campaign soon after no promise to it stands any more."""
    if raft.lease_tick and raft.role is Role.FOLLOWER and raft.leader == id_ and raft.hurry_at == 0:
        raft.hurry_at = max(raft.heard_elapsed, raft.lease_tick) + raft.draw_below(_hurry_spread(raft))


def _hurry_spread(raft: Raft) -> int:
    """Those who see the same connection close draw their wait from so many ticks, lest they split the vote."""
    return max(2, (raft.config.election_tick - raft.lease_tick) // 4)


def tick_leader(raft: Raft) -> None:
    """A tick of a leader: every election time-out check the quorum, every heartbeat interval tell the others."""
    raft.heartbeat_elapsed += 1
    raft.election_elapsed += 1
    if raft.election_elapsed >= raft.config.election_tick:
        raft.election_elapsed = 0
        if raft.check_quorum:
            raft.step(MsgCheckQuorum(raft.id, raft.id))
        if raft.role is Role.LEADER and raft.lead_transferee != NO_NODE:
            raft.lead_transferee = NO_NODE  # a transfer has one election time-out
            raft.auto_leave()  # the transfer may have prevented it
    if raft.role is Role.LEADER and raft.heartbeat_elapsed >= raft.config.heartbeat_tick:
        raft.heartbeat_elapsed = 0
        raft.step(MsgBeat(raft.id, raft.id))


def on_check_quorum(raft: Raft, _: MsgCheckQuorum) -> None:
    """Leader: step down unless a quorum was heard from, and start listening afresh."""
    if not raft.tracker.quorum_active():
        if raft.trace is not None:
            raft.trace.emit(QuorumLost())
        raft.become_follower(raft.term, NO_NODE)
    for id_, progress in raft.tracker.peers:
        if id_ != raft.id:
            progress.recent_active = False


# --- campaigns -------------------------------------------------------------------------------------------------


def on_hup(raft: Raft, _: MsgHup) -> None:
    """Not a leader: the time-out, or the application, says campaign."""
    if raft.lease_tick and _in_lease(raft):
        if raft.trace is not None:
            raft.trace.emit(HupIgnored())  # its own vote is as good as promised, too
        return
    hup(raft, Campaign.PRE_ELECTION if raft.config.pre_vote else Campaign.ELECTION)


def on_hup_leader(raft: Raft, _: MsgHup) -> None:
    """Leader: nothing to win."""
    if raft.trace is not None:
        raft.trace.emit(HupIgnored())


def hup(raft: Raft, campaign: Campaign) -> None:
    """Campaign, unless this node may not."""
    if not raft.promotable():
        if raft.trace is not None:
            raft.trace.emit(Unpromotable(late=False))
        return
    if has_conf_change(raft, raft.log.applied + 1, raft.log.committed + 1):
        # The change in waiting may have removed this node, or those that it would ask.
        if raft.trace is not None:
            raft.trace.emit(CampaignBlocked())
        return
    if raft.trace is not None:
        raft.trace.emit(CampaignStarted())
    run_campaign(raft, campaign)


def has_conf_change(raft: Raft, lo: Index, hi: Index) -> bool:
    """Is there a configuration change among the entries [lo, hi)?"""
    found = False

    def visit(page: list[Entry]) -> bool:
        nonlocal found
        found = any(entry.type != EntryType.NORMAL for entry in page)
        return not found

    if lo < hi:
        raft.log.scan(lo, hi, raft.log.applying_bytes_max, visit)
    return found


def run_campaign(raft: Raft, campaign: Campaign) -> None:
    """Become a (pre-)candidate and ask every voter; the own vote waits for the disk like any other."""
    if not raft.promotable() and raft.trace is not None:
        raft.trace.emit(Unpromotable(late=True))
    pre = campaign is Campaign.PRE_ELECTION
    if pre:
        raft.become_pre_candidate()
        term = raft.term + 1
    else:
        raft.become_candidate()
        term = raft.term
    log = raft.log
    context = CAMPAIGN_TRANSFER if campaign is Campaign.TRANSFER else b""
    commit, commit_term = _commit_point(raft)
    request_class = MsgPreVote if pre else MsgVote
    for id_ in raft.tracker.config.voters.ids():
        if id_ == raft.id:
            raft.send_after_append((MsgPreVoteResp if pre else MsgVoteResp)(id_, id_, term))
            continue
        request = request_class(
            id_, raft.id, term, log.last_term, log.last_index, context, commit, commit_term, raft.priority
        )
        if raft.trace is not None:
            raft.trace.emit(VoteRequested(request))
        if raft.config.own_vote_first and not pre:
            raft.send_after_append(request)
        else:
            raft.send(request)


def _commit_point(raft: Raft) -> tuple[int, int]:
    """raft-rs: the commit index and its term, to be told in vote messages; (0, 0) when they are not."""
    if not raft.config.commit_in_votes:
        return 0, 0
    return raft.log.committed, raft.log.term_or_none(raft.log.committed) or 0


# --- votes -----------------------------------------------------------------------------------------------------


def on_vote_request(raft: Raft, request: VoteRequest) -> None:
    """Any role, own term or a pre-vote for a later one: grant it or refuse it.

    Learners vote too: one that was promoted may not know it yet, and its vote may be the one that is missing.
    """
    pre = type(request) is MsgPreVote
    log = raft.log
    can_vote = (
        raft.vote == request.from_
        or (raft.vote == NO_NODE and raft.leader == NO_NODE)
        or (pre and request.term > raft.term)
    )
    if raft.lease_tick and request.context != CAMPAIGN_TRANSFER and _in_lease(raft):
        can_vote = False  # of this node's own term, so it did not pass the rules of terms
    if (
        can_vote
        and log.is_up_to_date(request.log_term, request.index)
        and (request.index > log.last_index or raft.priority <= request.priority)
    ):
        if raft.trace is not None:
            raft.trace.emit(VoteCast(request))
        # The answer to a pre-vote is of the term asked about: an asker behind in terms would ignore ours.
        raft.send_after_append((MsgPreVoteResp if pre else MsgVoteResp)(request.from_, raft.id, request.term))
        if not pre:
            raft.election_elapsed = 0
            raft.hurry_at = 0
            raft.vote = request.from_
        return
    if raft.trace is not None:
        raft.trace.emit(VoteRefused(request))
    commit, commit_term = _commit_point(raft)
    response_class = MsgPreVoteResp if pre else MsgVoteResp
    raft.send_after_append(
        response_class(request.from_, raft.id, raft.term, reject=True, commit=commit, commit_term=commit_term)
    )
    _commit_by_vote(raft, request.commit, request.commit_term)


def on_vote_response(raft: Raft, response: VoteResponse) -> None:
    """(Pre-)candidate: count an answer to the question that this role asked."""
    kind = response.type.name
    if raft.trace is not None:
        raft.trace.emit(VoteReceived(kind, response.from_, response.reject))
    raft.tracker.record_vote(response.from_, not response.reject)
    granted, rejected, result = raft.tracker.tally_votes()
    if raft.trace is not None:
        raft.trace.emit(VotesTallied(kind, granted, rejected))
    if result is VoteResult.WON:
        if raft.role is Role.PRE_CANDIDATE:
            run_campaign(raft, Campaign.ELECTION)
        else:
            raft.become_leader()
            replication.bcast_append(raft)
    elif result is VoteResult.LOST:
        raft.become_follower(raft.term, NO_NODE)
    if response.reject:
        _commit_by_vote(raft, response.commit, response.commit_term)


def _commit_by_vote(raft: Raft, commit: Index, commit_term: int) -> None:
    """raft-rs: a vote message tells of a commit that this log can confirm.

    A candidate that thereby finds a configuration change it has not applied gives up: it must count other votes.
    """
    if commit == 0 or commit_term == 0 or raft.role is Role.LEADER:
        return
    before = raft.log.committed
    if not raft.log.maybe_commit(commit_term, commit):
        return
    if raft.role is not Role.FOLLOWER and has_conf_change(raft, before + 1, raft.log.committed + 1):
        raft.become_follower(raft.term, NO_NODE)


# --- leadership transfer and forgetting ------------------------------------------------------------------------


def on_transfer_leader(raft: Raft, message: MsgTransferLeader) -> None:
    """Leader: hand over to `message.from_`, once that node has the whole log."""
    target = message.from_
    progress = raft.tracker.progress.get(target)
    if progress is None:
        if raft.trace is not None:
            raft.trace.emit(ProgressMissing(target))
        return
    if progress.is_learner:
        if raft.trace is not None:
            raft.trace.emit(TransferIgnored(to_self=False))
        return
    previous = raft.lead_transferee
    if previous != NO_NODE:
        if previous == target:
            if raft.trace is not None:
                raft.trace.emit(TransferRepeated(target))
            return
        raft.lead_transferee = NO_NODE
        if raft.trace is not None:
            raft.trace.emit(TransferReplaced(previous))
    if target == raft.id:
        if raft.trace is not None:
            raft.trace.emit(TransferIgnored(to_self=True))
        if previous != NO_NODE:
            raft.auto_leave()
        return
    if raft.trace is not None:
        raft.trace.emit(TransferStarted(target))
    raft.election_elapsed = 0  # it has one election time-out from here
    raft.lead_transferee = target
    if progress.match == raft.log.last_index:
        send_timeout_now(raft, target)
        if raft.trace is not None:
            raft.trace.emit(TransferTargetReady(target, caught_up=False))
    else:
        replication.maybe_send_append(raft, target, progress, allow_empty=True)


def send_timeout_now(raft: Raft, to: int) -> None:
    """Tell the transfer target to campaign at once."""
    raft.send(MsgTimeoutNow(to, raft.id, raft.term))


def on_transfer_leader_follower(raft: Raft, message: MsgTransferLeader) -> None:
    """Follower: pass the request on to the leader."""
    if raft.leader == NO_NODE:
        if raft.trace is not None:
            raft.trace.emit(TransferHasNoLeader())
        return
    raft.send(MsgTransferLeader(raft.leader, message.from_, raft.term))


def on_timeout_now(raft: Raft, message: MsgTimeoutNow) -> None:
    """Follower: the leader hands over. No pre-vote: nothing is being recovered from."""
    if raft.trace is not None:
        raft.trace.emit(TimeoutNowReceived(message.from_))
    hup(raft, Campaign.TRANSFER)


def on_timeout_now_candidate(raft: Raft, message: MsgTimeoutNow) -> None:
    """(Pre-)candidate: campaigns already."""
    if raft.trace is not None:
        raft.trace.emit(TimeoutNowIgnored(message.from_))


def on_forget_leader(raft: Raft, _: MsgForgetLeader) -> None:
    """Follower: forget the leader, so that a candidate need not wait for the lease to end."""
    if raft.config.read_only_option is ReadOnlyOption.LEASE_BASED:
        if raft.trace is not None:
            raft.trace.emit(ForgetLeaderRefused())
        return
    if raft.leader != NO_NODE:
        if raft.trace is not None:
            raft.trace.emit(LeaderForgotten())
        raft.leader = NO_NODE
