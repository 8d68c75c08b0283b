"""What a node puts into entries and snapshots, kept as it was (docs/formats-node.md, docs/formats-storage.md).

Entries and values are of version 1, the state of a replica is of version 2. A change of these bytes is a new version.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest

from raftly.base.types import Entry
from raftly.errors import DecodeError
from raftly.node import commands
from raftly.node.commands import (
    call_payload,
    check_payload,
    clock_payload,
    close_payload,
    command,
    methods_of,
    open_payload,
)
from raftly.node.digests import digest_of
from raftly.node.machine import StateMachine
from raftly.node.values import Record, decode_raw, encode_value


class Full(Exception):
    pass


class Shelf:
    errors = (Full,)
    books: list[str]

    def __init__(self) -> None:
        self.books = []

    @command
    def put(self, book: str) -> int:
        if len(self.books) == 1:
            raise Full(book)
        self.books.append(book)
        return len(self.books)


class Streamed(Shelf):
    def snapshot(self) -> Iterator[bytes]:
        yield "\n".join(self.books).encode()

    async def restore(self, chunks: AsyncIterator[bytes]) -> None:
        self.books = [chunk.decode() async for chunk in chunks]


class Telling(Streamed):
    def state_digest(self) -> int:
        return -7


@dataclass
class Pair:
    left: int
    right: str


CALL = "0100 03 707574 08 01 05 01 61"  # schema, size of the name, name; a tuple of one str
ENTRIES = [
    (
        call_payload(1, 2, 3, 4, methods_of(Shelf)["put"].encode(("a",), {})),
        "01 01 0100000000000000 0200000000000000 0300000000000000 0400000000000000" + CALL,
    ),
    (open_payload(1, 60_000_000, 9), "01 02 0100000000000000 0087930300000000 0900000000000000"),
    (close_payload(1, 2), "01 03 0100000000000000 0200000000000000"),
    (clock_payload(1), "01 04 0100000000000000"),
    (check_payload(), "01 05 0000000000000000"),
    (
        commands.testimony_payload(commands.Testimony(5, 2, 0xAABBCCDD, leads=True)),
        "01 06 0000000000000000 0500000000000000 0200000000000000 ddccbbaa 01",
    ),
]

# The whole state of a replica: the size of the head, the head, the fields.
HEAD = (
    "08 06"  # a tuple of six
    "03 01 02"  # version 2
    "03 01 00"  # own: the fields of the instance
    "03 01 03"  # applied
    "03 02 e803"  # log time: 1,000
    "07 01 08 05"  # one session, a tuple of five:
    "03 01 01 03 04 00879303 03 02 e803 03 01 01"  # id, time to live, log time of its last call, done below
    "07 02"  # its replies: number, class of the exception, result or arguments
    "08 03 03 01 01 05 00 03 01 01"
    "08 03 03 01 02 05 04 46756c6c 08 01 05 01 62"
    "07 01 08 03 03 01 01 05 01 68 03 02 a10f"  # members: (1, "h", 4001)
)
FIELDS = "09 01 05 05 626f6f6b73 07 01 05 01 61"  # {"books": ["a"]}
OWN_HEAD = HEAD.replace("03 01 0003 01 03", "03 01 0103 01 03")  # own: what the class gave


def state_of(cls: Callable[[], Shelf]) -> StateMachine[Shelf]:
    """A session, a result, an exception, a member."""
    machine = StateMachine(cls)
    machine.members[1] = ("h", 4001)
    put = methods_of(Shelf)["put"]
    machine.apply(Entry(1, 1, data=open_payload(1_000, 60_000_000, 9)))
    machine.apply(Entry(1, 2, data=call_payload(1_000, 1, 1, 1, put.encode(("a",), {}))))
    machine.apply(Entry(1, 3, data=call_payload(1_000, 1, 2, 1, put.encode(("b",), {}))))
    return machine


def stream(head: str, rest: bytes) -> bytes:
    data = bytes.fromhex(head)
    return len(data).to_bytes(4, "little") + data + rest


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize(("payload", "written"), ENTRIES, ids=[written[:5] for _, written in ENTRIES])
def test_an_entry(payload: bytes, written: str) -> None:
    assert payload == bytes.fromhex(written)


def test_values() -> None:
    written = "07 04 0c 02 05 04 6c656674 03 01 05 05 05 7269676874 05 01 72 0b 01 01 03 02 8000 06 8101" + "00" * 129
    value = [Pair(5, "r"), frozenset([False]), 128, bytes(129)]
    assert encode_value(value) == bytes.fromhex(written)
    (pair, *rest) = decode_raw(bytes.fromhex(written))
    assert isinstance(pair, Record)
    assert (pair.fields, rest) == ({"left": 5, "right": "r"}, value[1:])


def test_the_state_of_a_replica() -> None:
    written = stream(HEAD, bytes.fromhex(FIELDS))
    machine = state_of(Shelf)
    assert b"".join(machine.stream()) == written
    restored = StateMachine(Shelf)
    restored.adopt(asyncio.run(restored.codec.read(pieces(written))))
    assert (restored.instance.books, b"".join(restored.stream())) == (["a"], written)


def test_the_state_of_a_replica_whose_class_writes_its_own() -> None:
    assert b"".join(state_of(Streamed).stream()) == stream(OWN_HEAD, b"a")


def test_the_state_that_version_1_wrote_is_refused() -> None:
    written = stream(HEAD.replace("03 01 02", "03 01 01", 1), bytes.fromhex(FIELDS))
    with pytest.raises(DecodeError, match="its head is of version 1, this release knows 2"):
        asyncio.run(StateMachine(Shelf).codec.read(pieces(written)))


def test_what_replicas_compare() -> None:
    """CRC-32, which two releases must make alike."""
    assert digest_of(state_of(Shelf)) == 0x23CB3FD7
    assert digest_of(state_of(Streamed)) == 0xC6E4506A
    assert digest_of(state_of(Telling)) == 0x2D37F922
