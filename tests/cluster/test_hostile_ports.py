"""Garbage, giant and slow frames on the port of a running member, which is for peers and callers both."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from raftly.node import RemoteOptions, connect
from raftly.testing.processes import ProcessCluster
from raftly.transport.frame import FRAME_MESSAGES, FRAME_REQUESTS, encode_frame
from raftly.transport.handshake import Hello, Purpose
from tests.cluster.support.registers import TARGET, Registers

ATTACK_S = 4.0


class Attack:
    """Connections to one port, one after the other, until the time is over."""

    def __init__(self, address: tuple[str, int], seed: int) -> None:
        self._address = address
        self._random = random.Random(seed)
        self.connections = 0

    async def garbage(self) -> None:
        while True:
            await self._send(self._random.randbytes(self._random.randrange(1, 4096)))

    async def giant(self) -> None:
        """A frame that says it is 4 GiB, and one as large as is allowed, of nothing, after a proper hello."""
        while True:
            await self._send(struct.pack("<HBBII", 0x6672, 1, 3, 0xFFFFFFFF, 0) + bytes(1 << 16))
            for purpose in (Purpose.MESSAGES, Purpose.CLIENT):
                await self._send(
                    self._hello(purpose) + struct.pack("<HBBII", 0x6672, 1, 1, 64 << 20, 0) + bytes(1 << 20)
                )

    async def slow(self) -> None:
        """A byte now and then, and connections that say nothing at all."""
        with ExitStack() as held:
            for _ in range(20):
                await self._connect(held.enter_context(socket.socket()))
            trickle = held.enter_context(socket.socket())
            await self._connect(trickle)
            for byte in self._hello(Purpose.CLIENT):
                await asyncio.get_running_loop().sock_sendall(trickle, bytes([byte]))
                await asyncio.sleep(0.05)

    async def impostor(self) -> None:
        """As a peer that is none, and as a caller, with bodies that are not what they should be."""
        while True:
            for purpose, kind in ((Purpose.MESSAGES, FRAME_MESSAGES), (Purpose.CLIENT, FRAME_REQUESTS)):
                body = self._random.randbytes(self._random.randrange(0, 512))
                await self._send(self._hello(purpose) + encode_frame(kind, body) * 3)

    def _hello(self, purpose: Purpose) -> bytes:
        node = 0 if purpose is Purpose.CLIENT else 77
        return Hello(1, 1, purpose, 1, node, 0, self._random.getrandbits(62) | 1, 0, 0).encode()

    async def _connect(self, made: socket.socket) -> None:
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, self._address)
        self.connections += 1

    async def _send(self, data: bytes) -> None:
        """What comes back, or that the connection is cut, does not matter here."""
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError), socket.socket() as made:
            async with asyncio.timeout(1):
                await self._connect(made)
                await loop.sock_sendall(made, data)
                while await loop.sock_recv(made, 1 << 16):
                    pass


async def for_a_while(work: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(ATTACK_S):
            await work


def test_an_attacked_member_stays_up_leads_on_and_answers_others(tmp_path: Path) -> None:
    async def main() -> None:
        with ProcessCluster(TARGET, tmp_path) as cluster:
            cluster.start()
            async with connect(Registers, cluster.addresses, options=RemoteOptions(call_timeout=30)) as remote:
                await remote.call(Registers.write, "a", 0)
                before = await remote.members()
                attacks = [Attack(cluster.address(id_), id_) for id_ in cluster.ids]
                attacking = asyncio.gather(
                    *(for_a_while(work()) for a in attacks for work in (a.garbage, a.giant, a.slow, a.impostor))
                )
                calls = 0
                while not attacking.done():
                    calls += 1
                    await remote.call(Registers.write, "a", calls)
                    assert await remote.ask(Registers.get, "a") == calls
                await attacking
                after = await remote.members()
                assert (after.leader, after.term) == (before.leader, before.term)
                assert min(attack.connections for attack in attacks) > 20
                assert not cluster.failed()
            for process in cluster.running.values():
                assert "Traceback" not in process.said

    asyncio.run(main())
