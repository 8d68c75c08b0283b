"""Tables: drawn on a terminal, plain in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from raftly.cli.output import in_terminal, print_json, print_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ROWS = [[1, "[bold]not markup[/bold]"], [22, ""]]


def test_a_pipe_gets_lines_of_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["id", "name"], ROWS)
    assert capsys.readouterr().out == "id  name\n1   [bold]not markup[/bold]\n22\n"
    print_table(["id", "name"], [])
    assert capsys.readouterr().out == "id  name\n"


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_table(["id", "name"], ROWS)
    lines = terminal.getvalue().splitlines()
    assert "──" in lines[1]
    assert "[bold]not markup[/bold]" in lines[2]


def test_json_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [1, None]})
    assert capsys.readouterr().out == '{"a": [1, null]}\n'


@pytest.mark.parametrize(
    ("stdin", "stdout", "is_asked"),
    [
        (Terminal(), Terminal(), True),
        (io.StringIO(), Terminal(), False),
        (Terminal(), io.StringIO(), False),
        (None, Terminal(), False),
        (Terminal(), None, False),
    ],
)
def test_nobody_is_asked_who_has_closed_a_stream(
    monkeypatch: pytest.MonkeyPatch, stdin: io.StringIO | None, stdout: io.StringIO | None, is_asked: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr(sys, "stdout", stdout)
    assert in_terminal() is is_asked
