"""SyncMark: the sequence number up to which RocksDB was synced, in a file beside its own.

RocksDB reads its log up to the first record that does not match: an end that was never synced may look like anything.
A record that was synced and is damaged since looks the same, and all behind it would be gone without a word. With the
mark, it is told: what comes back must reach as far as what was synced.

    SYNCED    0  8s  "raftlySQ"   8  u64 sequence number   16  u32 CRC-32 of bytes 0-15        little-endian

Written in place after each sync, and not synced itself: an older mark, or none, only claims less.
"""

from __future__ import annotations

from pathlib import Path
from struct import Struct
from typing import Final, final
from zlib import crc32

_MAGIC: Final = b"raftlySQ"
_BODY: Final = Struct("<8sQ")
_CRC: Final = Struct("<I")


@final
class SyncMark:
    """The mark in an engine's directory. Raises OSError as files do."""

    __slots__ = ("_path",)

    def __init__(self, directory: str) -> None:
        self._path = Path(directory) / "SYNCED"

    def read(self) -> int:
        """The sequence number; 0 when there is none, or none that can be read."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        body, crc = content[: _BODY.size], content[_BODY.size :]
        if len(body) < _BODY.size or crc != _CRC.pack(crc32(body)):
            return 0
        magic, sequence = _BODY.unpack(body)
        return int(sequence) if magic == _MAGIC else 0

    def write(self, sequence: int) -> None:
        """All up to this one is durable."""
        body = _BODY.pack(_MAGIC, sequence)
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(body + _CRC.pack(crc32(body)))
