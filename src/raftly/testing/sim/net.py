"""Network: who reaches whom, how fast; messages on it. Streams on it are in `stream` and `connect`.

Everything is per direction. A cut direction carries nothing: messages are lost, and streams wait and are sent again
some time after it is mended, as TCP does it.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from raftly.testing.sim.host import Host
    from raftly.testing.sim.stream import Pipe
    from raftly.testing.sim.world import World

_LOOPBACK_S: Final = 20e-6
_SLOW_S_MAX: Final = 5.0  # several faults may slow one link down
_QUEUE_S_MAX: Final = 1.0  # of messages before a bottleneck; what comes then is dropped
RETRANSMIT_S: Final = 0.2
"""TCP's least time before it sends something again; it doubles."""


@final
@dataclass(slots=True)
class LinkOptions:
    """One direction between two hosts. Times are seconds, chances in [0, 1]."""

    latency_s_min: float = 100e-6
    latency_s_mean: float = 200e-6
    """Above the least; exponential."""
    tail_chance: float = 0.005
    tail_s: float = 0.03
    """Now and then so much more at most."""
    bytes_per_s: float = 125e6
    loss: float = 0.0
    """A message is lost; a piece of a stream comes later by a retransmission or more."""
    duplicate: float = 0.0
    """A message comes twice."""
    reorder: float = 0.0
    """A message is held back for up to `reorder_s`."""
    reorder_s: float = 0.05
    split: float = 0.05
    """A piece of a stream arrives in two."""
    window_bytes: int = 256 << 10
    """Of a stream: sent, and not yet read by the other end."""


@final
class Link:
    """One direction, and what is wrong with it now."""

    __slots__ = ("bytes_per_s_max", "cuts", "free_at", "options", "pipes", "slow")

    def __init__(self, options: LinkOptions) -> None:
        self.options = options
        self.cuts = 0  # reasons why nothing passes
        self.slow = 1.0  # latency is so many times as long
        self.bytes_per_s_max = inf  # a bottleneck on the way
        self.free_at = 0.0  # when the last bit has left
        self.pipes: dict[Pipe, None] = {}

    def widen(self) -> None:
        """The bottleneck is gone: what is sent from now on does not wait for what is still in it."""
        self.bytes_per_s_max, self.free_at = inf, 0.0


@final
class Network:
    """All links of a world. Cuts are counted: what two reasons cut is mended when both are gone."""

    def __init__(self, world: World) -> None:
        self.options = LinkOptions()
        """Of links that have none of their own; shared by them."""
        self.names: dict[str, Host] = {}
        self.delivered = 0
        self.lost = 0
        self._world = world
        self._random = world.stream("network")
        self._links: dict[tuple[str, str], Link] = {}

    @property
    def is_cut(self) -> bool:
        """Is there a link on which nothing passes?"""
        return any(link.cuts for link in self._links.values())

    def link(self, a: Host, b: Host) -> Link:
        """The direction from a to b."""
        link = self._links.get((a.name, b.name))
        if link is None:
            link = self._links[a.name, b.name] = Link(self.options)
        return link

    def resolve(self, asker: Host, name: str) -> Host:
        """The host of a name or address.

        Raises:
            OSError: there is none.
        """
        if name in {"localhost", "127.0.0.1"} and name not in self.names:
            return asker
        host = self.names.get(name)
        if host is None:
            raise socket.gaierror(socket.EAI_NONAME, f"no host is called {name}")
        return host

    # --- what goes wrong ---

    def cut(self, a: Host, b: Host) -> None:
        """Nothing passes from a to b."""
        self.link(a, b).cuts += 1
        self._world.note(a.name, "cut", b.name)

    def mend(self, a: Host, b: Host) -> None:
        """Undo one `cut`."""
        link = self.link(a, b)
        assert link.cuts > 0, f"{a.name} to {b.name} is not cut"
        link.cuts -= 1
        self._world.note(a.name, "mend", b.name)
        if not link.cuts:
            self._resume(link)

    def cut_edges(self, edges: Iterable[tuple[Host, Host]]) -> None:
        """Cut each direction."""
        for a, b in edges:
            self.cut(a, b)

    def mend_edges(self, edges: Iterable[tuple[Host, Host]]) -> None:
        """Undo `cut_edges`."""
        for a, b in edges:
            self.mend(a, b)

    def heal(self) -> None:
        """Undo all that is wrong with any link."""
        self._world.note("network", "heal")
        for link in self._links.values():
            cut, link.cuts, link.slow = link.cuts, 0, 1.0
            link.widen()
            if cut:
                self._resume(link)

    def reset(self, a: Host, b: Host) -> int:
        """Break every connection between two hosts, as a firewall that forgot them: both ends are told. How many."""
        self._world.note(a.name, "reset", b.name)
        streams = [stream for stream in a.streams if stream.peer_host is b]
        for stream in streams:
            stream.break_off()
        return len(streams)

    def reaches(self, a: Host, b: Host) -> bool:
        """Is the direction whole, and the machine up?"""
        return b.up and (a is b or not self.link(a, b).cuts)

    # --- time that things take ---

    def arrival(self, a: Host, b: Host, size: int) -> float:
        """When something that leaves a now arrives at b, after what left before it."""
        now = self._world.now
        if a is b:
            return now + _LOOPBACK_S
        link = self.link(a, b)
        options = link.options
        random = self._random
        latency = options.latency_s_min + random.expovariate(1.0 / options.latency_s_mean)
        if random.random() < options.tail_chance:
            latency += random.random() * options.tail_s
        link.free_at = max(link.free_at, now) + size / min(options.bytes_per_s, link.bytes_per_s_max)
        return link.free_at + min(latency * link.slow, _SLOW_S_MAX)

    def retransmission(self, a: Host, b: Host) -> float:
        """Seconds that a piece of a stream loses by being lost; mostly none."""
        loss = self.link(a, b).options.loss
        seconds, wait = 0.0, RETRANSMIT_S
        while loss and self._random.random() < loss and seconds < 60:
            seconds += wait
            wait *= 2
        return seconds

    def splits(self, a: Host, b: Host, size: int) -> int:
        """Where a piece of a stream is cut in two; 0: nowhere."""
        split = self.link(a, b).options.split
        if size > 1 and split and self._random.random() < split:
            return 1 + self._random.randrange(size - 1)
        return 0

    def chance(self, probability: float) -> bool:
        """Draw."""
        return probability > 0 and self._random.random() < probability

    def pause_after_cut(self) -> float:
        """Seconds until TCP tries again after a cut has ended."""
        return self._random.random() * RETRANSMIT_S * 8

    # --- messages ---

    def post(self, a: Host, b: Host, size: int, deliver: Callable[[], None]) -> None:
        """Send a message of some bytes: `deliver` runs on b's loop once, twice or never, in any order with others."""
        if not a.alive:
            return  # its last callback unwinds
        link = self.link(a, b)
        options = link.options
        full = link.free_at > self._world.now + _QUEUE_S_MAX
        if a is not b and (full or not self.reaches(a, b) or self.chance(options.loss)):
            self._lose(a, b)
            return
        for _ in range(2 if self.chance(options.duplicate) else 1):
            late = self._random.random() * options.reorder_s if self.chance(options.reorder) else 0.0
            self._world.at(self.arrival(a, b, size) + late, lambda: self._deliver(a, b, size, deliver))

    def _deliver(self, a: Host, b: Host, size: int, deliver: Callable[[], None]) -> None:
        if not b.alive or not self.reaches(a, b):
            self._lose(a, b)
            return
        self.delivered += 1
        self._world.note(b.name, "message", f"{a.name} {size}")
        b.loop.arrive(deliver)

    def _lose(self, a: Host, b: Host) -> None:
        self.lost += 1
        self._world.note(b.name, "lost", a.name)

    # --- hosts ---

    def on_host_dead(self, host: Host) -> None:
        """Its sockets: ended by the machine, or nobody's any more."""
        for listener in list(host.listeners.values()):
            listener.close()
        for stream in list(host.streams):
            stream.die()

    def on_host_up(self, host: Host) -> None:
        """What others still send it on old connections arrives, and is answered by a reset."""
        for (_, to), link in list(self._links.items()):
            if to == host.name and not link.cuts:
                self._resume(link)

    def _resume(self, link: Link) -> None:
        for pipe in list(link.pipes):
            pipe.resume()


def edges_between(sides: Sequence[Sequence[Host]]) -> list[tuple[Host, Host]]:
    """Both directions of every pair that is not on one side."""
    pairs = itertools.permutations(range(len(sides)), 2)
    return [(a, b) for i, j in pairs for a in sides[i] for b in sides[j]]
