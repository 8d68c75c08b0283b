"""Messages of errorpb. Written by tools/proto.py; do not edit."""

from raftly.proto import metapb_pb2 as _metapb_pb2
from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n\x1araftly/proto/errorpb.proto\x12\x07errorpb\x1a\x19raftly/proto/metapb.proto"<\n\tNotLeader\x12\x11\n\tregion_id\x18\x01 \x01(\x04\x12\x1c\n\x06'
    b'leader\x18\x02 \x01(\x0b2\x0c.metapb.Peer"\x1e\n\tIsWitness\x12\x11\n\tregion_id\x18\x01 \x01(\x04"6\n\x15BucketVersionNotMatch\x12\x0f\n\x07version\x18\x01 \x01(\x04'
    b'\x12\x0c\n\x04keys\x18\x02 \x03(\x0c",\n\x08DiskFull\x12\x10\n\x08store_id\x18\x01 \x03(\x04\x12\x0e\n\x06reason\x18\x02 \x01(\t"B\n\rStoreNotMatch\x12\x18\n\x10request_store_id\x18\x01 '
    b'\x01(\x04\x12\x17\n\x0factual_store_id\x18\x02 \x01(\x04"#\n\x0eRegionNotFound\x12\x11\n\tregion_id\x18\x01 \x01(\x04")\n\x14RegionNotInitialized\x12\x11\n\tregion_'
    b'id\x18\x01 \x01(\x04"T\n\x0eKeyNotInRegion\x12\x0b\n\x03key\x18\x01 \x01(\x0c\x12\x11\n\tregion_id\x18\x02 \x01(\x04\x12\x11\n\tstart_key\x18\x03 \x01(\x0c\x12\x0f\n\x07end_key\x18\x04 \x01(\x0c"8\n\rEp'
    b'ochNotMatch\x12\'\n\x0fcurrent_regions\x18\x01 \x03(\x0b2\x0e.metapb.Region"d\n\x0cServerIsBusy\x12\x0e\n\x06reason\x18\x01 \x01(\t\x12\x12\n\nbackoff_ms\x18\x02'
    b' \x01(\x04\x12\x19\n\x11estimated_wait_ms\x18\x03 \x01(\r\x12\x15\n\rapplied_index\x18\x04 \x01(\x04"\x0e\n\x0cStaleCommand":\n\x11RaftEntryTooLarge\x12\x11\n\tregio'
    b'n_id\x18\x01 \x01(\x04\x12\x12\n\nentry_size\x18\x02 \x01(\x04"\x17\n\x15MaxTimestampNotSynced"6\n\x11ReadIndexNotReady\x12\x0e\n\x06reason\x18\x01 \x01(\t\x12\x11\n\tregi'
    b'on_id\x18\x02 \x01(\x04"*\n\x15ProposalInMergingMode\x12\x11\n\tregion_id\x18\x01 \x01(\x04"E\n\x0eDataIsNotReady\x12\x11\n\tregion_id\x18\x01 \x01(\x04\x12\x0f\n\x07peer'
    b'_id\x18\x02 \x01(\x04\x12\x0f\n\x07safe_ts\x18\x03 \x01(\x04"\'\n\x12RecoveryInProgress\x12\x11\n\tregion_id\x18\x01 \x01(\x04"D\n\x13FlashbackInProgress\x12\x11\n\tregion'
    b'_id\x18\x01 \x01(\x04\x12\x1a\n\x12flashback_start_ts\x18\x02 \x01(\x04")\n\x14FlashbackNotPrepared\x12\x11\n\tregion_id\x18\x01 \x01(\x04"@\n\x0eMismatchPeerId\x12\x17'
    b'\n\x0frequest_peer_id\x18\x01 \x01(\x04\x12\x15\n\rstore_peer_id\x18\x02 \x01(\x04"%\n\x12UndeterminedResult\x12\x0f\n\x07message\x18\x01 \x01(\t"\xff\x08\n\x05Error\x12\x0f\n\x07m'
    b'essage\x18\x01 \x01(\t\x12&\n\nnot_leader\x18\x02 \x01(\x0b2\x12.errorpb.NotLeader\x121\n\x10region_not_found\x18\x03 \x01(\x0b2\x17.errorpb.RegionNotFo'
    b'und\x122\n\x11key_not_in_region\x18\x04 \x01(\x0b2\x17.errorpb.KeyNotInRegion\x12/\n\x0fepoch_not_match\x18\x05 \x01(\x0b2\x16.errorpb.EpochNotM'
    b'atch\x12-\n\x0eserver_is_busy\x18\x06 \x01(\x0b2\x15.errorpb.ServerIsBusy\x12,\n\rstale_command\x18\x07 \x01(\x0b2\x15.errorpb.StaleCommand\x12/\n'
    b'\x0fstore_not_match\x18\x08 \x01(\x0b2\x16.errorpb.StoreNotMatch\x128\n\x14raft_entry_too_large\x18\t \x01(\x0b2\x1a.errorpb.RaftEntryTooL'
    b'arge\x12@\n\x18max_timestamp_not_synced\x18\n \x01(\x0b2\x1e.errorpb.MaxTimestampNotSynced\x128\n\x14read_index_not_ready\x18\x0b \x01(\x0b'
    b'2\x1a.errorpb.ReadIndexNotReady\x12@\n\x18proposal_in_merging_mode\x18\x0c \x01(\x0b2\x1e.errorpb.ProposalInMergingMode\x122\n\x11da'
    b'ta_is_not_ready\x18\r \x01(\x0b2\x17.errorpb.DataIsNotReady\x12=\n\x16region_not_initialized\x18\x0e \x01(\x0b2\x1d.errorpb.RegionNotIn'
    b'itialized\x12$\n\tdisk_full\x18\x0f \x01(\x0b2\x11.errorpb.DiskFull\x127\n\x12RecoveryInProgress\x18\x10 \x01(\x0b2\x1b.errorpb.RecoveryInProg'
    b'ress\x129\n\x13FlashbackInProgress\x18\x11 \x01(\x0b2\x1c.errorpb.FlashbackInProgress\x12;\n\x14FlashbackNotPrepared\x18\x12 \x01(\x0b2\x1d.erro'
    b'rpb.FlashbackNotPrepared\x12&\n\nis_witness\x18\x13 \x01(\x0b2\x12.errorpb.IsWitness\x121\n\x10mismatch_peer_id\x18\x14 \x01(\x0b2\x17.errorpb'
    b'.MismatchPeerId\x12@\n\x18bucket_version_not_match\x18\x15 \x01(\x0b2\x1e.errorpb.BucketVersionNotMatch\x128\n\x13undetermined_re'
    b'sult\x18\x16 \x01(\x0b2\x1b.errorpb.UndeterminedResultb\x06proto3'
)
