from hypothesis import given
from hypothesis import strategies as st

from raftly.base.rand import SplitMix64
from raftly.pd.sampling import SampleSet


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60), st.integers(0, 99), st.integers(1, 12))
def test_it_is_a_set_that_can_be_drawn_from(acts: list[tuple[bool, int]], seed: int, tries: int) -> None:
    drawn, twin = SampleSet(), set[int]()
    for adds, item in acts:
        if adds:
            drawn.add(item)
            twin.add(item)
        else:
            drawn.discard(item)
            twin.discard(item)
    assert sorted(drawn) == sorted(twin)
    assert len(drawn) == len(twin)
    some = list(drawn.draw(SplitMix64(seed), tries))
    assert len(some) == len(set(some)) == min(tries, len(twin))
    assert set(some) <= twin
    assert some == list(drawn.draw(SplitMix64(seed), tries))


def test_every_one_is_drawn_first_now_and_then() -> None:
    members = SampleSet()
    for item in range(7):
        members.add(item)
    rand = SplitMix64(1)
    assert {next(members.draw(rand, 1)) for _ in range(200)} == set(range(7))
