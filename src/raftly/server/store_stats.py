"""How a store does, as pdpb has it: between stores, the placement driver and whoever asks it."""

from __future__ import annotations

from raftly.base.heartbeats import StoreStats
from raftly.proto import pdpb_pb2 as pb

__all__ = ["stats_message", "stats_of"]


def stats_of(message: pb.StoreStats) -> StoreStats:
    """What a store tells."""
    interval = message.interval
    return StoreStats(
        message.store_id,
        message.capacity,
        message.available,
        message.used_size,
        message.region_count,
        message.sending_snap_count,
        message.receiving_snap_count,
        message.applying_snap_count,
        message.start_time,
        message.is_busy,
        message.bytes_written,
        message.keys_written,
        message.bytes_read,
        message.keys_read,
        max(0, interval.end_timestamp - interval.start_timestamp),
    )


def stats_message(stats: StoreStats) -> pb.StoreStats:
    """The same back."""
    return pb.StoreStats(
        store_id=stats.store_id,
        capacity=stats.capacity,
        available=stats.available,
        used_size=stats.used,
        region_count=stats.region_count,
        sending_snap_count=stats.snapshots_sending,
        receiving_snap_count=stats.snapshots_receiving,
        applying_snap_count=stats.snapshots_applying,
        start_time=stats.start_time_s,
        is_busy=stats.is_busy,
        bytes_written=stats.bytes_written,
        keys_written=stats.keys_written,
        bytes_read=stats.bytes_read,
        keys_read=stats.keys_read,
        interval=pb.TimeInterval(start_timestamp=0, end_timestamp=stats.interval_s),
    )
