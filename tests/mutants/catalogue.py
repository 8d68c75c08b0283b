"""All planted faults, and the rows of the catalogue of real bugs that have none, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from tests.mutants import core, log, node, session, snapshot, store, transport
from tests.mutants.fault import Fault

FAULTS: Final[tuple[Fault, ...]] = (
    *core.FAULTS,
    *log.FAULTS,
    *snapshot.FAULTS,
    *node.FAULTS,
    *session.FAULTS,
    *transport.FAULTS,
    *store.FAULTS,
)

_NO_TRANSACTIONS: Final = "there are no transactions yet"
NOT_APPLICABLE: Final = {
    49: "a lease is always the leader's own: it cannot be held by another node than the one that leads",
    **dict.fromkeys((72, 73, 74, 75, 76, 77, 78, 79, 80, 82), _NO_TRANSACTIONS),
}


def select(ids: Iterable[str], layers: Iterable[str] = (), rows: Iterable[int] = ()) -> list[Fault]:
    """The faults of these ids, layers or rows; all of them when none are named.

    Raises:
        KeyError: there is no such fault.
    """
    wanted, layers, rows = set(ids), set(layers), set(rows)
    unknown = wanted - {fault.id for fault in FAULTS}
    if unknown:
        raise KeyError(*sorted(unknown))
    if not (wanted or layers or rows):
        return list(FAULTS)
    return [it for it in FAULTS if it.id in wanted or it.layer in layers or not rows.isdisjoint(it.rows)]


def sample(faults: Iterable[Fault], count: int) -> list[Fault]:
    """So many of the faults that break safety, in their order; the same ones each time."""
    chosen = sorted((it for it in faults if it.is_safety), key=lambda it: crc32(it.id.encode()))[:count]
    return [it for it in FAULTS if it in chosen]
