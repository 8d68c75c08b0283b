"""The state of a machine as bytes, and back, for tests without a loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from raftly.node.machine import StateMachine


def saved(machine: StateMachine[Any]) -> bytes:
    """All of the stream."""
    return b"".join(machine.stream())


def restore(machine: StateMachine[Any], data: bytes, piece_bytes: int = 1 << 20) -> None:
    """Make the machine what `saved` gave; it comes in pieces of so many bytes."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(data), piece_bytes):
            yield data[at : at + piece_bytes]

    reading = machine.codec.read(pieces())
    try:
        reading.send(None)
    except StopIteration as done:
        machine.adopt(done.value)
    else:
        raise AssertionError("reading waits for something else than its bytes")
