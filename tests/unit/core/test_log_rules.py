"""Rules of the log that only show in corners: news older than the log, two logs that parted long ago, fewer voters."""

import pytest

from raftly.base.membership import ConfChange, ConfChangeType, ConfState
from raftly.base.types import Entry, Snapshot, SnapshotMeta
from raftly.core.messages import Message, MsgApp, MsgAppResp, MsgSnap, MsgStorageAppendResp, MsgStorageApplyResp
from raftly.core.role import Role
from raftly.errors import StepLocalMessage
from tests.support.network import Network, cluster, host_with, storage_with

TAIL = 200


@pytest.mark.parametrize("prev", [0, 3, 4, 5])
def test_an_append_from_before_the_snapshot_is_old_news_and_no_conflict(prev: int) -> None:
    """What it stands on is compacted, so whether it matches cannot be seen; that it is committed is enough."""
    storage = storage_with(voters=(1, 2, 3), snapshot=(5, 1), terms=(1, 1), term=2, commit=7)
    follower = host_with(1, storage=storage)
    follower.node.step(MsgApp(1, 2, 2, 1 if prev else 0, prev, [Entry(1, prev + 1)], 7))
    (answer,) = [message for message in follower.settle() if isinstance(message, MsgAppResp)]
    assert (answer.index, answer.reject) == (7, False)
    assert follower.raft.log.last_index == 7


@pytest.mark.parametrize(
    ("leader", "follower"),
    [
        pytest.param((1, *[3] * TAIL), (1, *[2] * TAIL), id="the follower's tail is of an older term"),
        pytest.param((1, 3), (1, *[2] * TAIL), id="the follower's tail is longer"),
        pytest.param((1, *[2] * TAIL, 5), (1, *[3] * TAIL), id="the leader's is of an older term than the follower's"),
    ],
)
def test_where_two_logs_parted_is_found_term_by_term(leader: tuple[int, ...], follower: tuple[int, ...]) -> None:
    network = Network(
        host_with(id_, storage=storage_with(voters=(1, 2, 3), terms=terms, term=6, commit=1))
        for id_, terms in {1: leader, 2: leader, 3: follower}.items()
    )
    refused: list[Message] = []

    def count(message: Message) -> bool:
        if isinstance(message, MsgAppResp) and message.reject:
            refused.append(message)
        return False

    network.drop(count)
    network.campaign(1)
    assert network.raft(1).role is Role.LEADER
    assert network.host(3).log_terms() == network.host(1).log_terms()
    assert 1 <= len(refused) <= 3


@pytest.mark.parametrize("index", [3, 5, 6, 7])
def test_a_snapshot_of_what_is_committed_changes_nothing(index: int) -> None:
    storage = storage_with(voters=(1, 2, 3), snapshot=(5, 1), terms=(1, 1, 1), term=2, commit=7)
    follower = host_with(1, storage=storage)
    follower.node.step(MsgSnap(1, 2, 2, Snapshot(SnapshotMeta(index, 1, ConfState((1, 2, 4))))))
    (answer,) = [message for message in follower.settle() if isinstance(message, MsgAppResp)]
    assert (answer.index, answer.reject) == (7, False)
    assert (follower.raft.log.first_index(), follower.raft.log.last_index) == (6, 8)
    assert follower.raft.tracker.config.voters.ids() == (1, 2, 3)


def test_what_the_voters_that_are_left_hold_is_committed_when_one_goes() -> None:
    """The one that goes was the one that lacked it, and nothing else happens afterwards."""
    network = cluster(2)
    network.campaign(1)
    leader = network.host(1)
    leader.node.propose_conf_change(ConfChange(ConfChangeType.REMOVE_NODE, 2))
    leader.settle()
    change = leader.raft.log.last_index
    leader.node.propose(b"x")
    leader.settle()
    leader.node.step(MsgAppResp(1, 2, leader.raft.term, change))
    leader.settle()
    assert leader.raft.tracker.config.voters.ids() == (1,)
    assert leader.raft.log.committed == change + 1
    assert leader.payloads() == [b"x"]


@pytest.mark.parametrize("peer", [0, 1, 2])
def test_only_the_own_disk_says_what_is_durable_or_applied(peer: int) -> None:
    leader = cluster(3).host(1)
    leader.node.campaign()
    for message in (MsgStorageAppendResp(1, peer, 1, 1, 1), MsgStorageApplyResp(1, peer, 0, [Entry(1, 1)])):
        with pytest.raises(StepLocalMessage):
            leader.node.step(message)
