"""Protobuf's wire primitives, against the protobuf library's own."""

import pytest
from google.protobuf.internal.decoder import _DecodeVarint  # type: ignore[attr-defined]
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[attr-defined]
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    decode_fields,
    decode_varint,
    encode_bytes,
    encode_uint,
    encode_varint,
    varint_bytes,
)
from raftly.errors import DecodeError

U64_MAX = (1 << 64) - 1
EDGES = sorted({0, 1, U64_MAX} | {(1 << bits) + off for bits in range(7, 64, 7) for off in (-1, 0, 1)})
u64 = st.integers(0, U64_MAX) | st.sampled_from(EDGES)
numbers = st.integers(1, 0x1FFFFFFF) | st.integers(1, 20)


def fields(data: bytes) -> list[tuple[int, int, int, int, int]]:
    return list(decode_fields("test", data, 0, len(data)))


@given(u64)
def test_a_varint_is_the_librarys(value: int) -> None:
    encoded = encode_varint(value)
    assert encoded == _VarintBytes(value)
    assert varint_bytes(value) == len(encoded)
    assert decode_varint("test", b"x" + encoded + b"y", 1, 2 + len(encoded)) == (value, 1 + len(encoded))


@pytest.mark.parametrize("value", EDGES)
def test_sizes_at_every_edge(value: int) -> None:
    assert varint_bytes(value) == len(encode_varint(value)) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize("value", [-1, U64_MAX + 1])
def test_what_does_not_fit_is_our_own_fault(value: int) -> None:
    with pytest.raises(AssertionError):
        encode_varint(value)


@given(st.binary(min_size=1, max_size=10))
def test_varints_that_are_longer_than_needed_are_read_as_the_library_reads_them(data: bytes) -> None:
    low = bytes(byte | 0x80 for byte in data[:-1]) + bytes([data[-1] & 0x7F])
    if len(low) == 10 and low[-1] > 1:
        with pytest.raises(DecodeError, match="64 bits"):
            decode_varint("test", low, 0, len(low))
    else:
        assert decode_varint("test", low, 0, len(low)) == _DecodeVarint(low, 0)


@given(u64)
def test_every_truncated_varint_is_refused(value: int) -> None:
    encoded = encode_varint(value)
    for stop in range(len(encoded)):
        with pytest.raises(DecodeError, match="inside a varint") as caught:
            decode_varint("test", b"x" + encoded, 1, 1 + stop)
        assert caught.value.offset == 1


def test_an_endless_varint_is_refused_at_its_eleventh_byte() -> None:
    with pytest.raises(DecodeError, match="longer than ten"):
        decode_varint("test", b"\x80" * 1000, 0, 1000)
    with pytest.raises(DecodeError, match="longer than ten"):
        decode_varint("test", b"\x80" * 10 + b"\0", 0, 11)


@given(numbers, u64, st.binary(max_size=200))
def test_fields_come_back(number: int, value: int, content: bytes) -> None:
    first = encode_uint(number, value)
    second = encode_bytes(number, content)
    stop = len(first + second)
    assert fields(first + second) == [
        (number, VARINT, value, len(first) - len(encode_varint(value)), len(first)),
        (number, BYTES, 0, stop - len(content), stop),
    ]


def test_fixed_numbers_are_read_little_endian() -> None:
    assert fields(bytes.fromhex("0d 01020304")) == [(1, FIXED32, 0x04030201, 1, 5)]
    assert fields(bytes.fromhex("11 0102030405060708")) == [(2, FIXED64, 0x0807060504030201, 1, 9)]


@given(numbers, st.sampled_from([FIXED64, FIXED32, BYTES, VARINT]), st.data())
def test_every_truncated_field_is_refused(number: int, wire: int, data: st.DataObject) -> None:
    content = {
        FIXED64: bytes(8),
        FIXED32: bytes(4),
        VARINT: encode_varint(data.draw(u64)),
        BYTES: b"\x05hello",
    }[wire]
    field = encode_varint(number << 3 | wire) + content
    for stop in range(1, len(field)):
        with pytest.raises(DecodeError):
            list(decode_fields("test", field + b"more", 0, stop))
    assert len(list(decode_fields("test", field + b"more", 0, len(field)))) == 1


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ("00", "field number 0"),
        ("8080808010 00", "out of range"),
        ("0b", "wire type 3"),
        ("0c", "wire type 4"),
        ("0e", "wire type 6"),
        ("0f", "wire type 7"),
        ("0a ffffffffffffffffff01", "claims 18446744073709551615 bytes"),
        ("0a 02 00", "claims 2 bytes, 1 are left"),
    ],
)
def test_what_no_writer_writes_is_refused_with_its_place(data: str, problem: str) -> None:
    sound = encode_uint(1, 1)
    with pytest.raises(DecodeError, match=problem) as caught:
        fields(sound + bytes.fromhex(data))
    assert caught.value.offset == len(sound)


def test_the_largest_field_number_is_taken() -> None:
    assert fields(encode_uint(0x1FFFFFFF, 7))[0][:3] == (0x1FFFFFFF, VARINT, 7)


@given(st.binary(max_size=100))
def test_noise_gives_fields_that_cover_it_or_a_typed_error(noise: bytes) -> None:
    try:
        found = fields(noise)
    except DecodeError as error:
        place = error.offset
    else:
        place = found[-1][4] if found else 0
        assert place == len(noise)
    assert 0 <= place <= len(noise)
