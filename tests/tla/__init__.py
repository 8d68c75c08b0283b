"""Traces of small clusters for etcd-io/raft's TLA+ trace validation: scenarios, their checks, and TLC."""
