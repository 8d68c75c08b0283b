"""The standard health service: who asks hears whether a service (or "", the whole server) serves.

Source: grpc/grpc doc/health-checking.md (names, numbers and behaviour).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from enum import IntEnum
from typing import Final

from raftly.rpc.descriptors import STRING, File, enum
from raftly.rpc.grpc.status import RpcError, StatusCode
from raftly.rpc.service import AnyMessage, Kind, Service, bind

__all__ = ["HEALTH_CHECK", "HEALTH_WATCH", "Health", "HealthRequest", "Serving"]


class Serving(IntEnum):
    """Health of one service."""

    UNKNOWN = 0
    SERVING = 1
    NOT_SERVING = 2
    SERVICE_UNKNOWN = 3  # only as an answer to a watch


_FILE: Final = File(
    "raftly/rpc/health.proto",
    "grpc.health.v1",
    {
        "HealthCheckRequest": [("service", 1, STRING)],
        "HealthCheckResponse": [("status", 1, enum("ServingStatus"))],
    },
    enums={"ServingStatus": [(serving.name, serving.value) for serving in Serving]},
    services={
        "Health": [
            ("Check", "HealthCheckRequest", "HealthCheckResponse", Kind.UNARY_UNARY),
            ("Watch", "HealthCheckRequest", "HealthCheckResponse", Kind.UNARY_STREAM),
        ]
    },
)
HealthRequest: Final = _FILE.message_class("HealthCheckRequest")
_Response: Final = _FILE.message_class("HealthCheckResponse")
HEALTH_CHECK: Final = _FILE.method("Health", "Check", "HealthCheckRequest", "HealthCheckResponse", Kind.UNARY_UNARY)
HEALTH_WATCH: Final = _FILE.method("Health", "Watch", "HealthCheckRequest", "HealthCheckResponse", Kind.UNARY_STREAM)


class Health:
    """The state that the health service reports. `set` wakes the watchers; a slow one hears the latest only."""

    def __init__(self) -> None:
        self._states: dict[str, Serving] = {"": Serving.SERVING}
        self._changed: asyncio.Event | None = None  # replaced at every change

    def set(self, service: str, serving: Serving) -> None:
        """Declare the health of a service; "" is the server as a whole."""
        self._states[service] = serving
        if self._changed is not None:
            self._changed.set()
            self._changed = None

    def service(self) -> Service:
        """To be given to the server."""
        return Service(
            "grpc.health.v1.Health",
            [bind(HEALTH_CHECK, self._check), bind(HEALTH_WATCH, self._watch)],
            [_FILE.serialized],
        )

    async def _check(self, request: AnyMessage) -> AnyMessage:
        serving = self._states.get(request.service)
        if serving is None:
            raise RpcError(StatusCode.NOT_FOUND, f"unknown service {request.service[:200]}")
        return _Response(status=serving.value)

    async def _watch(self, request: AnyMessage) -> AsyncIterator[AnyMessage]:
        told: Serving | None = None
        while True:
            serving = self._states.get(request.service, Serving.SERVICE_UNKNOWN)
            if serving is not told:
                told = serving
                yield _Response(status=serving.value)
                continue  # it may have changed while the client took the answer
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()
