"""Is a history linearizable: could its operations have taken effect one at a time, each between its start and its end?

    verdict = check(history.operations)          registers, one a key
    verdict = check(history.operations, Queue())
    assert verdict.holds, verdict

Where a model can tell without (`Decisive`) no search is made. Else the history is walked once in the order of time,
with every way in which things may stand: a state of the model, and which of the operations that have begun are in it
already. An operation that ends must be in; where it is not, it is put in now, after any of the others that make it
possible. When no way is left, the history is not linearizable, and that operation is where it shows. Nothing is put in
before it has to be, so there are few ways when few operations overlap.

Three things keep the ways few. An operation that only reads is put in as soon as its result fits, which never closes a
way; one of them that nobody learned the result of does not matter at all. A write that is put in may hide any other
that is open: that one is *free*, it may be taken to have been there just before. And an operation of unknown outcome
never ends: of two ways that differ only in that one has used more of those, the thriftier is enough, since it can do
what the other can; of those that ask for the same, the oldest is used first. Let clients write values that differ: then
few unknown ones can explain a read.

Sources: Herlihy and Wing (1990), linearizability; Lowe (2017), testing for linearizability, just-in-time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias, final

from raftly.testing.history import Operation
from raftly.testing.models import REGISTER, Decisive, Model

STEPS_MAX: Final = 20_000_000

_Way: TypeAlias = tuple[Hashable, int, int]
"""The state; a bit for each open operation that is in it; and for each that may be taken to be in it."""


@final
@dataclass(frozen=True, slots=True)
class Violation:
    """Where a history stops being linearizable."""

    key: Hashable
    operation: Operation
    """It ended, and no order explains its result."""
    states: tuple[Hashable, ...]
    """That the object may have been in before it, as far as the history tells; none: the operations tell all."""
    overlapping: tuple[Operation, ...]
    """That had begun and not ended then, by their starts; unknown ones too."""
    before: tuple[Operation, ...]
    """The last that ended before it, by their ends; or those with which it has no order."""


@final
@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a check."""

    operations: int
    violations: tuple[Violation, ...] = ()  # one a key at most
    undecided: tuple[Hashable, ...] = field(default=())  # keys that took too many steps

    @property
    def holds(self) -> bool:
        """Is it linearizable, for certain?"""
        return not self.violations and not self.undecided

    def __str__(self) -> str:
        """In words, the first violation in detail."""
        if self.violations:
            return "\n".join(explain(violation) for violation in self.violations[:1]) + (
                f"\n{len(self.violations) - 1} more keys are not linearizable" if len(self.violations) > 1 else ""
            )
        if self.undecided:
            return f"undecided for {len(self.undecided)} keys: too many operations overlap"
        return f"{self.operations} operations are linearizable"


def check(operations: Iterable[Operation], model: Model = REGISTER, steps_max: int = STEPS_MAX) -> Verdict:
    """Check each key's operations on their own; `steps_max` bounds the work for each key."""
    by_key: dict[Hashable, list[Operation]] = {}
    count = 0
    for operation in operations:
        by_key.setdefault(operation.key, []).append(operation)
        count += 1
    violations: list[Violation] = []
    undecided: list[Hashable] = []
    for key, of_key in by_key.items():
        try:
            violation = _judge(key, of_key, model, steps_max)
        except _TooManyStepsError:
            undecided.append(key)
        else:
            if violation is not None:
                violations.append(violation)
    return Verdict(count, tuple(violations), tuple(undecided))


class _TooManyStepsError(Exception):
    """The work for a key is over its bound."""


def _judge(key: Hashable, operations: Sequence[Operation], model: Model, steps_max: int) -> Violation | None:
    """One key; by a search only if the model cannot tell without."""
    conflict = model.conflict(operations) if isinstance(model, Decisive) else ()
    if conflict is None:
        return None
    if conflict:
        return Violation(key, conflict[-1], (), (), conflict[:-1])
    return _Search(model, steps_max).run(key, operations)


@final
class _Search:
    """The walk through one key's operations."""

    __slots__ = ("_free", "_model", "_open", "_reads", "_steps_left", "_twins", "_unknown", "_writes")

    def __init__(self, model: Model, steps_max: int) -> None:
        self._model = model
        self._steps_left = steps_max
        self._open: dict[int, Operation] = {}  # bit -> an operation that has begun and not ended
        self._reads: dict[int, Operation] = {}  # of these, those that only read
        self._writes = 0  # bits of those that write and will end
        self._unknown = 0  # bits of those that never end
        self._twins: dict[tuple[str, Hashable], list[int]] = {}  # of these, that ask for the same, oldest first
        self._free: list[int] = []  # bits to use again

    def run(self, key: Hashable, operations: Sequence[Operation]) -> Violation | None:
        """Walk."""
        ways: list[_Way] = [(self._model.initial, 0, 0)]
        bits: dict[int, int] = {}  # position of an operation -> its bit
        for _, ends, position in _events(operations):
            operation = operations[position]
            if ends:
                bit = bits.pop(position)
                following = self._end(ways, bit)
                if not following:
                    return self._violation(key, operation, bit, ways, operations)
                ways = following
                del self._open[bit]
                self._reads.pop(bit, None)
                self._writes &= ~bit
                self._free.append(bit)
            elif not self._model.only_reads(operation):
                bits[position] = self._begin(operation)
            elif not operation.is_unknown:
                bit = bits[position] = self._begin(operation)
                self._reads[bit] = operation
                ways = [self._with_reads(*way) for way in ways]
        return None

    def _begin(self, operation: Operation) -> int:
        bit = self._free.pop() if self._free else 1 << len(self._open)
        self._open[bit] = operation
        if operation.is_unknown:
            self._unknown |= bit
            self._twins.setdefault((operation.name, operation.argument), []).append(bit)
        elif self._model.only_writes(operation):
            self._writes |= bit
        return bit

    def _with_reads(self, state: Hashable, used: int, free: int) -> _Way:
        """With all open reads in it that fit."""
        for bit, operation in self._reads.items():
            if not used & bit and self._model.steps(state, operation):
                used |= bit
        return state, used, free

    def _end(self, ways: list[_Way], bit: int) -> list[_Way]:
        """The ways with the operation of `bit` in them, its bit cleared; none if it fits nowhere."""
        done = _Least(self._unknown)
        seen = _Least(self._unknown)
        levels: list[list[_Way]] = [[]]  # by how many unknown operations they have used, so that the thrifty come first
        for way in ways:
            self._place(levels, way)
        known = [other for other in self._open if not other & self._unknown and other not in self._reads]
        level = 0
        while level < len(levels):
            for way in levels[level]:  # grows while it is walked
                if not seen.add(way):
                    continue
                state, used, free = way
                if (used | free) & bit:
                    done.add((state, used & ~bit, free & ~bit))
                if used & bit:
                    continue
                for other in self._candidates(known, used):
                    self._steps_left -= 1
                    self._put_in(levels, way, other)
                if self._steps_left < 0:
                    raise _TooManyStepsError
            levels[level] = []
            level += 1
        return done.ways()

    def _put_in(self, levels: list[list[_Way]], way: _Way, bit: int) -> None:
        state, used, free = way
        operation = self._open[bit]
        if self._model.only_writes(operation):
            free |= self._writes & ~used
        for after in self._model.steps(state, operation):
            if after != state or not bit & self._unknown:  # an unknown one is not used up for nothing
                self._place(levels, self._with_reads(after, used | bit, free & ~bit))

    def _place(self, levels: list[list[_Way]], way: _Way) -> None:
        level = (way[1] & self._unknown).bit_count()
        while len(levels) <= level:
            levels.append([])
        levels[level].append(way)

    def _candidates(self, known: list[int], used: int) -> list[int]:
        candidates = [other for other in known if not used & other]
        for twins in self._twins.values():
            for other in twins:
                if not used & other:
                    candidates.append(other)
                    break
        return candidates

    def _violation(
        self, key: Hashable, operation: Operation, bit: int, ways: list[_Way], operations: Sequence[Operation]
    ) -> Violation:
        overlapping = sorted((other for other_bit, other in self._open.items() if other_bit != bit), key=_start)
        before = sorted((other for other in operations if other.end < operation.end), key=_end)[-8:]
        states = tuple(sorted({way[0] for way in ways}, key=repr))
        return Violation(key, operation, states, tuple(overlapping), tuple(before))


@final
class _Least:
    """Ways, without those that another is as good as.

    One is as good as another of the same state if it has used the same or fewer of the unknown operations, has all the
    others in it that the other has, or may be taken to, and is not bound to any where the other is free.
    """

    __slots__ = ("_seen", "_unknown")

    def __init__(self, unknown: int) -> None:
        self._unknown = unknown
        self._seen: dict[Hashable, list[tuple[int, int]]] = {}

    def add(self, way: _Way) -> bool:
        """Keep it; False if one that was added before is as good."""
        state, used, free = way
        others = self._seen.setdefault(state, [])
        has = (used | free) & ~self._unknown
        for other_used, other_free in others:
            if other_used & used == other_used and (other_used | other_free) & has == has:
                return False
        others.append((used, free))
        return True

    def ways(self) -> list[_Way]:
        """All that were kept."""
        return [(state, used, free) for state, ways in self._seen.items() for used, free in ways]


def _start(operation: Operation) -> float:
    return operation.start


def _end(operation: Operation) -> float:
    return operation.end


def _events(operations: Sequence[Operation]) -> list[tuple[float, bool, int]]:
    """Starts and ends in order of time; at the same moment starts come first, so that they overlap."""
    events = [(operation.start, False, position) for position, operation in enumerate(operations)]
    events += [(op.end, True, position) for position, op in enumerate(operations) if not op.is_unknown]
    events.sort()
    return events


def explain(violation: Violation) -> str:
    """A violation as lines of text, with a picture of what overlapped."""
    wrong = violation.operation
    shown = [*violation.before, *violation.overlapping, wrong]
    shown.sort(key=_start)
    where = "" if violation.key is None else f" of key {violation.key!r}"
    states = ", ".join(repr(state) for state in violation.states[:8])
    lines = [
        f"not linearizable: no order of the operations{where} explains",
        f"    {wrong}   client {wrong.client}, {wrong.start:g} to {wrong.end:g}",
    ]
    if states:
        lines.append(f"before it the state could only have been {states}{', ...' if len(violation.states) > 8 else ''}")
    lines.append("")
    lo = min(operation.start for operation in shown)
    width = 48
    scale = (wrong.end - lo) / width or 1.0
    for operation in shown:
        left = min(int((operation.start - lo) / scale), width - 1)
        right = width if operation.is_unknown else min(max(int((operation.end - lo) / scale), left + 1), width)
        bar = " " * left + "|" + "-" * max(right - left - 2, 0) + (">" if operation.is_unknown else "|")
        mark = " <--" if operation is wrong else ""
        lines.append(f"{bar:<{width + 1}} client {operation.client}: {operation}{mark}")
    return "\n".join(lines)
