"""What is typed becomes a command, or a sentence that helps."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.demo.live.commands import ALIASES, ALL, FORMS, LEADER, REST, Command, Refused, help_lines, parse
from raftly.demo.live.prompt import complete
from raftly.demo.live.tour import TOUR


@pytest.mark.parametrize(
    "line,command",
    [
        ("put color green", Command("put", key="color", value="green")),
        ('PUT "my key" two words', Command("put", key="my key", value="two words")),
        ("set a 1 # why not", Command("put", key="a", value="1")),
        ("get color", Command("get", key="color")),
        ("get color at 2", Command("get", 2, key="color")),
        ("get color at leader", Command("get", LEADER, key="color")),
        ("kill 3", Command("kill", 3)),
        ("kill leader", Command("kill", LEADER)),
        ("resume", Command("resume", ALL)),
        ("restart 2", Command("restart", 2)),
        ("stop 1", Command("stop", 1)),
        ("stop leader anyway", Command("stop", LEADER, flag=True)),
        ("cut 1 2", Command("cut", groups=((1,), (2,)))),
        ("partition 1 | 2 3", Command("partition", groups=((1,), (2, 3)))),
        ("partition 1|2,3", Command("partition", groups=((1,), (2, 3)))),
        ("split leader | rest", Command("partition", groups=((LEADER,), (REST,)))),
        ("partition 1 | 2 | 3 4", Command("partition", groups=((1,), (2,), (3, 4)))),
        ("write on", Command("write", flag=True)),
        ("write off", Command("write")),
        ("q", Command("quit")),
        ("?", Command("help")),
    ],
)
def test_what_is_typed_is_understood(line: str, command: Command) -> None:
    assert parse(line) == command


@pytest.mark.parametrize("line", ["", "   ", "# only a comment"])
def test_nothing_is_no_command(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    "line,sentence",
    [
        ("frobnicate", "there is no command `frobnicate`. `help` lists them all"),
        ("kil 1", "there is no command `kil`. Did you mean `kill`? `help` lists them all"),
        ("put a", "it is typed like this: put KEY VALUE"),
        ("get", "it is typed like this: get KEY [at NODE]"),
        ("get a on 3", "it is typed like this: get KEY [at NODE]"),
        ("kill", "it is typed like this: kill NODE|leader"),
        ("kill one", "'one' is no node: name one by its number, or say `leader`"),
        ("kill 0", "'0' is no node: name one by its number, or say `leader`"),
        ("kill -9", "'-9' is no node: name one by its number, or say `leader`"),
        ("kill ²", "'²' is no node: name one by its number, or say `leader`"),
        ("stop 1 now", "it is typed like this: stop NODE|leader [anyway]"),
        ("cut 1", "it is typed like this: cut NODE NODE"),
        ("cut 1 1", "a node has no link to itself: name two"),
        ("partition 1 2", "it is typed like this: partition 1 | 2 3"),
        ("partition 1 | ", "it is typed like this: partition 1 | 2 3"),
        ("partition 1 2 | 2 3", "a node can be on one side only"),
        ("write", "it is typed like this: write on|off"),
        ("heal 1", "it is typed like this: heal"),
        ('put a "b', 'a quotation mark is missing: put KEY "a value of several words"'),
    ],
)
def test_what_means_nothing_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(line)
    assert str(refused.value) == sentence


@given(st.text(max_size=40) | st.lists(st.sampled_from([*FORMS, "leader", "rest", "1", "|", "at", '"'])).map(" ".join))
def test_any_line_is_a_command_nothing_or_refused(line: str) -> None:
    with suppress(Refused):
        command = parse(line)
        assert command is None or command.name in FORMS


def test_help_has_a_line_a_command() -> None:
    assert len(help_lines()) == len(FORMS)
    assert set(ALIASES.values()) <= set(FORMS)


def test_the_tour_is_made_of_commands_that_can_be_typed_and_ends_with_a_check() -> None:
    commands = [parse(scene.line) for scene in TOUR]
    names = [command.name for command in commands if command is not None]
    assert len(names) == len(TOUR)
    assert {"put", "kill", "get", "restart", "pause", "partition", "heal", "stop"} <= set(names)
    assert names[-1] == "check"
    for at, name in enumerate(names):
        if name in {"kill", "resume", "heal"}:  # what it did is looked at before the next fault
            assert "check" in names[at + 1 : at + 5], name


def test_tab_completes_commands() -> None:
    assert [complete("re", number) for number in range(4)] == ["resume ", "restart ", "remove ", None]
