"""Isolation: how far apart two stores stand, by their location labels.

Labels go from the widest place to the narrowest, as in (zone, rack, host). Stores that differ in the widest are as far
apart as can be; those that differ in none may burn together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from raftly.pd.stores import StoreInfo

_WEIGHT: Final = 100  # more than a region has replicas, so a wide difference outweighs any number of narrow ones


def distance(labels: Sequence[str], a: StoreInfo, b: StoreInfo) -> int:
    """0 if no label tells them apart, else how many labels remain from the first that does."""
    for place, label in enumerate(labels):
        if a.meta.labels.get(label, "") != b.meta.labels.get(label, ""):
            return len(labels) - place
    return 0


def apartness(labels: Sequence[str], store: StoreInfo, others: Iterable[StoreInfo]) -> int:
    """How well a replica on `store` stands apart from those on the others: higher is better."""
    total = 0
    for other in others:
        far = distance(labels, store, other)
        total += _WEIGHT ** (far - 1) if far else 0
    return total


def most(labels: Sequence[str], others: int) -> int:
    """The highest apartness there is, from so many others."""
    return others * _WEIGHT ** (len(labels) - 1) if labels else 0


def shares(labels: Sequence[str], level: str, store: StoreInfo, others: Iterable[StoreInfo]) -> bool:
    """Would a replica on `store` share a place of this level, such as "host", with one on the others?"""
    if level not in labels:
        return False
    wide = labels[: labels.index(level) + 1]
    return any(distance(wide, store, other) == 0 for other in others)
