"""Leases in random clusters: a time that ticks can be measured against, and the rule that no two leaders overlap.

A leader that a majority answered counts on its lease from the moment of asking, for what `Config.lease_tick` is worth:
n ticks are more than n - 1 intervals, however a host's ticks are delayed. While it does, nobody leads a later term.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace

from raftly.core.config import Config, ReadOnlyOption
from raftly.core.messages import Message, MsgTimeoutNow
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from tests.sim_core.safety import SafetyChecker, SafetyViolationError
from tests.support.network import Host

INTERVAL = 10  # the least time between two ticks of a host


def with_leases(config: Config, rng: random.Random) -> Config:
    """The same with a promise that leases can be built on."""
    return replace(
        config,
        check_quorum=True,
        pre_vote=True,
        read_only_option=ReadOnlyOption.SAFE,
        lease_tick=rng.randint(2, config.election_tick),
    )


class Leases:
    """Who may count on what, by the time that passes in `tick`. A `lease_tick` of 0 gives no leases."""

    def __init__(self, lease_tick: int, checker: SafetyChecker) -> None:
        self.now = 0
        self._length = (lease_tick - 1) * INTERVAL
        self._checker = checker
        self._ticked: dict[int, int] = {}
        self._asked: dict[tuple[int, bytes], tuple[int, int]] = {}  # (host, context) -> (when, in which term)
        self._held: dict[int, tuple[int, int]] = {}  # host -> (term, until)
        self._transferred: dict[int, int] = {}  # host -> the last term in which it told somebody to take over

    def tick(self, hosts: Iterable[Host], rng: random.Random) -> None:
        """A little time passes; hosts whose tick is due get it, or get it later."""
        self.now += rng.randint(1, INTERVAL)
        for host in hosts:
            if rng.random() < 0.8:
                self.tick_host(host)

    def tick_all(self, hosts: Iterable[Host]) -> None:
        """An interval passes in which nobody is late."""
        self.now += INTERVAL
        for host in hosts:
            self.tick_host(host)

    def tick_host(self, host: Host) -> None:
        """One tick, unless it is too early."""
        if self.now - self._ticked.get(host.id, -INTERVAL) >= INTERVAL:
            self._ticked[host.id] = self.now
            host.node.tick()

    def restarted(self, host: Host) -> None:
        """It has forgotten its leases."""
        self._held.pop(host.id, None)

    def asked(self, host: Host, context: bytes) -> None:
        """A read begins."""
        if host.raft.role is Role.LEADER:
            self._asked[host.id, context] = (self.now, host.raft.term)

    def answered(self, host: Host, state: ReadState) -> None:
        """A read was confirmed."""
        asked_at, term = self._asked.pop((host.id, state.context), (0, 0))
        if term and host.raft.role is Role.LEADER and host.raft.term == term:
            self._held[host.id] = (term, max(asked_at + self._length, self._held.get(host.id, (0, 0))[1]))
            self._checker.counts["leases"] += self._held[host.id][1] > self.now

    def sent(self, host: Host, message: Message) -> None:
        """A message leaves a host."""
        if isinstance(message, MsgTimeoutNow):
            self._transferred[host.id] = message.term

    def check(self, hosts: Mapping[int, Host]) -> None:
        """No lease that still counts is of a term before the newest that has, or had, a leader."""
        newest = max(self._checker.leaders, default=0)
        for id_, (term, until) in list(self._held.items()):
            raft = hosts[id_].raft
            if self.now >= until or raft.role is not Role.LEADER or raft.term != term:
                del self._held[id_]
            elif newest > term and raft.lead_transferee == 0 and self._transferred.get(id_) != term:
                raise SafetyViolationError(
                    f"node {id_} holds the lease of term {term} until {until}, it is {self.now}, "
                    f"and node {self._checker.leaders[newest]} leads term {newest}"
                )
