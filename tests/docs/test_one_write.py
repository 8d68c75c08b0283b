"""docs/one-write.md: the functions that it names are there, and run in that order when a key is put."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from types import FrameType
from typing import cast

import pytest

from raftly.base.region import StoreId
from raftly.base.store_meta import StoreMeta
from raftly.cli.form import core_form
from raftly.client.pd import PdClient, PlacedRegion
from raftly.client.raw import RawClient
from raftly.server.kv_server import KvServer
from tests.docs.walks import function_of, names, steps
from tests.unit.store.cluster import OPTIONS, Cluster

PAGE = "one-write.md"


def test_every_name_on_the_page_is_there() -> None:
    found = names(PAGE)
    assert len(steps(PAGE)) > 50
    assert {name for _, name in steps(PAGE)} < found
    for name in found:
        assert callable(function_of(name)), name


class KnowsAll:
    """What a client asks a placement driver, answered from the stores themselves."""

    def __init__(self, cluster: Cluster, ports: dict[StoreId, int]) -> None:
        self._cluster = cluster
        self._ports = ports

    async def get_region(self, key: bytes, *, timeout_s: float | None = None) -> PlacedRegion:
        _, peer = await self._cluster.leader(key)
        return PlacedRegion(peer.region, peer.own())

    async def get_store(self, store_id: StoreId, *, timeout_s: float | None = None) -> StoreMeta:
        return StoreMeta(store_id, f"127.0.0.1:{self._ports[store_id]}")

    async def close(self) -> None:
        pass


@pytest.mark.skipif(core_form() != "plain", reason="Python sees no calls inside compiled code")
def test_the_steps_run_in_the_order_of_the_page() -> None:
    made: list[str] = []
    missing: list[str] = []

    def on_event(frame: FrameType, event: str, _: object) -> None:
        module = str(frame.f_globals.get("__name__"))
        if event == "call" and module.startswith("raftly."):
            made.append(f"{module}.{frame.f_code.co_qualname}".removeprefix("raftly."))

    async def put(cluster: Cluster, client: RawClient) -> None:
        applied = max(peer.applied for _, peer in cluster.peers(b"k"))
        await cluster.until(lambda: all(peer.applied == applied for _, peer in cluster.peers(b"k")))
        made.clear()
        sys.setprofile(on_event)
        try:
            await client.put(b"k", b"v")
            await cluster.until(lambda: all(peer.applied > applied for _, peer in cluster.peers(b"k")))
        finally:
            sys.setprofile(None)

    async def main() -> None:
        cluster = Cluster(3, replace(OPTIONS, tick=0.02, lease=0.1, clock_drift=0.01))
        await cluster.start()
        servers = {store.id: KvServer(store, time.time) for store in cluster.running()}
        ports = {id_: await server.start("127.0.0.1", 0) for id_, server in servers.items()}
        client = RawClient(cast("PdClient", KnowsAll(cluster, ports)))
        await client.put(b"warm", b"up")
        for _ in range(10):  # a heartbeat may come between, and tell the followers what the leader was about to
            await put(cluster, client)
            missing[:] = [*not_in_order(made, {"client"}), *not_in_order(made, {"leader", "follower"})]
            if not missing:
                break
        await client.close()
        for server in servers.values():
            await server.stop(0)
        await cluster.stop()

    asyncio.run(main())
    assert not missing, f"{missing[0]} did not run behind the steps before it"


def not_in_order(made: list[str], who: set[str]) -> list[str]:
    """The first of their steps that did not run behind the one before it."""
    remaining = iter(made)
    return [step for part, step in steps(PAGE) if part in who and step not in remaining][:1]
