"""What admin commands make of a region."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.heartbeats import NewRegionIds
from raftly.base.membership import ConfChangeType, ConfState
from raftly.base.operators import ChangeKind, PeerChange
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.store.changes import problem_with_changes, singles_of, split_region, with_members
from raftly.store.command import NewRegion
from raftly.store.region_state import conf_state_of

REGION = Region(1, b"a", b"z", RegionEpoch(4, 2), (Peer(11, 1), Peer(12, 2), Peer(13, 3)))
ADD, REMOVE, LEARN = ChangeKind.ADD_VOTER, ChangeKind.REMOVE, ChangeKind.ADD_LEARNER


def new(key: bytes, id_: int, peers: int = 3) -> NewRegion:
    return NewRegion(key, NewRegionIds(id_, tuple(range(id_ + 1, id_ + 1 + peers))))


def test_members_take_the_roles_of_a_joint_state() -> None:
    joint = with_members(REGION, ConfState((11, 12, 14), (), (11, 12, 13), (13,), True), 2, {14: 4})
    assert joint.epoch == RegionEpoch(6, 2)
    assert joint.peers == (
        Peer(11, 1),
        Peer(12, 2),
        Peer(13, 3, PeerRole.DEMOTING_VOTER),
        Peer(14, 4, PeerRole.INCOMING_VOTER),
    )
    left = with_members(joint, ConfState((11, 12, 14), (13,)), 0, {})
    assert left.epoch == RegionEpoch(7, 2)
    assert left.peers == (Peer(11, 1), Peer(12, 2), Peer(13, 3, PeerRole.LEARNER), Peer(14, 4))


@pytest.mark.parametrize(
    "conf",
    [
        ConfState((1, 2, 3), (4,)),
        ConfState((1, 2, 4), (), (1, 2, 3), (3,), auto_leave=True),
        ConfState((1, 2), (5,), (1, 2, 3), (3,), auto_leave=True),
    ],
)
def test_a_region_says_the_same_as_raft(conf: ConfState) -> None:
    region = with_members(Region(1), conf, 1, {id_: id_ for id_ in range(1, 6)})
    assert conf_state_of(region).equivalent(conf)


def test_what_is_done_is_not_done_again() -> None:
    changes = [
        PeerChange(ADD, Peer(11, 1)),
        PeerChange(REMOVE, Peer(99, 9)),
        PeerChange(LEARN, Peer(13, 3)),
        PeerChange(ADD, Peer(14, 4)),
    ]
    assert [(single.type, single.node_id) for single in singles_of(REGION, changes)] == [
        (ConfChangeType.ADD_LEARNER_NODE, 13),
        (ConfChangeType.ADD_NODE, 14),
    ]


@pytest.mark.parametrize(
    "changes,problem",
    [
        ([PeerChange(ADD, Peer(14, 4))], ""),
        ([PeerChange(ADD, Peer(14, 4)), PeerChange(LEARN, Peer(13, 3))], ""),
        ([PeerChange(REMOVE, Peer(13, 3))], ""),
        ([PeerChange(ADD, Peer(14, 4)), PeerChange(REMOVE, Peer(13, 3))], "demoted"),
        ([PeerChange(ADD, Peer(14, 4)), PeerChange(REMOVE, Peer(14, 4))], "twice"),
        ([PeerChange(ADD, Peer(14, 3))], "already"),
        ([PeerChange(REMOVE, Peer(11, 1))], "leader"),
        ([PeerChange(LEARN, Peer(id_, id_ - 10)) for id_ in (11, 12, 13)], "no voter"),
    ],
)
def test_changes_that_must_not_be_made(changes: list[PeerChange], problem: str) -> None:
    found = problem_with_changes(REGION, 11, changes)
    assert (problem in found) if problem else not found


def test_a_joint_region_takes_no_other_change() -> None:
    joint = replace(REGION, peers=(*REGION.peers[:2], Peer(13, 3, PeerRole.DEMOTING_VOTER)))
    assert "joint" in problem_with_changes(joint, 11, [PeerChange(ADD, Peer(14, 4))])


def test_a_split_leaves_no_gap_and_raises_the_version_by_its_cuts() -> None:
    parts = split_region(REGION, [new(b"g", 20), new(b"p", 30)])
    assert parts is not None
    assert [(part.id, part.start_key, part.end_key) for part in parts] == [
        (1, b"a", b"g"),
        (20, b"g", b"p"),
        (30, b"p", b"z"),
    ]
    assert {part.epoch for part in parts} == {RegionEpoch(4, 4)}
    assert parts[1].peers == (Peer(21, 1), Peer(22, 2), Peer(23, 3))


@pytest.mark.parametrize(
    "news",
    [
        [],
        [new(b"a", 20)],
        [new(b"z", 20)],
        [new(b"zz", 20)],
        [new(b"p", 20), new(b"g", 30)],
        [new(b"g", 20), new(b"g", 30)],
        [new(b"g", 20, peers=2)],
    ],
)
def test_a_split_that_does_not_fit_does_nothing(news: list[NewRegion]) -> None:
    assert split_region(REGION, news) is None


@given(st.sets(st.binary(min_size=1, max_size=3), min_size=1, max_size=6))
def test_every_key_is_in_exactly_one_part(keys: set[bytes]) -> None:
    whole = Region(1, epoch=RegionEpoch(1, 1), peers=(Peer(1, 1),))
    parts = split_region(whole, [new(key, 10 * number, 1) for number, key in enumerate(sorted(keys), 1)])
    assert parts is not None
    for key in (b"", *keys, *(key + b"x" for key in keys), b"\xff" * 4):
        assert sum(part.contains(key) for part in parts) == 1
