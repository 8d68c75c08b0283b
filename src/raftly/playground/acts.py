"""Acts: what the commands do, each told as a step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, final

from raftly.base.region import PeerRole
from raftly.client.pd import PlacedRegion
from raftly.client.text import shown_key, typed_key
from raftly.demo.live.step import Step
from raftly.errors import RaftlyError
from raftly.playground.cluster import Cluster, Picture, Refused
from raftly.playground.commands import Command, help_lines
from raftly.playground.processes import Kind, Process, State

__all__ = ["Acts"]

STOP_S: Final = 15.0
BALANCE_S: Final = 120.0
WATCH_S: Final = 10.0
SETTLE_S: Final = 60.0
REPLICAS: Final = 3  # of each region, as a placement driver is told by default
VALUE: Final = b"x" * 100
REGIONS_SHOWN: Final = 40


@final
class Acts:
    """The commands of one cluster."""

    def __init__(self, cluster: Cluster, note: Callable[[str], None]) -> None:
        self._cluster = cluster
        self._note = note
        self._filled = 0
        self._table: dict[str, Callable[[Sequence[str]], Awaitable[Step]]] = {
            "put": self._put,
            "get": self._get,
            "fill": self._fill,
            "check": self._check,
            "show": self._show,
            "regions": self._regions,
            "watch": self._watch,
            "split": self._split,
            "merge": self._merge,
            "kill": self._kill,
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
            "restart": self._restart,
            "add": self._add,
            "remove": self._remove,
            "balance": self._balance,
            "log": self._log,
            "help": self._help,
        }

    async def do(self, command: Command) -> Step:
        """Carry it out; what cannot be done is told, not raised."""
        try:
            return await self._table[command.name](command.words)
        except (RaftlyError, ExceptionGroup) as error:
            return Step([_said(error)], ok=False)

    # --- keys -------------------------------------------------------------------------------------------------------

    async def _put(self, words: Sequence[str]) -> Step:
        key, value = _key(words[0]), _key(" ".join(words[1:]))
        begun = time.monotonic()
        await self._cluster.put(key, value)
        where = await self._where(key)
        return Step([f"acknowledged after {_ms(begun)}{where}"])

    async def _get(self, words: Sequence[str]) -> Step:
        key = _key(words[0])
        begun = time.monotonic()
        value = await self._cluster.client.get(key)
        shown = "it is not there" if value is None else shown_key(value, "(empty)")
        lost = tuple(problem for problem in self._cluster.ledger.judge({key: value} if value is not None else {})
                     if problem.startswith(repr(key)))  # fmt: skip
        where = await self._where(key)
        return Step([f"{shown}, read in {_ms(begun)}{where}", *lost], ok=not lost, lost=lost)

    async def _where(self, key: bytes) -> str:
        """Which region and store, if it is known."""
        route = self._cluster.client.regions.cache.find(key)
        if route is None:
            return ""
        process = self._cluster.by_store_id(route.leader.store_id)
        return f", by region {route.region.id} on {process.name if process else f'store {route.leader.store_id}'}"

    async def _fill(self, words: Sequence[str]) -> Step:
        count = _number(words[0])
        before = self._cluster.ledger.acknowledged
        begun = time.monotonic()
        first = self._filled
        self._filled += count
        # scattered over the keys, so that every region gets its share
        pairs = [
            (b"key-%08x" % ((n * 0x9E3779B1) & 0xFFFFFFFF), b"%d " % n + VALUE) for n in range(first, first + count)
        ]
        try:
            await self._cluster.fill(pairs)
        except ExceptionGroup as error:
            done = self._cluster.ledger.acknowledged - before
            return Step([f"{done:,} of {count:,} were acknowledged, then: {_said(error)}"], ok=False)
        seconds = time.monotonic() - begun
        facts: dict[str, object] = {"writes": count, "seconds": round(seconds, 3)}
        return Step([f"{count:,} writes were acknowledged in {seconds:.1f} s"], facts=facts)

    async def _check(self, words: Sequence[str]) -> Step:
        begun = time.monotonic()
        problems = await self._cluster.read_all()
        keys = len(self._cluster.ledger.keys)
        if problems:
            return Step([f"LOST: {problem}" for problem in problems[:10]], ok=False, lost=tuple(problems))
        facts: dict[str, object] = {"acknowledged": self._cluster.ledger.acknowledged, "keys": keys}
        return Step([f"all {keys:,} keys that were acknowledged are there, read in {_ms(begun)}"], facts=facts)

    # --- what there is ----------------------------------------------------------------------------------------------

    async def _show(self, words: Sequence[str]) -> Step:
        picture = await self._cluster.picture()
        leader = await self._pd_leader()
        rows: list[tuple[str, ...]] = []
        for process in self._cluster.processes.values():
            role = leaders = peers = "-"
            if process.kind is Kind.PD:
                role = "leader" if process.number == leader else "follower" if process.is_alive else "-"
            elif not picture.problem:
                store_id = self._cluster.store_id(process)
                leaders, peers = str(picture.leaders_on(store_id)), str(picture.peers_on(store_id))
            where = self._cluster.address(process)
            rows.append((process.name, process.state.value, role, leaders, peers, where, str(process.pid or "-")))
        lines = [picture.problem] if picture.problem else [_regions(len(picture.regions))]
        columns = ("process", "state", "role", "leads", "replicas", "clients", "pid")
        return Step(lines, not picture.problem, rows=rows, columns=columns)

    async def _pd_leader(self) -> int:
        with suppress(RaftlyError):
            return (await self._cluster.pd.members()).leader.id
        return 0

    async def _regions(self, words: Sequence[str]) -> Step:
        picture = await self._cluster.picture()
        if picture.problem:
            return Step([picture.problem], ok=False)
        rows = [self._region_row(placed) for placed in picture.regions[:REGIONS_SHOWN]]
        left = len(picture.regions) - len(rows)
        lines = [_regions(len(picture.regions)) + (f", {left} of them not shown" if left else "")]
        facts: dict[str, object] = {"regions": len(picture.regions)}
        return Step(lines, rows=rows, columns=("region", "from", "to", "epoch", "leader", "replicas on"), facts=facts)

    def _region_row(self, placed: PlacedRegion) -> tuple[str, ...]:
        region = placed.region
        names = sorted(self._store_name(peer.store_id) + ("*" if peer.is_learner else "") for peer in region.peers)
        return (
            str(region.id),
            shown_key(region.start_key, "-∞"),
            shown_key(region.end_key, "+∞"),
            f"{region.epoch.conf_ver}.{region.epoch.version}",
            self._store_name(placed.leader.store_id) if placed.leader else "-",
            " ".join(names),
        )

    def _store_name(self, store_id: int) -> str:
        process = self._cluster.by_store_id(store_id)
        return process.name if process is not None else f"store {store_id}"

    async def _watch(self, words: Sequence[str]) -> Step:
        seconds = _number(words[0]) if words else WATCH_S
        changes, _, _ = await self._tell_changes(lambda _: False, seconds)
        return Step([f"{changes} change{'' if changes == 1 else 's'} in {seconds:g} s"])

    async def _tell_changes(self, holds: Callable[[Picture], bool], within_s: float) -> tuple[int, Picture, bool]:
        """Tell what regions do, as it happens, until `holds`; how many, the last picture, does it?"""
        before = await self._cluster.picture()
        changes = 0

        def look(now: Picture) -> bool:
            nonlocal before, changes
            for line in self._changes(before, now):
                self._note(line)
                changes += 1
            if not now.problem:
                before = now
            return holds(now)

        picture, is_so = await self._cluster.wait(look, within_s)
        return changes, picture, is_so

    def _changes(self, before: Picture, now: Picture) -> list[str]:
        known = {placed.region.id: placed for placed in before.regions}
        here = {placed.region.id for placed in now.regions}
        lines = [f"region {gone} is part of another one" for gone in sorted(known.keys() - here) if not now.problem]
        for placed in now.regions:
            region = placed.region
            old = known.get(region.id)
            if old is None:
                lines.append(f"region {region.id} is new: from {shown_key(region.start_key, '-∞')}")
                continue
            here = {peer.store_id for peer in region.peers}
            there = {peer.store_id for peer in old.region.peers}
            lines += [f"region {region.id}: a replica on {self._store_name(one)}" for one in sorted(here - there)]
            lines += [f"region {region.id}: none on {self._store_name(one)} now" for one in sorted(there - here)]
            if placed.leader and old.leader and placed.leader.store_id != old.leader.store_id:
                names = self._store_name(old.leader.store_id), self._store_name(placed.leader.store_id)
                lines.append(f"region {region.id}: led by {names[1]}, no longer by {names[0]}")
        return lines

    async def _log(self, words: Sequence[str]) -> Step:
        process = self._named(words[0])
        lines = process.said.read_text("utf-8", "replace").splitlines()[-12:] if process.said.exists() else []
        return Step(lines or ["it said nothing"])

    async def _help(self, words: Sequence[str]) -> Step:
        return Step(help_lines())

    # --- processes --------------------------------------------------------------------------------------------------

    async def _kill(self, words: Sequence[str]) -> Step:
        process = await self._alive(words[0])
        await process.kill()
        return Step([f"{process.name} is gone, between two instructions"], facts={"process": process.name})

    async def _pause(self, words: Sequence[str]) -> Step:
        process = await self._alive(words[0])
        process.pause()
        return Step([f"{process.name} stands still; `resume` lets it go on"], facts={"process": process.name})

    async def _resume(self, words: Sequence[str]) -> Step:
        paused = self._all(words, State.PAUSED)
        for process in paused:
            process.resume()
        return Step([f"{_names(paused)} goes on" if paused else "none is paused"])

    async def _stop(self, words: Sequence[str]) -> Step:
        process = await self._alive(words[0])
        in_time = await process.stop(STOP_S)
        how = "handed over, and ended" if in_time else f"did not end in {STOP_S:g} s, and was killed"
        return Step([f"{process.name} {how}"], in_time)

    async def _restart(self, words: Sequence[str]) -> Step:
        gone = self._all(words, State.KILLED, State.STOPPED, State.FAILED, State.NEW)
        await asyncio.gather(*(process.start() for process in gone))
        return Step([f"{_names(gone)} runs again, from its directory" if gone else "all run"])

    async def _add(self, words: Sequence[str]) -> Step:
        if words and words[0] != "store":
            raise Refused("only stores are added: `add store`")
        process = await self._cluster.add_store()
        where = self._cluster.address(process)
        return Step([f"{process.name} serves at {where}; regions will move to it"], facts={"process": process.name})

    async def _remove(self, words: Sequence[str]) -> Step:
        process = self._named(words[0])
        keep = tuple(words[1:]) == ("keep",)
        if words[1:] and not keep:
            raise Refused("it is typed like this: remove NAME, or: remove NAME keep")
        if process.kind is not Kind.STORE:
            raise Refused("only stores are removed")
        if len(self._cluster.running_stores()) <= 1:
            raise Refused("the last store stays")
        store_id = self._cluster.store_id(process)
        if not store_id:
            raise Refused(f"{process.name} never served, so that the cluster does not know it")
        others = len(self._cluster.running_stores()) - (process.state is State.RUNNING)
        replicas = (await self._cluster.picture()).replicas_on(store_id)
        if others < replicas:
            raise Refused(f"each region has {replicas} replicas, and {others} other stores run: `add store` first")
        _ = await self._cluster.pd.admin("remove-store", {"store": store_id})
        self._note(f"{process.name} is asked to give away what it holds")
        picture, gone = await self._cluster.wait_gone(store_id, BALANCE_S)
        if not gone:
            left = picture.problem or f"{picture.peers_on(store_id)} regions are still there"
            return Step([f"{process.name} is being drained, and {left}; `remove {process.name}` waits again"], ok=False)
        await process.stop(STOP_S)
        self._cluster.forget(process, keep=keep)
        files = f"its files stay in {self._cluster.root / process.name}" if keep else "its files are removed"
        return Step([f"{process.name} held nothing any more, and has left; {files}"])

    async def _split(self, words: Sequence[str]) -> Step:
        key = _key(words[0])
        new = await self._cluster.pd.split_regions([key], timeout_s=SETTLE_S)
        if not new:
            return Step(["no region begins there yet: `regions` shows them"], ok=False)
        return Step([f"region {', '.join(map(str, new))} begins there"], facts={"regions": new})

    async def _merge(self, words: Sequence[str]) -> Step:
        region, into = map(_number, words)
        _ = await self._cluster.pd.admin("merge-region", {"region": region, "into": into})
        picture, merged = await self._cluster.wait(
            lambda now: not now.problem and all(placed.region.id != region for placed in now.regions), SETTLE_S
        )
        if not merged:
            return Step([picture.problem or f"region {region} is still there after {SETTLE_S:g} s"], ok=False)
        return Step([f"region {region} is part of region {into} now"])

    async def _balance(self, words: Sequence[str]) -> Step:
        seconds = _number(words[0]) if words else BALANCE_S
        begun = time.monotonic()
        ids = [self._cluster.store_id(process) for process in self._cluster.running_stores()]
        _, picture, is_fair = await self._tell_changes(lambda now: self._is_fair(now, ids), seconds)
        told = ", ".join(
            f"{process.name} holds {_regions(picture.peers_on(self._cluster.store_id(process)))} and leads "
            f"{picture.leaders_on(self._cluster.store_id(process))}"
            for process in self._cluster.running_stores()
        )
        if not is_fair:
            return Step([picture.problem or f"after {seconds:g} s not every store has its share: {told}"], ok=False)
        return Step([f"{told}, after {time.monotonic() - begun:.1f} s"])

    def _is_fair(self, picture: Picture, store_ids: Sequence[int]) -> bool:
        """Has every region all its replicas, none of them still learning, and every store that runs some of them?"""
        wanted = min(REPLICAS, len(store_ids))
        for placed in picture.regions:
            voters = [peer for peer in placed.region.peers if peer.role is PeerRole.VOTER]
            if placed.leader is None or placed.pending_peers or len(voters) < wanted:
                return False
        return not picture.problem and all(map(picture.peers_on, store_ids))

    def _named(self, name: str) -> Process:
        process = self._cluster.processes.get(f"store-{name}" if name.isdecimal() else name)
        if process is None:
            names = ", ".join(self._cluster.processes)
            raise Refused(f"there is no {name}; there are {names}")
        return process

    async def _alive(self, name: str) -> Process:
        process = await self._leading() if name == "leader" else self._named(name)
        if not process.is_alive:
            raise Refused(f"{process.name} does not run: `restart {process.name}`")
        return process

    async def _leading(self) -> Process:
        """The store that leads most regions."""
        picture = await self._cluster.picture()
        stores = self._cluster.running_stores()
        if picture.problem or not stores:
            raise Refused(picture.problem or "no store runs")
        return max(stores, key=lambda process: picture.leaders_on(self._cluster.store_id(process)))

    def _all(self, words: Sequence[str], *states: State) -> list[Process]:
        """The one that is named, or all in one of these states."""
        if not words:
            return [process for process in self._cluster.processes.values() if process.state in states]
        process = self._named(words[0])
        if process.state not in states:
            raise Refused(f"{process.name} is {process.state.value}")
        return [process]


def _key(word: str) -> bytes:
    try:
        return typed_key(word)
    except ValueError as error:
        raise Refused(str(error)) from None


def _number(word: str) -> int:
    if not word.isdecimal() or not 0 < int(word) <= 1_000_000:
        raise Refused(f"{word!r} must be a number from 1 to 1,000,000")
    return int(word)


def _regions(count: int) -> str:
    return f"{count} region{'' if count == 1 else 's'}"


def _names(processes: Sequence[Process]) -> str:
    return ", ".join(process.name for process in processes)


def _ms(begun: float) -> str:
    return f"{(time.monotonic() - begun) * 1000:.1f} ms"


def _said(error: BaseException) -> str:
    """The first error of a group says enough."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, RaftlyError):
        raise error
    return str(error)
