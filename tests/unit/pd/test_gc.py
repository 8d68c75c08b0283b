import pytest

from raftly.pd.errors import Refused
from raftly.pd.gc import FOREVER, GC_WORKER, HELD_MAX, SafePoints

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
    assert points.update_gc(10) == 10
    assert points.update_gc(5) == 10
    assert (points.gc, points.txn) == (10, 10)


def test_the_safe_points_of_services() -> None:
    points = SafePoints()
    assert points.update_service("br", 0, 100, 0) == ("br", 100, 0)
    assert points.update_service(GC_WORKER, 30, FOREVER, 0) == ("br", 100, 0)
    assert points.update_service("br", 20, 100, 0) == ("br", 100, 20)
    assert points.update_service("cdc", 10, 100, 0) == ("br", 100, 20), "below the lowest: not taken"
    assert "cdc" not in points.services
    assert points.advance_txn(100, 0) == (0, 20, "service br")
    assert points.update_service("br", 0, 0, 0) == (GC_WORKER, FOREVER, 30)
    assert points.advance_txn(100, 0) == (20, 100, "")
    assert points.update_service("cdc", 35, 10, 0)[0] == GC_WORKER
    points.expire(10 * S)
    assert list(points.services) == [GC_WORKER]


def test_there_is_room_for_so_many() -> None:
    points = SafePoints()
    points.update_service("s0", 0, FOREVER, 0)  # and gc_worker
    for n in range(HELD_MAX):
        points.set_barrier(f"b{n}", 10, 10, 0)
        if n < HELD_MAX - 2:
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
