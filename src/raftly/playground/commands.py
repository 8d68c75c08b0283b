"""Commands: what can be typed, as values. Parsing is pure; a line that means nothing is refused with a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from raftly.demo.live.typed import read_typed
from raftly.playground.cluster import Refused

__all__ = ["COMMANDS", "Command", "help_lines", "parse"]


@final
@dataclass(frozen=True, slots=True)
class Command:
    """A command and its words."""

    name: str
    words: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Form:
    """How a command is typed, and how many words it takes."""

    usage: str
    help: str
    least: int = 0
    most: int = 0


COMMANDS: Final[Mapping[str, Form]] = {
    "put": Form("put KEY VALUE", "write a key", 2, 99),
    "get": Form("get KEY", "read a key", 1, 1),
    "fill": Form("fill N", "write N keys, and remember what was acknowledged", 1, 1),
    "check": Form("check", "read back all that was acknowledged", 0, 0),
    "show": Form("show", "or `stores`: all processes, what they lead, how many replicas they have", 0, 0),
    "regions": Form("regions", "all regions: their keys, who leads them, where their replicas are", 0, 0),
    "watch": Form("watch [SECONDS]", "what regions do, as it happens", 0, 1),
    "split": Form("split KEY", "let a region begin at this key", 1, 1),
    "merge": Form("merge REGION INTO", "let a region become part of its neighbour", 2, 2),
    "kill": Form("kill NAME", "kill -9: store-1, pd-1, or `leader`, the store that leads most regions", 1, 1),
    "pause": Form("pause NAME", "the process stands still, its connections stay open", 1, 1),
    "resume": Form("resume [NAME]", "let it go on; without a name, all that are paused", 0, 1),
    "stop": Form("stop NAME", "end it in good order: it hands its leaderships over first", 1, 1),
    "restart": Form(
        "restart [NAME]", "or `start`: begin again from its directory; without a name, all that do not run", 0, 1
    ),
    "add": Form("add [store]", "start a new store: regions move to it", 0, 1),
    "remove": Form("remove NAME [keep]", "move all from a store, end it, and remove its files or keep them", 1, 3),
    "balance": Form("balance [SECONDS]", "wait until no replica is missing, and no store is empty", 0, 1),
    "log": Form("log NAME", "the end of what a process said", 1, 1),
    "tour": Form("tour", "the script that runs when there is no terminal", 0, 0),
    "help": Form("help", "this list", 0, 0),
    "quit": Form("quit", "end the processes and the playground", 0, 0),
}
ALIASES: Final = {
    "?": "help",
    "exit": "quit",
    "q": "quit",
    "ls": "show",
    "status": "show",
    "stores": "show",
    "region": "regions",
    "set": "put",
    "start": "restart",
}
NAMING: Final = frozenset({"kill", "pause", "stop", "remove", "log", "resume", "restart"})


def parse(line: str) -> Command | None:
    """The command of a line; None if there is nothing on it, or a comment.

    Raises:
        Refused: with what was expected.
    """
    typed = read_typed(line, COMMANDS, ALIASES, Refused)
    if typed is None:
        return None
    name, words = typed
    form = COMMANDS[name]
    if name in NAMING and words[1:] and words[0] in {"store", "pd"}:
        words[:2] = ["-".join(words[:2])]  # `kill store 1`
    if not form.least <= len(words) <= form.most:
        raise Refused(f"it is typed like this: {form.usage}")
    return Command(name, tuple(words))


def help_lines() -> list[str]:
    """One a command."""
    width = max(len(form.usage) for form in COMMANDS.values())
    return [f"{form.usage.ljust(width)}  {form.help}" for form in COMMANDS.values()]
