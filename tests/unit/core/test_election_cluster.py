"""What elections come to when several nodes take part, with partitions, old logs and old terms."""

from dataclasses import replace

import pytest

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    parse_changes,
)
from raftly.base.types import Entry, EntryType
from raftly.core.config import Config
from raftly.core.messages import MsgApp, MsgHeartbeat, MsgPreVote, MsgPreVoteResp, MsgVote, MsgVoteResp
from raftly.core.role import Role
from tests.support.network import (
    DEFAULTS,
    Host,
    Network,
    cluster,
    cluster_with_logs,
    host_with,
    storage_with,
)

PRE_VOTE = replace(DEFAULTS, pre_vote=True)
CHECK_QUORUM = replace(DEFAULTS, check_quorum=True)
FOLLOWER, CANDIDATE, LEADER, PRE_CANDIDATE = Role.FOLLOWER, Role.CANDIDATE, Role.LEADER, Role.PRE_CANDIDATE


def roles(network: Network) -> list[Role]:
    return [host.raft.role for host in network.hosts.values()]


def terms(network: Network) -> list[int]:
    return [host.raft.term for host in network.hosts.values()]


def logs(network: Network) -> list[list[int]]:
    return [host.log_terms() for host in network.hosts.values()]


@pytest.mark.behaviour("EL27")
@pytest.mark.tinykv("TestLeaderElection2AA")
@pytest.mark.parametrize(
    "size, unreachable, role",
    [
        (3, (), LEADER),
        (3, (3,), LEADER),
        (3, (2, 3), CANDIDATE),
        (4, (4,), LEADER),
        (4, (2, 3), CANDIDATE),
        (5, (4, 5), LEADER),
        (5, (3, 4, 5), CANDIDATE),
    ],
)
def test_an_election_needs_a_majority_within_reach(size: int, unreachable: tuple[int, ...], role: Role) -> None:
    network = cluster(size)
    network.isolate(*unreachable)
    network.campaign(1)
    assert (network.raft(1).role, network.raft(1).term) == (role, 1)


@pytest.mark.behaviour("EL28")
@pytest.mark.parametrize(
    "size, unreachable, role",
    [
        (3, (), LEADER),
        (3, (3,), LEADER),
        (3, (2, 3), PRE_CANDIDATE),
        (4, (4,), LEADER),
        (4, (2, 3), PRE_CANDIDATE),
        (5, (4, 5), LEADER),
        (5, (3, 4, 5), PRE_CANDIDATE),
    ],
)
def test_with_pre_vote_a_lost_election_costs_no_term(size: int, unreachable: tuple[int, ...], role: Role) -> None:
    network = cluster(size, PRE_VOTE)
    network.isolate(*unreachable)
    network.campaign(1)
    assert (network.raft(1).role, network.raft(1).term) == (role, 1 if role is LEADER else 0)


@pytest.mark.behaviour("EL27", "EL28")
@pytest.mark.parametrize("template", [DEFAULTS, PRE_VOTE])
def test_a_candidate_refused_by_a_majority_follows_again(template: Config) -> None:
    network = cluster_with_logs((), (1,), (1,), template=template)
    network.campaign(1)
    # A refusal of the others, who are in term 1, takes it there; a real campaign had gone there by itself.
    assert (network.raft(1).role, network.raft(1).term) == (FOLLOWER, 1)


@pytest.mark.behaviour("EL29")
@pytest.mark.tinykv("TestLeaderCycle2AA")
@pytest.mark.parametrize("template", [DEFAULTS, PRE_VOTE])
def test_each_node_in_turn_can_lead(template: Config) -> None:
    network = cluster(3, template)
    for term, id_ in enumerate((1, 2, 3, 1, 3, 2), start=1):
        network.campaign(id_)
        assert terms(network) == [term] * 3
        assert roles(network) == [LEADER if host == id_ else FOLLOWER for host in (1, 2, 3)]


@pytest.mark.behaviour("EL30")
@pytest.mark.tinykv("TestLeaderElectionOverwriteNewerLogs2AB")
@pytest.mark.parametrize("pre_vote", [False, True])
def test_a_new_leader_overwrites_entries_that_only_a_minority_holds(pre_vote: bool) -> None:
    # Node 3 led term 2, elected by 4 and 5, and reached nobody since; 1 and 2 hold an entry of term 1.
    template = replace(DEFAULTS, pre_vote=pre_vote)
    everybody = range(1, 6)
    stored: dict[int, tuple[tuple[int, ...], int, int]] = {
        1: ((1,), 1, 1),
        2: ((1,), 1, 1),
        3: ((2,), 2, 3),
        4: ((), 2, 3),
        5: ((), 2, 3),
    }
    network = Network(
        host_with(id_, template, storage_with(voters=everybody, terms=log, term=term, vote=vote))
        for id_, (log, term, vote) in stored.items()
    )
    network.campaign(1)  # learns of term 2, in which the majority voted already
    assert (network.raft(1).role, network.raft(1).term) == (FOLLOWER, 2)
    network.campaign(1)
    assert (network.raft(1).role, network.raft(1).term) == (LEADER, 3)
    assert logs(network) == [[1, 3]] * 5
    assert [host.raft.log.committed for host in network.hosts.values()] == [2] * 5


@pytest.mark.behaviour("EL31")
@pytest.mark.tinykv("TestDuelingCandidates2AB")
def test_dueling_candidates() -> None:
    network = cluster(3)
    network.cut(1, 3)
    network.campaign(1)
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, CANDIDATE]
    network.recover()
    network.campaign(3)
    # Its higher term disrupts the leader; its short log wins nothing.
    assert roles(network) == [FOLLOWER, FOLLOWER, FOLLOWER]
    assert terms(network) == [2, 2, 2]
    assert logs(network) == [[1], [1], []]


@pytest.mark.behaviour("EL32")
def test_dueling_pre_candidates() -> None:
    network = cluster(3, PRE_VOTE)
    network.cut(1, 3)
    network.campaign(1)
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, FOLLOWER]
    network.recover()
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, FOLLOWER]
    assert terms(network) == [1, 1, 1]
    assert logs(network) == [[1], [1], []]


@pytest.mark.behaviour("EL33")
@pytest.mark.tinykv("TestCandidateConcede2AB")
def test_a_healed_candidate_concedes_to_the_leader_of_its_term() -> None:
    network = cluster(3)
    network.isolate(1)
    network.campaign(1)
    network.campaign(3)
    assert roles(network) == [CANDIDATE, FOLLOWER, LEADER]
    assert terms(network) == [1, 1, 1]
    network.recover()
    network.tick(only=(3,))
    network.propose(3, b"force follower")
    assert roles(network) == [FOLLOWER, FOLLOWER, LEADER]
    assert terms(network) == [1, 1, 1]
    assert [host.payloads() for host in network.hosts.values()] == [[b"force follower"]] * 3


@pytest.mark.behaviour("EL34")
@pytest.mark.tinykv("TestSingleNodeCandidate2AA")
@pytest.mark.parametrize("pre_vote", [False, True])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_single_node_elects_itself(pre_vote: bool, asynchronous: bool) -> None:
    network = cluster(1, replace(DEFAULTS, pre_vote=pre_vote, async_storage_writes=asynchronous))
    network.campaign(1)
    assert (network.raft(1).role, network.raft(1).term, network.raft(1).log.committed) == (LEADER, 1, 1)


@pytest.mark.behaviour("EL35")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(MsgHeartbeat, marks=pytest.mark.tinykv("TestCandidateResetTermMessageType_MsgHeartbeat2AA")),
        pytest.param(MsgApp, marks=pytest.mark.tinykv("TestCandidateResetTermMessageType_MsgAppend2AA")),
    ],
)
def test_a_candidate_falls_back_when_it_hears_the_leader(kind: type[MsgHeartbeat | MsgApp]) -> None:
    network = cluster(3)
    network.isolate(3)
    network.campaign(2)
    network.campaign(1)
    network.campaign(3)
    candidate = network.raft(3)
    assert (candidate.role, candidate.term, network.raft(1).term) == (CANDIDATE, 1, 2)
    timeout = candidate.randomized_election_timeout
    network.recover()
    network.drop(lambda message: message.to == 3 and not isinstance(message, kind))
    if kind is MsgHeartbeat:
        network.tick(only=(1,))
    else:
        network.propose(1)
        network.tick(only=(1,))
        # No heartbeat reaches 3, so nothing but a first append does.
        network.send(MsgApp(3, 1, 2, 0, 0, [], 0))
    assert (candidate.role, candidate.term, candidate.leader) == (FOLLOWER, 2, 1)
    assert candidate.election_elapsed < timeout


# --- configuration entries in waiting --------------------------------------------------------------------------

REMOVE_3: list[AnyConfChange] = [
    ConfChange(ConfChangeType.REMOVE_NODE, 3),
    ConfChangeV2(parse_changes("r3")),
]


def _unapplied_conf_change(change: AnyConfChange) -> tuple[Network, list[Entry]]:
    """Node 2 knows a change to be committed, but has not applied it; the entries that it still must apply."""
    network = cluster(3)
    network.campaign(1)
    follower = network.host(2)
    network.host(1).node.propose_conf_change(change)
    waiting: list[Entry] = []
    # The same loop as always, except that 2 does not apply.
    for _ in range(20):
        for host in network.hosts.values():
            while host is not follower and host.node.has_ready():
                network.post(host.run_ready())
        while follower.node.has_ready() and not waiting:
            ready, messages = follower.accept_ready()
            follower.save(ready)
            waiting += ready.committed_entries
            network.post(messages)
            if not waiting:
                follower.node.advance()
        while network.in_flight():
            network.deliver()
    assert follower.raft.log.committed == 2
    assert follower.raft.log.applied == 1
    return network, waiting


@pytest.mark.behaviour("EL42")
@pytest.mark.parametrize("change", REMOVE_3)
@pytest.mark.parametrize("by", ["timeout", "transfer"])
def test_no_campaign_before_a_committed_conf_change_is_applied(change: AnyConfChange, by: str) -> None:
    network, waiting = _unapplied_conf_change(change)
    follower = network.host(2)

    def campaign() -> None:
        if by == "timeout":
            for _ in range(follower.raft.randomized_election_timeout):
                follower.node.tick()
        else:
            network.host(1).node.transfer_leader(2)
            network.post(network.host(1).run_ready())
            while network.in_flight():
                network.deliver()

    campaign()
    assert (follower.raft.role, follower.raft.term) == (FOLLOWER, 1)
    follower.apply(waiting)
    follower.node.advance()
    if by == "transfer":
        network.tick(DEFAULTS.election_tick, only=(1,))  # the first transfer is over
    campaign()
    assert (follower.raft.role, follower.raft.term) == (CANDIDATE, 2)
    network.stabilise()
    assert network.leader() == 2


@pytest.mark.behaviour("EL42")
def test_a_conf_change_behind_many_pages_still_stops_a_campaign() -> None:
    removal = ConfChange(ConfChangeType.REMOVE_NODE, 3).encode()
    for position in (1, 20, 40):
        template = replace(DEFAULTS, max_committed_size_per_ready=1)
        storage = storage_with(voters=(1, 2, 3), terms=[1] * 40, commit=40)
        change = Entry(1, position, EntryType.CONF_CHANGE, removal)
        storage.append([change, *(Entry(1, index) for index in range(position + 1, 41))])
        host = host_with(1, template, storage)
        host.node.campaign()
        assert host.raft.role is FOLLOWER
        host.settle()  # applies it all
        host.node.campaign()
        assert (host.raft.role, host.raft.term) == (CANDIDATE, 2)


# --- pre-vote among nodes of different terms and versions ------------------------------------------------------


@pytest.mark.behaviour("EL43")
def test_a_node_behind_in_term_can_complete_an_election() -> None:
    network = cluster(3, PRE_VOTE)
    network.isolate(3)
    network.campaign(3)
    network.campaign(1)
    network.campaign(2)
    network.campaign(1)
    network.campaign(2)
    assert terms(network) == [4, 4, 0]
    assert roles(network) == [FOLLOWER, LEADER, PRE_CANDIDATE]
    network.recover()
    network.isolate(2)
    network.campaign(3)
    network.campaign(1)
    assert roles(network)[0] is LEADER
    assert roles(network)[2] is FOLLOWER
    assert network.raft(3).term == network.raft(1).term == 5


@pytest.mark.behaviour("EL44")
def test_after_a_split_vote_the_next_round_elects() -> None:
    network = cluster(3, PRE_VOTE)
    network.campaign(1)
    network.isolate(1)
    network.host(2).node.campaign()
    network.host(3).node.campaign()
    network.stabilise()
    assert roles(network) == [LEADER, CANDIDATE, CANDIDATE]
    assert terms(network) == [1, 2, 2]
    network.campaign(2)
    assert roles(network) == [LEADER, LEADER, FOLLOWER]
    assert terms(network) == [1, 3, 3]


def _half_upgraded() -> Network:
    """1 and 2 have pre-vote. 3 had not, fell out of touch, raised its term in vain, and was upgraded since."""
    hosts: list[Host] = [
        host_with(id_, PRE_VOTE if id_ < 3 else DEFAULTS, storage_with(voters=(1, 2, 3))) for id_ in (1, 2, 3)
    ]
    network = Network(hosts)
    network.campaign(1)
    network.isolate(3)
    network.propose(1)
    network.campaign(3)
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, CANDIDATE]
    assert terms(network) == [1, 1, 3]
    network.host(3).config = replace(PRE_VOTE, id=3)
    network.host(3).restart()
    network.recover()
    return network


@pytest.mark.behaviour("EL45")
def test_a_stuck_node_of_a_high_term_does_not_block_elections() -> None:
    network = _half_upgraded()
    network.isolate(1)
    network.campaign(3)
    assert roles(network)[2] is not LEADER
    network.campaign(2)  # refused, but learns the term
    assert (network.raft(2).role, network.raft(2).term) == (FOLLOWER, 3)
    network.campaign(3)
    network.campaign(2)
    assert roles(network)[1:] == [LEADER, FOLLOWER]
    assert terms(network)[1:] == [4, 4]


@pytest.mark.behaviour("EL46")
def test_a_stuck_pre_candidate_frees_itself_by_answering_the_leader() -> None:
    network = _half_upgraded()
    network.hold(lambda message: isinstance(message, MsgPreVoteResp))
    network.campaign(3)
    network.campaign(3)
    assert roles(network) == [LEADER, FOLLOWER, PRE_CANDIDATE]
    network.tick(only=(1,))
    assert roles(network)[0] is FOLLOWER
    assert terms(network)[0] == 3
    network.release()
    network.campaign(1)
    assert roles(network) == [LEADER, FOLLOWER, FOLLOWER]
    assert terms(network) == [4, 4, 4]
    assert logs(network) == [[1, 1, 4]] * 3


@pytest.mark.behaviour("EL47")
@pytest.mark.tinykv("TestOldMessages2AB")
def test_messages_of_an_old_leader_change_nothing() -> None:
    network = cluster(3)
    network.campaign(1)
    network.campaign(2)
    network.campaign(1)
    assert terms(network) == [3, 3, 3]
    # As leader of term 2, node 2 had this to say; it arrives only now, at all the others.
    network.send(*(MsgApp(to, 2, 2, 2, 2, [Entry(2, 3, data=b"stale")], 3) for to in (1, 3)))
    network.propose(1, b"fresh")
    assert logs(network) == [[1, 2, 3, 3]] * 3
    assert [host.payloads() for host in network.hosts.values()] == [[b"fresh"]] * 3


# --- what the golden scripts do not see ------------------------------------------------------------------------


@pytest.mark.behaviour("EL08", "EL09")
def test_the_votes_of_learners_do_not_count() -> None:
    network = cluster(3, learners=(4, 5))
    candidate = network.host(1)
    candidate.node.campaign()
    candidate.settle()
    for learner in (4, 5):
        candidate.node.step(MsgVoteResp(1, learner, 1))
    assert candidate.raft.tracker.tally_votes()[:2] == (1, 0)
    assert (candidate.raft.role, candidate.raft.term) == (CANDIDATE, 1)
    candidate.node.step(MsgVoteResp(1, 2, 1))
    assert (candidate.raft.role, candidate.raft.term) == (LEADER, 1)


@pytest.mark.behaviour("EL25", "EL44")
def test_a_pre_candidate_that_hears_nothing_asks_again_after_a_timeout() -> None:
    network = cluster(3, PRE_VOTE)
    network.ignore(MsgPreVote)
    lonely = network.raft(1)
    for _ in range(2):
        asked = len(network.lost)
        network.tick(lonely.randomized_election_timeout, only=(1,))
        assert [message.to for message in network.lost[asked:]] == [2, 3]
        assert (lonely.role, lonely.term) == (PRE_CANDIDATE, 0)
        assert lonely.election_elapsed == 0


@pytest.mark.behaviour("EL27")
def test_both_halves_of_a_joint_configuration_must_elect() -> None:
    network = cluster(3)
    network.campaign(1)
    for id_ in (4, 5):
        network.add(host_with(id_, storage=storage_with(voters=(1, 2, 3))))
    swap = ConfChangeV2(parse_changes("v4 v5 r2 r3"), ConfChangeTransition.JOINT_EXPLICIT)
    network.host(1).node.propose_conf_change(swap)
    network.stabilise()
    assert all(host.raft.tracker.config.is_joint() for host in network.hosts.values())
    for unreachable, role in (((2, 3), CANDIDATE), ((4, 5), CANDIDATE), ((3, 5), LEADER)):
        network.raft(1).become_follower(network.raft(1).term, 0)
        network.isolate(*unreachable)
        network.campaign(1)
        assert network.raft(1).role is role
        network.recover()


@pytest.mark.behaviour("EL10", "EL27")
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_crash_before_the_vote_is_durable_leaves_no_promise_behind(asynchronous: bool) -> None:
    template = replace(DEFAULTS, async_storage_writes=asynchronous)
    host = host_with(1, template, storage_with(voters=(1, 2, 3), term=1))
    host.node.step(MsgVote(1, 2, 2))
    _, sent = host.accept_ready()
    if asynchronous:
        assert sent == []
    host.restart()  # before `save`: a synchronous node sends only after that
    assert (host.raft.term, host.raft.vote) == (1, 0)
    host.node.step(MsgVote(1, 3, 2))
    assert (host.raft.term, host.raft.vote) == (2, 3)
