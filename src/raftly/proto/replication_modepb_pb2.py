"""Messages of replication_modepb. Written by tools/proto.py; do not edit."""

from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n%raftly/proto/replication_modepb.proto\x12\x12replication_modepb"|\n\x11ReplicationStatus\x121\n\x04mode\x18\x01 \x01(\x0e2#.rep'
    b'lication_modepb.ReplicationMode\x124\n\x0cdr_auto_sync\x18\x02 \x01(\x0b2\x1e.replication_modepb.DRAutoSync"\xbb\x01\n\nDRAutoSync'
    b'\x12\x11\n\tlabel_key\x18\x01 \x01(\t\x122\n\x05state\x18\x02 \x01(\x0e2#.replication_modepb.DRAutoSyncState\x12\x10\n\x08state_id\x18\x03 \x01(\x04\x12\x1e\n\x16wait_sy'
    b'nc_timeout_hint\x18\x04 \x01(\x05\x12\x18\n\x10available_stores\x18\x05 \x03(\x04\x12\x1a\n\x12pause_region_split\x18\x06 \x01(\x08"f\n\x17RegionReplicationStat'
    b'us\x129\n\x05state\x18\x01 \x01(\x0e2*.replication_modepb.RegionReplicationState\x12\x10\n\x08state_id\x18\x02 \x01(\x04"]\n\x15StoreDRAutoSyncSt'
    b'atus\x122\n\x05state\x18\x01 \x01(\x0e2#.replication_modepb.DRAutoSyncState\x12\x10\n\x08state_id\x18\x02 \x01(\x04*1\n\x0fReplicationMode\x12\x0c\n\x08MAJ'
    b'ORITY\x10\x00\x12\x10\n\x0cDR_AUTO_SYNC\x10\x01*H\n\x0fDRAutoSyncState\x12\x08\n\x04SYNC\x10\x00\x12\x0e\n\nASYNC_WAIT\x10\x01\x12\t\n\x05ASYNC\x10\x02\x12\x10\n\x0cSYNC_RECOVER\x10\x03*'
    b'T\n\x16RegionReplicationState\x12\x0b\n\x07UNKNOWN\x10\x00\x12\x13\n\x0fSIMPLE_MAJORITY\x10\x01\x12\x18\n\x14INTEGRITY_OVER_LABEL\x10\x02b\x06proto3'
)
