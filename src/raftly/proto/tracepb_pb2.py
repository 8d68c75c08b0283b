"""Messages of tracepb. Written by tools/proto.py; do not edit."""

from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n\x1araftly/proto/tracepb.proto\x12\x07tracepb"5\n\x10RemoteParentSpan\x12\x10\n\x08trace_id\x18\x01 \x01(\x04\x12\x0f\n\x07span_id\x18\x02 \x01(\x04"e\n\x0cTrac'
    b'eContext\x126\n\x13remote_parent_spans\x18\x01 \x03(\x0b2\x19.tracepb.RemoteParentSpan\x12\x1d\n\x15duration_threshold_ms\x18\x02 \x01(\rb\x06pro'
    b'to3'
)
