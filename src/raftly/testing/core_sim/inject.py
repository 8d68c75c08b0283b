"""Scripts carried out: each event at its time, and undone after its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Final, TypeAlias, final

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    parse_changes,
)
from raftly.base.types import NO_NODE, NodeId
from raftly.core.messages import MsgReadIndex
from raftly.core.role import Role
from raftly.errors import ProposalError
from raftly.testing.core_sim.faults import CLIENT_KINDS, Fault
from raftly.testing.core_sim.node import Node
from raftly.testing.core_sim.world import World

_SECOND: Final = 1_000_000


@final
class Injector:
    """Carries out one script, from now on."""

    def __init__(self, world: World, script: Sequence[Fault]) -> None:
        self.world = world
        self._script = sorted(script, key=lambda fault: fault.at)
        self._payloads = 0
        self._random = Random(f"{world.seed}/clients")
        self._begun = world.now
        self._at = 0
        self._next(None)

    def _next(self, _: object) -> None:
        """Do what is due, then wait for the next: only one of the script is in the heap at a time."""
        world, script = self.world, self._script
        while self._at < len(script):
            fault = script[self._at]
            due = self._begun + int(fault.at * _SECOND)
            if due > world.now:
                world.after(due - world.now, self._next, None)
                return
            self._at += 1
            if all(id_ in world.nodes for id_ in fault.nodes):
                if fault.kind in CLIENT_KINDS:
                    world.struck[fault.kind] += 1
                    _CLIENTS[fault.kind](self, fault)
                else:
                    world.note(0, "fault", fault)
                    self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        """It counts if it does something; if that is what the run fails with, it did."""
        did = True
        try:
            did = _ACTIONS[fault.kind](self, fault)
        finally:
            if did:
                self.world.struck[fault.kind] += 1

    def later(self, fault: Fault, undo: Callable[[], None]) -> None:
        """Undo a fault when its time is over."""
        self.world.after(int(fault.seconds * _SECOND) + 1, lambda _: undo(), None)

    def node(self, fault: Fault) -> Node:
        """The first node of a fault."""
        return self.world.nodes[fault.nodes[0]]

    # --- clients ---

    def payload(self) -> bytes:
        """One that there never was before."""
        self._payloads += 1
        return b"%d" % self._payloads + b"." * self._random.randrange(30)

    def target(self, fault: Fault) -> Node:
        """Whom a client would ask: mostly one that thinks it leads, rightly or not."""
        leaders = self.world.leaders()
        if leaders and self._random.random() < 0.9:
            return self._random.choice(leaders)
        return self.node(fault)


def write(world: World, node: Node, payloads: list[bytes]) -> None:
    """Propose at a node, and wait for what comes of it."""
    if not node.act() or node.disk_full:
        return
    with suppress(ProposalError):
        last = node.raw.propose_batch(payloads)
        if last:
            term = node.raft.term
            for index in range(last - len(payloads) + 1, last + 1):
                node.application.waiters[index] = term
    node.acted()


def _write(injector: Injector, fault: Fault) -> None:
    payloads = [injector.payload() for _ in range(max(int(fault.amount), 1))]
    write(injector.world, injector.target(fault), payloads)


def _read(injector: Injector, fault: Fault) -> None:
    world, node = injector.world, injector.target(fault)
    if not node.act():
        return
    context = injector.payload()
    checker, raft = world.checker, node.raft
    checker.asked(context)
    if node.holds_lease():
        checker.counts["lease reads"] += 1
        checker.answered(raft, context, node.applied)
    leading = raft.role.value == "StateLeader"
    node.questions[context] = (world.now, raft.term if leading else 0)
    raft.step(MsgReadIndex(raft.id, 0, 0, context))
    node.acted()


# --- processes and machines ---


def _crash(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    alive = node.alive
    node.crash()
    injector.later(fault, node.boot)
    return alive


def _exit(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    alive = node.alive
    node.exit()
    injector.later(fault, node.boot)
    return alive


def _crash_at_write(injector: Injector, fault: Fault) -> bool:
    injector.node(fault).fuse = int(fault.amount)
    return True


def _crash_all(injector: Injector, fault: Fault) -> bool:
    alive = any(node.alive for node in injector.world.nodes.values())
    for node in injector.world.nodes.values():
        node.crash()
        injector.later(fault, node.boot)
    return alive


def _pause(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    node.paused_until = max(node.paused_until, injector.world.now + int(fault.seconds * _SECOND))
    return node.alive


# --- the network ---


def _cut(injector: Injector, fault: Fault, edges: list[tuple[NodeId, NodeId]]) -> bool:
    network = injector.world.network
    network.cut(edges)
    injector.later(fault, lambda: network.cut(edges, -1))
    return bool(edges)


def _from(injector: Injector, id_: NodeId) -> list[tuple[NodeId, NodeId]]:
    return [(id_, other) for other in injector.world.ids if other != id_]


def _back(edges: list[tuple[NodeId, NodeId]]) -> list[tuple[NodeId, NodeId]]:
    return [(b, a) for a, b in edges]


def _between(a: Sequence[NodeId], b: Sequence[NodeId]) -> list[tuple[NodeId, NodeId]]:
    edges = [(x, y) for x in a for y in b]
    return edges + _back(edges)


def _isolate(injector: Injector, fault: Fault) -> bool:
    edges = _from(injector, fault.nodes[0])
    return _cut(injector, fault, edges + _back(edges))


def _deaf(injector: Injector, fault: Fault) -> bool:
    return _cut(injector, fault, _back(_from(injector, fault.nodes[0])))


def _mute(injector: Injector, fault: Fault) -> bool:
    return _cut(injector, fault, _from(injector, fault.nodes[0]))


def _split(injector: Injector, fault: Fault) -> bool:
    return _cut(injector, fault, _between(fault.nodes, [id_ for id_ in injector.world.ids if id_ not in fault.nodes]))


def _bridge(injector: Injector, fault: Fault) -> bool:
    rest = [id_ for id_ in injector.world.ids if id_ != fault.nodes[0]]
    half = len(rest) // 2
    return _cut(injector, fault, _between(rest[:half], rest[half:]))


def _cut_one(injector: Injector, fault: Fault) -> bool:
    return len(fault.nodes) > 1 and _cut(injector, fault, [(fault.nodes[0], fault.nodes[1])])


def _flap(injector: Injector, fault: Fault) -> bool:
    if len(fault.nodes) < 2:
        return False
    world = injector.world
    edges = _between(fault.nodes[:1], fault.nodes[1:2])
    until = world.now + int(fault.seconds * _SECOND)

    def turn(by: int) -> None:
        world.network.cut(edges, by)
        if by < 0 or world.now < until:
            world.after(int(fault.amount * _SECOND), lambda _: again(-by), None)

    def again(by: int) -> None:
        if by < 0 or world.now < until:
            turn(by)

    turn(1)
    return True


def _slow_link(injector: Injector, fault: Fault) -> bool:
    links = [injector.world.network.links[edge] for edge in _from(injector, fault.nodes[0])]
    for link in links:
        link.slow = fault.amount

    def undo() -> None:
        for link in links:
            link.mend()

    injector.later(fault, undo)
    return bool(links)


def _loss(injector: Injector, fault: Fault) -> bool:
    links = [injector.world.network.links[edge] for edge in _from(injector, fault.nodes[0])]
    for link in links:
        link.loss = fault.amount

    def undo() -> None:
        for link in links:
            link.loss = 0.0

    injector.later(fault, undo)
    return bool(links)


def _late(injector: Injector, fault: Fault) -> bool:
    links = [injector.world.network.links[edge] for edge in _from(injector, fault.nodes[0])]
    for link in links:
        link.late_us = int(fault.amount * _SECOND)

    def undo() -> None:
        for link in links:
            link.late_us = 0

    injector.later(fault, undo)
    return bool(links)


# --- disks and clocks ---


def _slow_disk(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    node.disk_slow = fault.amount

    def undo() -> None:
        node.disk_slow = 1.0

    injector.later(fault, undo)
    return True


def _stall_disk(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    node.disk_stalled_until = max(node.disk_stalled_until, injector.world.now + int(fault.seconds * _SECOND))
    return True


def _full_disk(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    node.fill_disk(int(fault.amount))
    injector.later(fault, lambda: node.fill_disk(None))
    return True


def _sync_error(injector: Injector, fault: Fault) -> bool:
    injector.node(fault).sync_errors = 1
    return True


def _clock_rate(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    node.rate = fault.amount

    def undo() -> None:
        node.rate = 1.0

    injector.later(fault, undo)
    return True


# --- what operators and applications do ---


def _transfer(injector: Injector, fault: Fault) -> bool:
    to, begun = fault.nodes[0], False
    for node in injector.world.leaders():
        before = node.raft.lead_transferee
        node.raw.transfer_leader(to)
        begun |= node.raft.lead_transferee == to != before
        node.acted()
    return begun


def _campaign(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    if not node.act():
        return False
    may = node.raft.role is not Role.LEADER and node.raft.promotable()
    node.raw.campaign()
    node.acted()
    return may


def _leader_lost(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    if not node.act():
        return False
    leader = node.raft.leader
    node.raw.report_leader_lost(leader)
    node.raw.report_unreachable(leader)
    node.acted()
    return leader not in {NO_NODE, node.id}


def _compact(injector: Injector, fault: Fault) -> bool:
    node = injector.node(fault)
    if not node.act():
        return False
    is_new = node.applied > node.log.snapshot_meta.meta.index
    node.application.compact()
    node.acted()
    return is_new


def _change(injector: Injector, fault: Fault) -> bool:
    random, proposed = Random(int(fault.amount)), False
    for node in injector.world.leaders():
        change = _draw_change(random, node.conf, injector.world.ids)
        injector.world.note(node.id, "is asked for", change)
        with suppress(ProposalError):
            node.raw.propose_conf_change(change)
            proposed = True
        node.acted()
    return proposed


def _draw_change(random: Random, members: ConfState, ids: Sequence[NodeId]) -> AnyConfChange | None:
    if members.voters_outgoing and random.random() < 0.8:
        return None
    if random.random() < 0.5:
        kind = random.choice((ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE, ConfChangeType.REMOVE_NODE))
        return ConfChange(kind, random.choice(ids))
    some = random.sample(list(ids), random.randint(1, max(len(ids) - 1, 1)))
    tokens = " ".join(f"{random.choice('vvlr')}{id_}" for id_ in some)
    return ConfChangeV2(parse_changes(tokens), random.choice(list(ConfChangeTransition)))


def _raft_rs(injector: Injector, fault: Fault) -> bool:
    node, random, ids = injector.node(fault), Random(int(fault.amount)), injector.world.ids
    if not node.act():
        return False
    raw, done = node.raw, False

    def in_groups() -> None:
        raw.assign_commit_groups([(id_, random.randint(1, 2)) for id_ in ids])
        raw.enable_group_commit(True)

    doing: list[tuple[str, Callable[[], None]]] = [
        ("forgets its leader", raw.forget_leader),
        ("pings", raw.ping),
        ("has another priority", lambda: raw.set_priority(random.randint(0, 2))),
        ("has another window", lambda: raw.adjust_max_inflight_msgs(random.choice(ids), random.choice((0, 1, 8)))),
        ("commits in groups", in_groups),
        ("asks for a snapshot", raw.request_snapshot),
    ]
    what, do = random.choice(doing)
    injector.world.note(node.id, what)
    with suppress(ProposalError):
        do()
        injector.world.rare[what] += 1
        done = True
    node.acted()
    return done


_Action: TypeAlias = Callable[[Injector, Fault], bool]
"""Did it do anything?"""

_CLIENTS: Final[dict[str, Callable[[Injector, Fault], None]]] = {"write": _write, "read": _read}
_ACTIONS: Final[dict[str, _Action]] = {
    "crash": _crash,
    "exit": _exit,
    "crash_at_write": _crash_at_write,
    "crash_all": _crash_all,
    "pause": _pause,
    "isolate": _isolate,
    "deaf": _deaf,
    "mute": _mute,
    "split": _split,
    "bridge": _bridge,
    "cut": _cut_one,
    "flap": _flap,
    "slow_link": _slow_link,
    "loss": _loss,
    "late": _late,
    "slow_disk": _slow_disk,
    "stall_disk": _stall_disk,
    "full_disk": _full_disk,
    "sync_error": _sync_error,
    "clock_rate": _clock_rate,
    "transfer": _transfer,
    "campaign": _campaign,
    "leader_lost": _leader_lost,
    "compact": _compact,
    "change": _change,
    "raft_rs": _raft_rs,
}
