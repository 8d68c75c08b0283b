"""The loop of a host: asyncio's promises, virtual time, death."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from raftly.testing.sim import Host, HostDown, OutOfTime, SimulationError, Stuck, World


def world(*names: str, seed: int = 1) -> World:
    made = World(seed)
    for name in names:
        made.host(name).start()
    return made


def test_time_passes_only_when_nothing_else_is_left() -> None:
    w = world("a")

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await asyncio.sleep(3600)
        return [begun, loop.time()]

    begun, ended = w.run(_on(w, "a", main()))
    assert 3600 <= ended - begun < 3600.001


def _on(w: World, host: str, coro: Coroutine[Any, Any, Any]) -> Coroutine[Any, Any, Any]:
    """Run on a host, for `World.run`."""

    async def main() -> Any:
        return await w.hosts[host].run(coro)

    return main()


def test_callbacks_run_in_order_and_what_they_add_in_the_next_turn() -> None:
    w = world("a")
    seen: list[str] = []

    def first(loop: asyncio.AbstractEventLoop) -> None:
        seen.append("1")
        loop.call_soon(seen.append, "4")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(first, loop)
        loop.call_soon(seen.append, "2")
        loop.call_soon(seen.append, "cancelled").cancel()
        loop.call_soon(seen.append, "3")
        await asyncio.sleep(0.1)

    w.run(_on(w, "a", main()))
    assert seen == ["1", "2", "3", "4"]


def test_timers_fire_by_time_and_then_by_the_order_of_setting() -> None:
    w = world("a")
    seen: list[tuple[str, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for name, when in (("c", 0.3), ("a", 0.1), ("b", 0.2), ("b2", 0.2)):
            loop.call_at(begun + when, lambda name=name: seen.append((name, round(loop.time() - begun, 3))))  # type: ignore[misc]
        loop.call_later(0.15, seen.append, ("x", 0)).cancel()
        await asyncio.sleep(1)

    w.run(_on(w, "a", main()))
    assert seen == [("a", 0.1), ("b", 0.2), ("b2", 0.2), ("c", 0.3)]


def test_many_cancelled_timers_are_forgotten() -> None:
    w = world("a")

    async def main() -> int:
        loop = asyncio.get_running_loop()
        for _ in range(1000):
            loop.call_later(1e6, print).cancel()
        await asyncio.sleep(0.1)
        return len(loop._timers)  # type: ignore[attr-defined]

    assert w.run(_on(w, "a", main())) < 300


def test_each_host_has_its_own_running_loop_and_current_task() -> None:
    w = world("a", "b")

    async def main(host: str) -> None:
        for _ in range(20):
            assert asyncio.get_running_loop() is w.hosts[host].loop
            task = asyncio.current_task()
            assert task is not None
            assert task.get_loop() is w.hosts[host].loop
            await asyncio.sleep(0.001)

    async def both() -> None:
        await asyncio.gather(w.hosts["a"].run(main("a")), w.hosts["b"].run(main("b")))

    w.run(both())
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()


def test_asyncio_stands_on_it() -> None:
    w = world("a")

    async def main() -> str:
        queue: asyncio.Queue[int] = asyncio.Queue(1)

        async def put() -> None:
            for number in range(5):
                await queue.put(number)

        async with asyncio.TaskGroup() as group:
            task = group.create_task(put())
            got = [await queue.get() for _ in range(5)]
        assert got == [0, 1, 2, 3, 4]
        assert task.done()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 5)
        done, late = await asyncio.wait([asyncio.ensure_future(asyncio.sleep(n)) for n in (1, 100)], timeout=2)
        assert (len(done), len(late)) == (1, 1)
        return "done"

    assert w.run(_on(w, "a", main())) == "done"


def test_sets_of_tasks_have_one_order() -> None:
    def order() -> list[str]:
        w = world("a")
        seen: list[str] = []

        async def one(name: str) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                seen.append(name)

        async def main() -> None:
            with pytest.raises(ExceptionGroup):  # noqa: PT012
                async with asyncio.TaskGroup() as group:
                    for number in range(30):
                        group.create_task(one(str(number)))
                    await asyncio.sleep(1)
                    raise ValueError

        w.run(_on(w, "a", main()))
        return seen

    junk = [object() for _ in range(1000)]
    first = order()
    del junk[::3]
    assert order() == first


def test_a_rate_and_a_skip_move_the_timers() -> None:
    w = world("fast", "slow", "skips")
    w.hosts["fast"].set_rate(1.1)
    w.hosts["slow"].set_rate(0.9)

    async def nap() -> float:
        await asyncio.sleep(10)
        return w.now

    async def main() -> list[float]:
        naps = [w.hosts[name].run(nap()) for name in ("fast", "slow", "skips")]
        await asyncio.sleep(1)
        w.hosts["skips"].skip(6)
        return await asyncio.gather(*naps)

    assert w.run(main()) == pytest.approx([10 / 1.1, 10 / 0.9, 4], abs=0.001)


def test_a_machine_that_slept_has_one_clock_that_knows() -> None:
    w = world("a")
    host = w.hosts["a"]

    async def nap() -> tuple[float, float, float]:
        loop, begun = host.loop, (host.loop.time(), host.loop.boot_time(), host.wall())
        await asyncio.sleep(10)
        return loop.time() - begun[0], loop.boot_time() - begun[1], host.wall() - begun[2]

    async def main() -> tuple[float, float, float]:
        task = host.run(nap())
        await asyncio.sleep(2)
        host.set_rate(2.0)
        host.suspend(100)
        return await task

    begun = w.now
    monotonic, boot, wall = w.run(main())
    assert w.now - begun == pytest.approx(2 + 100 + 8 / 2, abs=0.01)
    assert (monotonic, boot, wall) == pytest.approx((10, 10 + 2 * 100, 10 + 2 * 100), abs=0.01)


@pytest.mark.parametrize("meanwhile", [lambda host: host.suspend(3.0), lambda host: host.set_rate(0.9)])
def test_a_clock_that_stands_still_does_not_go_back(meanwhile: Callable[[Host], None]) -> None:
    w = world("a")
    host = w.hosts["a"]
    boot, monotonic = host.loop.boot_time(), host.loop.time()

    async def main() -> None:
        host.suspend(3.0)
        await asyncio.sleep(1.0)
        meanwhile(host)
        await asyncio.sleep(3.0)

    w.run(main())
    assert monotonic <= host.loop.time() <= monotonic + 1.0
    assert host.loop.boot_time() == pytest.approx(boot + 4.0, abs=0.5)


def test_the_wall_clock_jumps_and_the_monotonic_one_does_not() -> None:
    w = world("a")
    host = w.hosts["a"]
    wall, monotonic = host.wall(), host.loop.time()
    host.jump(-5000)
    assert host.wall() == pytest.approx(wall - 5000)
    assert host.loop.time() == monotonic


def test_a_paused_host_does_nothing_and_then_catches_up() -> None:
    w = world("a")

    async def tick() -> list[float]:
        seen = []
        for _ in range(4):
            await asyncio.sleep(0.1)
            seen.append(w.now)
        return seen

    async def main() -> list[float]:
        ticks = w.hosts["a"].run(tick())
        await asyncio.sleep(0.15)
        w.hosts["a"].pause(2)
        return await ticks

    assert w.run(main()) == pytest.approx([0.1, 2.15, 2.25, 2.35], abs=0.01)


# --- death ---


def test_a_killed_host_runs_nothing_more_and_its_finally_blocks_reach_nothing() -> None:
    w = world("a", "b")
    host = w.hosts["a"]
    arrived: list[str] = []
    later: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1.5, later.append, "a timer")
        try:
            await asyncio.sleep(100)
        finally:
            w.net.post(host, w.hosts["b"], 10, lambda: arrived.append("sent while dying"))
            loop.call_soon(later.append, "a callback")
            task = asyncio.get_running_loop().create_task(asyncio.sleep(0))
            task.add_done_callback(lambda _: later.append("a task"))

    async def script() -> None:
        work = host.run(main())
        await asyncio.sleep(1)
        host.kill(power=True)
        with pytest.raises(HostDown):
            await work
        await asyncio.sleep(5)
        assert not host.alive
        with pytest.raises(HostDown):
            host.begin(main())

    w.run(script())
    assert later == []
    assert arrived == []


def test_a_host_dies_after_exactly_so_many_callbacks() -> None:
    for count in range(1, 6):
        w = world("a")
        host = w.hosts["a"]
        seen: list[int] = []
        for number in range(10):
            host.loop.call_soon(seen.append, number)
        host.kill_after(count)
        w.run_for(1)
        assert seen == list(range(count))


def test_a_host_starts_again_with_a_loop_of_its_own() -> None:
    w = world("a")
    host = w.hosts["a"]
    first, seed = host.loop, host.seed("x")
    host.kill()
    host.start()
    assert host.loop is not first
    assert first.is_closed()
    assert host.seed("x") != seed
    assert w.run(_on(w, "a", asyncio.sleep(1, "again"))) == "again"


def test_a_host_may_kill_itself_by_another_ones_hand_in_the_same_instant() -> None:
    w = world("a", "b")
    seen: list[str] = []
    w.hosts["a"].loop.call_later(1, w.hosts["b"].kill)
    w.hosts["b"].loop.call_later(1.001, seen.append, "b")
    w.run_for(3)
    assert seen == []


# --- what falls ---


def test_what_a_callback_lets_fall_is_raised() -> None:
    w = world("a")
    w.hosts["a"].loop.call_soon(lambda: 1 // 0)
    with pytest.raises(SimulationError, match=r"a at 0\.000 s.*ZeroDivisionError"):
        w.run_for(1)


def _forget_an_error() -> None:
    """A future that failed and that only a cycle holds: no count of references lets it go."""
    future = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError("forgotten"))
    held: list[object] = [future]
    held.append(held)


@pytest.mark.parametrize("collector_runs", [True, False])
@pytest.mark.parametrize("sleeps", [1, 3000])
def test_an_exception_that_nobody_looked_at_is_told_at_the_same_event(sleeps: int, collector_runs: bool) -> None:
    w = world("a")
    enabled = gc.isenabled()
    ended: list[int] = []

    async def main() -> None:
        _forget_an_error()
        for _ in range(sleeps):
            await asyncio.sleep(0)
            junk = [[] for _ in range(collector_runs * 1000)]  # type: ignore[var-annotated]
            del junk
        ended.append(w.events)

    (gc.enable if collector_runs else gc.disable)()
    try:
        with pytest.raises(SimulationError, match=r"never retrieved.*forgotten"):
            w.run(_on(w, "a", main()))
        assert gc.isenabled() is collector_runs
        assert gc.get_freeze_count() == 0
    finally:
        (gc.enable if enabled else gc.disable)()
    assert ended
    assert w.events - ended[0] < 10


def test_garbage_is_collected_by_the_count_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftly.testing.sim.world._EVENTS_A_COLLECTION", 100)
    at = set()
    for _ in range(3):
        w = world("a")
        w.hosts["a"].loop.call_later(1.0, _forget_an_error)

        async def wait() -> None:
            for _ in range(1000):
                await asyncio.sleep(0.01)

        with pytest.raises(SimulationError, match="never retrieved"):
            w.run(wait())
        at.add((w.events, w.now))
    assert len(at) == 1
    assert at.pop()[1] < 3


def test_waiting_for_nothing_is_told() -> None:
    w = world("a")
    with pytest.raises(Stuck):
        w.run(asyncio.Event().wait())


def test_time_and_events_are_bounded() -> None:
    with pytest.raises(OutOfTime, match="within 5"):
        world("a").run(asyncio.sleep(10), within=5)

    async def forever() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(0)

    with pytest.raises(OutOfTime, match="after 100 events"):
        world("a").run(forever(), events_max=100)


def test_a_turn_takes_time_so_nothing_loops_for_ever_in_one_instant() -> None:
    w = world("a")

    async def spin() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)

    w.run(_on(w, "a", spin()))
    assert 1000 * w.options.turn_s_min <= w.now <= 1100 * w.options.turn_s_max


def test_the_order_of_hosts_depends_on_the_seed_alone() -> None:
    def order(seed: int) -> str:
        w = world(*"abcdefgh", seed=seed)
        seen: list[str] = []
        for name in "abcdefgh":
            w.hosts[name].loop.call_soon(seen.append, name)
        w.run_for(1)
        return "".join(seen)

    assert order(1) == order(1)
    assert len({order(seed) for seed in range(10)}) > 5
