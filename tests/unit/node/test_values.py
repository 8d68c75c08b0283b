"""Values as bytes: what goes in comes out, equal states give equal bytes, hostile bytes give a typed error."""

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.errors import DecodeError, LimitExceeded
from raftly.node.errors import ValueTypeError
from raftly.node.shapes import decode_as
from raftly.node.values import VALUE_BYTES_MAX, Record, decode_raw, decode_scalars, encode_scalars, encode_value

HASHABLE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.sets(HASHABLE, max_size=4)
    ),
    max_leaves=20,
)


def same(left: object, right: object) -> bool:
    """Equal in type too, all the way down; a record equals only itself, so their bytes are compared."""
    return encode_value(left) == encode_value(right)


@given(VALUES)
def test_what_goes_in_comes_out(value: object) -> None:
    data = encode_value(value)
    back = decode_raw(data)
    assert type(back) is type(value)
    assert back == value
    assert encode_value(back) == data


def test_a_set_has_the_same_bytes_however_it_was_built() -> None:
    one, other = set([0, 8]), set([8, 0])  # noqa: C405 - literals would be built in one order
    assert list(one) != list(other), "the two must differ in the order that Python visits"
    assert encode_value(one) == encode_value(other)
    assert encode_value(frozenset([0, 8])) == encode_value(frozenset([8, 0]))


def test_types_are_kept_apart_that_python_calls_equal() -> None:
    forms = [encode_value(value) for value in (1, True, 1.0, "1", b"1", [1], (1,))]
    assert len(set(forms)) == len(forms)
    assert math.isnan(decode_raw(encode_value(math.nan)))
    assert math.copysign(1, decode_raw(encode_value(-0.0))) == -1


def test_the_bytes_are_those_of_version_1() -> None:
    value: list[object] = [None, False, True, -1, 300, 0.5, "é", b"\0", (), {"a": 1}, {2, 1}, frozenset()]
    assert encode_value(value).hex() == (
        "070c" + "00" + "01" + "02" + "0301ff" + "03022c01" + "04000000000000e03f" + "0502c3a9" + "060100" + "0800"
        "0901" + "050161" + "030101" + "0a02" + "030101" + "030102" + "0b00"
    )


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16383, 16384])
def test_lengths_on_both_sides_of_a_varint_byte(size: int) -> None:
    for value in (b"x" * size, "y" * size, [None] * size, 1 << (8 * size)):
        assert decode_raw(encode_value(value)) == value


def test_a_dataclass_arrives_as_a_record_and_travels_on_as_one() -> None:
    @dataclass
    class Point:
        x: int
        y: int

    data = encode_value([Point(1, 2)])
    [record] = decode_raw(data)
    assert type(record) is Record
    assert record.fields == {"x": 1, "y": 2}
    assert encode_value(decode_raw(data)) == data


@dataclass(frozen=True)
class Place:
    x: int
    notes: list[str] = field(default_factory=list, compare=False)  # which cannot be hashed


@dataclass(eq=False)
class Token:
    """Each is another one, whatever it holds."""

    n: int


def test_dataclasses_are_keys_and_members_of_sets_on_the_way_back_too() -> None:
    places = {Place(n, [str(n)]) for n in range(3)}
    for value, wanted in (
        (places, set[Place]),
        (frozenset(places), frozenset[Place]),
        ({place: place.x for place in places}, dict[Place, int]),
        ({(place, 1): [place] for place in places}, dict[tuple[Place, int], list[Place]]),
    ):
        back = decode_as(encode_value(value), wanted)
        assert back == value
        assert encode_value(back) == encode_value(value)


def test_as_many_dataclasses_come_out_of_a_set_as_went_in() -> None:
    data = encode_value({Token(1), Token(1)})
    assert len(decode_raw(data)) == 2
    assert encode_value(decode_as(data, set[Token])) == data


@pytest.mark.parametrize("value", [object(), int, {1: object()}, 1j, range(3), bytearray(b"x")])
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(ValueTypeError):
        encode_value(value)


def test_depth_is_bounded_both_ways() -> None:
    value: object = None
    for _ in range(64):
        value = [value]
    assert decode_raw(encode_value(value)) == value
    with pytest.raises(ValueTypeError, match="nested"):
        encode_value([value])
    with pytest.raises(DecodeError, match="nested"):
        decode_raw(b"\x07\x01" * 65 + b"\x00")


def test_size_is_bounded_both_ways() -> None:
    largest = bytes(VALUE_BYTES_MAX - 5)  # its kind and its length take five
    assert decode_raw(encode_value(largest)) == largest
    with pytest.raises(LimitExceeded):
        encode_value(largest + b"x")
    with pytest.raises(DecodeError, match="more than a value may have"):
        decode_raw(encode_value(largest) + b"x")


@given(st.binary(max_size=64))
def test_hostile_bytes_give_a_value_or_a_decode_error(data: bytes) -> None:
    try:
        value = decode_raw(data)
    except DecodeError:
        return
    assert same(decode_raw(encode_value(value)), value)


@given(VALUES, st.data())
def test_damage_gives_a_value_or_a_decode_error(value: object, data: st.DataObject) -> None:
    good = encode_value(value)
    at = data.draw(st.integers(0, len(good) - 1))
    for bad in (good[:at], good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]):
        try:
            decode_raw(bad)
        except DecodeError:
            continue


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0d\x00",  # a kind that is not there
        b"\xff\x00",
        b"\x03",  # an int without a length
        b"\x06\x05abc",  # shorter than it says
        b"\x07\xff\xff\xff\xff\x0f",  # four thousand million items in no bytes
        b"\x05\x01\xff",  # no UTF-8
        b"\x0a\x01\x07\x00",  # a list in a set
        b"\x09\x01\x07\x00\x00",  # a list as a key
        b"\x0c\x01\x03\x01\x01\x00",  # a field whose name is a number
        b"\x0c\x02\x05\x01a\x00\x05\x01a\x00",  # a field twice
        b"\x00\x00",  # something left over
        b"\x04\x00",  # half a float
    ],
)
def test_malformed_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_raw(data)


# --- the short cuts ---

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=300)


@given(st.lists(SCALARS | st.just([]), max_size=5).map(tuple))
def test_the_short_cut_gives_the_same_bytes_or_nothing(value: tuple[object, ...]) -> None:
    data = encode_scalars(value)
    assert data in {None, encode_value(value)}
    assert (data is None) == ([] in value)


@given(st.lists(SCALARS, max_size=5).map(tuple), st.data())
def test_the_short_cut_reads_the_same_value_or_nothing(value: tuple[object, ...], data: st.DataObject) -> None:
    good = encode_value(value)
    at = data.draw(st.integers(0, len(good) - 1))
    for some in (good, good[:at], good + b"\x00", good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]):
        short = decode_scalars(some)
        if short is not None:
            assert same(short, decode_raw(some))
    if not any(isinstance(item, float) or (isinstance(item, str) and not item.isascii()) for item in value):
        assert decode_scalars(good) == value


@given(st.binary(max_size=24))
def test_the_short_cut_takes_nothing_that_the_long_way_refuses(data: bytes) -> None:
    short = decode_scalars(b"\x08" + data)
    if short is not None:
        assert same(short, decode_raw(b"\x08" + data))
