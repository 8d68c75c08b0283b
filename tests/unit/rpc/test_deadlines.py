"""Deadlines against a naive model, on a loop whose time the test moves."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from raftly.rpc.deadlines import Deadlines, RoughDeadlines


class FakeLoop:
    """As much of a loop as deadlines need."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Any] = []

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, callback: Any, *arguments: Any) -> Any:
        loop = self

        class Timer:
            def cancel(self) -> None:
                if self in [timer for _, timer, _ in loop.timers]:
                    loop.timers = [entry for entry in loop.timers if entry[1] is not self]

        timer = Timer()
        self.timers.append((due, timer, lambda: callback(*arguments)))
        return timer

    def advance(self, to: float) -> None:
        while due := sorted([entry for entry in self.timers if entry[0] <= to], key=lambda entry: entry[0]):
            self.timers.remove(due[0])
            self.now = max(self.now, due[0][0])
            due[0][2]()
        self.now = to


class Item:
    def __init__(self, fired: list[Item]) -> None:
        self._fired = fired

    def on_deadline(self) -> None:
        self._fired.append(self)


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "end", "move"]), st.integers(0, 9), st.sampled_from([1.0, 2.5, 7.0])),
        max_size=60,
    )
)
def test_each_expires_at_its_time_unless_it_ended(steps: list[tuple[str, int, float]]) -> None:
    loop = FakeLoop()
    deadlines = Deadlines(loop)  # type: ignore[arg-type]
    fired: list[Item] = []
    open_items: dict[Item, tuple[float, float]] = {}
    expected: list[Item] = []
    for what, which, length in steps:
        if what == "add":
            item = Item(fired)
            open_items[item] = (length, loop.now + length)
            deadlines.add(item, length, loop.now + length)
        elif what == "end" and open_items:
            item = list(open_items)[which % len(open_items)]
            deadlines.discard(item, open_items.pop(item)[0])
        else:
            to = loop.now + which / 2
            due = sorted(
                (entry[1], number, item) for number, (item, entry) in enumerate(open_items.items()) if entry[1] <= to
            )
            expected += [item for *_, item in due]
            for *_, item in due:
                del open_items[item]
            loop.advance(to)
    assert set(fired) == set(expected)
    assert len(fired) == len(expected)
    loop.advance(loop.now + 100.0)
    assert set(fired) == set(expected) | set(open_items)
    assert loop.timers == [], "no timer without a call"


def test_thousands_of_calls_of_one_length_need_one_timer() -> None:
    loop = FakeLoop()
    deadlines = Deadlines(loop)  # type: ignore[arg-type]
    for _ in range(5000):
        item = Item([])
        deadlines.add(item, 5.0, loop.now + 5.0)
        deadlines.discard(item, 5.0)
        loop.now += 0.0001
    assert len(loop.timers) == 1
    deadlines.close()
    assert loop.timers == []


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "end", "move"]), st.integers(0, 9), st.floats(1e-6, 1e6)),
        max_size=60,
    )
)
def test_of_any_length_each_expires_a_little_late_unless_it_ended(steps: list[tuple[str, int, float]]) -> None:
    loop = FakeLoop()
    deadlines = RoughDeadlines(loop)  # type: ignore[arg-type]

    class Timed:
        def __init__(self, length: float) -> None:
            self.length = length
            self.due = loop.now + length
            self.at = deadlines.add(self, length, self.due)

        def on_deadline(self) -> None:
            assert self in waiting, "it has ended"
            assert self.due <= loop.now <= self.due + self.length / 63
            waiting.remove(self)

    waiting: list[Timed] = []
    for what, which, length in steps:
        if what == "add":
            waiting.append(Timed(length))
        elif what == "end" and waiting:
            ended = waiting.pop(which % len(waiting))
            deadlines.discard(ended, ended.at)
        else:
            loop.advance(loop.now + which * length / 5)
            assert all(item.due + item.length / 63 > loop.now for item in waiting)
    loop.advance(loop.now + 2e6)
    assert not waiting
    assert loop.timers == []


def test_thousands_of_calls_of_many_lengths_need_few_timers() -> None:
    loop = FakeLoop()
    deadlines = RoughDeadlines(loop)  # type: ignore[arg-type]
    for number in range(20_000):
        item = Item([])
        length = 5.0 - number % 97 / 1000
        deadlines.discard(item, deadlines.add(item, length, loop.now + length))
        loop.advance(loop.now + 0.001)
    assert len(loop.timers) <= 128
    deadlines.close()
    assert loop.timers == []
