"""Values with an expiry: the layout, and when a value is gone."""

import pytest

from raftly.errors import DecodeError
from raftly.server import ttl


def test_the_layout_is_the_value_and_eight_bytes() -> None:
    assert ttl.encode(b"v", 0) == b"v" + bytes(8)
    assert ttl.encode(b"", 258) == b"\x00\x00\x00\x00\x00\x00\x01\x02"


@pytest.mark.parametrize("now_s,found", [(99, (b"v", 1)), (100, None), (101, None)])
def test_a_value_is_gone_at_its_second(now_s: int, found: tuple[bytes, int] | None) -> None:
    assert ttl.split(ttl.encode(b"v", 100), now_s) == found


def test_without_an_expiry_it_stays() -> None:
    assert ttl.split(ttl.encode(b"v", 0), 1 << 40) == (b"v", 0)


def test_expiry_is_counted_from_now_and_fits() -> None:
    assert ttl.expires_at(0, 50) == 0
    assert ttl.expires_at(7, 50) == 57
    assert ttl.split(ttl.encode(b"v", ttl.expires_at((1 << 64) - 1, 50)), 50) == (b"v", (1 << 64) - 1 - 50)


@pytest.mark.parametrize("stored", [b"", bytes(7)])
def test_what_has_no_room_for_an_expiry_is_refused(stored: bytes) -> None:
    with pytest.raises(DecodeError):
        ttl.split(stored, 0)
