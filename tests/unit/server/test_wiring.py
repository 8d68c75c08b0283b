"""A store's parts end in order, also when it never begins."""

import asyncio
from pathlib import Path

import pytest

from raftly.server.config import StorageSection, StoreConfig
from raftly.server.wiring import start_store
from raftly.storage.osfs import OsFs


def test_a_store_that_does_not_start_closes_its_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[OsFs] = []
    monkeypatch.setattr(OsFs, "close", lambda fs: closed.append(fs))  # noqa: PLW0108 - it is to be bound
    free = "127.0.0.1:0"
    config = StoreConfig(
        str(tmp_path), pd=("127.0.0.1:1",), address=free, peer_address=free, storage=StorageSection(engine="memory")
    )

    async def main() -> None:
        starting = asyncio.ensure_future(start_store(config))  # it waits for its placement driver
        await asyncio.sleep(0)
        assert not starting.done()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)

    asyncio.run(main())
    assert len(closed) == 1
