"""The followed proposal as text: one step after the other, those that nodes took alike told once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rich.text import Text

from raftly.demo.one_proposal import LEADER, OneProposal, Scene
from raftly.demo.source import Place, place_of
from raftly.demo.steps import Step

NODE_STYLES: Final = ("", "green", "cyan", "magenta")
INDENT: Final = " " * 12


def story(demo: OneProposal, *, every: bool = False) -> Iterator[Text]:
    """The lines of the whole story. `every`: also the steps in which a node only does what another just did."""
    raft = demo.hosts[LEADER].node.raft
    yield Text(
        f"Three nodes; node {LEADER} leads term {raft.term}, and every log ends in entry {raft.log.last_index}, "
        "committed and applied."
    )
    number = 1
    for scene in demo.follow():
        yield Text()
        yield Text(scene.title, "bold underline")
        yield from _scene(scene, number, every=every)
        number += len(scene.steps)
    yield Text()
    equal = all(host.journal.commands == [demo.command] for host in demo.hosts.values())
    yield Text(
        f"{number - 1} steps; " + ("every state machine has applied it." if equal else "not applied everywhere!")
    )


def _scene(scene: Scene, number: int, *, every: bool) -> Iterator[Text]:
    told: dict[tuple[str, ...], int] = {}
    for steps in _runs(scene.steps):
        names = tuple(place_of(step.function).name for step in steps)
        if not every and names in told and len(names) > 1:
            node, last = steps[0].node, number + len(steps) - 1
            same = f"{number:>3}-{last:<3}  node {node} takes the same {len(steps)} steps as node {told[names]}."
            yield Text(same, NODE_STYLES[node])
        else:
            told[names] = steps[0].node
            for offset, step in enumerate(steps):
                yield from _step(step, number + offset)
        number += len(steps)


def _runs(steps: list[Step]) -> Iterator[list[Step]]:
    """The steps cut where another node takes its turn."""
    run: list[Step] = []
    for step in steps:
        if run and step.node != run[-1].node:
            yield run
            run = []
        run.append(step)
    if run:
        yield run


def _step(step: Step, number: int) -> Iterator[Text]:
    place = place_of(step.function)
    head = Text(f"{number:>3}  ")
    head.append(f"node {step.node}", NODE_STYLES[step.node])
    head.append(f" {place.name}", f"bold link {_link(place)}")
    head.append(f"  {place}", "dim")
    yield head
    yield Text(INDENT + step.sentence)
    if step.seen:
        yield Text(INDENT + step.seen, "yellow")


def _link(place: Place) -> str:
    return f"{place.path.resolve().as_uri()}#L{place.line}"
