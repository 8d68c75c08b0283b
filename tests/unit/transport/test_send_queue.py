"""The queue to one peer, beside a plain list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from raftly.base.types import Entry
from raftly.core.messages import Message, MsgApp, MsgHeartbeat, MsgTimeoutNow
from raftly.transport.codec import encode_messages
from raftly.transport.frame import FRAME_GROUPS, FrameReader, decode_frame
from raftly.transport.groups import decode_groups
from raftly.transport.send_queue import FRAME_BYTES_TARGET, SendQueue

groups = st.integers(0, (1 << 64) - 1)
messages = st.sampled_from([MsgHeartbeat(1, 2, 3), MsgTimeoutNow(1, 2, 3), MsgApp(1, 2, 3, 4, 5, [Entry(1, 1)], 6)])


def read(frame: bytes) -> list[tuple[int, list[Message]]]:
    found = decode_frame(frame, 0, len(frame))
    assert found is not None
    kind, start, stop = found
    assert (kind, stop) == (FRAME_GROUPS, len(frame))
    return decode_groups(frame, start, stop)


@given(st.lists(st.tuples(groups, st.lists(messages, max_size=4)), min_size=1, max_size=9))
def test_what_goes_in_comes_out_in_one_frame(batch: list[tuple[int, list[Message]]]) -> None:
    queue = SendQueue(1 << 20)
    for group, of_group in batch:
        assert queue.push(group, encode_messages(of_group))
    assert read(queue.take()) == batch
    assert not queue
    assert queue.cost == 0
    assert queue.take() == b""


@given(st.lists(st.integers(1, 700_000), min_size=1, max_size=12))
def test_large_frames_are_divided_and_nothing_is_lost_or_moved(sizes: list[int]) -> None:
    queue = SendQueue(1 << 30)
    batches = [bytes((number,)) * size for number, size in enumerate(sizes)]
    for number, batch in enumerate(batches):
        queue.push(number, batch)
    out: list[bytes] = []
    reader = FrameReader(1 << 30)
    while queue:
        frame = queue.take()
        buf, found = reader.feed(frame)
        assert len(found) == 1
        _, start, stop = found[0]
        before = len(out)
        while start < stop:
            size = int.from_bytes(buf[start + 8 : start + 12], "little")
            out.append(buf[start + 12 : start + 12 + size])
            start += 12 + size
        assert len(frame) < FRAME_BYTES_TARGET + 100_000 or len(out) == before + 1
    assert out == batches
    assert queue.cost == 0


def test_the_bound_holds_the_newest_is_refused_and_one_always_has_room() -> None:
    queue = SendQueue(1000)
    assert queue.push(1, bytes(5000))
    assert not queue.push(2, b"x")
    queue.take()
    taken = 0
    while queue.push(3, b"x" * 10):
        taken += 1
        assert queue.cost <= 1000
    assert taken == 4
    assert queue.clear() == 4
    assert not queue
    assert queue.push(3, b"x")
