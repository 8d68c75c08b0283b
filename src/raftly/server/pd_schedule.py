"""Options of scheduling between people and the placement driver: the names and units of [schedule], and ScheduleConfig.

schedule_config(section)             what a new cluster is told
shown(config)                        every option as it is written in a file
changed(config, "down_after", "1h")  with one option more to somebody's taste
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final

from raftly.pd.config import ScheduleConfig
from raftly.server.config import ScheduleSection
from raftly.server.options import Explained, as_size, as_time, explain, load

__all__ = ["changed", "schedule_config", "shown"]

_FIELDS: Final[Mapping[str, str]] = {
    "disconnected_after": "disconnected_after_s",
    "down_after": "down_after_s",
    "merge_size": "merge_bytes_max",
    "merge_keys": "merge_keys_max",
    "split_merge_interval": "split_merge_interval_s",
    "region_size_max": "region_bytes_max",
}
"""Options whose field has another name: one that tells the unit."""


def schedule_config(section: ScheduleSection) -> ScheduleConfig:
    """The same for the cluster.

    Raises:
        ConfigError: two options contradict each other.
    """
    return replace(ScheduleConfig(), **{_field(one.name): getattr(section, one.name) for one in fields(section)})


def shown(config: ScheduleConfig) -> dict[str, object]:
    """Every option by its name in a file, as it is written there."""
    told: dict[str, object] = {}
    for option in explain(ScheduleSection):
        value = getattr(config, _field(option.name))
        write = {"size": as_size, "duration": as_time}.get(option.kind)
        told[option.name] = list(value) if isinstance(value, tuple) else value if write is None else write(value)
    return told


def changed(config: ScheduleConfig, name: str, value: object) -> ScheduleConfig:
    """With another value of one option: as a file has it, or as it is typed, when it is a string.

    Raises:
        ConfigError: there is no such option, or that is none of its values; it says what they are.
    """
    option = next((one for one in explain(ScheduleSection) if one.name == name), None)
    meant = value if option is None or not isinstance(value, str) else _typed(option, value)
    section = load(ScheduleSection, {name: meant})  # checked with the bounds of a file
    changes: dict[str, Any] = {_field(name): getattr(section, name)}
    return replace(config, **changes)


def _field(name: str) -> str:
    return _FIELDS.get(name, name)


def _typed(option: Explained, text: str) -> object:
    """What somebody means who types this; as it is, if it means nothing: then `load` says what would."""
    if option.kind == "flag":
        return {"true": True, "false": False}.get(text.lower(), text)
    if option.kind == "list":
        return [one.strip() for one in text.split(",") if one.strip()]
    kind = {"number": int, "ratio": float}.get(option.kind, str)
    try:
        return kind(text)
    except ValueError:
        return text
