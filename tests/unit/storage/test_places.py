"""Where entries stand, against a plain dictionary."""

import random

import pytest

from raftly.storage.places import Places, place_of

Twin = dict[int, tuple[int, int, int, int]]  # index: (segment, offset, size, term)


def compare(places: Places, twin: Twin, first: int) -> None:
    assert places.first == first
    assert places.stop == first + len(twin) == max(twin, default=first - 1) + 1
    for index, (segment, offset, size, term) in twin.items():
        assert places.term(index) == term
        assert places.stretch(index, index + 1, 1) == (segment, offset, size, index + 1)
    for lo, hi in ((first, places.stop), (first + 1, places.stop - 1)):
        if lo < hi:
            told = {index: segment for segment, a, b, _ in places.segments(lo, hi) for index in range(a, b)}
            assert told == {index: twin[index][0] for index in range(lo, hi)}
            assert sum(size for *_, size in places.segments(lo, hi)) == sum(twin[i][2] for i in range(lo, hi))
    for number in {segment for segment, *_ in twin.values()}:
        inside = {index for a, b in places.in_segment(number) for index in range(a, b)}
        assert inside == {index for index, (segment, *_) in twin.items() if segment == number}
    assert places.in_segment(999) == []


@pytest.mark.parametrize("seed", range(20))
def test_against_a_dictionary(seed: int) -> None:
    source = random.Random(seed)
    places, twin, first = Places(1), Twin(), 1
    segment = offset = term = 1
    for _ in range(120):
        kind = source.randrange(10)
        if kind < 5 or not twin:
            term += source.randrange(2)
            segment += source.randrange(2)
            sizes = [source.randrange(1, 50) for _ in range(source.randrange(1, 6))]
            start = places.stop
            places.append(sizes, [(start, term)], place_of(segment, offset))
            for at, size in enumerate(sizes):
                twin[start + at] = (segment, offset, size, term)
                offset += size
        elif kind < 7:
            cut = source.randrange(first, places.stop + 1)
            places.cut(cut)
            twin = {index: where for index, where in twin.items() if index < cut}
            if not twin:
                first = cut
        elif kind < 8:
            first = source.randrange(first, places.stop + 3)
            places.drop(first)
            twin = {index: where for index, where in twin.items() if index >= first}
        else:
            lo = source.randrange(first, places.stop)
            hi = source.randrange(lo + 1, places.stop + 1)
            segment += 1
            sizes = [twin[index][2] for index in range(lo, hi)]
            places.move(lo, sizes, place_of(segment, offset))
            for index in range(lo, hi):
                twin[index] = (segment, offset, twin[index][2], twin[index][3])
                offset += twin[index][2]
        compare(places, twin, first)


def test_stretches_end_where_neighbours_do() -> None:
    places = Places(1)
    places.append([10, 10, 10], [(1, 1)], place_of(1, 100))
    places.append([10], [(4, 1)], place_of(1, 200))
    places.append([10], [(5, 1)], place_of(2, 210))
    assert places.stretch(1, 6, 1 << 40) == (1, 100, 30, 4)
    assert places.stretch(1, 3, 1 << 40) == (1, 100, 20, 3)
    assert places.stretch(2, 6, 11) == (1, 110, 20, 4)
    assert places.stretch(4, 6, 1 << 40) == (1, 200, 10, 5)
    assert places.size(5) == 10
