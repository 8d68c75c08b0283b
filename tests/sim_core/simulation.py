"""A cluster driven by chance: one small step at a time, each judged by the safety checker, all of it from one seed.

Messages are lost, doubled and reordered; the network splits; nodes crash between any two steps of their Ready and lose
what was not synced; logs are compacted; members come, go, learn and are promoted, through joint states too. At the end
the network heals, and the cluster must agree on one history and get new work done.
"""

from __future__ import annotations

import contextlib
import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
    parse_changes,
)
from raftly.core.config import Config, ReadOnlyOption
from raftly.core.messages import Message, MsgReadIndex, MsgSnap
from raftly.core.role import Role
from raftly.errors import PeerNotFound, ProposalError, RaftlyError
from tests.sim_core.host import SimHost
from tests.sim_core.leases import Leases, with_leases
from tests.sim_core.safety import SafetyChecker
from tests.support.network import Host, storage_with

IDS = range(1, 6)  # hosts that exist; the first few are the first members


class Simulation:
    """One cluster and its fate. `run` it; a violation raises SafetyViolationError, a stand-still StuckError."""

    def __init__(self, seed: int, *, asynchronous: bool | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.checker = SafetyChecker()
        self.config = self._draw_config(asynchronous)
        lease_rng = random.Random(f"leases {seed}")
        if lease_rng.random() < 0.3:
            self.config = with_leases(self.config, lease_rng)
        self.leases = Leases(self.config.lease_tick, self.checker)
        voters = tuple(IDS[: self.rng.choice((1, 2, 3, 3, 3, 4, 5))])
        self.hosts = {
            id_: SimHost(
                replace(self.config, id=id_, priority=self.rng.randint(0, 2) if self.rng.random() < 0.2 else 0),
                storage_with(voters=voters),
                self.checker,
            )
            for id_ in IDS
        }
        self.flying: list[Message] = []
        self.side: dict[int, int] = dict.fromkeys(IDS, 0)  # the side of the split that a host is on
        self.loss = self.rng.choice((0.0, 0.02, 0.1))
        self.duplication = self.rng.choice((0.0, 0.02, 0.1))
        self.payloads = 0
        self.steps: deque[str] = deque(maxlen=60)  # the last ones, for whoever reads a failure
        self.verbose = False
        self._actions: list[tuple[Callable[[], None], float]] = [
            (self._deliver, 45),
            (self._work, 40),
            (self._tick, 10),
            (self._propose, 6),
            (self._read, 3),
            (self._propose_conf_change, 2),
            (self._compact, 1),
            (self._crash, 1.2),
            (self._split, 1),
            (self._campaign, 0.8),
            (self._transfer, 0.4),
            (self._report, 1),
            (self._raft_rs, 0.5),
        ]
        if self.config.lease_tick:
            self._actions += [(self._lose_leader, 2), (self._read, 3)]

    def _draw_config(self, asynchronous: bool | None) -> Config:
        rng = self.rng

        def maybe(chance: float = 0.3) -> bool:
            return rng.random() < chance

        async_writes = maybe(0.5) if asynchronous is None else asynchronous
        check_quorum = maybe(0.5)
        message_bytes = rng.choice((0, 40, 200, 1 << 20))
        return Config(
            id=1,
            seed=self.seed,
            election_tick=rng.choice((3, 5, 10)),
            async_storage_writes=async_writes,
            max_size_per_msg=message_bytes,
            max_committed_size_per_ready=rng.choice((0, 1, 100, 1 << 20)),
            max_uncommitted_entries_size=rng.choice((0, 50, 1 << 20)),
            max_inflight_msgs=rng.choice((1, 2, 16, 256)),
            max_inflight_bytes=rng.choice((0, 0, message_bytes)),
            check_quorum=check_quorum,
            pre_vote=maybe(0.5),
            read_only_option=ReadOnlyOption.LEASE_BASED if check_quorum and maybe(0.2) else ReadOnlyOption.SAFE,
            disable_proposal_forwarding=maybe(0.2),
            step_down_on_removal=maybe(0.5),
            skip_bcast_commit=maybe(0.2),
            batch_append=maybe(),
            max_apply_unpersisted_log_limit=rng.choice((0, 0, 3)) if async_writes else 0,
            commit_in_votes=maybe(),
            report_commit=maybe(),
            drop_early_reads=maybe(0.2),
            free_inflight_on_heartbeat=maybe(0.2),
            snapshot_must_reach_pending=maybe(0.2),
            count_own_uncommitted=maybe(0.2),
            group_commit=maybe(0.1),
        )

    # --- running ---

    def run(self, steps: int) -> None:
        """So many random steps, then heal and converge."""
        actions = [action for action, _ in self._actions]
        weights = [weight for _, weight in self._actions]
        for action in self.rng.choices(actions, weights, k=steps):
            action()
            self.leases.check(self.hosts)
        self._converge()

    def _note(self, what: str, host: Host, about: object = "") -> None:
        line = f"{what} {host.id} {about}"
        self.steps.append(line)
        if self.verbose:
            print(line)  # noqa: T201 - asked for

    def _some_host(self) -> SimHost:
        return self.hosts[self.rng.choice(IDS)]

    def _leaders(self) -> list[SimHost]:
        return [host for host in self.hosts.values() if host.raft.role is Role.LEADER]

    def _likely_leader(self) -> SimHost:
        """Whom a client would ask: mostly one that thinks it leads, rightly or not."""
        leaders = self._leaders()
        return self.rng.choice(leaders) if leaders and self.rng.random() < 0.7 else self._some_host()

    # --- messages ---

    def _send(self, host: SimHost, messages: Iterable[Message]) -> None:
        for message in messages:
            self.checker.sent(host, message)
            self.leases.sent(host, message)
            self.flying.append(message)
        while len(self.flying) > 400:
            self._lose(self.flying.pop(self.rng.randrange(len(self.flying))))

    def _lose(self, message: Message) -> None:
        if isinstance(message, MsgSnap):
            self.hosts[message.from_].snapshot_reports.append((message.to, True))

    def _deliver(self) -> None:
        if not self.flying:
            return
        # Mostly in order, since nothing would come about otherwise.
        at = 0 if self.rng.random() < 0.7 else self.rng.randrange(len(self.flying))
        message = self.flying[at]
        if self.rng.random() >= self.duplication:
            self.flying.pop(at)
        if self.side[message.from_] != self.side[message.to] or self.rng.random() < self.loss:
            self._lose(message)
            return
        if isinstance(message, MsgSnap):
            self.hosts[message.from_].snapshot_reports.append((message.to, False))
        host = self.hosts[message.to]
        self._note("deliver", host, message)
        self._step(host, message)

    def _step(self, host: SimHost, message: Message) -> None:
        with contextlib.suppress(
            PeerNotFound, ProposalError, RaftlyError
        ):  # from a node that has left, or a forwarded proposal that comes at a bad moment
            host.node.step(message)
        self.checker.look(host)

    # --- a host at work ---

    def _work(self) -> None:
        busy = [host for host in self.hosts.values() if host.is_busy()]
        if busy:
            host = self.rng.choice(busy)
            for _ in range(self.rng.randint(1, 4)):
                self._work_on(host)

    def _work_on(self, host: SimHost) -> bool:
        """One step of a host's loop; False when there is nothing to do."""
        if host.config.async_storage_writes:
            return self._work_async(host)
        if host.working is None:
            if not host.node.has_ready():
                return False
            self._note("ready", host)
            host.working = host.accept_ready()
            self._check_reads(host)
        elif not host.saved:
            self._note("save", host, host.working[0].hard_state)
            host.save(host.working[0])
            host.saved = True
            self._send(host, host.working[1])
        else:
            self._note("apply", host, host.working[0].committed_entries)
            host.apply(host.working[0].committed_entries)
            host.node.advance()
            host.working, host.saved = None, False
        self.checker.look(host)
        return True

    def _work_async(self, host: SimHost) -> bool:
        jobs: list[tuple[str, Callable[[], None]]] = []
        if host.node.has_ready():
            jobs.append(("ready", lambda: self._take_ready(host)))
        if host.append_queue:
            jobs.append(("append", lambda: self._run_thread(host, host.run_append(), host.append_answers)))
        if host.apply_queue:
            jobs.append(("apply", lambda: self._run_thread(host, host.run_apply(), host.apply_answers)))
        if host.append_answers:
            jobs.append(("append answer", lambda: self._step(host, host.append_answers.popleft())))
        if host.apply_answers:
            jobs.append(("apply answer", lambda: self._step(host, host.apply_answers.popleft())))
        if not jobs:
            return False
        what, job = self.rng.choice(jobs)
        self._note(what, host)
        job()
        self.checker.look(host)
        return True

    def _take_ready(self, host: SimHost) -> None:
        self._send(host, host.run_ready())
        self._check_reads(host)

    def _run_thread(self, host: SimHost, answers: Iterable[Message], own: deque[Message]) -> None:
        for answer in answers:
            if answer.to == host.id:
                self.checker.sent(host, answer)
                own.append(answer)
            else:
                self._send(host, [answer])

    def _check_reads(self, host: SimHost) -> None:
        for state in host.read_states:
            # A lease is as good as the clocks; those here go as they please.
            if self.config.read_only_option is ReadOnlyOption.SAFE:
                self.checker.answered(host, state)
            self.leases.answered(host, state)
        host.read_states = []

    # --- what else happens ---

    def _tick(self) -> None:
        if self.config.lease_tick:
            self.leases.tick(self.hosts.values(), self.rng)
            for host in self.hosts.values():
                self.checker.look(host)
            return
        host = self._some_host()
        ticks = self.rng.randint(1, 3)
        self._note("tick", host, ticks)
        for _ in range(ticks):
            host.node.tick()
        self.checker.look(host)

    def _propose(self) -> None:
        self._propose_at(self._likely_leader())

    def _propose_at(self, host: SimHost) -> None:
        batch = [self._payload() for _ in range(self.rng.choice((1, 1, 1, 5)))]
        self._note("propose", host, batch)
        with contextlib.suppress(ProposalError):
            host.node.propose_batch(batch)
        self.checker.look(host)

    def _payload(self) -> bytes:
        self.payloads += 1
        return b"%d" % self.payloads + b"." * self.rng.randrange(30)

    def _read(self) -> None:
        host = self._likely_leader()
        context = b"read %d" % self.payloads
        self.payloads += 1
        self._note("read", host, context)
        self.checker.asked(context)
        self.leases.asked(host, context)
        host.node.step(MsgReadIndex(host.id, 0, 0, context))
        self.checker.look(host)

    def _propose_conf_change(self) -> None:
        leaders = self._leaders()
        if not leaders:
            return
        host = self.rng.choice(leaders)
        change = self._draw_conf_change(host.conf_state)
        self._note("change", host, change)
        with contextlib.suppress(ProposalError):
            host.node.propose_conf_change(change)
        self.checker.look(host)

    def _draw_conf_change(self, members: ConfState) -> AnyConfChange | None:
        rng = self.rng
        if members.voters_outgoing and rng.random() < 0.8:
            return None
        if rng.random() < 0.5:
            kind = rng.choice((ConfChangeType.ADD_NODE, ConfChangeType.ADD_LEARNER_NODE, ConfChangeType.REMOVE_NODE))
            return ConfChange(kind, rng.choice(IDS))
        tokens = " ".join(f"{rng.choice('vvlr')}{id_}" for id_ in rng.sample(IDS, rng.randint(1, 4)))
        return ConfChangeV2(parse_changes(tokens), rng.choice(list(ConfChangeTransition)))

    def _compact(self) -> None:
        host = self._some_host()
        if host.can_compact():
            self._note("compact", host, host.applied_index)
            host.compact()
            self.checker.look(host)

    def _crash(self) -> None:
        host = self._some_host()
        self._note("crash", host)
        self.checker.counts["crashes"] += 1
        self._restart(host, lose_unsynced=self.rng.random() < 0.5)

    def _restart(self, host: SimHost, *, lose_unsynced: bool) -> None:
        host.restart(lose_unsynced=lose_unsynced)
        self.checker.restarted(host)
        self.leases.restarted(host)
        self.checker.look(host)

    def _split(self) -> None:
        sides = self.rng.choice((1, 1, 1, 2, 2, 3))
        self.side = {id_: self.rng.randrange(sides) for id_ in IDS}
        self.steps.append(f"split {self.side}")

    def _campaign(self) -> None:
        host = self._some_host()
        self._note("campaign", host)
        host.node.campaign()
        self.checker.look(host)

    def _lose_leader(self) -> None:
        host = self._some_host()
        self._note("leader lost", host, host.raft.leader)
        host.node.report_leader_lost(host.raft.leader)

    def _transfer(self) -> None:
        leaders = self._leaders()
        if leaders:
            host = self.rng.choice(leaders)
            target = self.rng.choice(IDS)
            self._note("transfer", host, target)
            host.node.transfer_leader(target)
            self.checker.look(host)

    def _report(self) -> None:
        for host in self.hosts.values():
            while host.snapshot_reports:
                to, failed = host.snapshot_reports.popleft()
                self._note("snapshot report at", host, (to, failed))
                host.node.report_snapshot(to, failed=failed)
                self.checker.look(host)
        host = self._some_host()
        host.node.report_unreachable(self.rng.choice(IDS))
        self.checker.look(host)

    def _raft_rs(self) -> None:
        """What only raft-rs offers, and what is rarely done."""
        host = self._some_host()
        node = host.node
        doing: list[tuple[str, Callable[[], None]]] = [
            ("forget leader", node.forget_leader),
            ("ping", node.ping),
            ("priority", lambda: node.set_priority(self.rng.randint(0, 2))),
            ("window", lambda: node.adjust_max_inflight_msgs(self.rng.choice(IDS), self.rng.choice((0, 1, 8)))),
            ("groups", lambda: node.assign_commit_groups([(id_, self.rng.randint(1, 2)) for id_ in IDS])),
            ("request snapshot", node.request_snapshot),
        ]
        what, do = self.rng.choice(doing)
        self._note(what, host)
        with contextlib.suppress(ProposalError):
            do()
        self.checker.look(host)

    # --- the end ---

    def _converge(self) -> None:
        """Heal everything; the members of the last configuration must agree and get new work done."""
        self.steps.append("heal")
        self.side = dict.fromkeys(IDS, 0)
        self.loss = self.duplication = 0.0
        for host in self.hosts.values():
            host.node.set_priority(0)
            host.node.enable_group_commit(False)
        for round_ in range(60 * self.config.election_tick):
            self._settle()
            if round_ > 10 * self.config.election_tick and self._converged():
                return
            self.leases.tick_all(self.hosts.values())
            self._look_after(round_)
            if round_ == 30 * self.config.election_tick and not self._leaders():
                self._tell_commits_in_votes()
        raise StuckError(self._stuck())

    def _settle(self) -> None:
        """Do what there is to do without time passing.

        It may not come to rest: a peer that the stored snapshot does not name asks for another one again and again,
        until the leader's application makes it.
        """
        for _ in range(50):
            busy = False
            for host in self.hosts.values():
                while self._work_on(host):
                    busy = True
            self._report()
            flying, self.flying = self.flying, []
            for message in flying:
                self._step(self.hosts[message.to], message)
                if isinstance(message, MsgSnap):
                    self.hosts[message.from_].snapshot_reports.append((message.to, False))
            if not busy and not flying:
                return

    def _look_after(self, round_: int) -> None:
        """What an operator would do to a cluster that is to recover."""
        leaders = self._leaders()
        if not leaders:
            return
        leader = max(leaders, key=lambda host: host.raft.term)
        members = _members(leader.conf_state)
        for host in self.hosts.values():
            if leader.raft.log.committed == leader.applied_index and host.id not in members:
                self._restart(host, lose_unsynced=False)  # switched off: its clock never gets anywhere
        later = any(self.hosts[id_].raft.term > leader.raft.term for id_ in members)
        if later and round_ % (10 * self.config.election_tick) == 0:
            # Without pre-vote or check-quorum nobody answers a leader of an older term, so a learner that has heard
            # of a later one, and cannot campaign, waits until this leader starts over.
            self._restart(leader, lose_unsynced=False)
        elif round_ % self.config.election_tick == 0:
            for id_ in members:
                leader.node.adjust_max_inflight_msgs(id_, 8)
            self._propose_at(leader)
            conf = leader.conf_state
            if conf.voters_outgoing and not conf.auto_leave:
                with contextlib.suppress(ProposalError):
                    leader.node.propose_conf_change(None)
            if leader.can_compact():
                leader.compact()  # somebody may wait for a snapshot that it asked for

    def _tell_commits_in_votes(self) -> None:
        """The one way out when the last voter does not know that it is: raft-rs's option, for which this is the reason.

        Those who know of the change that it has not heard to be committed are no voters any more, and their longer
        logs keep it from being elected by the old majority (behaviours X30 and X31).
        """
        self.steps.append("tell commits in votes")
        self.checker.counts["hidden changes"] += 1
        for host in self.hosts.values():
            host.config = replace(host.config, commit_in_votes=True)
            self._restart(host, lose_unsynced=False)

    def _converged(self) -> bool:
        leaders = self._leaders()
        if len({host.raft.term for host in leaders}) != 1 or len(leaders) != 1:
            return False
        leader = leaders[0]
        members = [self.hosts[id_] for id_ in _members(leader.conf_state)]
        return (
            not leader.conf_state.voters_outgoing
            and leader.raft.committed_in_term()
            and leader.raft.log.committed == leader.raft.log.last_index
            and all(host.applied_index == leader.raft.log.committed for host in members)
            and all(host.state == leader.state and host.conf_state == leader.conf_state for host in members)
        )

    def _stuck(self) -> str:
        lines = ["the healed cluster does not converge"]
        for host in self.hosts.values():
            raft = host.raft
            lines.append(f"{host.id} {raft.role.value} term={raft.term} {raft.log} last={raft.log.last_index}")
            lines.append(f"    {raft.tracker.config} leader={raft.leader}")
            if raft.role is Role.LEADER:
                lines += [f"    {id_}: {progress}" for id_, progress in raft.tracker.peers]
        return "\n".join(lines)


class StuckError(AssertionError):
    """A healed cluster does not get on."""


def _members(conf: ConfState) -> list[int]:
    return sorted({*conf.voters, *conf.voters_outgoing, *conf.learners, *conf.learners_next})


def run_seed(seed: int, steps: int, *, asynchronous: bool | None = None, verbose: bool = False) -> Simulation:
    """Run one seed to its end; a failure names the seed and the last steps."""
    simulation = Simulation(seed, asynchronous=asynchronous)
    simulation.verbose = verbose
    try:
        simulation.run(steps)
    except (AssertionError, RaftlyError) as error:  # a correct peer was refused, say
        last = "\n".join(simulation.steps)
        raise AssertionError(f"seed {seed}, {simulation.config}\n{last}\n{type(error).__name__}: {error}") from error
    return simulation
