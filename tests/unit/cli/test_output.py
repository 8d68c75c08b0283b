"""Tables: drawn on a terminal, plain in a pipe."""

from __future__ import annotations

import io
import sys

import pytest

from raftly.cli.output import print_json, print_table


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
