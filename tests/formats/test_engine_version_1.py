"""What version 1 of the log of the engine in memory wrote, kept as it was."""

from raftly.engine import CF_DEFAULT, CF_RAFT, CF_WRITE, MemoryEngine, WriteBatch
from raftly.testing.memfs import MemFs


def engine_with_both(fs: MemFs) -> MemoryEngine:
    engine = MemoryEngine(fs)
    batch = WriteBatch()
    batch.put(CF_DEFAULT, b"zd", b"one")
    batch.put(CF_WRITE, b"ze", b"")
    engine.write(batch)
    return engine


MEMORY_LOG = (
    "726166746c794d4501000000f0ff95361b0000002375a6c6000002000000030000007a646f6e65000202000000000000"
    "007a6517000000053cbe65010002000000000000007a640203010000000000000061"
)


def test_the_log_of_the_engine_in_memory_is_written_as_then_and_read() -> None:
    fs = MemFs()
    engine = engine_with_both(fs)
    batch = WriteBatch()
    batch.delete(CF_DEFAULT, b"zd")
    batch.delete_range(CF_RAFT, b"a", b"")
    engine.write(batch)
    (path,) = fs.paths()
    assert fs.content(path).hex() == MEMORY_LOG
    old = MemFs()
    old.put("engine/00000001.log", bytes.fromhex(MEMORY_LOG))
    read = MemoryEngine(old)
    assert (read.get(CF_DEFAULT, b"zd"), read.get(CF_WRITE, b"ze")) == (None, b"")
