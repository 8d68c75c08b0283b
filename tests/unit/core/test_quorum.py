"""Quorum arithmetic: single and joint majorities, votes, group commit, and the chart; against naive counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.types import INDEX_MAX
from raftly.core.quorum import JointConfig, MajorityConfig, VoteResult, describe_acked, group_index, majority_index

WON, LOST, PENDING = VoteResult.WON, VoteResult.LOST, VoteResult.PENDING

# --- naive twins -----------------------------------------------------------------------------------------------


def naive_index(voters: tuple[int, ...], acked: dict[int, int]) -> int:
    """The largest index, of those that somebody acknowledged or 0, which more than half of the voters reached."""
    if not voters:
        return INDEX_MAX
    candidates = {0, *acked.values()}
    reached = {index: sum(acked.get(id_, 0) >= index for id_ in voters) for index in candidates}
    return max(index for index, count in reached.items() if 2 * count > len(voters))


def naive_vote(voters: tuple[int, ...], votes: dict[int, bool]) -> VoteResult:
    """Won if it is won even when all who are silent refuse; lost if not even all of them could win it."""
    if not voters:
        return WON
    granted = sum(votes.get(id_, False) for id_ in voters)
    possible = sum(votes.get(id_, True) for id_ in voters)
    if 2 * granted > len(voters):
        return WON
    return PENDING if 2 * possible > len(voters) else LOST


def naive_group(acked: list[tuple[int, int]]) -> tuple[int, bool]:
    """The rule as it is written: majority, and present in two groups."""
    if not acked:
        return INDEX_MAX, True
    by_majority = naive_index(tuple(range(len(acked))), {at: index for at, (index, _) in enumerate(acked)})
    groups = {group for _, group in acked if group}
    if len(groups) >= 2:
        spanning = [
            index for index, _ in acked if len({group for other, group in acked if group and other >= index}) >= 2
        ]
        return min(by_majority, max(spanning)), True
    if all(group for _, group in acked):
        return by_majority, False
    return min(index for index, _ in acked), False


ids = st.integers(1, 9)
voter_sets = st.sets(ids, max_size=8).map(tuple)
acknowledged = st.dictionaries(ids, st.integers(1, 12))
votes_cast = st.dictionaries(ids, st.booleans())


# --- majorities ------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("MQ04")
@pytest.mark.parametrize(
    "voters, acked, index",
    [
        ((), {}, INDEX_MAX),
        ((1,), {}, 0),
        ((1,), {1: 12}, 12),
        ((1, 2), {1: 12}, 0),
        ((1, 2), {1: 12, 2: 5}, 5),
        ((1, 2, 3), {1: 12}, 0),
        ((1, 2, 3), {1: 12, 2: 5}, 5),
        ((1, 2, 3), {1: 12, 2: 5, 3: 5}, 5),
        ((1, 2, 3), {1: 12, 2: 5, 3: 6}, 6),
        ((1, 2, 3, 4), {1: 101, 2: 104, 3: 103, 4: 103}, 103),
        ((1, 2, 3, 4, 5), {1: 101, 2: 104, 3: 103, 4: 103}, 103),
        ((1, 2), {1: 5, 2: 6, 3: 100}, 5),  # who is no voter does not count
    ],
)
def test_the_index_that_a_majority_acknowledged(voters: tuple[int, ...], acked: dict[int, int], index: int) -> None:
    assert MajorityConfig(voters).committed_index(acked) == index
    assert JointConfig(voters).committed_index(acked) == index
    assert JointConfig((), voters).committed_index(acked) == index


@pytest.mark.behaviour("MQ04")
@pytest.mark.parametrize(
    "incoming, outgoing, acked, index",
    [
        ((1, 2, 3), (4, 5, 6), {1: 8, 2: 7, 3: 9, 4: 2, 5: 3, 6: 1}, 2),
        ((1, 2, 3), (4, 5, 6), {1: 8, 2: 7, 3: 9}, 0),
        ((1, 2, 3), (1, 2), {1: 8, 2: 5, 3: 9}, 5),
        ((1,), (2,), {1: 13, 2: 100}, 13),
        ((), (), {}, INDEX_MAX),
    ],
)
def test_a_joint_index_needs_both_halves(
    incoming: tuple[int, ...], outgoing: tuple[int, ...], acked: dict[int, int], index: int
) -> None:
    assert JointConfig(incoming, outgoing).committed_index(acked) == index
    assert JointConfig(outgoing, incoming).committed_index(acked) == index


@pytest.mark.behaviour("MQ04")
@pytest.mark.parametrize(
    "incoming, outgoing, votes, result",
    [
        ((), (), {}, WON),
        ((1,), (), {}, PENDING),
        ((1,), (), {1: True}, WON),
        ((1,), (), {1: False}, LOST),
        ((1, 2), (), {1: True}, PENDING),
        ((1, 2), (), {1: False}, LOST),  # one of two can stop it
        ((1, 2, 3), (), {1: True, 2: False}, PENDING),
        ((1, 2, 3), (), {1: True, 2: False, 3: True}, WON),
        ((1, 2, 3, 4), (), {1: True, 2: True, 3: False, 4: False}, LOST),
        ((1,), (2,), {1: True}, PENDING),
        ((1,), (2,), {1: True, 2: False}, LOST),
        ((1,), (2,), {2: False}, LOST),
        ((1, 2, 3), (3, 4, 5), {1: True, 2: True, 3: True}, PENDING),
        ((1, 2, 3), (3, 4, 5), {1: True, 2: True, 3: True, 4: True}, WON),
        ((1, 2), (), {1: True, 9: True}, PENDING),  # who is no voter does not count
    ],
)
def test_votes(
    incoming: tuple[int, ...], outgoing: tuple[int, ...], votes: dict[int, bool], result: VoteResult
) -> None:
    assert JointConfig(incoming, outgoing).vote_result(votes) is result
    assert JointConfig(outgoing, incoming).vote_result(votes) is result


@pytest.mark.behaviour("MQ05")
@given(voter_sets, voter_sets, acknowledged)
def test_indexes_equal_a_count_of_heads(
    incoming: tuple[int, ...], outgoing: tuple[int, ...], acked: dict[int, int]
) -> None:
    assert MajorityConfig(incoming).committed_index(acked) == naive_index(incoming, acked)
    joint = JointConfig(incoming, outgoing)
    assert joint.committed_index(acked) == min(naive_index(incoming, acked), naive_index(outgoing, acked))
    assert joint.ids() == tuple(sorted({*incoming, *outgoing}))
    assert majority_index([acked.get(id_, 0) for id_ in incoming]) == naive_index(incoming, acked)


@pytest.mark.behaviour("MQ05")
@given(voter_sets, voter_sets, votes_cast)
def test_votes_equal_a_count_of_heads(
    incoming: tuple[int, ...], outgoing: tuple[int, ...], votes: dict[int, bool]
) -> None:
    halves = {naive_vote(incoming, votes), naive_vote(outgoing, votes)}
    wanted = LOST if LOST in halves else (PENDING if PENDING in halves else WON)
    assert JointConfig(incoming, outgoing).vote_result(votes) is wanted


@given(voter_sets, acknowledged, st.data())
def test_who_lags_further_changes_nothing(voters: tuple[int, ...], acked: dict[int, int], data: st.DataObject) -> None:
    index = MajorityConfig(voters).committed_index(acked)
    lowered = {id_: data.draw(st.integers(0, held)) if held < index else held for id_, held in acked.items()}
    assert MajorityConfig(voters).committed_index(lowered) == index


# --- the chart -------------------------------------------------------------------------------------------------


@pytest.mark.behaviour("MQ06")
def test_the_chart_has_equal_bars_for_equal_indexes_and_a_mark_for_the_unknown() -> None:
    assert describe_acked((), {}) == "<empty majority quorum>"
    assert describe_acked((1,), {}) == "     idx\n?      0    (id=1)\n"
    chart = describe_acked((10, 2, 3, 4), {2: 7, 3: 7, 10: 12345})
    assert chart.splitlines() == [
        "        idx",
        "x>        7    (id=2)",
        "x>        7    (id=3)",
        "?         0    (id=4)",
        "xxx>  12345    (id=a)",
    ]


@pytest.mark.behaviour("MQ06")
@given(st.sets(ids, min_size=1, max_size=8).map(tuple), acknowledged)
def test_bars_are_as_long_as_there_are_voters_behind(voters: tuple[int, ...], acked: dict[int, int]) -> None:
    lines = describe_acked(voters, acked).splitlines()[1:]
    assert len(lines) == len(voters)
    for id_, line in zip(sorted(voters), lines, strict=True):
        behind = sum(acked.get(other, 0) < acked.get(id_, 0) for other in voters)
        bar = "?" if id_ not in acked else "x" * behind + ">"
        assert line == f"{bar:<{len(voters) + 1}} {acked.get(id_, 0):>5}    (id={id_:x})"


# --- group commit (raft-rs) ------------------------------------------------------------------------------------


@pytest.mark.behaviour("X25")
@pytest.mark.parametrize(
    "acked, index, by_groups",
    [
        ([], INDEX_MAX, True),
        ([(1, 0)], 1, False),
        ([(1, 1)], 1, False),
        ([(5, 1), (4, 2), (3, 1)], 4, True),
        ([(5, 1), (4, 1), (3, 2)], 3, True),  # the majority has 4, the second group only 3
        ([(9, 1), (9, 2), (4, 1), (4, 1), (4, 1)], 4, True),  # both groups have 9, the majority only 4
        ([(5, 1), (4, 1), (3, 1)], 4, False),  # one group for all: the majority decides
        ([(5, 1), (4, 1), (3, 0)], 3, False),  # one of no group, no second group: everybody must have it
        ([(5, 0), (4, 0), (3, 0)], 3, False),
        ([(5, 0), (4, 1), (3, 2)], 3, True),
        ([(5, 1), (4, 0), (3, 2), (2, 0)], 3, True),
    ],
)
def test_group_commit(acked: list[tuple[int, int]], index: int, by_groups: bool) -> None:
    for turned in range(max(len(acked), 1)):
        assert group_index(acked[turned:] + acked[:turned]) == (index, by_groups)


@pytest.mark.behaviour("X25")
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=8))
def test_group_commit_equals_its_rule(acked: list[tuple[int, int]]) -> None:
    before = list(acked)
    assert group_index(acked) == naive_group(acked)
    assert acked == before


@pytest.mark.behaviour("X28")
@given(
    voter_sets,
    voter_sets,
    st.dictionaries(ids, st.tuples(st.integers(0, 6), st.integers(0, 3))),
)
def test_a_joint_group_commit_is_the_smaller_of_both_halves(
    incoming: tuple[int, ...], outgoing: tuple[int, ...], acked: dict[int, tuple[int, int]]
) -> None:
    halves = [naive_group([acked.get(id_, (0, 0)) for id_ in half]) for half in (incoming, outgoing)]
    index, by_groups = JointConfig(incoming, outgoing).group_committed_index(acked)
    assert index == min(half[0] for half in halves)
    assert by_groups == all(half[1] for half in halves)


@pytest.mark.behaviour("X28")
def test_a_joint_group_commit_by_example() -> None:
    acked = {1: (100, 1), 2: (101, 2), 3: (99, 1), 4: (102, 1), 5: (103, 1), 6: (90, 2)}
    assert JointConfig((1, 2, 3)).group_committed_index(acked) == (100, True)
    assert JointConfig((1, 2, 3), (4, 5, 6)).group_committed_index(acked) == (90, True)
    assert JointConfig((1, 2, 3), (4, 5)).group_committed_index(acked) == (100, False)
