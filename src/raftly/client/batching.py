"""Batching: which keys go together in one request. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar, final

from raftly.client.region_cache import Route

__all__ = ["Batch", "batches", "pieces"]

Item = TypeVar("Item")


@final
@dataclass(slots=True)
class Batch(Generic[Item]):
    """What goes to one region in one request."""

    route: Route
    items: list[Item] = field(default_factory=list)


def pieces(items: Iterable[Item], size: Callable[[Item], int], count_max: int, bytes_max: int) -> Iterator[list[Item]]:
    """Runs of at most `count_max` items and `bytes_max` bytes; a single item may be larger."""
    piece: list[Item] = []
    total = 0
    for item in items:
        item_bytes = size(item)
        if piece and (len(piece) >= count_max or total + item_bytes > bytes_max):
            yield piece
            piece, total = [], 0
        piece.append(item)
        total += item_bytes
    if piece:
        yield piece


def batches(
    items: Sequence[Item],
    key: Callable[[Item], bytes],
    find: Callable[[bytes], Route | None],
) -> tuple[list[Batch[Item]], Item | None]:
    """Items in the order of their keys, by region, and the first whose region is not known (then look it up)."""
    found: list[Batch[Item]] = []
    for item in items:
        item_key = key(item)
        if not found or not found[-1].route.region.contains(item_key):
            route = find(item_key)
            if route is None:
                return found, item
            found.append(Batch(route))
        found[-1].items.append(item)
    return found, None
