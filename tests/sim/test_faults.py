"""Scripts of the core's simulator: every kind strikes and is undone, plans are data, healing is for good."""

from random import Random

import pytest

from raftly.core.messages import Message, MsgHeartbeat, MsgHeartbeatResp
from raftly.errors import DecodeError
from raftly.testing.core_sim import inject
from raftly.testing.core_sim.faults import CLIENT_KINDS, KINDS, PROFILES, Fault, from_line, plan, to_line
from raftly.testing.core_sim.healing import heal
from raftly.testing.core_sim.inject import Injector
from raftly.testing.core_sim.network import QUEUE_MAX, Network
from raftly.testing.core_sim.options import Options, draw
from raftly.testing.core_sim.run import run
from raftly.testing.core_sim.world import World

AMOUNTS = {"clock_rate": 1.05, "loss": 0.2, "flap": 0.1, "full_disk": 100.0, "crash_at_write": 3.0, "late": 1.0}
NODES = {"cut": (1, 2), "flap": (1, 2), "crash_all": (), "transfer": (2,), "campaign": (2,), "leader_lost": (2,)}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_strikes_and_the_cluster_recovers(kind: str) -> None:
    fault = Fault(0.6, kind, NODES.get(kind, (1,)), 0.3, AMOUNTS.get(kind, 50.0))
    writes = [Fault(at / 20, "write", (1,), 0.0, 1.0) for at in range(10, 30)]
    outcome = run(1, Options("calm", seconds=1.5), [fault, *writes])
    assert outcome.problem == ""
    assert outcome.struck == {kind: 1, "write": 20}


def struck(script: list[Fault], size: int = 3) -> dict[str, int]:
    outcome = run(1, Options("calm", size, seconds=1.5), script)
    assert outcome.problem == ""
    return dict(outcome.struck)


def test_what_is_down_is_not_struck() -> None:
    kinds = ("crash", "exit", "pause", "campaign", "leader_lost", "compact", "raft_rs")
    later = [Fault(0.7, kind, (2,), 0.1, 50.0) for kind in kinds]
    assert struck([Fault(0.6, "crash", (2,), 0.3), *later]) == {"crash": 1}
    assert struck([Fault(0.6, "crash_all", (), 0.3), Fault(0.7, "crash_all", (), 0.3)]) == {"crash_all": 1}
    assert struck([Fault(0.6, "crash_all", (), 0.3), Fault(0.7, "change", (1,), 0.0, 5.0)]) == {"crash_all": 1}


def test_what_changes_nothing_is_not_counted() -> None:
    transfers = [struck([Fault(0.6, "transfer", (id_,))]) for id_ in (1, 2, 3)]
    assert sum(counts == {"transfer": 1} for counts in transfers) == 2, "not to the leader itself"
    campaigns = [struck([Fault(0.6, "campaign", (id_,))]) for id_ in (1, 2, 3)]
    assert sum(counts == {"campaign": 1} for counts in campaigns) == 2
    alone = [Fault(0.6, kind, (1,), 0.1, 0.1) for kind in ("isolate", "deaf", "mute", "split", "bridge", "cut", "late")]
    assert struck(alone, size=1) == {}
    assert struck([Fault(0.6, "crash", (9,), 0.1)]) == {}


@pytest.mark.parametrize("seed", [1, 2, 4])  # the batch whose sync fails is recovered, and others follow it
def test_what_is_recovered_after_a_failed_sync_survives_a_loss_of_power(seed: int) -> None:
    writes = [Fault(at / 20, "write", (1,), 0.0, 1.0) for at in range(10, 40)]
    faults = [Fault(0.7, "sync_error", (1,), 0.0, 1.0), Fault(1.4, "crash", (1,), 0.1)]
    outcome = run(seed, Options("calm", 1, seconds=2.0), [*faults, *writes])
    assert outcome.problem == ""
    assert (outcome.struck["crash"], outcome.rare["failed syncs"]) == (1, 1)


def test_what_a_run_fails_with_had_struck(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(*_: object) -> bool:
        raise AssertionError("planted")

    monkeypatch.setitem(inject._ACTIONS, "campaign", fall)
    outcome = run(1, Options("calm", seconds=1.0), [Fault(0.5, "campaign", (1,))])
    assert (outcome.problem, outcome.struck) == ("AssertionError: planted", {"campaign": 1})


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_fault_that_ends_after_healing_leaves_nothing_behind(kind: str) -> None:
    world = World(1, Options("calm"))
    Injector(world, [Fault(0.5, kind, NODES.get(kind, (1,)), 0.5, AMOUNTS.get(kind, 50.0))])
    world.run_until(600_000)
    heal(world)
    world.run_until(2_000_000)
    for link in world.network.links.values():
        assert (link.cuts, link.slow, link.loss, link.late_us) == (0, 1.0, 0.0, 0)
    for node in world.nodes.values():
        assert (node.disk_slow, node.rate, node.sync_errors, node.fuse) == (1.0, 1.0, 0, 0)
        assert node.alive


def test_plans_are_drawn_from_the_seed_and_survive_a_file() -> None:
    drawn = set()
    for profile in sorted(PROFILES):
        for seed in range(10):
            script = plan(Random(seed), (1, 2, 3), profile, 20.0, 60.0)
            assert script == plan(Random(seed), (1, 2, 3), profile, 20.0, 60.0)
            assert [from_line(to_line(fault)) for fault in script] == script
            assert all(0 <= fault.at <= fault.at + fault.seconds <= 20.0 + 1e-9 for fault in script)
            drawn |= {fault.kind for fault in script}
    assert drawn == {*KINDS, *CLIENT_KINDS}


@pytest.mark.parametrize("line", ["", "[]", '[1, "no such thing", [], 0, 0]', '["x", "crash", [1], 0, 0]'])
def test_a_line_that_is_no_fault_is_refused(line: str) -> None:
    with pytest.raises(DecodeError):
        from_line(line)


def test_the_digest_tells_who_was_sent_what() -> None:
    """As many events at the same times are another run if others took part."""

    def digest(*messages: Message) -> str:
        world = World(1, Options("calm"))
        for message in messages:
            world.send(message.from_, message)
        return world.final_digest()

    one, other = MsgHeartbeat(2, 1, 1), MsgHeartbeatResp(3, 1, 1)
    sent = [(one, other), (other, one), (one, one), (one, MsgHeartbeat(3, 1, 1)), (one, MsgHeartbeatResp(3, 1, 2))]
    assert len({digest(*messages) for messages in sent}) == len(sent)


def test_a_run_that_never_ends_is_ended_by_its_budget() -> None:
    outcome = run(1, Options("calm", seconds=5.0, events_max=1_000))
    assert outcome.problem.startswith("OutOfEvents")


def test_a_longer_run_may_take_more_events() -> None:
    """A soak with 36 seconds a run called one of five busy nodes endless that was not."""
    assert Options(seconds=60.0).budget == 3 * Options(seconds=20.0).budget == 3 * Options(seconds=1.0).budget
    assert Options(seconds=60.0, events_max=1_000).budget == 1_000


def test_more_followers_may_take_more_events() -> None:
    """Five busy nodes took 490,564 of the 400,000 that three may (seed 9603728)."""
    assert Options(size=5).budget == Options("membership", size=3).budget == 2 * Options(size=3).budget > 490_564
    assert Options(size=1).budget == Options(size=3).budget


def test_a_link_holds_so_many_messages_and_drops_more() -> None:
    """One that overtakes made a leader send 190,000 appends in a second, and all were to arrive (seed 8801718)."""
    options = Options("calm")
    network = Network((1, 2), Random(1), draw(Random(1), 1, options))
    arrivals: list[int] = []

    def sent(now: int, count: int) -> int:
        return sum(
            network.send(now, 1, MsgHeartbeat(2, 1, 1), lambda when, _: arrivals.append(when)) for _ in range(count)
        )

    assert sent(0, QUEUE_MAX + 100) == QUEUE_MAX == len(arrivals)
    assert sent(sorted(arrivals)[9], 20) == 10, "as many as have arrived"
    assert sent(max(arrivals), QUEUE_MAX + 1) == QUEUE_MAX
    network.heal()
    assert sent(max(arrivals) - 1, 1) == 1, "what is still on its late way is in nobody's"


def test_a_cluster_that_is_not_healed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Network, "heal", lambda self: self.cut(list(self.links)))
    outcome = run(1, Options("calm", seconds=1.0))
    assert outcome.problem.startswith("NotLive: not converged 20 s after healing")
