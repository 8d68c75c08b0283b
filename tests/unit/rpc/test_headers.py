"""Header blocks: the cache never changes what a block means, and what we encode any decoder reads."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from raftly.rpc.h2.errors import ConnectionFault
from raftly.rpc.h2.headers import BlockDecoder, HeaderBlock, Shape, encode_block

names = st.sampled_from([b":path", b"content-type", b"te", b"grpc-timeout", b"x-a", b"x-b", b"user-agent"])
values = st.sampled_from([b"", b"/a", b"/a/b", b"application/grpc", b"trailers", b"1S", b"v" * 300, b"\xff"])
lists = st.lists(st.tuples(names, values), max_size=6)


@given(st.lists(st.tuples(lists, st.sampled_from(["index", "never", "resize"])), min_size=1, max_size=30))
def test_cached_blocks_mean_what_a_plain_decoder_says(blocks: list[tuple[list[tuple[bytes, bytes]], str]]) -> None:
    """Repeats, table changes, evictions and resizes between them."""
    encoder, plain, cached = Encoder(), Decoder(), BlockDecoder(65_536)
    for fields, how in blocks:
        if how == "resize":
            encoder.header_table_size = 200 if encoder.header_table_size > 200 else 4096
        encoded = encoder.encode([(name, value, how == "never") for name, value in fields])
        for _ in range(2):  # the second is often a repeat, sometimes another meaning of the same bytes
            try:
                expected = [(bytes(name), bytes(value)) for name, value in plain.decode(encoded, raw=True)]
            except HPACKError:
                with pytest.raises(ConnectionFault):
                    cached.decode(encoded)
                return
            assert cached.decode(encoded).fields == expected


def test_the_same_bytes_mean_something_else_after_the_table_changed() -> None:
    cached = BlockDecoder(65_536)
    cached.decode(b"\x40\x01a\x01b")  # the table: a=b
    assert cached.decode(b"\xbe").fields == [(b"a", b"b")]
    assert cached.decode(b"\xbe").fields == [(b"a", b"b")]
    cached.decode(b"\x40\x01c\x01d")  # the table: c=d, a=b
    assert cached.decode(b"\xbe").fields == [(b"c", b"d")]


def test_a_repeat_is_one_look_up() -> None:
    cached = BlockDecoder(65_536)
    encoded = encode_block([(b":status", b"200"), (b"grpc-status", b"0")]).block
    assert cached.decode(encoded) is cached.decode(encoded)


@given(lists)
def test_what_we_encode_a_plain_decoder_reads_without_a_table(fields: list[tuple[bytes, bytes]]) -> None:
    decoder = Decoder()
    assert list(decoder.decode(encode_block(fields).block, raw=True)) == fields
    assert not decoder.header_table.dynamic_entries


def test_list_size_is_that_of_the_rfc() -> None:
    assert HeaderBlock([(b"ab", b"cde"), (b"f", b"")]).list_bytes == (5 + 32) + (1 + 32)
    assert encode_block([(b"ab", b"cde"), (b"f", b"")]).list_bytes == 70


def test_shapes() -> None:
    request = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/")]
    assert HeaderBlock(request).shape is Shape.REQUEST
    assert HeaderBlock([(b":method", b"CONNECT"), (b":authority", b"h:1")]).shape is Shape.REQUEST
    assert HeaderBlock([(b":status", b"200")]).shape is Shape.RESPONSE
    assert HeaderBlock([(b"grpc-status", b"0")]).shape is Shape.TRAILERS
    assert HeaderBlock([]).shape is Shape.TRAILERS
    for wrong in (
        [*request, (b":path", b"/")],
        [(b":status", b"2x0")],
        [(b"", b"x")],
        [(b"a b", b"x")],
        [(b"a", b"\0")],
    ):
        malformed = HeaderBlock(wrong)
        assert malformed.shape is Shape.MALFORMED
        assert malformed.problem
