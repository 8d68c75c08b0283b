"""Health in words: pure cases, then what real nodes say of themselves."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from raftly.core.role import Role
from raftly.node.events import Level, Members
from raftly.node.health import BEHIND_MAX, Contacts, Disk, Follower, View, health, safe_to_stop, why_no_leader
from raftly.testing.faultfs import Effect, Fault
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run

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


def test_how_far_others_are_is_no_change_of_health_but_known() -> None:
    level = Level(health(LEADS))
    assert not level.set(health(replace(LEADS, followers={2: Follower(90), 3: Follower(100)}, lease=False)))
    assert level.value.behind == {2: 10, 3: 0}
    assert not level.value.lease
    assert level.version == 1


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


# --- real nodes ---


def test_a_node_that_is_cut_off_says_who_is_missing_and_what_may_be_stopped() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            first, second = (node.config.id for node in nodes.others(leader))
            await asyncio.sleep(1)
            assert str(leader.health().value) == "this node leads, all is well"
            assert leader.safe_to_stop(first)
            assert leader.safe_to_stop(leader.config.id)
            assert "ask node" in str(nodes.nodes[first].safe_to_stop(first))
            await nodes.stop(first)
            await asyncio.sleep(2)
            assert leader.health().value.unreachable == (first,)
            assert not leader.safe_to_stop(second)
            assert f"node {first} is not reachable" in str(leader.safe_to_stop(second))
            await nodes.stop(second)
            await asyncio.sleep(5)
            alone = leader.health().value
            assert not alone.serving
            assert alone.no_leader == (
                "no leader: 2 of 3 voters are needed, only 1 is reachable from here "
                f"(not nodes {min(first, second)}, {max(first, second)})"
            )
            await nodes.start(first)
            await nodes.leader()
            await asyncio.sleep(2)
            (either,) = {node.leadership().value.leader for node in nodes.nodes.values()}
            assert nodes.nodes[either].health().value.unreachable == (second,)
            assert "no other voter may fail" in str(nodes.nodes[either].health().value)

    run(main())


def test_one_way_silence_is_seen_by_the_leader() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            mute = nodes.others(leader)[0].config.id
            nodes.network.cut.add((mute, leader.config.id))  # it hears, and cannot answer
            await asyncio.sleep(0.5)
            assert leader.health().value.unreachable == ()
            await asyncio.sleep(1.5)
            assert leader.health().value.unreachable == (mute,)
            nodes.network.heal()
            await asyncio.sleep(1)
            assert leader.health().value.unreachable == ()

    run(main())


def test_a_disk_in_trouble_is_told_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            slow = nodes.others(leader)[0]
            stall = nodes.faults[slow.config.id].add(Fault("sync", Effect.STALL, times=None))
            await leader.call(Register.set, "a", 1)
            await asyncio.sleep(4)
            assert slow.health().value.disk is Disk.STALLED
            stall.times = 0
            stall.go_on.set()
            await asyncio.sleep(1)
            assert slow.health().value.disk is Disk.OK
            nodes.faults[slow.config.id].add(Fault("sync", Effect.IO_ERROR, times=None))
            await leader.call(Register.set, "a", 2)
            await asyncio.sleep(1)
            assert slow.health().value.disk is Disk.FAILED
            assert str(slow.health().value).startswith("this node does not serve: ")

    with caplog.at_level(logging.INFO, "raftly.node"):
        run(main())
    told = [message for message in caplog.messages if "disk" in message]
    assert len([message for message in told if message.endswith(Disk.STALLED.value)]) == 1
    assert len([message for message in told if message.endswith("the disk works again")]) == 1
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


def test_what_a_life_leaves_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            for value in range(1000):
                await leader.call(Register.set, "a", value)

    with caplog.at_level(logging.DEBUG, "raftly.node"):
        run(main())
    lines = [message.removeprefix("node 1: ") for message in caplog.messages]
    assert lines[0].startswith("started, its state is of entry")
    assert sum(line.startswith("leads in term") for line in lines) == 1
    assert lines[-1] == "stopped"
    assert len(lines) <= 4


def test_snapshots_are_told(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=10) as nodes:
            leader = await nodes.leader()
            late = nodes.others(leader)[0]
            nodes.network.isolate(late.config.id)
            for value in range(60):
                await leader.call(Register.set, "a", value)
            await asyncio.sleep(1)
            nodes.network.heal()
            await late.wait_applied(leader.machine.applied)
            leader.machine.instance.values["b"] = object()  # type: ignore[assignment]
            for value in range(20):
                await leader.call(Register.set, "a", value)
            await asyncio.sleep(1)
            assert "no snapshot can be made, so the log grows" in str(leader.health().value)
            del leader.machine.instance.values["b"]

    with caplog.at_level(logging.INFO, "raftly.node"):
        run(main())
    assert any("made a snapshot" in message for message in caplog.messages)
    assert sum("took over a snapshot of entry" in message for message in caplog.messages) == 1
    assert sum("cannot make a snapshot" in message for message in caplog.messages) == 1


def test_a_full_disk_is_a_problem_while_it_lasts() -> None:
    async def main() -> None:
        async with Nodes(1, call_timeout=2.0) as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            await nodes.fill_disk(1)
            await asyncio.sleep(1)
            assert leader.health().value.problems == (Disk.FULL.value,)
            assert leader.health().value.serving
            nodes.free_disk(1)
            await asyncio.sleep(1)
            assert leader.health().value.problems == ()

    run(main())
