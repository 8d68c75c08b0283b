"""Replicas that part are found, and the right ones go on. A log without Raft first, then real nodes."""

import asyncio
import logging
from contextlib import suppress

import pytest

from raftly.base.types import Entry
from raftly.errors import DecodeError, OutcomeUnknown, RaftlyError
from raftly.node import commands  # names that begin with test would be taken for tests
from raftly.node.commands import Kind, check_payload, decode_head, decode_testimony
from raftly.node.digests import COST_SHARE, Digests, digest_of
from raftly.node.errors import Diverged
from raftly.node.events import Members
from raftly.node.machine import StateMachine
from raftly.node.metrics import NodeCounts
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


class Log:
    """One log that all replicas apply in turn; offers are appended."""

    def __init__(self, *digests: int, leader: int = 1, members: Members | None = None) -> None:
        self.now = 0.0
        self.leader = leader
        self.members = members or Members(tuple(range(1, len(digests) + 1)))
        self.entries: list[Entry] = []
        self.states = dict(enumerate(digests, 1))
        self.counts = {id_: NodeCounts() for id_ in self.states}
        self.suspects: set[int] = set()
        self.stopped: dict[int, Diverged] = {}
        self.differs: list[tuple[int, int]] = []  # who told of whom
        self.cost = 0.0
        self.too_costly: list[float] = []
        self.unwell: set[int] = set()
        self.replicas = {id_: self.replica(id_) for id_ in self.states}
        self.applied = dict.fromkeys(self.states, 0)

    def replica(self, id_: int, skip_to: int = 0) -> Digests:
        def digest() -> int:
            self.now += self.cost
            if id_ in self.unwell:
                raise RaftlyError("cannot be encoded")
            return self.states[id_]

        def on_suspicion(suspicion: Diverged | None) -> None:
            (self.suspects.discard if suspicion is None else self.suspects.add)(id_)

        return Digests(
            id_,
            digest,
            60.0,
            self.counts[id_],
            now=lambda: self.now,
            members=lambda: self.members,
            leads=lambda: self.leader == id_,
            offer=self.append,
            on_differs=lambda _, witness, __, ___: self.differs.append((id_, witness)),
            on_suspicion=on_suspicion,
            on_too_costly=self.too_costly.append,
            cost_max_s=2.0,
            skip_to=skip_to,
        )

    def append(self, payload: bytes = b"") -> None:
        self.entries.append(Entry(1, len(self.entries) + 1, data=payload))

    def apply(self, *only: int) -> None:
        """All replicas, or some, apply to the end, also what that appends."""
        while any(self.step(id_) for id_ in only or self.states):
            pass

    def step(self, id_: int) -> bool:
        if id_ in self.stopped or self.applied[id_] == len(self.entries):
            return False
        entry = self.entries[self.applied[id_]]
        self.applied[id_] += 1
        if entry.data:
            try:
                self.replicas[id_].on_entry(entry)
            except Diverged as error:
                self.stopped[id_] = error
        return True

    def check(self) -> None:
        """Something happens, then the leader compares."""
        self.append()
        self.apply()
        self.now += 60
        self.tick()

    def tick(self) -> None:
        for id_, replica in self.replicas.items():
            if id_ not in self.stopped:
                replica.on_tick(self.applied[id_])
        self.apply()

    def kinds(self) -> list[Kind]:
        return [Kind(decode_head(entry.data)[0]) for entry in self.entries if entry.data]


def started(*digests: int, leader: int = 1, members: Members | None = None) -> Log:
    log = Log(*digests, leader=leader, members=members)
    log.tick()
    log.check()
    return log


def test_replicas_that_agree_go_on() -> None:
    log = started(7, 7, 7)
    assert log.kinds() == [Kind.CHECK, Kind.TESTIMONY]
    assert not log.stopped
    assert not log.suspects
    assert [counts.checks for counts in log.counts.values()] == [1, 1, 1]
    assert not log.differs


def test_a_follower_that_parted_serves_nobody_at_once_and_stops_at_the_next_comparison() -> None:
    log = started(7, 7, 8)
    assert log.suspects == {3}
    assert not log.stopped
    assert log.kinds() == [Kind.CHECK, Kind.TESTIMONY, Kind.TESTIMONY]
    assert sorted(log.differs) == [(1, 3), (2, 3), (3, 1)]
    log.check()
    assert set(log.stopped) == {3}
    assert log.stopped[3].verdict.startswith("and no majority agreed")
    log.check()
    assert set(log.stopped) == {3}


def test_a_leader_that_parted_stops_and_its_followers_serve_again() -> None:
    log = started(8, 7, 7)
    assert set(log.stopped) == {1}
    assert log.stopped[1].verdict.startswith("which a majority has")
    assert not log.suspects
    log.leader = 2
    log.check()
    log.check()
    assert set(log.stopped) == {1}


def test_of_five_the_two_that_parted_stop_also_when_one_of_them_leads() -> None:
    log = started(8, 7, 7, 7, 8)
    assert set(log.stopped) == {1, 5}
    assert not log.suspects - {5}


def test_of_two_nobody_can_tell_and_the_leader_goes_on() -> None:
    log = started(7, 8)
    log.check()
    assert set(log.stopped) == {2}


def test_three_that_all_differ_leave_the_leader() -> None:
    log = started(7, 8, 9)
    assert log.suspects == {2, 3}
    log.check()
    assert set(log.stopped) == {2, 3}


def test_in_a_joint_configuration_a_majority_of_each_half_counts() -> None:
    log = started(8, 7, 7, members=Members((1, 2, 3), (), (1, 2)))
    assert log.suspects == {2, 3}
    assert not log.stopped  # 1 and 2 differ, so the old half agrees on nothing


def test_learners_have_no_say() -> None:
    log = started(8, 7, 7, members=Members((1,), (2, 3)))
    assert set(log.stopped) == {2, 3}


def test_a_testimony_that_is_lost_is_said_again() -> None:
    log = Log(8, 7, 7)
    log.tick()
    log.append()
    log.now += 60
    log.replicas[1].on_tick(1)
    lost: list[bytes] = []
    for id_ in (2, 3):
        log.replicas[id_]._offer = lost.append
    log.apply()
    assert len(lost) == 2
    for id_ in (2, 3):
        log.replicas[id_]._offer = log.append
    log.now += 0.5
    log.tick()
    assert not log.stopped
    log.now += 0.6
    log.tick()
    assert set(log.stopped) == {1}
    count = len(log.entries)
    log.now += 5
    log.tick()
    assert len(log.entries) == count


def test_a_replica_that_was_not_there_has_nothing_to_compare() -> None:
    log = Log(7, 7, 8)
    log.tick()
    log.append()
    log.now += 60
    log.replicas[1].on_tick(1)
    log.apply(1, 2)
    log.replicas[3] = log.replica(3, skip_to=len(log.entries))  # started again, behind the check
    log.apply()
    assert log.counts[3].checks == 0
    assert not log.differs


def test_a_snapshot_ends_a_suspicion() -> None:
    log = started(7, 7, 8)
    assert log.suspects == {3}
    log.states[3] = 7
    log.replicas[3].on_restored()
    assert not log.suspects
    log.check()
    log.check()
    assert not log.stopped


def test_a_replica_without_a_digest_says_nothing() -> None:
    log = Log(7, 7, 7)
    log.unwell = {1, 3}
    log.tick()
    log.check()
    assert log.kinds() == [Kind.CHECK]
    log.leader = 2
    log.check()
    assert not log.suspects
    assert log.kinds()[-2:] == [Kind.CHECK, Kind.TESTIMONY]


def test_an_idle_group_compares_nothing() -> None:
    log = started(7, 7, 7)
    count = len(log.entries)
    for _ in range(5):
        log.now += 100
        log.tick()
    assert len(log.entries) == count
    log.append()
    log.apply()
    log.tick()
    assert log.kinds().count(Kind.CHECK) == 2


def test_a_large_state_is_compared_the_more_seldom() -> None:
    log = Log(7, 7, 7)
    log.cost = 1.0
    log.tick()
    log.check()
    started_at = log.now
    while log.kinds().count(Kind.CHECK) < 2:
        log.append()
        log.apply()
        log.now += 5
        log.tick()
    assert log.now - started_at >= 1.0 / COST_SHARE - 10


def test_a_payload_is_what_it_was_or_an_error() -> None:
    testimony = commands.Testimony(1 << 40, 3, 0xFFFFFFFF, leads=True)
    payload = commands.testimony_payload(testimony)
    assert decode_testimony(payload) == testimony
    assert payload.hex() == "0106" + "00" * 8 + "0000000000010000" + "0300000000000000" + "ffffffff" + "01"
    assert check_payload().hex() == "0105" + "00" * 8
    for bad in (payload[:-1], payload + b"\0", payload[:-1] + b"\2"):
        with pytest.raises(DecodeError):
            decode_testimony(bad)


def test_a_testimony_of_what_nobody_remembers_is_nothing() -> None:
    log = started(7, 7, 7)
    log.append(commands.testimony_payload(commands.Testimony(999, 2, 1, leads=True)))
    log.append(commands.testimony_payload(commands.Testimony(2, 1, 1, leads=True)))  # a second one of the same witness
    log.apply()
    assert not log.suspects


class Streamed(Register):
    written = b"a"
    said: int | None = None

    def snapshot(self) -> list[bytes]:
        return [self.written]

    async def restore(self, chunks: object) -> None: ...


class Telling(Streamed):
    def state_digest(self) -> int:
        return self.said or 0


class Summed(Register):
    sum = 0

    def state_digest(self) -> int:
        return self.sum


def test_the_own_digest_of_a_class_counts_and_no_snapshot_that_it_writes_itself() -> None:
    one, other = StateMachine(Streamed), StateMachine(Streamed)
    other.instance.written = b"b"
    assert digest_of(one) == digest_of(other)
    assert one.digest() != other.digest()
    other.now_us = 5
    assert digest_of(one) != digest_of(other)
    third, fourth = StateMachine(Telling), StateMachine(Telling)
    fourth.instance.said = 5
    assert digest_of(third) != digest_of(fourth)
    fifth, sixth = StateMachine(Summed), StateMachine(Summed)
    sixth.instance.values["a"] = 1
    assert digest_of(fifth) == digest_of(sixth)
    sixth.instance.sum = 1
    assert digest_of(fifth) != digest_of(sixth)


def test_a_state_that_takes_too_long_is_compared_once() -> None:
    log = Log(7, 7, 7)
    log.cost = 3.0
    log.tick()
    for _ in range(3):
        log.check()
        log.now += 10_000
    assert log.kinds().count(Kind.CHECK) == 1
    assert log.too_costly == [3.0, 3.0, 3.0]


# --- real nodes ---


def test_nodes_that_agree_compare_and_go_on() -> None:
    async def main() -> None:
        async with Nodes(digest_interval=1.0) as nodes:
            leader = await nodes.leader()
            session = await leader.open_session()
            for value in range(30):
                await session.call(Register.set, "a", value)
                await asyncio.sleep(0.3)
            for node in nodes.nodes.values():
                assert node.metrics().value("raftly_digests_total") >= 5
                assert node.metrics().value("raftly_digests_differ_total") == 0
                assert node.failure is None
            await nodes.equal()

    run(main())


async def work(nodes: Nodes, seconds: float) -> None:
    for value in range(int(seconds / 0.1)):
        leader = await nodes.leader()
        with suppress(RaftlyError):
            await leader.call(Register.set, "b", value)
        await asyncio.sleep(0.1)


def test_a_follower_with_a_flipped_bit_stops_and_the_others_serve(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Nodes(digest_interval=1.0) as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            bad = nodes.others(leader)[0]
            await bad.wait_applied(leader.machine.applied)
            bad.machine.instance.values["a"] ^= 1 << 20
            healths: list[str] = []

            async def watch() -> None:
                async for health in bad.health():
                    healths.extend(health.problems)

            watcher = asyncio.create_task(watch())
            await work(nodes, 5)
            assert isinstance(bad.failure, Diverged)
            assert "and no majority agreed" in str(bad.failure)
            with pytest.raises(Diverged):
                await bad.next_change(1 << 40)
            await watcher
            assert any("does not serve until the others have said" in text for text in healths)
            assert "this node does not serve" in healths[-1]
            await leader.call(Register.set, "a", 2)
            assert leader.failure is None

    with caplog.at_level(logging.INFO, "raftly.node"):
        run(main())
    assert sum("one of them parted" in message for message in caplog.messages) == 3  # once at each node
    assert any("failed and serves no more (diverged)" in message for message in caplog.messages)


def test_a_leader_with_a_flipped_bit_stops_and_the_others_elect_another() -> None:
    async def main() -> None:
        async with Nodes(digest_interval=1.0) as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            leader.machine.instance.values["a"] = 999
            await work(nodes, 6)
            assert isinstance(leader.failure, Diverged)
            assert "which a majority has" in str(leader.failure)
            second = await nodes.leader(but=leader.config.id)
            assert second.failure is None
            assert await second.ask(Register.get, "a") == 1
            await second.call(Register.set, "a", 2)
            for other in nodes.others(leader):
                assert other.failure is None
            del nodes.nodes[leader.config.id]
            await nodes.equal()
            await leader.stop()

    run(main())


def test_who_waits_at_a_replica_in_doubt_is_told_that_nothing_is_known() -> None:
    async def main() -> None:
        async with Nodes(digest_interval=1.0) as nodes:
            leader = await nodes.leader()
            bad = nodes.others(leader)[0]
            session = await bad.open_session()
            await session.call(Register.set, "a", 1)
            bad.machine.instance.values["a"] = 5

            async def calls() -> Exception:
                while True:
                    try:
                        await session.call(Register.add, "c", 1)
                    except RaftlyError as error:
                        return error

            assert isinstance(await calls(), OutcomeUnknown | Diverged)
            with pytest.raises(Diverged, match="does not serve until"):
                await bad.fresh()

    run(main())


def test_a_node_that_starts_again_compares_only_what_it_applies_anew() -> None:
    async def main() -> None:
        async with Nodes(digest_interval=1.0) as nodes:
            await work(nodes, 3)
            await nodes.stop(3)
            await work(nodes, 2)
            again = await nodes.start(3)
            await work(nodes, 3)
            assert again.failure is None
            assert again.metrics().value("raftly_digests_total") >= 2

    run(main())


def test_a_snapshot_that_is_taken_over_brings_nothing_to_compare() -> None:
    async def main() -> None:
        async with Nodes(digest_interval=1.0, snapshot_entries=10) as nodes:
            await work(nodes, 3)
            leader = await nodes.leader()
            late = nodes.others(leader)[0]
            assert late._observer.digests._own
            nodes.network.isolate(late.config.id)
            await work(nodes, 6)
            nodes.network.heal()
            await late.wait_until(lambda: late.metrics().value("raftly_snapshots_total", event="restored"))
            restored = late.metrics().value("raftly_snapshot_index")
            assert all(index >= restored for index in late._observer.digests._own)
            await work(nodes, 3)
            assert late.failure is None
            assert late._observer.digests._own

    run(main())


def test_no_interval_no_comparison() -> None:
    async def main() -> None:
        async with Nodes(1, digest_interval=0.0) as nodes:
            await work(nodes, 100)
            assert nodes.nodes[1].metrics().value("raftly_digests_total") == 0

    run(main())
