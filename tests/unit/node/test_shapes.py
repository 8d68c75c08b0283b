"""What an annotation wants: exact types, records made into dataclasses, everything else refused."""

import enum
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NewType, Optional

import pytest

from raftly.errors import ConfigError
from raftly.node.errors import ValueTypeError
from raftly.node.shapes import checker, decode_as
from raftly.node.values import Record, encode_value


class Colour(enum.IntEnum):
    RED = 1


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


@dataclass
class Tree:
    value: int
    children: "list[Tree]" = field(default_factory=list)


@dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError("negative")


@dataclass
class Hidden:
    n: int = field(init=False, default=0)


UserId = NewType("UserId", int)


@pytest.mark.parametrize(
    "annotation, value",
    [
        (int, 1),
        (bool, True),
        (None, None),
        (str, "a"),
        (bytes, b"a"),
        (float, 0.5),
        (object, [1, {"a": (2, {3})}]),
        (Any, None),
        (list, [1, "a"]),
        (list[int], [1, 2]),
        (dict[str, list[int]], {"a": [1]}),
        (set[int], {1}),
        (frozenset[str], frozenset("a")),
        (tuple[int, str], (1, "a")),
        (tuple[int, ...], (1, 2, 3)),
        (tuple[()], ()),
        (int | None, None),
        (Optional[str], "a"),  # noqa: UP045 - the old form
        (Literal["a", 1], 1),
        (Annotated[int, "metres"], 3),
        (UserId, 7),
        (Point, Point(1, 2.0)),
        (list[Point], [Point(1, 2.0)]),
        (Tree, Tree(1, [Tree(2), Tree(3)])),
        (int | Point, Point(3, 0.0)),
    ],
)
def test_a_value_of_the_type_survives_the_way(annotation: object, value: object) -> None:
    assert checker(annotation)(value) == value
    back = decode_as(encode_value(value), annotation)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "annotation, value",
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (int, Colour.RED),
        (bool, 1),
        (str, b"a"),
        (None, 0),
        (float, "1"),
        (float, 10**400),
        (list[int], (1,)),
        (list[int], [1, "a"]),
        (dict[str, int], {1: 1}),
        (set[int], frozenset({1})),
        (tuple[int, str], (1,)),
        (tuple[int, str], ("a", 1)),
        (tuple[int, ...], (1, "a")),
        (int | None, "a"),
        (Literal[1], True),
        (Literal["a"], []),
        (Point, Record({"x": 1, "z": 1})),
        (Point, Record({})),
        (Point, Point("a")),  # type: ignore[arg-type]
        (Point, (1, 2.0)),
        (int, Record({"x": 1})),
        (Positive, Record({"n": -1})),
        (object, Point(1)),
        (object, [Record({"x": 1})]),
        (list, [Point(1)]),
        (object, {"a": {"b": Point(1)}}),
        (object, 1j),
    ],
)
def test_a_value_of_another_type_is_refused(annotation: object, value: object) -> None:
    with pytest.raises(ValueTypeError):
        checker(annotation)(value)


def test_an_int_becomes_a_float_where_one_is_wanted_and_only_there() -> None:
    assert type(checker(float)(1)) is float
    assert type(checker(float | int)(1)) is int
    assert type(checker(float | str)(1)) is float


def test_missing_fields_take_their_defaults() -> None:
    assert checker(Point)(Record({"x": 1})) == Point(1, 0.0)


@pytest.mark.parametrize("annotation", [complex, Colour, Hidden, "text", list[complex], Literal[Colour.RED], type])
def test_annotations_that_nothing_can_travel_as_are_refused_at_once(annotation: object) -> None:
    with pytest.raises(ConfigError):
        checker(annotation)
