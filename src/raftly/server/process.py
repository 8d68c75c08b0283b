"""Process: what a store and a member of the placement driver share as processes: logs, signals, an end in good order.

    start ──► ready ──► SIGTERM or SIGINT ──► stop within `drain` ──► exit 0
                   └──► failed, with a sentence ──► stop ──► the error, exit 1

A second signal ends it at once, as a kill would: what was acknowledged is on disk anyway.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, final

from raftly.client.channels import join_address, split_address
from raftly.errors import ConfigError, RaftlyError
from raftly.server.config import LogSection

__all__ = ["Bound", "Started", "bound_address", "run_until_told", "set_up_logs"]

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


@final
@dataclass(slots=True)
class Started:
    """What runs. `addresses` are what others reach it by, by what is served there; `stop` is called once."""

    name: str
    addresses: dict[str, str]
    failed: asyncio.Future[RaftlyError]
    stop: Callable[[], Awaitable[None]]
    drain_s: float
    facts: dict[str, object] = field(default_factory=dict)


async def run_until_told(start: Callable[[], Awaitable[Started]], on_ready: Callable[[Started], None]) -> None:
    """Start, and run until a signal or a failure. On the main thread's loop, whose signals it takes.

    Raises:
        RaftlyError, OSError: it could not start, or it failed.
    """
    loop = asyncio.get_running_loop()
    told = asyncio.Event()

    def on_signal() -> None:
        told.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in _SIGNALS:
        loop.add_signal_handler(number, on_signal)
    starting: asyncio.Future[Started] = asyncio.ensure_future(start())
    waiting: asyncio.Future[Any] = asyncio.ensure_future(told.wait())
    try:
        begun: list[asyncio.Future[Any]] = [starting, waiting]
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():  # told to end before it had begun: nothing was promised to anybody
            return
        started = starting.result()
        on_ready(started)
        ends: list[asyncio.Future[Any]] = [started.failed, waiting]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        failure = started.failed.result() if started.failed.done() else None
        await _stop(started)
        if failure is not None:
            raise failure
    finally:
        starting.cancel()
        waiting.cancel()
        await asyncio.gather(starting, waiting, return_exceptions=True)
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _stop(started: Started) -> None:
    try:
        async with asyncio.timeout(started.drain_s):
            await started.stop()
    except TimeoutError:
        logging.getLogger("raftly").warning("%s did not end in %g s and was cut off", started.name, started.drain_s)


# --- addresses -------------------------------------------------------------------------------------------------


_EVERY_INTERFACE: Final = ("0.0.0.0", "::", "*")  # noqa: S104 - this is what must not be told


@final
@dataclass(frozen=True, slots=True)
class Bound:
    """Where to listen, and what others are told."""

    host: str
    port: int
    advertised: str


def bound_address(option: str, address: str, advertise: str = "", *, told_by: str = "", beside: str = "") -> Bound:
    """An address with a port of its own: one that is free now, where the option has port 0.

    Others are told `advertise`, which the option `told_by` sets ("": `advertise_OPTION`); empty: the address itself, or
    this port of the host of `beside`, if there is one, where the address stands for every interface.

    Raises:
        ConfigError: it is no address; or others would be told one that nobody reaches, as 0.0.0.0.
        OSError: no port can be had.
    """
    before, colon, number = address.rpartition(":")
    if number == "0" and colon:
        bare = before.removeprefix("[").removesuffix("]")
        with socket.create_server((bare, 0), family=socket.AF_INET6 if ":" in bare else socket.AF_INET) as held:
            address = f"{before}:{held.getsockname()[1]}"
    try:
        host, port = split_address(address)
    except ConfigError as error:
        raise ConfigError(option, error.problem) from None
    if beside and not advertise and host in _EVERY_INTERFACE:
        advertise = join_address(split_address(beside)[0], port)
    advertised = advertise or address
    if split_address(advertised)[0] in _EVERY_INTERFACE:
        raise ConfigError(told_by or f"advertise_{option}", f"must say how others reach {address}")
    return Bound(host, port, advertised)


# --- logs ------------------------------------------------------------------------------------------------------


@final
class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        told: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def set_up_logs(section: LogSection) -> None:
    """Lines of all loggers to the standard error."""
    handler = logging.StreamHandler(sys.stderr)
    if section.format == "json":
        handler.setFormatter(_Json())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(section.level.upper())
