"""How peers reach each other, and how messages look on the way.

Between our own nodes: `codec` (messages as bytes, entry records spliced) inside `frame` (length and checksum).
For interoperation and tools: `raftpb` and `eraftpb`, the protobuf forms of etcd/raft and of raft-rs, which differ;
what they share is in `protobuf`.

Invariants:

1. Bytes from outside give a value or a DecodeError, nothing else, in time and memory linear in their number.
2. A message that is local to a node has no form in `codec`.
3. An entry's record is made once, by the leader; `codec` splices it and cuts it out again, and never rebuilds it.

Reading order: `frame`, `codec`, `protobuf`, `raftpb`, `eraftpb`. docs/formats.md draws the formats.
"""
