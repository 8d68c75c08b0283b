"""Small clusters that do little but lose and find their leader, while leaders ask for leases all the time.

    python -m tests.sim_core.lease_run 0..2000        more seeds than the test suite runs

Links are cut one way or both, messages come late, very late or never, ticks are late, hosts crash, and followers are
told that they lost their leader whether it is true or not.
"""
# ruff: noqa: T201 - a command prints

from __future__ import annotations

import contextlib
import heapq
import random
import sys
from collections.abc import Iterable

from raftly.core.config import Config
from raftly.core.messages import Message, MsgReadIndex
from raftly.core.role import Role
from raftly.errors import ProposalError, RaftlyError
from tests.sim_core.leases import INTERVAL, Leases, with_leases
from tests.sim_core.safety import SafetyChecker
from tests.support.network import Host, storage_with


class LeaseRun:
    """One cluster; `run` raises SafetyViolationError when a lease meets a newer leader."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.checker = SafetyChecker()
        ids = range(1, rng.choice((3, 3, 3, 4, 5)) + 1)
        config = with_leases(Config(id=1, seed=seed, election_tick=rng.choice((5, 10, 20))), rng)
        self.leases = Leases(config.lease_tick, self.checker)
        self.hosts: dict[int, Host] = {}
        for id_ in ids:
            own = Config(
                id=id_,
                seed=seed,
                election_tick=config.election_tick,
                lease_tick=config.lease_tick,
                check_quorum=True,
                pre_vote=True,
            )
            self.hosts[id_] = Host(own, storage_with(voters=tuple(ids)))
        self.links = [(a, b) for a in ids for b in ids if a != b]
        self.cut: set[tuple[int, int]] = set()
        self._queue: list[tuple[int, int, int, Message | None]] = []  # (when, order, host, message or a tick)
        self._order = 0
        self._reads = 0
        for id_ in ids:
            self._plan(rng.randint(1, INTERVAL), id_, None)

    def run(self, steps: int) -> SafetyChecker:
        """So many ticks and arrivals."""
        for _ in range(steps):
            when, _, id_, message = heapq.heappop(self._queue)
            self.leases.now = max(self.leases.now, when)
            host = self.hosts[id_]
            if message is None:
                self._tick(host)
            elif (message.from_, message.to) not in self.cut:
                with contextlib.suppress(RaftlyError):
                    host.node.step(message)
            self._work(host)
            if self.rng.random() < 0.03:
                self._misfortune()
        return self.checker

    def _plan(self, after: int, id_: int, message: Message | None) -> None:
        self._order += 1
        heapq.heappush(self._queue, (self.leases.now + after, self._order, id_, message))

    def _tick(self, host: Host) -> None:
        self.leases.tick_host(host)
        late = self.rng.randint(1, 5 * INTERVAL) if self.rng.random() < 0.02 else 0
        self._plan(INTERVAL + late, host.id, None)
        if host.raft.role is Role.LEADER:
            self._reads += 1
            context = b"%d" % self._reads
            self.leases.asked(host, context)
            host.node.step(MsgReadIndex(host.id, 0, 0, context))

    def _work(self, host: Host) -> None:
        self._send(host, host.settle())
        self.checker.look(host)
        for state in host.read_states:
            self.leases.answered(host, state)
        host.read_states = []
        self.leases.check(self.hosts)

    def _send(self, host: Host, messages: Iterable[Message]) -> None:
        for message in messages:
            self.leases.sent(host, message)
            draw = self.rng.random()
            if draw < 0.97:
                delay = self.rng.randint(0, 3) if draw < 0.9 else self.rng.randint(0, 30 * INTERVAL)
                self._plan(delay, message.to, message)

    def _misfortune(self) -> None:
        rng = self.rng
        host = self.hosts[rng.choice(list(self.hosts))]
        draw = rng.random()
        if draw < 0.35:  # one host hears some, and is heard by some
            self.cut |= {link for link in self.links if host.id in link and rng.random() < 0.5}
        elif draw < 0.6:
            self.cut = {link for link in self.cut if rng.random() < 0.3}
        elif draw < 0.65:
            self.cut.clear()
        elif draw < 0.9:
            for other in self.hosts.values():
                if rng.random() < 0.6:
                    other.node.report_leader_lost(other.raft.leader)
        elif draw < 0.94:
            host.restart(lose_unsynced=rng.random() < 0.5)
            self.checker.restarted(host)
            self.leases.restarted(host)
        elif draw < 0.97:
            host.node.campaign()
        elif host.raft.role is Role.LEADER:
            with contextlib.suppress(ProposalError):
                host.node.transfer_leader(rng.choice(list(self.hosts)))
        self._work(host)


def main() -> None:
    """Run the seeds that the command line names."""
    first, _, stop = (sys.argv[1] if len(sys.argv) > 1 else "0..200").partition("..")
    leases = leaders = 0
    for seed in range(int(first), int(stop)):
        try:
            counts = LeaseRun(seed).run(3_000).counts
        except AssertionError as error:
            sys.exit(f"seed {seed}: {error}")
        leases += counts["leases"]
        leaders += counts["leaders"]
    print(f"{int(stop) - int(first)} seeds passed: {leases} leases, {leaders} leaders")


if __name__ == "__main__":
    main()
