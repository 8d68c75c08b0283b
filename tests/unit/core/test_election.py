"""Terms, roles, time-outs and votes of one core; what several make of them is in test_election_cluster.py."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from raftly.base.types import Entry
from raftly.core.messages import (
    Message,
    MsgApp,
    MsgAppResp,
    MsgHeartbeat,
    MsgPreVote,
    MsgPreVoteResp,
    MsgVote,
    MsgVoteResp,
    VoteRequest,
    VoteResponse,
)
from raftly.core.role import Role
from raftly.errors import InvariantError
from tests.support.network import DEFAULTS, Host, cluster, host_with, storage_with

TIMEOUT = DEFAULTS.election_tick
PRE_VOTE = replace(DEFAULTS, pre_vote=True)
CHECK_QUORUM = replace(DEFAULTS, check_quorum=True)
ROLES = list(Role)


def voter(
    voters: int = 3, *, term: int = 1, terms: tuple[int, ...] = (), seed: int = 0, pre_vote: bool = False
) -> Host:
    """Node 1 of so many voters, a follower that knows no leader."""
    template = replace(DEFAULTS, seed=seed, pre_vote=pre_vote)
    return host_with(1, template, storage_with(voters=range(1, voters + 1), terms=terms, term=term))


def become(host: Host, role: Role) -> Host:
    """Bring a follower into a role by the core's own transitions, and forget what it sent on the way."""
    raft = host.raft
    if role is Role.PRE_CANDIDATE:
        raft.become_pre_candidate()
    elif role is not Role.FOLLOWER:
        raft.become_candidate()
        if role is Role.LEADER:
            raft.become_leader()
    host.settle()
    return host


def ticks_until(host: Host, happened: Callable[[], bool]) -> int:
    """How many ticks pass until something happens."""
    ticks = 0
    while not happened():
        host.node.tick()
        ticks += 1
        assert ticks < 10 * TIMEOUT
    return ticks


# --- terms -----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("EL01", "EL02", "EL03")
@pytest.mark.tinykv(
    "TestFollowerUpdateTermFromMessage2AA",
    "TestCandidateUpdateTermFromMessage2AA",
    "TestLeaderUpdateTermFromMessage2AA",
)
@pytest.mark.parametrize("role", ROLES)
def test_an_append_of_a_higher_term_makes_any_role_its_senders_follower(role: Role) -> None:
    host = become(voter(), role)
    higher = host.raft.term + 1
    host.node.step(MsgApp(1, 2, higher, 0, 0, [], 0))
    assert (host.raft.term, host.raft.role, host.raft.leader) == (higher, Role.FOLLOWER, 2)


@pytest.mark.behaviour("EL04")
@pytest.mark.parametrize("role", ROLES)
def test_an_append_of_a_lower_term_touches_nothing(role: Role) -> None:
    host = become(voter(term=5), role)
    raft = host.raft
    host.node.tick()
    host.settle()
    before = (raft.term, raft.role, raft.leader, raft.election_elapsed, host.log())
    end, last_term = raft.log.last_index, raft.log.last_term
    host.node.step(MsgApp(1, 2, 4, min(last_term, 4), end, [Entry(4, end + 1)], end + 1))
    assert (raft.term, raft.role, raft.leader, raft.election_elapsed, host.log()) == before
    assert host.settle() == []


# --- roles -----------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("EL05")
@pytest.mark.tinykv("TestStartAsFollower2AA")
def test_a_new_node_follows() -> None:
    assert host_with(1, storage=storage_with(voters=(1, 2, 3))).raft.role is Role.FOLLOWER
    assert host_with(1, storage=storage_with(voters=(1,), terms=(1, 1), term=7)).raft.role is Role.FOLLOWER


def _transition(host: Host, to: Role) -> None:
    raft = host.raft
    transitions: dict[Role, Callable[[], None]] = {
        Role.FOLLOWER: lambda: raft.become_follower(raft.term, 2),
        Role.PRE_CANDIDATE: raft.become_pre_candidate,
        Role.CANDIDATE: raft.become_candidate,
        Role.LEADER: raft.become_leader,
    }
    transitions[to]()


FORBIDDEN = [
    (Role.FOLLOWER, Role.LEADER),
    (Role.LEADER, Role.CANDIDATE),
    (Role.LEADER, Role.PRE_CANDIDATE),
]


@pytest.mark.behaviour("EL24", "EL25")
@pytest.mark.parametrize("start", ROLES)
@pytest.mark.parametrize("to", ROLES)
def test_changes_of_role(start: Role, to: Role) -> None:
    host = become(voter(), start)
    raft = host.raft
    before = raft.term
    if (start, to) in FORBIDDEN:
        with pytest.raises(InvariantError, match="invalid transition"):
            _transition(host, to)
        assert (raft.role, raft.term) == (start, before)
        return
    _transition(host, to)
    assert raft.role is to
    assert raft.term == before + (to is Role.CANDIDATE)
    assert raft.leader == {Role.FOLLOWER: 2, Role.LEADER: 1}.get(to, 0)


@pytest.mark.behaviour("EL25")
def test_a_pre_candidate_keeps_its_vote_and_its_timers() -> None:
    host = voter()
    host.node.step(MsgVote(1, 3, 1))
    for _ in range(TIMEOUT - 1):
        host.node.tick()
    timeout = host.raft.randomized_election_timeout
    host.raft.become_pre_candidate()
    raft = host.raft
    assert (raft.term, raft.vote, raft.election_elapsed) == (1, 3, TIMEOUT - 1)
    assert raft.randomized_election_timeout == timeout


@pytest.mark.behaviour("EL26")
@pytest.mark.tinykv("TestAllServerStepdown2AB")
@pytest.mark.parametrize("role", ROLES)
def test_every_role_steps_down_to_a_higher_term_and_keeps_its_log(role: Role) -> None:
    requests: list[tuple[Message, int]] = [
        (MsgVote(1, 2, 9, 8, 100), 0),
        (MsgVote(1, 2, 9, 0, 0), 0),  # refused, and yet
        (MsgApp(1, 2, 9, 8, 100, [], 0), 2),
    ]
    for message, leader in requests:
        host = become(voter(terms=(1, 1)), role)
        log = host.log()
        host.node.step(message)
        raft = host.raft
        assert (raft.term, raft.role, raft.leader, host.log()) == (9, Role.FOLLOWER, leader, log)


@pytest.mark.behaviour("EL40")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_leader_does_not_campaign(pre_vote: bool) -> None:
    network = cluster(3, replace(DEFAULTS, pre_vote=pre_vote))
    network.campaign(1)
    assert network.leader() == 1
    network.campaign(1)
    assert (network.raft(1).role, network.raft(1).term) == (Role.LEADER, 1)


@pytest.mark.behaviour("EL41")
@pytest.mark.parametrize(
    "voters, learners, promotable",
    [((1,), (), True), ((1, 2, 3), (), True), ((), (), False), ((2, 3), (), False), ((2, 3), (1,), False)],
)
def test_only_a_voter_is_promotable(voters: tuple[int, ...], learners: tuple[int, ...], promotable: bool) -> None:
    host = host_with(1, storage=storage_with(voters=voters, learners=learners, term=1))
    assert host.raft.promotable() is promotable
    for _ in range(3 * TIMEOUT):
        host.node.tick()
    host.settle()
    assert (host.raft.role is Role.FOLLOWER) is not promotable


# --- time-outs -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("EL06")
@pytest.mark.tinykv("TestFollowerStartElection2AA")
def test_silence_for_a_whole_timeout_starts_an_election() -> None:
    host = voter()
    raft = host.raft
    raft.become_follower(1, 2)
    for _ in range(raft.randomized_election_timeout - 1):
        host.node.tick()
    assert (raft.role, host.settle()) == (Role.FOLLOWER, [])
    host.node.tick()
    assert (raft.role, raft.term, raft.vote, raft.leader) == (Role.CANDIDATE, 2, 1, 0)
    assert host.settle() == [MsgVote(2, 1, 2), MsgVote(3, 1, 2)]
    assert raft.tracker.votes == {1: True}


@pytest.mark.behaviour("EL06")
def test_a_leaders_heartbeat_or_a_vote_given_starts_the_wait_afresh() -> None:
    host = voter()
    for message in (MsgVote(1, 3, 1), MsgVote(1, 3, 2), MsgHeartbeat(1, 3, 2), MsgApp(1, 3, 2, 0, 0, [], 0)):
        host.raft.election_elapsed = TIMEOUT - 1
        host.node.step(message)
        assert host.raft.election_elapsed == 0
    host.raft.election_elapsed = TIMEOUT - 1
    host.node.step(MsgVote(1, 2, 2))  # refused
    host.node.step(MsgPreVote(1, 2, 3))  # a pre-vote given is no vote
    assert host.raft.election_elapsed == TIMEOUT - 1


@pytest.mark.behaviour("EL07")
@pytest.mark.tinykv("TestCandidateStartNewElection2AA")
def test_a_candidate_whose_election_times_out_starts_another() -> None:
    host = become(voter(), Role.CANDIDATE)
    raft = host.raft
    for _ in range(raft.randomized_election_timeout):
        host.node.tick()
    assert (raft.role, raft.term, raft.vote) == (Role.CANDIDATE, 3, 1)
    assert host.settle() == [MsgVote(2, 1, 3), MsgVote(3, 1, 3)]


def _timeout_drawn(seed: int, role: Role) -> int:
    host = become(voter(seed=seed), role)
    term = host.raft.term
    return ticks_until(host, lambda: host.raft.term > term)


@pytest.mark.parametrize(
    "role",
    [
        pytest.param(
            Role.FOLLOWER,
            marks=[pytest.mark.behaviour("EL13"), pytest.mark.tinykv("TestFollowerElectionTimeoutRandomized2AA")],
        ),
        pytest.param(
            Role.CANDIDATE,
            marks=[pytest.mark.behaviour("EL14"), pytest.mark.tinykv("TestCandidateElectionTimeoutRandomized2AA")],
        ),
    ],
)
def test_timeouts_take_every_value_from_once_to_twice_the_election_tick(role: Role) -> None:
    assert {_timeout_drawn(seed, role) for seed in range(300)} == set(range(TIMEOUT, 2 * TIMEOUT))


def _first_is_alone(seed: int, role: Role) -> bool:
    """Five nodes with one seed for all: does only one time out at the first tick that any does?"""
    hosts = [
        become(host_with(id_, replace(DEFAULTS, seed=seed), storage_with(voters=range(1, 6), term=1)), role)
        for id_ in range(1, 6)
    ]
    terms = [host.raft.term for host in hosts]
    for _ in range(2 * TIMEOUT):
        for host in hosts:
            host.node.tick()
        timed_out = sum(host.raft.term > term for host, term in zip(hosts, terms, strict=True))
        if timed_out:
            return timed_out == 1
    raise AssertionError("nobody timed out")


@pytest.mark.parametrize(
    "role",
    [
        pytest.param(
            Role.FOLLOWER,
            marks=[pytest.mark.behaviour("EL15"), pytest.mark.tinykv("TestFollowersElectionTimeoutNonconflict2AA")],
        ),
        pytest.param(
            Role.CANDIDATE,
            marks=[pytest.mark.behaviour("EL16"), pytest.mark.tinykv("TestCandidatesElectionTimeoutNonconflict2AA")],
        ),
    ],
)
def test_simultaneous_timeouts_are_rare(role: Role) -> None:
    rounds = 400
    together = sum(not _first_is_alone(seed, role) for seed in range(rounds))
    assert together < 0.3 * rounds


@pytest.mark.behaviour("EL17")
@pytest.mark.parametrize(
    "elapsed, chance",
    [
        (TIMEOUT // 2, 0.0),
        (TIMEOUT - 1, 0.0),
        (TIMEOUT, 0.1),
        (TIMEOUT + 3, 0.4),
        (TIMEOUT + 5, 0.6),
        (TIMEOUT + 8, 0.9),
        (2 * TIMEOUT - 1, 1.0),
    ],
)
def test_the_chance_to_time_out_grows_linearly(elapsed: int, chance: float) -> None:
    host = voter()
    draws = 2_000
    fired = 0
    for _ in range(draws):
        host.raft.become_follower(host.raft.term, 0)
        host.raft.election_elapsed = elapsed - 1
        host.node.tick()
        fired += host.raft.role is Role.CANDIDATE
        host.settle()
    if chance in (0.0, 1.0):
        assert fired == draws * chance
    else:
        assert abs(fired / draws - chance) < 0.05


# --- campaigning -----------------------------------------------------------------------------------------------


@pytest.mark.behaviour("EL08", "EL09")
@pytest.mark.tinykv("TestLeaderElectionInOneRoundRPC2AA")
@pytest.mark.parametrize(
    "size, granted, refused, role",
    [
        (1, 0, 0, Role.LEADER),
        (3, 2, 0, Role.LEADER),
        (3, 1, 0, Role.LEADER),
        (3, 1, 1, Role.LEADER),
        (3, 0, 0, Role.CANDIDATE),
        (3, 0, 1, Role.CANDIDATE),
        (3, 0, 2, Role.FOLLOWER),
        (5, 4, 0, Role.LEADER),
        (5, 2, 0, Role.LEADER),
        (5, 2, 2, Role.LEADER),
        (5, 1, 0, Role.CANDIDATE),
        (5, 1, 2, Role.CANDIDATE),
        (5, 0, 2, Role.CANDIDATE),
        (5, 1, 3, Role.FOLLOWER),
        (5, 0, 3, Role.FOLLOWER),
        (5, 0, 4, Role.FOLLOWER),
    ],
)
def test_a_majority_elects_and_a_majority_refuses(size: int, granted: int, refused: int, role: Role) -> None:
    host = voter(size)
    host.node.campaign()
    host.settle()
    for offset in range(granted + refused):
        host.node.step(MsgVoteResp(1, 2 + offset, 2, reject=offset >= granted))
    assert (host.raft.role, host.raft.term) == (role, 2)


@pytest.mark.behaviour("EL09")
def test_the_first_answer_of_a_voter_counts_and_counts_once() -> None:
    host = voter(5)
    host.node.campaign()
    host.settle()
    for _ in range(3):
        host.node.step(MsgVoteResp(1, 2, 2))
        host.node.step(MsgVoteResp(1, 3, 2, reject=True))
    host.node.step(MsgVoteResp(1, 3, 2))
    assert host.raft.role is Role.CANDIDATE
    assert host.raft.tracker.votes == {1: True, 2: True, 3: False}


@pytest.mark.behaviour("EL08")
def test_votes_of_an_older_election_do_not_count() -> None:
    host = voter()
    host.node.campaign()
    host.node.campaign()
    host.settle()
    assert host.raft.term == 3
    host.node.step(MsgVoteResp(1, 2, 2))
    host.node.step(MsgVoteResp(1, 3, 2))
    assert host.raft.role is Role.CANDIDATE


@pytest.mark.behaviour("EL12")
@pytest.mark.tinykv("TestCandidateFallback2AA")
@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.PRE_CANDIDATE])
@pytest.mark.parametrize("ahead", [0, 1])
def test_a_candidate_gives_way_to_the_leader_of_its_own_or_a_higher_term(role: Role, ahead: int) -> None:
    host = become(voter(), role)
    term = host.raft.term + ahead
    host.node.step(MsgApp(1, 3, term, 0, 0, [], 0))
    assert (host.raft.role, host.raft.term, host.raft.leader) == (Role.FOLLOWER, term, 3)


@pytest.mark.behaviour("EL18")
@pytest.mark.parametrize("pre_vote", [False, True])
@pytest.mark.parametrize("terms", [(), (1,), (1, 2, 2), (1, 1, 4)])
def test_vote_requests_carry_the_last_entry_to_every_other_voter(pre_vote: bool, terms: tuple[int, ...]) -> None:
    host = voter(4, terms=terms, term=4, pre_vote=pre_vote)
    host.node.campaign()
    request = MsgPreVote if pre_vote else MsgVote
    last_term = terms[-1] if terms else 0
    assert host.settle() == [request(to, 1, 5, last_term, len(terms)) for to in (2, 3, 4)]
    assert host.raft.term == (4 if pre_vote else 5)


# --- votes -----------------------------------------------------------------------------------------------------


def answers(host: Host) -> list[VoteResponse]:
    """The vote answers that wait for the disk."""
    return [message for message in host.raft.after_append if isinstance(message, VoteResponse)]


@pytest.mark.behaviour("EL10")
@pytest.mark.tinykv("TestFollowerVote2AA")
@pytest.mark.parametrize(
    "vote, candidate, granted", [(0, 2, True), (0, 3, True), (2, 2, True), (3, 3, True), (2, 3, False), (3, 2, False)]
)
def test_one_vote_a_term(vote: int, candidate: int, granted: bool) -> None:
    host = host_with(1, storage=storage_with(voters=(1, 2, 3), term=1, vote=vote))
    host.node.step(MsgVote(1, candidate, 1))
    assert answers(host) == [MsgVoteResp(candidate, 1, 1, reject=not granted)]
    assert host.raft.vote == (candidate if granted else vote)


@pytest.mark.behaviour("EL10")
def test_first_come_first_served_until_the_next_term() -> None:
    host = voter()
    for candidate in (2, 3, 2):
        host.node.step(MsgVote(1, candidate, 1))
    host.node.step(MsgVote(1, 3, 2))
    assert [answer.reject for answer in answers(host)] == [False, True, False, False]
    assert (host.raft.term, host.raft.vote) == (2, 3)


@pytest.mark.behaviour("EL10")
@pytest.mark.parametrize("term", [1, 2])
def test_a_vote_outlives_a_restart(term: int) -> None:
    host = voter()
    host.node.step(MsgVote(1, 2, term))
    host.settle()
    host.restart(lose_unsynced=True)
    host.node.step(MsgVote(1, 3, term))
    assert (host.raft.term, host.raft.vote, answers(host)[0].reject) == (term, 2, True)


@pytest.mark.behaviour("EL10")
@pytest.mark.parametrize("ended_by", ["lost election", "leader of its term", "lost quorum"])
def test_stepping_down_within_a_term_does_not_give_the_vote_back(ended_by: str) -> None:
    host = host_with(1, CHECK_QUORUM, storage_with(voters=(1, 2, 3), term=1))
    host.node.campaign()
    host.settle()
    if ended_by == "lost election":
        host.node.step(MsgVoteResp(1, 2, 2, reject=True))
        host.node.step(MsgVoteResp(1, 3, 2, reject=True))
    elif ended_by == "leader of its term":
        host.node.step(MsgHeartbeat(1, 2, 2))
        host.raft.leader = 0
    else:
        host.node.step(MsgVoteResp(1, 2, 2))
        assert host.raft.role is Role.LEADER
        for _ in range(2 * TIMEOUT):
            host.node.tick()
    host.settle()
    raft = host.raft
    assert (raft.role, raft.term, raft.leader, raft.vote) == (Role.FOLLOWER, 2, 0, 1)
    host.node.step(MsgVote(1, 3, 2, 2, 50))
    assert (raft.vote, answers(host)) == (1, [MsgVoteResp(3, 1, 2, reject=True)])


@pytest.mark.behaviour("EL10")
def test_no_vote_against_a_known_leader_of_the_same_term() -> None:
    host = voter()
    host.node.step(MsgHeartbeat(1, 2, 1))
    host.node.step(MsgVote(1, 3, 1, 1, 50))
    assert (host.raft.vote, host.raft.leader) == (0, 2)
    assert [answer.reject for answer in answers(host)] == [True]


@pytest.mark.behaviour("EL11")
def test_votes_wait_for_the_disk() -> None:
    host = voter()
    host.node.step(MsgVote(1, 2, 2))
    host.node.step(MsgVote(1, 3, 2))
    host.node.step(MsgPreVote(1, 3, 3))
    assert host.raft.messages == []
    assert host.raft.after_append == [
        MsgVoteResp(2, 1, 2),
        MsgVoteResp(3, 1, 2, reject=True),
        MsgPreVoteResp(3, 1, 3),
    ]
    ready = host.node.ready()
    assert ready.must_sync
    assert ready.hard_state is not None
    assert (ready.hard_state.term, ready.hard_state.vote) == (2, 2)


@pytest.mark.behaviour("EL11")
def test_with_asynchronous_writes_votes_travel_with_the_write() -> None:
    host = host_with(1, replace(DEFAULTS, async_storage_writes=True), storage_with(voters=(1, 2, 3), term=1))
    host.node.step(MsgVote(1, 2, 2))
    assert host.run_ready() == []
    (write,) = host.append_queue
    assert (write.term, write.vote) == (2, 2)
    assert write.responses == [MsgVoteResp(2, 1, 2)]


# A voter whose log ends in entry 3 of term 2 sees these ends of a candidate's log.
UP_TO_DATE = [
    (0, 0, False),
    (1, 3, False),
    (1, 9, False),
    (2, 0, False),
    (2, 2, False),
    (2, 3, True),
    (2, 4, True),
    (3, 0, True),
    (3, 1, True),
    (3, 9, True),
]


@pytest.mark.behaviour("EL19")
@pytest.mark.tinykv("TestVoter2AB")
@pytest.mark.parametrize("log_term, index, granted", UP_TO_DATE)
def test_a_candidate_with_an_older_log_is_refused(log_term: int, index: int, granted: bool) -> None:
    host = voter(terms=(1, 2, 2), term=3)
    host.node.step(MsgVote(1, 2, 4, log_term, index))
    assert answers(host) == [MsgVoteResp(2, 1, 4, reject=not granted)]
    assert (host.raft.vote, host.raft.term) == (2 if granted else 0, 4)


def _request_at_equal_term(host: Host, kind: type[VoteRequest], log_term: int, index: int) -> VoteResponse:
    host.node.step(kind(1, 2, host.raft.term, log_term, index))
    (answer,) = answers(host)
    assert (answer.to, answer.term) == (2, host.raft.term)
    return answer


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(
            MsgVote, marks=[pytest.mark.behaviour("EL20"), pytest.mark.tinykv("TestRecvMessageType_MsgRequestVote2AB")]
        ),
        pytest.param(MsgPreVote, marks=pytest.mark.behaviour("EL21")),
    ],
)
@pytest.mark.parametrize("log_term, index, recent", UP_TO_DATE)
def test_answers_at_equal_term(kind: type[VoteRequest], log_term: int, index: int, recent: bool) -> None:
    for vote, free in ((0, True), (2, True), (3, False)):
        host = host_with(1, storage=storage_with(voters=(1, 2, 3), terms=(1, 2, 2), term=3, vote=vote))
        assert _request_at_equal_term(host, kind, log_term, index).reject is not (recent and free)
        assert host.raft.vote == (2 if recent and free and kind is MsgVote else vote)
    for role in (Role.CANDIDATE, Role.LEADER):
        host = become(voter(terms=(1, 2, 2), term=3), role)
        assert _request_at_equal_term(host, kind, log_term, index).reject
        assert (host.raft.role, host.raft.vote) == (role, 1)


@pytest.mark.behaviour("EL22")
@pytest.mark.tinykv("TestVoteFromAnyState2AA")
@pytest.mark.parametrize("role", ROLES)
def test_a_valid_request_of_a_higher_term_gets_the_vote_of_any_role(role: Role) -> None:
    host = become(voter(), role)
    host.node.step(MsgVote(1, 2, 7, 7, 42))
    raft = host.raft
    assert (raft.role, raft.term, raft.vote, raft.leader) == (Role.FOLLOWER, 7, 2, 0)
    assert host.settle() == [MsgVoteResp(2, 1, 7)]


@pytest.mark.behaviour("EL23")
@pytest.mark.parametrize("role", ROLES)
def test_a_valid_pre_vote_of_a_higher_term_changes_nobody(role: Role) -> None:
    host = become(voter(), role)
    raft = host.raft
    raft.election_elapsed = 5
    before = (raft.role, raft.term, raft.vote, raft.leader)
    host.node.step(MsgPreVote(1, 2, 7, 7, 42))
    assert (raft.role, raft.term, raft.vote, raft.leader) == before
    assert raft.election_elapsed == 5
    assert host.settle() == [MsgPreVoteResp(2, 1, 7)]


@pytest.mark.behaviour("EL23")
def test_a_pre_vote_of_a_lower_term_is_answered_with_the_own_one() -> None:
    host = voter(term=5)
    host.node.step(MsgPreVote(1, 2, 4, 4, 42))
    assert answers(host) == [MsgPreVoteResp(2, 1, 5, reject=True)]


# --- the own vote, and the own acknowledgement -----------------------------------------------------------------


@pytest.mark.behaviour("EL36")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_the_own_vote_does_not_count_after_the_election_was_lost(pre_vote: bool) -> None:
    host = voter(pre_vote=pre_vote)
    host.node.campaign()
    ready = host.node.ready()
    host.node.step(MsgHeartbeat(1, 2, host.raft.term))
    host.save(ready)
    host.node.advance()
    assert host.raft.role is Role.FOLLOWER
    assert host.raft.tracker.votes == {}


@pytest.mark.behaviour("EL37", "EL38")
def test_the_own_pre_vote_is_no_vote_and_the_own_vote_waits_for_the_disk() -> None:
    host = voter(pre_vote=True)
    raft = host.raft
    host.node.campaign()
    asked = host.node.ready()
    assert (raft.role, raft.tracker.votes) == (Role.PRE_CANDIDATE, {})
    host.node.step(MsgPreVoteResp(1, 2, 2))
    host.node.step(MsgPreVoteResp(1, 3, 2))
    assert (raft.role, raft.term) == (Role.CANDIDATE, 2)
    host.save(asked)
    host.node.advance()  # the own pre-vote comes back only now
    assert (raft.role, raft.tracker.votes) == (Role.CANDIDATE, {})

    campaigning = host.node.ready()
    host.node.step(MsgVoteResp(1, 2, 2))
    assert (raft.role, raft.tracker.votes) == (Role.CANDIDATE, {2: True})
    host.save(campaigning)
    host.node.advance()
    assert (raft.role, raft.term) == (Role.LEADER, 2)


@pytest.mark.behaviour("EL38")
def test_a_single_voter_leads_only_when_its_own_vote_is_durable() -> None:
    host = voter(1)
    host.node.campaign()
    ready = host.node.ready()
    assert ready.must_sync
    host.save(ready)
    assert (host.raft.role, host.raft.term) == (Role.CANDIDATE, 2)
    host.node.advance()
    assert (host.raft.role, host.raft.term) == (Role.LEADER, 2)


@pytest.mark.behaviour("EL39")
def test_the_own_acknowledgement_does_not_count_after_leadership_was_lost() -> None:
    host = become(voter(), Role.LEADER)
    raft = host.raft
    host.node.propose(b"x")
    ready = host.node.ready()
    assert raft.log.last_index == 2
    host.node.step(MsgAppResp(1, 2, raft.term, 2))  # with the own one this would commit
    host.node.step(MsgHeartbeat(1, 2, raft.term + 1))
    host.save(ready)
    host.node.advance()
    assert raft.role is Role.FOLLOWER
    assert (raft.log.last_index, raft.log.committed) == (2, 1)


@pytest.mark.behaviour("EL39")
def test_the_own_acknowledgement_does_not_count_in_a_later_leadership() -> None:
    template = replace(DEFAULTS, async_storage_writes=True)
    host = host_with(1, template, storage_with(voters=(1, 2, 3), term=1))
    raft = host.raft
    raft.become_candidate()
    raft.become_leader()
    host.node.propose_batch([b"x"] * 10)
    host.run_ready()
    late = host.run_append()
    host.node.step(MsgApp(1, 2, 3, 0, 0, [Entry(3, 1)], 0))  # cuts the tail
    raft.become_candidate()
    raft.become_leader()
    assert (raft.term, raft.log.last_index) == (4, 2)
    for message in late:
        if message.to == 1:
            host.node.step(message)
    assert raft.tracker.progress[1].match == 1
    assert raft.log.committed == 0
