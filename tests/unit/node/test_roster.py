"""Addresses as bytes, and members as a function of entries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.membership import (
    ConfChange,
    ConfChangeSingle,
    ConfChangeTransition,
    ConfChangeType,
    ConfChangeV2,
    ConfState,
)
from raftly.base.types import Entry, EntryType
from raftly.core.memory import MemoryStorage
from raftly.errors import ConfChangeError, ConfigError, DecodeError
from raftly.node.errors import MachineFailed
from raftly.node.roster import (
    GONE,
    Roster,
    advance,
    change_of,
    check_address,
    decode_addresses,
    encode_addresses,
    founding_entries,
    ids_of,
    update_change,
)

HOST = "a.example"
hosts = st.text(min_size=1, max_size=60).filter(lambda host: len(host.encode()) <= 255)
books = st.dictionaries(st.integers(1, (1 << 64) - 1), st.tuples(hosts, st.integers(1, 65535)), max_size=5)


class State:
    def __init__(self) -> None:
        self.members: dict[int, tuple[str, int]] = {}


def change(text: str, addresses: dict[int, tuple[str, int]] | None = None, *, joint: bool = False) -> ConfChangeV2:
    letters = {"v": ConfChangeType.ADD_NODE, "l": ConfChangeType.ADD_LEARNER_NODE, "r": ConfChangeType.REMOVE_NODE}
    return ConfChangeV2(
        tuple(ConfChangeSingle(letters[token[0]], int(token[1:])) for token in text.split()),
        ConfChangeTransition.JOINT_IMPLICIT if joint else ConfChangeTransition.AUTO,
        encode_addresses(addresses or {}),
    )


# --- bytes ---


def test_the_bytes_of_version_1_stay() -> None:
    context = encode_addresses({2: ("b", 4002), 1: (HOST, 4001)})
    assert context.hex() == "0102000100000000000000a10f09612e6578616d706c650200000000000000a20f0162"
    assert encode_addresses({}) == b""


@given(books, st.binary(max_size=8))
def test_addresses_come_back_whatever_a_later_version_adds(book: dict[int, tuple[str, int]], more: bytes) -> None:
    assert decode_addresses(encode_addresses(book) + (more if book else b"")) == book


@given(books.filter(bool), st.data())
def test_what_is_cut_is_refused(book: dict[int, tuple[str, int]], data: st.DataObject) -> None:
    context = encode_addresses(book)
    with pytest.raises(DecodeError):
        decode_addresses(context[: data.draw(st.integers(1, len(context) - 1))])


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_refused(context: bytes) -> None:
    try:
        book = decode_addresses(context)
    except (DecodeError, MachineFailed):
        return
    for address in book.values():
        check_address(address)


def test_a_later_version_stops_the_replica() -> None:
    with pytest.raises(MachineFailed, match="version 2"):
        decode_addresses(b"\2\0\0")


@pytest.mark.parametrize("address", [("", 1), ("é" * 128, 1), (HOST, 0), (HOST, 65536), (HOST, -1)])
def test_what_is_no_address(address: tuple[str, int]) -> None:
    with pytest.raises(ConfigError):
        check_address(address)


# --- members ---


def test_addresses_come_with_members_and_gone_ids_stay() -> None:
    state = State()
    roster = Roster(state, ConfState((1,)))

    def apply(step: ConfChangeV2) -> None:
        roster.apply(step, advance(roster.conf, step))

    apply(update_change(1, {1: (HOST, 1), 9: (HOST, 9)}))  # not a member: not taken
    apply(change("l2", {2: (HOST, 2)}))
    assert state.members == {1: (HOST, 1), 2: (HOST, 2)}
    apply(change("v2", joint=True))
    apply(ConfChangeV2())
    assert roster.conf == ConfState((1, 2))
    apply(change("v3 r2", {3: (HOST, 3)}, joint=True))
    assert ids_of(roster.conf) == [1, 2, 3]
    assert state.members[2] == (HOST, 2)  # still needed: both majorities count
    apply(ConfChangeV2())
    assert state.members == {1: (HOST, 1), 2: GONE, 3: (HOST, 3)}
    assert roster.is_gone(2)
    assert not roster.is_gone(9)


def test_a_malformed_context_brings_nothing() -> None:
    state = State()
    roster = Roster(state, ConfState((1,)))
    roster.apply(ConfChangeV2(context=b"\1\1\0abc"), ConfState((1,)))
    assert state.members == {}


@given(st.lists(st.sampled_from(["v1", "v2", "v3", "l2", "l3", "r1", "r2", "r3", "v4 r1", ""]), max_size=20))
def test_replay_leads_where_applying_led(steps: list[str]) -> None:
    log = MemoryStorage()
    state = State()
    roster = Roster(state, ConfState())
    entries = founding_entries((1, 2))
    for step in steps:
        entries.append(Entry(2, len(entries) + 1, EntryType.NORMAL, b"x"))
        data = change(step, {2: (HOST, len(entries))}, joint=" " in step).encode() if step else b""
        entries.append(Entry(2, len(entries) + 1, EntryType.CONF_CHANGE_V2, data))
    log.append(entries)
    for entry in entries:
        if entry.type != EntryType.NORMAL:
            try:
                roster.apply(change_of(entry), advance(roster.conf, change_of(entry)))
            except ConfChangeError:
                continue
    again = Roster(State(), ConfState())
    again.replay(log, 1, len(entries) + 1)
    assert (again.conf, again.state.members) == (roster.conf, state.members)


def test_the_founders_are_added_one_by_one_alike_on_each() -> None:
    entries = founding_entries((3, 1, 2))
    assert [(entry.term, entry.index, entry.data) for entry in entries] == [
        (1, position, ConfChange(ConfChangeType.ADD_NODE, position).encode()) for position in (1, 2, 3)
    ]
