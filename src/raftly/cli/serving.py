"""Serving: what `raftly store` and `raftly pd` do alike."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable

import click

from raftly.cli.output import print_json
from raftly.node.parent import end_with_parent
from raftly.server.config import LogSection
from raftly.server.process import Started, run_until_told, set_up_logs

__all__ = ["begin_process", "run_process"]


def begin_process() -> None:
    """Before the imports: what they make stays, and to look at it again and again would be a sixth of their time."""
    gc.disable()


def run_process(start: Callable[[], Awaitable[Started]], log: LogSection, *, as_json: bool, with_parent: bool) -> None:
    """Start it, say when it is ready, run until it is told to end. Behind `begin_process`.

    Raises:
        click.ClickException: it failed; exit code 1.
        RaftlyError: likewise.
    """
    if with_parent:
        end_with_parent()
    set_up_logs(log)
    gc.freeze()
    gc.enable()

    def on_ready(started: Started) -> None:
        gc.freeze()
        addresses = {what: address for what, address in started.addresses.items() if address}
        if as_json:
            print_json({"ready": started.name, **started.facts, **addresses})
        else:
            served = ", ".join(f"{what} {address}" for what, address in addresses.items())
            click.echo(f"{started.name} serves: {served}")

    try:
        asyncio.run(run_until_told(start, on_ready))
    except OSError as error:
        raise click.ClickException(str(error)) from error
