"""gRPC as it is in production, between simulated hosts: calls, what a reset and a crash do to them, the same again."""

import asyncio

from raftly.rpc import Channel, RpcError, Server
from raftly.rpc.health import HEALTH_CHECK, HEALTH_WATCH, Health, HealthRequest, Serving
from raftly.testing.sim import Host, World

PORT = 2379
RESET, CRASH = "reset", "crash"


async def serve(host: Host) -> None:
    """Begin to; who asks is told within some time that the health changed."""
    health = Health()
    await Server([health.service()]).start(host.address, PORT)
    asyncio.get_running_loop().call_later(0.5, health.set, "", Serving.NOT_SERVING)


async def watch(channel: Channel) -> list[int]:
    """What a watcher hears until the connection ends."""
    heard: list[int] = []
    try:
        async for answer in channel.unary_stream(HEALTH_WATCH, HealthRequest()):
            heard.append(answer.status)  # noqa: PERF401 - it ends with an error
    except RpcError as error:
        assert error.maybe_processed  # noqa: PT017 - the loop above may end without
    return heard


def play(seed: int, trouble: str) -> str:
    """Calls from one host to another, with a trouble in their midst; the digest of it."""
    world = World(seed)
    server, client = world.host("server"), world.host("client")

    async def ask() -> None:
        async with Channel(server.name, PORT, rng=world.stream("channel")) as channel:
            watching = asyncio.get_running_loop().create_task(watch(channel))
            for _ in range(20):
                answer = await channel.unary(HEALTH_CHECK, HealthRequest(), timeout_s=1.0)
                assert answer.status == Serving.SERVING
            assert await watching == [Serving.SERVING, Serving.NOT_SERVING]
            answer = await channel.unary(HEALTH_CHECK, HealthRequest(), timeout_s=5.0, wait_for_ready=True)
            assert answer.status == (Serving.SERVING if trouble == CRASH else Serving.NOT_SERVING)

    async def script() -> None:
        server.start()
        client.start()
        await server.run(serve(server))
        asked = client.run(ask())
        await asyncio.sleep(1.0)
        if trouble == RESET:
            assert world.net.reset(client, server) == 1
        else:
            server.kill(power=False)
            await asyncio.sleep(0.1)
            server.start()
            await server.run(serve(server))
        await asked

    world.run(script(), within=20.0)
    world.close()
    return world.trace.digest()


def test_calls_go_on_after_a_reset() -> None:
    play(1, RESET)


def test_calls_go_on_after_the_server_has_crashed() -> None:
    play(1, CRASH)


def test_the_same_seed_gives_the_same_run() -> None:
    assert play(2, CRASH) == play(2, CRASH)
    assert play(2, CRASH) != play(3, CRASH)
