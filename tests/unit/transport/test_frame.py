"""The envelope of what peers send."""

import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.errors import DecodeError, LimitExceeded
from raftly.transport.frame import FRAME_MESSAGES, HEADER_BYTES, FrameReader, decode_frame, encode_frame, join_frame
from tests.unit.transport.strategies import outcome

kinds = st.integers(0, 255)


@given(st.binary(max_size=99), kinds, st.binary(max_size=99), st.binary(max_size=99))
def test_a_frame_is_found_where_it_starts(before: bytes, kind: int, body: bytes, after: bytes) -> None:
    buf = before + encode_frame(kind, body) + after
    found = decode_frame(buf, len(before), len(buf))
    assert found is not None
    assert (found[0], buf[found[1] : found[2]]) == (kind, body)
    assert found[2] == len(before) + HEADER_BYTES + len(body)


@given(kinds, st.binary(max_size=40))
def test_a_frame_that_is_not_all_there_is_waited_for(kind: int, body: bytes) -> None:
    frame = encode_frame(kind, body)
    for stop in range(len(frame)):
        assert decode_frame(frame[:stop], 0, stop) is None
        assert decode_frame(frame, 0, stop) is None


@given(kinds, st.binary(max_size=40))
def test_every_flipped_bit_is_noticed(kind: int, body: bytes) -> None:
    frame = encode_frame(kind, body)
    for bit in range(len(frame) * 8):
        damaged = bytearray(frame)
        damaged[bit // 8] ^= 1 << bit % 8
        found = outcome(lambda data: decode_frame(data, 0, len(data)), bytes(damaged))
        if not isinstance(found, DecodeError):  # a larger size waits for more; what then comes does not match
            assert found is None
            assert bit // 8 in {4, 5, 6, 7}


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"GET / HTTP/1", "does not speak this protocol"),
        (struct.pack("<2sBBII", b"rf", 2, 1, 0, 0), "version 2 is unknown"),
        (struct.pack("<2sBBII", b"rf", 1, 1, FRAME_BYTES_MAX + 1, 0), "over the limit"),
        (struct.pack("<2sBBII", b"rf", 1, 1, 0, 0), "checksum"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused_at_once(header: bytes, problem: str) -> None:
    with pytest.raises(DecodeError, match=problem):
        decode_frame(header, 0, len(header))


def test_the_largest_body_goes_and_one_byte_more_does_not() -> None:
    body = bytes(FRAME_BYTES_MAX)
    frame = encode_frame(FRAME_MESSAGES, body)
    assert decode_frame(frame, 0, len(frame)) == (FRAME_MESSAGES, HEADER_BYTES, len(frame))
    with pytest.raises(LimitExceeded):
        encode_frame(FRAME_MESSAGES, body + b"x")


@given(kinds, st.lists(st.binary(max_size=20), max_size=5))
def test_a_frame_of_parts_is_the_frame_of_them_joined(kind: int, parts: list[bytes]) -> None:
    assert join_frame(kind, parts) == encode_frame(kind, b"".join(parts))


@given(st.lists(st.tuples(kinds, st.binary(max_size=60)), max_size=8), st.data())
def test_a_stream_cut_anywhere_gives_the_frames_that_were_sent(
    sent: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encode_frame(kind, body) for kind, body in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader = FrameReader(60)
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buf, frames = reader.feed(stream[start:stop])
        found += [(kind, buf[begin:end]) for kind, begin, end in frames]
    assert found == sent
    assert reader.completed == len(sent)
    assert not reader.waiting


def test_a_reader_refuses_what_is_over_its_limit_before_it_comes() -> None:
    reader = FrameReader(10)
    reader.feed(encode_frame(1, bytes(10)))
    reader.feed(encode_frame(1, bytes(11))[: HEADER_BYTES - 1])
    assert reader.waiting
    with pytest.raises(DecodeError, match="limit of 10"):
        reader.feed(b"\0")


def test_a_frame_in_tiny_pieces_takes_no_more_memory_than_its_bytes() -> None:
    reader = FrameReader(1 << 20)
    frame = encode_frame(1, bytes(100_000))
    for at in range(0, len(frame) - 2, 2):
        assert reader.feed(frame[at : at + 2])[1] == []
    assert sys.getsizeof(reader._held) < 1.3 * len(frame)
    assert len(reader.feed(frame[-2:])[1]) == 1
