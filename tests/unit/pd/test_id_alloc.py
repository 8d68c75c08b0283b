from raftly.pd.id_alloc import IdPool
from raftly.pd.placement import Placement


def test_nothing_without_a_batch() -> None:
    pool = IdPool()
    assert pool.take() is None
    pool.add(1, 10)
    assert len(pool) == 10
    assert [pool.take(), pool.take(3), pool.take()] == [1, 2, 5]
    assert pool.take(6) is None
    assert pool.take(5) == 6
    assert pool.take() is None


def test_a_batch_that_continues_the_last_is_joined_and_another_takes_its_place() -> None:
    pool = IdPool()
    pool.add(1, 3)
    pool.add(4, 3)
    assert pool.take(6) == 1
    pool.add(7, 3)
    pool.add(100, 3)
    assert pool.take() == 100


def test_ids_that_somebody_chose_are_skipped() -> None:
    pool = IdPool()
    pool.add(1, 10)
    pool.skip_past(4)
    assert pool.take() == 5
    pool.skip_past(2)
    assert pool.take() == 6
    pool.skip_past(50)
    assert pool.take() is None


def test_ids_are_given_once_whoever_leads() -> None:
    placement = Placement()
    given: list[int] = []
    for _ in range(5):  # each leader loses what it has left
        pool = IdPool()
        for _ in range(3):
            first = placement.reserve_ids(7)
            pool.add(first, 7)
            taken = pool.take(5)
            assert taken is not None
            given += range(taken, taken + 5)
    assert given == sorted(set(given))
