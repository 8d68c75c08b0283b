"""RocksDB's complaints, which come as text, as the errors they are."""

from __future__ import annotations

import re
from typing import Final

from raftly.errors import Corruption, DirectoryInUse, DiskFull, StorageError

_PLACE: Final = re.compile(r" in (\S+\.(?:sst|log|blob)) offset ([0-9]+)")
_IN_USE: Final = ("lock hold by current process", "While lock file")
_FULL: Final = ("No space left on device", "Disk quota exceeded", "Out of space", "Space limit reached")
_DAMAGED: Final = ("Corruption:", "checksum mismatch")


def storage_error(error: Exception, path: str) -> StorageError:
    """What an exception of the binding means; `path` is the engine's directory."""
    text = str(error)
    if type(error).__name__ == "DbClosedError":
        return StorageError("the engine is closed")
    if any(mark in text for mark in _IN_USE):
        return DirectoryInUse(f"{path} is in use: another process, or another engine in this one, works there")
    if any(mark in text for mark in _FULL):
        return DiskFull(f"cannot write {path}: no space left on the disk")
    if any(mark in text for mark in _DAMAGED):
        place = _PLACE.search(text)
        return Corruption(place[1] if place else path, int(place[2]) if place else 0, text)
    return StorageError(f"RocksDB in {path}: {text}")
