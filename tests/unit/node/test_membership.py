"""Members come and go: learners first, joint consensus, addresses, leaders that leave. Virtual time, memory disks."""

import asyncio

import pytest

from raftly.base.membership import ConfState
from raftly.core.messages import Message, MsgAppResp
from raftly.core.role import Role
from raftly.errors import ConfChangeError, ConfigError, NotLeader, OutcomeUnknown
from raftly.node import NodeConfig, Replicated
from raftly.node.errors import ChangePending, IdRetired, LearnerBehind, QuorumAtRisk, Removed
from raftly.node.membership import MemberRole
from raftly.node.roster import GONE
from raftly.transport.base import Receiver
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run

HOST = "10.0.0.1"


def voters(node: Replicated[Register]) -> list[int]:
    return [member.id for member in node.member_list() if member.role is MemberRole.VOTER]


def roles(node: Replicated[Register]) -> dict[int, str]:
    return {member.id: member.role.value for member in node.member_list()}


async def until(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not become true")


class Hold:
    """Lets no messages of a type arrive, until released."""

    def __init__(self, nodes: Nodes, kind: type[Message]) -> None:
        self._nodes = nodes.network.nodes
        self._before = dict(self._nodes)
        for id_, receive in self._before.items():
            self._nodes[id_] = self._filter(receive, kind)

    @staticmethod
    def _filter(receive: Receiver, kind: type[Message]) -> Receiver:
        def pass_on(from_: int, batch: list[tuple[int, list[Message]]]) -> None:
            receive(from_, [(group, [m for m in messages if not isinstance(m, kind)]) for group, messages in batch])

        return pass_on

    def release(self) -> None:
        self._nodes.update(self._before)


# --- add and promote ---


def test_a_node_is_added_as_a_learner_catches_up_and_votes() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            joiner = await nodes.start(4)
            assert joiner.member_list() == []
            await leader.add(4)
            assert roles(leader) == dict.fromkeys((1, 2, 3, 4), "voter")
            assert leader.status().conf_state == ConfState((1, 2, 3, 4))
            await nodes.equal()
            assert joiner.look(Register.get, "a") == 1
            assert voters(joiner) == [1, 2, 3, 4]
            nodes.network.isolate(leader.config.id)  # of four, three are left
            await nodes.leader(but=leader.config.id)

    run(main())


def test_a_learner_gets_everything_and_does_not_count() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await nodes.start(4)
            await leader.add(4, voter=False)
            await leader.add(4, voter=False)
            await leader.call(Register.set, "a", 1)
            await nodes.equal()
            assert roles(leader) == {1: "voter", 2: "voter", 3: "voter", 4: "learner"}
            await leader.promote(4)
            await leader.promote(4)
            assert roles(leader)[4] == "voter"
            with pytest.raises(ConfChangeError, match="voter already"):
                await leader.add(4, voter=False)

    run(main())


def test_a_node_joins_from_a_snapshot_when_the_log_is_cut() -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=10) as nodes:
            leader = await nodes.leader()
            for count in range(60):
                await leader.call(Register.set, "a", count)
            await until(lambda: leader._log.first_index() > 1)
            joiner = await nodes.start(4)
            await leader.add(4)
            await nodes.equal()
            assert joiner.look(Register.get, "a") == 59
            assert voters(joiner) == [1, 2, 3, 4]

    run(main())


def test_a_learner_that_does_not_run_is_told_of_and_remains_a_learner() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            with pytest.raises(LearnerBehind, match="learner 4 has 0 of") as caught:
                await leader.add(4)
            assert "Does it run" in str(caught.value)
            assert roles(leader)[4] == "learner"
            await leader.call(Register.set, "a", 1)  # nobody waits for it
            await nodes.start(4)
            await leader.add(4)
            assert roles(leader)[4] == "voter"

    run(main())


def test_a_learner_that_stopped_after_it_had_caught_up_is_not_promoted() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await nodes.start(4)
            await leader.add(4, voter=False)
            await nodes.equal()
            await nodes.stop(4)
            await asyncio.sleep(3)
            with pytest.raises(LearnerBehind):
                await leader.promote(4, within=5)
            assert roles(leader)[4] == "learner"

    run(main())


def test_a_change_goes_on_at_another_leader() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            adding = asyncio.create_task(leader.add(4))
            await until(lambda: 4 in roles(leader))
            nodes.network.isolate(leader.config.id)
            with pytest.raises((NotLeader, LearnerBehind)):
                await adding
            nodes.network.heal()
            await nodes.start(4)
            successor = await nodes.leader()
            await successor.add(4)
            assert roles(successor)[4] == "voter"

    run(main())


def test_changes_are_the_leaders() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            other = nodes.others(leader)[0]
            for attempt in (other.add(4), other.remove(1), other.promote(1), other.replace(1, 4)):
                with pytest.raises(NotLeader) as caught:
                    await attempt
                assert caught.value.leader_id == leader.config.id

    run(main())


def test_what_makes_no_sense_is_refused() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            for id_ in (0, -1, 1 << 63):
                with pytest.raises(ConfigError):
                    await leader.add(id_)
            for address in (("", 1), ("a" * 256, 1), ("a", 0), ("a", 1 << 16)):
                with pytest.raises(ConfigError):
                    await leader.add(4, address)
            for attempt in (leader.remove(9), leader.promote(9), leader.replace(9, 10)):
                with pytest.raises(ConfChangeError, match="node 9 is no member; the members are 1, 2, 3"):
                    await attempt
            with pytest.raises(IdRetired):
                await leader.replace(2, 2)
            assert voters(leader) == [1, 2, 3]

    run(main())


# --- one at a time ---


def test_a_second_change_is_refused_while_one_is_under_way() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            one, two = (other.config.id for other in nodes.others(leader))
            nodes.network.cut = {(one, leader.config.id), (two, leader.config.id)}  # nothing is acknowledged
            changing = asyncio.create_task(leader.add(4, voter=False))
            await asyncio.sleep(0)
            with pytest.raises((ChangePending, NotLeader)) as caught:
                await leader.add(5, voter=False, within=0.5)
            assert isinstance(caught.value, ChangePending)
            nodes.network.heal()
            await changing
            await leader.add(5, voter=False)
            assert roles(leader) == {1: "voter", 2: "voter", 3: "voter", 4: "learner", 5: "learner"}

    run(main())


def test_many_changes_at_once_end_each_in_one_way() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            for id_ in (4, 5):
                await nodes.start(id_)
            outcomes = await asyncio.gather(
                *(leader.add(id_) for id_ in (4, 5, 4, 5)), leader.remove(9), return_exceptions=True
            )
            assert all(outcome is None or isinstance(outcome, ConfChangeError) for outcome in outcomes), outcomes
            for id_ in (4, 5):
                await leader.add(id_)
            assert voters(leader) == [1, 2, 3, 4, 5]
            await nodes.equal()

    run(main())


def test_a_new_leader_changes_nothing_before_an_entry_of_its_term_is_applied() -> None:
    """The bug of single-server changes: two leaders, two changes, no majority in common."""

    async def main() -> None:
        async with Nodes() as nodes:
            old = await nodes.leader()
            nodes.network.isolate(old.config.id)
            hold = Hold(nodes, MsgAppResp)
            others = nodes.others(old)
            await until(lambda: any(node._group.raw.raft.role is Role.LEADER for node in others))
            new = next(node for node in others if node._group.raw.raft.role is Role.LEADER)
            assert not new._group.raw.raft.applied_in_term()
            with pytest.raises(ChangePending, match="first entry"):
                await new.add(4, voter=False, within=0.3)
            hold.release()
            nodes.network.heal()
            leader = await nodes.leader()
            assert roles(leader) == {1: "voter", 2: "voter", 3: "voter"}
            await leader.add(4, voter=False)

    run(main())


# --- remove and replace ---


def test_a_removed_node_learns_it_and_answers_nothing() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            gone = nodes.others(leader)[0]
            await leader.remove(gone.config.id)
            await leader.remove(gone.config.id)
            assert gone.config.id not in roles(leader)
            await until(lambda: isinstance(gone.failure, Removed))
            for attempt in (gone.call(Register.set, "a", 1), gone.ask(Register.get, "a"), gone.open_session()):
                with pytest.raises(Removed, match="was removed from its group"):
                    await attempt
            term = leader.status().basic.hard_state.term
            await asyncio.sleep(20)
            assert (await nodes.leader()) is leader
            assert leader.status().basic.hard_state.term == term
            await leader.call(Register.set, "a", 2)

    run(main())


def test_a_removed_node_that_returns_disturbs_nobody_and_learns_it() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            gone = nodes.others(leader)[0].config.id
            await nodes.stop(gone)
            await leader.remove(gone)
            await leader.call(Register.set, "a", 1)
            term = leader.status().basic.hard_state.term
            back = await nodes.start(gone)
            await until(lambda: isinstance(back.failure, Removed))
            assert leader.status().basic.hard_state.term == term
            assert (await nodes.leader()) is leader
            for node in [*nodes.others(back)]:  # and after they were started again
                id_ = node.config.id
                await nodes.stop(id_)
                await nodes.start(id_)
            await nodes.stop(gone)
            back = await nodes.start(gone)
            await nodes.leader(but=gone)
            await until(lambda: isinstance(back.failure, Removed))

    run(main())


def test_an_id_is_never_used_again() -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=10) as nodes:
            leader = await nodes.leader()
            await nodes.start(4)
            await leader.add(4)
            await leader.remove(4)
            with pytest.raises(IdRetired, match="ids are not used again"):
                await leader.add(4)
            with pytest.raises(IdRetired):
                await leader.promote(4)
            for count in range(40):  # also when only the snapshot knows it
                await leader.call(Register.set, "a", count)
            await nodes.stop(leader.config.id)
            successor = await nodes.leader(but=4)
            assert successor.machine.members[4] == GONE
            with pytest.raises(IdRetired):
                await successor.add(4)

    run(main())


def test_a_leader_that_is_removed_hands_over_first() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            with pytest.raises(NotLeader) as caught:
                await leader.remove(leader.config.id)
            successor = nodes.nodes[caught.value.leader_id]
            assert successor is not leader
            await until(successor._group.raw.raft.applied_in_term)
            await successor.remove(leader.config.id)
            assert leader.config.id not in roles(successor)
            await until(lambda: isinstance(leader.failure, Removed))

    run(main())


def test_a_node_takes_the_place_of_another_in_one_step() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            old = nodes.others(leader)[0].config.id
            nodes.crash(old)
            await nodes.start(4)
            await leader.replace(old, 4)
            await leader.replace(old, 4)
            assert voters(leader) == sorted({1, 2, 3, 4} - {old})
            await nodes.equal()

    run(main())


def test_a_leader_is_replaced_by_the_one_it_hands_over_to() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await nodes.start(4)
            with pytest.raises(NotLeader):
                await leader.replace(leader.config.id, 4)
            successor = await nodes.leader(but=leader.config.id)
            await successor.replace(leader.config.id, 4)
            assert voters(successor) == sorted({1, 2, 3, 4} - {leader.config.id})

    run(main())


def test_a_learner_is_replaced_by_a_learner() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.add(4, voter=False)
            await leader.replace(4, 5)
            assert roles(leader) == {1: "voter", 2: "voter", 3: "voter", 5: "learner"}

    run(main())


def test_what_would_lose_the_majority_is_refused_unless_forced() -> None:
    async def main() -> None:
        async with Nodes(4) as nodes:
            leader = await nodes.leader()
            one, two, three = (other.config.id for other in nodes.others(leader))
            nodes.crash(one)
            await asyncio.sleep(3)
            await leader.remove(two)  # leaves three, of which two are there
            with pytest.raises(QuorumAtRisk, match=f"nothing is heard from {one}"):
                await leader.remove(three)
            assert voters(leader) == sorted({one, three, leader.config.id})
            await leader.remove(one)  # the dead one may go
            assert one not in roles(leader)

    run(main())


def test_a_leader_that_has_just_begun_waits_to_hear_who_is_there() -> None:
    async def main() -> None:
        async with Nodes(4) as nodes:
            first = await nodes.leader()
            with pytest.raises(NotLeader) as told:
                await first.remove(first.config.id)
            second = nodes.nodes[told.value.leader_id]
            await until(second._group.raw.raft.applied_in_term)
            second._membership._heard.clear()  # all of it came since the last tick
            await second.remove(first.config.id)

    run(main())


def test_force_removes_what_a_majority_still_agrees_to() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            dead, other = (other.config.id for other in nodes.others(leader))
            nodes.crash(dead)
            await asyncio.sleep(3)
            with pytest.raises(QuorumAtRisk):
                await leader.remove(other)
            with pytest.raises((OutcomeUnknown, NotLeader)):
                await leader.remove(other, force=True, within=0.7)  # joint, until the dead one returns
            await nodes.start(dead)
            again = await nodes.leader(but=other)
            await until(lambda: voters(again) == sorted({dead, leader.config.id}))
            await until(lambda: not again.status().conf_state.voters_outgoing)

    run(main())


def test_the_last_voter_stays() -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            leader = await nodes.leader()
            for force in (False, True):
                with pytest.raises(ConfChangeError, match="last voter"):
                    await leader.remove(1, force=force)
            await leader.call(Register.set, "a", 1)
            await nodes.start(2)
            await leader.add(2)
            with pytest.raises(NotLeader):
                await leader.remove(1)
            successor = await nodes.leader(but=1)
            await successor.remove(1)
            assert voters(successor) == [2]
            await successor.call(Register.set, "a", 2)

    run(main())


# --- restarts, in the middle of it ---


def test_a_joint_configuration_is_left_though_a_learner_is_dead() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.add(5, voter=False)  # never started
            await nodes.start(4)
            await leader.add(4)
            assert leader.status().conf_state == ConfState((1, 2, 3, 4), (5,))

    run(main())


@pytest.mark.parametrize("seed", range(6))
def test_a_restart_keeps_the_newest_membership_whatever_the_crash_left(seed: int) -> None:
    async def main() -> None:
        async with Nodes(seed=seed + 1) as nodes:
            leader = await nodes.leader()
            await nodes.start(4)
            await leader.add(4)
            nodes.crash(leader.config.id)
            successor = await nodes.leader(but=leader.config.id)
            back = await nodes.start(leader.config.id)
            assert set(voters(back)) <= {1, 2, 3, 4}
            for id_ in (1, 2, 3, 4):
                if id_ != successor.config.id:
                    nodes.crash(id_)
                    await nodes.start(id_)
                    assert nodes.nodes[id_]._log.conf_state.voters != ()
            final = await nodes.leader()
            await until(lambda: all(voters(node) == [1, 2, 3, 4] for node in nodes.nodes.values()))
            await final.call(Register.set, "a", 1)
            await nodes.equal()
            for node in nodes.nodes.values():
                assert node.status().conf_state == ConfState((1, 2, 3, 4))

    run(main())


def test_a_group_that_is_cut_to_one_and_grown_again_loses_nothing() -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=20) as nodes:
            leader = await nodes.leader()
            for _ in range(15):
                await leader.call(Register.add, "a", 1)
            for other in nodes.others(leader):
                await leader.remove(other.config.id)
                await nodes.stop(other.config.id)
            for _ in range(15):
                await leader.call(Register.add, "a", 1)
            for id_ in (4, 5):
                await nodes.start(id_)
                await leader.add(id_)
            await leader.call(Register.add, "a", 1)
            await nodes.equal()
            await nodes.stop(leader.config.id)
            successor = await nodes.leader()
            assert await successor.ask(Register.get, "a") == 31

    run(main())


# --- addresses ---


def book(node: Replicated[Register]) -> dict[int, tuple[str, int]]:
    return dict(sorted(node.machine.members.items()))


PLACES = {id_: (HOST, 4000 + id_) for id_ in (1, 2, 3, 4)}


async def start_at_places(nodes: Nodes) -> None:
    for id_ in nodes.ids:
        hints = {other: PLACES[other] for other in nodes.ids if other != id_}
        await nodes.start(id_, address=PLACES[id_], hints=hints)


def test_addresses_are_replicated_and_part_of_the_state() -> None:
    async def main() -> None:
        nodes = Nodes()
        try:
            await start_at_places(nodes)
            leader = await nodes.leader()
            await until(
                lambda: all(book(node) == {id_: PLACES[id_] for id_ in (1, 2, 3)} for node in nodes.nodes.values())
            )
            await nodes.start(4, address=PLACES[4], hints={leader.config.id: PLACES[leader.config.id]})
            await leader.add(4, PLACES[4])
            await nodes.equal()
            assert book(nodes.nodes[4]) == PLACES
            assert {member.id: member.address for member in leader.member_list()} == PLACES
            with pytest.raises(ConfChangeError, match=r"already, at 10\.0\.0\.1:4004"):
                await leader.add(4, (HOST, 9))
            with pytest.raises(ConfChangeError, match="node 4 is at that address"):
                await leader.add(5, PLACES[4])
        finally:
            await nodes.__aexit__(None, None, None)

    run(main())


def test_a_node_that_moves_is_found_by_all() -> None:
    async def main() -> None:
        nodes = Nodes()
        try:
            await start_at_places(nodes)
            leader = await nodes.leader()
            await until(lambda: len(book(leader)) == 3)
            mover = nodes.others(leader)[0].config.id
            await nodes.stop(mover)
            moved = (HOST, 5000)
            # without a hint: what it knows of the others is in its log
            back = await nodes.start(mover, address=moved)
            await until(lambda: all(book(node).get(mover) == moved for node in nodes.nodes.values()))
            await leader.call(Register.set, "a", 1)
            await nodes.equal()
            assert back.look(Register.get, "a") == 1
        finally:
            await nodes.__aexit__(None, None, None)

    run(main())


def test_the_book_is_there_after_a_restart_of_all_without_hints() -> None:
    async def main() -> None:
        nodes = Nodes()
        try:
            await start_at_places(nodes)
            await nodes.leader()
            await until(lambda: all(len(book(node)) == 3 for node in nodes.nodes.values()))
            await asyncio.sleep(1)
            for id_ in nodes.ids:
                nodes.crash(id_)
            for id_ in nodes.ids:
                node = await nodes.start(id_, address=PLACES[id_])
                # Nobody has told it what is committed, and its own disk does not say so of the newest entry.
                assert node._log.hard_state.commit < node._log.conf_index
            again = await nodes.leader()
            await again.call(Register.set, "a", 1)
            assert book(again) == {id_: PLACES[id_] for id_ in (1, 2, 3)}
        finally:
            await nodes.__aexit__(None, None, None)

    run(main())


def test_a_node_may_say_that_it_is_elsewhere() -> None:
    async def main() -> None:
        nodes = Nodes()
        try:
            await start_at_places(nodes)
            leader = await nodes.leader()
            await until(lambda: len(book(leader)) == 3)
            mover = nodes.others(leader)[0]
            place = (HOST, 6000)
            nodes.network.places[place] = mover.config.id
            mover.announce(place)
            await until(lambda: all(book(node).get(mover.config.id) == place for node in nodes.nodes.values()))
            with pytest.raises(ConfigError):
                mover.announce(("", 1))
        finally:
            await nodes.__aexit__(None, None, None)

    run(main())


# --- how a group begins ---


def test_a_node_that_finds_its_log_founds_nothing() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            await leader.remove(next(other.config.id for other in nodes.others(leader)))
            left = voters(leader)
            for id_ in left:
                nodes.crash(id_)
            for id_ in left:  # with the first three members, again
                await nodes.start(id_)
            again = await nodes.leader()
            assert voters(again) == left
            assert await again.ask(Register.get, "a") == 1

    run(main())


def test_one_that_joins_waits_and_one_that_is_not_among_the_first_must() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            await nodes.leader()
            lonely = await nodes.start(9)
            await asyncio.sleep(30)
            assert lonely.member_list() == []
            assert lonely._group.raw.raft.role is Role.FOLLOWER
            assert lonely._group.raw.raft.term == 0
            assert (await nodes.leader()).status().basic.hard_state.term < 4

    run(main())
    with pytest.raises(ConfigError, match="started with join"):
        NodeConfig(4, (1, 2, 3))
    with pytest.raises(ConfigError, match="exclude each other"):
        NodeConfig(1, (1, 2, 3), join=True)
    with pytest.raises(ConfigError):
        NodeConfig(1)
