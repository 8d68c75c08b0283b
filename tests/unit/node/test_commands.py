"""Marked methods and the payloads of their calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.errors import ConfigError, DecodeError
from raftly.node.commands import (
    Method,
    call_key,
    call_payload,
    clock_payload,
    close_payload,
    command,
    decode_call,
    decode_close,
    decode_head,
    decode_open,
    methods_of,
    open_payload,
    query,
    schema,
)
from raftly.node.errors import ValueTypeError
from raftly.node.values import encode_value

U64 = st.integers(0, (1 << 64) - 1)


class Shelf:
    @command
    def put(self, name: str, count: int = 1, tags: list[str] | None = None) -> int:
        return count

    @schema(3)
    @command
    def clear(self) -> None: ...

    @query
    def get(self, name: str) -> list[str]:
        return [name]

    def helper(self) -> None: ...


METHODS = methods_of(Shelf)


def round_trip(method: Method, *args: object, **kwargs: object) -> tuple[object, ...]:
    _, _, _, schema, name, arguments = decode_call(call_payload(0, 0, 0, 0, method.encode(args, kwargs)))
    assert (schema, name) == (method.mark.schema, method.name)
    return method.decode(arguments)


def test_only_marked_methods_are_found() -> None:
    assert set(METHODS) == {"put", "clear", "get"}
    assert [METHODS[name].mark.is_command for name in ("put", "clear", "get")] == [True, True, False]
    assert METHODS["clear"].mark.schema == 3


def test_arguments_travel_by_position_with_their_defaults() -> None:
    assert round_trip(METHODS["put"], "a") == ("a", 1, None)
    assert round_trip(METHODS["put"], "a", tags=["x"]) == ("a", 1, ["x"])
    assert round_trip(METHODS["put"], "a", 2, ["x"]) == ("a", 2, ["x"])
    assert round_trip(METHODS["clear"]) == ()


@pytest.mark.parametrize(
    "args, error",
    [((1,), ValueTypeError), (("a", "b"), ValueTypeError), ((), TypeError), (("a", 1, None, 4), TypeError)],
)
def test_arguments_that_do_not_fit_never_leave(args: tuple[object, ...], error: type[Exception]) -> None:
    with pytest.raises(error):
        METHODS["put"].encode(args, {})


def test_arguments_that_arrive_are_checked_again() -> None:
    wrong = METHODS["get"].encode(("a",), {})
    arguments = decode_call(call_payload(0, 0, 0, 0, wrong))[5]
    with pytest.raises(ValueTypeError, match="takes 3 arguments"):
        METHODS["put"].decode(encode_value(()))
    with pytest.raises(ValueTypeError, match="takes 3 arguments"):
        METHODS["put"].decode(encode_value(("a", 1, None, 4)))
    with pytest.raises(ValueTypeError):
        METHODS["clear"].decode(arguments)
    with pytest.raises(DecodeError):
        METHODS["put"].decode(arguments[:-1])


def test_a_result_is_a_value_of_its_own() -> None:
    state = ["a"]
    result = METHODS["get"].detach(state)
    assert result == state
    assert result is not state
    with pytest.raises(ValueTypeError):
        METHODS["get"].detach(["a", 1])


def test_classes_that_cannot_be_replicated_are_refused() -> None:
    class Nothing: ...

    class Variable:
        @command
        def put(self, *args: int) -> None: ...

    class Untravelled:
        @command
        def put(self, what: complex) -> None: ...

    class Unreturned:
        @query
        def get(self) -> complex:
            return 1j

    for version in (0, 65536):
        with pytest.raises(ConfigError):
            schema(version)(command(Shelf.helper))
    with pytest.raises(ConfigError):
        schema(2)(Shelf.get)
    for cls in (Nothing, Variable, Untravelled, Unreturned):
        with pytest.raises(ConfigError, match=cls.__name__):
            methods_of(cls)


@given(U64, U64, U64, U64)
def test_a_call_comes_out_as_it_went_in(stamp: int, session: int, number: int, done: int) -> None:
    payload = call_payload(stamp, session, number, done, METHODS["put"].encode(("é",), {}))
    assert decode_head(payload) == (1, stamp)
    assert decode_call(payload)[:5] == (session, number, done, 1, "put")
    assert call_key(payload) == ((session, number) if session else (0, 0))


def test_the_other_kinds() -> None:
    assert decode_head(open_payload(5, 7, 9)) == (2, 5)
    assert decode_open(open_payload(5, 7, 9)) == (7, 9)
    assert call_key(open_payload(5, 7, 9)) == (0, 9)
    assert decode_head(close_payload(5, 8)) == (3, 5)
    assert decode_close(close_payload(5, 8)) == 8
    assert decode_head(clock_payload(5)) == (4, 5)
    assert call_key(clock_payload(5)) == call_key(close_payload(5, 8)) == (0, 0)


def test_the_bytes_are_those_of_version_1() -> None:
    payload = call_payload(1, 2, 3, 4, METHODS["put"].encode(("a", 1, None), {}))
    words = "".join(number.to_bytes(8, "little").hex() for number in (1, 2, 3, 4))
    assert payload.hex() == "0101" + words + "0100" + "03" + b"put".hex() + "0803" + "050161" + "030101" + "00"


@given(st.binary(max_size=80))
def test_hostile_payloads_give_values_or_decode_errors(data: bytes) -> None:
    call_key(data)
    for decode in (decode_head, decode_call, decode_open, decode_close):
        try:
            decode(data)
        except DecodeError:
            continue


@pytest.mark.parametrize("size", range(len(call_payload(1, 2, 3, 4, METHODS["put"].encode(("a",), {})))))
def test_a_cut_call_is_refused(size: int) -> None:
    payload = call_payload(1, 2, 3, 4, METHODS["put"].encode(("a",), {}))
    with pytest.raises(DecodeError):
        METHODS["put"].decode(decode_call(payload[:size])[5])
