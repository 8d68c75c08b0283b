"""`raftly demo`: watch Raft work."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from typing import Final

import click

from raftly.demo.five_nodes import FiveNodes, Options
from raftly.errors import ConfigError

__all__ = ["demo"]

SLOW_S: Final = 0.3  # between rounds, with --slow
QUICK_S: Final = 0.02  # without, in a terminal: time enough to see the picture move
QUICK_TOTAL_S: Final = 6.0  # after which nothing waits any more,
REDRAW_S: Final = 0.1  # and not every round is drawn


@click.group()
def demo() -> None:
    """Watch Raft work: whole clusters in one process."""


@demo.command("five-nodes")
@click.option("--nodes", type=int, default=5, show_default=True, metavar="N", help="How many nodes.")
@click.option("--proposals", type=int, default=100, show_default=True, metavar="N", help="How many commands.")
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="The same seed, the same history.")
@click.option("--drop", type=float, default=0.0, metavar="PERCENT", help="How many of all messages are lost.")
@click.option("--slow", is_flag=True, help="Wait a moment between rounds, to watch.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def five_nodes(nodes: int, proposals: int, seed: int, drop: float, *, slow: bool, as_json: bool) -> None:
    """Five nodes: one starts a group, the others join, a hundred proposals are committed.

    Node 1 starts a group of its own and campaigns. The other nodes start empty and join by changes of membership, one
    after the other. Then a client beside each node proposes its share of the commands, and takes one for confirmed
    only when its node has applied it. Exit code 0: all were confirmed and all state machines are equal. 1: not so.
    """
    try:
        run = FiveNodes(Options(nodes, proposals, seed, drop))
    except ConfigError as error:
        raise click.BadParameter(error.problem, param_hint=f"--{error.option}") from error
    if as_json:
        while run.step():
            pass
        click.echo(json.dumps(asdict(run.result()), separators=(",", ":")))
    elif sys.stdout.isatty():
        _show(run, slow=slow)
    else:
        _tell(run, slow=slow)
    sys.exit(0 if run.is_success() else 1)


def _tell(run: FiveNodes, *, slow: bool) -> None:
    from raftly.demo.tell import Teller, table_lines, verdict_line

    teller = Teller(run)
    going = True
    while going:
        for line in teller.lines():
            click.echo(line)
        if slow:
            time.sleep(SLOW_S)
        going = run.step()
    click.echo()
    for line in table_lines(run):
        click.echo(line)
    click.echo(f"\n{verdict_line(run)}")


def _show(run: FiveNodes, *, slow: bool) -> None:
    from rich.console import Console

    from raftly.demo.tell import verdict_line
    from raftly.demo.view import View

    console = Console()
    if console.is_dumb_terminal:
        _tell(run, slow=slow)
        return
    hurry_at = time.monotonic() + QUICK_TOTAL_S
    drawn_at = 0.0
    with View(run, console) as view:
        while run.step():
            now = time.monotonic()
            if slow or now < hurry_at:
                view.show()
                time.sleep(SLOW_S if slow else QUICK_S)
            elif now >= drawn_at + REDRAW_S:
                view.show()
                drawn_at = now
        view.show()
    console.print(verdict_line(run), style="green" if run.is_success() else "red", highlight=False)


@demo.command("one-proposal")
@click.option("--at", type=int, default=1, show_default=True, metavar="NODE", help="Propose here; node 1 leads.")
@click.option("--every", is_flag=True, help="Also tell the steps in which a node only does what another just did.")
def one_proposal(at: int, *, every: bool) -> None:
    """One proposal, followed through three nodes, function by function.

    Each step names the function that took it and where that stands, so that the code can be read beside it. The steps
    are those that were taken: they come from the core's trace and from the loop that drives it, not from a script.
    """
    from rich.console import Console

    from raftly.demo.one_proposal import OneProposal
    from raftly.demo.story import story

    try:
        followed = OneProposal(at)
    except ConfigError as error:
        raise click.BadParameter(error.problem, param_hint=f"--{error.option}") from error
    console = Console()
    for line in story(followed, every=every):
        console.print(line, soft_wrap=True, highlight=False)
