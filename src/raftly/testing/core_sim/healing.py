"""The end of a run: nothing is wrong any more, so the members must agree, get work done and come to rest."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from raftly.base.membership import ConfState
from raftly.base.types import NodeId
from raftly.core.role import Role
from raftly.errors import ProposalError
from raftly.testing.core_sim.inject import write
from raftly.testing.core_sim.node import Node
from raftly.testing.core_sim.world import World

_STEP_US: Final = 100_000
_OPERATOR_US: Final = 500_000
_HIDDEN_US: Final = 6_000_000
_TOLD_US: Final = 3_000_000
NEVER: Final = 1 << 62
"""A time in microseconds."""


class NotLive(AssertionError):
    """All was healed, and still the cluster does not get on."""


def heal(world: World) -> None:
    """Everything is well from now on, and every node is up."""
    world.note(0, "heal")
    world.network.heal()
    for node in world.nodes.values():
        node.disk_slow, node.disk_stalled_until, node.sync_errors, node.fuse = 1.0, 0, 0, 0
        node.fill_disk(None)
        node.rate, node.paused_until = 1.0, 0
        node.boot()
        if node.alive:
            node.raw.set_priority(0)
            node.raw.enable_group_commit(False)
            node.acted()


def converge(world: World, within_us: int, stop_us: int = NEVER) -> int:
    """Let time pass until all members are equal and at rest, and a write was acknowledged; how long that took.

    At `stop_us` it gives up, and no harm: a run that is looked at only so far.

    Raises:
        NotLive: it took too long.
    """
    healed, acknowledged = world.now, world.acknowledged
    within_us += _backlog(world) * world.drawn.apply_us
    next_look = world.now + _OPERATOR_US
    switched_off = told = False
    while True:
        world.run_until(min(world.now + _STEP_US, stop_us))
        if world.now >= stop_us:
            return world.now - healed
        leader = _leader(world)
        if leader is not None and world.acknowledged == acknowledged:
            write(world, leader, [b"after healing"])
        elif leader is not None and _is_converged(world, leader):
            world.checker.sweep(leader.raft)
            world.checker.check_written(leader.raft)
            return world.now - healed
        if world.now >= next_look:
            next_look = world.now + _OPERATOR_US
            if leader is not None:
                _operate(world, leader)
            elif world.now - healed > _HIDDEN_US:
                if not told and is_a_change_hidden(world):
                    told = True
                    _tell_commits_in_votes(world)
                    next_look = (
                        world.now + _TOLD_US
                    )  # perhaps only those know of the change who are no members any more
                elif not switched_off:
                    switched_off = True
                    _switch_off_disruptors(world)
                    within_us += _climb_us(world)
        if world.now - healed > within_us:
            raise NotLive(_stuck(world, within_us, "no write was acknowledged" * (world.acknowledged == acknowledged)))


def _backlog(world: World) -> int:
    """How many entries the slowest application has before it: it may have to take them one at a time."""
    running = [node for node in world.nodes.values() if node.alive]
    last = max((node.raft.log.last_index for node in running), default=0)
    return last - min((node.applied for node in running), default=last)


def _leader(world: World) -> Node | None:
    return max(world.leaders(), key=lambda node: node.raft.term, default=None)


def members_of(conf: ConfState) -> list[NodeId]:
    """All of them, ascending."""
    return sorted({*conf.voters, *conf.voters_outgoing, *conf.learners, *conf.learners_next})


def _operate(world: World, leader: Node) -> None:
    """What an operator would do: switch off who is no member, leave a joint configuration, restart who is stuck."""
    log = leader.raft.log
    members = members_of(leader.conf)
    for id_ in members:
        leader.raw.adjust_max_inflight_msgs(id_, world.drawn.config.max_inflight_msgs)
    if any(progress.pending_request_snapshot for _, progress in leader.raft.tracker.peers):
        # Who asked may have forgotten it with its process; the leader sends it nothing else until it has one so new.
        leader.application.compact(at_once=True)
        leader.acted()
    if log.last_index == log.committed == leader.applied and leader.raft.committed_in_term():  # no change on its way
        for node in world.nodes.values():
            if node.id not in members and node.alive:
                world.note(node.id, "is no member, and switched off")
                node.retired = True
                node.exit()
            elif node.id in members and not node.alive:  # a change that was on its way brought it back
                node.retired = False
                node.boot()
    config = world.drawn.config
    answered = config.pre_vote or config.check_quorum
    if not answered and any(world.nodes[id_].raft.term > leader.raft.term for id_ in members if world.nodes[id_].alive):
        # With neither pre-vote nor check-quorum nobody answers a leader of an older term, so a learner that has heard
        # of a later one, and cannot campaign, waits until this leader starts over.
        leader.exit()
        leader.boot()
        return
    if leader.conf.voters_outgoing and not leader.conf.auto_leave:
        with suppress(ProposalError):
            leader.raw.propose_conf_change(None)
        leader.acted()


def _switch_off_disruptors(world: World) -> None:
    """Whoever is no voter in the newest membership, until there is a leader.

    Without pre-vote one that was removed or made a learner, and does not know, campaigns for ever, and takes every
    member to its terms before a candidate with lower ones can get there (thesis §4.2.3).
    """
    newest = max((node for node in world.nodes.values() if node.alive), key=lambda node: node.applied)
    voters = {*newest.conf.voters, *newest.conf.voters_outgoing}
    for node in world.nodes.values():
        if node.id not in voters and node.alive:
            world.note(node.id, "is no voter, and switched off until somebody leads")
            node.exit()


def _climb_us(world: World) -> int:
    """How long a candidate may take to the terms that disruptors led others to: one term each time-out.

    Without pre-vote nobody tells it of them: as in etcd, a vote request of an older term is ignored.
    """
    config = world.drawn.config
    terms = [node.raft.term for node in world.nodes.values() if node.alive]
    return 0 if config.pre_vote or not terms else (max(terms) - min(terms)) * 2 * config.election_tick * world.tick_us


def is_a_change_hidden(world: World) -> bool:
    """Is there a voter that has not applied the newest membership? Without one nothing excuses that nobody leads."""
    running = [node for node in world.nodes.values() if node.alive]
    newest = max(running, key=lambda node: node.applied, default=None)
    if newest is None:
        return False
    voters = {*newest.conf.voters, *newest.conf.voters_outgoing}
    return any(node.id in voters and node.conf != newest.conf for node in running)


def _tell_commits_in_votes(world: World) -> None:
    """The way out when the last voter does not know that it is one: raft-rs's option, for which this is the reason.

    Those who know of the change that it has not heard to be committed are no voters any more, and their longer logs
    keep it from being elected by the old majority (behaviours X30 and X31).
    """
    world.note(0, "commits are told in votes")
    world.checker.counts["hidden changes"] += 1
    for node in world.nodes.values():
        running = node.alive
        node.exit()
        node.tell_commits_in_votes()
        if running:
            node.boot()


def _is_converged(world: World, leader: Node) -> bool:
    raft = leader.raft
    if len(world.leaders()) != 1 or leader.conf.voters_outgoing or not raft.committed_in_term():
        return False
    members = [world.nodes[id_] for id_ in members_of(leader.conf)]
    return raft.log.committed == raft.log.last_index and all(
        node.alive
        and node.applied == raft.log.committed
        and (node.state, node.conf) == (leader.state, leader.conf)
        and _is_at_rest(node)
        for node in members
    )


def _is_at_rest(node: Node) -> bool:
    """No counter is above zero that counts what is under way: one that leaks refuses all work one day."""
    raft = node.raft
    if raft.log.unstable.entries or raft.log.applying_bytes or raft.pending_reads:
        return False
    if raft.role is not Role.LEADER:
        return True
    return raft.uncommitted_bytes == 0 and all(
        peer.inflights.count() == 0 and peer.match == raft.log.last_index
        for id_, peer in raft.tracker.peers
        if id_ != raft.id
    )


def _stuck(world: World, within_us: int, problem: str) -> str:
    lines = [f"not converged {within_us / 1e6:g} s after healing {problem}"]
    for node in world.nodes.values():
        if not node.alive:
            lines.append(f"{node.id} is off")
            continue
        raft = node.raft
        lines.append(f"{node.id} {raft.role.value} term={raft.term} {raft.log} last={raft.log.last_index}")
        lines.append(
            f"    {raft.tracker.config} leader={raft.leader} applied={node.applied} state={node.state:x} "
            f"uncommitted={raft.uncommitted_bytes} applying={raft.log.applying_bytes} reads={len(raft.pending_reads)}"
        )
        if raft.role is Role.LEADER:
            lines += [f"    {id_}: {progress}" for id_, progress in raft.tracker.peers]
    return "\n".join(lines)
