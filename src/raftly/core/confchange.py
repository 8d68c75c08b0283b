"""Membership changes as arithmetic: from a configuration and a list of changes to the next configuration.

The Changer works on copies and checks what must always hold before and after, so a refused change leaves everything
as it was. Existing progress is never reset by a change.

Source: Raft thesis §4.1, §4.3; compare etcd-io/raft confchange/.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn, final

from raftly.base.membership import ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState
from raftly.base.types import Index
from raftly.core.quorum import JointConfig
from raftly.core.tracker import Progress, ProgressTracker, TrackerConfig
from raftly.errors import ConfChangeError


@final
class Changer:
    """Applies changes to the configuration of `tracker`, which stays untouched; `last_index` is the log's."""

    __slots__ = ("_last_index", "_tracker")

    def __init__(self, tracker: ProgressTracker, last_index: Index) -> None:
        self._tracker = tracker
        self._last_index = last_index

    def change(self, change: ConfChangeV2) -> tuple[TrackerConfig, dict[int, Progress]]:
        """Whatever `change` asks for: leave the joint state, enter one, or take the simple path.

        Raises:
            ConfChangeError: not possible from the present configuration.
        """
        if change.leaves_joint():
            return self.leave_joint()
        if change.enters_joint():
            return self.enter_joint(change.auto_leave(), change.changes)
        return self.simple(change.changes)

    def simple(self, changes: Iterable[ConfChangeSingle]) -> tuple[TrackerConfig, dict[int, Progress]]:
        """Apply changes that alter at most one voter; majorities before and after then overlap (thesis §4.1).

        Raises:
            ConfChangeError: joint, more than one voter changed, or no voter left.
        """
        draft = self._draft()
        if draft.outgoing:
            _refuse("can't apply simple config change in joint config")
        before = set(draft.incoming)
        draft.apply(changes)
        if len(before ^ draft.incoming) > 1:
            _refuse("more than one voter changed without entering joint config")
        return draft.finish()

    def enter_joint(
        self, auto_leave: bool, changes: Iterable[ConfChangeSingle]
    ) -> tuple[TrackerConfig, dict[int, Progress]]:
        """Keep the present voters as the outgoing half and apply the changes to the incoming one (thesis §4.3).

        Raises:
            ConfChangeError: already joint, or no voters before or after.
        """
        draft = self._draft()
        if draft.outgoing:
            _refuse("config is already joint")
        if not draft.incoming:
            _refuse("can't make a zero-voter config joint")
        draft.outgoing = set(draft.incoming)
        draft.apply(changes)
        draft.auto_leave = auto_leave
        return draft.finish()

    def leave_joint(self) -> tuple[TrackerConfig, dict[int, Progress]]:
        """Drop the outgoing half; those who were to become learners become learners.

        Raises:
            ConfChangeError: not joint.
        """
        draft = self._draft()
        if not draft.outgoing:
            _refuse("can't leave a non-joint config")
        for id_ in sorted(draft.learners_next):
            draft.learners.add(id_)
            draft.progress[id_].is_learner = True
        draft.learners_next = set()
        for id_ in sorted(draft.outgoing):
            if id_ not in draft.incoming and id_ not in draft.learners:
                del draft.progress[id_]
        draft.outgoing = set()
        draft.auto_leave = False
        return draft.finish()

    def _draft(self) -> _Draft:
        config = self._tracker.config
        progress = {id_: old.copy() for id_, old in self._tracker.peers}
        check_invariants(config, progress)
        return _Draft(self._tracker, self._last_index, config, progress)


@final
class _Draft:
    """A configuration in the making."""

    __slots__ = (
        "_last_index",
        "_tracker",
        "auto_leave",
        "incoming",
        "learners",
        "learners_next",
        "outgoing",
        "progress",
    )

    def __init__(
        self, tracker: ProgressTracker, last_index: Index, config: TrackerConfig, progress: dict[int, Progress]
    ) -> None:
        self._tracker = tracker
        self._last_index = last_index
        self.progress = progress
        self.incoming: set[int] = set(config.voters.incoming.ids)
        self.outgoing: set[int] = set(config.voters.outgoing.ids)
        self.learners: set[int] = set(config.learners)
        self.learners_next: set[int] = set(config.learners_next)
        self.auto_leave = config.auto_leave

    def apply(self, changes: Iterable[ConfChangeSingle]) -> None:
        for change in changes:
            if change.node_id == 0:
                continue  # how etcd marks a change that a hook cancelled
            if change.type == ConfChangeType.ADD_NODE:
                self._make_voter(change.node_id)
            elif change.type == ConfChangeType.ADD_LEARNER_NODE:
                self._make_learner(change.node_id)
            elif change.type == ConfChangeType.REMOVE_NODE:
                self._remove(change.node_id)
        if not self.incoming:
            _refuse("removed all voters")

    def finish(self) -> tuple[TrackerConfig, dict[int, Progress]]:
        config = TrackerConfig(
            JointConfig(tuple(sorted(self.incoming)), tuple(sorted(self.outgoing))),
            tuple(sorted(self.learners)),
            tuple(sorted(self.learners_next)),
            self.auto_leave,
        )
        check_invariants(config, self.progress)
        return config, self.progress

    def _make_voter(self, id_: int) -> None:
        progress = self.progress.get(id_)
        if progress is None:
            self._track(id_, is_learner=False)
        else:
            progress.is_learner = False
            self.learners.discard(id_)
            self.learners_next.discard(id_)
        self.incoming.add(id_)

    def _make_learner(self, id_: int) -> None:
        progress = self.progress.get(id_)
        if progress is None:
            self._track(id_, is_learner=True)
            self.learners.add(id_)
            return
        if progress.is_learner:
            return
        self._remove(id_)
        self.progress[id_] = progress
        # A voter of the outgoing half stays one until the joint state is left (thesis §4.3).
        if id_ in self.outgoing:
            self.learners_next.add(id_)
        else:
            progress.is_learner = True
            self.learners.add(id_)

    def _remove(self, id_: int) -> None:
        if id_ not in self.progress:
            return
        self.incoming.discard(id_)
        self.learners.discard(id_)
        self.learners_next.discard(id_)
        if id_ not in self.outgoing:
            del self.progress[id_]

    def _track(self, id_: int, *, is_learner: bool) -> None:
        # Active at first, so that the next quorum check does not count a newcomer as lost.
        self.progress[id_] = Progress(
            max(self._last_index, 1), self._tracker.new_inflights(), is_learner=is_learner, active=True
        )


def check_invariants(config: TrackerConfig, progress: dict[int, Progress]) -> None:
    """What every configuration must satisfy.

    Raises:
        ConfChangeError: it does not.
    """
    voters = config.voters
    incoming, outgoing = set(voters.incoming.ids), set(voters.outgoing.ids)
    for ids in (voters.ids(), config.learners, config.learners_next):
        for id_ in ids:
            if id_ not in progress:
                _refuse(f"no progress for {id_}")
    for id_ in config.learners_next:
        if id_ not in outgoing:
            _refuse(f"{id_} is in LearnersNext, but not Voters[1]")
        if progress[id_].is_learner:
            _refuse(f"{id_} is in LearnersNext, but is already marked as learner")
    for id_ in config.learners:
        if id_ in outgoing:
            _refuse(f"{id_} is in Learners and Voters[1]")
        if id_ in incoming:
            _refuse(f"{id_} is in Learners and Voters[0]")
        if not progress[id_].is_learner:
            _refuse(f"{id_} is in Learners, but is not marked as learner")
    if not outgoing:
        if config.learners_next:
            _refuse("cfg.LearnersNext must be nil when not joint")
        if config.auto_leave:
            _refuse("AutoLeave must be false when not joint")


def restore(
    inflight_max: int, inflight_bytes_max: int, conf_state: ConfState, last_index: Index
) -> tuple[TrackerConfig, dict[int, Progress]]:
    """Build the configuration that `conf_state` describes from nothing.

    Raises:
        ConfChangeError: no sequence of changes leads to it.
    """
    tracker = ProgressTracker(inflight_max, inflight_bytes_max)
    voters = [ConfChangeSingle(ConfChangeType.ADD_NODE, id_) for id_ in conf_state.voters]
    learners = [ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, id_) for id_ in conf_state.learners]
    if not conf_state.voters_outgoing:
        _build(tracker, last_index, voters + learners)
    else:
        _build(
            tracker, last_index, [ConfChangeSingle(ConfChangeType.ADD_NODE, id_) for id_ in conf_state.voters_outgoing]
        )
        changes = [ConfChangeSingle(ConfChangeType.REMOVE_NODE, id_) for id_ in conf_state.voters_outgoing]
        changes += voters + learners
        changes += [ConfChangeSingle(ConfChangeType.ADD_LEARNER_NODE, id_) for id_ in conf_state.learners_next]
        tracker.switch(*Changer(tracker, last_index).enter_joint(conf_state.auto_leave, changes))
    if not tracker.config.conf_state().equivalent(conf_state):
        _refuse(f"membership contradicts itself: {conf_state} became {tracker.config}")
    return tracker.config, tracker.progress


def _build(tracker: ProgressTracker, last_index: Index, changes: list[ConfChangeSingle]) -> None:
    """Apply changes to an empty configuration. There is no majority to overlap with, so it takes them all at once.

    One by one they would copy every Progress each time: minutes of work for a hostile snapshot of many members.
    """
    if changes:
        draft = _Draft(tracker, last_index, tracker.config, {})
        draft.apply(changes)
        tracker.switch(*draft.finish())


def _refuse(problem: str) -> NoReturn:
    raise ConfChangeError(problem)
