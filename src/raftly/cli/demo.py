"""`raftly demo`: watch Raft work."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final, TextIO

import click

from raftly.cli.output import in_terminal
from raftly.demo.five_nodes import FiveNodes, Options
from raftly.errors import ConfigError

__all__ = ["demo"]

SLOW_S: Final = 0.3  # between rounds, with --slow
QUICK_S: Final = 0.02  # without, in a terminal: time enough to see the picture move
QUICK_TOTAL_S: Final = 6.0  # after which nothing waits any more,
REDRAW_S: Final = 0.1  # and not every round is drawn


@click.group()
def demo() -> None:
    """Watch Raft work: a cluster of real processes, and whole clusters in one process."""


@demo.command("cluster")
@click.option("--nodes", type=click.IntRange(3, 7), default=3, show_default=True, metavar="N", help="How many: 3 to 7.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Keep the logs here, and go on with what is there; else they are removed at the end.")  # fmt: skip
@click.option("--port", type=click.IntRange(1024, 65000), metavar="BASE",
              help="Node N is reached at BASE + N; else ports are used that are free.")  # fmt: skip
@click.option("--script", type=click.File(), metavar="FILE", help="Carry out the commands in it; '-': standard input.")
@click.option("--speed", type=click.FloatRange(0, min_open=True), metavar="X",
              help="How fast the tour is: 1 to read along, as in a terminal; else it never waits.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a command, and nothing else.")
def cluster(
    nodes: int, data: Path | None, port: int | None, script: TextIO | None, speed: float | None, *, as_json: bool
) -> None:
    """Three real processes, logs on disk, sockets between them; and a prompt to break them with.

    \b
    raftly> put color green        through the log, on a majority of disks
    raftly> kill leader            kill -9; the others elect another
    raftly> get color              what was acknowledged is still there
    raftly> partition 1 | 2 3      the network breaks
    raftly> why                    who leads, or why nobody does; who may be stopped
    raftly> heal
    raftly> restart                what was killed comes back with its log
    raftly> check                  has every replica all that was acknowledged?

    `help` at the prompt lists all commands, `tour` plays them. Without a terminal, or with --json, the tour is all
    there is: it kills, pauses and cuts off the leader while a client writes, compares all replicas, and takes 10
    seconds, or 30 on a busy machine.

    Exit code 0: nothing that was acknowledged was lost, and the tour went as it must. 1: something was, or did not,
    and it says what. 2: a wrong option.
    """  # noqa: D301 - the escape keeps the lines below it as they are
    from rich.console import Console

    from raftly.demo.live.play import Options as Wanted
    from raftly.demo.live.play import play
    from raftly.demo.live.render import Colours, Lines, Objects

    is_asked = in_terminal() and not as_json and script is None
    if speed is None:
        speed = 1.0 if is_asked else 0.0
    console = Console(highlight=False)
    teller = Objects() if as_json else Colours(console) if console.is_terminal else Lines()
    sys.exit(play(Wanted(nodes, port or 0, data, speed), teller, script, ask=is_asked))


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
