"""A testimony that was offered twice counts once."""

from tests.unit.node.test_digests import started


def test_a_testimony_that_comes_twice_counts_once() -> None:
    log = started(7, 7, 8)
    differs = list(log.differs)
    testimonies = [entry.data for entry in log.entries if entry.data][1:]
    assert len(testimonies) == 2
    for payload in testimonies:
        log.append(payload)
    log.apply()
    assert log.differs == differs
    assert not log.stopped
