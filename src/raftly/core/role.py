"""The four roles of a node."""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """What a node is in its term; the value is the printed name."""

    FOLLOWER = "StateFollower"
    CANDIDATE = "StateCandidate"
    LEADER = "StateLeader"
    PRE_CANDIDATE = "StatePreCandidate"
