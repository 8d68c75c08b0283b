"""Messages of import_sstpb. Written by tools/proto.py; do not edit."""

from raftly.proto import kvrpcpb_pb2 as _kvrpcpb_pb2
from raftly.proto import metapb_pb2 as _metapb_pb2
from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n\x1fraftly/proto/import_sstpb.proto\x12\x0cimport_sstpb\x1a\x1araftly/proto/kvrpcpb.proto\x1a\x19raftly/proto/metapb.pro'
    b'to"#\n\x05Range\x12\r\n\x05start\x18\x01 \x01(\x0c\x12\x0b\n\x03end\x18\x02 \x01(\x0c"\xa9\x02\n\x07SSTMeta\x12\x0c\n\x04uuid\x18\x01 \x01(\x0c\x12"\n\x05range\x18\x02 \x01(\x0b2\x13.import_sstpb.Rang'
    b'e\x12\r\n\x05crc32\x18\x03 \x01(\r\x12\x0e\n\x06length\x18\x04 \x01(\x04\x12\x0f\n\x07cf_name\x18\x05 \x01(\t\x12\x11\n\tregion_id\x18\x06 \x01(\x04\x12)\n\x0cregion_epoch\x18\x07 \x01(\x0b2\x13.metapb.'
    b'RegionEpoch\x12\x19\n\x11end_key_exclusive\x18\x08 \x01(\x08\x12\x11\n\ttotal_kvs\x18\t \x01(\x04\x12\x13\n\x0btotal_bytes\x18\n \x01(\x04\x12(\n\x0bapi_version\x18\x0b \x01(\x0e2'
    b'\x13.kvrpcpb.APIVersion\x12\x11\n\tcipher_iv\x18\x0c \x01(\x0cb\x06proto3'
)
