"""Faults that chance hardly ever finds: each needs a story of its own, told step by step."""

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.base.types import Entry, EntryType
from raftly.core.messages import MsgApp, MsgAppResp, MsgHeartbeat, MsgHeartbeatResp, MsgVote, MsgVoteResp
from raftly.core.role import Role
from tests.support.network import Network, cluster, host_with, storage_with


def test_an_entry_of_an_older_term_is_not_committed_by_counting() -> None:
    """Thesis figure 3.7: a majority holds entry 2 of term 2, and yet node 5 can still overwrite it."""
    everybody = range(1, 6)
    stored: dict[int, tuple[tuple[int, ...], int, int]] = {
        1: ((1, 2), 2, 1),  # led term 2, reached only node 2
        2: ((1, 2), 2, 1),
        3: ((1,), 3, 5),
        4: ((1,), 3, 5),
        5: ((1, 3), 3, 5),  # led term 3, elected by 3 and 4, reached nobody
    }
    network = Network(
        host_with(id_, storage=storage_with(voters=everybody, terms=terms, term=term, vote=vote, commit=1))
        for id_, (terms, term, vote) in stored.items()
    )
    network.isolate(5)
    network.campaign(1)  # finds out about term 3
    network.ignore(MsgApp)
    network.campaign(1)
    leader = network.host(1)
    assert (leader.raft.role, leader.raft.term, leader.log_terms()) == (Role.LEADER, 4, [1, 2, 4])

    # Node 2 has entry 2, node 3 receives it; the entry of term 4 reaches neither.
    network.host(3).node.step(MsgApp(3, 1, 4, 1, 1, [Entry(2, 2)], 1))
    network.host(3).settle()
    leader.node.step(MsgAppResp(1, 2, 4, 2))
    leader.node.step(MsgAppResp(1, 3, 4, 2))
    assert [network.host(id_).log_terms()[:2] for id_ in (1, 2, 3)] == [[1, 2]] * 3
    assert leader.raft.log.committed == 1

    network.recover()
    network.isolate(1)
    network.campaign(5)
    network.campaign(5)
    assert network.leader() == 5
    network.recover()
    network.tick(2)
    assert [host.log_terms() for host in network.hosts.values()] == [[1, 3, 5]] * 5
    assert [host.raft.log.committed for host in network.hosts.values()] == [3] * 5


def test_an_append_that_does_not_fit_behind_what_is_held_changes_nothing() -> None:
    """In the log, at its end, and beyond it: taken, it would leave entries of another leader below a commit index."""
    for index in (2, 3, 4):
        follower = host_with(1, storage=storage_with(voters=(1, 2, 3), terms=(1, 2, 2), term=4, commit=1))
        follower.node.step(MsgApp(1, 2, 4, 3, index, [Entry(4, index + 1)], index + 1))
        [answer] = [message for message in follower.settle() if isinstance(message, MsgAppResp)]
        assert answer.reject
        assert (follower.log_terms(), follower.raft.log.committed) == ([1, 2, 2], 1)


def test_a_follower_commits_no_further_than_what_the_append_proved() -> None:
    """Behind what it was just sent a follower may still hold a tail that the leader never had."""
    for entries, proven in (([Entry(3, 2)], 2), ([], 1), ([Entry(3, 2), Entry(3, 3)], 3)):
        follower = host_with(1, storage=storage_with(voters=(1, 2, 3), terms=(1, 2, 2, 2), term=3, commit=1))
        follower.node.step(MsgApp(1, 2, 3, 1, 1, entries, 4))
        assert follower.raft.log.committed == proven
        matching = host_with(1, storage=storage_with(voters=(1, 2, 3), terms=(1, 3, 3, 3), term=3, commit=1))
        matching.node.step(MsgApp(1, 2, 3, 1, 1, entries, 4))
        assert matching.raft.log.committed == proven
        assert matching.log_terms() == [1, 3, 3, 3]


def test_a_heartbeat_tells_nobody_of_a_commit_beyond_its_match() -> None:
    """As above: the tail of a follower that lags is not known to be the leader's."""
    network = Network(
        host_with(id_, storage=storage_with(voters=(1, 2, 3), terms=terms, term=3, commit=1))
        for id_, terms in {1: (1, 3), 2: (1, 3), 3: (1, 2, 2, 2)}.items()
    )
    network.ignore(MsgHeartbeat)
    network.drop(lambda message: isinstance(message, MsgApp) and message.to == 3)
    network.campaign(1)
    leader = network.host(1)
    assert (leader.raft.role, leader.raft.log.committed) == (Role.LEADER, 3)
    leader.node.tick()
    beats = {message.to: message.commit for message in leader.settle() if isinstance(message, MsgHeartbeat)}
    assert beats == {2: 3, 3: 0}


def test_a_vote_is_not_forgotten_when_a_candidate_steps_down_in_its_term() -> None:
    """Candidate 1 voted for itself, hears the leader of the same term, and is then asked by node 3 (catalogue, 3)."""
    candidate = host_with(1, storage=storage_with(voters=(1, 2, 3), terms=(1,), term=1, commit=1))
    candidate.node.campaign()
    candidate.settle()
    assert (candidate.raft.role, candidate.raft.term, candidate.raft.vote) == (Role.CANDIDATE, 2, 1)
    candidate.node.step(MsgHeartbeat(1, 2, 2))
    assert (candidate.raft.role, candidate.raft.leader, candidate.raft.vote) == (Role.FOLLOWER, 2, 1)
    candidate.node.forget_leader()
    candidate.node.step(MsgVote(1, 3, 2, 1, 1))
    [answer] = [message for message in candidate.settle() if isinstance(message, MsgVoteResp)]
    assert answer.reject
    candidate.restart(lose_unsynced=True)
    assert candidate.raft.vote == 1


def test_a_vote_is_given_again_to_who_has_it() -> None:
    """The first answer was lost (catalogue, 7)."""
    voter = host_with(1, storage=storage_with(voters=(1, 2, 3), terms=(1,), term=1, commit=1))
    for _ in range(2):
        voter.node.step(MsgVote(1, 3, 2, 1, 1))
        [answer] = [message for message in voter.settle() if isinstance(message, MsgVoteResp)]
        assert not answer.reject


def test_a_late_append_does_not_cut_what_already_matches() -> None:
    """A doubled append arrives behind a longer one (catalogue, 10)."""
    follower = host_with(1, storage=storage_with(voters=(1, 2, 3), terms=(1,), term=1, commit=1))
    long = MsgApp(1, 2, 1, 1, 1, [Entry(1, 2), Entry(1, 3), Entry(1, 4)], 1)
    for message in (long, MsgApp(1, 2, 1, 1, 1, [Entry(1, 2)], 1)):
        follower.node.step(message)
        follower.settle()
    assert follower.log_terms() == [1, 1, 1, 1]


def leading() -> Network:
    """Three nodes, of which 1 leads and committed an entry of its term."""
    network = cluster(3)
    network.campaign(1)
    return network


def test_a_read_is_not_confirmed_by_answers_to_an_older_round() -> None:
    """Old answers to a read that was confirmed long ago prove nothing of now, same context or not (catalogue, 40)."""
    network = leading()
    leader = network.host(1)
    leader.node.read_index(b"x")
    old = [message for message in leader.settle() if isinstance(message, MsgHeartbeat)]
    answers = []
    for beat in old:
        network.host(beat.to).node.step(beat)
        answers += [m for m in network.host(beat.to).settle() if isinstance(m, MsgHeartbeatResp)]
    leader.node.step(answers[0])
    leader.settle()
    assert [state.context for state in leader.read_states] == [b"x"]
    leader.read_states.clear()
    leader.node.read_index(b"x")
    leader.settle()
    for answer in answers * 2:
        leader.node.step(answer)
    leader.settle()
    assert leader.read_states == []


def test_a_new_leader_answers_no_read_before_it_committed_in_its_term() -> None:
    """It may not know yet what its predecessor committed (catalogue, 39)."""
    network = leading()
    network.propose(1, b"a")
    network.drop(lambda message: isinstance(message, MsgAppResp))
    network.campaign(2)
    leader = network.host(2)
    assert leader.raft.role is Role.LEADER
    leader.node.read_index(b"x")
    network.stabilise()
    assert leader.read_states == []
    network.recover()
    network.tick(3)
    assert [state.context for state in leader.read_states] == [b"x"]
    assert leader.read_states[0].index == leader.raft.log.committed


def test_no_second_change_of_members_before_the_first_is_applied() -> None:
    """Two single changes at once may give two majorities that never meet (catalogue, 53)."""
    network = leading()
    leader = network.host(1)
    network.isolate(1)
    for id_ in (4, 5):
        leader.node.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, id_))
    leader.settle()
    kinds = [entry.type for entry in leader.log()[-2:]]
    assert kinds == [EntryType.CONF_CHANGE, EntryType.NORMAL]


def test_a_new_leader_changes_no_members_before_it_knows_that_none_are_changing() -> None:
    """The change of its predecessor may be in its log and not applied (catalogue, 53)."""
    network = leading()
    network.drop(lambda message: isinstance(message, MsgAppResp))
    network.host(1).node.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 4))
    network.stabilise()
    network.campaign(2)
    leader = network.host(2)
    assert (leader.raft.role, leader.log()[-2].type) == (Role.LEADER, EntryType.CONF_CHANGE)
    leader.node.propose_conf_change(ConfChange(ConfChangeType.ADD_NODE, 5))
    leader.settle()
    assert leader.log()[-1].type == EntryType.NORMAL
