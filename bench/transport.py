"""CPU of a frame between two nodes: what one turn of the loop costs the sender and the receiver.

    python bench/transport.py [--loop uvloop]

Each line: a frame of n messages. `encode` and `decode` are the pure part (messages to a frame, and back); `both ways`
is two TcpTransports in one process on loopback, a frame there and an answer of as many acknowledgements back, all CPU
of both nodes, system calls and event loop included, divided by two frames; `at once` the same with
`write_at_once`. `floor` is two bare asyncio protocols that
exchange as many bytes and look at none. Best of five: noise only ever adds.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable
from typing import cast

from raftly.base.record import record_of
from raftly.base.types import Entry
from raftly.core.messages import Message, MsgApp, MsgAppResp
from raftly.transport.codec import encode_messages
from raftly.transport.frame import FrameReader
from raftly.transport.groups import decode_groups
from raftly.transport.options import TcpOptions
from raftly.transport.send_queue import SendQueue
from raftly.transport.tcp import TcpTransport

Batch = list[tuple[int, list[Message]]]
FRAMES = 1500


def appends(count: int, groups: int) -> Batch:
    """Appends of one entry of 128 bytes, as a leader sends them; records are made already."""
    batch: Batch = []
    for group in range(groups):
        messages: list[Message] = []
        for index in range(count // groups):
            entry = Entry(3, index + 1, data=bytes(128))
            record_of(entry)
            messages.append(MsgApp(2, 1, 3, 3, index, [entry], index))
        batch.append((group, messages))
    return batch


def answers(count: int, groups: int) -> Batch:
    """As many acknowledgements."""
    return [(g, [MsgAppResp(1, 2, 3, index) for index in range(count // groups)]) for g in range(groups)]


def best(work: Callable[[], None], rounds: int = 1000) -> float:
    """Microseconds of CPU a call."""
    least = float("inf")
    for _ in range(5):
        start = time.process_time()
        for _ in range(rounds):
            work()
        least = min(least, (time.process_time() - start) / rounds * 1e6)
    return least


def pure(batch: Batch) -> tuple[float, float]:
    """(encode, decode): from messages to the bytes of a frame, and back."""
    queue = SendQueue(1 << 20)

    def encode() -> bytes:
        for group, messages in batch:
            queue.push(group, encode_messages(messages))
        return queue.take()

    frame = encode()
    reader = FrameReader(1 << 20)

    def decode() -> None:
        buf, frames = reader.feed(frame)
        for _, start, stop in frames:
            decode_groups(buf, start, stop)

    return best(lambda: void(encode())), best(decode)


def void(_value: object) -> None:
    """Drop a value."""


async def both_ways(there: Batch, back: Batch, options: TcpOptions) -> float:
    """Microseconds of CPU a frame, of both nodes together."""
    one = TcpTransport(7, 1, ("127.0.0.1", 0), {}, options)
    two = TcpTransport(7, 2, ("127.0.0.1", 0), {}, options)
    done = asyncio.Event()
    left = 0

    def at_two(_from: int, _batch: Batch) -> None:
        two.send(1, back)

    def at_one(_from: int, _batch: Batch) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            one.send(2, there)
        else:
            done.set()

    await one.start(at_one, void)
    await two.start(at_two, void)
    one.set_address(2, two.address)
    two.set_address(1, one.address)
    while not (one.incoming() and two.incoming()):  # noqa: ASYNC110 - simplest
        await asyncio.sleep(0.01)
    least = float("inf")
    for _ in range(5):
        left = FRAMES
        done.clear()
        start = time.process_time()
        one.send(2, there)
        await done.wait()
        least = min(least, (time.process_time() - start) / (2 * FRAMES) * 1e6)
    await one.close()
    await two.close()
    return least


async def floor(there: int, back: int) -> float:
    """Microseconds of CPU a write of so many bytes and its answer, of both ends together, divided by two."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    left = 0

    class End(asyncio.Protocol):
        """Waits for so many bytes, then writes as many as its other end waits for."""

        def __init__(self, take: int, give: int) -> None:
            self.take = take
            self.give = bytes(give)
            self.have = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.Transport", transport)

        def data_received(self, data: bytes) -> None:
            nonlocal left
            self.have += len(data)
            if self.have >= self.take:
                self.have = 0
                left -= 1
                if left > 0:
                    self.transport.write(self.give)
                else:
                    done.set()

    server = await loop.create_server(lambda: End(there, back), "127.0.0.1", 0)
    _, dialer = await loop.create_connection(lambda: End(back, there), *server.sockets[0].getsockname())
    least = float("inf")
    for _ in range(5):
        left = 2 * FRAMES
        done.clear()
        start = time.process_time()
        dialer.transport.write(dialer.give)
        await done.wait()
        least = min(least, (time.process_time() - start) / (2 * FRAMES) * 1e6)
    dialer.transport.close()
    server.close()
    return least


def size_of(batch: Batch) -> int:
    """Bytes of the frame."""
    queue = SendQueue(1 << 20)
    for group, messages in batch:
        queue.push(group, encode_messages(messages))
    return len(queue.take())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="CPU of a frame between two nodes")
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    factory = None
    if parser.parse_args().loop == "uvloop":
        import uvloop  # noqa: PLC0415 - only when asked for

        factory = uvloop.new_event_loop
    print(f"{'us of CPU a frame':>34} {'encode':>8} {'decode':>8} {'both ways':>10} {'at once':>8} {'floor':>8}")
    for count, groups in ((1, 1), (16, 1), (16, 16), (64, 1)):
        there, back = appends(count, groups), answers(count, groups)
        encode, decode = pure(there)
        encode_back, decode_back = pure(back)
        with asyncio.Runner(loop_factory=factory) as runner:
            wire = runner.run(both_ways(there, back, TcpOptions()))
            at_once = runner.run(both_ways(there, back, TcpOptions(write_at_once=True)))
            least = runner.run(floor(size_of(there), size_of(back)))
        print(f"{count:>3} MsgApp of 128 bytes, {groups:>2} groups {encode:>8.2f} {decode:>8.2f}")
        figures = f"{encode_back:>8.2f} {decode_back:>8.2f} {wire:>10.2f} {at_once:>8.2f} {least:>8.2f}"
        print(f"{count:>3} MsgAppResp,           {groups:>2} groups {figures}", flush=True)


if __name__ == "__main__":
    main()
