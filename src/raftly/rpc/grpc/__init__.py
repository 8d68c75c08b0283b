"""gRPC over HTTP/2 without I/O: heads and trailers, messages, status, deadlines, metadata, compression.

Source: grpc/grpc doc/PROTOCOL-HTTP2.md (the wire), doc/statuscodes.md (codes).
Reading order: `status`, `metadata`, `timeout`, `message` (framing, compression), `heads` (all of it as header blocks).
"""
