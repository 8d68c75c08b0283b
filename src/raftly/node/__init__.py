"""Raft groups on asyncio: what the core leaves to its user, done once.

1. Nothing is sent or told that this node's disk does not hold yet, unless the core said it may be.
2. One append and one sync a round for all groups; the network does not wait for the disk, nor the disk for the network.
3. A proposal ends in its result, in an error that says it was not taken, or in OutcomeUnknown; never in silence.
"""

from raftly.node.driver import Driver, DriverOptions, Group, GroupHandler

__all__ = ["Driver", "DriverOptions", "Group", "GroupHandler"]
