"""Commands: their bytes, and what no release of ours wrote."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.heartbeats import NewRegionIds
from raftly.base.region import Peer
from raftly.engine.base import DATA_CFS
from raftly.errors import DecodeError
from raftly.store.command import (
    NewRegion,
    Split,
    Write,
    decode_change,
    decode_command,
    encode_change,
    encode_split,
    encode_write,
)
from raftly.store.ops import Cas, Delete, DeleteRange, Expire, Op, Put

cfs = st.sampled_from(DATA_CFS)
some = st.binary(max_size=20)
numbers = st.integers(0, (1 << 64) - 1)
ops: st.SearchStrategy[Op] = st.one_of(
    st.builds(Put, cfs, some, some),
    st.builds(Delete, cfs, some),
    st.builds(DeleteRange, cfs, some, some),
    st.builds(Cas, cfs, some, st.none() | some, st.none() | some, numbers, st.booleans()),
    st.builds(Expire, cfs, some, numbers),
)
news = st.builds(NewRegion, some, st.builds(NewRegionIds, numbers, st.lists(numbers, max_size=5).map(tuple)))


@given(numbers, st.lists(ops, max_size=5))
def test_a_write_comes_back(version: int, wanted: list[Op]) -> None:
    assert decode_command(encode_write(version, wanted)) == Write(version, wanted)


@given(numbers, st.lists(news, max_size=4))
def test_a_split_comes_back(version: int, wanted: list[NewRegion]) -> None:
    assert decode_command(encode_split(version, wanted)) == Split(version, wanted)


@given(numbers, st.lists(st.tuples(numbers, numbers), max_size=4, unique_by=lambda pair: pair[0]))
def test_a_change_comes_back(conf_ver: int, peers: list[tuple[int, int]]) -> None:
    context = encode_change(conf_ver, [Peer(id_, store_id) for id_, store_id in peers])
    assert decode_change(context) == (conf_ver, dict(peers))


def test_the_bytes_are_those_that_are_drawn() -> None:
    encoded = encode_write(7, [Put("default", b"k", b"vv"), Cas("write", b"k", b"e", b"n", 3, has_ttl=True)])
    assert encoded.hex() == (
        "0101" + "0700000000000000"
        "0100" + "01000000" + "6b" + "02000000" + "7676"
        "0402" + "01000000" + "6b" + "01000000" + "6e" + "03" + "0300000000000000" + "01000000" + "65"
    )  # fmt: skip
    split = encode_split(2, [NewRegion(b"m", NewRegionIds(9, (10, 11)))])
    assert split.hex() == (
        "0102" + "0200000000000000" + "01000000" + "6d" + "0900000000000000" + "02000000"
        "0a00000000000000" + "0b00000000000000"
    )  # fmt: skip
    assert encode_change(5, [Peer(1, 2)]).hex() == "01" + "0500000000000000" + "0100000000000000" + "0200000000000000"


@given(st.binary(max_size=60))
def test_hostile_bytes_are_refused_by_a_typed_error(data: bytes) -> None:
    for decode in (decode_command, decode_change):
        with suppress(DecodeError):
            decode(data)


@pytest.mark.parametrize("cut", range(1, 37))
def test_a_truncated_write_is_refused(cut: int) -> None:
    whole = encode_write(7, [Cas("write", b"key", b"expected", b"new", 3, has_ttl=True)])
    with pytest.raises(DecodeError):
        decode_command(whole[:-cut])


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x01" + bytes(8),
        b"\x01\x09" + bytes(8),
        b"\x01\x01" + bytes(8) + b"\x07" + bytes(9),
        b"\x01\x01" + bytes(8) + b"\x05" + bytes(5) + b"\x04" + bytes(12),
    ],
)
def test_what_a_later_release_writes_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_command(data)
