"""Apply: how much goes to the engine at once."""

import pytest

from raftly.base.region import Region
from raftly.engine.base import CF_DEFAULT
from raftly.engine.memory import MemoryEngine
from raftly.store.apply import BATCH_BYTES_MAX, BATCH_CHANGES_MAX, Round, apply_write
from raftly.store.command import Write
from raftly.store.ops import Cas, CasResult, Delete, Expire, Op, Put
from raftly.store.region_state import get_apply_state


class Applier:
    """A peer that only counts."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self.applied = 5
        self.applied_term = 5

    def on_written(self) -> None: ...


@pytest.mark.parametrize("value_bytes,commands", [(0, BATCH_CHANGES_MAX * 3), (BATCH_BYTES_MAX // 4, 24)])
def test_a_long_round_goes_to_the_engine_in_parts_each_with_what_is_applied(value_bytes: int, commands: int) -> None:
    engine = MemoryEngine()
    round_ = Round(engine)
    applier = Applier(Region(7))
    round_.begin(applier)
    largest = most = 0
    for number in range(commands):
        put = Put(CF_DEFAULT, b"%09d" % number, bytes(value_bytes))
        before = round_.batch
        apply_write(round_, applier.region, Write(applier.region.epoch.version, [put]))
        if round_.batch is not before:  # what was in the engine first ends with what was applied
            assert get_apply_state(engine, 7).index == 5 + number
            assert len(engine.scan(CF_DEFAULT, b"", b"", 1 << 20, keys_only=True)) == number
        largest = max(largest, round_.batch.size)
        most = max(most, len(round_.batch))
        applier.applied += 1
    assert most <= BATCH_CHANGES_MAX + 1
    assert largest <= BATCH_BYTES_MAX + value_bytes + 100
    assert round_.end()
    assert len(engine.scan(CF_DEFAULT, b"", b"", 1 << 20)) == commands
    assert get_apply_state(engine, 7).index == 5 + commands


def test_an_expire_takes_away_what_has_expired_by_its_second_and_nothing_else() -> None:
    engine = MemoryEngine()
    round_ = Round(engine)
    region = Region(7)

    def stored(second: int) -> bytes:
        return b"v" + second.to_bytes(8, "big")

    def apply(*ops: Op) -> list[object]:
        results = apply_write(round_, region, Write(region.epoch.version, list(ops)))
        assert isinstance(results, list)
        return results

    def expire(key: bytes) -> Expire:
        return Expire(CF_DEFAULT, key, 100)

    values = {b"a": stored(99), b"b": stored(100), b"c": stored(101), b"d": stored(0), b"e": b"short"}
    apply(*(Put(CF_DEFAULT, key, value) for key, value in values.items()))
    assert apply(*map(expire, [*values, b"absent"])) == [True, True, False, False, False, False]
    # what came before it in the same command, and in the same round, counts
    apply(Put(CF_DEFAULT, b"c", stored(1)), Put(CF_DEFAULT, b"d", stored(1)))
    ops: list[Op] = [
        expire(b"c"),
        expire(b"c"),
        Put(CF_DEFAULT, b"d", stored(200)),
        expire(b"d"),
        Delete(CF_DEFAULT, b"e"),
    ]
    assert apply(*ops, Cas(CF_DEFAULT, b"c", None, b"new")) == [True, False, None, False, None, CasResult(True, None)]
    round_.flush()
    assert engine.scan(CF_DEFAULT, b"", b"", 9) == [(b"zc", b"new"), (b"zd", stored(200))]
