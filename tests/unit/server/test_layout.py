"""A directory is held to the layout of values that it began with."""

from __future__ import annotations

import asyncio

import pytest

from raftly.engine.base import CF_RAFT, WriteBatch
from raftly.engine.memory import MemoryEngine
from raftly.errors import ConfigError, Corruption
from raftly.server.layout import settle_layout
from raftly.store.keys import LAYOUT_KEY


@pytest.mark.parametrize(("first", "word"), [(True, "true"), (False, "false")])
def test_a_store_stays_with_the_choice_that_it_began_with(first: bool, word: str) -> None:
    engine = MemoryEngine()
    asyncio.run(settle_layout(engine, enable_ttl=first))
    assert engine.get(CF_RAFT, LAYOUT_KEY) == bytes((1, first))
    asyncio.run(settle_layout(engine, enable_ttl=first))
    with pytest.raises(ConfigError, match=rf"storage\.ttl must stay {word}, with which this store began"):
        asyncio.run(settle_layout(engine, enable_ttl=not first))


@pytest.mark.parametrize("known", [b"", b"\x01", b"\x02\x01", b"\x01\x02", b"\x01\x01\x00"])
def test_a_layout_from_the_future_is_refused(known: bytes) -> None:
    engine = MemoryEngine()
    batch = WriteBatch()
    batch.put(CF_RAFT, LAYOUT_KEY, known)
    engine.write(batch)
    with pytest.raises(Corruption, match="the layout of values"):
        asyncio.run(settle_layout(engine, enable_ttl=True))
