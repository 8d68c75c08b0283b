"""Membership changes: what each one makes of a configuration, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import pytest

from raftly.base.membership import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    parse_changes,
)
from raftly.core.confchange import Changer, check_invariants, restore
from raftly.core.quorum import JointConfig
from raftly.core.tracker import Inflights, Progress, ProgressTracker, TrackerConfig
from raftly.errors import ConfChangeError
from tests.support.lone import leader, state_of, voter

LAST_INDEX = 7


def tracker_of(conf_state: ConfState) -> ProgressTracker:
    tracker = ProgressTracker(10)
    tracker.switch(*restore(10, 0, conf_state, LAST_INDEX))
    return tracker


def run(tracker: ProgressTracker, command: str) -> str:
    """`simple v1 l2`, `joint v1 r2`, `joint-auto r2` or `leave`; the configuration in its printed form."""
    name, _, changes = command.partition(" ")
    changer = Changer(tracker, LAST_INDEX)
    if name == "simple":
        switched = changer.simple(parse_changes(changes))
    elif name == "leave":
        switched = changer.leave_joint()
    else:
        switched = changer.enter_joint(name == "joint-auto", parse_changes(changes))
    tracker.switch(*switched)
    return str(tracker.config)


@pytest.mark.behaviour("MQ01")
@pytest.mark.parametrize(
    "start, steps",
    [
        # promotion and demotion on the simple path
        (ConfState((1,)), [("simple l2", "voters=(1) learners=(2)"), ("simple v2", "voters=(1 2)")]),
        (ConfState((1, 2)), [("simple l2", "voters=(1) learners=(2)"), ("simple r2", "voters=(1)")]),
        # idempotent, unknown nodes, updates and zero do nothing
        (ConfState((1, 2)), [("simple v1 v2 v1", "voters=(1 2)"), ("simple r9 u2 u9 v0 l0 r0", "voters=(1 2)")]),
        (ConfState((1,), (2,)), [("simple l2 l2", "voters=(1) learners=(2)")]),
        (ConfState((1,)), [("simple l2 v2 r2 l2", "voters=(1) learners=(2)")]),  # the last word counts
        # only one voter may change, several learners may
        (ConfState((1,)), [("simple l2 l3 l4", "voters=(1) learners=(2 3 4)")]),
        (ConfState((1, 2)), [("simple v3 l2 v2", "voters=(1 2 3)")]),
        # joint, left by hand and by itself
        (ConfState((1,)), [("joint v2 v3", "voters=(1 2 3)&&(1)"), ("leave", "voters=(1 2 3)")]),
        (ConfState((1,)), [("joint-auto v2", "voters=(1 2)&&(1) autoleave"), ("leave", "voters=(1 2)")]),
        (ConfState((1, 2)), [("joint r1", "voters=(2)&&(1 2)"), ("leave", "voters=(2)")]),
        (ConfState((1,)), [("joint", "voters=(1)&&(1)"), ("leave", "voters=(1)")]),
        # demotion waits for the outgoing half
        (
            ConfState((1, 2, 3)),
            [
                ("joint l2 r3 v4 l5", "voters=(1 4)&&(1 2 3) learners=(5) learners_next=(2)"),
                ("leave", "voters=(1 4) learners=(2 5)"),
            ],
        ),
        (ConfState((1, 2)), [("joint l2 v2", "voters=(1 2)&&(1 2)"), ("leave", "voters=(1 2)")]),
        (ConfState((1, 2)), [("joint l2 r2", "voters=(1)&&(1 2)"), ("leave", "voters=(1)")]),
        (
            ConfState((1, 2)),
            [("joint l1 v3", "voters=(2 3)&&(1 2) learners_next=(1)"), ("leave", "voters=(2 3) learners=(1)")],
        ),
        (
            ConfState((1,), (2,)),
            [("joint v2 l3", "voters=(1 2)&&(1) learners=(3)"), ("leave", "voters=(1 2) learners=(3)")],
        ),
        (ConfState((1,), (2,)), [("joint r2", "voters=(1)&&(1)"), ("leave", "voters=(1)")]),
        (ConfState((1, 10)), [("simple v11", "voters=(1 a b)")]),  # hexadecimal, as in the log
    ],
)
def test_changes(start: ConfState, steps: list[tuple[str, str]]) -> None:
    tracker = tracker_of(start)
    for command, wanted in steps:
        assert run(tracker, command) == wanted
        members = {*tracker.config.voters.ids(), *tracker.config.learners}
        assert set(tracker.progress) == members
        for id_, progress in tracker.progress.items():
            assert progress.is_learner is (id_ in tracker.config.learners)


@pytest.mark.behaviour("MQ01")
@pytest.mark.parametrize(
    "start, command, problem",
    [
        (ConfState((1,)), "simple r1", "removed all voters"),
        (ConfState((1,)), "simple l1", "removed all voters"),
        (ConfState(), "simple l1", "removed all voters"),
        (ConfState((1,)), "joint r1", "removed all voters"),
        (ConfState((1,)), "simple v2 v3", "more than one voter changed without entering joint config"),
        (ConfState((1, 2, 3)), "simple r2 r3", "more than one voter changed without entering joint config"),
        (ConfState((1, 2)), "simple r2 v3", "more than one voter changed without entering joint config"),
        (ConfState(), "joint v1", "can't make a zero-voter config joint"),
        (ConfState((1,)), "leave", "can't leave a non-joint config"),
        (ConfState((1, 2), (), (1,)), "simple v3", "can't apply simple config change in joint config"),
        (ConfState((1, 2), (), (1,)), "joint v3", "config is already joint"),
    ],
)
def test_what_is_refused_changes_nothing(start: ConfState, command: str, problem: str) -> None:
    tracker = tracker_of(start)
    before = str(tracker.config), {id_: str(progress) for id_, progress in tracker.progress.items()}
    with pytest.raises(ConfChangeError, match=f"^{problem}$"):
        run(tracker, command)
    assert (str(tracker.config), {id_: str(progress) for id_, progress in tracker.progress.items()}) == before


@pytest.mark.behaviour("MQ01")
def test_a_newcomer_is_probed_from_the_end_and_counts_as_active() -> None:
    tracker = tracker_of(ConfState((1,)))
    tracker.switch(*Changer(tracker, 12).simple(parse_changes("v2 l3")))
    assert str(tracker.progress[2]) == "StateProbe match=0 next=12"
    assert str(tracker.progress[3]) == "StateProbe match=0 next=12 learner"
    fresh = ProgressTracker(10)
    fresh.switch(*Changer(fresh, 0).simple(parse_changes("v1")))
    assert fresh.progress[1].next == 1


@pytest.mark.behaviour("MQ01")
def test_a_change_never_resets_progress_that_exists() -> None:
    tracker = tracker_of(ConfState((1, 2, 3)))
    tracker.progress[2].maybe_update(5)
    for command in ("joint l2", "leave", "simple v2"):
        run(tracker, command)
        assert tracker.progress[2].match == 5


@pytest.mark.behaviour("MQ01")
def test_which_path_a_change_takes() -> None:
    auto, implicit, explicit = ConfChangeTransition
    for changes, transition, wanted in (
        ("v2", auto, "voters=(1 2)"),
        ("v2 v3", auto, "voters=(1 2 3)&&(1) autoleave"),
        ("v2", implicit, "voters=(1 2)&&(1) autoleave"),
        ("v2", explicit, "voters=(1 2)&&(1)"),
    ):
        tracker = tracker_of(ConfState((1,)))
        change = ConfChangeV2(parse_changes(changes), transition)
        tracker.switch(*Changer(tracker, LAST_INDEX).change(change))
        assert str(tracker.config) == wanted
    tracker = tracker_of(ConfState((1, 2), (), (1,)))
    tracker.switch(*Changer(tracker, LAST_INDEX).change(ConfChangeV2()))
    assert str(tracker.config) == "voters=(1 2)"


@pytest.mark.parametrize(
    "config, learners, problem",
    [
        (TrackerConfig(JointConfig((1, 2))), (), "no progress for 2"),
        (TrackerConfig(JointConfig((1,)), learners=(2,)), (), "no progress for 2"),
        (TrackerConfig(JointConfig((1,), (1,)), learners_next=(3,)), (3,), "3 is in LearnersNext, but not Voters"),
        (TrackerConfig(JointConfig((1,), (1, 3)), learners_next=(3,)), (3,), "3 is in LearnersNext, but is already"),
        (TrackerConfig(JointConfig((1,), (1, 3)), learners=(3,)), (3,), r"3 is in Learners and Voters\[1\]"),
        (TrackerConfig(JointConfig((1, 3)), learners=(3,)), (3,), r"3 is in Learners and Voters\[0\]"),
        (TrackerConfig(JointConfig((1, 4)), learners=(3,)), (), "3 is in Learners, but is not marked"),
        (TrackerConfig(JointConfig((1,)), auto_leave=True), (), "AutoLeave must be false when not joint"),
    ],
)
def test_invariants(config: TrackerConfig, learners: tuple[int, ...], problem: str) -> None:
    progress = {id_: Progress(1, Inflights(1), is_learner=id_ in learners) for id_ in (1, 3, 4)}
    with pytest.raises(ConfChangeError, match=problem):
        check_invariants(config, progress)


@pytest.mark.behaviour("X11")
@pytest.mark.parametrize(
    "change",
    [
        ConfChange(ConfChangeType.REMOVE_NODE, 1),
        ConfChange(ConfChangeType.ADD_LEARNER_NODE, 1),
        ConfChangeV2((ConfChangeSingle(ConfChangeType.REMOVE_NODE, 1),) * 2),
    ],
)
def test_a_node_that_is_the_only_voter_cannot_be_removed(change: ConfChange | ConfChangeV2) -> None:
    for host in (leader(voters=(1,)), voter(voters=(1,))):
        before = state_of(host.raft)
        with pytest.raises(ConfChangeError, match="removed all voters"):
            host.node.apply_conf_change(change)
        assert state_of(host.raft) == before
        assert host.node.status().conf_state == ConfState((1,))
