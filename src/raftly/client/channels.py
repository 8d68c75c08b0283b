"""Channels: one connection an address, made when it is first needed."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Final, final

from raftly.client.errors import ClientClosed
from raftly.errors import ConfigError
from raftly.rpc import Backoff, Channel, ClientTls, Limits

__all__ = ["Channels", "split_address"]

# An attempt is repeated soon: requests wait for it by their own backoff, and go elsewhere meanwhile.
_RECONNECT: Final = Backoff(first_s=0.05, last_s=1.0)


def split_address(address: str) -> tuple[str, int]:
    """Host and port of "host:port", "[v6]:port", or a URL with these; raises ConfigError for anything else."""
    bare = address.split("://", 1)[-1].rstrip("/")
    host, colon, port = bare.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError("address", f"must be host:port, with or without http:// before it, not {address!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def join_address(host: str, port: int) -> str:
    """What `split_address` takes apart; an IPv6 address is put in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@final
class Channels:
    """Calls by address. `close` it. `rng` is for the jitter of attempts to connect."""

    def __init__(
        self, *, tls: ClientTls | None = None, limits: Limits | None = None, rng: Random | None = None
    ) -> None:
        self._tls = tls
        self._limits = limits
        self._rng = rng
        self._channels: dict[tuple[str, int], Channel] = {}
        self._closed = False

    def to(self, address: str) -> Channel:
        """The channel to an address.

        Raises:
            ClientClosed: no calls are made any more.
            ConfigError: it is no address.
        """
        if self._closed:
            raise ClientClosed
        place = split_address(address)
        channel = self._channels.get(place)
        if channel is None:
            host, port = place
            channel = self._channels[place] = Channel(
                host, port, tls=self._tls, limits=self._limits, backoff=_RECONNECT, rng=self._rng
            )
        return channel

    async def close(self) -> None:
        """Say goodbye to all; calls under way fail."""
        self._closed = True
        channels, self._channels = list(self._channels.values()), {}
        await asyncio.gather(*(channel.close() for channel in channels))
