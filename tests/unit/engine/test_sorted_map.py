"""The sorted map against a dict, with chunks so small that every edge of them is met."""

import random

import pytest

from raftly.engine import sorted_map
from raftly.engine.sorted_map import SortedMap, SortedView


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_map, "_CHUNK_KEYS_MAX", 4)


def expect(view: SortedView, model: dict[bytes, bytes], source: random.Random) -> None:
    items = sorted(model.items())
    assert list(view.ascending(b"", b"")) == items
    assert list(view.descending(b"", b"")) == items[::-1]
    assert len(view) == len(items)
    for _ in range(4):
        lo, hi = key(source), source.choice([key(source), b""])
        inside = [item for item in items if lo <= item[0] and (not hi or item[0] < hi)]
        assert list(view.ascending(lo, hi)) == inside
        assert list(view.descending(lo, hi)) == inside[::-1]
        assert view.get(lo) == model.get(lo)
        if len(inside) <= 4:  # a chunk, at most: all of it is looked at
            assert view.approximate_bytes(lo, hi) == sum(len(one) + len(two) for one, two in inside)


def key(source: random.Random) -> bytes:
    return b"%02d" % source.randrange(100) if source.random() < 0.95 else b""


def change(map_: SortedMap, model: dict[bytes, bytes], source: random.Random) -> None:
    draw = source.random()
    if draw < 0.6:
        one, value = key(source), source.randbytes(source.randrange(5))
        map_.put(one, value)
        model[one] = value
    elif draw < 0.93:
        one = key(source)
        map_.delete(one)
        model.pop(one, None)
    else:
        lo, hi = key(source), source.choice([key(source), b""])
        map_.delete_range(lo, hi)
        for one in [one for one in model if lo <= one and (not hi or one < hi)]:
            del model[one]


@pytest.mark.parametrize("seed", range(15))
def test_it_is_a_dict_and_its_views_never_change(seed: int) -> None:
    source = random.Random(seed)
    map_, model = SortedMap(), dict[bytes, bytes]()
    views: list[tuple[SortedView, dict[bytes, bytes]]] = []
    for _ in range(300):
        change(map_, model, source)
        if source.random() < 0.1:
            views.append((map_.freeze(), dict(model)))
        if source.random() < 0.2:
            expect(map_, model, source)
        assert map_.size == sum(len(one) + len(two) for one, two in model.items())
    for view, then in views:
        expect(view, then, source)


def test_what_no_view_shows_is_changed_in_place() -> None:
    map_ = SortedMap()
    for number in range(100):
        map_.put(b"%03d" % number, b"")
    map_.freeze()
    chunks = list(map_._chunks)
    map_.put(b"050", b"new")
    copied = [one for one, two in zip(chunks, map_._chunks, strict=True) if one is not two]
    assert len(copied) == 1
    chunks = list(map_._chunks)
    map_.put(b"050", b"newer")
    assert chunks == map_._chunks
