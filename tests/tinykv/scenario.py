"""The generic scenario of TinyKV's projects 2B, 2C and 3B: clients put and scan while stores are troubled in some ways.

    play(Scenario(clients=5, unreliable=True, partitions=True, restarts=True), seed=1)

Rounds: every client at random puts its next key or scans all its keys, which must be all that it put, in order. Then
the trouble ends, the stores are perhaps started anew, and a last scan must find every put once, in order.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random

from raftly.base.region import Peer, RegionId, StoreId
from tests.tinykv.client import Client
from tests.tinykv.stores import ELECTION_S, OPTIONS, SimStores

_THINK_S = 0.016  # all clients together do something as often
_LOSS = 0.1
_LOSS_FROM_S = 0.3
_SETTLE_S = 1.0
_LONGER_S = 60.0
_CUTS_MIN = 2
_MOVES_MIN = 2
_WITHIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens; the letters are those of the course's options."""

    clients: int = 1
    unreliable: bool = False  # U: a tenth of the messages between stores is lost
    partitions: bool = False  # P: two sides, drawn anew about every election time-out
    restarts: bool = False  # R: all stores end and start again after a round
    log_entries: int = 0  # S: the log is cut when it has so many applied entries; 0: hardly ever
    moves: bool = False  # M: peers are added and removed all the while
    splits: bool = False  # K: a region is split when it has 200 bytes
    rounds: int = 2
    seconds: float = 3.0  # of a round


def play(scenario: Scenario, seed: int) -> SimStores:
    """Play all of it; the stores, to be looked at."""
    options = OPTIONS
    if scenario.log_entries:
        options = replace(options, log_entries_max=scenario.log_entries)
    if scenario.splits:
        options = replace(options, region_max_bytes=300, region_split_bytes=200)
    stores = SimStores(seed, options=options)
    stores.run(_Play(scenario, stores).all_rounds(), within=_WITHIN_S)
    return stores


class _Play:
    def __init__(self, scenario: Scenario, stores: SimStores) -> None:
        self.scenario = scenario
        self.stores = stores
        self.over = asyncio.Event()
        self.cuts = 0
        self.moves = 0

    async def all_rounds(self) -> None:
        await self.stores.start()
        for number in range(self.scenario.rounds):
            await self._round(number)

    async def _round(self, number: int) -> None:
        scenario, stores = self.scenario, self.stores
        self.over = asyncio.Event()
        self.cuts = self.moves = 0
        writers = [_Writer(stores, number, client, _THINK_S * scenario.clients) for client in range(scenario.clients)]
        async with asyncio.TaskGroup() as tasks:
            for writer in writers:
                tasks.create_task(writer.work(self.over))
            if scenario.partitions:
                tasks.create_task(self._keep_cutting(stores.world.stream(f"partitions/{number}")))
            if scenario.moves:
                tasks.create_task(self._keep_moving(stores.world.stream(f"moves/{number}")))
            if scenario.unreliable:
                await asyncio.sleep(_LOSS_FROM_S)
                stores.lose(_LOSS)
            await asyncio.sleep(scenario.seconds)
            await self._wait_until_it_happened(writers)
            self.over.set()
            stores.lose(0.0)
            stores.mend()
        if scenario.restarts:
            stores.stop_all()
            await asyncio.sleep(ELECTION_S)
            await stores.start_all()
        async with asyncio.TaskGroup() as tasks:
            for writer in writers:
                tasks.create_task(writer.finish())
        if scenario.log_entries:
            await asyncio.sleep(_SETTLE_S)
            stores.check_logs(2 * scenario.log_entries)

    async def _wait_until_it_happened(self, writers: list[_Writer]) -> None:
        """A round in which nothing took place of what the scenario is about would prove nothing: it takes longer."""
        until = self.stores.world.now + _LONGER_S
        while missing := self._missing(writers):
            assert self.stores.world.now < until, f"{missing}, at {self.stores.world.now:.2f} s"
            await asyncio.sleep(0.1)

    def _missing(self, writers: list[_Writer]) -> str:
        scenario, stores = self.scenario, self.stores
        if not all(writer.put and writer.scans for writer in writers):
            return "a client has put or scanned nothing"
        if (scenario.partitions or scenario.unreliable) and not stores.world.net.lost:
            return "no message was lost"
        if scenario.partitions and self.cuts < _CUTS_MIN:
            return "there were hardly any partitions"
        if scenario.moves and self.moves < _MOVES_MIN:
            return "hardly any peer has come or gone"
        first = stores.placement.report_of(b"")
        if scenario.splits:  # and then its log stays short
            return "" if first.region.end_key else "the first region has not split"
        leads = first.leader.store_id
        begins = stores.log_start(leads) if leads in stores.running else 0
        return "no log was cut" if begins <= scenario.log_entries else ""

    async def _keep_cutting(self, random: Random) -> None:
        while not self.over.is_set():
            sides: tuple[list[StoreId], list[StoreId]] = ([], [])
            for store_id in self.stores.hosts:
                sides[random.randrange(2)].append(store_id)
            self.stores.mend()
            self.stores.cut(*sides)
            self.cuts += bool(sides[0] and sides[1])
            await self._pause(ELECTION_S * random.uniform(1.0, 1.4))

    async def _keep_moving(self, random: Random) -> None:
        placement = self.stores.placement
        while not self.over.is_set():
            report = random.choice(list(placement.regions))
            store_id = random.choice(list(self.stores.hosts))
            await self._toggle(report.region.id, store_id)
            await self._pause(0.05)

    async def _toggle(self, region_id: RegionId, store_id: StoreId) -> None:
        """Add a peer on a store, or remove the one that is there."""
        placement = self.stores.placement
        report = placement.regions.by_id(region_id)
        if report is None:
            return
        there = report.region.peer_on(store_id)
        if there is None:
            peer = Peer(await placement.alloc_id(), store_id)
            self.moves += await placement.add_peer(region_id, peer, within=self.scenario.seconds)
        elif len(report.region.peers) > 1:
            self.moves += await placement.remove_peer(region_id, there, within=self.scenario.seconds)

    async def _pause(self, seconds: float) -> None:
        """Unless the round ends before."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.over.wait(), seconds)


class _Writer:
    """One client, with keys of its own in each round: a put that is late from one cannot spoil the next."""

    def __init__(self, stores: SimStores, number: int, client: int, think_s: float) -> None:
        self.client = Client(stores)
        self.think_s = think_s
        self.random = stores.world.stream(f"client/{number}/{client}")
        self.name = f"{client:03d}-{number}"
        self.lo = f"{self.name}-".encode()
        self.hi = f"{self.name}.".encode()
        self.put: list[tuple[bytes, bytes]] = []
        self.scans = 0

    async def work(self, over: asyncio.Event) -> None:
        """Put and scan until it is over."""
        while not over.is_set():
            if self.random.random() < 0.5:
                number = len(self.put)
                key, value = self.lo + b"%08d" % number, f"x {self.name} {number} y".encode()
                await self.client.put(key, value)
                self.put.append((key, value))
            else:
                await self._scan()
            await asyncio.sleep(self.random.expovariate(1 / self.think_s))

    async def _scan(self) -> None:
        found = await self.client.scan(self.lo, self.hi)
        assert found == self.put, f"{self.name}: {_difference(found, self.put)}"
        self.scans += 1

    async def finish(self) -> None:
        """Every put is there once, in order; then all are deleted."""
        await self._scan()
        for key, _ in self.put:
            await self.client.delete(key)


def _difference(found: list[tuple[bytes, bytes]], put: list[tuple[bytes, bytes]]) -> str:
    lost = [key for key, _ in put if key not in dict(found)]
    strange = [key for key, _ in found if key not in dict(put)]
    return f"{len(found)} of {len(put)} keys, lost {lost[:5]}, not put {strange[:5]}"
