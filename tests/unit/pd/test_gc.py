from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.pd.errors import Refused
from raftly.pd.gc import FOREVER, GC_WORKER, HELD_MAX, Barrier, SafePoints

S = 1_000_000


def test_the_txn_safe_point_stops_at_the_lowest_barrier() -> None:
    points = SafePoints()
    points.set_barrier("a", 50, 10, 0)
    points.set_barrier("b", 40, FOREVER, 0)
    assert points.advance_txn(100, 0) == (0, 40, "barrier b")
    assert points.delete_barrier("b", 0) is not None
    assert points.delete_barrier("b", 0) is None
    assert points.advance_txn(100, 0) == (40, 50, "barrier a")
    assert points.advance_txn(100, 10 * S) == (50, 100, ""), "the time of a is over"
    with pytest.raises(Refused, match="does not go back"):
        points.advance_txn(99, 0)
    assert points.advance_txn(100, 0) == (100, 100, "")


def test_the_gc_safe_point_follows() -> None:
    points = SafePoints()
    points.advance_txn(100, 0)
    with pytest.raises(Refused, match="cannot pass"):
        points.advance_gc(101)
    assert points.advance_gc(100) == (0, 100)
    with pytest.raises(Refused, match="does not go back"):
        points.advance_gc(99)


def test_a_barrier_is_checked() -> None:
    points = SafePoints()
    points.advance_txn(100, 0)
    for name, ts, ttl_s in (("a", 99, 10), ("a", 100, 0), ("", 100, 10)):
        with pytest.raises(Refused):
            points.set_barrier(name, ts, ttl_s, 0)
    points.set_barrier("a", 100, 10, 5 * S)
    points.set_barrier("a", 110, 20, 5 * S)
    assert points.barriers["a"].ttl_s(6 * S) == 19
    assert points.advance_txn(200, 6 * S)[1] == 110


def test_older_clients_move_both() -> None:
    points = SafePoints()
    assert points.update_gc(10, 0) == 10
    assert points.update_gc(5, 0) == 10
    assert (points.gc, points.txn) == (10, 10)


def test_older_clients_are_stopped_as_all_are() -> None:
    points = SafePoints()
    points.set_barrier("backup", 100, 3600, 0)
    assert points.update_gc(200, 0) == 100
    assert points.delete_barrier("backup", 0) is not None
    assert points.update_service("br", 150, 100, 0) == (GC_WORKER, FOREVER, 100)
    assert points.update_gc(200, 0) == 150
    assert points.update_gc(200, 100 * S) == 200, "the time of br is over"


def test_the_safe_points_of_services() -> None:
    points = SafePoints()
    assert points.update_service("br", 20, 100, 0) == (GC_WORKER, FOREVER, 0)
    assert points.update_service(GC_WORKER, 10, FOREVER, 0) == (GC_WORKER, FOREVER, 10)
    assert points.update_service("cdc", 10, 100, 0) == ("cdc", 100, 10)
    assert points.update_service("cdc", 10, 0, 0) == (GC_WORKER, FOREVER, 10)
    assert points.advance_txn(100, 0) == (10, 20, "service br")
    assert points.update_service("br", 0, 0, 0) == (GC_WORKER, FOREVER, 20)
    assert points.advance_txn(100, 0) == (20, 100, "")
    points.update_service("cdc", 135, 10, 0)
    points.expire(10 * S)
    assert not points.services


def test_what_may_be_gone_is_promised_to_no_service() -> None:
    points = SafePoints()
    points.advance_txn(100, 0)
    points.advance_gc(100)
    assert points.update_service("br", 50, 300, 0) == (GC_WORKER, FOREVER, 100), "not taken, and told"
    assert not points.services


def test_the_collector_of_older_clients_is_the_txn_safe_point() -> None:
    points = SafePoints()
    points.update_service("br", 50, 300, 0)
    assert points.update_service(GC_WORKER, 100, FOREVER, 0) == ("br", 300, 50)
    assert points.txn == 50
    points.update_service(GC_WORKER, 100, 0, 0)
    assert points.update_service(GC_WORKER, 7, FOREVER, 0) == ("br", 300, 50), "and it does not go back"


def test_a_safe_point_of_the_collector_from_before_is_dropped() -> None:
    points = SafePoints(services={GC_WORKER: Barrier(30)})
    assert points.advance_txn(100, 0) == (0, 100, "")


NAMES: Final = st.sampled_from(["a", "b", GC_WORKER])
POINTS: Final = st.integers(0, 30)
TTLS: Final = st.sampled_from([0, 5, FOREVER])


@given(st.lists(st.tuples(st.integers(0, 6), NAMES, POINTS, TTLS, st.integers(0, 4)), max_size=40))
def test_nothing_passes_what_is_held(steps: list[tuple[int, str, int, int, int]]) -> None:
    points, now_us = SafePoints(), 0
    for which, name, ts, ttl_s, seconds in steps:
        now_us += seconds * S
        gc, txn = points.gc, points.txn
        with suppress(Refused):
            if which == 0:
                points.advance_txn(ts, now_us)
            elif which == 1:
                points.advance_gc(ts)
            elif which == 2:
                points.update_gc(ts, now_us)
            elif which == 3:
                points.set_barrier(name, ts, ttl_s, now_us)
            elif which == 4:
                points.delete_barrier(name, now_us)
            else:
                _, _, lowest = points.update_service(name, ts, ttl_s, now_us)
                if ttl_s and name != GC_WORKER:
                    assert (points.services.get(name, Barrier(-1)).ts == ts) is (lowest <= ts)
        points.expire(now_us)
        held = [barrier.ts for barrier in (*points.barriers.values(), *points.services.values())]
        assert gc <= points.gc <= points.txn <= min(held, default=points.txn)
        assert txn <= points.txn


def test_there_is_room_for_so_many() -> None:
    points = SafePoints()
    points.update_service("s0", 0, FOREVER, 0)
    for n in range(HELD_MAX):
        points.set_barrier(f"b{n}", 10, 10, 0)
        if n < HELD_MAX - 1:
            points.update_service(f"s{n + 1}", 10, FOREVER, 0)
    for add in (
        lambda: points.set_barrier("more", 10, 10, 0),
        lambda: points.update_service("more", 10, 10, 0),
        lambda: points.set_barrier("b" * 257, 10, 10, 20 * S),
    ):
        with pytest.raises(Refused):
            add()
    points.set_barrier("b0", 11, 10, 0)  # one that is there may be moved
    points.update_service("s5", 11, 10, 0)
    points.set_barrier("more", 10, 10, 10 * S)  # their time is over
    assert list(points.barriers) == ["more"]
