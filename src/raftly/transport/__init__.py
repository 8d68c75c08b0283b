"""How peers reach each other, and how messages look on the way.

Between our own nodes: `codec` (messages as bytes, entry records spliced) inside `frame` (length and checksum).
For interoperation and tools: `raftpb` and `eraftpb`, the protobuf forms of etcd/raft and of raft-rs, which differ;
what they share is in `protobuf`.

`tcp.TcpTransport` joins nodes over TCP and TLS; `memory.MemoryNetwork` joins those of one process, for tests.

Invariants:

1. Bytes from outside give a value or a DecodeError, nothing else, in time and memory linear in their number.
2. A message that is local to a node has no form in `codec`.
3. An entry's record is made once, by the leader; `codec` splices it and cuts it out again, and never rebuilds it.
4. Messages may be lost, never damaged; they are from the node whose connection they came on. Snapshots are reported.
5. What a peer or a stranger can make this node hold is bounded, and so is how long it can be kept waiting.

Reading order: `base`; `frame`, `codec`, `groups`, `handshake`, `send_queue` (bytes, decisions); `connection`, `dial`,
`link`, `accept` (what acts); `transfer`, `sending`, `taking` (snapshots); `hub` and `tcp` join them. Clients:
`exchange` (bytes), `serving`, `client`, `memory_client`. Then `protobuf`, `raftpb`, `eraftpb`. docs/formats.md and
docs/formats-transport.md draw the formats, docs/transport.md tells the rest.
"""
