"""The parts of gRPC that are values: messages, timeouts, metadata, heads and trailers, statuses."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.errors import ConfigError, Retry
from raftly.rpc.grpc.heads import (
    RequestHead,
    outcome_of,
    request_block,
    response_block,
    response_encoding,
    trailers_block,
    trailers_only,
)
from raftly.rpc.grpc.message import MessageReader, decompress, frame_message
from raftly.rpc.grpc.metadata import decode_metadata, encode_metadata
from raftly.rpc.grpc.status import RpcError, StatusCode, status_of_http, status_of_reset
from raftly.rpc.grpc.timeout import decode_timeout, encode_timeout
from raftly.rpc.h2.frames import ErrorCode
from raftly.rpc.h2.headers import BlockDecoder, Field, HeaderBlock, OutBlock

MIB = 1 << 20


def decoded(block: OutBlock) -> HeaderBlock:
    return BlockDecoder(65_536).decode(block.block)


# --- messages --------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.binary(max_size=200), st.booleans()), max_size=8), st.integers(1, 50))
def test_messages_come_out_as_they_went_in_however_cut(messages: list[tuple[bytes, bool]], step: int) -> None:
    stream = b"".join(frame_message(payload, compressed=compressed) for payload, compressed in messages)
    reader = MessageReader(1000, b"gzip")
    out = []
    for at in range(0, len(stream), step):
        reader.feed(stream[at : at + step])
        while reader.ready:
            out.append(reader.take())
    assert out == [payload for payload, _ in messages]
    assert reader.buffered_bytes == 0


@given(
    st.lists(st.binary(max_size=20), max_size=8),
    st.sampled_from([b"\0\0\0\0\xff", b"\x02\0\0\0\x01", b"\x01\0\0\0\x01"]),
    st.binary(max_size=20),
    st.integers(1, 50),
    st.booleans(),
)
def test_messages_before_a_wrong_one_come_out_however_cut(
    messages: list[bytes], wrong: bytes, rest: bytes, step: int, eager: bool
) -> None:
    stream = b"".join(frame_message(payload) for payload in messages) + wrong + rest
    reader = MessageReader(100, b"")
    out = []

    def take() -> None:
        while reader.ready:
            out.append(reader.take())

    def read() -> None:
        for at in range(0, len(stream), step):
            reader.feed(stream[at : at + step])
            if eager:
                take()
        take()

    with pytest.raises(RpcError) as caught:
        read()
    assert out == messages
    if reader.ready:  # then it says so again
        with pytest.raises(RpcError) as again:
            reader.take()
        assert again.value is caught.value


def test_message_at_the_limit_and_past_it() -> None:
    reader = MessageReader(100, b"")
    reader.feed(frame_message(bytes(100)))
    assert reader.take() == bytes(100)
    with pytest.raises(RpcError, match="101 bytes, the limit is 100") as caught:
        reader.feed(frame_message(bytes(101))[:5])  # before any of it is there
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED


def test_length_of_four_gigabytes_allocates_nothing() -> None:
    with pytest.raises(RpcError, match="4294967295"):
        MessageReader(MIB, b"").feed(b"\0\xff\xff\xff\xff")


@pytest.mark.parametrize("flag", [2, 0x80, 0xFF])
def test_flags_that_do_not_exist(flag: int) -> None:
    with pytest.raises(RpcError, match="flag"):
        MessageReader(MIB, b"gzip").feed(bytes((flag, 0, 0, 0, 0)))


def test_compressed_message_without_an_encoding() -> None:
    with pytest.raises(RpcError, match="without a message encoding"):
        MessageReader(MIB, b"identity").feed(frame_message(b"x", compressed=True))


def test_bomb_is_cut_at_the_limit() -> None:
    """A kilobyte or so that would be a gibibyte (hostile input 9)."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(64)) + packer.flush()
    assert len(bomb) < 70_000
    with pytest.raises(RpcError, match="decompresses to more") as caught:
        decompress(bomb, 4 * MIB)
    assert caught.value.status is StatusCode.RESOURCE_EXHAUSTED
    assert decompress(gzip.compress(bytes(100)), 100) == bytes(100)
    with pytest.raises(RpcError, match="decompresses to more"):
        decompress(gzip.compress(bytes(101)), 100)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b"x" + b, lambda _: b""])
def test_damaged_compression_is_an_error(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(RpcError) as caught:
        decompress(damage(gzip.compress(b"hello")), 100)
    assert caught.value.status is StatusCode.INTERNAL


# --- timeouts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "wire"),
    [
        (1.0, b"1000000u"),
        (0.0, b"1n"),
        (-5.0, b"1n"),
        (99.999999, b"99999999u"),
        (100.0, b"100000m"),
        (1e6, b"1000000S"),
    ],
)
def test_timeout_forms(seconds: float, wire: bytes) -> None:
    assert encode_timeout(seconds) == wire


@given(st.floats(1e-6, 1e9))
def test_timeout_is_never_shortened_and_hardly_lengthened(seconds: float) -> None:
    wire = encode_timeout(seconds)
    assert len(wire) <= 9
    assert seconds * (1 - 1e-9) <= decode_timeout(wire) <= seconds * 1.001 + 1e-6


@pytest.mark.parametrize(
    "wire", [b"", b"1", b"S", b"123456789S", b"-1S", b"1.5S", b"1s", b" 1S", b"1S ", "１S".encode()]
)
def test_timeouts_that_are_none(wire: bytes) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        decode_timeout(wire)


# --- metadata --------------------------------------------------------------------------------------------------------

texts = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20).map(lambda text: text.strip(" "))
pairs = st.one_of(
    st.tuples(st.sampled_from(["a", "x-y", "k.z_9"]), texts),
    st.tuples(st.sampled_from(["a-bin", "x-bin"]), st.binary(max_size=20)),
)


@given(st.lists(pairs, max_size=6))
def test_metadata_there_and_back(metadata: list[tuple[str, str | bytes]]) -> None:
    assert decode_metadata(encode_metadata(metadata)) == tuple(metadata)


@pytest.mark.parametrize(
    "pair",
    [
        ("A", "x"),
        ("", "x"),
        (":path", "x"),
        ("grpc-status", "0"),
        ("te", "x"),
        ("a", "ü"),
        ("a", "x\n"),
        ("a", " x"),
        ("a", b"x"),
        ("a-bin", "x"),
    ],
)
def test_metadata_that_the_wire_cannot_carry(pair: tuple[str, str | bytes]) -> None:
    with pytest.raises(ConfigError, match="metadata"):
        encode_metadata([pair])


def test_binary_metadata_with_padding_in_lists_and_damaged() -> None:
    fields: list[Field] = [
        (b"a-bin", b"q6ur"),
        (b"a-bin", b"q6s="),
        (b"a-bin", b"q6s,q6ur"),
        (b"a-bin", b"*"),
        (b"grpc-x", b"y"),
    ]
    assert decode_metadata(fields) == (
        ("a-bin", b"\xab\xab\xab"),
        ("a-bin", b"\xab\xab"),
        ("a-bin", b"\xab\xab"),
        ("a-bin", b"\xab\xab\xab"),
    )


# --- heads -----------------------------------------------------------------------------------------------------------


def test_request_head_there_and_back() -> None:
    metadata = (("k", "v"), ("b-bin", b"\0\xff"))
    head = RequestHead(decoded(request_block(b"/s/m", b"host", b"http", b"me", b"gzip", 2.5, metadata)))
    assert (head.path, head.authority, head.encoding, head.timeout_s, head.accepts_gzip) == (
        b"/s/m",
        b"host",
        b"gzip",
        2.5,
        True,
    )
    assert head.metadata == metadata
    assert not head.refused


def request(*fields: Field, method: bytes = b"POST", content_type: bytes = b"application/grpc") -> RequestHead:
    base: list[Field] = [
        (b":method", method),
        (b":scheme", b"http"),
        (b":path", b"/s/m"),
        (b"content-type", content_type),
    ]
    return RequestHead(HeaderBlock([*base, *fields]))


def test_requests_that_are_not_grpc() -> None:
    assert request(content_type=b"text/html").http_status == 415
    assert request(content_type=b"application/grpcx").http_status == 415
    assert request(method=b"GET").http_status == 405
    assert [request(content_type=kind).http_status for kind in (b"application/grpc+proto", b"application/grpc;x")] == [
        200,
        200,
    ]


def test_requests_that_no_handler_sees() -> None:
    problem = request((b"grpc-encoding", b"zstd")).problem
    assert problem is not None
    assert problem.status is StatusCode.UNIMPLEMENTED
    problem = request((b"grpc-timeout", b"soon")).problem
    assert problem is not None
    assert problem.status is StatusCode.INTERNAL


def test_responses_there_and_back() -> None:
    head = decoded(response_block((("k", "v"),), gzip=True))
    assert (response_encoding(head), decode_metadata(head.fields)) == (b"gzip", (("k", "v"),))
    assert outcome_of(decoded(trailers_block(None))).error() is None
    message = "50 % of ünïcode\r\n ends with space "
    error = RpcError(StatusCode.NOT_FOUND, message, details=b"\x01\x02", trailers=(("t-bin", b"\x03"),))
    for block in (trailers_block(error, error.trailers), trailers_only(error, error.trailers)):
        back = outcome_of(decoded(block)).error()
        assert back is not None
        assert (back.status, back.message, back.details, back.trailers) == (
            StatusCode.NOT_FOUND,
            message,
            b"\x01\x02",
            (("t-bin", b"\x03"),),
        )


@given(st.text(max_size=50))
def test_any_status_message_survives(message: str) -> None:
    encoded = message.encode("utf-8", "replace").decode()
    back = outcome_of(decoded(trailers_block(RpcError(StatusCode.ABORTED, message)))).error()
    assert back is not None
    assert back.message == encoded


def test_each_failure_is_an_exception_of_its_own() -> None:
    outcome = outcome_of(decoded(trailers_block(RpcError(StatusCode.ABORTED, "x"))))
    assert outcome.error() is not outcome.error()


def test_trailers_without_a_status() -> None:
    for fields in ([(b"x", b"y")], [(b"grpc-status", b"")], [(b"grpc-status", b"-1")], [(b"grpc-status", b"9" * 50)]):
        error = outcome_of(HeaderBlock(fields)).error()
        assert error is not None
        assert error.status is StatusCode.UNKNOWN
    unknown = outcome_of(HeaderBlock([(b"grpc-status", b"77")])).error()
    assert unknown is not None
    assert unknown.status is StatusCode.UNKNOWN


def test_responses_that_are_not_grpc() -> None:
    for status, expected in ((404, 12), (401, 16), (503, 14), (418, 2)):
        with pytest.raises(RpcError, match=str(status)) as caught:
            response_encoding(HeaderBlock([(b":status", b"%d" % status), (b"content-type", b"text/html")]))
        assert caught.value.status == expected
    with pytest.raises(RpcError, match="content-type"):
        response_encoding(HeaderBlock([(b":status", b"200"), (b"content-type", b"text/html")]))
    fields = [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-encoding", b"zstd")]
    with pytest.raises(RpcError, match="zstd"):
        response_encoding(HeaderBlock(fields))


def test_statuses_of_resets_and_what_to_do_next() -> None:
    assert status_of_reset(ErrorCode.REFUSED_STREAM) is StatusCode.UNAVAILABLE
    assert status_of_reset(ErrorCode.CANCEL) is StatusCode.CANCELLED
    assert status_of_reset(ErrorCode.PROTOCOL_ERROR) is StatusCode.INTERNAL
    assert status_of_http(429) is StatusCode.UNAVAILABLE
    assert RpcError(StatusCode.UNAVAILABLE).retry is Retry.BACKOFF
    assert RpcError(StatusCode.NOT_FOUND).retry is Retry.NEVER
    assert RpcError(StatusCode.NOT_FOUND, maybe_processed=False).retry is Retry.BACKOFF
    assert ErrorCode.of(0xFF) is ErrorCode.INTERNAL_ERROR
