"""Options of scheduling, between the names and units of files and the cluster's own."""

from dataclasses import replace

import pytest

from raftly.errors import ConfigError
from raftly.pd.config import ScheduleConfig
from raftly.server.config import ScheduleSection
from raftly.server.options import as_size, as_time, load
from raftly.server.pd_schedule import changed, schedule_config, shown


def test_a_file_and_the_cluster_have_the_same_defaults() -> None:
    assert schedule_config(ScheduleSection()) == ScheduleConfig()


def test_what_is_shown_can_be_written_into_a_file() -> None:
    config = replace(ScheduleConfig(), merge_bytes_max=3 << 19, down_after_s=0.25, balance_hot=False, hot_limit=0)
    assert schedule_config(load(ScheduleSection, shown(config))) == config


def test_every_option_is_set_by_what_is_shown_of_it() -> None:
    config = replace(
        ScheduleConfig(),
        **dict.fromkeys(("balance_leaders", "balance_regions", "balance_hot", "merge"), False),
        location_labels=("dc", "host"),
        isolation_level="dc",
        low_space_ratio=0.5,
        split_merge_interval_s=90.0,
    )
    made = ScheduleConfig()
    for name, value in shown(config).items():
        typed = ",".join(value) if isinstance(value, list) else str(value)
        made = changed(made, name, typed)
    assert made == config


def test_what_a_file_does_not_have_stays() -> None:
    config = replace(ScheduleConfig(), step_timeout_s=7.0)
    assert changed(config, "merge", "true").step_timeout_s == 7.0


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("store_limit", "0", "store_limit must be at least 1"),
        ("low_space_ratio", "1.5", "above 0 and at most 1"),
        ("merge_size", "10", "a number and a unit"),
        ("location_labels", 3, "a list of strings"),
        ("location_labels", "", "one of location_labels"),
        ("isolation_level", "dc", "one of location_labels"),
        ("down_after_s", "3s", "the nearest is down_after"),
    ],
)
def test_what_cannot_be_is_refused(name: str, value: object, why: str) -> None:
    config = replace(ScheduleConfig(), isolation_level="zone")
    with pytest.raises(ConfigError, match=why):
        changed(config, name, value)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0B"), (1, "1B"), (1536, "1536B"), (3 << 20, "3MiB"), (1 << 40, "1TiB")]
)
def test_bytes_are_written(count: int, text: str) -> None:
    assert as_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0s"), (0.25, "250ms"), (1.0, "1s"), (90.0, "90s"), (3600.0, "1h"), (172800.0, "2d")]
)
def test_times_are_written(seconds: float, text: str) -> None:
    assert as_time(seconds) == text
