"""Whether the values of a store end with an expiry (`ttl`): written down with the first start, since no value says so.

family raft   0x05   u8 version 1   u8 1: every value ends with an expiry, 0: none does
"""

from __future__ import annotations

from typing import Final

from raftly.engine.base import CF_RAFT, Engine, WriteBatch
from raftly.errors import ConfigError, Corruption
from raftly.store.keys import LAYOUT_KEY

_VERSION: Final = 1


async def settle_layout(engine: Engine, *, enable_ttl: bool) -> None:
    """Hold a directory to the choice that it began with; a new one remembers this.

    Raises:
        ConfigError: it began with the other one.
        Corruption: what is written down is of no version that this release knows.
    """
    chosen = bytes((_VERSION, enable_ttl))
    known = engine.get(CF_RAFT, LAYOUT_KEY)
    if known is None:
        batch = WriteBatch()
        batch.put(CF_RAFT, LAYOUT_KEY, chosen)
        engine.write(batch)
        await engine.sync()
    elif len(known) != len(chosen) or known[0] != _VERSION or known[1] > 1:
        raise Corruption("engine", 0, f"the layout of values, {known.hex()}, is none that this release knows")
    elif known != chosen:
        began = "true" if known[1] else "false"
        raise ConfigError("storage.ttl", f"must stay {began}, with which this store began: its values are laid out so")
