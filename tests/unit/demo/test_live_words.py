"""What is said about a cluster follows from a picture of it."""

from typing import Any

import pytest

from raftly.demo.live.report import Picture, State, decode_report
from raftly.demo.live.words import (
    COLUMNS,
    comparable,
    compared,
    listed,
    may_stop,
    plural,
    table,
    unsettled,
    who_leads,
    why,
)
from tests.unit.demo.live_pictures import SAFE, picture, report, whole

NOBODY = "no leader: 2 of 3 voters are needed, only 1 is reachable from here (not nodes 2, 3)"
VOTERS = [1, 2, 3]
ALL_WELL = picture(report(1), report(2), report(3))
ALONE = report(1, 0, role="follower", no_leader=NOBODY, problems=(NOBODY,), unreachable=(2, 3))


def test_a_report_survives_its_line() -> None:
    told = report(
        2, 2, no_leader="x", unreachable=(3,), behind={3: 4}, safe={2: SAFE}, digest="0badcafe", items=whole(a=("1", 7))
    )
    assert "\n" not in told.encode()
    assert decode_report(told.encode()) == told


@pytest.mark.parametrize(
    "seen,sentence",
    [
        (ALL_WELL, "node 1 leads in term 2"),
        (
            picture(report(1), report(2, 2, 3), report(3, 2, 3)),  # 1 does not know yet that it was replaced
            "node 2 leads in term 3",
        ),
        (
            picture(ALONE, down={2: State.KILLED, 3: State.PAUSED}),
            "nobody leads: 2 of 3 voters are needed, and 1 run (node 2 was killed; node 3 is paused)",
        ),
        (
            picture(*(report(id_, 0, role="follower") for id_ in (1, 2, 3)), cut=((1, 2), (1, 3), (2, 3))),
            "nobody leads: no voter reaches 2 of 3, because links are cut: 1✗2, 1✗3, 2✗3",
        ),
        (
            picture(report(1, 0, role="candidate"), report(2, 0), down={3: State.STOPPED}),
            "nobody leads yet: nodes 1, 2 can reach a majority, and will elect one of them",
        ),
    ],
)
def test_who_leads_or_why_nobody_does(seen: Picture, sentence: str) -> None:
    assert who_leads(seen) == sentence


@pytest.mark.parametrize(
    "seen,missing",
    [
        (ALL_WELL, ""),
        (picture(ALONE, down={2: State.KILLED, 3: State.PAUSED}), ""),
        (
            picture(report(1), down={2: State.KILLED, 3: State.KILLED}),
            "node 1 has not noticed yet that it can reach no majority",
        ),
        (
            picture(report(1, 0, no_leader=NOBODY), down={2: State.KILLED, 3: State.KILLED}),
            "node 1 has not noticed yet that it cannot reach nodes 2, 3",
        ),
        (
            picture(report(2, 1), report(3, 1), down={1: State.KILLED}),
            "nodes 2, 3 can reach a majority, and none of them leads yet",
        ),
        (picture(report(1, 0), report(2, 2, 3), report(3, 2, 3)), "node 1 does not follow node 2 yet"),
        (picture(report(1), report(2, 1, 1), report(3)), "node 2 does not follow node 1 yet"),  # an older term
        (
            picture(report(1), report(2), down={3: State.KILLED}),
            "node 1 has not noticed yet that it cannot reach node 3",
        ),
        (picture(report(1, unreachable=(3,)), report(2), down={3: State.KILLED}), ""),
        (picture(report(1, unreachable=(3,)), report(2), report(3)), "node 1 has not heard of node 3 yet"),
        (
            picture(report(1), report(2, 2, 3, unreachable=(1,)), report(3, 2, 3), cut=((1, 2), (1, 3))),
            "node 1 has not noticed yet that it can reach no majority",
        ),
        (picture(ALONE, report(2, 2, 3, unreachable=(1,)), report(3, 2, 3), cut=((1, 2), (1, 3))), ""),
    ],
)
def test_what_is_still_to_be_noticed_or_decided(seen: Picture, missing: str) -> None:
    assert unsettled(seen) == missing


def test_a_node_that_runs_and_does_not_answer_is_waited_for() -> None:
    assert unsettled(picture(report(1), report(2), down={3: State.RUNNING})) == "node 3 does not answer"


def test_who_may_be_stopped_is_asked_of_the_leader_alone() -> None:
    assert may_stop(picture(report(1, safe={2: SAFE}), report(2), report(3)), 2) == SAFE
    verdict = may_stop(picture(ALONE, down={2: State.KILLED, 3: State.PAUSED}), 1)
    assert not verdict.ok
    assert verdict.why.startswith("no: nobody leads: 2 of 3 voters are needed, and 1 run")
    assert may_stop(ALL_WELL, 4).why == "yes: node 4 is not a member"


def test_replicas_that_differ_are_found_out() -> None:
    same: dict[str, Any] = {"digest": "aa", "items": whole(a=("1", 1))}
    assert compared(picture(report(1, **same), report(2, **same), report(3, **same)), VOTERS) == ""
    parted = picture(report(1, **same), report(2, **same), report(3, **(same | {"digest": "bb"})))
    assert compared(parted, VOTERS) == "at entry 9 the digests differ: nodes 1, 2 aa, node 3 bb"
    assert compared(parted, [1, 2]) == ""
    doctored = picture(report(1, **same), report(2, **(same | {"items": {}})), report(3, **same))
    assert compared(doctored, VOTERS) == "node 2 does not hold what node 1 holds, though their digests are equal"


def test_who_can_be_compared_runs_and_reaches_the_leader() -> None:
    assert comparable(ALL_WELL) == [1, 2, 3]
    assert comparable(picture(report(1), report(2), report(3), cut=((1, 3),))) == [1, 2]
    assert comparable(picture(report(1), report(2), down={3: State.PAUSED})) == [1, 2]
    assert comparable(picture(ALONE, down={2: State.KILLED, 3: State.KILLED})) == []


def test_why_has_what_the_demonstration_did_what_nodes_say_and_who_may_be_stopped() -> None:
    leader = report(1, unreachable=(3,), problems=("node 3 is not reachable from the leader",), safe={2: SAFE})
    lines = why(picture(leader, report(2), down={3: State.KILLED}, cut=((1, 3),)))
    assert lines == [
        "node 1 leads in term 2",
        "node 3 was killed: `restart 3` starts it from its log",
        "links are cut (1✗3): `heal` joins them again",
        "node 1, leader in term 2, says: node 3 is not reachable from the leader",
        "node 2, follower in term 2, says: all is well",
        f"stop node 2? {SAFE.why}",
    ]


def test_the_table_has_a_row_a_node() -> None:
    leader = report(1, behind={2: 4, 3: 0})
    rows = table(picture(leader, report(2, applied=5), report(3, learners=(3,)), down={4: State.KILLED}, cut=((1, 2),)))
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[0] == ("1", "leader", "2", "9", "9", "0", "✗2 3 4", "running, pid 101", "4001")
    assert rows[1][:7] == ("2", "follower", "2", "9", "5", "4", "✗1 3 4")
    assert rows[2][1] == "learner"
    assert rows[3] == ("4", "-", "-", "-", "-", "-", "1 2 3", "killed", "0")


def test_numbers_and_names_read_well() -> None:
    assert [listed([]), listed([2]), listed([3, 1])] == ["no node", "node 2", "nodes 1, 3"]
    assert [plural(1, "write"), plural(1200, "write")] == ["1 write", "1,200 writes"]
