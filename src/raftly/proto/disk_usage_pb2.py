"""Messages of disk_usage. Written by tools/proto.py; do not edit."""

from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n\x1draftly/proto/disk_usage.proto\x12\ndisk_usage*8\n\tDiskUsage\x12\n\n\x06Normal\x10\x00\x12\x0e\n\nAlmostFull\x10\x01\x12\x0f\n\x0bAlreadyFull\x10'
    b'\x02b\x06proto3'
)
