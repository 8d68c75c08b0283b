r"""The script format: reading directives with their expected text, and writing that text anew.

    # comment                         only between cases
    directive arg key=value key=(v1, v2)      a line that ends in \ goes on in the next
    input lines
    ----                              doubled when the expected text has blank lines;
    expected text                     it then ends with two such lines
    <blank line>

`subtest NAME` ... `subtest end` groups cases and has neither input nor expected text.
Source: cockroachdb/datadriven v1.0.2 (the format).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, NoReturn, final

from raftly.errors import RaftlyError

SEPARATOR: Final = "----"
_SUBTEST: Final = "subtest"
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


class ScriptError(RaftlyError):
    """A script that cannot be run: unreadable, malformed, or an argument that makes no sense.

    `path` and `line` say where, as far as that is known ("" and 0 otherwise).
    """

    code: ClassVar[str] = "script"

    def __init__(self, problem: str, path: str = "", line: int = 0) -> None:
        super().__init__(problem, path, line)
        self.problem: Final = problem
        self.path: Final = path
        self.line: Final = line

    def __str__(self) -> str:
        place = ":".join([part for part in (self.path, str(self.line) if self.line else "") if part])
        return f"{place}: {self.problem}" if place else self.problem


class CommandError(RaftlyError):
    """A directive that failed in a way that its script may expect: `text` is what it prints."""

    code: ClassVar[str] = "command"

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text: Final = text

    def __str__(self) -> str:
        return self.text


@final
@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a directive: a bare key has no values, `key=` has one empty value."""

    key: str
    values: tuple[str, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Directive:
    """What a case asks for: a command and its arguments in written order; keys may repeat."""

    command: str
    arguments: tuple[Argument, ...] = ()
    input: str = ""

    def bare(self) -> list[str]:
        """The keys without values."""
        return [argument.key for argument in self.arguments if not argument.values]

    def valued(self) -> Iterator[tuple[str, str]]:
        """(key, value) of every value, in written order."""
        for argument in self.arguments:
            for value in argument.values:
                yield argument.key, value

    def single(self, key: str) -> str:
        """The one value of the first argument `key`.

        Raises:
            ScriptError: absent, or it has another number of values.
        """
        for argument in self.arguments:
            if argument.key == key:
                if len(argument.values) != 1:
                    raise ScriptError(f"{key} needs one value and has {len(argument.values)}")
                return argument.values[0]
        raise ScriptError(f"{self.command} needs the argument {key}=")


def parse_uint(text: str) -> int:
    """A decimal number in [0, 2**64).

    Raises:
        ScriptError: it is none.
    """
    if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 64:
        raise ScriptError(f"{text!r} is not a decimal number of 64 bits")
    return int(text)


def parse_bool(text: str) -> bool:
    """`true`, `false`, or one of their short forms.

    Raises:
        ScriptError: it is none.
    """
    value = _BOOLEANS.get(text)
    if value is None:
        raise ScriptError(f"{text!r} is neither true nor false")
    return value


# --- directive lines -------------------------------------------------------------------------------------------


def parse_directive(line: str) -> tuple[str, tuple[Argument, ...]]:
    """Command and arguments of a directive line.

    Raises:
        ScriptError: malformed; names the column.
    """
    command, _, _ = line.partition(" ")
    arguments: list[Argument] = []
    at = _skip_spaces(line, len(command))
    while at < len(line):
        start = at
        while at < len(line) and line[at] not in " =":
            at += 1
        key = line[start:at]
        if not key:
            _misread(line, at)
        values: tuple[str, ...] = ()
        if line[at : at + 1] == "=":
            values, at = _parse_values(line, at + 1)
        arguments.append(Argument(key, values))
        at = _skip_spaces(line, at)
    return command, tuple(arguments)


def _skip_spaces(line: str, at: int) -> int:
    while at < len(line) and line[at].isspace():
        at += 1
    return at


def _parse_values(line: str, at: int) -> tuple[tuple[str, ...], int]:
    """What stands behind `=`, and the position behind that."""
    if line[at : at + 1] != "(":
        stop = line.find(" ", at)
        stop = len(line) if stop < 0 else stop
        return (line[at:stop],), stop
    values: list[str] = []
    depth = 1
    at += 1
    start = at
    while depth:
        if at == len(line):
            _misread(line, at)
        character = line[at]
        at += 1
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        elif character == "," and depth == 1:
            values.append(line[start : at - 1])
            while line[at : at + 1] == " ":
                at += 1
            start = at
    values.append(line[start : at - 1])
    return tuple(values), at


def _misread(line: str, at: int) -> NoReturn:
    raise ScriptError(f"cannot parse the directive at column {at + 1}: {line}")


# --- whole scripts ---------------------------------------------------------------------------------------------


@final
@dataclass(slots=True)
class Case:
    """A directive with the text that must come out. `line` is where it starts, counted from 1.

    The lines from `expected_from` (its first separator) to before `expected_to` are what `Script.rewritten` replaces.
    """

    line: int
    directive: Directive
    expected: str
    expected_from: int
    expected_to: int


@final
@dataclass(slots=True)
class Script:
    """A parsed file: its lines as they are, and the cases in them."""

    lines: list[str]
    cases: list[Case] = field(default_factory=list)

    def rewritten(self, outputs: Sequence[str]) -> str:
        """The file with `outputs`, one a case in order, as expected texts; everything else stays as it is.

        Cases beyond the outputs keep theirs, so a script that cannot be run to its end loses nothing.
        """
        result: list[str] = []
        at = 0
        for case, output in zip(self.cases, outputs, strict=False):
            result += self.lines[at : case.expected_from]
            result += _expected_lines(output)
            at = case.expected_to
        result += self.lines[at:]
        while result and not result[-1].strip():
            result.pop()
        return "\n".join(result) + "\n"


def _expected_lines(output: str) -> list[str]:
    """The separator, the text and the blank line behind it, doubled separators where the text has blank lines."""
    lines = ended(output).split("\n")[:-1]
    if any(not line.strip() for line in lines):
        return [SEPARATOR, SEPARATOR, *lines, SEPARATOR, SEPARATOR, ""]
    return [SEPARATOR, *lines, ""]


def ended(text: str) -> str:
    """`text` with a final newline, unless it is empty."""
    return text if not text or text.endswith("\n") else text + "\n"


def parse_script(text: str, path: str = "") -> Script:
    """Read a script.

    Raises:
        ScriptError: a directive is malformed, subtests do not match, or nothing in it is a case.
    """
    return _Reader(text, path).read()


@final
class _Reader:
    """Goes through the lines once."""

    def __init__(self, text: str, path: str) -> None:
        self._lines = text.split("\n")
        if self._lines[-1] == "":
            self._lines.pop()
        self._path = path
        self._at = 0
        self._subtests: list[tuple[str, int]] = []

    def read(self) -> Script:
        script = Script(self._lines)
        while self._at < len(self._lines):
            line_number = self._at + 1
            line = self._directive_line()
            if not line:
                continue
            try:
                command, arguments = parse_directive(line)
            except ScriptError as error:
                self._fail(error.problem, line_number)
            if command == _SUBTEST:
                self._subtest(arguments, line_number)
            else:
                script.cases.append(self._case(command, arguments, line_number))
        if self._subtests:
            name, line_number = self._subtests[-1]
            self._fail(f"subtest {name} has no end", line_number)
        if not script.cases:
            self._fail("there is no case in it: not a script", 0)
        return script

    def _fail(self, problem: str, line: int) -> NoReturn:
        raise ScriptError(problem, self._path, line)

    def _directive_line(self) -> str:
        """The next line, with those that continue it; empty for a blank line or a comment."""
        line = self._lines[self._at].strip()
        self._at += 1
        if line.startswith("#"):
            return ""
        while line.endswith("\\") and self._at < len(self._lines):
            line = f"{line[:-1]} {self._lines[self._at].strip()}"
            self._at += 1
        return line.strip()

    def _subtest(self, arguments: tuple[Argument, ...], line: int) -> None:
        keys = [argument.key for argument in arguments]
        if keys[:1] != ["end"]:
            if len(keys) != 1:
                self._fail("subtest needs one name", line)
            outer = f"{self._subtests[-1][0]}/" if self._subtests else ""
            if not keys[0].startswith(outer):
                self._fail(f"the name of a subtest inside another must begin with {outer}", line)
            self._subtests.append((keys[0], line))
            return
        if not self._subtests:
            self._fail("subtest end without a subtest", line)
        name, _ = self._subtests.pop()
        if keys[1:] not in ([], [name]):
            self._fail(f"subtest end {' '.join(keys[1:])} closes the subtest {name}", line)

    def _case(self, command: str, arguments: tuple[Argument, ...], line: int) -> Case:
        start = self._at
        while self._at < len(self._lines) and self._lines[self._at] != SEPARATOR:
            self._at += 1
        text = "\n".join(self._lines[start : self._at]).strip()
        expected_from = self._at
        expected = ""
        if self._at < len(self._lines):
            self._at += 1
            expected = self._expected(line)
        return Case(line, Directive(command, arguments, text), expected, expected_from, self._at)

    def _expected(self, line: int) -> str:
        """The text behind a separator; the blank line that ends it is consumed."""
        if self._lines[self._at : self._at + 1] == [SEPARATOR]:
            self._at += 1
            return self._doubly_separated(line)
        start = self._at
        while self._at < len(self._lines) and self._lines[self._at].strip():
            self._at += 1
        taken = self._lines[start : self._at]
        self._at = min(self._at + 1, len(self._lines))
        return "".join(f"{row}\n" for row in taken)

    def _doubly_separated(self, line: int) -> str:
        start = self._at
        lines = self._lines
        while lines[self._at : self._at + 2] != [SEPARATOR, SEPARATOR]:
            if self._at >= len(lines):
                self._fail("its expected text begins with two separators and does not end with two", line)
            self._at += 1
        taken = lines[start : self._at]
        self._at += 2
        if self._at < len(lines):
            if lines[self._at].strip():
                self._fail("after two separators that end an expected text the line must be blank", self._at + 1)
            self._at += 1
        return "".join(f"{row}\n" for row in taken)
