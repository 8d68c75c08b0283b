"""A snapshot is taken in only when it is whole, the one that was announced, and the only one."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Snapshot, SnapshotMeta
from raftly.core.messages import MsgSnap
from raftly.errors import DecodeError, OutcomeUnknown, TransferFailed
from raftly.node import Replicated
from raftly.node.group import Proposal
from raftly.storage.snapshot import SnapshotReader
from raftly.transport.transfer import Begin
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run

MEMBERS = ConfState((1, 2, 3, 4))


class Offer:
    """See `Incoming`: bytes of a file, as many as the test gives, when it lets them go."""

    def __init__(self, from_: int, term: int, meta: SnapshotMeta, header: bytes, data: bytes) -> None:
        message = MsgSnap(4, from_, term, Snapshot(meta, header))
        self.from_ = from_
        self.begin = Begin(1, len(data), inline=False, id=b"x", message=message)
        self.resumable = True
        self.go_on = asyncio.Event()
        self.go_on.set()
        self._data = data

    async def chunks(self, offset: int = 0) -> AsyncGenerator[bytes, None]:
        await self.go_on.wait()
        if offset < len(self._data):
            yield self._data[offset:]


class Made:
    """A snapshot that node 1 has made, and the node that is offered it: one that joins, and knows nothing."""

    def __init__(self, leader: Replicated[Register], taker: Replicated[Register]) -> None:
        self.files = leader._snapshots._files
        self.machine = leader.machine
        self.term = leader._group.raw.raft.term
        self.taker = taker
        self.take = taker._snapshots._taker.take

    async def make(self, index: int) -> SnapshotReader:
        """A file that says it is at `index`, whatever the state is."""
        meta = SnapshotMeta(index, self.term, MEMBERS)
        writer = self.files.create(meta)
        for piece in self.machine.stream():
            await writer.write(piece)
        await writer.commit()
        return self.files.open(index)

    def offer(self, reader: SnapshotReader, *, from_: int = 1, as_index: int = 0, part: float = 1.0) -> Offer:
        meta = reader.header.meta
        if as_index:
            meta = SnapshotMeta(as_index, meta.term, meta.conf_state)
        data = reader.read(0, int(reader.size * part))
        return Offer(from_, self.term, meta, reader.header_bytes, data)

    def kept(self) -> list[int]:
        return [name.index for name in self.taker._snapshots._files.names()]


async def prepare(nodes: Nodes) -> Made:
    leader = await nodes.leader()
    for number in range(5):
        await leader.call(Register.set, f"{number}", number)
    return Made(leader, await nodes.start(4))


def test_a_whole_file_is_taken_in() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            made = await prepare(nodes)
            await made.take(made.offer(await made.make(made.machine.applied)))
            assert made.taker.machine.digest() == made.machine.digest()
            assert made.taker.status().conf_state == MEMBERS

    run(main())


def test_who_waits_for_an_entry_that_the_snapshot_covers_is_told_that_nobody_knows() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            made = await prepare(nodes)
            future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            made.taker._waiting.place(2, [Proposal(b"", future, 1e9)])
            await made.take(made.offer(await made.make(made.machine.applied)))
            with pytest.raises(OutcomeUnknown):
                await asyncio.wait_for(future, 1)

    run(main())


def test_a_part_of_a_file_is_not() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            made = await prepare(nodes)
            reader = await made.make(made.machine.applied)
            with pytest.raises(DecodeError, match="ends before its end"):
                await made.take(made.offer(reader, part=0.9))
            assert (made.kept(), made.taker.machine.applied) == ([], 0)
            await made.take(made.offer(reader))
            assert made.kept() == [made.machine.applied]

    run(main())


def test_a_file_that_is_not_the_one_that_was_announced_is_not() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            made = await prepare(nodes)
            reader = await made.make(made.machine.applied)
            with pytest.raises(DecodeError, match="not the one that was announced"):
                await made.take(made.offer(reader, as_index=made.machine.applied + 3))
            assert (made.kept(), made.taker.machine.applied) == ([], 0)

    run(main())


def test_a_file_with_the_state_of_another_index_is_not() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            made = await prepare(nodes)
            reader = await made.make(made.machine.applied + 1)
            with pytest.raises(TransferFailed, match="holds a state at"):
                await made.take(made.offer(reader))
            assert made.taker.machine.applied == 0
            assert made.taker._group.raw.raft.log.last_index == 0

    run(main())


def test_while_one_is_taken_in_another_node_is_sent_away() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            made = await prepare(nodes)
            reader = await made.make(made.machine.applied)
            first = made.offer(reader)
            first.go_on.clear()
            taking = asyncio.ensure_future(made.take(first))
            await asyncio.sleep(0.01)
            with pytest.raises(TransferFailed, match="from another node"):
                await made.take(made.offer(reader, from_=2))
            first.go_on.set()
            await taking
            assert made.taker.machine.applied == made.machine.applied

    run(main())
