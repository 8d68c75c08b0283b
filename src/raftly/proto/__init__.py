"""Messages and services of TiKV's wire protocol (kvproto), by protobuf package: `kvrpcpb_pb2`, `pdpb_rpc` and so on.

Everything here but this page and `pool` is written by `tools/proto.py` and never edited: for a package `x`, `x_pb2` has
its messages and enums, `x_pb2.pyi` their types, and `x_rpc` its services as `raftly.rpc` serves and calls them.
"""
