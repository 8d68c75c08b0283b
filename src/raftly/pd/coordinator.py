"""Coordinator: which rules run when, and the plans under way: one a region, so many a kind, so many a store.

    on_report(report)     the region's plan goes on, or its checkers look at it; what to ask its leader for
    on_time()             schedulers look at the cluster, plans that nobody reports on come to their end

`cluster.now_s` is the time; whoever calls sets it before.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, final

from raftly.base.heartbeats import RegionReport
from raftly.base.operators import MergeInto, Operator
from raftly.base.rand import SplitMix64
from raftly.base.region import RegionId
from raftly.pd.cluster import REGION_BYTES_MIN, Cluster
from raftly.pd.moves import HandOver, Move, NewId, Proposal, plan_of
from raftly.pd.operators import Merge, Plan, PlanEnd, PlanKind, Transfer
from raftly.pd.schedulers import balance_leader, balance_region, hot_region, merge_checker, replica_checker

PAUSE_MIN_S: Final = 0.1
PAUSE_MAX_S: Final = 5.0
ENDED_MAX: Final = 1000
ASKED_MAX: Final = 1024
"""Plans of a kind that clients ask for, at once: they all are looked at again and again."""

Rule: TypeAlias = Callable[[Cluster, SplitMix64], Move | HandOver | None]


@final
@dataclass(slots=True)
class _Schedule:
    """A scheduler and when it runs next: less and less often while it finds nothing to do."""

    kind: PlanKind
    rule: Rule
    pause_s: float = PAUSE_MIN_S
    next_s: float = 0.0


@final
class Coordinator:
    """See the module. `new_id` gives ids for peers; `seed` decides what rules choose among equals."""

    def __init__(self, cluster: Cluster, new_id: NewId, seed: int) -> None:
        self.cluster: Final = cluster
        self.plans: Final[dict[RegionId, Plan]] = {}
        self.ended: Final[deque[Plan]] = deque(maxlen=ENDED_MAX)  # lately
        self.schedules_run = True  # False: only checkers do, since too little is known yet
        self._locked: dict[RegionId, RegionId] = {}  # a region that a plan for another one needs as it is
        self._running: Counter[PlanKind] = Counter()  # plans
        self._split_at_s: dict[RegionId, float] = {}
        self._began_s = cluster.now_s
        self._new_id = new_id
        self._rand = SplitMix64(seed)
        self._schedules = [
            _Schedule(PlanKind.LEADER, balance_leader.schedule),
            _Schedule(PlanKind.REGION, balance_region.schedule),
            _Schedule(PlanKind.HOT, hot_region.schedule),
        ]

    # --- what reports and time bring ---

    def on_report(self, report: RegionReport) -> Operator | None:
        """A region reported, and is in the tree: what to ask its leader for, if anything."""
        region_id = report.region.id
        plan = self.plans.get(region_id)
        if plan is not None:
            self._follow(plan, report)
        self.look_at(report)
        plan = self.plans.get(region_id)  # either may have ended it, and the second begun another
        return None if plan is None else self.ask(plan, report)

    def look_at(self, report: RegionReport) -> Plan | None:
        """Let checkers look at a region; a plan that they made."""
        plan = self.plans.get(report.region.id)
        return None if plan is not None and plan.kind.is_urgent else self._look_at(report, plan)

    def ask(self, plan: Plan, report: RegionReport) -> Operator | None:
        """What to ask a region's leader for now; None: wait."""
        successor = self.cluster.successor(report, report.leader) if plan.unseats_leader(report) else None
        operator = plan.ask(report, successor)
        if operator is not None and isinstance(operator.step, MergeInto):
            target = self.cluster.regions.by_id(operator.step.target.id)
            return None if target is None else replace(operator, step=MergeInto(target.region))  # as it is by now
        return operator

    def on_displaced(self, displaced: RegionReport, by: RegionReport) -> None:
        """A region is no more, another one has its range."""
        region_id = displaced.region.id
        self._split_at_s.pop(region_id, None)
        self.cluster.hot.forget(region_id)
        plan = self.plans.get(region_id)
        if plan is not None:
            step = plan.steps[min(plan.current, len(plan.steps) - 1)]
            merged = isinstance(step, Merge) and step.target.id == by.region.id
            self._end(plan, PlanEnd.SUCCESS if merged else PlanEnd.CANCEL)

    def on_split(self, region_ids: list[RegionId]) -> None:
        """These came from a split, or had one: they are not merged for a while."""
        noted = self._split_at_s
        for region_id in region_ids:
            noted.pop(region_id, None)
            noted[region_id] = self.cluster.now_s  # the newest last
        long_ago_s = self.cluster.now_s - self.cluster.config.split_merge_interval_s
        while noted and next(iter(noted.values())) < long_ago_s:
            del noted[next(iter(noted))]  # no different from one that never had a split

    def on_time(self) -> list[Plan]:
        """Let schedulers look, and give up what takes too long. Plans that were made; often enough is every 0.1 s."""
        now_s = self.cluster.now_s
        for late in [plan for plan in self.plans.values() if plan.is_late(self.cluster.config, now_s)]:
            self._end(late, PlanEnd.TIMEOUT)
        made: list[Plan] = []
        for schedule in self._schedules:
            if not self.schedules_run or now_s < schedule.next_s or not self._has_room(schedule.kind):
                continue
            proposal = schedule.rule(self.cluster, self._rand)
            plan = None if proposal is None else self.propose(schedule.kind, proposal)
            schedule.pause_s = min(schedule.pause_s * 2, PAUSE_MAX_S) if plan is None else PAUSE_MIN_S
            schedule.next_s = now_s + schedule.pause_s
            if plan is not None:
                made.append(plan)
        return made

    def _follow(self, plan: Plan, report: RegionReport) -> None:
        """Let the plan go on after this report, or end it."""
        if plan.is_overtaken(report) or self._is_parted(plan, report):
            self._end(plan, PlanEnd.CANCEL)
        elif plan.advance(report, self.cluster.now_s):
            self._end(plan, PlanEnd.SUCCESS)
        elif plan.is_late(self.cluster.config, self.cluster.now_s):
            self._end(plan, PlanEnd.TIMEOUT)

    def _is_parted(self, plan: Plan, report: RegionReport) -> bool:
        """Is it to merge, and cannot any more, since its neighbour split, went, or moved meanwhile?"""
        step, region = plan.steps[plan.current], report.region
        if not isinstance(step, Merge) or region.epoch.version != plan.region.epoch.version:
            return False  # prepared: whether that counts is the stores' to decide
        beside = [other.region for other in self.cluster.regions.neighbours(region) if other is not None]
        target = next((other for other in beside if other.id == step.target.id), None)
        return target is None or {p.store_id for p in target.peers} != {p.store_id for p in region.peers}

    def _look_at(self, report: RegionReport, plan: Plan | None) -> Plan | None:
        """What the checkers want of a region; while something else is planned only what is urgent."""
        if report.region.id in self._locked:
            return None
        if plan is None:
            proposal = replica_checker.check(self.cluster, report)
            if proposal is not None:
                return self.propose(PlanKind.REPAIR, proposal)
            united = merge_checker.check(self.cluster, report, self._is_free, self._split_time)
            return None if united is None else self.propose(PlanKind.MERGE, united)
        lost = any(self.cluster.is_gone(store_id) for store_id in plan.stores_in())
        if lost:
            self._end(plan, PlanEnd.CANCEL)
        return self._look_at(report, None) if lost else None

    def _is_free(self, region_id: RegionId) -> bool:
        return region_id not in self.plans and region_id not in self._locked

    def _split_time(self, region_id: RegionId) -> float:
        return self._split_at_s.get(region_id, self._began_s)

    # --- plans ---

    def propose(self, kind: PlanKind, proposal: Proposal) -> Plan | None:
        """Make a plan of it; None when there is no room, no way, or something else is planned for the region."""
        if not self._has_room(kind):
            return None  # before ids are taken for it
        plan = plan_of(kind, proposal, self.cluster, self._new_id)
        return plan if plan is not None and self.add(plan) else None

    def add(self, plan: Plan) -> bool:
        """Begin with a plan. An urgent one takes the place of one that is not."""
        ids = (plan.region_id, *plan.locked)
        if any(region_id in self._locked for region_id in ids) or not self._has_room(plan.kind):
            return False
        for region_id in ids:
            other = self.plans.get(region_id)
            if other is None:
                continue
            if not plan.kind.is_urgent or other.kind.is_urgent:
                return False
            self._end(other, PlanEnd.REPLACE)
        plan.step_began_s = self.cluster.now_s
        self.plans[plan.region_id] = plan
        self._running[plan.kind] += 1
        self._locked.update(dict.fromkeys(plan.locked, plan.region_id))
        self._count(plan, 1)
        return True

    def cancel(self, region_id: RegionId) -> bool:
        """Give up what is planned for a region; was there anything?"""
        plan = self.plans.get(region_id)
        if plan is not None:
            self._end(plan, PlanEnd.CANCEL)
        return plan is not None

    def plan_of(self, region_id: RegionId) -> Plan | None:
        """What is under way for a region, or what was last."""
        running = self.plans.get(region_id)
        return running or next((plan for plan in reversed(self.ended) if plan.region_id == region_id), None)

    def _has_room(self, kind: PlanKind) -> bool:
        config = self.cluster.config
        limits = {
            PlanKind.REPAIR: config.replica_limit,
            PlanKind.LEADER: config.leader_limit if config.balance_leaders else 0,
            PlanKind.REGION: config.region_limit if config.balance_regions else 0,
            PlanKind.HOT: config.hot_limit if config.balance_hot else 0,
            PlanKind.MERGE: config.merge_limit if config.merge else 0,
            PlanKind.SCATTER: ASKED_MAX,
            PlanKind.SPLIT: ASKED_MAX,
        }
        limit = limits.get(kind)
        return limit is None or self._running[kind] < limit

    def _end(self, plan: Plan, end: PlanEnd) -> None:
        del self.plans[plan.region_id]
        self._running[plan.kind] -= 1
        for region_id in plan.locked:
            del self._locked[region_id]
        plan.end = end
        self.ended.append(plan)
        self._count(plan, -1)

    def _count(self, plan: Plan, sign: int) -> None:
        """Stores are judged by what they will have, or the same one would be chosen again and again meanwhile."""
        report = self.cluster.regions.by_id(plan.region_id)
        size = plan.counted_bytes if sign < 0 else max(report.approximate_bytes if report else 0, REGION_BYTES_MIN)
        plan.counted_bytes = size
        for store_id in plan.stores_in():
            inflow = self.cluster.inflow_of(store_id)
            inflow.bytes += sign * size
            inflow.coming += sign
        for store_id in plan.stores_out():
            inflow = self.cluster.inflow_of(store_id)
            inflow.bytes -= sign * size
            inflow.going += sign
        moves = [step.store_id for step in plan.steps if isinstance(step, Transfer)]
        if moves:
            plan.counted_leader = plan.counted_leader if sign < 0 else report.leader.store_id if report else moves[-1]
            self.cluster.inflow_of(moves[-1]).leaders += sign
            self.cluster.inflow_of(plan.counted_leader).leaders -= sign
