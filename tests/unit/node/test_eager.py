"""Eager coroutines: at once as far as they go, and on when what they await is done."""

import asyncio

import pytest

from raftly.node.eager import Eager
from tests.support.virtual import run


def test_what_waits_for_nothing_is_done_at_once() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[int] = loop.create_future()
        ready.set_result(7)
        seen: list[int] = []

        async def work() -> None:
            seen.append(await ready)

        assert Eager(work(), loop).is_done
        assert seen == [7]

    run(main())


def test_it_goes_on_when_what_it_awaits_is_done_and_hears_of_its_error() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        awaited: list[asyncio.Future[int]] = [loop.create_future(), loop.create_future()]
        seen: list[object] = []

        async def work() -> None:
            seen.append("begun")
            seen.append(await awaited[0])
            await asyncio.sleep(0)
            try:
                await awaited[1]
            except OSError as error:
                seen.append(error)

        eager = Eager(work(), loop)
        assert seen == ["begun"]
        awaited[0].set_result(7)
        await asyncio.sleep(0)
        assert seen == ["begun", 7]
        error = OSError("no")
        awaited[1].set_exception(error)
        await asyncio.sleep(1)
        assert seen == ["begun", 7, error]
        assert eager.is_done

    run(main())


def test_cancelled_it_ends_where_it_waits() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ended: list[str] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("ended")

        eager = Eager(work(), loop)
        eager.cancel()
        await asyncio.sleep(0)
        assert ended == ["ended"]
        assert eager.is_done
        eager.cancel()

    run(main())


def test_an_error_of_its_first_step_is_its_makers() -> None:
    async def main() -> None:
        async def work() -> None:
            raise OSError("no")

        with pytest.raises(OSError, match="no"):
            Eager(work(), asyncio.get_running_loop())

    run(main())
