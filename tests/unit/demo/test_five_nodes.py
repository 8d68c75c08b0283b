"""The demonstration of five nodes: what it ends with, that it always ends, and that the seed decides everything."""

import math

import pytest

from raftly.base.membership import ConfChange, ConfChangeType
from raftly.base.types import EntryType
from raftly.core.proposals import decode_change
from raftly.core.role import Role
from raftly.demo.five_nodes import PATIENCE_ROUNDS, Event, FiveNodes, Options, Phase, Result
from raftly.demo.host import Command, Host, decode_command
from raftly.errors import ConfigError


def run(*, nodes: int = 5, proposals: int = 100, seed: int = 1, drop: float = 0.0) -> FiveNodes:
    demo = FiveNodes(Options(nodes, proposals, seed, drop))
    while demo.step():
        pass
    return demo


def log_of(host: Host) -> list[tuple[int, int, EntryType, bytes]]:
    log = host.node.raft.log
    entries = log.slice(1, log.committed + 1, 1 << 40)
    return [(entry.index, entry.term, entry.type, entry.data) for entry in entries]


def test_a_hundred_proposals_are_committed_and_all_machines_are_equal() -> None:
    demo = run()
    assert demo.phase is Phase.DONE
    assert demo.is_success()
    result = demo.result()
    assert (result.nodes, result.proposals, result.committed, result.equal) == (5, 100, 100, True)
    assert (result.leader, result.term) == (1, 2)
    journals = [host.journal.commands for host in demo.cluster.hosts.values()]
    assert all(journal == journals[0] for journal in journals)
    assert len({(command.client, command.sequence) for command in journals[0]}) == len(journals[0]) == 100
    assert len({log_of(host)[-1] for host in demo.cluster.hosts.values()}) == 1


def test_node_1_starts_alone_and_the_others_join_through_the_log() -> None:
    demo = FiveNodes(Options())
    assert [host.node.raft.role for host in demo.cluster.hosts.values()] == [Role.LEADER] + [Role.FOLLOWER] * 4
    assert [host.node.raft.log.last_index for host in demo.cluster.hosts.values()][1:] == [0] * 4
    assert [host.node.raft.tracker.config.conf_state().voters for host in demo.cluster.hosts.values()][1:] == [()] * 4
    while demo.step():
        pass
    learner, voter = ConfChangeType.ADD_LEARNER_NODE, ConfChangeType.ADD_NODE
    expected = [ConfChange(voter, 1)]
    for id_ in range(2, 6):
        expected += [ConfChange(learner, id_), ConfChange(voter, id_)]
    for host in demo.cluster.hosts.values():
        entries = host.storage.entries(1, host.storage.last_index() + 1, 1 << 40)
        changes = [decode_change(entry) for entry in entries if entry.type != EntryType.NORMAL]
        assert changes == expected
        assert host.conf_state.voters == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("drop", [0.0, 25.0])
def test_a_learner_becomes_a_voter_only_when_it_holds_what_is_committed(drop: float) -> None:
    demo = FiveNodes(Options(drop=drop))
    promoted = 0
    told = 0
    while demo.step() and demo.phase is not Phase.PROPOSE:
        for event in demo.events[told:]:
            if event.text.endswith("becomes a voter"):
                promoted += 1
                newcomer = demo.cluster.hosts[int(event.text.split()[3])]
                # its last change, that it is a learner, is what it must hold; the proposal itself comes after that
                assert newcomer.node.raft.log.last_index >= 1 + 2 * promoted
        told = len(demo.events)
    assert promoted == 4


def test_machines_are_equal_only_when_all_of_them_are() -> None:
    demo = FiveNodes(Options())
    while demo.confirmed() < 50:
        demo.step()
    counts = {len(host.journal.commands) for host in demo.cluster.hosts.values()}
    assert len(counts) > 1
    assert not demo.cluster.is_equal()
    assert not demo.result().equal
    assert not demo.is_success()


def test_a_proposal_is_confirmed_only_when_committed_and_applied_beside_its_proposer() -> None:
    demo = FiveNodes(Options(drop=20.0))
    going, seen = True, 0
    while going:
        going = demo.step()
        for id_, client in demo.clients.items():
            host = demo.cluster.hosts[id_]
            committed = [
                decode_command(data) for _, _, type_, data in log_of(host) if type_ == EntryType.NORMAL and data
            ]
            for sequence in range(1, client.confirmed + 1):
                name = (id_, sequence)
                assert name in [(command.client, command.sequence) for command in committed]
                assert name in [(command.client, command.sequence) for command in host.journal.commands]
            seen = max(seen, client.confirmed)
    assert seen == 20


def test_proposals_enter_at_every_node() -> None:
    demo = run(proposals=7)
    assert [client.confirmed for client in demo.clients.values()] == [2, 2, 1, 1, 1]


@pytest.mark.parametrize("seed", range(6))
def test_losses_delay_but_never_lose_or_double_a_command(seed: int) -> None:
    demo = run(seed=seed, drop=30.0)
    assert demo.is_success()
    assert demo.cluster.lost > 0
    for client, host in zip(demo.clients.values(), demo.cluster.hosts.values(), strict=True):
        own = [command.sequence for command in host.journal.commands if command.client == host.id]
        assert own == list(range(1, client.commands + 1))


def test_a_repeated_command_stands_in_the_log_twice_and_counts_once() -> None:
    demo = run(seed=4, drop=35.0)
    host = demo.cluster.hosts[1]
    data = [data for _, _, type_, data in log_of(host) if type_ == EntryType.NORMAL and data]
    assert len(data) > len(set(data)) == 100  # otherwise this seed shows nothing: take another
    assert host.journal.repeated == len(data) - 100
    assert demo.result().committed == 100
    assert any("again" in event.text for event in demo.events)


@pytest.mark.parametrize("nodes,proposals", [(1, 1), (1, 10), (2, 5), (3, 1), (4, 9), (9, 20), (25, 3)])
def test_groups_of_other_sizes(nodes: int, proposals: int) -> None:
    demo = run(nodes=nodes, proposals=proposals)
    assert demo.is_success()
    assert demo.result().committed == proposals


def test_the_seed_decides_everything() -> None:
    def history(seed: int) -> tuple[Result, list[Event]]:
        demo = run(seed=seed, drop=25.0)
        return demo.result(), demo.events

    assert history(7) == history(7)
    assert history(7) != history(8)


@pytest.mark.parametrize("drop", [90.0, 99.99])
def test_when_nothing_arrives_it_gives_up_and_says_so(drop: float) -> None:
    demo = run(drop=drop)
    assert demo.phase is Phase.FAILED
    assert not demo.is_success()
    assert demo.result().committed < 100
    assert demo.events[-1].text == f"nothing was achieved in {PATIENCE_ROUNDS} rounds while the others join"
    assert not demo.step()


@pytest.mark.parametrize(
    "options,option",
    [
        (Options(nodes=0), "nodes"),
        (Options(nodes=26), "nodes"),
        (Options(proposals=0), "proposals"),
        (Options(proposals=100_001), "proposals"),
        (Options(seed=-1), "seed"),
        (Options(seed=1 << 64), "seed"),
        (Options(drop=-0.1), "drop"),
        (Options(drop=100.0), "drop"),
        (Options(drop=math.nan), "drop"),
    ],
)
def test_a_wrong_option_is_named(options: Options, option: str) -> None:
    with pytest.raises(ConfigError) as refused:
        FiveNodes(options)
    assert refused.value.option == option


def test_the_largest_options_are_taken() -> None:
    FiveNodes(Options(25, 100_000, (1 << 64) - 1, 99.9))


def test_a_command_crosses_the_log_unchanged() -> None:
    command = Command(3, 12, "say / and   spaces")
    assert decode_command(command.encode()) == command
