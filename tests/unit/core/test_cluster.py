"""Whole clusters on the harness of tests/support: they converge under load and failures, and the faults are as set."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.config import Config
from raftly.core.memory import MemoryStorage
from raftly.core.messages import Message, MsgHeartbeat
from raftly.core.raw_node import RawNode
from raftly.core.role import Role
from tests.support.network import DEFAULTS, Faults, Network, cluster

ASYNC = replace(DEFAULTS, async_storage_writes=True)
STYLES = pytest.mark.parametrize("template", [DEFAULTS, ASYNC, replace(ASYNC, pre_vote=True, check_quorum=True)])


def elected(template: Config, seed: int = 0) -> Network:
    network = cluster(5, replace(template, seed=seed), seed=seed)
    network.tick(4 * DEFAULTS.election_tick)
    assert network.leader()
    return network


def propose_all(network: Network, payloads: list[bytes], ids: tuple[int, ...] = (1, 2, 3, 4, 5)) -> None:
    """Every node takes its turn to propose, whoever leads."""
    for position, payload in enumerate(payloads):
        network.hosts[ids[position % len(ids)]].node.propose(payload)
        network.stabilise()


def assert_converged(network: Network, payloads: list[bytes]) -> None:
    hosts = list(network.hosts.values())
    assert [host.payloads() for host in hosts] == [payloads] * len(hosts)
    assert len({host.state for host in hosts}) == 1
    assert len({host.raft.log.committed for host in hosts}) == 1
    assert all(host.applied_index == host.raft.log.committed == host.raft.log.applied for host in hosts)
    assert all(host.log() == hosts[0].log() for host in hosts)


LOAD = [b"%d" % number for number in range(100)]


@pytest.mark.behaviour("HN01")
@STYLES
def test_five_nodes_converge_on_a_hundred_proposals(template: Config) -> None:
    network = elected(template)
    propose_all(network, LOAD)
    assert_converged(network, LOAD)


@pytest.mark.behaviour("HN02")
@STYLES
def test_they_converge_with_two_nodes_stopped_and_restarted(template: Config) -> None:
    network = elected(template)
    propose_all(network, LOAD[:30])
    stopped = [network.hosts.pop(id_) for id_ in sorted(network.hosts) if id_ != network.leader()][:2]
    alive = tuple(network.hosts)
    propose_all(network, LOAD[30:60], alive)
    for host in stopped:
        host.restart(lose_unsynced=True)
        network.add(host)
    propose_all(network, LOAD[60:], alive)
    network.tick(2 * DEFAULTS.election_tick)
    assert_converged(network, LOAD)


@pytest.mark.behaviour("HN02")
@STYLES
def test_they_converge_when_the_stopped_one_was_the_leader(template: Config) -> None:
    network = elected(template)
    propose_all(network, LOAD[:30])
    host = network.hosts.pop(network.leader())
    network.tick(4 * DEFAULTS.election_tick)
    assert network.leader() not in (0, host.id)
    propose_all(network, LOAD[30:60], tuple(network.hosts))
    host.restart(lose_unsynced=True)
    network.add(host)
    network.tick(4 * DEFAULTS.election_tick)
    propose_all(network, LOAD[60:])
    assert_converged(network, LOAD)


@pytest.mark.behaviour("HN03")
@STYLES
def test_they_converge_with_two_nodes_paused_and_resumed(template: Config) -> None:
    network = elected(template)
    propose_all(network, LOAD[:30])
    paused = [id_ for id_ in network.hosts if id_ != network.leader()][:2]
    running = tuple(id_ for id_ in network.hosts if id_ not in paused)
    network.hold(lambda message: message.to in paused)  # a paused process still has its sockets' buffers
    propose_all(network, LOAD[30:60], running)
    network.tick(DEFAULTS.election_tick, only=running)
    network.release()
    propose_all(network, LOAD[60:])
    network.tick(2)
    assert_converged(network, LOAD)


def _heartbeats(number: int) -> list[Message]:
    return [MsgHeartbeat(2, 1, 1, 0, b"%d" % position) for position in range(number)]


@pytest.mark.behaviour("HN04")
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.5, 1.0])
def test_the_network_drops_at_about_the_rate_set(loss: float) -> None:
    network = cluster(2, seed=7)
    network.faults = Faults(loss=loss)
    network.post(_heartbeats(2_000))
    assert abs(len(network.lost) / 2_000 - loss) < 0.03
    assert len(network.lost) + len(network.in_flight()) == 2_000


@pytest.mark.behaviour("HN05")
@pytest.mark.parametrize("delay", [0.0, 0.2, 1.0])
def test_the_network_delays_at_about_the_rate_and_length_set(delay: float) -> None:
    longest = 5
    network = cluster(2, seed=7)
    network.faults = Faults(delay=delay, delay_ticks=longest)
    sent = _heartbeats(2_000)
    network.post(sent)
    late = Counter[int]()
    waiting = len(sent)
    for ticks in range(longest + 1):
        if ticks:
            network.tick(only=(2,))
        else:
            network.stabilise()
        arrived = waiting - len([message for message in network.in_flight() if isinstance(message, MsgHeartbeat)])
        late[ticks] = arrived
        waiting -= arrived
    assert waiting == 0
    assert abs(late[0] / 2_000 - (1 - delay)) < 0.03
    for ticks in range(1, longest + 1):
        assert abs(late[ticks] / 2_000 - delay / longest) < 0.03


@pytest.mark.behaviour("HN04", "HN05")
def test_one_seed_gives_one_fate() -> None:
    def fate(seed: int) -> tuple[list[Message], list[Message]]:
        network = cluster(2, seed=seed)
        network.faults = Faults(loss=0.2, duplicate=0.2, delay=0.2, delay_ticks=3)
        network.post(_heartbeats(50))
        return network.lost, network.in_flight()

    assert fate(1) == fate(1)
    assert fate(1) != fate(2)


@pytest.mark.behaviour("HN07")
def test_the_smallest_application_loop() -> None:
    """Save, send, apply, advance: what docs/core.md shows, over plain RawNodes and nothing else."""
    nodes: dict[int, RawNode] = {}
    storages: dict[int, MemoryStorage] = {}
    applied: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    for id_ in applied:
        storages[id_] = MemoryStorage()
        storages[id_].apply_snapshot(Snapshot(SnapshotMeta(conf_state=ConfState((1, 2, 3)))))
        nodes[id_] = RawNode(Config(id=id_, seed=3), storages[id_])

    def run_until_quiet() -> None:
        while any(node.has_ready() for node in nodes.values()):
            for id_, node in nodes.items():
                if not node.has_ready():
                    continue
                ready = node.ready()
                storages[id_].append(ready.entries)
                if ready.hard_state is not None:
                    storages[id_].set_hard_state(ready.hard_state)
                for message in ready.messages:
                    nodes[message.to].step(message)
                applied[id_] += [entry.data for entry in ready.committed_entries if entry.data]
                node.advance()

    rng = random.Random(3)
    while all(node.raft.role is not Role.LEADER for node in nodes.values()):
        for node in nodes.values():
            node.tick()
        run_until_quiet()
    payloads = [b"%d" % number for number in range(20)]
    for payload in payloads:
        nodes[rng.choice((1, 2, 3))].propose(payload)
        run_until_quiet()
    assert list(applied.values()) == [payloads] * 3
    assert all(not node.has_ready() for node in nodes.values())
