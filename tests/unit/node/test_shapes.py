"""What an annotation wants: exact types, records made into dataclasses, everything else refused."""

import enum
from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from functools import partial
from types import GenericAlias
from typing import Annotated, Any, Generic, Literal, NewType, Optional, TypeVar, get_type_hints

import pytest

from raftly.errors import ConfigError
from raftly.node.annotations import arguments_of, substitute, type_arguments
from raftly.node.errors import ValueTypeError
from raftly.node.shapes import checker, decode_as
from raftly.node.values import Record, decode_raw, encode_value


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


@dataclass
class Scaled:
    n: int
    scale: InitVar[int]

    def __post_init__(self, scale: int) -> None:
        self.n *= scale


@dataclass
class Parsed:
    n: int

    def __init__(self, text: str) -> None:
        self.n = int(text)


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
        (set[Point], {Point(1, 2.0), Point(2, 2.0)}),
        (frozenset[tuple[Point, int]], frozenset({(Point(1, 2.0), 3)})),
        (dict[Point, Tree], {Point(1, 2.0): Tree(1)}),
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
        (set[Tree], {Record({"value": 1})}),  # a Tree cannot be hashed
        (dict[Tree, int], {Record({"value": 1}): 1}),
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


@pytest.mark.parametrize(
    "annotation", [complex, Colour, Hidden, Scaled, Parsed, "text", list[complex], Literal[Colour.RED], type]
)
def test_annotations_that_nothing_can_travel_as_are_refused_at_once(annotation: object) -> None:
    with pytest.raises(ConfigError):
        checker(annotation)


A = TypeVar("A")
B = TypeVar("B")
N = TypeVar("N", bound=int)


@dataclass
class Pair(Generic[A, B]):
    one: A
    others: list[B]


class Named(Pair[str, B]):
    pass


class Numbered(Named[int]):
    pass


def test_what_type_variables_stand_for_is_found_in_aliases_and_bases() -> None:
    assert type_arguments(Pair[int, str]) == {A: int, B: str}
    assert type_arguments(Pair) == {}
    assert type_arguments(Named[int]) == {A: str, B: int}
    assert type_arguments(Numbered) == {A: str, B: int}
    assert type_arguments(lambda: 1) == {}
    assert type_arguments(dict[str, int]) == {}


def test_a_partial_makes_what_is_behind_it() -> None:
    for factory in (Named[int], partial(Named[int], ""), partial(partial(Named[int], ""), others=[])):
        assert arguments_of(Named, factory) == {A: str, B: int}
    assert arguments_of(Numbered, Numbered) == {A: str, B: int}
    assert arguments_of(Numbered, lambda: Numbered("", [])) == {A: str, B: int}


def generic(
    a: A,
    n: N,
    items: list[A],
    table: dict[A, list[B]],
    perhaps: A | None,
    more: list[A] | None,
    pair: Pair[B, A],
    both: tuple[A, N],
    plain: int,
) -> None:
    """Has annotations."""


def test_type_variables_are_replaced() -> None:
    assert [substitute(hint, {A: int, B: str}) for hint in get_type_hints(generic).values()] == [
        int,
        N,
        list[int],
        dict[int, list[str]],
        int | None,
        list[int] | None,
        Pair[str, int],
        GenericAlias(tuple, (int, N)),
        int,
        type(None),
    ]


def test_a_generic_dataclass_is_checked_as_what_its_variables_stand_for() -> None:
    pair = Pair(1, ["a"])
    assert decode_as(encode_value(pair), Pair[int, str]) == pair
    assert decode_as(encode_value(pair), Pair) == pair
    assert decode_as(encode_value(pair), Pair | Pair[str, str] | Pair[int, str]) == pair
    assert decode_as(encode_value(Pair("x", [pair])), Pair[str, Pair[int, str]]) == Pair("x", [pair])
    with pytest.raises(ValueTypeError):
        decode_as(encode_value(pair), Pair[str, str])
    with pytest.raises(ValueTypeError):
        decode_as(encode_value(Pair("x", [pair])), Pair)  # nothing names the inner one
    with pytest.raises(ValueTypeError):
        decode_as(encode_value(pair), Named[str])
    assert decode_as(encode_value(1), N) == 1
    with pytest.raises(ValueTypeError):
        decode_as(encode_value("a"), N)


@pytest.mark.parametrize(
    "annotation, of",
    [
        (float, lambda number: number),
        (float | str, lambda number: number),
        (Annotated[float, "metres"], lambda number: number),
        (NewType("Metres", float), lambda number: number),
        (list[float], lambda number: [number]),
        (set[float], lambda number: {number}),
        (tuple[float], lambda number: (number,)),
        (tuple[float, ...], lambda number: (number,)),
        (dict[str, float], lambda number: {"": number}),
        (dict[float, str], lambda number: {number: ""}),
        (list[Point], lambda number: [Point(1, number)]),
        (Pair[float, float], lambda number: Pair(number, [number])),
    ],
)
def test_a_check_that_keeps_converts_nothing(annotation: object, of: Callable[[float], object]) -> None:
    for number in (1, (1 << 60) + 1, 1.0):
        data = encode_value(of(number))
        assert encode_value(checker(annotation, keeps=True)(decode_raw(data))) == data
    converted = checker(annotation)(decode_raw(encode_value(of(1))))
    assert encode_value(converted) == encode_value(of(1.0))
    with pytest.raises(ValueTypeError):
        checker(annotation, keeps=True)(decode_raw(encode_value(of(True))))
