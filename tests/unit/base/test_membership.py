"""Membership values: their bytes, their short notation, and what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.membership import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    decode_conf_change,
    decode_conf_change_v2,
    format_changes,
    parse_changes,
)
from raftly.errors import ConfChangeError, DecodeError

U64_MAX = (1 << 64) - 1
ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE

u64 = st.integers(0, U64_MAX)
types = st.sampled_from(ConfChangeType)
singles = st.lists(st.builds(ConfChangeSingle, types, u64), max_size=5).map(tuple)
v1 = st.builds(ConfChange, types, u64, st.binary(max_size=30), u64)
v2 = st.builds(ConfChangeV2, singles, st.sampled_from(ConfChangeTransition), st.binary(max_size=30))


# --- bytes -----------------------------------------------------------------------------------------------------


def test_the_bytes_of_a_change() -> None:
    assert ConfChange().encode() == bytes.fromhex("1000 1800")
    assert ConfChange(REMOVE, 300, b"c", 7).encode() == bytes.fromhex("0807 1001 18ac02 220163")
    assert ConfChangeV2().encode() == bytes.fromhex("0800")
    joint = ConfChangeV2(
        (ConfChangeSingle(ADD, 1), ConfChangeSingle(REMOVE, 2)), ConfChangeTransition.JOINT_EXPLICIT, b"c"
    )
    assert joint.encode() == bytes.fromhex("0802 1204 0800 1001 1204 0801 1002 1a0163")


@given(v1)
def test_a_change_comes_back(change: ConfChange) -> None:
    assert decode_conf_change(change.encode()) == change


@given(v2)
def test_a_joint_change_comes_back(change: ConfChangeV2) -> None:
    assert decode_conf_change_v2(change.encode()) == change


def test_no_bytes_are_all_defaults() -> None:
    assert decode_conf_change(b"") == ConfChange()
    assert decode_conf_change_v2(b"") == ConfChangeV2()
    assert decode_conf_change_v2(b"").leaves_joint()
    assert decode_conf_change_v2(bytes.fromhex("1200")) == ConfChangeV2((ConfChangeSingle(),))


def test_unknown_fields_and_fields_of_another_kind_are_skipped() -> None:
    unknown = bytes.fromhex("5001 5a0178 0a0178 6d01020304 7101020304 05060708")
    change = ConfChange(REMOVE, 3, b"c", 7)
    assert decode_conf_change(unknown + change.encode() + unknown) == change
    joint = change.as_v2()
    assert decode_conf_change_v2(unknown + joint.encode()) == joint
    assert decode_conf_change_v2(bytes.fromhex("1206 0801 1003 5001")).changes == (ConfChangeSingle(REMOVE, 3),)


@pytest.mark.parametrize("data", ["1004", "10ffffffffffffffffff01", "1803 10", "2205 00", "0b", "00"])
def test_a_malformed_change_is_refused(data: str) -> None:
    with pytest.raises(DecodeError):
        decode_conf_change(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["0803", "0801 08", "12020804", "12 05 0800", "1a02 00", "0c", "00", "1202 0a05"])
def test_a_malformed_joint_change_is_refused(data: str) -> None:
    with pytest.raises(DecodeError):
        decode_conf_change_v2(bytes.fromhex(data))


@given(v1, v2)
def test_every_truncation_is_refused_or_is_a_shorter_change(one: ConfChange, two: ConfChangeV2) -> None:
    for stop in range(len(one.encode())):
        refused_or_known(one.encode()[:stop])
    for stop in range(len(two.encode())):
        refused_or_known(two.encode()[:stop])


@given(st.binary(max_size=80))
def test_noise_gives_a_typed_error_or_a_change(noise: bytes) -> None:
    refused_or_known(noise)


def refused_or_known(data: bytes) -> None:
    for decode in (decode_conf_change, decode_conf_change_v2):
        try:
            change = decode(data)
        except DecodeError:
            continue
        assert decode(change.encode()) == change


# --- meaning ---------------------------------------------------------------------------------------------------


@given(v1)
def test_a_change_as_version_2_is_that_change_alone(change: ConfChange) -> None:
    two = change.as_v2()
    assert two == ConfChangeV2((ConfChangeSingle(change.type, change.node_id),), context=change.context)
    assert two.as_v2() is two
    assert not two.enters_joint()
    assert not two.leaves_joint()


@pytest.mark.parametrize(
    ("count", "transition", "enters", "leaves", "auto"),
    [
        (0, ConfChangeTransition.AUTO, False, True, True),
        (1, ConfChangeTransition.AUTO, False, False, True),
        (2, ConfChangeTransition.AUTO, True, False, True),
        (0, ConfChangeTransition.JOINT_IMPLICIT, True, False, True),
        (1, ConfChangeTransition.JOINT_IMPLICIT, True, False, True),
        (0, ConfChangeTransition.JOINT_EXPLICIT, True, False, False),
        (1, ConfChangeTransition.JOINT_EXPLICIT, True, False, False),
    ],
)
def test_how_a_change_takes_effect(
    count: int, transition: ConfChangeTransition, enters: bool, leaves: bool, auto: bool
) -> None:
    changes = tuple(ConfChangeSingle(ADD, id_) for id_ in range(count))
    change = ConfChangeV2(changes, transition, b"the context does not count")
    assert (change.enters_joint(), change.leaves_joint(), change.auto_leave()) == (enters, leaves, auto)


@given(st.lists(u64, max_size=4))
def test_order_has_no_meaning_in_a_configuration(ids: list[int]) -> None:
    backwards = tuple(reversed(ids))
    assert ConfState(tuple(ids), tuple(ids), tuple(ids), tuple(ids), True).equivalent(
        ConfState(backwards, backwards, backwards, backwards, True)
    )


@pytest.mark.parametrize(
    "other",
    [
        ConfState((1, 3), (4,), (1,), (5,), True),
        ConfState((1, 2), (), (1,), (5,), True),
        ConfState((1, 2), (4,), (), (5,), True),
        ConfState((1, 2), (4,), (1,), (), True),
        ConfState((1, 2), (4,), (1,), (5,), False),
        ConfState((1, 2, 2), (4,), (1,), (5,), True),
    ],
)
def test_every_part_of_a_configuration_counts(other: ConfState) -> None:
    assert not ConfState((1, 2), (4,), (1,), (5,), True).equivalent(other)


# --- notation --------------------------------------------------------------------------------------------------


@given(singles)
def test_the_short_notation_comes_back(changes: tuple[ConfChangeSingle, ...]) -> None:
    assert parse_changes(format_changes(changes)) == changes


def test_each_letter() -> None:
    assert format_changes(parse_changes(" v1 l2 r3 u4\n")) == "v1 l2 r3 u4"
    assert [change.type for change in parse_changes("v1 l2 r3 u4")] == [
        ConfChangeType.ADD_NODE,
        ConfChangeType.ADD_LEARNER_NODE,
        ConfChangeType.REMOVE_NODE,
        ConfChangeType.UPDATE_NODE,
    ]
    assert parse_changes("") == parse_changes(" \t\n") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("v", "unknown token v"),
        ("v1  v2", "unknown token "),
        ("x1", "unknown input: x1"),
        ("v-1", "not a node id: -1"),
        ("v1_0", "not a node id: 1_0"),
        ("v\u0661", "not a node id"),
        ("v18446744073709551616", "not a node id"),
        ("v" + "9" * 5000, "not a node id"),
    ],
)
def test_a_bad_token_is_named(text: str, problem: str) -> None:
    with pytest.raises(ConfChangeError, match=problem):
        parse_changes(text)


def test_the_largest_node_id_is_taken() -> None:
    assert parse_changes(f"v{U64_MAX}") == (ConfChangeSingle(ADD, U64_MAX),)
