"""Demonstrations: whole clusters in one process, small enough to be read from end to end.

1. Everything is decided from the seed: one seed, one history, to the last message.
2. Messages cross between nodes as bytes, encoded and decoded by the transport's own codec.
3. A command counts as confirmed only when the state machine beside its proposer has applied it.

Reading order: `host` (one node: the loop that every application of `RawNode` writes), `cluster` (hosts and the wire
between them), `five_nodes` (a group that grows from one node, then agrees on commands), `steps` and `one_proposal`
(what happens to one of them, function by function). How it looks: `tell` (lines), `view` (a picture), `story` and
`source` (the steps as text, with where each function stands). `docs/demos.md` tells what there is to see.
"""
