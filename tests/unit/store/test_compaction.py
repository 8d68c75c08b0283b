"""Where a log is cut."""

import pytest

from raftly.store.compaction import cut_at
from raftly.store.options import StoreOptions

OPTIONS = StoreOptions(log_entries_max=100, log_bytes_max=1000, log_entries_keep=10)


@pytest.mark.parametrize(
    "begin,applied,log_bytes,slowest,wanted",
    [
        (5, 20, 0, 20, 20),  # everybody has all
        (5, 20, 0, 15, 15),  # up to what the slowest has
        (5, 20, 0, 14, None),  # too few to be worth it
        (5, 20, 0, 30, 20),  # never what is not applied
        (5, 90, 0, None, None),  # a follower does not know who needs what
        (5, 105, 0, 5, None),  # as many as may be
        (5, 106, 0, 5, 56),  # one more: half of what may be stays
        (5, 106, 0, None, 56),
        (5, 25, 1001, 5, 15),  # too large
    ],
)
def test_cuts(begin: int, applied: int, log_bytes: int, slowest: int | None, wanted: int | None) -> None:
    assert cut_at(OPTIONS, begin, applied, log_bytes, slowest) == wanted
