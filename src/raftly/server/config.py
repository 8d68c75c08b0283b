"""What a store and a member of the placement driver are told when they start: TOML files, flags above them.

`raftly config explain store` prints every option with its default, as a file that can be used.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar, final

from raftly.errors import ConfigError
from raftly.server.options import duration, flag, load, number, ratio, size, table, text, texts

__all__ = ["KINDS", "PdConfig", "StoreConfig", "read_config", "render"]


@final
@dataclass(frozen=True, slots=True)
class TlsSection:
    """Certificates, for clients and between members alike. All of it, or none."""

    authorities: str = text("", "PEM file of the authorities that sign certificates of clients, stores and members.")
    certificate: str = text("", "PEM file of this process's certificate.")
    key: str = text("", "PEM file of the certificate's key.")
    names: tuple[str, ...] = texts(
        (), "Of these the certificate of a store or member must carry one, besides its host."
    )

    def __post_init__(self) -> None:
        given = (self.authorities, self.certificate, self.key, self.names)
        if any(given) and not all(given):
            raise ConfigError("tls", "needs authorities, certificate, key and names, or none of them")

    @property
    def is_on(self) -> bool:
        """Is everything encrypted, and everybody shown to be somebody?"""
        return bool(self.certificate)


@final
@dataclass(frozen=True, slots=True)
class LogSection:
    """What a process says of itself."""

    level: str = text("info", "From which severity on.", choices=("debug", "info", "warning", "error"))
    format: str = text("text", "A line of text or an object of JSON each.", choices=("text", "json"))


@final
@dataclass(frozen=True, slots=True)
class RaftSection:
    """How replicas of a region agree."""

    tick: float = duration("100ms", "Time is counted in ticks of this length.", at_least="5ms", at_most="1s")
    heartbeat_ticks: int = number(2, "A leader says that it lives every so many ticks.", at_least=1, at_most=100)
    election_ticks: int = number(10, "A leader not heard for so many ticks is replaced.", at_least=3, at_most=1000)
    lease: float = duration("400ms", "How long a leader may answer reads alone after a majority answered it.")
    clock_drift: float = duration("100ms", "How far two machines' clocks may part within a lease.")
    hibernate_ticks: int = number(50, "A region without work for so many ticks sleeps and costs nothing; 0: none does.")
    entry_max: int = size("8MiB", "Of one write.", at_least="64KiB", at_most="64MiB")
    log_segment: int = size("64MiB", "Files of the log are so large.", at_least="1MiB", at_most="1GiB")
    log_entries_max: int = number(10_000, "A region's log is cut when it has more entries than this.", at_least=10)
    log_bytes_max: int = size("64MiB", "A region's log is cut when it is larger than this.", at_least="64KiB")
    snapshot_rate: int = size("100MiB", "Bytes a second, at most, that this store sends of snapshots; 0B: no bound.")


@final
@dataclass(frozen=True, slots=True)
class RegionSection:
    """When regions split, and how often they report."""

    max_size: int = size("144MiB", "A region larger than this is split.", at_least="4KiB")
    split_size: int = size("96MiB", "About so much is in each part then; at most max_size.", at_least="4KiB")
    max_keys: int = number(1_440_000, "A region with more keys than this is split.", at_least=10)
    split_keys: int = number(960_000, "About so many are in each part then; at most max_keys.", at_least=10)
    split_check: float = duration("10s", "How often sizes are looked at.", at_least="50ms")
    heartbeat: float = duration("60s", "How often a region that has not changed is reported.", at_least="50ms")
    store_heartbeat: float = duration("10s", "How often a store reports itself.", at_least="50ms", at_most="1m")


@final
@dataclass(frozen=True, slots=True)
class StorageSection:
    """Where applied state is kept."""

    engine: str = text("rocks", "RocksDB, or memory for tests: what is in memory is lost.", choices=("rocks", "memory"))
    block_cache: int = size("64MiB", "Memory for what is read.", at_least="64KiB")
    write_buffer: int = size("16MiB", "Memory of one write buffer.", at_least="64KiB")
    wal: int = size("128MiB", "Files of RocksDB's own log are so large together.", at_least="64KiB")
    background_jobs: int = number(2, "Threads that write tables and compact them.", at_least=1, at_most=64)
    ttl: bool = flag(True, "Let values expire; a store that began with one choice stays with it.")
    ttl_sweep: float = duration("1m", "How often the space of what has expired is given back.", at_least="100ms")


@final
@dataclass(frozen=True, slots=True)
class ServerSection:
    """What clients may ask for."""

    message_max: int = size("16MiB", "Of one request.", at_least="64KiB", at_most="1GiB")
    connections_max: int = number(10_000, "Connections at once.", at_least=1)
    in_flight_max: int = number(
        10_000, "Commands at once; past it clients are told that the store is busy.", at_least=1
    )
    command_time_max: float = duration("30s", "Of one command, whatever deadline it has.", at_least="100ms")
    drain: float = duration("10s", "How long SIGTERM may take to hand over and to finish.", at_most="10m")


@final
@dataclass(frozen=True, slots=True)
class StoreConfig:
    """A store."""

    data_dir: str = text("data/store", "Where everything is kept. One store a directory.")
    pd: tuple[str, ...] = texts(
        ("127.0.0.1:2379",), "Members of the placement driver; one that answers is enough.", address=True
    )
    address: str = text("127.0.0.1:20160", "Where clients are served. Port 0 takes one that is free.", address=True)
    advertise_address: str = text("", "How clients reach it; empty: `address`.", address=True)
    peer_address: str = text(
        "127.0.0.1:0", "Where other stores are served. Port 0 takes one that is free.", address=True
    )
    advertise_peer_address: str = text("", "How other stores reach it; empty: `peer_address`.", address=True)
    status_address: str = text(
        "127.0.0.1:0", "Where /metrics and /status are served over HTTP; empty: nowhere.", address=True
    )
    labels: Mapping[str, str] = table(
        "Where it stands, such as zone and host; copies of a region are kept apart by them."
    )
    standalone: bool = flag(False, "One engine, no Raft and no other stores; it is its own placement driver.")
    raft: RaftSection = field(default_factory=RaftSection)
    region: RegionSection = field(default_factory=RegionSection)
    storage: StorageSection = field(default_factory=StorageSection)
    server: ServerSection = field(default_factory=ServerSection)
    log: LogSection = field(default_factory=LogSection)
    tls: TlsSection = field(default_factory=TlsSection)

    def __post_init__(self) -> None:
        if not self.data_dir:
            raise ConfigError("data_dir", "must name a directory")
        if not self.pd and not self.standalone:
            raise ConfigError("pd", "must name a member of the placement driver, such as 127.0.0.1:2379")
        if not self.address:
            raise ConfigError("address", "must be host:port")
        region = self.region
        if region.split_size > region.max_size or region.split_keys > region.max_keys:
            raise ConfigError("region.split_size", "and split_keys must not be above max_size and max_keys")
        raft = self.raft
        if raft.heartbeat_ticks >= raft.election_ticks:
            raise ConfigError("raft.election_ticks", f"must be more than raft.heartbeat_ticks, {raft.heartbeat_ticks}")
        bound = (raft.election_ticks - 1) * raft.tick
        if raft.lease + raft.clock_drift > bound + 1e-9:
            raise ConfigError(
                "raft.lease", f"and raft.clock_drift must be at most {bound:g}s together: (election_ticks - 1) * tick"
            )


@final
@dataclass(frozen=True, slots=True)
class ScheduleSection:
    """What the placement driver aims at, and how fast. Of a new cluster; it is part of the cluster's state then."""

    max_replicas: int = number(3, "Copies of each region.", at_least=1, at_most=15)
    location_labels: tuple[str, ...] = texts(
        ("zone", "rack", "host"),
        "Labels of stores from the widest place to the narrowest; copies are kept apart by them.",
    )
    isolation_level: str = text(
        "", "One of those labels: two copies never share such a place; empty: if need be they do."
    )
    disconnected_after: float = duration("20s", "A store silent for so long gets nothing new.", at_least="100ms")
    down_after: float = duration(
        "30m", "What lies on a store silent for so long is copied elsewhere.", at_least="100ms"
    )
    low_space_ratio: float = ratio(0.8, "A store fuller than this gets no more copies.")
    leader_limit: int = number(4, "Leaders on the move at once.")
    region_limit: int = number(64, "Copies on the move at once, for balance.")
    replica_limit: int = number(64, "Copies on the move at once, for repair.")
    hot_limit: int = number(4, "Hot regions on the move at once.")
    merge_limit: int = number(8, "Merges at once.")
    store_limit: int = number(8, "Copies added to one store, or taken from it, at once.", at_least=1)
    merge_size: int = size("20MiB", "A smaller region may be merged into its neighbour; 0B: none is.")
    merge_keys: int = number(200_000, "A region with more keys is not merged.")
    split_merge_interval: float = duration("1h", "A region that was split is not merged for so long.")
    region_size_max: int = size("144MiB", "A merge makes no region larger than this.", at_least="4KiB")
    balance_leaders: bool = flag(True, "Give stores as many leaders as each other.")
    balance_regions: bool = flag(True, "Give stores as much data as each other.")
    balance_hot: bool = flag(True, "Spread what is written and read most.")
    merge: bool = flag(True, "Let small regions become part of their neighbours.")


@final
@dataclass(frozen=True, slots=True)
class PdConfig:
    """A member of the placement driver."""

    id: int = number(1, "Its number among the members.", at_least=1, at_most=(1 << 32) - 1)
    name: str = text("", "What people call it; empty: pd-<id>.")
    data_dir: str = text("data/pd", "Where everything is kept. One member a directory.")
    address: str = text(
        "127.0.0.1:2379", "Where clients and stores are served. Port 0 takes one that is free.", address=True
    )
    advertise_address: str = text("", "How clients and stores reach it; empty: `address`.", address=True)
    peer_address: str = text("127.0.0.1:2380", "Where the other members are served.", address=True)
    status_address: str = text("", "Where /metrics and /state are served over HTTP; empty: nowhere.", address=True)
    members: Mapping[str, str] = table(
        'Peer addresses of all members of a new cluster by id, such as { 1 = "10.0.0.1:2380" }; empty: this one alone.',
        address=True,
    )
    join: bool = flag(False, "Wait until a cluster that is there takes this member in.")
    moved: bool = flag(
        False, "The data directory was copied or restored to here, and the other is gone for good; for one start."
    )
    cluster_id: int = number(0, "Of a new cluster; 0: a number by chance.", at_most=(1 << 63) - 1)
    drain: float = duration("10s", "How long SIGTERM may take to hand over and to finish.", at_most="10m")
    schedule: ScheduleSection = field(default_factory=ScheduleSection)
    log: LogSection = field(default_factory=LogSection)
    tls: TlsSection = field(default_factory=TlsSection)

    def __post_init__(self) -> None:
        if not self.data_dir:
            raise ConfigError("data_dir", "must name a directory")
        for name in self.members:
            if not name.isdecimal() or int(name) == 0:
                raise ConfigError(f"members.{name}", "must be a member's id: a whole number above 0")
        if self.members and not self.join and str(self.id) not in self.members:
            raise ConfigError("members", f"lack this member, {self.id}")


KINDS: Final[Mapping[str, type[StoreConfig | PdConfig]]] = {"store": StoreConfig, "pd": PdConfig}
C = TypeVar("C", StoreConfig, PdConfig)


def read_config(cls: type[C], path: Path | None, flags: Mapping[str, object] | None = None) -> C:
    """The configuration of a file (None: defaults), with `flags` above it, by names such as "data_dir", "log.level".

    Raises:
        ConfigError: it cannot be read, is no TOML, or an option is wrong.
    """
    values: dict[str, object] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError("the file", f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("the file", f"{path} is no TOML: {error}") from error
    for name, value in (flags or {}).items():
        place = values
        *sections, last = name.split(".")
        for part in sections:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(part, f"is a section: write [{part}] and its options below it")
            place = inner
        place[last] = value
    return load(cls, values)


def render(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(_ESCAPES.get(char, char) for char in value)
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(render, value))}]"
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{render(name)} = {render(one)}" for name, one in value.items()) + " }" if value else "{}"
        )
    return str(value)


_ESCAPES: Final = {chr(code): f"\\u{code:04x}" for code in range(32)} | {'"': '\\"', "\\": "\\\\", "\x7f": "\\u007f"}
