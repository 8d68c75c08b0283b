"""The verdict of a tour: 0 only if nothing was lost, everything went as it must, and every replica was looked at."""

from raftly.demo.live.step import Step
from raftly.demo.live.tour import verdict

CHECK = ("check", Step(["fine"], facts={"nodes": [1, 2, 3], "acknowledged": 1234}))
KILL = ("kill leader", Step(["gone"]))


def test_all_went_well() -> None:
    ok, lines = verdict([KILL, CHECK], [1, 2, 3])
    assert ok
    told = "nothing was lost: 1,234 writes were acknowledged, each of the 3 replicas has them all, and their states are"
    assert lines == [f"{told} equal"]


def test_what_was_lost_is_said_once_and_first() -> None:
    wrong = ("check", Step(["WRONG"], ok=False, facts={"nodes": [1, 2, 3]}, lost=("a=1 was acknowledged",)))
    ok, lines = verdict([wrong, wrong, CHECK], [1, 2, 3])
    assert not ok
    assert lines == ["LOST: a=1 was acknowledged", *["`check` did not go as it must: WRONG"] * 2]


def test_a_step_that_went_wrong_is_enough() -> None:
    ok, lines = verdict(
        [("restart", Step(["after 15 s node 2 does not follow node 1 yet"], ok=False)), CHECK], [1, 2, 3]
    )
    assert not ok
    assert lines == ["`restart` did not go as it must: after 15 s node 2 does not follow node 1 yet"]


def test_a_replica_that_was_not_looked_at_is_no_success() -> None:
    assert verdict([KILL, CHECK], [1, 2, 3, 4]) == (False, ["not all of nodes 1, 2, 3, 4 were compared at the end"])
    assert not verdict([CHECK, KILL], [1, 2, 3])[0]
