"""Messages of encryptionpb. Written by tools/proto.py; do not edit."""

from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n\x1fraftly/proto/encryptionpb.proto\x12\x0cencryptionpb",\n\x0eEncryptionMeta\x12\x0e\n\x06key_id\x18\x01 \x01(\x04\x12\n\n\x02iv\x18\x02 \x01(\x0c"r\n\x07Dat'
    b'aKey\x12\x0b\n\x03key\x18\x01 \x01(\x0c\x12.\n\x06method\x18\x02 \x01(\x0e2\x1e.encryptionpb.EncryptionMethod\x12\x15\n\rcreation_time\x18\x03 \x01(\x04\x12\x13\n\x0bwas_expo'
    b'sed\x18\x04 \x01(\x08*k\n\x10EncryptionMethod\x12\x0b\n\x07UNKNOWN\x10\x00\x12\r\n\tPLAINTEXT\x10\x01\x12\x0e\n\nAES128_CTR\x10\x02\x12\x0e\n\nAES192_CTR\x10\x03\x12\x0e\n\nAES256_'
    b'CTR\x10\x04\x12\x0b\n\x07SM4_CTR\x10\x05b\x06proto3'
)
