"""What the traced clusters go through: each scenario is a function of the cluster and its random numbers.

The specification knows neither joint configurations nor duplicated deliveries, reads, pre-votes or quorum checks, and
answers a snapshot in a way no trace can show: an acknowledged snapshot is therefore told to the leader by its
transport, and the acknowledgement itself is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from raftly.base.membership import ConfChangeType
from raftly.core.messages import MsgAppResp
from raftly.core.tlatrace import TlaRecord
from raftly.errors import ProposalDropped
from tests.support.network import Faults
from tests.tla.cluster import TracedCluster


def election(cluster: TracedCluster) -> None:
    """Leaders follow each other; the last election is contested."""
    network = cluster.network
    first, second, *_ = cluster.rng.sample(cluster.ids, len(cluster.ids))
    network.campaign(first)
    network.campaign(second)
    for id_ in (first, second):
        network.host(id_).node.campaign()
    network.stabilise()
    network.campaign(first)


def replication(cluster: TracedCluster) -> None:
    """Single entries, batches, and entries that a follower passes on."""
    network = cluster.network
    leader, follower, *_ = cluster.rng.sample(cluster.ids, len(cluster.ids))
    network.campaign(leader)
    cluster.propose(b"a")
    cluster.propose(b"b", b"c", b"d")
    network.propose(follower, b"e")
    cluster.settle()


def conflict(cluster: TracedCluster) -> None:
    """A leader that lost its majority writes entries that the next leader overwrites."""
    network = cluster.network
    old, new, *_ = cluster.rng.sample(cluster.ids, len(cluster.ids))
    network.campaign(old)
    cluster.propose(b"a")
    network.isolate(old)
    for number in range(cluster.rng.randint(1, 4)):
        network.propose(old, b"lost %d" % number)
    network.campaign(new)
    network.propose(new, b"b")
    network.recover()
    network.tick(1, only=[old])
    cluster.settle()
    cluster.settle()
    cluster.propose(b"c")


def catch_up(cluster: TracedCluster) -> None:
    """A follower that missed committed entries gets them one a message; heartbeats come in equal pairs."""
    network = cluster.network
    leader, follower, *_ = cluster.rng.sample(cluster.ids, len(cluster.ids))
    network.campaign(leader)
    network.raft(leader).max_size_per_msg = 0
    network.isolate(follower)
    cluster.propose(b"a", b"b")
    network.recover()
    for _ in range(2):
        network.host(leader).node.tick()
    network.stabilise()
    cluster.settle()


def restart(cluster: TracedCluster) -> None:
    """A follower, then the leader, crash and come back."""
    network = cluster.network
    leader, follower, *_ = cluster.rng.sample(cluster.ids, len(cluster.ids))
    network.campaign(leader)
    cluster.propose(b"a", b"b")
    network.host(follower).restart()
    network.stabilise()
    cluster.settle()
    network.host(leader).node.propose(b"not sent")
    network.host(leader).restart()
    network.campaign(follower)
    cluster.propose(b"c")
    cluster.settle()


def snapshot(cluster: TracedCluster) -> None:
    """A newcomer that cannot be reached at first needs entries that the leader has compacted by then."""
    network = cluster.network
    leader = cluster.rng.choice(cluster.ids)
    newcomer = len(cluster.ids) + 1
    network.campaign(leader)
    cluster.join(newcomer)
    network.isolate(newcomer)
    cluster.change(cluster.rng.choice((ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE)), newcomer)
    cluster.propose(b"a", b"b")
    network.host(leader).compact()
    network.recover()
    network.hold(lambda message: isinstance(message, MsgAppResp) and message.from_ == newcomer and not message.reject)
    network.tick(1, only=[leader])
    assert len(network.held) == 1
    network.held.clear()
    network.release()
    network.host(leader).node.report_snapshot(newcomer)
    cluster.settle()
    cluster.propose(b"c")


def membership(cluster: TracedCluster) -> None:
    """One change at a time: a voter joins, another leaves."""
    network = cluster.network
    leader, leaver, *_ = cluster.rng.sample(cluster.ids, len(cluster.ids))
    newcomer = len(cluster.ids) + 1
    network.campaign(leader)
    cluster.join(newcomer)
    cluster.change(ConfChangeType.ADD_NODE, newcomer)
    cluster.propose(b"a")
    cluster.change(ConfChangeType.REMOVE_NODE, leaver)


def learner(cluster: TracedCluster) -> None:
    """A learner joins, follows, and is promoted."""
    network = cluster.network
    newcomer = len(cluster.ids) + 1
    network.campaign(cluster.rng.choice(cluster.ids))
    cluster.join(newcomer)
    cluster.change(ConfChangeType.ADD_LEARNER_NODE, newcomer)
    cluster.propose(b"a")
    cluster.change(ConfChangeType.ADD_NODE, newcomer)


def transfer(cluster: TracedCluster) -> None:
    """Leadership is handed over, also to a follower that lags."""
    network = cluster.network
    leader, target, *_ = cluster.rng.sample(cluster.ids, len(cluster.ids))
    network.campaign(leader)
    cluster.propose(b"a")
    network.isolate(target)
    cluster.propose(b"b")
    network.recover()
    network.host(leader).node.transfer_leader(target)
    network.stabilise()
    cluster.settle()
    network.propose(target, b"c")


def loss(cluster: TracedCluster) -> None:
    """Messages are lost and overtaken while nodes time out and propose."""
    network = cluster.network
    rng = cluster.rng
    network.campaign(rng.choice(cluster.ids))
    network.faults = Faults(loss=0.15, delay=0.3, delay_ticks=3)
    for number in range(20):
        if len(cluster.records) > 250:
            break
        network.tick(1, only=[rng.choice(cluster.ids)])
        if rng.random() < 0.5 and network.leader():
            network.propose(network.leader(), b"%d" % number)
        if rng.random() < 0.1:
            network.campaign(rng.choice(cluster.ids))
    network.recover()
    network.tick(4, only=[cluster.ids[0]])


def turmoil(cluster: TracedCluster) -> None:
    """Elections, cuts, crashes and proposals in any order."""
    network = cluster.network
    rng = cluster.rng
    while len(cluster.records) < 220:
        match rng.randrange(6):
            case 0:
                network.campaign(rng.choice(cluster.ids))
            case 1:
                network.recover()
                network.isolate(rng.choice(cluster.ids))
            case 2:
                network.recover()
                network.stabilise()
                network.tick(1)
            case 3:
                host = network.host(rng.choice(cluster.ids))
                host.restart()
                network.stabilise()
            case _:
                try:
                    network.propose(rng.choice(cluster.ids), b"x")
                except ProposalDropped:
                    network.campaign(rng.choice(cluster.ids))
    network.recover()
    network.stabilise()


SCENARIOS: Final[dict[str, Callable[[TracedCluster], None]]] = {
    scenario.__name__: scenario
    for scenario in (
        election,
        replication,
        conflict,
        catch_up,
        restart,
        snapshot,
        membership,
        learner,
        transfer,
        loss,
        turmoil,
    )
}


def run(name: str, size: int, seed: int) -> list[TlaRecord]:
    """The trace of one scenario, the same for the same arguments."""
    cluster = TracedCluster(size, seed)
    SCENARIOS[name](cluster)
    return cluster.records
