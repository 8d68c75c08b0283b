"""About how much is in a range: from samples of what was written, then from the ends of tables."""

import random

import pytest

from raftly.engine import CF_DEFAULT, CF_RAFT
from raftly.engine.size_estimate import SizeEstimate, Table
from tests.unit.engine.kit import batch_of

SAMPLE = 16 << 10
QUARTERS = [(b"0", b"2500"), (b"2500", b"5000"), (b"5000", b"7500"), (b"7500", b"")]


def written(count: int, value_bytes: int, batch: int, seed: int = 1) -> SizeEstimate:
    """Keys over all of the range, each batch with a line of the store's own, as applies have."""
    source = random.Random(seed)
    estimate = SizeEstimate()
    for _ in range(0, count, batch):
        changes = [(CF_DEFAULT, b"%04d" % source.randrange(10_000), bytes(value_bytes)) for _ in range(batch)]
        estimate.on_write(batch_of([*changes, (CF_RAFT, b"\x03", b"7")]))
    return estimate


@pytest.mark.parametrize("batch,value_bytes", [(1, 1000), (2, 1000), (64, 1000), (1, 100_000), (8, 100_000)])
def test_what_was_written_is_found_where_it_was_written(batch: int, value_bytes: int) -> None:
    estimate = written(8_000_000 // value_bytes, value_bytes, batch)
    assert 7_000_000 < estimate.bytes_in(b"", b"") < 9_000_000
    for lo, hi in QUARTERS:
        assert 1_000_000 < estimate.bytes_in(lo, hi) < 3_000_000
    assert estimate.bytes_in(b"5", b"5") == estimate.bytes_in(b"6", b"5") == 0
    assert estimate.bytes_in(b"\x03", b"\x04") == 0


def test_a_deleted_range_is_empty() -> None:
    estimate = written(8000, 1000, 64)
    estimate.on_write(batch_of([(CF_DEFAULT, b"2500", b"5000", "range")]))
    assert estimate.bytes_in(b"2500", b"5000") == 0
    assert estimate.bytes_in(b"", b"2500") > 1_000_000
    estimate.on_write(batch_of([(CF_DEFAULT, b"", b"", "range")]))
    assert estimate.bytes_in(b"", b"") == 0


def test_sorted_tables_take_over_from_what_was_written_first() -> None:
    estimate = written(4000, 1000, 64)
    tables = [Table(1, b"%04d" % at, b"%04d" % (at + 999), 400_000) for at in range(0, 10_000, 1000)]
    estimate.on_tables(tables, 0)
    for lo, hi in QUARTERS:
        assert 800_000 <= estimate.bytes_in(lo, hi) <= 1_200_000
    assert 4_000_000 <= estimate.bytes_in(b"", b"") <= 4_000_000 + 2 * SAMPLE


def test_level_0_is_told_by_the_samples_and_after_a_restart_by_its_ends() -> None:
    level0 = [Table(0, b"0001", b"9998", 4_000_000)]
    estimate = written(4000, 1000, 64)
    estimate.on_tables(level0, 0)
    for lo, hi in QUARTERS:
        assert 500_000 < estimate.bytes_in(lo, hi) < 1_500_000
    restarted = SizeEstimate()
    restarted.on_tables(level0, 0)
    assert [restarted.bytes_in(lo, hi) for lo, hi in QUARTERS] == [2_000_000, 0, 0, 2_000_000]


def test_samples_do_not_pile_up() -> None:
    estimate = written(20_000, 1000, 64)
    estimate.on_tables([], 1 << 20)
    assert estimate.bytes_in(b"", b"") <= (1 << 20) + SAMPLE
    assert len(estimate._order) < 100
