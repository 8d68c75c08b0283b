"""Unions: what arrives is of the choice that it was sent as; two that nothing tells apart are refused."""

from dataclasses import dataclass
from typing import Annotated, Generic, Literal, NewType, TypeVar

import pytest

from raftly.errors import ConfigError
from raftly.node.shapes import checker, decode_as
from raftly.node.values import decode_raw, encode_value


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.0


@dataclass(frozen=True)
class Length:
    x: int


@dataclass(frozen=True)
class Defaults:
    x: int = 0
    y: float = 0.0
    z: int = 0


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Depth:
    x: int


Deep = NewType("Deep", Depth)
V = TypeVar("V")


@dataclass(frozen=True)
class Tagged(Generic[V]):
    tag: V


@dataclass(frozen=True)
class Marked(Generic[V]):
    tag: V


@pytest.mark.parametrize("value", [Point(1, 0.0), Length(1), Nothing()])
@pytest.mark.parametrize("annotation", [Defaults | Point | Length | Nothing, Nothing | Length | Point | Defaults])
@pytest.mark.parametrize("keeps", [False, True])
def test_the_choice_of_a_union_is_the_dataclass_with_the_fields_that_came(
    annotation: object, value: object, keeps: bool
) -> None:
    assert checker(annotation, keeps=keeps)(decode_raw(encode_value(value))) == value
    nested = Annotated[list[annotation] | dict[str, annotation], ""]  # type: ignore[valid-type]
    assert checker(nested, keeps=keeps)(decode_raw(encode_value([value]))) == [value]


@pytest.mark.parametrize("value", [[Point(1, 0.0)], [Length(1)]])
@pytest.mark.parametrize("annotation", [list[Point] | list[Length], list[Length] | list[Point]])
def test_so_is_the_container_of_such(annotation: object, value: object) -> None:
    assert decode_as(encode_value(value), annotation) == value


@pytest.mark.parametrize(
    "annotation",
    [
        Depth | Length,
        Deep | None | Length,
        Annotated[Depth, ""] | Annotated[Length | int, ""],
        list[Depth] | list[Length],
        tuple[int, Depth] | tuple[int, Length],
        dict[str, Deep | None] | dict[str, Length],
        Tagged[Literal["a"]] | Marked[Literal["a", "b"]],
        Tagged[int | None] | Marked[float],
        Tagged[str] | Marked[object],
        Tagged[list[int]] | Marked[list[str]],
        Tagged[Length] | Marked[Point],
    ],
)
def test_a_union_that_could_not_be_told_apart_is_refused(annotation: object) -> None:
    with pytest.raises(ConfigError, match="two dataclasses with the same fields"):
        checker(annotation)


@pytest.mark.parametrize(
    "annotation, value",
    [
        (list[Depth] | Length, Length(1)),
        (tuple[str, Depth] | tuple[int, Length], (1, Length(1))),
        (tuple[Depth] | tuple[Length, int], (Length(1), 1)),
        (list | list[int], [1]),
        (Tagged[Literal["a"]] | Marked[Literal["b", 1]], Marked("b")),
        (Tagged[Literal["a"]] | Marked[int], Marked(1)),
        (Tagged[int | None] | Marked[str], Marked("a")),
        (Tagged[list[int]] | Marked[dict[str, int]], Marked({"a": 1})),
        (Tagged[Nothing] | Marked[Length | None], Marked(Length(1))),
        (Tagged[object] | Marked[Length], Marked(Length(1))),
    ],
)
def test_what_can_be_told_apart_is_not(annotation: object, value: object) -> None:
    assert decode_as(encode_value(value), annotation) == value
