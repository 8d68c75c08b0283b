"""Where a region is cut: by bytes, by keys, never inside a user's key, and no crumbs at its end."""

import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.memcomparable import encode_bytes
from raftly.base.region import Region
from raftly.engine import CF_DEFAULT, CF_LOCK, CF_WRITE, MemoryEngine, WriteBatch
from raftly.errors import ConfigError
from raftly.store.keys import data_key
from raftly.store.region_snapshot import RegionSize
from raftly.store.split_check import (
    SplitCheck,
    SplitCounter,
    SplitLimits,
    check_split,
    middle_key,
    raw_boundary,
    txn_boundary,
)

BIG = 1 << 40


def by_bytes(bytes_max: int, split_bytes: int, cuts_max: int = 100) -> SplitLimits:
    return SplitLimits(bytes_max, split_bytes, BIG, BIG, cuts_max)


def count(limits: SplitLimits, sizes: list[int]) -> tuple[bytes, ...]:
    counter = SplitCounter(limits)
    for at, size in enumerate(sizes):
        counter.on_key(b"%04d" % at, size)
    result = counter.result()
    assert result.size == RegionSize(sum(sizes), len(sizes))
    return result.split_keys


@pytest.mark.parametrize(
    "limits,sizes,cuts",
    [
        (by_bytes(10, 5), [], []),
        (by_bytes(10, 5), [1] * 10, []),
        (by_bytes(10, 5), [1] * 11, [5]),  # the last part may be smaller
        (by_bytes(15, 10), [1] * 16, [10]),
        (by_bytes(15, 10), [1] * 25, [10]),  # 5 more are no part of their own: with 10 they are within the bound
        (by_bytes(15, 10), [1] * 26, [10, 20]),
        (by_bytes(15, 10), [100], []),  # one key cannot be cut
        (by_bytes(15, 10), [100, 1], [1]),
        (by_bytes(15, 10), [1, 100], []),  # there is no place behind the first ten bytes
        (by_bytes(15, 10, 2), [1] * 100, [10, 20]),
        (SplitLimits(BIG, BIG, 6, 4), [1] * 7, [4]),
        (SplitLimits(BIG, BIG, 6, 4), [1] * 6, []),
        (SplitLimits(20, 10, 100, 3), [1] * 22, [3, 6, 9, 12, 15, 18]),
        (SplitLimits(20, 10, 100, 3), [1] * 12 + [19], [3, 6, 9, 12]),  # 22 bytes are too many for one part
    ],
)
def test_where_the_cuts_are(limits: SplitLimits, sizes: list[int], cuts: list[int]) -> None:
    assert count(limits, sizes) == tuple(b"%04d" % at for at in cuts)


@given(st.lists(st.integers(1, 30), max_size=80), st.integers(1, 60), st.integers(0, 60))
def test_all_parts_are_large_enough_and_the_region_is_cut_if_it_can_be(
    sizes: list[int], split_bytes: int, more: int
) -> None:
    limits = by_bytes(split_bytes + more, split_bytes)
    cuts = [int(key) for key in count(limits, sizes)]
    if sum(sizes) <= limits.bytes_max:
        assert cuts == []
        return
    edges = [0, *cuts, len(sizes)]
    parts = [sum(sizes[lo:hi]) for lo, hi in pairwise(edges)]
    assert all(part > 0 for part in parts)
    for part, last in zip(parts[:-1], cuts, strict=True):
        assert part >= split_bytes > part - sizes[last - 1]
    if split_bytes <= sum(sizes[:-1]):
        assert cuts or sum(sizes) <= limits.bytes_max


def test_a_cut_never_parts_the_versions_of_a_key() -> None:
    counter = SplitCounter(by_bytes(10, 5), txn_boundary)
    users = [b"a", b"bbbbbbbbb", b"c"]
    for user in users:
        for version in range(8):
            counter.on_key(encode_bytes(user) + version.to_bytes(8, "big"), 1)
    assert counter.result().split_keys == (encode_bytes(users[1]), encode_bytes(users[2]))


def test_a_lock_without_a_timestamp_belongs_to_its_key() -> None:
    counter = SplitCounter(by_bytes(1, 1), txn_boundary)
    for key in (encode_bytes(b"a"), encode_bytes(b"a") + bytes(8), encode_bytes(b"b"), encode_bytes(b"b") + bytes(8)):
        counter.on_key(key, 1)
    assert counter.result().split_keys == (encode_bytes(b"b"),)


def test_a_key_that_is_no_encoding_is_no_place_for_a_cut() -> None:
    assert txn_boundary(b"raw") is None
    assert raw_boundary(b"raw") == b"raw"
    counter = SplitCounter(by_bytes(1, 1), txn_boundary)
    for key in (b"a", b"b", b"c"):
        counter.on_key(key, 1)
    assert counter.result().split_keys == ()


@pytest.mark.parametrize("limits", [(0, 0), (10, 11), (10, 0)])
def test_limits_that_do_not_go_together_are_refused(limits: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="split_bytes"):
        SplitLimits(*limits)
    with pytest.raises(ConfigError, match="cuts_max"):
        SplitLimits(cuts_max=0)


def filled(count: int, value_bytes: int = 90) -> MemoryEngine:
    engine = MemoryEngine()
    batch = WriteBatch()
    for at in range(count):
        batch.put(CF_DEFAULT, data_key(b"%09d" % at), bytes(value_bytes))
    engine.write(batch)
    return engine


def test_a_walk_counts_all_families_and_only_the_region() -> None:
    engine = filled(300)
    batch = WriteBatch()
    for at in range(100, 200):
        batch.put(CF_WRITE, data_key(b"%09d" % at), bytes(190))
        batch.put(CF_LOCK, data_key(b"%09d" % at), b"")
    engine.write(batch)
    region = Region(1, b"%09d" % 50, b"%09d" % 250)
    found = asyncio.run(check_split(engine, region, by_bytes(20_000, 15_000)))
    assert found.size == RegionSize(200 * 100 + 100 * 200 + 100 * 10, 400)
    assert len(found.split_keys) == 2
    assert found.split_keys[0] == b"%09d" % (50 + 50 + 10_000 // 310 + 1)


def test_a_walk_ends_with_the_last_cut_that_may_be_made_at_once() -> None:
    engine = filled(3000)
    found = asyncio.run(check_split(engine, Region(1), by_bytes(2000, 1000, cuts_max=3)))
    assert found.split_keys == tuple(b"%09d" % at for at in (10, 20, 30))
    assert found.size.keys < 300


def test_a_region_within_its_bounds_is_only_weighed() -> None:
    assert asyncio.run(check_split(filled(10), Region(1), SplitLimits())) == SplitCheck(RegionSize(1000, 10))


@pytest.mark.parametrize("count,key", [(0, None), (1, None), (2, 1), (3, 2), (1000, 500)])
def test_the_middle_has_half_of_the_bytes_on_each_side(count: int, key: int | None) -> None:
    middle = asyncio.run(middle_key(filled(count).snapshot(), Region(1)))
    assert middle == (None if key is None else b"%09d" % key)


def test_the_middle_is_of_bytes_not_of_keys() -> None:
    engine = filled(100)
    batch = WriteBatch()
    batch.put(CF_DEFAULT, data_key(b"%09d" % 9), bytes(50_000))
    engine.write(batch)
    assert asyncio.run(middle_key(engine.snapshot(), Region(1))) == b"%09d" % 10


def test_the_loop_turns_while_large_values_are_walked_over() -> None:
    async def work() -> int:
        engine = filled(40, value_bytes=200_000)
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(turn())
        await check_split(engine, Region(1), SplitLimits())
        counting.cancel()
        return turns

    assert asyncio.run(work()) >= 15


def test_random_regions_are_cut_where_their_keys_are() -> None:
    source = random.Random(3)
    engine = MemoryEngine()
    batch = WriteBatch()
    keys = sorted({source.randbytes(source.randrange(1, 6)) for _ in range(500)})
    for key in keys:
        batch.put(CF_DEFAULT, data_key(key), source.randbytes(source.randrange(50)))
    engine.write(batch)
    region = Region(1, keys[20], keys[480])
    found = asyncio.run(check_split(engine, region, by_bytes(3000, 1000)))
    assert len(found.split_keys) > 3
    assert set(found.split_keys) <= set(keys[21:480])
    assert list(found.split_keys) == sorted(found.split_keys)
