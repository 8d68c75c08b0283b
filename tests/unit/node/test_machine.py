"""The machine: commands in order, sessions that make a retry count once, log time, snapshots, and stopping on a bug."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, NewType, TypeVar

import pytest

from raftly.base.membership import ConfState
from raftly.base.types import Entry
from raftly.errors import ConfigError, DecodeError, LimitExceeded
from raftly.node.commands import call_payload, clock_payload, close_payload, command, open_payload, query, schema
from raftly.node.errors import MachineFailed, SessionExpired, UnknownCommand, ValueTypeError
from raftly.node.machine import StateMachine
from raftly.node.state import decode_kept, encode_kept, same_error
from raftly.node.values import VALUE_BYTES_MAX, encode_value
from tests.support.states import restore, saved

T = TypeVar("T")


class TooMuch(Exception):
    pass


class Unregistered(TooMuch):
    pass


@dataclass
class Item:
    name: str
    count: int


class Shop:
    errors = (TooMuch,)
    items: dict[str, Item]
    log: list[str]

    def __init__(self) -> None:
        self.items = {}
        self.log = []
        self.limit = 10
        self.tags: set[str] = set()

    @command
    def put(self, name: str, count: int) -> Item:
        item = self.items.setdefault(name, Item(name, 0))
        item.count += count
        if item.count > self.limit:
            raise TooMuch(item.count, name)
        return item

    @command
    def note(self, text: str) -> list[str]:
        self.log.append(text)
        return self.log

    @schema(2)
    @command
    def set_limit(self, limit: int) -> None:
        self.limit = limit

    @command
    def tag(self, names: set[str]) -> int:
        self.tags |= names
        return len(self.tags)

    @command
    def break_down(self, how: int) -> int:
        if how == 1:
            raise Unregistered
        if how == 2:
            return object()  # type: ignore[return-value]
        return 1 // 0

    @query
    def total(self) -> int:
        return sum(item.count for item in self.items.values())

    @query
    def everything(self) -> dict[str, Item]:
        return self.items


class Log:
    """Feeds a machine, and remembers the entries so that another can be fed the same."""

    def __init__(self) -> None:
        self.machine = StateMachine(Shop)
        self.entries: list[Entry] = []

    def put(self, payload: bytes) -> object:
        entry = Entry(1, len(self.entries) + 1, data=payload)
        self.entries.append(entry)
        return self.machine.apply(entry)

    def call(self, name: str, *args: object, session: int = 0, number: int = 0, done: int = 0, at: int = 1) -> object:
        return self.put(call_payload(at, session, number, done, self.machine.encode(name, args, {})))

    def open(self, ttl_us: int = 100, at: int = 1) -> int:
        id_ = self.put(open_payload(at, ttl_us, 7))
        assert isinstance(id_, int)
        return id_

    def replay(self) -> StateMachine[Shop]:
        machine = StateMachine(Shop)
        for entry in self.entries:
            machine.apply(entry)
        return machine


def test_commands_apply_in_order_and_give_their_results() -> None:
    log = Log()
    assert log.call("put", "a", 1) == Item("a", 1)
    assert log.call("put", "a", 2) == Item("a", 3)
    assert log.machine.query("total", (), {}) == 3
    assert log.machine.applied == 2


def test_a_registered_exception_is_a_result_and_what_was_done_before_stays() -> None:
    log = Log()
    result = log.call("put", "a", 11)
    assert isinstance(result, TooMuch)
    assert result.args == (11, "a")
    assert log.machine.query("total", (), {}) == 11


@pytest.mark.parametrize("how", [0, 1])
def test_any_other_exception_stops_the_replica(how: int) -> None:
    with pytest.raises(MachineFailed, match="break_down"):
        Log().call("break_down", how)


def test_a_result_that_cannot_travel_is_an_error_to_the_caller() -> None:
    assert isinstance(Log().call("break_down", 2), ValueTypeError)


def test_nobody_who_holds_a_result_can_change_the_state() -> None:
    log = Log()
    result = log.call("note", "x")
    assert isinstance(result, list)
    result.append("y")
    item = log.call("put", "a", 1)
    assert isinstance(item, Item)
    item.count = 99
    everything = log.machine.query("everything", (), {})
    assert everything == {"a": Item("a", 1)}
    assert isinstance(everything, dict)
    everything.clear()
    assert log.machine.instance.log == ["x"]
    assert log.machine.query("total", (), {}) == 1


def test_callers_are_told_before_anything_is_proposed() -> None:
    machine = StateMachine(Shop)
    with pytest.raises(UnknownCommand):
        machine.encode("total", (), {})
    with pytest.raises(UnknownCommand):
        machine.query("put", ("a", 1), {})
    with pytest.raises(ValueTypeError):
        machine.encode("put", ("a", "1"), {})


def test_a_malformed_call_is_the_same_error_on_every_replica() -> None:
    log = Log()
    good = call_payload(1, 0, 0, 0, log.machine.encode("put", ("a", 1), {}))
    assert isinstance(log.put(good[:-1]), DecodeError)
    assert isinstance(log.put(good[:20]), DecodeError)
    assert isinstance(log.put(good[:47] + encode_value(("a", "b"))), ValueTypeError | DecodeError)
    assert log.put(b"") is None
    assert log.machine.query("total", (), {}) == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"\x02\x01" + bytes(8),  # a later version of the payload
        b"\x01\x09" + bytes(8),  # a kind that came later
        b"short",
        call_payload(1, 0, 0, 0, b"\x01\x00\x04gone" + encode_value(())),
        call_payload(1, 0, 0, 0, b"\x03\x00\x09set_limit" + encode_value((1,))),
        call_payload(1, 0, 0, 0, b"\x01\x00\x05total" + encode_value(())),
    ],
)
def test_what_a_newer_version_proposed_stops_an_older_replica(payload: bytes) -> None:
    with pytest.raises(MachineFailed):
        Log().put(payload)


def test_an_older_schema_is_still_taken() -> None:
    log = Log()
    assert log.put(call_payload(1, 0, 0, 0, b"\x01\x00\x09set_limit" + encode_value((4,)))) is None
    assert log.machine.instance.limit == 4


# --- sessions ---


def test_a_call_that_arrives_twice_is_applied_once_and_answered_twice() -> None:
    log = Log()
    session = log.open()
    first = log.call("put", "a", 1, session=session, number=1)
    again = log.call("put", "a", 1, session=session, number=1)
    assert first == again == Item("a", 1)
    assert log.machine.query("total", (), {}) == 1
    error = log.call("put", "a", 20, session=session, number=2)
    repeated = log.call("put", "a", 20, session=session, number=2)
    assert isinstance(error, TooMuch)
    assert isinstance(repeated, TooMuch)
    assert log.machine.query("total", (), {}) == 21


def test_replies_are_kept_until_the_caller_is_done_with_them() -> None:
    log = Log()
    session = log.open()
    for number in (1, 2, 3):
        log.call("put", "a", 1, session=session, number=number)
    assert sorted(log.machine.sessions[session].replies) == [1, 2, 3]
    log.call("put", "a", 1, session=session, number=4, done=3)
    assert sorted(log.machine.sessions[session].replies) == [3, 4]


def test_a_call_given_up_is_never_applied_after_all() -> None:
    log = Log()
    session = log.open()
    log.call("put", "a", 1, session=session, number=5, done=5)
    late = log.call("put", "a", 1, session=session, number=4, done=1)
    assert isinstance(late, SessionExpired)
    assert log.machine.query("total", (), {}) == 1


def test_calls_may_arrive_out_of_order() -> None:
    log = Log()
    session = log.open()
    log.call("put", "a", 2, session=session, number=2, done=1)
    log.call("put", "a", 1, session=session, number=1, done=1)
    assert log.machine.query("total", (), {}) == 3


def test_a_session_expires_by_log_time_when_its_time_has_passed() -> None:
    log = Log()
    session = log.open(ttl_us=100, at=1000)
    assert log.call("put", "a", 1, session=session, number=1, at=1100) == Item("a", 1)
    assert log.call("put", "a", 1, session=session, number=2, at=1200) == Item("a", 2)
    assert isinstance(log.call("put", "a", 1, session=session, number=3, at=1301), SessionExpired)
    assert log.machine.sessions == {}
    assert log.machine.query("total", (), {}) == 2


def test_a_clock_entry_lets_time_pass_and_only_the_silent_session_goes() -> None:
    log = Log()
    silent = log.open(ttl_us=100, at=0)
    active = log.open(ttl_us=100, at=0)
    log.call("put", "a", 1, session=active, number=1, at=60)
    log.put(clock_payload(101))
    assert silent not in log.machine.sessions
    assert active in log.machine.sessions
    log.put(clock_payload(161))
    assert log.machine.sessions == {}


def test_log_time_never_goes_back_and_a_stamp_of_nothing_changes_nothing() -> None:
    log = Log()
    session = log.open(ttl_us=100, at=1000)
    log.call("put", "a", 1, at=500)
    log.call("put", "a", 1, session=session, number=1, at=0)
    assert log.machine.now_us == 1000


def test_a_closed_session_is_gone() -> None:
    log = Log()
    session = log.open()
    log.put(close_payload(1, session))
    assert isinstance(log.call("put", "a", 1, session=session, number=1), SessionExpired)
    assert log.put(close_payload(1, session)) is None


# --- snapshots ---


def stream(head: object, fields: object) -> bytes:
    """As node/state.py draws it."""
    encoded = encode_value(head)
    return len(encoded).to_bytes(4, "little") + encoded + encode_value(fields)


def busy_log() -> tuple[Log, int]:
    log = Log()
    session = log.open(ttl_us=1000, at=50)
    log.call("put", "a", 1, session=session, number=1, at=60)
    log.call("put", "a", 20, session=session, number=2, at=60)
    log.call("note", "n", session=session, number=3, at=60)
    log.call("tag", {"b", "a", "c"}, session=session, number=4, at=61)
    log.call("break_down", 2, session=session, number=5)
    return log, session


def test_a_restored_machine_is_equal_to_the_last_byte() -> None:
    log, _ = busy_log()
    restored = StateMachine(Shop)
    restore(restored, saved(log.machine))
    assert saved(restored) == saved(log.machine) == saved(log.replay())
    assert restored.digest() == log.machine.digest()
    assert (restored.applied, restored.now_us) == (6, 61)
    assert restored.instance.items == {"a": Item("a", 21)}


def test_the_bytes_of_a_state_are_those_of_version_2() -> None:
    log = Log()
    session = log.open(ttl_us=1000, at=50)
    log.call("note", "n", session=session, number=3, at=60)
    log.machine.members = {2: ("b", 4002), 1: ("a", 4001)}
    head = (2, 0, 2, 60, [(session, 1000, 60, 0, [(3, "", ["n"])])], [(1, "a", 4001), (2, "b", 4002)])
    fields = {"items": {}, "limit": 10, "log": ["n"], "tags": set()}
    assert saved(log.machine) == stream(head, fields)
    restored = StateMachine(Shop)
    for piece_bytes in (1, 7, 1 << 20):
        restore(restored, saved(log.machine), piece_bytes)
        assert restored.members == log.machine.members


def test_a_retry_after_a_restore_is_answered_as_before() -> None:
    log, session = busy_log()
    restored = StateMachine(Shop)
    restore(restored, saved(log.machine))
    calls: list[tuple[int, str, tuple[object, ...]]] = [
        (1, "put", ("a", 1)),
        (2, "put", ("a", 20)),
        (3, "note", ("n",)),
        (4, "tag", ({"a"},)),
        (5, "break_down", (2,)),
    ]
    for position, (number, name, args) in enumerate(calls):
        entry = Entry(1, 7 + position, data=call_payload(70, session, number, 0, restored.encode(name, args, {})))
        before, after = log.machine.apply(entry), restored.apply(entry)
        assert type(before) is type(after)
        assert str(before) == str(after)
        assert restored.digest() == log.machine.digest()
    assert restored.query("total", (), {}) == 21


def test_a_restored_session_expires_when_it_would_have() -> None:
    log, session = busy_log()
    restored = StateMachine(Shop)
    restore(restored, saved(log.machine))
    restored.apply(Entry(1, 7, data=clock_payload(1062)))
    assert session not in restored.sessions


def test_the_digest_tells_states_apart() -> None:
    one, other = Log(), Log()
    one.call("put", "a", 1)
    other.call("put", "a", 2)
    assert one.machine.digest() != other.machine.digest()


def test_the_digest_does_not_depend_on_how_a_set_was_filled() -> None:
    one, other = Log(), Log()
    for log, order in ((one, "abcdefgh"), (other, "hgfedcba")):
        log.machine.instance.tags = set()
        for letter in order:
            log.machine.instance.tags.add(letter)
    assert one.machine.digest() == other.machine.digest()


def test_a_state_that_could_not_be_restored_is_not_put_into_a_snapshot() -> None:
    log = Log()
    log.machine.instance.limit = Item("a", 1)  # type: ignore[assignment]  # no annotation names it
    with pytest.raises(ValueTypeError, match=r"Shop\.limit"):
        saved(log.machine)


def test_a_state_too_large_is_refused() -> None:
    log, _ = busy_log()
    log.machine.instance.log = ["x" * VALUE_BYTES_MAX]
    with pytest.raises(LimitExceeded):
        saved(log.machine)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\xff\xff\xff\xff",
        stream((2, 0), {}),
        stream((1, 0, 0, 0, [], []), {}),
        stream((3, 0, 0, 0, [], []), {}),
        stream((2, 1, 0, 0, [], []), {}),
        stream((2, 0, "0", 0, [], []), {}),
        stream((2, 0, 0, 0, [], []), {"items": 3}),
        stream((2, 0, 0, 0, [], []), []),
        stream((2, 0, 0, 0, [], []), {"": "items"}),
        stream((2, 0, 0, 0, [(1, 2)], []), {}),
        stream((2, 0, 0, 0, [], [(1, "host")]), {}),
        stream((2, 0, 0, 0, 5, []), {}),
        stream((2, 0, 0, 0, [], []), {})[:-1],
    ],
)
def test_a_bad_snapshot_is_refused_and_changes_nothing(data: bytes) -> None:
    log, _ = busy_log()
    before = saved(log.machine)
    with pytest.raises((DecodeError, ValueTypeError)):
        restore(log.machine, data)
    assert saved(log.machine) == before


def test_slots_and_fields_that_come_and_go_travel_too() -> None:
    class Slotted:
        __slots__ = ("a", "b")

        def __init__(self) -> None:
            self.a = 0

        @command
        def swap(self) -> None:
            self.b = 1
            del self.a

    machine = StateMachine(Slotted)
    machine.apply(Entry(1, 1, data=call_payload(1, 0, 0, 0, machine.encode("swap", (), {}))))
    restored = StateMachine(Slotted)
    restore(restored, saved(machine))
    assert restored.instance.b == 1
    assert not hasattr(restored.instance, "a")
    assert restored.digest() == machine.digest()


def test_a_class_with_a_field_that_cannot_travel_is_refused() -> None:
    class Bad:
        field: complex

        @command
        def do(self) -> None: ...

    with pytest.raises(ConfigError):
        StateMachine(Bad)


@dataclass
class Untravelled:
    at: complex
    again: "Untravelled | None" = None


@dataclass
class Unresolved:
    at: "Missing"  # type: ignore[name-defined]  # noqa: F821


@dataclass
class Around(Generic[T]):
    inside: list[T]


class Contained(Around[Untravelled]):
    pass


@pytest.mark.parametrize(
    "inner, why", [(Untravelled, "Untravelled.at"), (Unresolved, "Missing"), (Contained, "Untravelled.at")]
)
@pytest.mark.parametrize("named", [lambda cls: cls, lambda cls: NewType("Named", dict[str, Around[cls]])])  # type: ignore[valid-type]
def test_a_dataclass_with_a_field_that_cannot_travel_is_refused_wherever_it_is_named(
    inner: type, why: str, named: Callable[[type], Any]
) -> None:
    annotation = named(inner)

    class Argument:
        @command
        def do(self, what: annotation) -> None: ...  # type: ignore[valid-type]

    class Result:
        @query
        def get(self) -> annotation: ...  # type: ignore[valid-type]

    class Field:
        field: annotation  # type: ignore[valid-type]

        @command
        def do(self) -> None: ...

    for cls in (Argument, Result, Field):
        with pytest.raises(ConfigError, match=why):
            StateMachine(cls)


class Deep(Exception):
    pass


class Depths:
    errors = (Deep,)

    @command
    def get(self, levels: int) -> object:
        value: object = None
        for _ in range(levels):
            value = [value]
        return value

    @command
    def refuse(self, levels: int) -> None:
        raise Deep(self.get(levels))

    @command
    def fill(self, size: int) -> bytes:
        return bytes(size)


def test_whatever_is_a_result_is_part_of_a_snapshot() -> None:
    machine = StateMachine(Depths)
    machine.apply(Entry(1, 1, data=open_payload(1, 100, 7)))
    calls = [("get", 64), ("refuse", 64), *[("fill", VALUE_BYTES_MAX // 3)] * 4]
    for number, (name, size) in enumerate(calls, start=1):
        data = call_payload(1, 1, number, 0, machine.encode(name, (size,), {}))
        assert not isinstance(machine.apply(Entry(1, 1 + number, data=data)), ValueTypeError)
    data = saved(machine)
    assert len(data) > VALUE_BYTES_MAX
    restored = StateMachine(Depths)
    restore(restored, data)
    assert restored.digest() == machine.digest()
    index, _, _, head = decode_kept((7, encode_kept(1, ConfState(), machine.head())))
    assert (index, head) == (7, machine.head())
    kept = machine.sessions[1].replies[2]
    assert isinstance(kept, Deep)
    assert same_error(kept).args == kept.args != (list.__name__,)


# --- what restoring must not change ---


@dataclass(frozen=True)
class Point:
    x: int
    weight: float = 0.0


class Only(Exception):
    def __init__(self, n: object) -> None:
        super().__init__(f"only {n}")


class Refused(Exception):
    pass


class _Board:
    """Everything that looks the same here and after a restart only if care is taken."""

    __slots__ = ("__hidden", "counts", "exact", "marks", "weight")
    errors = (Only, Refused)
    marks: set[Point]
    counts: dict[Point, int]
    weight: float
    exact: list[Point]

    def __init__(self) -> None:
        self.marks = set()
        self.counts = {}
        self.weight = 0.0
        self.exact = []
        self.__hidden = 0

    @command
    def mark(self, x: int) -> set[Point]:
        self.marks.add(Point(x))
        self.counts[Point(x)] = self.counts.get(Point(x), 0) + 1
        return self.marks

    @command
    def weigh(self, weight: int) -> float:
        self.weight = weight
        self.exact.append(Point(1, weight))
        return self.weight

    @command
    def hide(self, n: int) -> int:
        self.__hidden = n
        return self.__hidden

    @command
    def refuse(self, n: int) -> None:
        raise Only(n) if n else Refused(object(), [object()], Point(1), n)

    @query
    def hidden(self) -> int:
        return self.__hidden


class Board:
    """A machine of it, called in a session."""

    def __init__(self) -> None:
        self.machine = StateMachine(_Board)
        self.machine.apply(Entry(1, 1, data=open_payload(1, 1000, 7)))

    def call(self, name: str, *args: object, number: int = 0) -> object:
        index = self.machine.applied + 1
        call = self.machine.encode(name, args, {})
        return self.machine.apply(Entry(1, index, data=call_payload(1, 1, number or index, 1, call)))

    def restarted(self) -> StateMachine[Any]:
        """As it comes back from its snapshot; must be equal to the last byte, also when that is done once more."""
        restored = self.machine
        for _ in range(2):
            data = saved(restored)
            restored = StateMachine(_Board)
            restore(restored, data)
            assert restored.digest() == self.machine.digest()
        return restored


def test_dataclasses_in_sets_and_as_keys_come_back_from_a_snapshot_and_as_results() -> None:
    board = Board()
    assert board.call("mark", 3) == {Point(3)}
    assert board.call("mark", 4, number=9) == {Point(3), Point(4)}
    restored = board.restarted()
    assert restored.instance.marks == {Point(3), Point(4)}
    assert restored.instance.counts == {Point(3): 1, Point(4): 1}
    board.machine = restored
    assert board.call("mark", 4, number=9) == {Point(3), Point(4)}
    assert restored.instance.counts[Point(4)] == 1


def test_an_int_in_a_field_of_floats_is_one_after_a_restart_too() -> None:
    board = Board()
    assert type(board.call("weigh", (1 << 60) + 1)) is float, "a result is of the annotated type"
    restored = board.restarted()
    assert restored.instance.weight == (1 << 60) + 1
    assert type(restored.instance.weight) is type(restored.instance.exact[0].weight) is int


def test_an_exception_with_an_init_of_its_own_stays_the_same_in_its_session() -> None:
    board = Board()
    raised = board.call("refuse", 3, number=9)
    assert isinstance(raised, Only)
    board.machine = board.restarted()
    again = board.call("refuse", 3, number=9)
    assert isinstance(again, Only)
    assert again.args == raised.args == ("only 3",)


def test_of_an_argument_of_an_exception_that_cannot_travel_its_type_is_told() -> None:
    board = Board()
    refused = board.call("refuse", 0)
    assert isinstance(refused, Refused)
    assert refused.args == ("object", "list", "Point", 0), "and no address, which would be another on every replica"
    board.restarted()


class Stock(Generic[T]):
    items: list[T]

    def __init__(self, bound: int = 9) -> None:
        self.items = []
        self.bound = bound

    @command
    def put(self, item: T) -> int:
        self.items.append(item)
        return len(self.items)


class Points(Stock[Point]):
    pass


@pytest.mark.parametrize("factory", [Stock[Point], partial(Stock[Point], bound=3), partial(Points, 3)])
def test_a_generic_class_has_types_and_comes_back_however_it_is_made(factory: Callable[[], Stock[Point]]) -> None:
    machine = StateMachine(factory)
    with pytest.raises(ValueTypeError):
        machine.encode("put", ("a",), {})
    call = machine.encode("put", (Point(1, 2.0),), {})
    assert machine.apply(Entry(1, 1, data=call_payload(1, 0, 0, 0, call))) == 1
    restored = StateMachine(factory)
    restore(restored, saved(machine))
    assert restored.digest() == machine.digest()
    assert restored.instance.items == [Point(1, 2.0)]


def test_private_slots_are_part_of_the_state() -> None:
    board, other = Board(), Board()
    assert board.call("hide", 7) == 7
    assert board.restarted().query("hidden", (), {}) == 7
    other.call("hide", 7)
    assert other.machine.digest() == board.machine.digest()
    other.machine.instance._Board__hidden = 8  # type: ignore[attr-defined]
    assert other.machine.digest() != board.machine.digest()
