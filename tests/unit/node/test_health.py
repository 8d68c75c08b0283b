"""Health in words: pure cases, then what real nodes say of themselves."""

from dataclasses import replace
from typing import Any

import pytest

from raftly.core.role import Role
from raftly.node.events import Members
from raftly.node.health import BEHIND_MAX, Contacts, Disk, Follower, View, health, safe_to_stop, why_no_leader

THREE = Members((1, 2, 3))
UP_TO_DATE = {2: Follower(100), 3: Follower(100)}
LEADS = View(1, Role.LEADER, 1, 5, THREE, 100, UP_TO_DATE, lease=True)
ALONE = View(1, Role.PRE_CANDIDATE, 0, 5, THREE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "no leader: an election is under way"),
        ({"role": Role.FOLLOWER}, "no leader: none has been heard; an election begins when this goes on"),
        (
            {"unreachable": frozenset({2, 3})},
            "no leader: 2 of 3 voters are needed, only 1 is reachable from here (not nodes 2, 3)",
        ),
        ({"unreachable": frozenset({2})}, "no leader: an election is under way"),
        ({"members": Members((2, 3))}, "no leader: this node is not a member of the group; it was removed"),
        ({"members": Members((2, 3), (1,))}, "no leader: this node is a learner"),
        ({"disk": Disk.FULL}, "no leader: the disk is full"),
        ({"disk": Disk.STALLED}, "no leader: a write to the disk takes longer"),
        ({"failure": "a sync failed"}, "this node does not serve: a sync failed"),
        (
            {"members": Members((1, 4, 5), (), (1, 2, 3)), "unreachable": frozenset({2, 3})},
            "no leader: 2 of 3 voters of the old membership are needed, only 1 is reachable from here (not nodes 2, 3)",
        ),
        (
            {"members": Members((1, 4), (), (1, 2, 3)), "unreachable": frozenset({4})},
            "no leader: 2 of 2 voters of the new membership are needed, only 1 is reachable from here (not node 4)",
        ),
        ({"leader": 2}, ""),
    ],
)
def test_why_there_is_no_leader(changes: dict[str, Any], words: str) -> None:
    said = why_no_leader(replace(ALONE, **changes))
    assert said.startswith(words)
    assert bool(said) == bool(words)


@pytest.mark.parametrize(
    ("changes", "id_", "ok", "words"),
    [
        ({}, 2, True, "yes: the rest is a majority, reachable and up to date"),
        ({}, 1, True, "yes: leadership moves to another node"),
        ({}, 9, True, "yes: node 9 is not a member"),
        ({"members": Members((1, 2, 3), (4,))}, 4, True, "yes: node 4 is a learner"),
        ({"members": Members((1,))}, 1, False, "no: node 1 is the only voter"),
        ({"members": Members((1, 2))}, 2, False, "no: without node 2 there is 1 of 2 voters reachable"),
        ({"unreachable": frozenset({3})}, 3, True, "yes"),
        (
            {"unreachable": frozenset({3})},
            2,
            False,
            "no: without node 2 there is 1 of 3 voters reachable and up to date, 2 are needed; node 3 is not reachable",
        ),
        ({"unreachable": frozenset({3})}, 1, False, "no: without node 1"),
        ({"followers": {2: Follower(100), 3: Follower(0, takes_snapshot=True)}}, 2, False, "no: without node 2"),
        ({"committed": BEHIND_MAX, "followers": {2: Follower(0), 3: Follower(0)}}, 2, True, "yes"),
        (
            {"committed": BEHIND_MAX + 1, "followers": {2: Follower(1), 3: Follower(0)}},
            2,
            False,
            "no: without node 2 there is 1 of 3 voters reachable and up to date, 2 are needed; node 3 is more than",
        ),
        ({"disk": Disk.FULL}, 2, False, "no: without node 2"),
        ({"disk": Disk.FULL}, 1, True, "yes: leadership moves"),
        ({"members": Members((1, 2, 3), (), (1, 4))}, 2, False, "no: without node 2 there is 1 of 2 voters of the old"),
        ({"leader": 3, "role": Role.FOLLOWER, "followers": {}}, 2, False, "only the leader knows how far"),
        ({"leader": 0, "role": Role.CANDIDATE, "followers": {}}, 2, False, "not while there is no leader"),
        ({"failure": "gone"}, 2, False, "this node cannot tell: gone"),
    ],
)
def test_what_may_be_stopped(changes: dict[str, Any], id_: int, ok: bool, words: str) -> None:
    verdict = safe_to_stop(replace(LEADS, **changes), id_)
    assert str(verdict).startswith(words), str(verdict)
    assert bool(verdict) is ok


def test_all_is_well() -> None:
    well = health(LEADS)
    assert well.serving
    assert well.lease
    assert well.problems == ()
    assert str(well) == "this node leads, all is well"
    assert str(health(View(2, Role.FOLLOWER, 1, 5, THREE))) == "node 1 leads, all is well"


def test_problems_are_told_the_worst_first() -> None:
    view = replace(
        LEADS,
        committed=5000,
        followers={2: Follower(100), 3: Follower(100)},
        unreachable=frozenset({3}),
        disk=Disk.FULL,
        snapshot_failure="too large",
        suspicion="the state may differ",
    )
    told = health(view)
    assert told.problems == (
        Disk.FULL.value,
        "the state may differ",
        "no snapshot can be made, so the log grows: too large",
        "node 3 is not reachable from the leader",
        "no other voter may fail: those that are left are just a majority",
        "node 2 is more than 1000 entries behind",
    )
    assert told.unreachable == (3,)
    assert told.behind == {2: 4900, 3: 4900}


def test_a_disk_is_named_once() -> None:
    assert health(replace(ALONE, disk=Disk.FULL)).problems == (f"no leader: {Disk.FULL.value}",)


def test_a_snapshot_under_way_is_a_problem_of_its_own() -> None:
    view = replace(LEADS, committed=5000, followers={2: Follower(5000), 3: Follower(0, takes_snapshot=True)})
    assert health(view).problems == ("node 3 is so far behind that it is sent a snapshot",)


def test_how_far_others_are_is_no_change_of_health() -> None:
    assert health(LEADS) == health(replace(LEADS, followers={2: Follower(90), 3: Follower(100)}))


def test_contacts_are_lost_until_they_are_heard() -> None:
    contacts = Contacts()
    assert contacts.silent_ticks(2) is None
    contacts.heard.add(2)
    contacts.on_lost(2)
    contacts.on_tick()
    assert contacts.lost == {2}
    contacts.heard.add(2)
    contacts.on_tick()
    assert contacts.lost == set()
    contacts.on_tick()
    contacts.on_tick()
    assert contacts.silent_ticks(2) == 2
