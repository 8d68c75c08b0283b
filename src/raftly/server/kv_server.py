"""KvServer: a KvBackend on the network, with health, reflection, limits, TLS and an end in good order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from raftly.rpc import Limits, Server, ServerTls, Service
from raftly.rpc.health import Health, Serving
from raftly.rpc.limits import MIB
from raftly.rpc.reflection import reflection_services
from raftly.server.commands import Commands
from raftly.server.contexts import Contexts
from raftly.server.metrics import ServerCounts
from raftly.server.raw import RawKv, RawOptions
from raftly.server.splitting import RegionSplitter
from raftly.server.tikv_service import TikvService
from raftly.store.kv import KvBackend

__all__ = ["KvServer", "KvServerOptions"]


@final
@dataclass(frozen=True, slots=True)
class KvServerOptions:
    """How a store serves clients."""

    cluster_id: int = 0
    """Requests that name another are refused; 0: none is."""
    store_id: int = 0
    raw: RawOptions = field(default_factory=RawOptions)
    in_flight_max: int = 10_000
    """Commands at once; past it ServerIsBusy."""
    seconds_max: float = 30.0
    """Of a command, whatever deadline it has."""
    limits: Limits = field(default_factory=lambda: Limits(message_bytes_max=16 * MIB))
    tls: ServerTls | None = None


@final
class KvServer:
    """Serves one backend. `more` are services on the same port; `wall_clock` gives seconds since 1970."""

    def __init__(
        self,
        backend: KvBackend,
        wall_clock: Callable[[], float],
        options: KvServerOptions | None = None,
        more: Sequence[Service] = (),
    ) -> None:
        options = options or KvServerOptions()
        commands = Commands(
            backend, store_id=options.store_id, in_flight_max=options.in_flight_max, seconds_max=options.seconds_max
        )
        contexts = Contexts(options.cluster_id)
        raw = RawKv(backend, contexts, wall_clock, options.raw)
        splitter = RegionSplitter(backend, contexts, options.raw.key_bytes_max)
        self._tikv = TikvService(raw, splitter, commands)
        self._health = Health()
        self._health.set(self._tikv.service.name, Serving.SERVING)
        services = [self._tikv.service, *more, self._health.service()]
        self._server = Server([*services, *reflection_services(services)], limits=options.limits, tls=options.tls)
        self.counts: Final[ServerCounts] = commands.counts

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is chosen for port 0. Raises OSError when the address cannot be had."""
        return await self._server.start(host, port)

    def leave(self) -> None:
        """Say that this server is about to end; it still answers."""
        for service in ("", self._tikv.service.name):
            self._health.set(service, Serving.NOT_SERVING)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Say that this server does not serve any more, answer what it was asked, for `grace_s` at most, and close."""
        self.leave()
        self._tikv.drain()
        await self._server.stop(grace_s)

    @property
    def rpc(self) -> Server:
        """The gRPC server, for its counters."""
        return self._server
