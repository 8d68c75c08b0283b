"""The table of command groups, and `raftly --version`."""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from raftly.cli.form import core_form
from raftly.errors import RaftlyError

__all__ = ["GROUPS", "raftly"]

# name: (where its click command is, its line in `raftly --help`). The line is here so that help imports no group.
GROUPS: Final = {
    "config": ("raftly.cli.config:config", "Explain the options of stores and drivers, check files."),
    "conformance": ("raftly.cli.conformance:conformance", "Run golden scripts against this Raft."),
    "ctl": ("raftly.cli.ctl:ctl", "Look at a cluster, tell its placement driver what to do."),
    "demo": ("raftly.cli.demo:demo", "Watch Raft work."),
    "kv": ("raftly.cli.kv:kv", "Read and write keys of a cluster."),
    "log": ("raftly.cli.log:log", "Show, check and repair the log of a node."),
    "pd": ("raftly.cli.pd:pd", "Run one member of the placement driver."),
    "playground": ("raftly.cli.playground:playground", "A whole cluster of stores on this machine, to break."),
    "sim": ("raftly.cli.sim:sim", "Run whole clusters on virtual time, from seeds, with faults."),
    "store": ("raftly.cli.store:store", "Run one store."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is used: starting `raftly` costs the same however many there are."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the table, sorted."""
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command behind a name of the table; None for another name."""
        if cmd_name not in GROUPS:
            return None
        module, _, attribute = GROUPS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command), f"{module}:{attribute} is no click command"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command list of `--help` from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, GROUPS[name][1]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error of ours is one sentence and exit 1, anything else is a bug and shows its trace."""
        try:
            return super().invoke(ctx)
        except RaftlyError as error:
            raise click.ClickException(str(error)) from error


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"raftly {version('raftly')}, core {core_form()}, Python {sys.version.split()[0]}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Say which raftly this is, and whether its core is compiled or plain Python.",
)
def raftly() -> None:
    """Raft as a library, and what stands on it."""
