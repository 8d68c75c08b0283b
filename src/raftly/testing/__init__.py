"""The public test kit: what raftly is tested with, for those who build on it.

`plugin` and `fixtures` bring a class onto a simulated cluster in a test of yours (`docs/testing.md`); below them `sim`
plays whole nodes, `core_sim` the core and its log, on `memfs` and `faultfs`, disks that crash and fail. `checks` hold
every turn against Raft's rules; `history`, `models`, `class_model`, `linearizability` and `queue_order` judge what
clients were told. `processes` runs a replicated class in real processes, to kill and pause them. `golden` runs golden
scripts against the core.
"""
