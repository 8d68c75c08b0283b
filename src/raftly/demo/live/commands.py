"""Commands: what can be typed, as values. Parsing is pure; a line that means nothing is refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, final

from raftly.base.types import NodeId
from raftly.demo.live.typed import read_typed
from raftly.errors import RaftlyError

LEADER: Final = 0  # instead of a node: whoever leads when the command is carried out
ALL: Final = -1  # whoever it applies to
REST: Final = -2  # in a partition: all that are named nowhere else


class Refused(RaftlyError):
    """Something that was asked of the demonstration means nothing, or cannot be done now; the text says why."""

    code: ClassVar[str] = "demo_refused"


@final
@dataclass(frozen=True, slots=True)
class Command:
    """A command. Which of the fields count depends on `name`."""

    name: str
    node: NodeId = ALL
    key: str = ""
    value: str = ""
    groups: tuple[tuple[NodeId, ...], ...] = ()
    flag: bool = False  # stop: also if it is not safe; write: on


@final
@dataclass(frozen=True, slots=True)
class Form:
    """How a command is typed."""

    usage: str
    help: str
    parse: Callable[[str, Sequence[str]], Command]


def parse(line: str) -> Command | None:
    """The command of a line; None if there is nothing on it, or a comment.

    Raises:
        Refused: with what was expected.
    """
    typed = read_typed(line, FORMS, ALIASES, Refused)
    if typed is None:
        return None
    name, words = typed
    form = FORMS[name]
    return form.parse(name, words)


def _usage(name: str) -> Refused:
    return Refused(f"it is typed like this: {FORMS[name].usage}")


def _nothing(name: str, words: Sequence[str]) -> Command:
    if words:
        raise _usage(name)
    return Command(name)


def _put(name: str, words: Sequence[str]) -> Command:
    if len(words) < 2:
        raise _usage(name)
    return Command(name, key=words[0], value=" ".join(words[1:]))


def _get(name: str, words: Sequence[str]) -> Command:
    if len(words) == 3 and words[1] == "at":
        return Command(name, _id(words[2]), key=words[0])
    if len(words) != 1:
        raise _usage(name)
    return Command(name, key=words[0])


def _one(name: str, words: Sequence[str]) -> Command:
    if len(words) != 1:
        raise _usage(name)
    return Command(name, _id(words[0]))


def _one_or_all(name: str, words: Sequence[str]) -> Command:
    return _one(name, words) if words else Command(name)


def _stop(name: str, words: Sequence[str]) -> Command:
    if len(words) == 2 and words[1] == "anyway":
        return Command(name, _id(words[0]), flag=True)
    return _one(name, words)


def _cut(name: str, words: Sequence[str]) -> Command:
    if len(words) != 2:
        raise _usage(name)
    one, other = _id(words[0]), _id(words[1])
    if one == other:
        raise Refused("a node has no link to itself: name two")
    return Command(name, groups=((one,), (other,)))


def _partition(name: str, words: Sequence[str]) -> Command:
    text = " ".join(words).replace("|", " | ").replace(",", " ")
    groups = [tuple(_id(word, rest=True) for word in part.split()) for part in text.split("|")]
    if len(groups) < 2 or not all(groups):
        raise _usage(name)
    ids = [id_ for group in groups for id_ in group]
    if len(set(ids)) < len(ids):
        raise Refused("a node can be on one side only")
    return Command(name, groups=tuple(groups))


def _write(name: str, words: Sequence[str]) -> Command:
    if tuple(words) not in {("on",), ("off",)}:
        raise _usage(name)
    return Command(name, flag=words[0] == "on")


def _id(word: str, *, rest: bool = False) -> NodeId:
    if word == "leader":
        return LEADER
    if rest and word == "rest":
        return REST
    if not word.isascii() or not word.isdecimal() or not 0 < int(word) < 1 << 32:
        raise Refused(f"{word!r} is no node: name one by its number, or say `leader`")
    return int(word)


FORMS: Final = {
    "put": Form("put KEY VALUE", "write, through the log, exactly once", _put),
    "get": Form("get KEY [at NODE]", "read: linearizable; with `at`, what this replica has just now", _get),
    "write": Form("write on|off", "a client that writes all the time, and measures how long it had to wait", _write),
    "kill": Form("kill NODE|leader", "kill -9: the process is gone between two instructions", _one),
    "pause": Form("pause NODE|leader", "the process stands still, its connections stay open", _one),
    "resume": Form("resume [NODE]", "let it go on; without a number, all that are paused", _one_or_all),
    "stop": Form("stop NODE|leader [anyway]", "end it in good order, if the others can do without it", _stop),
    "restart": Form("restart [NODE]", "start it from its log; without a number, all that do not run", _one_or_all),
    "cut": Form("cut NODE NODE", "cut one link, both ways", _cut),
    "partition": Form(
        "partition 1 | 2 3", "let the sides not reach each other; `leader` and `rest` count too", _partition
    ),
    "heal": Form("heal", "all links hold again", _nothing),
    "add": Form("add", "start a new node, and make it a member when it has caught up", _nothing),
    "remove": Form("remove NODE", "let a member go, for good", _one),
    "show": Form("show", "all nodes side by side", _nothing),
    "why": Form("why", "why there is no leader, what nodes complain of, who may be stopped", _nothing),
    "check": Form("check", "is everything that was acknowledged on every replica, and are they equal?", _nothing),
    "log": Form("log NODE", "the end of its log on disk, and of what it said", _one),
    "tour": Form("tour", "the script that runs when there is no terminal", _nothing),
    "help": Form("help", "this list", _nothing),
    "quit": Form("quit", "end the nodes and the demonstration", _nothing),
}
ALIASES: Final = {
    "?": "help",
    "exit": "quit",
    "q": "quit",
    "ls": "show",
    "status": "show",
    "set": "put",
    "start": "restart",
    "split": "partition",
}


def help_lines() -> list[str]:
    """One a command."""
    width = max(len(form.usage) for form in FORMS.values())
    return [f"{form.usage.ljust(width)}  {form.help}" for form in FORMS.values()]
