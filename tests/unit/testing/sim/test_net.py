"""Messages between hosts, and who reaches whom."""

import asyncio
from functools import partial

import pytest

from raftly.testing.sim import LinkOptions, World
from raftly.testing.sim.net import edges_between


def hosts(count: int, seed: int = 1) -> World:
    world = World(seed)
    for number in range(count):
        world.host(f"h{number}").start()
    return world


def deliveries(world: World, count: int, gap: float = 0.0) -> list[int]:
    """The numbers in the order in which they arrive at h1, sent by h0 one after the other."""
    seen: list[int] = []
    a, b = world.hosts["h0"], world.hosts["h1"]

    async def main() -> None:
        for number in range(count):
            world.net.post(a, b, 100, partial(seen.append, number))
            await asyncio.sleep(gap)
        await asyncio.sleep(10)

    world.run(main())
    return seen


def test_a_sound_link_loses_and_doubles_nothing() -> None:
    assert sorted(deliveries(hosts(2), 500)) == list(range(500))


def test_messages_are_lost_doubled_and_overtaken() -> None:
    world = hosts(2)
    world.net.options.loss = 0.2
    lost = deliveries(world, 1000)
    assert 100 < 1000 - len(set(lost)) < 300

    world = hosts(2)
    world.net.options.duplicate = 0.2
    doubled = deliveries(world, 1000)
    assert sorted(set(doubled)) == list(range(1000))
    assert 100 < len(doubled) - 1000 < 300

    world = hosts(2)
    world.net.options.latency_s_mean, world.net.options.tail_chance = 1e-9, 0.0
    assert deliveries(world, 100, 0.001) == list(range(100))
    world.net.options.reorder = 0.3
    overtaken = deliveries(world, 100, 0.001)
    assert sorted(overtaken) == list(range(100))
    assert overtaken != sorted(overtaken)


def test_before_a_bottleneck_messages_wait_and_then_are_dropped() -> None:
    world = hosts(2)
    a, b = world.hosts["h0"], world.hosts["h1"]
    link = world.net.link(a, b)
    link.bytes_per_s_max = 1000.0
    late: dict[int, float] = {}
    begun = world.now

    def arrived(number: int) -> None:
        late[number] = world.now - begun

    async def main() -> None:
        for number in range(30):
            world.net.post(a, b, 100, partial(arrived, number))
        await asyncio.sleep(0.5)
        link.widen()
        world.net.post(a, b, 100, partial(arrived, 99))
        await asyncio.sleep(5)

    world.run(main())
    assert late.pop(99) == pytest.approx(0.5, abs=0.05), "it waits for nothing that is still in the bottleneck"
    assert sorted(late) == list(range(11)), "one second of it, and the one after"
    assert all(at == pytest.approx(0.1 * (number + 1), abs=0.05) for number, at in late.items())
    assert world.net.lost == 19


def test_a_cut_is_of_one_direction_and_counted() -> None:
    world = hosts(2)
    a, b = world.hosts["h0"], world.hosts["h1"]
    world.net.cut(a, b)
    world.net.cut(a, b)
    assert not world.net.reaches(a, b)
    assert world.net.reaches(b, a)
    assert deliveries(world, 3) == []
    world.net.mend(a, b)
    assert not world.net.reaches(a, b)
    world.net.mend(a, b)
    assert len(deliveries(world, 3)) == 3
    with pytest.raises(AssertionError, match="not cut"):
        world.net.mend(a, b)


def test_sides_do_not_reach_each_other_and_their_own_do() -> None:
    world = hosts(5)
    h = [world.hosts[f"h{number}"] for number in range(5)]
    edges = edges_between([h[:2], h[2:4]])
    world.net.cut_edges(edges)
    reached = {(a.name, b.name) for a in h for b in h if world.net.reaches(a, b)}
    assert len(reached) == 25 - 8
    assert ("h0", "h1") in reached
    assert ("h2", "h3") in reached
    assert {("h4", "h0"), ("h2", "h4")} <= reached
    world.net.mend_edges(edges)
    assert all(world.net.reaches(a, b) for a in h for b in h)


def test_heal_undoes_everything() -> None:
    world = hosts(3)
    a, b, c = (world.hosts[f"h{number}"] for number in range(3))
    world.net.cut(a, b)
    world.net.cut(a, b)
    world.net.link(b, c).slow = 1000.0
    world.net.heal()
    assert world.net.reaches(a, b)
    assert world.net.link(b, c).slow == 1.0


def test_what_is_under_way_when_the_target_dies_or_is_cut_off_is_lost() -> None:
    world = hosts(2)
    a, b = world.hosts["h0"], world.hosts["h1"]
    seen: list[str] = []
    world.net.post(a, b, 10, lambda: seen.append("dead"))
    b.kill()
    world.run_for(1)
    b.start()
    world.net.post(a, b, 10, lambda: seen.append("cut"))
    world.net.cut(a, b)
    world.run_for(1)
    assert seen == []
    assert world.net.lost == 2


def test_a_link_may_have_options_of_its_own() -> None:
    world = hosts(3)
    a, b, c = (world.hosts[f"h{number}"] for number in range(3))
    world.net.link(a, b).options = LinkOptions(latency_s_min=1.0)
    arrived: dict[str, float] = {}

    def note(name: str) -> None:
        arrived[name] = world.now

    for target in (b, c):
        world.net.post(a, target, 10, partial(note, target.name))
    world.run_for(5)
    assert arrived["h1"] > 1.0
    assert arrived["h2"] < 0.1
