"""Who is taken, who is refused, and the bytes of both."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.errors import DecodeError, PeerRefused
from raftly.transport.frame import HEADER_BYTES
from raftly.transport.handshake import (
    FEATURES,
    HANDSHAKE_BYTES_MAX,
    TEXT_BYTES_MAX,
    Hello,
    Identity,
    Purpose,
    Reason,
    Refusal,
    Welcome,
    check_welcome,
    decode_hello,
    decode_refusal,
    decode_welcome,
    judge_hello,
    make_hello,
    printable,
)
from raftly.transport.options import Address

ONE = Identity(7, 1, 111, features=0b011)
TWO = Identity(7, 2, 222, features=0b110)
HELLO = make_hello(ONE, 2, Purpose.MESSAGES)
WELCOME = Welcome(1, 7, 2, 1, 222, 0b010)

HELLO_HEX = (
    "72660103350000007638d26c0100020001070000000000000001000000000000000200000000000000030000000000000004"
    "000000000000000500000000000000"
)
WELCOME_HEX = (
    "726601042a000000d5beb634010007000000000000000200000000000000010000000000000003000000000000000400000000000000"
)
REFUSAL_HEX = "7266010513000000b4b1999502070000000000000001000000000000006e6f"

u64 = st.integers(0, (1 << 64) - 1)
u16 = st.integers(0, (1 << 16) - 1)
directories = st.integers(1, (1 << 64) - 1)
hellos = st.builds(Hello, u16, u16, st.integers(0, 255), u64, u64, u64, u64, u64, u64, u64, directories)
welcomes = st.builds(Welcome, u16, u64, u64, u64, u64, u64, u64, directories)


@given(hellos, welcomes, st.binary(max_size=20))
def test_what_is_said_is_heard_whatever_a_later_version_adds(hello: Hello, welcome: Welcome, more: bytes) -> None:
    assert decode_hello(hello.encode()[HEADER_BYTES:] + more) == hello
    assert decode_welcome(welcome.encode()[HEADER_BYTES:] + more) == welcome


def test_origin_and_directory_may_be_missing() -> None:
    hello, welcome = replace(HELLO, origin=8, directory=9), replace(WELCOME, origin=8)
    assert decode_hello(hello.encode()[HEADER_BYTES:]) == hello
    assert decode_hello(hello.encode()[HEADER_BYTES:-1]) == HELLO
    assert decode_welcome(welcome.encode()[HEADER_BYTES:]) == welcome
    assert decode_welcome(welcome.encode()[HEADER_BYTES:-16]) == WELCOME


@pytest.mark.parametrize(("one", "other", "refused"), [(0, 0, False), (0, 8, False), (8, 8, False), (8, 9, True)])
def test_groups_that_began_otherwise_do_not_talk(one: int, other: int, refused: bool) -> None:
    caller, here = replace(ONE, origin=one), replace(TWO, origin=other)
    answer = judge_hello(here, make_hello(caller, 2, Purpose.MESSAGES))
    if refused:
        assert isinstance(answer, Refusal)
        assert answer.reason == Reason.ORIGIN
        assert "one that joins" in answer.text
        with pytest.raises(PeerRefused, match="ORIGIN"):
            check_welcome(caller, 2, replace(WELCOME, origin=other, incarnation=222))
    else:
        assert isinstance(answer, Welcome)
        assert answer.origin == other
        check_welcome(caller, 2, answer)


@given(st.integers(0, 255), u64, u64, st.text(max_size=40))
def test_a_refusal_says_why_in_what_can_be_printed(reason: int, cluster: int, node: int, text: str) -> None:
    heard = decode_refusal(Refusal(reason, cluster, node, text).encode()[HEADER_BYTES:])
    assert (heard.reason, heard.cluster_id, heard.node_id) == (reason, cluster, node)
    assert heard.text.isprintable()
    assert len(heard.text) == len(text)
    assert heard.error(node).reason == (Reason(reason).name if reason in list(Reason) else str(reason))


def test_the_bytes_of_version_1_stay() -> None:
    said = Hello(1, 2, 1, 7, 1, 2, 3, 4, 5).encode()
    assert said.hex() == HELLO_HEX
    welcome = Welcome(1, 7, 2, 1, 3, 4).encode()
    assert welcome.hex() == WELCOME_HEX
    assert Refusal(2, 7, 1, "no").encode().hex() == REFUSAL_HEX


@pytest.mark.parametrize(
    ("tail", "address"),
    [
        ("a10f09" + b"10.0.0.1x".hex(), ("10.0.0.1x", 4001)),
        ("a10f09" + b"10.0.0.1".hex(), None),  # shorter than it says
        ("a10f", None),
        ("000004" + b"host".hex(), None),  # no port
        ("a10f00", None),
        ("a10f04" + b"ho\x1bt".hex(), None),  # nothing to show or dial
        ("a10f02" + "c328", None),  # not UTF-8
    ],
)
def test_a_dialer_may_tell_where_it_is_and_nonsense_is_passed_over(tail: str, address: Address | None) -> None:
    said = Hello(1, 2, 1, 7, 1, 2, 3, 4, 5, origin=6, directory=7)
    heard = decode_hello(said.encode()[HEADER_BYTES:] + bytes.fromhex(tail))
    assert heard == replace(said, address=address)
    assert decode_hello(heard.encode()[HEADER_BYTES:]) == heard


def test_too_long_a_reason_is_cut_and_what_would_deceive_a_log_is_replaced() -> None:
    long = Refusal(1, 7, 2, "é" * 1000).encode()
    assert len(long) <= HEADER_BYTES + HANDSHAKE_BYTES_MAX
    assert len(decode_refusal(long[HEADER_BYTES:]).text.encode()) <= TEXT_BYTES_MAX + 2
    assert printable(b"ok\nERROR \x1b[31m\xff") == "ok?ERROR ?[31m\N{REPLACEMENT CHARACTER}"
    assert printable("\u202e".encode()) == "?"


@pytest.mark.parametrize("frame", [HELLO.encode(), WELCOME.encode(), Refusal(1, 7, 2, "").encode()])
def test_what_is_too_short_is_refused(frame: bytes) -> None:
    decode = {53: decode_hello, 42: decode_welcome, 17: decode_refusal}[len(frame) - HEADER_BYTES]
    for stop in range(HEADER_BYTES, len(frame)):
        with pytest.raises(DecodeError):
            decode(frame[HEADER_BYTES:stop])


def test_a_node_of_the_cluster_is_welcome_with_the_features_of_both() -> None:
    assert judge_hello(TWO, HELLO) == WELCOME
    check_welcome(ONE, 2, WELCOME)


def test_a_later_version_is_answered_with_ours() -> None:
    answer = judge_hello(TWO, replace(HELLO, version_hi=9))
    assert isinstance(answer, Welcome)
    assert answer.version == 1


REFUSED: list[tuple[dict[str, int], Reason, str]] = [
    ({"version_lo": 2, "version_hi": 3}, Reason.VERSION, "versions 1 to 1, the caller 2 to 3"),
    ({"version_hi": 0}, Reason.VERSION, "the caller 1 to 0"),
    ({"purpose": 4}, Reason.VERSION, "purpose 4"),
    ({"cluster_id": 8}, Reason.CLUSTER, "node 2 of cluster 7; the caller belongs to cluster 8"),
    ({"expected": 3}, Reason.WRONG_NODE, "not node 3"),
    ({"node_id": 2}, Reason.DUPLICATE, "no other may use id 2"),
    ({"node_id": 2, "incarnation": 222}, Reason.SELF, "dialed itself"),
    ({"node_id": 2, "incarnation": 222, "expected": 3}, Reason.SELF, "dialed itself"),
    ({"node_id": 0}, Reason.DUPLICATE, "id 0"),
    ({"required": 0b001}, Reason.FEATURES, "0x1"),
    ({"cluster_id": 8, "expected": 3}, Reason.CLUSTER, "cluster 8"),
]


@pytest.mark.parametrize("change,reason,text", REFUSED)
def test_everything_else_is_refused_with_a_reason(change: dict[str, int], reason: Reason, text: str) -> None:
    answer = judge_hello(TWO, Hello(**{name: change.get(name, getattr(HELLO, name)) for name in Hello.__slots__}))
    assert isinstance(answer, Refusal)
    assert answer.reason == reason
    assert text in answer.text


def test_what_this_node_requires_the_caller_must_offer() -> None:
    strict = replace(TWO, required=0b100)
    answer = judge_hello(strict, HELLO)
    assert isinstance(answer, Refusal)
    assert answer.reason == Reason.FEATURES
    assert isinstance(judge_hello(replace(TWO, required=0b010), HELLO), Welcome)


@pytest.mark.parametrize(
    "change,reason",
    [
        ({"version": 2}, "VERSION"),
        ({"version": 0}, "VERSION"),
        ({"cluster_id": 8}, "CLUSTER"),
        ({"node_id": 3}, "WRONG_NODE"),
        ({"to": 3}, "WRONG_NODE"),
        ({"features": 0b110}, "FEATURES"),
    ],
)
def test_a_dialer_checks_the_welcome(change: dict[str, int], reason: str) -> None:
    welcome = Welcome(**{name: change.get(name, getattr(WELCOME, name)) for name in Welcome.__slots__})
    with pytest.raises(PeerRefused) as caught:
        check_welcome(ONE, 2, welcome)
    assert (caught.value.node_id, caught.value.reason) == (2, reason)


def test_a_dialer_insists_on_what_it_requires() -> None:
    with pytest.raises(PeerRefused):
        check_welcome(replace(ONE, required=0b001), 2, WELCOME)


def test_features_are_a_plain_number() -> None:
    """`~` of an IntFlag knows its own flags only, and would let unknown ones pass."""
    assert type(FEATURES) is int
