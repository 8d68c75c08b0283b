"""Requests and responses as bytes: what is said is heard, version 1 stays, and nothing else gets through."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.errors import (
    Compacted,
    DecodeError,
    DiskFull,
    DropReason,
    LimitExceeded,
    NotLeader,
    OutcomeUnknown,
    ProposalDropped,
    RaftlyError,
)
from raftly.node.errors import Busy, ChangePending, NodeStopped, RemoteFailed, SessionExpired, ValueTypeError
from raftly.node.reads import FOLLOWER, LEASE, LOCAL, STRONG, Freshness, Proof, bounded
from raftly.node.requests import (
    Admin,
    AskStatus,
    Call,
    Close,
    GroupStatus,
    MemberStatus,
    NotLeading,
    Open,
    Query,
    Request,
    Value,
    decode_request,
    decode_response,
    encode_not_leader,
    encode_raised,
    encode_read,
    encode_refused,
    encode_request,
    encode_result,
)
from raftly.node.route import to_status
from raftly.node.values import encode_value
from tests.support.nodes import Taken

ERRORS: dict[str, type[Exception]] = {"Taken": Taken}
u64 = st.integers(0, (1 << 64) - 1)
ids = st.integers(1, (1 << 64) - 1)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
names = st.text(min_size=1, max_size=20)
reads = st.sampled_from([STRONG, LEASE, FOLLOWER, LOCAL]) | st.builds(bounded, st.floats(0, 1e6))
requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(Call, st.binary(max_size=30)),
    st.builds(
        lambda call, session, numbers: Call(call, session, max(numbers), min(numbers)),
        st.binary(max_size=30),
        ids,
        st.tuples(ids, ids),
    ),
    st.builds(Open, u64, u64),
    st.builds(Close, u64),
    st.builds(Query, reads, names, st.lists(values, max_size=3).map(tuple), st.none() | u64),
    st.just(AskStatus()),
    st.builds(Admin, names, st.lists(values, max_size=3).map(tuple), st.dictionaries(names, st.booleans(), max_size=2)),
)


@given(requests, st.floats(0, 4e6))
def test_what_is_asked_is_heard(request: Request, within: float) -> None:
    heard_within, heard = decode_request(encode_request(request, within))
    assert heard == request
    assert within - 0.002 <= heard_within <= within


def test_a_wait_is_bounded_by_its_field() -> None:
    assert decode_request(encode_request(AskStatus(), -1.0))[0] == 0.0
    for within in (1e12, math.inf):
        assert decode_request(encode_request(AskStatus(), within))[0] == ((1 << 32) - 1) / 1000


@given(values)
def test_a_result_arrives(value: Any) -> None:
    assert decode_response(encode_result(value), {}) == Value(value)


@given(values, st.sampled_from(Proof), u64, st.none() | st.floats(0, 1e9))
def test_a_read_arrives_with_its_freshness(value: Any, proof: Proof, applied: int, age: float | None) -> None:
    fresh = Freshness(proof, applied, age)
    assert decode_response(encode_read(fresh, value), {}) == Value(value, fresh)


@pytest.mark.parametrize(
    "error",
    [
        OutcomeUnknown("why"),
        ProposalDropped(DropReason.TRANSFERRING),
        Busy("calls_in_flight", 3, 2),
        LimitExceeded("bytes", 3, 2),
        SessionExpired("session 4 has expired"),
        ValueTypeError("a b"),
        DecodeError("value", 4, "no"),
        DiskFull(),
        NodeStopped("this node stops"),
        ChangePending("another"),
    ],
)
def test_errors_arrive_as_what_they_are(error: RaftlyError) -> None:
    heard = decode_response(encode_refused(error), {})
    assert heard == error
    assert str(heard) == str(error)


def test_an_error_with_much_to_say_is_cut_short() -> None:
    assert len(encode_refused(ValueTypeError("x" * 1_000_000))) < 2100
    assert len(encode_refused(Compacted("x" * 1_000_000))) < 2100


def test_errors_without_a_form_arrive_as_what_they_say() -> None:
    assert decode_response(encode_refused(Compacted()), {}) == RemoteFailed(Compacted.sentence)
    unknown = b"\x01\x04" + encode_value(("of_a_later_version", (1, "two")))
    assert decode_response(unknown, {}) == RemoteFailed("1, two")
    for damaged in (("busy", ()), ("busy", (1, 2, 3, 4)), ("proposal_dropped", ("NEVER_HEARD",))):
        heard = decode_response(b"\x01\x04" + encode_value(damaged), {})
        assert isinstance(heard, RemoteFailed)


def test_registered_exceptions_arrive_by_name_and_nothing_else_is_made() -> None:
    heard = decode_response(encode_raised("Taken", Taken("a", 1)), ERRORS)
    assert isinstance(heard, Taken)
    assert heard.args == ("a", 1)
    assert isinstance(decode_response(encode_raised("SystemExit", Taken(1)), ERRORS), RemoteFailed)

    class Picky(Exception):
        def __init__(self) -> None:
            super().__init__("made", "otherwise")

    class Told(Exception):
        def __init__(self, n: int) -> None:
            super().__init__(f"only {n}")

    told = decode_response(encode_raised("Told", Told(3)), {"Told": Told})
    assert isinstance(told, Told)
    assert told.args == ("only 3",)

    picky = decode_response(encode_raised("Picky", Picky()), {"Picky": Picky})
    assert isinstance(picky, Picky)
    assert picky.args == ("made", "otherwise")


@pytest.mark.parametrize("address", [("host", 4001), ("::1", 1), None])
def test_a_leader_is_named_with_its_address(address: tuple[str, int] | None) -> None:
    assert decode_response(encode_not_leader(3, address), {}) == NotLeading(3, address)
    assert decode_response(encode_refused(NotLeader(3)), {}) == NotLeading(3, None)
    assert decode_response(encode_not_leader(0, ("host", 1)), {}) == NotLeading(0, None)


def test_a_status_arrives() -> None:
    status = GroupStatus(1, 2, 3, 4, [MemberStatus(1, "voter", "host", 5), MemberStatus(2, "learner")])
    response = decode_response(encode_result(status), {})
    assert isinstance(response, Value)
    assert to_status(response) == status
    with pytest.raises(ValueTypeError):
        to_status(Value(7))


VERSION_1 = [
    (Call(b"call"), "010188130000" + b"call".hex()),
    (
        Call(b"call", 1, 3, 2),
        "010288130000" + "0100000000000000" + "0300000000000000" + "0200000000000000" + b"call".hex(),
    ),
    (Open(5, 6), "010388130000" + "0500000000000000" + "0600000000000000"),
    (Close(7), "010488130000" + "0700000000000000"),
    (
        Query(bounded(1.0), "get", ("a",)),
        "010588130000" + "04" + "000000000000f03f" + "03" + b"get".hex() + "0801050161",
    ),
    (
        Query(LOCAL, "get", ("a",), 9),
        "010888130000" + "0900000000000000" + "05" + "00" * 8 + "03" + b"get".hex() + "0801050161",
    ),
    (AskStatus(), "010688130000"),
    (
        Admin("remove", (3,), {"force": True}),
        "010788130000" + "06" + b"remove".hex() + "08020801030103" + "0901" + "0505" + b"force".hex() + "02",
    ),
]


@pytest.mark.parametrize("request_,hex_", VERSION_1)
def test_the_bytes_of_version_1_stay(request_: Request, hex_: str) -> None:
    assert encode_request(request_, 5.0).hex() == hex_


def test_the_bytes_of_responses_stay() -> None:
    assert encode_result(5).hex() == "0101030105"
    fresh = encode_read(Freshness(Proof.READ_INDEX, 9, 0.0), None)
    assert fresh.hex() == "0102" + "02" + "0900000000000000" + "0000000000000000" + "00"
    assert encode_raised("Taken", Taken("a")).hex() == "0103" + "0802" + "0505" + b"Taken".hex() + "0801050161"
    assert encode_refused(DiskFull()).hex() == "0104" + "0802" + "0509" + b"disk_full".hex() + "0800"
    assert encode_not_leader(2, ("h", 258)).hex() == "0105" + "0200000000000000" + "0201" + b"h".hex()


@given(st.binary(max_size=80) | requests.map(lambda request: encode_request(request, 1.0)), st.data())
def test_any_bytes_are_a_request_or_refused(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    if damaged:
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    for attempt in (data, bytes(damaged), bytes(damaged)[: draw.draw(st.integers(0, len(damaged)))]):
        try:
            within, _ = decode_request(attempt)
        except DecodeError:
            continue
        assert within >= 0


@given(st.binary(max_size=80) | values.map(encode_result), st.data())
def test_any_bytes_are_a_response_or_refused(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    if damaged:
        damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    for kind in range(7):
        for attempt in (bytes(damaged), bytes((1, kind)) + bytes(damaged)):
            try:
                response = decode_response(attempt, ERRORS)
            except DecodeError:
                continue
            str(response)


@pytest.mark.parametrize(
    "hex_",
    [
        "",
        "0101",
        "020100000000",  # version 2
        "010000000000",  # kind 0
        "010900000000",
        "010800000000",
        "0108" + "00000000" + "00" * 7,
        "0108" + "00000000" + "00" * 8,  # a poll that is no query
        "01020000000001",
        "0102" + "00000000" + "00" * 8 + "01" + "00" * 7 + "01" + "00" * 7,  # session 0
        "0102" + "00000000" + ("01" + "00" * 7) * 2 + "02" + "00" * 7,  # done below 2, number 1
        "0102" + "00000000" + ("01" + "00" * 7) * 2 + "00" * 8,
        "0103" + "00000000" + "00" * 15,
        "0104" + "00000000" + "00" * 9,
        "0105" + "00000000" + "06" + "00" * 8 + "00" + "0800",  # mode 6
        "0105" + "00000000" + "04" + "000000000000f87f" + "00" + "0800",  # no number
        "0105" + "00000000" + "04" + "000000000000f0bf" + "00" + "0800",  # -1.0
        "0105" + "00000000" + "01" + "00" * 8 + "02" + "ff00" + "0800",  # no UTF-8
        "0105" + "00000000" + "01" + "00" * 8 + "00" + "00",  # None for arguments
        "0106" + "00000000" + "00",
        "0107" + "00000000",
        "0107" + "00000000" + "00" + "0800",
        "0107" + "00000000" + "00" + "0802" + "0800" + "0900" + "00",
        "0107" + "00000000" + "00" + "0802" + "0800" + "0901" + "0501" + "61" + "00",  # a flag that is None
    ],
)
def test_what_cannot_be_meant_is_refused(hex_: str) -> None:
    with pytest.raises(DecodeError):
        decode_request(bytes.fromhex(hex_))


def test_an_infinite_bound_may_be() -> None:
    _, request = decode_request(encode_request(Query(bounded(math.inf), "get", ()), 1.0))
    assert request == Query(bounded(math.inf), "get", ())
