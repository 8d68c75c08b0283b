"""A cluster that is real: a process a node, their logs on disk, sockets between them; and a prompt to break it with.

1. A node is an ordinary replicated class (`raftly.node.replicate`), and the demonstration one of its callers
   (`raftly.node.connect`). Nothing in the library knows that it is watched.
2. Every write that was acknowledged is remembered, and looked for on every replica.
3. What a command means, what is to be said, and whether something was lost is decided by pure functions over reports;
   processes, sockets and the terminal are at the edge.
4. No process outlives the demonstration, however that ends.

Reading order: `report` (what a node tells), `ledger` (what was acknowledged), `links` and `proxy` (the network between
them), `member` (a node's process), `child` and `processes` (its parent's side), `cluster` (what can be done to them),
`words` (what is said about it), `commands` (what can be typed), `acts` (commands carried out), `tour` (a script of
them), `render` and `prompt` (the terminal), `frame` (signals and files), `play` (all of it together).
"""
