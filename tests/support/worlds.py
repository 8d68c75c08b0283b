"""HostWorld: what worlds of simulated hosts have in common, whatever runs on those."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

from raftly.testing.sim import Host, World

T = TypeVar("T")


class HostWorld:
    """A world that is closed with its one script, and what runs in it, by the number of its host."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)

    def run(self, script: Coroutine[Any, Any, T], within: float) -> T:
        """Run a script on the director's host."""
        try:
            return self.world.run(script, within=within)
        finally:
            self.world.close()

    def drop_dead(self, hosts: Mapping[int, Host], running: dict[int, Any]) -> None:
        """Who loses its power is in `running` no more."""
        for number, host in hosts.items():
            host.on_death = partial(_drop, running, number)


def _drop(running: dict[int, Any], number: int, _: Host) -> None:
    running.pop(number, None)
