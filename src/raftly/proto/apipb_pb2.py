"""Messages of apipb. Written by tools/proto.py; do not edit."""

from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n\x18raftly/proto/apipb.proto\x12\x05apipb"=\n\x10KeyspaceIdentity\x12\x14\n\x0cnamespace_id\x18\x01 \x01(\r\x12\x13\n\x0bkeyspace_id\x18\x02 \x01(\rb\x06pr'
    b'oto3'
)
