"""A store: many regions of one key space, each a Raft group with its peers on several stores, over one log and engine.

    client's request ──► RegionStore.write ──► Peer (may this be proposed?) ──► node.driver, all regions in rounds
                                                                                  │ one log append and sync a round
    result ◄── waiters ◄── one engine batch for all regions of a round ◄── apply ◄┘

Invariants:

1. Regions that hold keys never overlap on one store; together those of a cluster leave no gap.
2. A region's epoch never goes back. It is checked when a command is proposed and again when it is applied: what was
   proposed for another range or other members does nothing, on every replica alike.
3. A peer id belongs to one replica, for ever. Where a peer was destroyed a tombstone stays, and no message brings that
   peer, or one before it, to life again.
4. The engine holds the truth about what is applied: data, region and applied index change in one batch. It is not
   synced for that; the log keeps whatever the engine may lose. So the log is cut, restarted behind a snapshot, or
   removed only after the engine was synced.
5. A write is answered after it is in the engine; what cannot be known to be applied or not is `OutcomeUnknown`.
6. A region in which nothing happens costs no tick, no message and no timer.

Reading order: `kv` and `ops` (what a server sees), `placement` (what the placement driver is to a store), `keys`,
`region_state` and `command` (the bytes), `changes` (what admin commands make of a region), `apply`, `checks`, `peer`
and `shared` (one replica), `peers` (all of a store, how they come and go), `recovery`, `store`; then `snapshots` over
`region_snapshot`, `hibernation` and `messages`, `compaction`, `split_check`, and `duties` (what is done by the clock).
"""
