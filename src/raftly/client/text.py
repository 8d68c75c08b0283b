"""Keys and values as people read and type them."""

from __future__ import annotations

__all__ = ["shown_key"]


def shown_key(key: bytes, empty: str = "") -> str:
    """A key as text where it is text, else as 0x and hex digits."""
    if not key:
        return empty
    text = key.decode("utf-8", "replace")
    return text if text.isprintable() and text.encode() == key and not text.startswith("0x") else f"0x{key.hex()}"
