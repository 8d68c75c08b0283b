"""Bounds on what raftly takes, wherever it comes from."""

from __future__ import annotations

from typing import Final

TERM_MAX: Final = (1 << 62) - 1  # terms and indexes beyond are damage or malice: no group lives to see them
PAYLOAD_BYTES_MAX: Final = 64 << 20  # payload and context of one entry together
FRAME_BYTES_MAX: Final = 128 << 20  # one encoded message, or one batch of them
