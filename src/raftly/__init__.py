"""Raft and what stands on it."""
