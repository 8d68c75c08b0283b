"""The public test kit: what raftly is tested with, for those who build on it.

`golden` runs golden scripts against the core. `processes` runs a replicated class in real processes, to kill and pause
them. `history`, `models` and `linearizability` judge what clients were told.
"""
