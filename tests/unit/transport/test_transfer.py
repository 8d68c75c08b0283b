"""Snapshots between nodes: streams with a bound, resumed where they broke, with one report each."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.messages import MsgHeartbeat, MsgSnap
from raftly.errors import DecodeError, DiskFull, LimitExceeded, TransferFailed
from raftly.transport.codec import encode_messages
from raftly.transport.events import SnapshotReported
from raftly.transport.frame import FRAME_BEGIN, FRAME_CHUNK, FRAME_TAKEN, HEADER_BYTES, encode_frame
from raftly.transport.handshake import Identity, Purpose, make_hello
from raftly.transport.options import TcpOptions
from raftly.transport.taking import IncomingSnapshot
from raftly.transport.transfer import Begin, Incoming, decode_begin, decode_chunk, decode_taken, encode_chunk
from tests.unit.transport.nodes import Node, close, pair
from tests.unit.transport.test_tcp import stranger
from tests.unit.transport.virtual import VirtualLoop, run

META = SnapshotMeta(100, 3, ConfState((1, 2, 3)))
BARE = MsgSnap(2, 1, 4, Snapshot(META, b"manifest"))
OPTIONS = TcpOptions(chunk_bytes=1000, window_bytes=4000)


def snap(data: bytes, to: int = 2, from_: int = 1) -> MsgSnap:
    return MsgSnap(to, from_, 4, Snapshot(META, data))


class Source:
    """A snapshot of so many bytes that counts what was read of it."""

    def __init__(self, size: int, *, id_: bytes = b"snap-1", fails_at: int = -1) -> None:
        self.id = id_
        self.size = size
        self.fails_at = fails_at
        self.read: list[tuple[int, int]] = []
        self.data = bytes(n % 251 for n in range(size))

    async def chunks(self, offset: int, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
        while offset < self.size:
            if offset == self.fails_at:
                raise OSError("the file is gone")
            chunk = self.data[offset : offset + chunk_bytes]
            self.read.append((offset, len(chunk)))
            yield chunk
            offset += len(chunk)


class Keeper:
    """Keeps what came, by id, and goes on from there."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.messages: list[MsgSnap] = []
        self.starts: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.failures: list[str] = []
        self.unread_max = 0

    async def take(self, incoming: Incoming) -> None:
        id_ = incoming.begin.id
        assert isinstance(incoming, IncomingSnapshot)
        start = len(self.kept.setdefault(id_, b""))
        self.starts.append(start)
        try:
            async for chunk in incoming.chunks(start):
                await self.gate.wait()
                self.unread_max = max(self.unread_max, sum(map(len, incoming._chunks)) + len(chunk))
                self.kept[id_] += chunk
        except TransferFailed as error:
            self.failures.append(str(error))
            raise
        self.messages.append(incoming.begin.message)


async def keeper_pair(options: TcpOptions = OPTIONS) -> tuple[Node, Node, Keeper]:
    keeper = Keeper()
    two = await Node(2, 4002, {1: 4001}, options=options, take_snapshot=keeper.take).start()
    one = await Node(1, 4001, {2: 4002}, options=options).start()
    return one, two, keeper


# --- inline ---


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 4000, 123_457])
def test_a_snapshot_message_arrives_whole_and_is_reported(size: int) -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair(options=OPTIONS)
        message = snap(bytes(n % 256 for n in range(size)))
        one.transport.send(2, [(5, [MsgHeartbeat(2, 1, 4), message])])
        await one.until(lambda n: n.told(SnapshotReported))
        assert one.told(SnapshotReported) == [SnapshotReported(2, 5, "")]
        assert [(group, got) for _, group, got in two.received] == [(5, MsgHeartbeat(2, 1, 4)), (5, message)]
        assert (one.transport.stats.snapshots_sent, two.transport.stats.snapshots_taken) == (1, 1)
        await asyncio.sleep(0.1)
        assert len([wire for wire, _ in loop.wires if not wire.lost]) == 2  # its connection is closed again
        await close(one, two)

    run(main)


def test_a_snapshot_to_nobody_is_reported_as_failed_after_some_attempts() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {2: 4002}).start()
        one.transport.send(2, [(5, [snap(b"x")])])
        one.transport.send(3, [(6, [snap(b"x")])])
        await one.until(lambda n: len(n.told(SnapshotReported)) == 2)
        by_group = {event.group: event.problem for event in one.told(SnapshotReported)}
        assert "nobody listens" in by_group[5]
        assert "address is not known" in by_group[6]
        assert one.transport.stats.snapshots_failed == 2
        await close(one)

    run(main)


def test_snapshots_wait_for_each_other_and_only_so_many_do() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two = await pair(options=TcpOptions(transfers_max=3))
        for group in range(5):
            one.transport.send(2, [(group, [snap(b"%d" % group)])])
        await one.until(lambda n: len(n.told(SnapshotReported)) == 5)
        failed = {event.group for event in one.told(SnapshotReported) if event.problem}
        assert failed == {3, 4}
        assert [group for _, group, _ in two.received] == [0, 1, 2]
        await close(one, two)

    run(main)


def test_closing_reports_what_was_under_way() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two = await pair()
        one.transport.send(2, [(5, [snap(bytes(1000))])])
        await close(one)
        assert [event.problem for event in one.told(SnapshotReported)] == ["this node stops"]
        one.transport.send(2, [(6, [snap(bytes(1000))])])
        await asyncio.sleep(1)
        assert [event.group for event in one.told(SnapshotReported)] == [5, 6]
        await close(two)

    run(main)


def test_before_the_start_a_snapshot_is_reported_at_once() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one = Node(1, 4001, {2: 4002})
        one.transport.send(2, [(5, [snap(b"x")])])
        assert one.told(SnapshotReported)[0].problem
        with pytest.raises(TransferFailed):
            await one.transport.send_snapshot(2, 1, BARE, Source(1))

    run(main)


# --- streams ---


def test_a_stream_arrives_chunk_by_chunk_with_its_message() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two, keeper = await keeper_pair()
        source = Source(10_500)
        await one.transport.send_snapshot(2, 5, BARE, source)
        assert keeper.kept == {b"snap-1": source.data}
        assert keeper.messages == [BARE]
        assert [size for _, size in source.read] == [1000] * 10 + [500]
        assert two.received == []  # handing it on is the keeper's
        await close(one, two)

    run(main)


def test_a_taker_that_stops_reading_stops_the_source() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two, keeper = await keeper_pair()
        keeper.gate.clear()
        source = Source(100_000)
        sending = asyncio.create_task(one.transport.send_snapshot(2, 5, BARE, source))
        await asyncio.sleep(20)  # pings keep passing, so nobody is taken for dead
        assert len(source.read) <= 5
        keeper.gate.set()
        await sending
        assert keeper.kept[b"snap-1"] == source.data
        assert 3000 <= keeper.unread_max <= 4000
        await close(one, two)

    run(main)


def test_a_taker_that_never_goes_on_fails_the_transfer_in_the_end() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two, keeper = await keeper_pair()
        keeper.gate.clear()
        began = loop.time()
        with pytest.raises(TransferFailed):
            await one.transport.send_snapshot(2, 5, BARE, Source(100_000))
        assert 90 < loop.time() - began < 95  # three attempts of 30 s
        keeper.gate.set()
        await asyncio.sleep(1)
        await close(one, two)

    run(main)


def test_a_taker_that_has_all_of_it_may_work_on_it_for_as_long_as_it_likes() -> None:
    async def main(loop: VirtualLoop) -> None:
        keeper = Keeper()

        async def take(incoming: Incoming) -> None:
            await keeper.take(incoming)
            await asyncio.sleep(200)

        two = await Node(2, 4002, {1: 4001}, options=OPTIONS, take_snapshot=take).start()
        one = await Node(1, 4001, {2: 4002}, options=OPTIONS).start()
        began = loop.time()
        await one.transport.send_snapshot(2, 5, BARE, Source(10_000))
        assert 200 <= loop.time() - began < 201
        assert keeper.starts == [0]
        await close(one, two)

    run(main)


def test_a_transfer_goes_on_where_its_connection_broke() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two, keeper = await keeper_pair()
        source = Source(500_000)
        sending = asyncio.create_task(one.transport.send_snapshot(2, 5, BARE, source))
        breaks = 0
        while not sending.done():
            await asyncio.sleep(0.02)
            live = [here for here, _ in loop.wires if here.port == 4002 and not here.lost]
            if len(live) == 2 and breaks < 6:  # more often than attempts without progress are allowed
                live[1].abort()
                breaks += 1
        await sending
        assert breaks == 6
        assert keeper.kept == {b"snap-1": source.data}
        assert len(keeper.starts) == 7
        assert keeper.starts == sorted(keeper.starts)
        assert keeper.starts[-1] > 0
        read = sum(size for _, size in source.read)
        assert read <= 500_000 + 6 * (OPTIONS.window_bytes + OPTIONS.chunk_bytes)
        assert len(keeper.failures) == 6
        await close(one, two)

    run(main)


def test_without_the_feature_a_transfer_starts_over() -> None:
    async def main(loop: VirtualLoop) -> None:
        seen: list[bool] = []

        async def take(incoming: Incoming) -> None:
            seen.append(incoming.resumable)

        one = await Node(1, 4001, {}, take_snapshot=take).start()
        for features in (0, 1):
            wire, _, _ = await stranger(loop, 4001)
            wire.write(make_hello(Identity(7, 9, 99, features), 1, Purpose.SNAPSHOT).encode())
            await asyncio.sleep(0.01)
            wire.write(Begin(1, 5, inline=False, id=b"", message=snap(b"", 1, 9)).encode())
            await asyncio.sleep(0.01)
        assert seen == [False, True]
        await close(one)

    run(main)


def test_what_either_end_says_of_its_failure_reaches_the_caller() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two, keeper = await keeper_pair()
        with pytest.raises(OSError, match="gone"):
            await Source(10, fails_at=0).chunks(0, 5).__anext__()
        with pytest.raises(TransferFailed, match="the file is gone"):
            await one.transport.send_snapshot(2, 5, BARE, Source(50_000, fails_at=3000))

        async def full(_incoming: Incoming) -> None:
            raise DiskFull("no space left for a snapshot")

        assert two.transport._receiver is not None
        two.transport._receiver.taker = full
        with pytest.raises(TransferFailed, match="no space left"):
            await one.transport.send_snapshot(2, 5, BARE, Source(10))
        two.transport._receiver.taker = None
        with pytest.raises(TransferFailed, match="takes no streamed"):
            await one.transport.send_snapshot(2, 5, BARE, Source(10))
        two.transport._receiver.taker = keeper.take
        with pytest.raises(TransferFailed, match="10 bytes, not 11"):
            await one.transport.send_snapshot(2, 5, BARE, _Short())
        await close(one, two)

    run(main)


class _Short:
    id = b"short"
    size = 11

    async def chunks(self, offset: int, chunk_bytes: int) -> AsyncGenerator[bytes, None]:
        yield bytes(10)


def test_a_taker_that_has_it_already_need_not_read() -> None:
    async def main(_loop: VirtualLoop) -> None:
        async def have(_incoming: Incoming) -> None:
            return

        two = await Node(2, 4002, {}, take_snapshot=have).start()
        one = await Node(1, 4001, {2: 4002}).start()
        source = Source(50_000)
        await one.transport.send_snapshot(2, 5, BARE, source)
        assert source.read == []
        await close(one, two)

    run(main)


def test_a_refused_identity_ends_a_transfer_at_once() -> None:
    async def main(_loop: VirtualLoop) -> None:
        two = await Node(2, 4002, {}, cluster_id=8).start()
        one = await Node(1, 4001, {2: 4002}).start()
        with pytest.raises(TransferFailed, match="cluster 8"):
            await one.transport.send_snapshot(2, 5, BARE, Source(10))
        await close(one, two)

    run(main)


def test_a_head_has_bounds() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two, _ = await keeper_pair()
        with pytest.raises(LimitExceeded):
            await one.transport.send_snapshot(2, 5, snap(bytes(1 << 20)), Source(10))
        with pytest.raises(LimitExceeded):
            await one.transport.send_snapshot(2, 5, BARE, Source(10, id_=bytes(65)))
        await close(one, two)

    run(main)


# --- hostile ---

BEGIN = Begin(1, 5000, inline=False, id=b"i", message=snap(b"", 1, 9)).encode()


@pytest.mark.parametrize(
    "frames",
    [
        [encode_chunk(0, b"x")],
        [BEGIN, BEGIN],
        [BEGIN, encode_chunk(1, b"x")],
        [BEGIN, encode_chunk(0, bytes(5001))],
        [BEGIN, encode_chunk(0, bytes(3000)), encode_chunk(3000, bytes(1500))],
        [BEGIN, encode_chunk(0, b"x"), encode_chunk(0, b"x")],
        [BEGIN, encode_frame(FRAME_CHUNK, bytes(8))],
        [BEGIN, encode_frame(FRAME_TAKEN, bytes(12))],
        [Begin(1, 5000, inline=False, id=b"i", message=snap(b"", 1, 8)).encode()],
        [encode_frame(FRAME_BEGIN, bytes(5))],
        [struct.pack("<2sBBII", b"rf", 1, FRAME_CHUNK, 2 << 20, 0)],
    ],
    ids=range(11),
)
def test_a_sender_that_breaks_the_rules_is_cut(frames: list[bytes]) -> None:
    async def main(loop: VirtualLoop) -> None:
        keeper = Keeper()
        keeper.gate.clear()
        one = await Node(1, 4001, {}, options=OPTIONS, take_snapshot=keeper.take).start()
        wire, _, gone = await stranger(loop, 4001)
        wire.write(make_hello(Identity(7, 9, 99), 1, Purpose.SNAPSHOT).encode())
        await asyncio.sleep(0.01)
        for frame in frames:
            wire.write(frame)
            await asyncio.sleep(0.01)
        await gone.wait()
        assert one.transport.stats.garbage == 1
        keeper.gate.set()
        await asyncio.sleep(0.1)
        assert keeper.messages == []
        await close(one)

    run(main)


def test_an_inline_snapshot_that_is_too_large_is_refused_before_it_comes() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        wire, heard, _ = await stranger(loop, 4001)
        wire.write(make_hello(Identity(7, 9, 99), 1, Purpose.SNAPSHOT).encode())
        await asyncio.sleep(0.01)
        wire.write(Begin(1, 1 << 40, inline=True, id=b"", message=snap(b"", 1, 9)).encode())
        await asyncio.sleep(0.01)
        assert b"over the limit" in b"".join(heard)
        await close(one)

    run(main)


def test_a_new_snapshot_of_a_node_ends_its_old_one() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        ends = []
        for _ in range(2):
            wire, _, gone = await stranger(loop, 4001)
            wire.write(make_hello(Identity(7, 9, 99), 1, Purpose.SNAPSHOT).encode())
            await asyncio.sleep(0.01)
            ends.append(gone.is_set)
        assert [end() for end in ends] == [True, False]
        await close(one)

    run(main)


# --- bytes ---


def test_heads_and_answers_are_what_was_written() -> None:
    begin = Begin(1 << 60, 1 << 50, inline=True, id=b"identity", message=BARE)
    frame = begin.encode()
    assert decode_begin(frame, HEADER_BYTES, len(frame)) == begin
    for stop in range(HEADER_BYTES, len(frame)):
        with pytest.raises(DecodeError):
            decode_begin(frame, HEADER_BYTES, stop)
    chunk = encode_chunk(77, b"abc")
    assert decode_chunk(chunk, HEADER_BYTES, len(chunk)) == (77, b"abc")
    with pytest.raises(DecodeError):
        decode_taken(bytes(12), 0, 12)
    with pytest.raises(DecodeError):
        decode_taken(bytes(11), 0, 11)


def test_a_head_with_something_else_in_it_is_refused() -> None:
    head = struct.pack("<QQBB", 1, 2, 0, 0)
    for rest in (b"", encode_messages([MsgHeartbeat(1, 2, 3)]), encode_messages([BARE, BARE])):
        with pytest.raises(DecodeError):
            decode_begin(head + rest, 0, len(head + rest))
    odd = struct.pack("<QQBB", 1, 2, 2, 0) + encode_messages([BARE])
    with pytest.raises(DecodeError, match="flags"):
        decode_begin(odd, 0, len(odd))
