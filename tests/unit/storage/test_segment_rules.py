"""A batch is read only where it belongs: its checksums are right in any place."""

import pytest

from raftly.errors import Corruption
from raftly.storage.segment import HEADER_BYTES, RESERVE_BYTES, Batch, encode_batch, scan


@pytest.mark.parametrize("sequences", [(5,), (1, 3), (1, 1), (1, 2, 2)])
def test_a_batch_that_is_not_the_next_one_is_refused(sequences: tuple[int, ...]) -> None:
    data = bytes(HEADER_BYTES)
    for sequence in sequences:
        data += encode_batch(sequence, b"payload", len(data))
    found: list[Batch] = []
    with pytest.raises(Corruption, match=f"batch {sequences[-1]} stands where batch {len(sequences)} belongs"):
        scan("wal/00000001.seg", data + bytes(2 * RESERVE_BYTES), 1, found.append, last=True)
    assert [batch.sequence for batch in found] == list(sequences[:-1])
