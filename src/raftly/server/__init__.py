"""The edges: gRPC services of the store and of the placement driver, status over HTTP, and what starts a process.

    client ──gRPC──► tikv_service ─┬─ a call of its own ─┐
                                   └─ batch_commands ────┴─► commands ─► raw ─► KvBackend (a RegionStore, or standalone)

Invariants:
1. Handlers know nothing of gRPC: request in, response out, or an error of ours; `commands` makes the answer of it.
2. A command costs the same checks, limits and counts whichever way it came, and answers in the same turn if it can.
3. An outcome that is not known is told as such, never as done or not done.

Reading order, store: `ttl`, `contexts`, `raw`, `region_errors`, `commands`, `batch_commands`, `tikv_service`,
`kv_server`; `standalone` and `standalone_pd`; `metrics`, `status`. Placement driver: `pd_*`.
"""
