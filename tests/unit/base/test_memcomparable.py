"""Encoded keys sort as the keys do, and what is no encoding is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.memcomparable import decode_bytes, decode_whole, encode_bytes
from raftly.errors import DecodeError


@pytest.mark.parametrize(
    "key,encoded",
    [
        (b"", "0000000000000000f7"),
        (b"b", "6200000000000000f8"),
        (b"tk3", "746b330000000000fa"),
        (b"abcdefg", "61626364656667 00 fe"),
        (b"abcdefgh", "6162636465666768ff 0000000000000000f7"),
        (b"abcdefghi", "6162636465666768ff 6900000000000000f8"),
    ],
)
def test_the_bytes_are_those_of_tikv(key: bytes, encoded: str) -> None:
    assert encode_bytes(key) == bytes.fromhex(encoded)
    assert decode_whole(bytes.fromhex(encoded)) == key


_KEYS = st.one_of(st.binary(max_size=20), st.text("\0\x01a", max_size=20).map(str.encode))


@given(_KEYS, st.binary(max_size=9), st.binary(max_size=9))
def test_an_encoding_ends_where_it_ends(key: bytes, before: bytes, behind: bytes) -> None:
    encoded = encode_bytes(key)
    assert len(encoded) == (len(key) // 8 + 1) * 9
    assert decode_bytes(before + encoded + behind, len(before)) == (key, len(before) + len(encoded))


@given(_KEYS, _KEYS, st.binary(max_size=9), st.binary(max_size=9))
def test_the_order_is_that_of_the_keys_whatever_follows(one: bytes, two: bytes, behind: bytes, other: bytes) -> None:
    if one < two:
        assert encode_bytes(one) + behind < encode_bytes(two) + other


@given(st.binary(max_size=40))
def test_there_is_one_encoding_of_each_key(buf: bytes) -> None:
    try:
        key = decode_whole(buf)
    except DecodeError:
        return
    assert encode_bytes(key) == buf


@pytest.mark.parametrize(
    "buf,problem",
    [
        ("", "end inside a group"),
        ("00000000000000", "end inside a group"),
        ("0000000000000000", "end inside a group"),
        ("6162636465666768ff", "end inside a group"),
        ("0000000000000000f6", "0xf6 cannot follow"),
        ("000000000000000000", "0x00 cannot follow"),
        ("6200000000000001f8", "not zeros"),
        ("0000000000000001f7", "not zeros"),
        ("6200000000000000f800", "1 bytes are left over"),
    ],
)
def test_what_is_no_encoding_is_refused(buf: str, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        decode_whole(bytes.fromhex(buf))
