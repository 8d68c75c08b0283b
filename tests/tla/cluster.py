"""A network of nodes that are bootstrapped, traced, and restarted from what the specification calls durable."""

from __future__ import annotations

import random
from dataclasses import replace

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message
from raftly.core.raw_node import RawNode
from raftly.core.tlatrace import TlaRecord, TlaTracer
from raftly.core.trace import Tracer
from tests.support.network import DEFAULTS, Host, Network

EVENTS_MAX = 500


class TracedHost(Host):
    """A host whose application stores what it applied with every Ready, as the specification persists it there.

    With the log alone stored, a restarted node would go through all earlier configurations once more.
    """

    def __init__(self, id_: int, seed: int, tracer: Tracer) -> None:
        self._tracer = tracer
        super().__init__(replace(DEFAULTS, id=id_, seed=seed), MemoryStorage())

    def _start(self) -> None:
        super()._start()
        self.node = RawNode(self.config, self.storage, self._tracer)
        self.store_application()

    def store_application(self) -> None:
        """What was applied up to now survives a crash."""
        self._durable = (self.applied_index, self.conf_state, self.state)

    def run_ready(self) -> list[Message]:
        self.store_application()
        return super().run_ready()

    def restart(self, *, lose_unsynced: bool = False) -> None:
        """Crash, and start again with the application as of the last Ready."""
        applied, conf_state, state = self._durable
        if applied > self.storage.snapshot().meta.index:
            self.storage.create_snapshot(applied, conf_state, state)
        self.config = replace(self.config, applied=self.storage.snapshot().meta.index)
        super().restart(lose_unsynced=lose_unsynced)


class TracedCluster:
    """Voters 1 to `size`, all bootstrapped alike, with the trace of everything they do."""

    def __init__(self, size: int, seed: int) -> None:
        self.records: list[TlaRecord] = []
        self.rng = random.Random(seed)
        self._seed = seed
        self._tracer = TlaTracer(self.records.append)
        self.ids = list(range(1, size + 1))
        hosts = [self._host(id_) for id_ in self.ids]
        self.network = Network(hosts, seed)
        for host in hosts:
            host.node.bootstrap([(id_, b"") for id_ in self.ids])
        self.network.stabilise()
        for host in hosts:
            host.store_application()  # bootstrapping put the members in force before they were applied

    def _host(self, id_: int) -> TracedHost:
        return TracedHost(id_, self._seed, self._tracer)

    def join(self, id_: int) -> None:
        """A new node starts empty."""
        self.network.add(self._host(id_))

    def change(self, kind: ConfChangeType, id_: int) -> None:
        """The leader proposes one change, and everybody learns that it is committed."""
        self.network.host(self.network.leader()).node.propose_conf_change(ConfChange(kind, id_))
        self.settle()

    def settle(self) -> None:
        """Deliver all, then one heartbeat."""
        self.network.stabilise()
        self.network.tick(1, only=[self.network.leader()])

    def propose(self, *payloads: bytes) -> None:
        """The leader takes payloads, in one batch."""
        self.network.host(self.network.leader()).node.propose_batch(payloads)
        self.network.stabilise()
