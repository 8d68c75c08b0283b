"""Configuration: what is explained can be used, and what is wrong is refused with a sentence that helps."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from raftly.errors import ConfigError
from raftly.server.config import KINDS, PdConfig, StoreConfig, read_config, render
from raftly.server.options import explain, load


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_sizes_and_durations_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        data_dir = "here"
        labels = { zone = "z1" }
        [raft]
        tick = "20ms"
        election_ticks = 50
        [region]
        split_size = "1.5MiB"
        heartbeat = "2m"
        """,
    )
    config = read_config(StoreConfig, path)
    assert (config.data_dir, dict(config.labels)) == ("here", {"zone": "z1"})
    assert (config.raft.tick, config.raft.election_ticks) == (0.02, 50)
    assert (config.region.split_size, config.region.heartbeat) == (3 << 19, 120.0)
    assert config.raft.heartbeat_ticks == StoreConfig().raft.heartbeat_ticks


def test_flags_count_more_than_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, 'data_dir = "file"\n[log]\nlevel = "error"\nformat = "json"')
    config = read_config(StoreConfig, path, {"data_dir": "flag", "log.level": "debug", "raft.tick": "60ms"})
    assert (config.data_dir, config.log.level, config.log.format, config.raft.tick) == ("flag", "debug", "json", 0.06)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("adress = '1'", "adress is no option; the nearest is address"),
        ("[region]\nsplit_sze = '1MiB'", "region.split_sze is no option; the nearest is region.split_size"),
        ("[log]\nzzzz = 1", "log.zzzz is no option; there are log.level, log.format"),
        ("[region]\nsplit_size = '1KiB'", "region.split_size must be at least 4KiB, and is '1KiB'"),
        ("[region]\nsplit_size = 7", "must be a string of a number and a unit (B, KiB, MiB, GiB, TiB), and is 7"),
        ("[region]\nheartbeat = '1'", "must be a string of a number and a unit (ms, s, m, h, d)"),
        ("[raft]\ntick = '2s'", "raft.tick must be at least 5ms, at most 1s, and is '2s'"),
        ("[raft]\nelection_ticks = true", "raft.election_ticks must be a whole number, and is True"),
        ("[raft]\nelection_ticks = 2", "raft.election_ticks must be at least 3, at most 1000, and is 2"),
        ("[raft]\nheartbeat_ticks = 30", "raft.election_ticks must be more than raft.heartbeat_ticks, 30"),
        ("[raft]\nlease = '5s'", "raft.lease and raft.clock_drift must be at most 0.9s together"),
        ("[region]\nmax_size = '1MiB'", "region.split_size and split_keys must not be above max_size and max_keys"),
        ("[storage]\nengine = 'rock'", "storage.engine must be one of 'rocks', 'memory', and is 'rock'"),
        ("[storage]\nttl = 'yes'", "storage.ttl must be true or false, and is 'yes'"),
        ("address = 'here'", "address must be host:port, and is 'here'"),
        ("advertise_address = 'http://h:1'", "advertise_address must be host:port, and is 'http://h:1'"),
        ("pd = ['http://h:1/']", "pd must be host:port"),
        ("pd = []", "pd must name a member of the placement driver"),
        ("pd = 'a:1'", "pd must be a list of strings, and is 'a:1'"),
        ("pd = ['a']", "pd must be host:port"),
        ("labels = { zone = 1 }", "labels must be a table of strings"),
        ("log = 'debug'", "log is a section: write [log] and its options below it"),
        ("[tls]\nkey = 'k.pem'", "tls needs authorities, certificate, key and names, or none of them"),
        ("data_dir = ''", "data_dir must name a directory"),
        ("= 1", "is no TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(StoreConfig, written(tmp_path, text))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[members]\na = 'h:1'", "members.a must be a member's id: a whole number above 0"),
        ("[members]\n2 = 'h:1'", "members lack this member, 1"),
        ("[members]\n1 = 'http://h:1'", "members must be host:port"),
        ("address = 'http://h:1'", "address must be host:port, and is 'http://h:1'"),
        ("[schedule]\nlow_space_ratio = 1.5", "schedule.low_space_ratio must be a number above 0 and at most 1"),
        ("[schedule]\nmax_replicas = 0", "schedule.max_replicas must be at least 1, at most 15, and is 0"),
    ],
)
def test_what_is_wrong_of_a_placement_driver(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(PdConfig, written(tmp_path, text))
    assert sentence in str(caught.value)


def test_members_of_a_placement_driver_may_be_told_as_urls(tmp_path: Path) -> None:
    config = read_config(StoreConfig, written(tmp_path, "pd = ['http://h:1', '[::1]:2']"))
    assert config.pd == ("http://h:1", "[::1]:2")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config(PdConfig, tmp_path / "none.toml")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_option_explains_itself_and_its_default_can_be_written(kind: str) -> None:
    cls = KINDS[kind]
    options = list(explain(cls))
    for option in options:
        assert option.about.endswith("."), option.name
        assert len(option.about) > 10, option.name
        *sections, name = option.name.split(".")
        line = f"{name} = {render(option.default)}"
        load(cls, tomllib.loads("\n".join([*(f"[{one}]" for one in sections), line])))
    assert len({option.name for option in options}) == len(options) > 20


def test_text_is_written_as_toml_reads_it() -> None:
    awkward = 'a "quoted"\\ \n\t\x7f é line'
    assert tomllib.loads(f"x = {render(awkward)}")["x"] == awkward
    assert tomllib.loads(f"x = {render({awkward: [True, 1]})}")["x"] == {awkward: [True, 1]}
