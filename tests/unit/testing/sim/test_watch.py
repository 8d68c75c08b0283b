"""The checks of whole runs: they let what is right pass, and find each thing that is broken on purpose."""

from itertools import count
from random import Random

import pytest

from raftly.core.messages import Message, MsgAppResp, MsgVoteResp
from raftly.core.role import Role
from raftly.node import command
from raftly.node.machine import StateMachine
from raftly.node.reads import FOLLOWER, LEASE, STRONG, Freshness, Mode, Proof, Read, Reads, bounded
from raftly.testing.checks import SafetyViolation
from raftly.testing.history import Operation
from raftly.testing.models import Lock as LockModel
from raftly.testing.models import Queue as QueueModel
from raftly.testing.models import Register as RegisterModel
from raftly.testing.sim import (
    PROFILES,
    SCENARIOS,
    Call,
    ClientOptions,
    Fault,
    NotLinearizable,
    Recorder,
    Run,
    RunOptions,
    Undecided,
    Way,
    judge,
    run_of,
    scenario_of,
)
from raftly.testing.sim.watch import core_of
from tests.support.nodes import Register
from tests.unit.testing.sim.machine import workload

SPLITS = [Fault(1.0 + 3.0 * n, "isolate", (1 + n % 3,), 2.5) for n in range(4)]


def reading(*reads: Read, way: Way = Way.DIRECT) -> RunOptions:
    client = ClientOptions(ways=(way,), reads=reads, think_s_mean=0.02, wander=0.7)
    return RunOptions(seconds=14.0, clients=4, client=client)


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
@pytest.mark.parametrize("profile", ["uniform", "disk", "upgrade"])
def test_every_scenario_holds_under_faults(profile: str, scenario: str) -> None:
    run = run_of(3, profile, 5.0, scenario=scenario)
    report = run.go()
    assert run.model is not None
    assert report.answered > 10
    assert report.judged["digests"] > 3
    assert report.judged["leaders"] >= 1
    assert scenario != "registers" or report.judged["reads strong"] > 3


def test_all_scenarios_are_drawn() -> None:
    assert {scenario_of(seed) for seed in range(40)} == set(SCENARIOS)
    shapes = {(run.options.size, run.options.messages) for seed in range(12) for run in [run_of(seed, "calm")]}
    assert len(shapes) == 4


def test_looking_changes_nothing() -> None:
    digests = set()
    for checks in (True, False):
        options = RunOptions(seconds=3.0, checks=checks)
        digests.add(Run(4, Register, workload, options).go().digest)
    run = Run(4, Register, workload, RunOptions(seconds=3.0))
    recorder = Recorder(run)
    digests.add(run.go().digest)
    assert len(digests) == 1
    kinds = {event.kind for event in recorder.events()}
    assert kinds >= {"state", "message", "call", "note"}
    arrived = [event for event in recorder.events() if event.kind == "message" and event.data["until"] is not None]
    assert len(arrived) > 20
    for event in arrived:
        assert isinstance(event.data["until"], float)
        assert event.at <= event.data["until"]


@pytest.mark.parametrize("way", list(Way))
def test_reads_of_every_mode_are_judged(way: Way) -> None:
    report = Run(2, Register, workload, reading(STRONG, LEASE, FOLLOWER, bounded(0.2), way=way), faults=SPLITS).go()
    for mode in ("strong", "lease", "follower", "bounded"):
        assert report.judged[f"reads {mode}"] > 5, report.judged
    assert report.judged["old leaders"] > 0


def broken(monkeypatch: pytest.MonkeyPatch, read: Read, fresh: Freshness) -> None:
    """Reads of a mode are answered at once, whatever is known."""
    wait = Reads.wait

    async def answer(self: Reads, wanted: Read, within: float) -> Freshness:
        if wanted.mode is not read.mode:
            return await wait(self, wanted, within)
        return Freshness(fresh.proof, self._applied, fresh.age_s)

    monkeypatch.setattr(Reads, "wait", answer)


@pytest.mark.parametrize("read", [FOLLOWER, STRONG, LEASE])
def test_a_read_that_asks_nobody_is_found(monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
    broken(monkeypatch, read, Freshness(Proof.READ_INDEX, 0, 0.0))
    with pytest.raises(SafetyViolation, match=rf"a {read.mode.value} read saw"):
        Run(1, Register, workload, reading(read), faults=SPLITS).go()


def test_a_read_that_is_staler_than_it_says_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, bounded(0.2), Freshness(Proof.EARLIER, 0, 0.1))
    with pytest.raises(SafetyViolation, match=r"a bounded read at .* says it is 0\.1 s old"):
        Run(1, Register, workload, reading(bounded(0.2)), faults=SPLITS).go()


def test_a_read_that_is_older_than_its_bound_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    broken(monkeypatch, bounded(0.2), Freshness(Proof.EARLIER, 0, 3600.0))
    with pytest.raises(SafetyViolation, match=r"bounded by 0\.2 s is 3600"):
        Run(1, Register, workload, reading(bounded(0.2)), faults=SPLITS).go()


def test_a_lease_that_outlives_its_leader_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def holds(self: Reads, now: float) -> bool:
        raft = self._group.raw.raft
        if raft.role is not Role.LEADER or raft.term != self._lease_term or self._applied < raft.log.committed:
            return False
        return now < self._lease_until + 5.0

    monkeypatch.setattr(Reads, "holds_lease", holds)
    with pytest.raises(SafetyViolation, match=r"holds the lease of term \d+ at .*, and node \d leads in term"):
        Run(1, Register, workload, reading(bounded(60)), faults=SPLITS).go()


class Uneven:
    """Every instance counts otherwise."""

    value: int
    made = count()

    def __init__(self) -> None:
        self.value = 0

    @command
    def add(self) -> None:
        self.value += 1 + next(Uneven.made)


def test_changes_of_members_are_judged_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when two are applied in one turn: only successive configurations have quorums that must meet."""
    assert run_of(2, "membership", 5.0).go().judged["configurations"] > 3
    monkeypatch.setattr("raftly.testing.checks.quorums_overlap", lambda *_: False)
    with pytest.raises(SafetyViolation, match="whose quorums need not meet"):
        run_of(2, "membership", 5.0).go()


def test_states_that_part_are_found() -> None:
    with pytest.raises(SafetyViolation, match=r"have applied .* entries and differ"):
        Run(1, Uneven, lambda _: Call("add", None, None, Uneven.add), RunOptions(profile="calm", seconds=5.0)).go()


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_disk_that_forgets_half_a_second_is_found(seed: int) -> None:
    run = Run(seed, Register, workload, RunOptions(seconds=4.0), faults=[Fault(2.0, "crash", (1,), 0.2)])
    kept: dict[str, bytes] = {}

    def keep() -> None:
        memory = run.cluster.hosts[1].disk._memory
        kept.update((path, memory.content(path)) for path in memory.paths())

    def give_back() -> None:
        memory = run.cluster.hosts[1].disk._memory
        assert set(memory.paths()) == set(kept)
        for path, data in kept.items():
            memory.put(path, data, memory.open(path).inode())

    def when_it_works() -> None:
        if not run.faults_from:
            run.world.after(0.1, when_it_works)
            return
        for seconds, action in ((1.5, keep), (2.1, give_back)):
            run.world.at(run.faults_from + seconds, action)

    when_it_works()
    with pytest.raises(SafetyViolation, match=r"node 1 .* comes back (with|in term)"):
        run.go()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (MsgVoteResp(2, 1, 99), "votes in 99, which is not on disk"),
        (MsgAppResp(2, 1, 99, 3), "acknowledges in term 99"),
    ],
)
def test_a_promise_of_what_is_not_on_disk_is_found(message: Message, said: str) -> None:
    run = Run(1, Register, workload, RunOptions(profile="calm", seconds=2.0))
    watch = run.watch
    assert watch is not None
    run.world.director.loop.call_later(1.0, lambda: watch.on_send(1, 2, message))
    with pytest.raises(SafetyViolation, match=said):
        run.go()


def test_an_acknowledgement_beyond_the_log_on_disk_is_found() -> None:
    run = Run(1, Register, workload, RunOptions(profile="calm", seconds=2.0))
    watch = run.watch
    assert watch is not None

    def acknowledge() -> None:
        term = core_of(run.cluster.nodes[1]).term
        watch.on_send(1, 2, MsgAppResp(2, 1, term, 1 << 40))

    run.world.director.loop.call_later(1.0, acknowledge)
    with pytest.raises(SafetyViolation, match="its disk ends at"):
        run.go()


def test_a_disk_that_a_fault_damaged_need_not_remember() -> None:
    faults = [Fault(1.0, "wipe", (1, 4), 0.5), Fault(1.5, "bit_rot", (2, 5), 0.5)]
    assert Run(1, Register, workload, RunOptions(seconds=4.0), faults=faults).go().struck["wipe"] == 1


def test_clients_that_are_told_what_never_was_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = StateMachine.query

    def lie(self: StateMachine[Register], name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        value = ask(self, name, args, kwargs)
        return 0 if self.applied % 10 == 9 else value

    monkeypatch.setattr(StateMachine, "query", lie)
    run = Run(1, Register, workload, RunOptions(profile="calm", seconds=5.0), model=RegisterModel(0))
    with pytest.raises(NotLinearizable, match="no order of the operations") as caught:
        run.go()
    assert caught.value.verdict.violations[0].operation.result == 0


# --- histories ---


def test_puts_that_nobody_saw_cost_nothing() -> None:
    never = float("inf")
    random = Random(1)
    puts = [Operation(n, "put", None, n, None, float(n), never) for n in range(200)]
    takes = [Operation(1000 + n, "take", None, None, None, 500.0 + n, 500.5 + n) for n in range(5)]
    judge([*puts, *takes], QueueModel())
    value = random.randrange(200)
    taken = Operation(2000, "take", None, None, value, 600.0, 601.0)
    judge([*puts, *takes, taken], QueueModel())
    again = Operation(2001, "take", None, None, value, 602.0, 603.0)
    with pytest.raises(NotLinearizable):
        judge([*puts, *takes, taken, again], QueueModel())


def test_too_much_work_is_told() -> None:
    never = float("inf")
    writes = [Operation(n, "cas", "k", (n, n + 1), None, 0.0, never) for n in range(40)]
    reads = [Operation(99, "read", "k", None, 40 - n % 3, 1.0 + n, 1.5 + n) for n in range(3)]
    with pytest.raises((Undecided, NotLinearizable)):
        judge([*writes, *reads], RegisterModel(0), steps_max=5)


def test_modes_cover_all_there_are() -> None:
    modes = {read.mode for read in ClientOptions().reads}
    assert modes | {Mode.LOCAL} == set(Mode)
    assert "upgrade" in PROFILES


def test_releases_of_which_nobody_learned_cost_nothing() -> None:
    never = float("inf")
    history = [Operation(500 + n, "release", None, n, None, 0.0, never) for n in range(60)]
    history += [Operation(n, "acquire", None, None, n + 1, 100.0 + 2 * n, 101.0 + 2 * n) for n in range(20)]
    judge(history, LockModel(expires=True), steps_max=2_000)
    twice = Operation(2000, "acquire", None, None, 20, 300.0, 301.0)
    with pytest.raises(NotLinearizable):
        judge([*history, twice], LockModel(expires=True), steps_max=2_000)
