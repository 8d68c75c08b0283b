"""Tour: the script that is played without a terminal, or by `tour`: commands that can be typed, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from raftly.demo.live.step import Step
from raftly.demo.live.tour import Scene

__all__ = ["TOUR", "verdict"]

TOUR: Final = (
    Scene("show", "Every process is a real one: a placement driver, and stores that keep copies of regions of keys."),
    Scene("put color green", "A write is acknowledged when a majority of its region's replicas has it on disk."),
    Scene("get color", "One store leads the region: it alone is asked, and sure of what it answers."),
    Scene("fill 3000", "A region that grows too large is split; each part has leaders and replicas of its own."),
    Scene("split key-8", "It may also be asked for."),
    Scene("balance", "Each region is to have three replicas, on three stores: the placement driver sees to it."),
    Scene("regions", "Clients learn this from the placement driver, remember it, and hear from stores what changed."),
    Scene("kill leader", "The store that leads most regions is killed: the others elect leaders from what they have."),
    Scene("get color", "The client's connection is gone; it asks the next replica until one leads."),
    Scene("put color blue", "Two of three are a majority still: keys can be written."),
    Scene("check", "Everything that was acknowledged must be there: all of it is read back."),
    Scene("restart", "It comes back from its directory, and gets what it missed."),
    Scene("kill pd-1", "Without the placement driver nothing moves, but keys are read and written."),
    Scene("put color red"),
    Scene("get color"),
    Scene("restart"),
    Scene("add store", "A new store is empty: the placement driver moves regions to it, while they are used."),
    Scene("fill 500"),
    Scene(
        "balance", "A region moves in steps: a learner more, a snapshot for it, a vote for it, and one replica less."
    ),
    Scene("show", "The new store has its share."),
    Scene("check", "At the end: is everything there that was ever acknowledged?"),
)


def verdict(played: Sequence[tuple[str, Step]]) -> tuple[bool, list[str]]:
    """Was nothing lost, and did everything go as it must? With the sentences that say so."""
    lost = list(dict.fromkeys(problem for _, step in played for problem in step.lost))
    failed = [f"`{line}` did not go as it must: {'; '.join(step.lines)}" for line, step in played if not step.ok]
    if lost or failed:
        return False, [f"LOST: {problem}" for problem in lost[:10]] + failed
    writes = played[-1][1].facts["acknowledged"]
    return True, [f"nothing was lost: {writes:,} writes were acknowledged, and every key that they wrote was read back"]
