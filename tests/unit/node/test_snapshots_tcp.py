"""A snapshot over TCP through a proxy that cuts the connection once: it is gone on with, not begun again."""

import asyncio
from pathlib import Path

from raftly.node import FOLLOWER, NodeConfig, Replicated, replicate
from raftly.testing.processes import free_ports
from tests.support.stateful import LINE_BYTES, Counts
from tests.unit.node.test_snapshots import until

LINES = 50_000  # 3.2 MB
CUT_BYTES = 1_700_000


class Proxy:
    """Passes on what comes for a port; cuts the first connection that has brought CUT_BYTES."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cuts = 0
        self.large_bytes = 0  # brought by connections that brought more than 100 kB
        self.tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.close()
            return
        self.spawn(self.pass_on(there, writer, limit=None))
        await self.pass_on(reader, back, limit=CUT_BYTES)
        writer.close()

    def spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        passed = 0
        try:
            while data := await reader.read(1 << 16):
                passed += len(data)
                if limit is not None and passed >= limit and not self.cuts:
                    self.cuts += 1
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            if limit is not None and passed > 100_000:
                self.large_bytes += passed
            writer.close()


def test_a_connection_that_breaks_does_not_begin_a_snapshot_again(tmp_path: Path) -> None:
    async def main() -> None:
        ports = free_ports(3)
        proxy = Proxy(ports[2])
        addresses = {id_: ("127.0.0.1", port) for id_, port in enumerate(ports, start=1)}
        proxied = {**addresses, 3: ("127.0.0.1", await proxy.start())}

        async def start(id_: int) -> Replicated[Counts]:
            (tmp_path / str(id_)).mkdir(exist_ok=True)
            config = NodeConfig(
                id_, (1, 2, 3), snapshot_entries=20, tick=0.05, lease=0.2, clock_drift=0.05, snapshot_rate=8 << 20
            )
            return await replicate(
                Counts, id_, addresses if id_ == 3 else proxied, str(tmp_path / str(id_)), config=config
            )

        nodes = {id_: await start(id_) for id_ in (1, 2)}
        leader = nodes[await nodes[1].wait_leader()]
        session = await leader.open_session()
        await session.call(Counts.fill, LINES)
        for _ in range(60):
            await session.call(Counts.add, "n")
        await until(lambda: leader._log.first_index() >= 20)
        behind = nodes[3] = await start(3)
        await until(lambda: behind.machine.applied == leader.machine.applied)
        await behind.fresh(FOLLOWER)
        assert behind.look(Counts.get, "n") == 60
        assert behind.look(Counts.get, f"line-{LINES - 1}") == LINES - 1
        assert behind.machine.digest() == leader.machine.digest()
        for node in nodes.values():
            await node.stop()
        proxy.server.close()
        assert proxy.cuts == 1
        size = LINES * LINE_BYTES
        assert size < proxy.large_bytes < 1.5 * size

    asyncio.run(asyncio.wait_for(main(), 60))
