"""`raftly playground`: a whole cluster of real processes, to break and to build on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TextIO

import click

from raftly.cli.output import in_terminal

__all__ = ["playground"]


@click.command()
@click.option("--pd", "members", type=int, metavar="N",
              help="Members of the placement driver: 1, 3 or 5; 1, or those of DIR, by default.")  # fmt: skip
@click.option("--stores", type=int, metavar="N", help="Stores: 1 to 20; 3, or those of DIR, by default.")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Keep everything here, and go on with what is there; else it is removed at the end.")  # fmt: skip
@click.option("--port", type=click.IntRange(1024, 65000), metavar="BASE",
              help="Take the ports from here on, three a process; else ports are used that are free.")  # fmt: skip
@click.option("--script", type=click.File(), metavar="FILE", help="Carry out the commands in it; '-': standard input.")
@click.option("--speed", type=click.FloatRange(0, min_open=True), metavar="X",
              help="How fast the tour is: 1 to read along, as in a terminal; else it never waits.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True,
              help="One line when it is ready; then run until SIGTERM or the end of standard input.")  # fmt: skip
def playground(
    members: int | None,
    stores: int | None,
    data: Path | None,
    port: int | None,
    script: TextIO | None,
    speed: float | None,
    *,
    as_json: bool,
) -> None:
    """A placement driver and three stores as real processes on this machine, and a prompt to break them with.

    \b
    raftly> put color green      through a region's log, on a majority of disks
    raftly> fill 3000            enough for regions to split
    raftly> regions              which keys are where, and who leads
    raftly> kill leader          kill -9 of the store that leads most; the others go on
    raftly> check                is everything there that was acknowledged?
    raftly> add store            regions move to it
    raftly> watch                ... while you look

    Any TiKV client may connect meanwhile; it says how. Without a terminal it plays a tour of all this and exits.

    \b
    raftly playground --pd 3 --stores 5 --data here   kept in ./here, and found there again
    raftly playground --script commands.txt           one command a line
    raftly playground --json                          for tests: says where it is, ends with its standard input

    Exit code 0: nothing that was acknowledged was lost, and the tour went as it must. 1: something was, or did not,
    and it says what. 2: a wrong option.
    """  # noqa: D301 - the escape keeps the lines below it as they are
    from rich.console import Console

    from raftly.demo.live.render import Colours, Lines
    from raftly.errors import ConfigError
    from raftly.playground.play import Mode, Options, play

    is_asked = in_terminal() and not as_json and script is None
    if speed is None:
        speed = 1.0 if is_asked else 0.0
    try:
        options = Options(members, stores, port or 0, data, speed)
    except ConfigError as error:
        raise click.BadParameter(error.problem, param_hint=f"--{error.option}") from error
    console = Console(highlight=False)
    teller = Colours(console) if console.is_terminal else Lines()
    sys.exit(play(options, teller, Mode(script, is_asked, as_json)))
