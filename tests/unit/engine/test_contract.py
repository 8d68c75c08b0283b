"""What every engine does: the same tests for all of them."""

import asyncio
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raftly.engine import CF_DEFAULT, CF_LOCK, CF_RAFT, CF_WRITE, CFS, Engine, Reader, WriteBatch
from raftly.errors import StorageError
from tests.unit.engine.kit import Home, MemoryHome, RocksHome, Twin, batch_of, content, random_batch

KEYS = [b"", b"\0", b"a", b"a\0", b"aa", b"b", b"\xff", b"\xff\xff"]


def filled(home: Home) -> Engine:
    engine = home.open()
    engine.write(batch_of((CF_DEFAULT, key, b"<%s>" % key) for key in KEYS))
    return engine


def test_a_key_has_the_value_it_was_given_last(home: Home) -> None:
    engine = home.open()
    assert engine.get(CF_DEFAULT, b"k") is None
    engine.write(batch_of([(CF_DEFAULT, b"k", b"1"), (CF_DEFAULT, b"k", b"2")]))
    assert engine.get(CF_DEFAULT, b"k") == b"2"
    engine.write(batch_of([(CF_DEFAULT, b"k", b"")]))
    assert engine.get(CF_DEFAULT, b"k") == b""
    engine.write(batch_of([(CF_DEFAULT, b"k"), (CF_DEFAULT, b"never there")]))
    assert engine.get(CF_DEFAULT, b"k") is None
    engine.close()


def test_families_are_apart(home: Home) -> None:
    engine = home.open()
    engine.write(batch_of((cf, b"k", cf.encode()) for cf in CFS))
    assert [engine.get(cf, b"k") for cf in CFS] == [cf.encode() for cf in CFS]
    engine.write(batch_of([(CF_LOCK, b"", b"", "range")]))
    assert [engine.get(cf, b"k") is None for cf in (CF_DEFAULT, CF_LOCK, CF_WRITE, CF_RAFT)] == [0, 1, 0, 0]
    engine.close()


def test_a_family_that_does_not_exist_is_a_bug(home: Home) -> None:
    engine = home.open()
    with pytest.raises(KeyError):
        engine.get("nope", b"k")
    with pytest.raises(KeyError):
        engine.write(batch_of([("nope", b"k", b"v")]))
    engine.close()


def test_many_are_read_in_the_order_they_were_asked_for(home: Home) -> None:
    engine = filled(home)
    assert engine.get_many(CF_DEFAULT, [b"b", b"no", b"", b"b"]) == [b"<b>", None, b"<>", b"<b>"]
    assert engine.get_many(CF_DEFAULT, []) == []
    assert engine.snapshot().get_many(CF_DEFAULT, [b"b", b"no", b""]) == [b"<b>", None, b"<>"]
    engine.close()


@pytest.mark.parametrize("snapshot", [False, True])
@pytest.mark.parametrize(
    "lo,hi", [(b"", b""), (b"a", b"b"), (b"a\0", b""), (b"b", b"b"), (b"b", b"a"), (b"c", b"\xff")]
)
def test_a_scan_is_half_open_and_limited(home: Home, lo: bytes, hi: bytes, snapshot: bool) -> None:
    engine = filled(home)
    reader: Reader = engine.snapshot() if snapshot else engine
    expected = [(key, b"<%s>" % key) for key in KEYS if lo <= key and (not hi or key < hi)]
    assert list(reader.iterate(CF_DEFAULT, lo, hi)) == expected
    for limit in (0, 1, 2, 100):
        assert reader.scan(CF_DEFAULT, lo, hi, limit) == expected[:limit]
        assert reader.scan(CF_DEFAULT, lo, hi, limit, reverse=True) == expected[::-1][:limit]
        bare = [(key, b"") for key, _ in expected[:limit]]
        assert reader.scan(CF_DEFAULT, lo, hi, limit, keys_only=True) == bare
    engine.close()


def test_a_deleted_range_is_half_open_and_takes_what_the_batch_put_there_before(home: Home) -> None:
    engine = filled(home)
    batch = batch_of([(CF_DEFAULT, b"aaa", b"x"), (CF_DEFAULT, b"a", b"b", "range"), (CF_DEFAULT, b"a\0", b"y")])
    engine.write(batch)
    assert engine.scan(CF_DEFAULT, b"a", b"\xff", 9) == [(b"a\0", b"y"), (b"b", b"<b>")]
    engine.close()


def test_a_range_without_an_end_goes_to_the_last_key_also_of_this_batch(home: Home) -> None:
    engine = filled(home)
    beyond = b"\xff" * 40
    engine.write(batch_of([(CF_DEFAULT, beyond, b"x"), (CF_DEFAULT, b"a\0", b"", "range")]))
    assert engine.scan(CF_DEFAULT, b"", b"", 9, keys_only=True) == [(b"", b""), (b"\0", b""), (b"a", b"")]
    engine.close()


def test_an_empty_range_deletes_nothing(home: Home) -> None:
    engine = filled(home)
    batch = batch_of([(CF_DEFAULT, b"b", b"a", "range"), (CF_DEFAULT, b"b", b"b", "range")])
    assert batch.is_empty
    engine.write(batch)
    assert len(engine.scan(CF_DEFAULT, b"", b"", 99)) == len(KEYS)
    engine.close()


def test_a_batch_knows_its_size_and_can_be_used_again() -> None:
    batch = batch_of([(CF_DEFAULT, b"key", b"value"), (CF_DEFAULT, b"key"), (CF_DEFAULT, b"a", b"b", "range")])
    assert len(batch) == 3
    assert 13 <= batch.size <= 13 + 3 * 16
    batch.clear()
    assert (batch.is_empty, batch.size, len(batch)) == (True, 0, 0)


def test_a_snapshot_shows_its_moment_whatever_is_written_after(home: Home) -> None:
    """R1.4 of TinyKV's standalone server: a reader sees one moment in all families."""
    engine = home.open()
    source = random.Random(4)
    twin = Twin()
    held = []
    for round_ in range(60):
        batch = random_batch(source)
        engine.write(batch)
        twin.write(batch)
        if round_ % 10 == 0:
            held.append((engine.snapshot(), twin.copy()))
    for snapshot, then in held:
        for cf in CFS:
            assert list(snapshot.iterate(cf, b"", b"")) == then.scan(cf, b"", b"")
            assert snapshot.scan(cf, b"05", b"25", 99, reverse=True) == then.scan(cf, b"05", b"25")[::-1]
            assert snapshot.get(cf, b"07") == then.families[cf].get(b"07")
        snapshot.close()
    engine.close()


def test_an_iterator_is_not_changed_by_writes_that_go_on(home: Home) -> None:
    engine = home.open()
    keys = [b"%04d" % number for number in range(0, 3000, 2)]
    engine.write(batch_of((CF_DEFAULT, key, b"old") for key in keys))
    for reader in (engine, engine.snapshot()):
        seen = []
        fresh = 1
        for key, value in reader.iterate(CF_DEFAULT, b"", b""):
            assert value == b"old"
            seen.append(key)
            if len(seen) % 100 == 1:
                ahead = b"%04d" % (int(key) + 1 + fresh % 7)
                engine.write(batch_of([(CF_DEFAULT, ahead, b"new"), (CF_DEFAULT, b"0000"), (CF_DEFAULT, keys[-1])]))
                fresh += 1
        assert seen == keys
        engine.write(batch_of([(CF_DEFAULT, b"", b"", "range"), *((CF_DEFAULT, key, b"old") for key in keys)]))
    engine.close()


def test_an_iterator_shows_the_moment_it_was_asked_for_not_that_of_its_first_key(home: Home) -> None:
    engine = filled(home)
    items = engine.iterate(CF_DEFAULT, b"", b"")
    engine.write(batch_of([(CF_DEFAULT, b"", b"", "range")]))
    assert [key for key, _ in items] == KEYS
    engine.close()


def test_two_iterators_of_one_snapshot_go_on_side_by_side(home: Home) -> None:
    engine = home.open()
    keys = [b"%04d" % number for number in range(1000)]
    engine.write(batch_of((CF_DEFAULT, key, key) for key in keys))
    snapshot = engine.snapshot()
    pairs = list(
        zip(snapshot.iterate(CF_DEFAULT, b"", b"0600"), snapshot.iterate(CF_DEFAULT, b"0400", b""), strict=True)
    )
    assert [(one[0], two[0]) for one, two in pairs] == list(zip(keys[:600], keys[400:], strict=True))
    engine.close()


def test_what_was_written_is_there_after_a_restart(home: Home) -> None:
    twin = Twin()
    source = random.Random(9)
    for _ in range(3):
        engine = home.open()
        assert content(engine) == {cf: twin.scan(cf, b"", b"") for cf in CFS}
        for _ in range(20):
            batch = random_batch(source)
            engine.write(batch)
            twin.write(batch)
        asyncio.run(engine.sync())
        engine.close()


def test_a_closed_engine_says_so(home: Home) -> None:
    engine = filled(home)
    snapshot = engine.snapshot()
    snapshot.close()
    engine.close()
    engine.close()
    for use in (
        lambda: engine.get(CF_DEFAULT, b"a"),
        lambda: engine.scan(CF_DEFAULT, b"", b"", 1),
        lambda: engine.write(batch_of([(CF_DEFAULT, b"a", b"")])),
        engine.snapshot,
        lambda: snapshot.get(CF_DEFAULT, b"a"),
        lambda: asyncio.run(engine.sync()),
    ):
        with pytest.raises(StorageError, match="closed"):
            use()


def test_sizes_are_about_right(home: Home) -> None:
    engine = home.open()
    for start in range(0, 4000, 100):
        engine.write(
            batch_of((CF_DEFAULT, b"%04d" % at, random.Random(at).randbytes(500)) for at in range(start, start + 100))
        )
    whole = engine.approximate_bytes(b"", b"")
    assert 1_000_000 < whole < 3_000_000
    assert engine.approximate_bytes(b"5000", b"") <= whole // 8
    stats = engine.stats()
    assert 3000 <= stats.keys <= 5000
    assert stats.memory_bytes > 0
    assert stats.disk_bytes > 0
    engine.close()


_KEY = st.binary(max_size=3)
_CHANGE = st.one_of(
    st.tuples(st.sampled_from(CFS), _KEY, st.binary(max_size=5)),
    st.tuples(st.sampled_from(CFS), _KEY),
    st.tuples(st.sampled_from(CFS[:2]), _KEY, _KEY, st.just("range")),
)


_ROUNDS = st.lists(st.lists(_CHANGE, max_size=12), max_size=12)
_RANGES = st.lists(st.tuples(_KEY, _KEY, st.integers(0, 6), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=60)
@given(rounds=_ROUNDS, ranges=_RANGES, reopen=st.integers(0, 12))
def test_memory_is_a_dict_for_each_family(
    rounds: list[list[tuple[object, ...]]], ranges: list[tuple[bytes, bytes, int, bool]], reopen: int
) -> None:
    compare(MemoryHome(), rounds, ranges, reopen)


@settings(max_examples=15)
@given(rounds=_ROUNDS, ranges=_RANGES, reopen=st.integers(0, 12))
def test_rocks_is_a_dict_for_each_family(
    rounds: list[list[tuple[object, ...]]], ranges: list[tuple[bytes, bytes, int, bool]], reopen: int
) -> None:
    with TemporaryDirectory() as directory:
        compare(RocksHome(Path(directory)), rounds, ranges, reopen)


def compare(
    home: Home, rounds: list[list[tuple[object, ...]]], ranges: list[tuple[bytes, bytes, int, bool]], reopen: int
) -> None:
    engine = home.open()
    twin = Twin()
    held = [(engine.snapshot(), twin.copy())]
    for number, changes in enumerate(rounds):
        batch: WriteBatch = batch_of(changes)
        engine.write(batch)
        twin.write(batch)
        if number == reopen:
            engine.close()
            engine, held = home.open(), []
        held.append((engine.snapshot(), twin.copy()))
    readers: list[tuple[Reader, Twin]] = [*held, (engine, twin)]
    for reader, model in readers:
        for lo, hi, limit, reverse in ranges:
            for cf in CFS[:2]:
                expected = model.scan(cf, lo, hi)
                assert list(reader.iterate(cf, lo, hi)) == expected
                expected = expected[::-1] if reverse else expected
                assert reader.scan(cf, lo, hi, limit, reverse=reverse) == expected[:limit]
                assert reader.get_many(cf, [lo, hi]) == [model.families[cf].get(key) for key in (lo, hi)]
    engine.close()
