"""The `grpc-timeout` field: at most eight digits and a unit. Source: grpc/grpc doc/PROTOCOL-HTTP2.md, "Timeout"."""

from __future__ import annotations

import re
from math import ceil
from typing import Final

__all__ = ["decode_timeout", "encode_timeout"]

_FORM: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNIT_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_DIGITS_MAX: Final = 99_999_999


def encode_timeout(seconds: float) -> bytes:
    """The finest unit that fits eight digits, rounded up. What is past is `1n`: expired on arrival."""
    if seconds <= 0:
        return b"1n"
    for unit, unit_s in ((b"u", 1e-6), (b"m", 1e-3), (b"S", 1.0), (b"M", 60.0)):
        value = ceil(seconds / unit_s - 1e-9)
        if value <= _DIGITS_MAX:
            return b"%d%s" % (value, unit)
    return b"%dH" % min(ceil(seconds / 3600.0), _DIGITS_MAX)


def decode_timeout(value: bytes) -> float:
    """Seconds. Raises ValueError when `value` has another form."""
    match = _FORM.fullmatch(value)
    if match is None:
        raise ValueError(f"grpc-timeout {value[:20]!r} is not up to eight digits and one of HMSmun")
    return int(match[1]) * _UNIT_S[match[2]]
