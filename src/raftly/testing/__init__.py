"""The public test kit: what raftly is tested with, for those who build on it.

`golden` runs golden scripts against the core.
"""
