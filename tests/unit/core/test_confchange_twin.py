"""Membership changes against a twin made of plain sets: one by one, through a joint state, and rebuilt from a value."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raftly.base.membership import ConfChangeSingle, ConfChangeType, ConfState
from raftly.core.confchange import Changer, restore
from raftly.core.tracker import ProgressTracker
from raftly.errors import ConfChangeError

ADD, REMOVE = ConfChangeType.ADD_NODE, ConfChangeType.REMOVE_NODE
UPDATE, LEARN = ConfChangeType.UPDATE_NODE, ConfChangeType.ADD_LEARNER_NODE


@dataclass
class Twin:
    """Who votes and who learns, as sets; `outgoing` is None outside a joint state."""

    voters: set[int] = field(default_factory=set)
    learners: set[int] = field(default_factory=set)
    outgoing: set[int] | None = None
    auto_leave: bool = False

    def apply(self, changes: list[ConfChangeSingle]) -> None:
        """`learners` holds those who wait for the end of the joint state too."""
        for change in changes:
            id_ = change.node_id
            if id_ == 0 or change.type == UPDATE:
                continue
            if change.type == ADD:
                self.learners.discard(id_)
                self.voters.add(id_)
            elif change.type == REMOVE:
                self.voters.discard(id_)
                self.learners.discard(id_)
            else:
                self.voters.discard(id_)
                self.learners.add(id_)

    def conf_state(self) -> ConfState:
        outgoing = self.outgoing or set()
        waiting = self.learners & outgoing
        return ConfState(
            tuple(sorted(self.voters)),
            tuple(sorted(self.learners - waiting)),
            tuple(sorted(outgoing)),
            tuple(sorted(waiting)),
            self.auto_leave,
        )


def start(conf_state: ConfState) -> ProgressTracker:
    tracker = ProgressTracker(10)
    tracker.switch(*restore(10, 0, conf_state, 9))
    return tracker


def changes_over(ids: st.SearchStrategy[int]) -> st.SearchStrategy[list[ConfChangeSingle]]:
    return st.lists(st.builds(ConfChangeSingle, st.sampled_from(ConfChangeType), ids), max_size=10)


changes_lists = changes_over(st.integers(0, 8))


@st.composite
def plain_states(draw: st.DrawFn) -> ConfState:
    roles = draw(st.dictionaries(st.integers(1, 8), st.booleans(), min_size=1))
    voters = tuple(sorted(id_ for id_, votes in roles.items() if votes))
    assume(voters)
    return ConfState(voters, tuple(sorted(id_ for id_, votes in roles.items() if not votes)))


@st.composite
def any_states(draw: st.DrawFn) -> ConfState:
    """Every valid membership, joint ones included."""
    plain = draw(plain_states())
    if draw(st.booleans()):
        return plain
    outgoing = draw(st.sets(st.integers(1, 8), min_size=1))
    learners = set(plain.learners)
    return ConfState(
        plain.voters,
        tuple(sorted(learners - outgoing)),
        tuple(sorted(outgoing)),
        tuple(sorted(learners & outgoing)),
        draw(st.booleans()),
    )


def roles(tracker: ProgressTracker) -> dict[int, tuple[int, int, bool]]:
    return {id_: (peer.match, peer.next, peer.is_learner) for id_, peer in tracker.progress.items()}


@pytest.mark.behaviour("MQ02")
@given(plain_states(), changes_lists, st.booleans())
def test_one_by_one_equals_through_a_joint_state(
    state: ConfState, changes: list[ConfChangeSingle], auto_leave: bool
) -> None:
    one_by_one, joint = start(state), start(state)
    try:
        for change in changes:
            one_by_one.switch(*Changer(one_by_one, 9).simple([change]))
    except ConfChangeError:
        return  # some voter must remain after every single step; the joint way is less strict
    joint.switch(*Changer(joint, 9).enter_joint(auto_leave, changes))
    assert joint.config.auto_leave is auto_leave
    assert joint.config.conf_state().voters_outgoing == state.voters
    joint.switch(*Changer(joint, 9).leave_joint())
    assert str(joint.config) == str(one_by_one.config)
    assert roles(joint) == roles(one_by_one)


@pytest.mark.behaviour("MQ02")
@given(plain_states(), changes_lists, st.sampled_from(["simple", "joint", "joint-auto"]))
def test_the_changer_equals_its_twin(state: ConfState, changes: list[ConfChangeSingle], way: str) -> None:
    tracker = start(state)
    twin = Twin(set(state.voters), set(state.learners))
    changer = Changer(tracker, 9)
    twin.apply(changes)
    before = set(state.voters)
    if way == "simple":
        refused = not twin.voters or len(before ^ twin.voters) > 1
    else:
        twin.outgoing = before
        twin.auto_leave = way == "joint-auto"
        refused = not twin.voters
    try:
        switched = changer.simple(changes) if way == "simple" else changer.enter_joint(twin.auto_leave, changes)
    except ConfChangeError:
        assert refused
        assert tracker.config.conf_state() == state
        return
    assert not refused
    tracker.switch(*switched)
    assert tracker.config.conf_state() == twin.conf_state()
    if way == "simple":
        return
    tracker.switch(*Changer(tracker, 9).leave_joint())
    twin.outgoing, twin.auto_leave = None, False
    assert tracker.config.conf_state() == twin.conf_state()
    assert set(tracker.progress) == twin.voters | twin.learners


@pytest.mark.behaviour("MQ03")
@given(any_states(), st.integers(0, 20))
def test_any_valid_membership_can_be_rebuilt(state: ConfState, last_index: int) -> None:
    config, progress = restore(10, 0, state, last_index)
    assert config.conf_state() == state
    assert set(progress) == {*state.voters, *state.learners, *state.voters_outgoing}
    for id_, peer in progress.items():
        assert peer.is_learner is (id_ in state.learners)
        assert (peer.match, peer.next) == (0, max(last_index, 1))


@pytest.mark.behaviour("MQ03")
@pytest.mark.parametrize(
    "state",
    [
        ConfState(),
        ConfState((1, 2, 3)),
        ConfState((1, 2, 3), (4, 5, 6)),
        ConfState((1, 2, 3), (5,), (1, 2, 4, 6), (4,)),
        ConfState((1,), (), (2,), (2,), True),  # everybody changes places
        ConfState((1, 2), (), (1, 2)),
    ],
)
def test_memberships_picked_by_hand_can_be_rebuilt_in_any_order(state: ConfState) -> None:
    reversed_state = ConfState(
        state.voters[::-1],
        state.learners[::-1],
        state.voters_outgoing[::-1],
        state.learners_next[::-1],
        state.auto_leave,
    )
    assert restore(10, 0, reversed_state, 9)[0].conf_state() == state


@pytest.mark.behaviour("MQ03")
@pytest.mark.parametrize(
    "state",
    [
        ConfState((), (1,)),  # learners alone
        ConfState((1,), (1,)),  # both at once
        ConfState((1,), (), (), (2,)),  # waiting outside a joint state
        ConfState((1,), auto_leave=True),
        ConfState((1,), (), (2,), (3,)),  # waiting without having voted
        ConfState((1,), (2,), (1, 2)),  # a learner of the outgoing half has to wait
        ConfState((), (), (1,)),
        ConfState((1, 1)),
    ],
)
def test_a_membership_that_contradicts_itself_is_refused(state: ConfState) -> None:
    with pytest.raises(ConfChangeError):
        restore(10, 0, state, 9)
