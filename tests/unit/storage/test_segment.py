"""The bytes of a segment: torn tails are cut, damage is refused with its offset, nothing is invented."""

import itertools
import random

import pytest

from raftly.errors import Corruption
from raftly.storage.segment import (
    HEADER_BYTES,
    RESERVE_BYTES,
    SECTOR_BYTES,
    Batch,
    SegmentHeader,
    batch_bytes,
    decode_header,
    encode_batch,
    scan,
    zeros_from,
)

HEADER = SegmentHeader(0xC1, 3, 7, 100)
PATH = "wal/00000007.seg"


def build(payloads: list[bytes], size: int = 16384) -> tuple[bytes, list[int]]:
    """A segment with these batches, and where each of them ends."""
    data = bytearray(HEADER.encode())
    ends = []
    for position, payload in enumerate(payloads):
        data += encode_batch(HEADER.first_sequence + position, payload, len(data))
        ends.append(len(data))
    assert len(data) + RESERVE_BYTES <= size
    return bytes(data.ljust(size, b"\0")), ends


def read(data: bytes, *, last: bool = True) -> list[bytes]:
    found: list[Batch] = []
    end = scan(PATH, data, HEADER.first_sequence, found.append, last=last)
    assert end == (found[-1].end if found else HEADER_BYTES)
    assert [batch.sequence for batch in found] == list(range(100, 100 + len(found)))
    return [batch.payload for batch in found]


def test_batches_are_read_as_they_were_written() -> None:
    payloads = [b"a", b"bb" * 400, bytes(700) + b"x", bytes(range(256)) * 5]
    data, ends = build(payloads)
    assert read(data) == read(data, last=False) == payloads
    assert all(end % 32 == 0 for end in ends)
    assert ends[0] - HEADER_BYTES == batch_bytes(1) == 64
    assert batch_bytes(24) == 64
    assert batch_bytes(25) == 96


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 8192, 12_345])
def test_where_the_zeros_at_the_end_begin(size: int) -> None:
    places = [place for edge in (0, 4096, 8192, size) for place in range(edge - 2, edge + 2)]
    for last, start in itertools.product([-1, *places], [0, *places]):
        if last < size and 0 <= start <= size:
            data = bytes(last) + b"\1" + bytes(size - last - 1) if last >= 0 else bytes(size)
            assert zeros_from(data, start) == start + len(data[start:].rstrip(b"\0"))


def test_the_header_is_read_and_every_flipped_bit_of_it_refused() -> None:
    data, _ = build([b"x"])
    assert decode_header(PATH, data) == HEADER
    for at, bit in itertools.product(range(HEADER_BYTES), range(8)):
        broken = bytearray(data)
        broken[at] ^= 1 << bit
        with pytest.raises(Corruption) as caught:
            decode_header(PATH, bytes(broken))
        assert caught.value.path == PATH
    with pytest.raises(Corruption, match="ends inside its header"):
        decode_header(PATH, data[:63])
    newer = bytearray(HEADER.encode())
    newer[8] = 2
    with pytest.raises(Corruption, match="checksum"):
        decode_header(PATH, bytes(newer))


def outcome(data: bytes) -> list[bytes] | Corruption:
    try:
        return read(data)
    except Corruption as error:
        return error


# All that a flipped bit could pretend: sectors with one byte, with none, short tails, tails of one byte.
PAYLOADS = [
    b"first",
    b"x" * 300 + bytes(SECTOR_BYTES * 2) + b"\x01" + bytes(SECTOR_BYTES) + b"\x80",
    bytes(1500),
    b"\x01",
    b"last" * 100 + bytes(600) + b"\x04" + bytes(511 + 512) + b"\x10\x20\x40" + bytes(600),
]


def test_every_flipped_bit_is_refused_or_loses_nothing() -> None:
    data, ends = build(PAYLOADS, ends_size(PAYLOADS))
    refused = 0
    for at in range(HEADER_BYTES, len(data)):
        for mask in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            broken = bytearray(data)
            broken[at] ^= mask
            found = outcome(bytes(broken))
            if isinstance(found, Corruption):
                refused += 1
                assert found.path == PATH
                assert HEADER_BYTES <= found.offset <= at
            else:
                assert found == PAYLOADS, f"byte {at} ^ {mask}"
    assert refused >= (ends[-1] - HEADER_BYTES) * 9


def ends_size(payloads: list[bytes]) -> int:
    return HEADER_BYTES + sum(batch_bytes(len(payload)) for payload in payloads) + RESERVE_BYTES


def test_every_cleared_byte_is_refused_or_loses_nothing() -> None:
    data, _ = build(PAYLOADS, ends_size(PAYLOADS))
    for at in range(HEADER_BYTES, len(data)):
        broken = bytearray(data)
        broken[at] = 0
        found = outcome(bytes(broken))
        assert found == PAYLOADS or (isinstance(found, Corruption) and broken != data), at


def test_cut_at_every_byte_is_refused_or_loses_nothing() -> None:
    data, ends = build(PAYLOADS, ends_size(PAYLOADS) + 700)
    for size in range(len(data)):
        cut = data[:size]
        try:
            decode_header(PATH, cut)
            assert read(cut) == PAYLOADS, size
            assert size >= ends[-1] + RESERVE_BYTES
        except Corruption:
            assert size < ends[-1] + RESERVE_BYTES


def torn_versions(data: bytes, start: int, end: int) -> list[bytes]:
    """Every subset of the sectors of [start, end) that did not reach the disk."""
    edges = [start, *range(-(-(start + 1) // SECTOR_BYTES) * SECTOR_BYTES, end, SECTOR_BYTES), end]
    pieces = list(itertools.pairwise(edges))
    versions = []
    for lost in itertools.product((False, True), repeat=len(pieces)):
        torn = bytearray(data)
        for (lo, hi), gone in zip(pieces, lost, strict=True):
            if gone:
                torn[lo:hi] = bytes(hi - lo)
        versions.append(bytes(torn))
    return versions


@pytest.mark.parametrize(
    "payload",
    [
        b"short",
        bytes(range(1, 256)) * 10,
        bytes(3000),
        b"x" + bytes(2000) + b"y" * 900,
        random.Random(1).randbytes(2600),
        b"\0" * 600 + b"abcd" + b"\0" * 1500,
    ],
    ids=["short", "dense", "zeros", "holes", "random", "sparse"],
)
@pytest.mark.parametrize("before", [[], [b"b" * 413], [b"b" * 1000, b"c" * 77]], ids=["first", "second", "third"])
def test_every_torn_subset_of_the_last_batch_is_cut(before: list[bytes], payload: bytes) -> None:
    data, ends = build([*before, payload])
    start = ends[-2] if before else HEADER_BYTES
    for torn in torn_versions(data, start, ends[-1]):
        assert read(torn) == ([*before, payload] if torn == data else before)


def test_only_nearly_empty_sectors_missing_cannot_be_told_from_damage_and_is_refused() -> None:
    payload = b"x" * 1000 + bytes(3000) + b"\x01" + bytes(3000) + b"y" * 100
    data, ends = build([b"before", payload])
    at = data.index(b"\x01", 2000)
    torn = bytearray(data)
    torn[at] = 0
    with pytest.raises(Corruption, match="nearly empty"):
        read(bytes(torn))
    torn[ends[1] - 60 : ends[1]] = bytes(60)  # the end is missing too: no flipped bit did that
    torn[ends[1] - (ends[1] % SECTOR_BYTES) : ends[1]] = bytes(ends[1] % SECTOR_BYTES)
    assert read(bytes(torn)) == [b"before"]


def test_a_header_that_is_gone_without_the_rest_of_its_sector_is_damage() -> None:
    data, ends = build([b"before", b"x" * 700])
    broken = data[: ends[0]] + bytes(32) + data[ends[0] + 32 :]
    with pytest.raises(Corruption, match="the rest of its sector is not"):
        read(broken)


def test_a_torn_batch_before_others_is_damage() -> None:
    data, ends = build([b"a" * 700, b"b" * 700, b"c" * 700])
    for torn in torn_versions(data, HEADER_BYTES, ends[0]) + torn_versions(data, ends[0], ends[1]):
        if torn != data:
            with pytest.raises(Corruption):
                read(torn)


def test_a_torn_batch_is_damage_when_later_segments_follow() -> None:
    data, ends = build([b"a" * 700, b"b" * 1700])
    for torn in torn_versions(data, ends[0], ends[1]):
        if torn == data or not torn[ends[0] :].strip(b"\0"):
            assert read(torn, last=False)[:1] == [b"a" * 700]
        else:
            with pytest.raises(Corruption):
                read(torn, last=False)


def test_garbage_behind_the_log_is_refused_or_ignored() -> None:
    data, ends = build([b"a" * 100])
    source = random.Random(3)
    for _ in range(300):
        at = source.randrange(ends[0], len(data) - 40)
        garbage = data[:at] + source.randbytes(40) + data[at + 40 :]
        found = outcome(garbage)
        assert found == [b"a" * 100] or (isinstance(found, Corruption) and found.offset == ends[0])


def test_bytes_that_look_like_a_batch_inside_a_payload_do_no_harm() -> None:
    inner = encode_batch(101, b"not a batch of this log", 0)
    data, ends = build([b"p" * 416 + inner * 3])
    assert read(data) == [b"p" * 416 + inner * 3]
    assert ends[0] > SECTOR_BYTES
    assert read(data[:SECTOR_BYTES].ljust(len(data), b"\0")) == []
