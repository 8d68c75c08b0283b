from random import Random

import pytest

from raftly.client.backoff import PAUSES, Backoff, Cause


class Highest:
    def random(self) -> float:
        return 1.0


def test_pauses_double_up_to_their_longest() -> None:
    backoff = Backoff(1000.0, Highest())
    assert [backoff.pause(Cause.BUSY, 0.0) for _ in range(7)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0]


def test_causes_are_counted_apart() -> None:
    backoff = Backoff(1000.0, Highest())
    backoff.pause(Cause.CONNECTION, 0.0)
    assert backoff.pause(Cause.PLACEMENT, 0.0) == PAUSES[Cause.PLACEMENT][0]


@pytest.mark.parametrize("cause", list(Cause))
def test_half_of_a_pause_is_chance(cause: Cause) -> None:
    first = PAUSES[cause][0]
    pauses = [Backoff(1000.0, Random(seed)).pause(cause, 0.0) for seed in range(200)]
    assert all(pause is not None and first / 2 <= pause <= first for pause in pauses)
    assert len(set(pauses)) > 100


def test_no_pause_reaches_the_deadline() -> None:
    backoff = Backoff(10.0, Highest())
    assert backoff.pause(Cause.BUSY, 9.85) == 0.1
    assert backoff.pause(Cause.BUSY, 9.8) is None
    assert backoff.left(9.75) == 0.25
    assert backoff.left(11.0) == 0.0


def test_what_the_server_advises_is_the_least() -> None:
    backoff = Backoff(10.0, Highest())
    assert backoff.pause(Cause.BUSY, 0.0, at_least=2.5) == 2.5
    assert backoff.pause(Cause.BUSY, 0.0, at_least=11.0) is None
