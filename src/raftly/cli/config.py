"""`raftly config`: what can be configured, and whether a file is right."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from raftly.cli.output import print_json
from raftly.errors import ConfigError

__all__ = ["config"]


@click.group()
def config() -> None:
    """Explain the options of stores and of the placement driver, and check files of them.

    \b
    raftly config explain store > store.toml   all options with their defaults, to edit
    raftly config check store.toml             what is wrong with it
    raftly store --config store.toml

    Exit code 0: all is well. 1: a file is wrong, and it says where. 2: a wrong command line.
    """  # noqa: D301 - the escape keeps the lines below it as they are


@config.command()
@click.argument("kind", type=click.Choice(["store", "pd"]), required=False)
@click.option("--json", "as_json", is_flag=True, help="A list of objects.")
def explain(kind: str | None, *, as_json: bool) -> None:
    """Every option with its default, as a file that can be used as it is.

    \b
    raftly config explain store > store.toml
    """  # noqa: D301 - the escape keeps the line below it as it is
    from raftly.server.config import KINDS, render
    from raftly.server.options import explain as options_of

    kinds = [kind] if kind else sorted(KINDS)
    if as_json:
        told = [
            {"of": one, "option": o.name, "kind": o.kind, "default": o.default, "bound": o.bound, "about": o.about}
            for one in kinds
            for o in options_of(KINDS[one])
        ]
        print_json(told)
        return
    for number, one in enumerate(kinds):
        if len(kinds) > 1:
            click.echo(f"{chr(10) if number else ''}### raftly {one} --config FILE\n")
        section = ""
        for option in options_of(KINDS[one]):
            within, _, name = option.name.rpartition(".")
            if within != section:
                section = within
                click.echo(f"[{section}]")
            bound = f" ({option.kind}; {option.bound})" if option.bound else f" ({option.kind})"
            click.echo(f"# {option.about}{bound}\n{name} = {render(option.default)}\n")


@config.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--kind", type=click.Choice(["store", "pd"]), help="What it is for; else it is found out.")
@click.option("--json", "as_json", is_flag=True, help="One object.")
def check(file: Path, kind: str | None, *, as_json: bool) -> None:
    """Is every option in FILE known, and within its bounds? Exit code 0: yes. 1: no, and it says what to correct."""
    from raftly.server.config import KINDS, PdConfig, StoreConfig, read_config

    problems: dict[str, ConfigError] = {}
    for one in [kind] if kind else sorted(KINDS, reverse=True):
        try:
            _ = read_config(StoreConfig, file) if one == "store" else read_config(PdConfig, file)
        except ConfigError as error:
            problems[one] = error
            continue
        if as_json:
            print_json({"ok": True, "kind": one})
        else:
            click.echo(f"{file} is a configuration of {'a store' if one == 'store' else 'the placement driver'}")
        return
    if as_json:
        print_json({"ok": False, "problems": {one: str(problem) for one, problem in problems.items()}})
    elif len(told := set(map(str, problems.values()))) == 1:
        click.echo(f"{file}: {told.pop()}", err=True)
    else:
        for one, problem in problems.items():
            click.echo(f"{file}, as one of {one}: {problem}", err=True)
    sys.exit(1)
