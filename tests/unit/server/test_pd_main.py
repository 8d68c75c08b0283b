"""A member of the placement driver as a whole: how it leaves."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from raftly.client.pd import PdClient
from raftly.server.pd_main import GRACE_S, PdOptions, PdServer
from raftly.testing.processes import free_ports


def test_a_leader_that_stops_hands_over_before_its_port_is_closed(tmp_path: Path) -> None:
    """Although a stream of timestamps, as every client has, keeps that port's connections for a while."""

    async def main() -> None:
        members = {id_: ("127.0.0.1", port) for id_, port in enumerate(free_ports(3), 1)}
        async with asyncio.timeout(60.0), AsyncExitStack() as stack:
            pds: dict[int, PdServer] = {}
            for id_, address in members.items():
                made = PdOptions(
                    id=id_,
                    directory=str(tmp_path / str(id_)),
                    listen=("127.0.0.1", 0),
                    peer_listen=address,
                    members=members,
                )
                pds[id_] = await PdServer.start(made)
                stack.push_async_callback(pds[id_].stop)
            client, idle = (PdClient([pd.address for pd in pds.values()], timeout_s=30.0) for _ in range(2))
            stack.push_async_callback(client.close)
            stack.push_async_callback(idle.close)
            await idle.timestamp()
            stamps = [await client.timestamp()]
            leader = (await client.members()).leader.id
            loop, waits, is_over = asyncio.get_running_loop(), [0.0], asyncio.Event()

            async def ask() -> None:
                while not is_over.is_set():
                    begun = loop.time()
                    await client.is_bootstrapped()
                    stamps.append(await client.timestamp())
                    waits.append(loop.time() - begun)
                    await asyncio.sleep(0.01)

            asking = asyncio.ensure_future(ask())
            await pds[leader].stop()
            is_over.set()
            await asking
            assert stamps == sorted(set(stamps))
            assert (await client.members()).leader.id != leader
            assert max(waits) < 0.75 * GRACE_S

    asyncio.run(main())
