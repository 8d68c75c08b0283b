"""RegionMap: who overlaps and who is next, against a plain list."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from raftly.base.region import Region
from raftly.store.regions import RegionMap

cuts = st.sets(st.binary(min_size=1, max_size=2), min_size=1, max_size=8)


@given(cuts, st.sets(st.integers(0, 8)), st.binary(max_size=2), st.binary(max_size=2))
def test_it_agrees_with_a_list(keys: set[bytes], missing: set[int], lo: bytes, hi: bytes) -> None:
    ends = [b"", *sorted(keys), b""]
    regions = [
        Region(number, start, end) for number, (start, end) in enumerate(pairwise(ends), 1) if number not in missing
    ]
    found = RegionMap()
    for region in reversed(regions):
        found.put(region)
    assert found.all() == regions
    assert len(found) == len(regions)
    probe = Region(99, lo, hi)
    if not hi or lo < hi:
        assert found.overlapping(probe) == [region for region in regions if region.overlaps(probe)]
    for region in regions:
        beside = [
            other
            for other in regions
            if (other.end_key and other.end_key == region.start_key)
            or (region.end_key and other.start_key == region.end_key)
        ]
        assert found.next_to(region) == beside
        assert found.overlapping(region) == []


def test_a_region_that_changed_takes_its_own_place() -> None:
    found = RegionMap()
    found.put(Region(1, b"a", b"z"))
    found.put(Region(1, b"a", b"m"))
    found.put(Region(2, b"m", b"z"))
    assert [region.id for region in found.all()] == [1, 2]
    found.remove(1)
    found.remove(1)
    assert [region.id for region in found.all()] == [2]
