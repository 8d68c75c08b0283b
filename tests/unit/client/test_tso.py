"""Timestamps: who gives up leaves nothing behind, and no failure is repeated without a pause or for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from raftly.client import ClientClosed, NotDone, PdClient, PlacementRefused
from raftly.client.tso import Timestamps
from raftly.errors import RaftlyError
from raftly.rpc import RpcError, StatusCode
from tests.unit.client.fakes import FakeCluster


class Opening:
    """Streams that cannot be opened: `error` says why; none: it takes for ever."""

    def __init__(self, error: RaftlyError | None) -> None:
        self.error = error
        self.count = 0
        self.lost = 0

    async def open(self) -> Any:
        self.count += 1
        assert self.count < 100, "a loop that nobody gets out of"
        if self.error is None:
            await asyncio.Event().wait()
        assert self.error is not None
        raise self.error

    def on_lost(self) -> None:
        self.lost += 1


def run(test: Callable[[Timestamps, Opening], Awaitable[None]], error: RaftlyError | None) -> None:
    async def main() -> None:
        opening = Opening(error)
        await test(Timestamps(opening.open, opening.on_lost, Random(1)), opening)

    asyncio.run(main())


async def turns() -> None:
    for _ in range(9):
        await asyncio.sleep(0)


@pytest.mark.parametrize("error", [ClientClosed(), PlacementRefused("UNAUTHENTICATED", "who are you?")])
def test_an_error_that_all_are_told_ends_the_work_until_somebody_asks_again(error: RaftlyError) -> None:
    async def test(timestamps: Timestamps, opening: Opening) -> None:
        for count in (1, 2):
            with pytest.raises(type(error)):
                await timestamps.take(1, 20.0)
            await turns()
            assert opening.count == opening.lost == count

    run(test, error)


def test_no_stream_is_opened_for_nobody() -> None:
    async def test(timestamps: Timestamps, opening: Opening) -> None:
        with pytest.raises(NotDone):
            await timestamps.take(1, 0.0)
        assert timestamps._work is not None
        async with asyncio.timeout(20.0):
            await timestamps._work
        assert opening.count == 1

    run(test, RpcError(StatusCode.UNAVAILABLE, "nobody there"))


def test_who_gave_up_waits_no_longer() -> None:
    async def test(timestamps: Timestamps, _: Opening) -> None:
        with pytest.raises(NotDone):
            await timestamps.take(1, 0.0)
        cancelled = asyncio.create_task(timestamps.take(1, 20.0))
        await turns()
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert not timestamps._waiting
        await timestamps.close()

    run(test, None)


def test_a_client_whose_driver_is_silent_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = 0
    open_tso = PdClient._open_tso

    async def counted(self: PdClient) -> Any:
        nonlocal opened
        opened += 1
        assert opened < 100, "a loop that nobody gets out of"
        return await open_tso(self)

    async def silent(self: PdClient, address: str) -> Any:
        await asyncio.Event().wait()

    async def main() -> None:
        pd = PdClient(["127.0.0.1:1"])
        with pytest.raises(NotDone):
            await pd.timestamp(timeout_s=0.0)
        waiting = asyncio.create_task(pd.timestamp())
        await turns()
        await pd.close()
        with pytest.raises(ClientClosed):
            await waiting
        assert opened == 1

    monkeypatch.setattr(PdClient, "_open_tso", counted)
    monkeypatch.setattr(PdClient, "_ask_member", silent)
    asyncio.run(main())


def test_a_leader_whose_address_is_none_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    get_members = FakeCluster.get_members
    wrong = 2

    def told(self: FakeCluster, request: Any) -> Any:
        nonlocal wrong
        response = get_members(self, request)
        if wrong:
            wrong -= 1
            response.leader.client_urls[0] = "nowhere"
        return response

    async def main() -> None:
        async with FakeCluster() as cluster, PdClient([f"127.0.0.1:{cluster.pd_port}"], timeout_s=20.0) as pd:
            assert await pd.timestamp()
            assert (await pd.get_region(b"k")).region.id == 2

    monkeypatch.setattr(FakeCluster, "get_members", told)
    asyncio.run(main())
    assert wrong == 0
