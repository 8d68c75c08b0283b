"""A counter on three machines: each process adds one, exactly once, whoever leads. Kill one, start it again.

    python examples/counter.py 1 data/1    python examples/counter.py 2 data/2    python examples/counter.py 3 data/3

Ports other than 4001, 4002 and 4003 may follow.
"""

import asyncio
import sys

from raftly.node import command, replicate, serve


class Counter:
    """What is replicated."""

    value: int = 0

    @command
    def add(self, amount: int) -> int:
        """Add to the counter; what it is now."""
        self.value += amount
        return self.value


async def main(me: int, directory: str, *ports: str) -> None:
    """Add one, say what the counter is, and go on serving."""
    addresses = {id_: ("127.0.0.1", int(port)) for id_, port in enumerate(ports or ("4001", "4002", "4003"), 1)}
    node = await replicate(Counter, me, addresses, directory)
    session = await node.open_session()
    print(f"node {me}: the counter is {await session.call(Counter.add, 1)}", flush=True)
    await serve(node)


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
