"""Messages of deadlock. Written by tools/proto.py; do not edit."""

from raftly.proto.pool import define as _define

_define(
    globals(),
    b'\n\x1braftly/proto/deadlock.proto\x12\x08deadlock"\x17\n\x15WaitForEntriesRequest"A\n\x16WaitForEntriesResponse\x12\'\n\x07entrie'
    b's\x18\x01 \x03(\x0b2\x16.deadlock.WaitForEntry"\x7f\n\x0cWaitForEntry\x12\x0b\n\x03txn\x18\x01 \x01(\x04\x12\x14\n\x0cwait_for_txn\x18\x02 \x01(\x04\x12\x10\n\x08key_hash\x18\x03 \x01(\x04'
    b'\x12\x0b\n\x03key\x18\x04 \x01(\x0c\x12\x1a\n\x12resource_group_tag\x18\x05 \x01(\x0c\x12\x11\n\twait_time\x18\x06 \x01(\x04"_\n\x14ReplaceLockByKeyItem\x12\x10\n\x08key_hash\x18\x01 \x01'
    b'(\x04\x12\x0b\n\x03key\x18\x02 \x01(\x0c\x12\x13\n\x0bold_lock_ts\x18\x03 \x01(\x04\x12\x13\n\x0bnew_lock_ts\x18\x04 \x01(\x04"J\n\x19ReplaceLocksByKeysRequest\x12-\n\x05items\x18\x01 \x03('
    b'\x0b2\x1e.deadlock.ReplaceLockByKeyItem"\xa7\x01\n\x0fDeadlockRequest\x12)\n\x02tp\x18\x01 \x01(\x0e2\x1d.deadlock.DeadlockRequestType\x12%\n\x05'
    b'entry\x18\x02 \x01(\x0b2\x16.deadlock.WaitForEntry\x12B\n\x15replace_locks_by_keys\x18\x03 \x01(\x0b2#.deadlock.ReplaceLocksByKeysRequ'
    b'est"\x96\x01\n\x10DeadlockResponse\x12%\n\x05entry\x18\x01 \x01(\x0b2\x16.deadlock.WaitForEntry\x12\x19\n\x11deadlock_key_hash\x18\x02 \x01(\x04\x12*\n\nwait_c'
    b'hain\x18\x03 \x03(\x0b2\x16.deadlock.WaitForEntry\x12\x14\n\x0cdeadlock_key\x18\x04 \x01(\x0c*B\n\x13DeadlockRequestType\x12\n\n\x06Detect\x10\x00\x12\x12\n\x0eClean'
    b'UpWaitFor\x10\x01\x12\x0b\n\x07CleanUp\x10\x022\xab\x01\n\x08Deadlock\x12Z\n\x11GetWaitForEntries\x12\x1f.deadlock.WaitForEntriesRequest\x1a .deadlo'
    b'ck.WaitForEntriesResponse(\x000\x00\x12C\n\x06Detect\x12\x19.deadlock.DeadlockRequest\x1a\x1a.deadlock.DeadlockResponse(\x010\x01b\x06'
    b'proto3'
)
