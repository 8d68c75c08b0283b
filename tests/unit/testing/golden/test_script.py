"""The script format: what a reader makes of a text, what it refuses, and that rewriting changes nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.testing.golden.script import (
    Argument,
    Directive,
    ScriptError,
    ended,
    parse_bool,
    parse_directive,
    parse_script,
    parse_uint,
)


@pytest.mark.behaviour("X90")
@pytest.mark.parametrize(
    "line,arguments",
    [
        ("do", []),
        ("do 7", [("7",)]),
        ("do   7\t8", [("7\t8",)]),
        ("do a=b c", [("a", "b"), ("c",)]),
        ("do a= c", [("a", ""), ("c",)]),
        ("do a=(x,y) b", [("a", "x", "y"), ("b",)]),
        ("do a=(x,   y z)", [("a", "x", "y z")]),
        ("do a=(f(x,y),g)b", [("a", "f(x,y)", "g"), ("b",)]),
        ("do a=()", [("a", "")]),
        ("do a=1 a=2", [("a", "1"), ("a", "2")]),
        ('do 1 "foo"', [("1",), ('"foo"',)]),
        ("do a=b=c", [("a", "b=c")]),
    ],
)
def test_directive_lines(line: str, arguments: list[tuple[str, ...]]) -> None:
    assert parse_directive(line) == ("do", tuple(Argument(words[0], words[1:]) for words in arguments))


@pytest.mark.behaviour("X90")
@pytest.mark.parametrize(
    "line,column",
    [("do =b", 4), ("do a=(x", 8), ("do a=(x,(y)", 12), ("do a b =", 8)],
)
def test_malformed_directive_lines(line: str, column: int) -> None:
    with pytest.raises(ScriptError, match=f"column {column}:"):
        parse_directive(line)


@given(st.text(alphabet="ab =(),\\-", max_size=30))
def test_no_line_breaks_the_parser(line: str) -> None:
    try:
        command, arguments = parse_directive(line)
    except ScriptError:
        return
    assert " " not in command
    assert all(argument.key for argument in arguments)


def test_arguments_by_what_they_are() -> None:
    directive = Directive("do", parse_directive("do 1 a=(x,y) 2 b=z")[1])
    assert directive.bare() == ["1", "2"]
    assert list(directive.valued()) == [("a", "x"), ("a", "y"), ("b", "z")]
    assert directive.single("b") == "z"
    for key, problem in (("a", "has 2"), ("c", "needs the argument c=")):
        with pytest.raises(ScriptError, match=problem):
            directive.single(key)


def test_typed_values() -> None:
    assert parse_uint("18446744073709551615") == (1 << 64) - 1
    for text in ("", "-1", "+1", "1_0", " 1", "٣", "18446744073709551616", "x"):
        with pytest.raises(ScriptError):
            parse_uint(text)
    assert [parse_bool(text) for text in ("1", "t", "T", "true", "TRUE", "True")] == [True] * 6
    assert [parse_bool(text) for text in ("0", "f", "F", "false", "FALSE", "False")] == [False] * 6
    with pytest.raises(ScriptError):
        parse_bool("yes")


SCRIPT = """# a comment, with a \\
first 1 \\
   key=(a,b)
input line
# not a comment here

another
----
expected
  indented # text

  # comment
subtest group
second
----

third
----
----
with

a blank line
----
and a separator
----
----

subtest end group
fourth
----
last"""


@pytest.mark.behaviour("X91")
def test_a_whole_script() -> None:
    cases = parse_script(SCRIPT).cases
    assert [(case.line, case.directive.command, case.expected) for case in cases] == [
        (2, "first", "expected\n  indented # text\n"),
        (14, "second", ""),
        (17, "third", "with\n\na blank line\n----\nand a separator\n"),
        (29, "fourth", "last\n"),
    ]
    assert cases[0].directive.arguments == (Argument("1"), Argument("key", ("a", "b")))
    assert cases[0].directive.input == "input line\n# not a comment here\n\nanother"
    assert cases[1].directive.input == ""


@pytest.mark.behaviour("X91")
def test_rewriting_replaces_expected_texts_and_nothing_else() -> None:
    script = parse_script(SCRIPT)
    assert script.rewritten([case.expected for case in script.cases]) == SCRIPT + "\n"
    rewritten = script.rewritten(["new\n", "blank\n\n", "plain\n", "x\n"])
    assert [case.expected for case in parse_script(rewritten).cases] == ["new\n", "blank\n\n", "plain\n", "x\n"]
    assert rewritten.count("\n# not a comment here\n") == 1
    assert "subtest group\nsecond\n----\n----\nblank\n\n----\n----\n\nthird\n----\nplain\n\nsubtest end" in rewritten


@pytest.mark.behaviour("X91")
@given(st.lists(st.text(alphabet="a# \t\n", min_size=1, max_size=12).map(ended), min_size=1, max_size=5))
def test_what_is_written_is_read_back(outputs: list[str]) -> None:
    script = parse_script("".join(f"case {number}\n----\n\n" for number in range(len(outputs))))
    again = parse_script(script.rewritten(outputs))
    assert [case.expected for case in again.cases] == outputs
    assert again.rewritten(outputs) == script.rewritten(outputs)


@pytest.mark.behaviour("X91")
def test_a_case_without_a_separator_gets_one() -> None:
    script = parse_script("one\n----\n1\n\ntwo\ninput")
    assert script.cases[1].expected == ""
    assert script.rewritten(["1", "2"]) == "one\n----\n1\n\ntwo\ninput\n----\n2\n"
    assert script.rewritten(["0"]) == "one\n----\n0\n\ntwo\ninput\n"


@pytest.mark.parametrize(
    "text,line,problem",
    [
        ("", 0, "not a script"),
        ("# nothing but\n# comments\n", 0, "not a script"),
        ("one\n----\n\ndo =x\n----\n", 4, "column 4"),
        ("one\n----\n----\ntext\n", 1, "does not end with two"),
        ("one\n----\n----\ntext\n----\n----\nmore\n", 7, "must be blank"),
        ("subtest end\n", 1, "without a subtest"),
        ("subtest\n", 1, "needs one name"),
        ("subtest a\none\n----\n", 1, "has no end"),
        ("subtest a\nsubtest b\n", 2, "begin with a/"),
        ("subtest a\none\n----\n\nsubtest end b\n", 5, "closes the subtest a"),
    ],
)
def test_what_is_no_script(text: str, line: int, problem: str) -> None:
    with pytest.raises(ScriptError, match=problem) as caught:
        parse_script(text, "where.txt")
    assert (caught.value.path, caught.value.line) == ("where.txt", line)
    assert str(caught.value).startswith(f"where.txt:{line}: " if line else "where.txt: ")


def test_a_line_of_spaces_is_blank() -> None:
    cases = parse_script("one\n----\n1\n \t\ntwo\n----\n2\n").cases
    assert [case.expected for case in cases] == ["1\n", "2\n"]


def test_nested_subtests() -> None:
    text = "subtest a\nsubtest a/b\none\n----\n\nsubtest end\nsubtest end a\n"
    assert [case.line for case in parse_script(text).cases] == [3]
