"""Tour: the script that is played without a terminal, or by `tour`: commands that can be typed, and what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from raftly.base.types import NodeId
from raftly.demo.live.step import Step
from raftly.demo.live.words import listed


@final
@dataclass(frozen=True, slots=True)
class Scene:
    """A command, and what there is to see."""

    line: str
    about: str = ""


TOUR: Final = (
    Scene(
        "show", "A node is a process with a log on disk. One of them leads: it alone decides what comes into the log."
    ),
    Scene("put color green", "A write is acknowledged when a majority has it on disk."),
    Scene("get color"),
    Scene("write on", "From now on something is always under way, and each acknowledgement is remembered."),
    Scene("kill leader", "The leader's process is killed: the others have to notice, and to elect another."),
    Scene("get color", "What was acknowledged is still there, and can be changed."),
    Scene("put color blue"),
    Scene("check"),
    Scene("restart", "It comes back with the log that it has on disk, and gets what it missed."),
    Scene("check"),
    Scene("pause leader", "Worse than dead: a leader that stands still, with its connections open."),
    Scene("resume", "It wakes up believing that it leads. It must not: the others went on without it."),
    Scene("check"),
    Scene("partition leader | rest", "The network breaks, with the leader on the smaller side: it has to give way."),
    Scene("put color red", "The larger side goes on. The smaller one cannot, and says why."),
    Scene("why"),
    Scene("heal", "Joined again, the smaller side takes over what it missed."),
    Scene("check"),
    Scene("stop leader", "A leader that is stopped in good order hands over first: nobody has to wait."),
    Scene("restart"),
    Scene("write off", "At the end: what every replica holds, beside everything that was ever acknowledged."),
    Scene("get color"),
    Scene("show"),
    Scene("check"),
)


def verdict(played: Sequence[tuple[str, Step]], nodes: Sequence[NodeId]) -> tuple[bool, list[str]]:
    """Was nothing lost, and did everything go as it must? With the sentences that say so.

    The last step must have looked at all `nodes`.
    """
    lost = list(dict.fromkeys(problem for _, step in played for problem in step.lost))
    failed = [f"`{line}` did not go as it must: {'; '.join(step.lines)}" for line, step in played if not step.ok]
    last = played[-1][1].facts
    if last.get("nodes") != list(nodes):
        failed.append(f"not all of {listed(nodes)} were compared at the end")
    if lost:
        return False, [f"LOST: {problem}" for problem in lost] + failed
    if failed:
        return False, failed
    writes = f"nothing was lost: {last['acknowledged']:,} writes were acknowledged"
    return True, [f"{writes}, each of the {len(nodes)} replicas has them all, and their states are equal"]
