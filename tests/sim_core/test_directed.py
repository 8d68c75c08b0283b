"""Faults that chance hardly ever finds: each needs a story of its own, told step by step."""

from raftly.base.types import Entry
from raftly.core.messages import MsgApp, MsgAppResp, MsgHeartbeat
from raftly.core.role import Role
from tests.support.network import Network, host_with, storage_with


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
