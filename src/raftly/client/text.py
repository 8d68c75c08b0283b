"""Keys and values as people read and type them: text, or 0x and hex digits. What is written can be typed again."""

from __future__ import annotations

__all__ = ["shown_key", "typed_key"]


def shown_key(key: bytes, empty: str = "") -> str:
    """A key as text where it is text, else as 0x and hex digits."""
    if not key:
        return empty
    text = key.decode("utf-8", "replace")
    return text if text.isprintable() and text.encode() == key and not text.startswith("0x") else f"0x{key.hex()}"


def typed_key(text: str) -> bytes:
    """What somebody typed; raises ValueError, with a sentence, for 0x and something else than hex digits behind it."""
    if not text.startswith("0x"):
        return text.encode("utf-8", "surrogateescape")  # an argument may be bytes that are no text
    try:
        return bytes.fromhex(text[2:])
    except ValueError:
        raise ValueError(f"{text!r} begins with 0x but is not hex digits, two for each byte") from None
