"""Options: every bound and every relation is checked, and the error names the option."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from raftly.base.types import NO_LIMIT
from raftly.core.config import Config, ReadOnlyOption
from raftly.core.messages import APPEND_THREAD, APPLY_THREAD
from raftly.core.raw_node import RawNode
from raftly.errors import ConfigError, Retry
from tests.support.network import storage_with

LEASE = ReadOnlyOption.LEASE_BASED

WRONG: list[tuple[str, dict[str, Any]]] = [
    # the option named, the options given
    ("id", {"id": 0}),
    ("id", {"id": -1}),
    ("id", {"id": APPEND_THREAD}),
    ("id", {"id": APPLY_THREAD}),
    ("id", {"id": 1 << 64}),
    ("heartbeat_tick", {"heartbeat_tick": 0}),
    ("heartbeat_tick", {"heartbeat_tick": -1}),
    ("election_tick", {"election_tick": 0}),
    ("election_tick", {"election_tick": 3, "heartbeat_tick": 3}),
    ("election_tick", {"election_tick": 3, "heartbeat_tick": 4}),
    ("min_election_tick", {"min_election_tick": 9}),
    ("min_election_tick", {"min_election_tick": -1}),
    ("max_election_tick", {"max_election_tick": 10}),
    ("max_election_tick", {"max_election_tick": 15, "min_election_tick": 15}),
    ("max_election_tick", {"min_election_tick": 20}),  # the default is twice election_tick
    ("max_election_tick", {"max_election_tick": -1}),
    ("applied", {"applied": -1}),
    ("max_size_per_msg", {"max_size_per_msg": -1}),
    ("max_committed_size_per_ready", {"max_committed_size_per_ready": -1}),
    ("max_uncommitted_entries_size", {"max_uncommitted_entries_size": -1}),
    ("max_inflight_msgs", {"max_inflight_msgs": 0}),
    ("max_inflight_msgs", {"max_inflight_msgs": -1}),
    ("max_inflight_bytes", {"max_inflight_bytes": -1}),
    ("max_inflight_bytes", {"max_inflight_bytes": 99, "max_size_per_msg": 100}),
    ("max_inflight_bytes", {"max_inflight_bytes": 100}),  # max_size_per_msg has no limit by default
    ("read_only_option", {"read_only_option": LEASE}),
    ("lease_tick", {"lease_tick": 5}),
    ("lease_tick", {"lease_tick": 5, "check_quorum": True}),
    ("lease_tick", {"lease_tick": 5, "pre_vote": True}),
    ("lease_tick", {"lease_tick": 5, "check_quorum": True, "pre_vote": True, "read_only_option": LEASE}),
    ("lease_tick", {"lease_tick": -1, "check_quorum": True, "pre_vote": True}),
    ("lease_tick", {"lease_tick": 1, "check_quorum": True, "pre_vote": True}),  # heartbeat_tick is 1
    ("lease_tick", {"lease_tick": 11, "check_quorum": True, "pre_vote": True}),
    ("max_apply_unpersisted_log_limit", {"max_apply_unpersisted_log_limit": 1}),
    ("max_apply_unpersisted_log_limit", {"max_apply_unpersisted_log_limit": -1, "async_storage_writes": True}),
    ("priority", {"priority": 1 << 63}),
    ("priority", {"priority": -(1 << 63) - 1}),
]

RIGHT: list[dict[str, Any]] = [
    {"id": 1},
    {"id": APPLY_THREAD - 1},
    {"election_tick": 2},
    {"election_tick": 3, "heartbeat_tick": 2},
    {"min_election_tick": 10, "max_election_tick": 11},
    {"min_election_tick": 19},
    {"max_election_tick": 11},
    {"applied": 0},
    {"max_size_per_msg": 0},
    {"max_committed_size_per_ready": 1},
    {"max_uncommitted_entries_size": 0},
    {"max_inflight_msgs": 1},
    {"max_inflight_bytes": 100, "max_size_per_msg": 100},
    {"max_inflight_bytes": NO_LIMIT},
    {"read_only_option": LEASE, "check_quorum": True},
    {"lease_tick": 2, "check_quorum": True, "pre_vote": True},
    {"lease_tick": 10, "check_quorum": True, "pre_vote": True},
    {"max_apply_unpersisted_log_limit": 1, "async_storage_writes": True},
    {"priority": (1 << 63) - 1},
    {"priority": -(1 << 63)},
]


def config_of(options: dict[str, Any]) -> Config:
    return Config(**{"id": 1, **options})


@pytest.mark.behaviour("X02")
@pytest.mark.parametrize("option, options", WRONG, ids=str)
def test_a_wrong_option_is_refused_by_name_and_no_node_is_made(option: str, options: dict[str, Any]) -> None:
    config = config_of(options)
    with pytest.raises(ConfigError) as refused:
        config.validate()
    assert refused.value.option == option
    assert refused.value.problem
    assert str(refused.value) == f"{option} {refused.value.problem}"
    assert refused.value.retry is Retry.NEVER
    with pytest.raises(ConfigError):
        RawNode(config, storage_with(voters=(1,)))


@pytest.mark.parametrize("options", RIGHT, ids=str)
def test_an_option_at_its_bound_is_accepted(options: dict[str, Any]) -> None:
    config = config_of(options)
    config.validate()
    RawNode(config, storage_with(voters=(1,)))


def test_every_option_with_a_bound_is_tried() -> None:
    free = {field.name for field in fields(Config) if field.type in ("bool", bool)} | {"seed"}
    tried = {option for option, _ in WRONG}
    assert {field.name for field in fields(Config)} - free == tried


@pytest.mark.parametrize("seed", [0, -1, 1 << 70])
def test_any_seed_will_do(seed: int) -> None:
    config = config_of({"seed": seed})
    node = RawNode(config, storage_with(voters=(1,)))
    assert 10 <= node.raft.randomized_election_timeout < 20


def test_the_same_seed_gives_the_same_timeouts_and_nodes_of_one_seed_differ() -> None:
    def timeouts(id_: int, seed: int) -> list[int]:
        raft = RawNode(Config(id=id_, seed=seed, election_tick=1000), storage_with(voters=(1, 2))).raft
        drawn = []
        for _ in range(20):
            raft.reset_election_timeout()
            drawn.append(raft.randomized_election_timeout)
        return drawn

    assert timeouts(1, 7) == timeouts(1, 7)
    assert timeouts(1, 7) != timeouts(2, 7)
    assert timeouts(1, 7) != timeouts(1, 8)


@pytest.mark.behaviour("X01")
@pytest.mark.parametrize(
    "options, low, high",
    [
        ({}, 10, 20),
        ({"min_election_tick": 15}, 15, 20),
        ({"max_election_tick": 13}, 10, 13),
        ({"min_election_tick": 15, "max_election_tick": 16}, 15, 16),
        ({"min_election_tick": 12, "max_election_tick": 31}, 12, 31),
    ],
)
def test_timeouts_take_every_value_of_the_range_and_no_other(options: dict[str, Any], low: int, high: int) -> None:
    raft = RawNode(config_of({"election_tick": 10, **options}), storage_with(voters=(1, 2))).raft
    drawn = set()
    for _ in range(40 * (high - low)):
        raft.reset_election_timeout()
        drawn.add(raft.randomized_election_timeout)
    assert drawn == set(range(low, high))


@pytest.mark.behaviour("X01")
@pytest.mark.parametrize("options", [{"min_election_tick": 9}, {"min_election_tick": 12, "max_election_tick": 12}])
def test_an_empty_or_too_early_range_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="election_tick"):
        config_of(options).validate()


def test_a_config_does_not_change() -> None:
    with pytest.raises(AttributeError):
        config_of({}).id = 2  # type: ignore[misc]
    assert replace(config_of({}), id=2).id == 2


def test_the_budget_of_application_defaults_to_the_message_size_and_takes_at_least_one_entry() -> None:
    assert config_of({"max_size_per_msg": 100}).committed_bytes_max() == 100
    assert config_of({"max_size_per_msg": 100, "max_committed_size_per_ready": 7}).committed_bytes_max() == 7
    node = RawNode(config_of({"max_size_per_msg": 0}), storage_with(voters=(1,), terms=(1, 1), commit=2))
    assert len(node.ready().committed_entries) == 1
