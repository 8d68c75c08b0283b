"""A member of the placement driver as a whole: where it is said to be, and how it leaves."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from raftly.client.pd import PdClient
from raftly.server.config import PdConfig
from raftly.server.pd_main import GRACE_S, PdOptions, PdServer
from raftly.server.pd_wiring import pd_options
from raftly.testing.processes import free_ports
from raftly.transport.options import TcpOptions


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


def test_a_member_may_listen_on_every_interface_when_members_say_where_it_is() -> None:
    config = PdConfig(id=2, peer_address="0.0.0.0:2380", members={"1": "a:2380", "2": "b:2381"})
    options = pd_options(config)
    assert (options.peer_listen, options.peer_address) == (("0.0.0.0", 2380), ("b", 2381))


def test_what_is_told_of_a_member_is_a_url_that_leads_to_it(tmp_path: Path) -> None:
    async def main() -> None:
        made = PdOptions(directory=str(tmp_path), listen=("127.0.0.1", 0), advertise="[fd00::1]:2379")
        peers = replace(made, peer_listen=("127.0.0.1", 0), peer_advertise=("fd00::1", 2380))
        pd = await PdServer.start(replace(peers, tcp=TcpOptions(allow_plaintext=True)))
        try:
            while (row := pd.member.state.members.get(1)) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        finally:
            await pd.stop()
        assert (row.client_urls, row.peer_urls) == (["http://[fd00::1]:2379"], ["http://[fd00::1]:2380"])

    asyncio.run(main())
