"""When all is healed, nobody is helped who should manage alone."""

from dataclasses import replace

import pytest

from raftly.base.membership import ConfState
from raftly.testing.core_sim import healing
from raftly.testing.core_sim.node import Node
from raftly.testing.core_sim.options import Options
from raftly.testing.core_sim.run import LIVENESS_S, run
from raftly.testing.core_sim.world import World


def begun() -> tuple[World, Node]:
    world = World(1, Options("calm"))
    world.run_until(1_000_000)
    [leader] = world.leaders()
    return world, leader


def test_without_a_hidden_change_nobody_is_rescued_who_does_not_elect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healing, "_leader", lambda _: None)
    outcome = run(1, Options("calm", seconds=1.0))
    assert outcome.problem.startswith("NotLive: not converged 20 s after healing")
    assert outcome.counts["hidden changes"] == 0
    monkeypatch.setattr(healing, "is_a_change_hidden", lambda _: True)
    assert run(1, Options("calm", seconds=1.0)).counts["hidden changes"] == 1


def test_a_change_is_hidden_from_a_voter_that_has_not_applied_it() -> None:
    world, leader = begun()
    assert not healing.is_a_change_hidden(world)
    other = next(node for node in world.nodes.values() if node is not leader)
    other.application.conf, other.application.applied = ConfState((1, 2, 3, 4)), 1
    assert healing.is_a_change_hidden(world)
    for node in world.nodes.values():
        if node is not other:
            node.application.conf = ConfState(tuple(id_ for id_ in world.ids if id_ != other.id))
    assert not healing.is_a_change_hidden(world), "it is no voter, so nobody needs it"
    other.exit()
    assert not healing.is_a_change_hidden(world)


@pytest.mark.parametrize("answers", [True, False])
def test_a_leader_of_a_lower_term_starts_over_only_where_nobody_would_tell_it(answers: bool) -> None:
    world, leader = begun()
    config = replace(world.drawn.config, pre_vote=answers, check_quorum=False, lease_tick=0)
    world.drawn = replace(world.drawn, config=config)
    next(node for node in world.nodes.values() if node is not leader).raft.term += 1
    starts = leader.starts
    healing._operate(world, leader)
    assert leader.starts == starts + (not answers)


def test_who_is_no_member_any_more_tells_of_its_removal_before_it_is_switched_off() -> None:
    """Node 5 knows that 4 is the only voter now; 4 waits for 5's vote (seed 8540056)."""
    outcome = run(8540056, Options("membership", 3))
    assert outcome.problem == ""
    assert outcome.counts["hidden changes"] == 1


def test_applications_are_given_the_time_that_they_need() -> None:
    """One entry a message, and 5 ms an entry: 3,000 are left when all is healed (seed 8600489)."""
    outcome = run(8600489, Options("uniform", 2))
    assert outcome.problem == ""
    assert outcome.recovery_s > LIVENESS_S


def test_changes_that_a_snapshot_overtakes_are_not_put_in_force() -> None:
    """They were being applied when it came, and node 3 went on with other members (seed 8902047)."""
    assert run(8902047, Options("membership", 3)).problem == ""


def test_a_learner_that_takes_itself_for_a_voter_keeps_nobody_from_leading() -> None:
    """Without pre-vote node 5 takes all voters but the one with the newest log to later terms (seed 9400869)."""
    assert run(9400869, Options("membership", 3)).problem == ""


def test_a_candidate_has_the_time_to_climb_to_the_terms_of_the_others() -> None:
    """Without pre-vote nobody tells node 1 of the 37 that it lacks (seed 9501676)."""
    assert run(9501676, Options("membership", 3)).problem == ""


def test_nobody_is_switched_off_while_a_change_of_members_is_on_its_way() -> None:
    """It brings node 4 back, and has no quorum without it (seed 8550027)."""
    assert run(8550027, Options("membership", 3)).problem == ""
