"""Clients at the edge, under resets and crashes: what they were told is linearizable, and comes again with the seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final, TypeAlias

import pytest

from raftly.testing.history import History
from raftly.testing.linearizability import check
from raftly.testing.sim import Host
from tests.sim_edge.clients import SHARED, Client
from tests.sim_edge.world import EdgeWorld
from tests.support.hash_seeds import digests_elsewhere


def check_order(timestamps: list[tuple[float, float, int]]) -> None:
    """Whoever asks after another one was told gets a later one; asked at, told at, which."""
    assert len({which for _, _, which in timestamps}) == len(timestamps)
    for _, told_at, earlier in timestamps:
        assert all(earlier < later for asked_at, _, later in timestamps if asked_at > told_at)


class Play:
    """A run from a seed: two clients, and one trouble after the other."""

    def __init__(self, seed: int, troubles: int, drivers: int = 1, acts: Sequence[Act] = ()) -> None:
        self.world = EdgeWorld(seed, drivers)
        self.history = History(lambda: self.world.world.now)
        keys = [*SHARED]
        self.clients = [Client(self.world, number, self.history, keys) for number in range(2)]
        self.troubles: Counter[str] = Counter()
        self.over = False
        self.epochs: set[int] = set()  # versions of regions in the end
        self.world.run(self._script(troubles, acts or ACTS), within=200.0)
        verdict = check(self.history.operations)
        assert verdict.holds, verdict
        check_order([told for client in self.clients for told in client.timestamps])

    @property
    def digest(self) -> str:
        """The same for the same run."""
        return self.world.world.trace.digest()

    @property
    def ended(self) -> Counter[str]:
        """All calls of clients, by how they ended."""
        return sum((client.ended for client in self.clients), Counter[str]())

    async def _script(self, troubles: int, acts: Sequence[Act]) -> None:
        await self.world.start()
        for client in self.clients:
            client.host.start()
        working = [client.host.run(client.work(lambda: self.over)) for client in self.clients]
        random = self.world.world.stream("trouble")
        for _ in range(troubles):
            await asyncio.sleep(random.uniform(0.2, 0.8))
            await random.choice(acts)(self, random)
        self.over = True
        await asyncio.gather(*working)
        await self.world.settle()
        assert all(store.failure is None for store in self.world.running.values())
        assert not any(member.failed.done() for member in self.world.members.values())
        self.epochs = {region.epoch.version for store in self.world.running.values() for region in store.regions()}

    async def reset(self, random: Random) -> None:
        """Connections of a client to somebody it has some to."""
        host = random.choice(self.clients).host
        others = list(dict.fromkeys(stream.peer_host for stream in host.streams))
        if others:
            self.troubles["resets"] += self.world.world.net.reset(host, random.choice(others))

    async def crash(self, random: Random) -> None:
        number = random.choice(sorted(self.world.running))
        self.world.stores[number].kill(power=random.random() < 0.5)
        self.troubles["crashes"] += 1
        await asyncio.sleep(random.uniform(0.1, 1.5))
        await self.world.boot(number)

    async def restart(self, random: Random) -> None:
        """In good order."""
        number = random.choice(sorted(self.world.running))
        await self.world.stop(number)
        self.troubles["restarts"] += 1
        await asyncio.sleep(random.uniform(0.1, 0.5))
        await self.world.boot(number)

    async def crash_driver(self, random: Random) -> None:
        number = random.choice(sorted(self.world.members))
        self.world.drivers[number].kill(power=random.random() < 0.5)
        self.troubles["crashes of the driver"] += 1
        await asyncio.sleep(random.uniform(0.1, 1.5))
        await self.world.boot_driver(number)

    async def cut(self, random: Random) -> None:
        """Somebody from all others, in one direction or both."""
        hosts = self._hosts()
        alone = random.choice(hosts)
        edges = [(alone, host) for host in hosts if host is not alone] * random.choice((0, 1))
        edges += [(host, alone) for host in hosts if host is not alone]
        self.world.world.net.cut_edges(edges)
        self.troubles["cuts"] += 1
        await asyncio.sleep(random.uniform(0.2, 2.5))
        self.world.world.net.mend_edges(edges)

    async def pause(self, random: Random) -> None:
        random.choice(self._hosts()).pause(random.uniform(0.2, 2.5))
        self.troubles["pauses"] += 1

    async def jump(self, random: Random) -> None:
        """A wall clock, which is that of timestamps."""
        random.choice(self._hosts()).jump(random.uniform(-5.0, 5.0))
        self.troubles["jumps"] += 1

    async def lose(self, random: Random) -> None:
        """Of what is sent, everywhere; it is sent again."""
        options = self.world.world.net.options
        options.loss = random.uniform(0.02, 0.3)
        self.troubles["losses"] += 1
        await asyncio.sleep(random.uniform(0.2, 2.0))
        options.loss = 0.0

    def _hosts(self) -> list[Host]:
        return [*self.world.drivers.values(), *self.world.stores.values(), *(client.host for client in self.clients)]


Act: TypeAlias = Callable[[Play, Random], Awaitable[None]]
ACTS: Final[Sequence[Act]] = (
    Play.reset,
    Play.crash,
    Play.crash_driver,
    Play.restart,
    Play.cut,
    Play.pause,
    Play.jump,
    Play.lose,
)


@pytest.mark.parametrize(("seed", "drivers"), [(1, 1), (2, 3)])
def test_what_clients_are_told_is_linearizable_and_in_order(seed: int, drivers: int) -> None:
    play = Play(seed, 12, drivers)
    assert sum(play.ended[name] for name in ("read", "write", "delete", "cas")) > 100
    assert max(play.epochs) > 1  # regions were split


def test_a_store_that_ends_in_good_order_costs_no_call() -> None:
    play = Play(1, 4, acts=[Play.restart])
    assert play.troubles["restarts"] == 4
    assert not play.ended["unknown"]
    assert not play.ended["not done"]


def digests() -> list[str]:
    """Of a short run."""
    return [Play(3, troubles=5).digest]


def test_the_same_seed_gives_the_same_run_in_any_process() -> None:
    first, second = digests_elsewhere(__name__, "digests")
    assert first == second
