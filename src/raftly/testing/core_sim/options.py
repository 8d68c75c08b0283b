"""What a run is made of besides its seed, and what it draws from the seed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final, final

from raftly.base.types import NO_LIMIT
from raftly.core.config import Config, ReadOnlyOption
from raftly.testing.core_sim.modelled import modelled_config

TICK_US: Final = 20_000
"""Microseconds between two ticks of a clock that is right."""
CLOCK_RATE_MAX: Final = 1.1
EVENTS_A_SECOND: Final = 15_000
"""For each follower: a busy group, with one entry a message, takes two thirds of them."""


@final
@dataclass(frozen=True, slots=True)
class Options:
    """Options of a run."""

    profile: str = "uniform"
    size: int = 3
    """First voters. With the profile `membership` there are two hosts more."""
    seconds: float = 20.0
    """Virtual time for the script; healing comes on top."""
    rate: float = 60.0
    """Client events a second, about."""
    events_max: int = 0
    """A run that needs more does not converge; 0: what twenty seconds of it, or all of `seconds`, may need."""
    modelled: bool = False
    """Made of what the TLA+ specification of etcd-io/raft knows: `raftly.testing.core_sim.modelled`."""

    @property
    def budget(self) -> int:
        """Events that the run may take."""
        hosts = self.size + 2 if self.profile == "membership" else self.size
        return self.events_max or int(EVENTS_A_SECOND * max(hosts - 1, 2) * max(self.seconds, 20.0))


@final
@dataclass(frozen=True, slots=True)
class Draw:
    """What a seed decides for a whole run."""

    config: Config  # a template, for node 1
    loss: float  # of messages, everywhere and always
    duplicate: float
    reorder: float
    delay_us: int  # of a message, at least
    sync_us: int  # of a sync, about
    segment_bytes: int
    snapshot_entries: int
    entries_kept: int  # behind a snapshot, when the log is cut
    apply_us: int = 0  # asynchronous style: so much later the application has applied what it was given


def draw(random: Random, seed: int, options: Options) -> Draw:
    """Draw it. In half of the runs the core has the options that `raftly.node` gives it."""
    if options.modelled:
        return _modelled(random, seed)
    calm = options.profile == "calm"
    more = Random(f"{seed}/more")
    drawn = Draw(
        config=_production(random, seed) if calm or random.random() < 0.5 else _any(random, seed),
        loss=0.0 if calm else random.choice((0.0, 0.0, 0.005, 0.05)),
        duplicate=0.0 if calm else random.choice((0.0, 0.0, 0.01, 0.1)),
        reorder=0.0 if calm else random.choice((0.0, 0.0, 0.02, 0.3)),
        delay_us=random.choice((50, 300, 1500)),
        sync_us=random.choice((200, 1000, 4000)),
        segment_bytes=random.choice((4096, 8192, 32768)),
        snapshot_entries=random.choice((10, 40, 150)),
        entries_kept=random.choice((0, 0, 10, 30)),
        apply_us=more.choice((0, 0, 300, 5000)),
    )
    config = drawn.config
    if config.check_quorum and not config.lease_tick and more.random() < 0.3:
        # Its reads are as good as the clocks, which are not good here: nothing is asked of them.
        return replace(drawn, config=replace(config, read_only_option=ReadOnlyOption.LEASE_BASED))
    return drawn


def _modelled(random: Random, seed: int) -> Draw:
    return Draw(
        config=modelled_config(random, seed),
        loss=random.choice((0.0, 0.02, 0.1)),
        duplicate=0.0,
        reorder=random.choice((0.0, 0.1, 0.3)),
        delay_us=random.choice((50, 300, 1500)),
        sync_us=0,
        segment_bytes=32768,
        snapshot_entries=1 << 40,
        entries_kept=0,
    )


def _production(random: Random, seed: int) -> Config:
    election_tick = random.choice((5, 10, 10))
    return Config(
        id=1,
        seed=seed,
        election_tick=election_tick,
        async_storage_writes=True,
        own_vote_first=True,
        skip_bcast_commit=True,
        max_size_per_msg=1 << 20,
        max_committed_size_per_ready=4 << 20,
        max_uncommitted_entries_size=1 << 16,
        check_quorum=True,
        pre_vote=True,
        lease_tick=random.randint(3, election_tick),
    )


def _any(random: Random, seed: int) -> Config:
    def maybe(chance: float = 0.3) -> bool:
        return random.random() < chance

    asynchronous = maybe(0.5)
    check_quorum, pre_vote = maybe(0.6), maybe(0.6)
    election_tick = random.choice((3, 5, 10))
    message_bytes = random.choice((0, 40, 200, 1 << 20, NO_LIMIT))
    lease = check_quorum and pre_vote and maybe(0.5)
    return Config(
        id=1,
        seed=seed,
        election_tick=election_tick,
        async_storage_writes=asynchronous,
        max_size_per_msg=message_bytes,
        max_committed_size_per_ready=random.choice((0, 1, 100, 1 << 20)),
        max_uncommitted_entries_size=random.choice((0, 50, 1 << 20)),
        max_inflight_msgs=random.choice((1, 2, 16, 256)),
        max_inflight_bytes=random.choice((0, 0, message_bytes)),
        check_quorum=check_quorum,
        pre_vote=pre_vote,
        lease_tick=random.randint(2, election_tick) if lease else 0,
        disable_proposal_forwarding=maybe(0.2),
        step_down_on_removal=maybe(0.5),
        skip_bcast_commit=maybe(),
        batch_append=maybe(),
        max_apply_unpersisted_log_limit=random.choice((0, 0, 3)) if asynchronous else 0,
        commit_in_votes=maybe(),
        report_commit=maybe(),
        drop_early_reads=maybe(0.2),
        free_inflight_on_heartbeat=maybe(0.2),
        snapshot_must_reach_pending=maybe(0.2),
        count_own_uncommitted=maybe(0.2),
    )
