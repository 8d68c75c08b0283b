from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.region import Peer, PeerRole, Region, RegionEpoch, decode_region, encode_region
from raftly.errors import DecodeError

U64 = st.integers(0, (1 << 64) - 1)
PEERS = st.builds(Peer, U64, U64, st.sampled_from(PeerRole))
REGIONS = st.builds(
    Region,
    U64,
    st.binary(max_size=9),
    st.binary(max_size=9),
    st.builds(RegionEpoch, U64, U64),
    st.lists(PEERS, max_size=4).map(tuple),
)


@given(REGIONS, st.binary(max_size=5))
def test_what_is_encoded_is_decoded_and_its_end_is_known(region: Region, before: bytes) -> None:
    data = encode_region(region)
    assert decode_region(before + data + b"more", len(before)) == (region, len(before) + len(data))


@given(REGIONS)
def test_every_prefix_is_refused(region: Region) -> None:
    data = encode_region(region)
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            decode_region(data[:size])


def test_a_version_and_a_role_from_the_future_are_refused() -> None:
    data = encode_region(Region(1, peers=(Peer(1, 2),)))
    with pytest.raises(DecodeError, match="version 2"):
        decode_region(b"\x02" + data[1:])
    with pytest.raises(DecodeError):
        decode_region(data[:-1] + b"\x09")


@pytest.mark.parametrize(
    ("key", "inside"), [(b"a", False), (b"b", True), (b"b\x00", True), (b"c", True), (b"d", False), (b"", False)]
)
def test_a_range_has_its_start_and_not_its_end(key: bytes, inside: bool) -> None:
    assert Region(1, b"b", b"d").contains(key) is inside
    assert Region(1).contains(key)


@pytest.mark.parametrize(("key", "fits"), [(b"b", False), (b"c", True), (b"d", True), (b"e", False), (b"", False)])
def test_a_range_within_ends_no_later(key: bytes, fits: bool) -> None:
    assert Region(1, b"b", b"d").contains_end(key) is fits
    assert Region(1, b"b").contains_end(b"")


KEYS = st.binary(max_size=2)


@given(st.builds(Region, st.just(1), KEYS, KEYS), st.builds(Region, st.just(2), KEYS, KEYS))
def test_two_ranges_overlap_when_some_key_is_in_both(one: Region, two: Region) -> None:
    for region in (one, two):
        if region.end_key and region.end_key <= region.start_key:
            return
    lo = max(one.start_key, two.start_key)
    assert one.overlaps(two) is two.overlaps(one) is (one.contains(lo) and two.contains(lo))


def test_an_epoch_is_older_when_either_part_is() -> None:
    assert RegionEpoch(1, 1).is_older_than(RegionEpoch(2, 1))
    assert RegionEpoch(3, 1).is_older_than(RegionEpoch(2, 2))
    assert not RegionEpoch(2, 2).is_older_than(RegionEpoch(2, 2))
