"""Ledger: every write, what became of it, and whether a replica still has what was acknowledged.

    put(k, v) begins ──► acknowledged, at a revision      must be there, or something newer that was written to k
                    ├──► unknown                          may be there, now or later
                    └──► refused                          must never be there

Writes are noted before they are sent, so a replica can hold nothing that is not noted. Each change of the dict has a
revision of its own, and revisions only rise: so a write whose revision is not above all that were acknowledged before
it began was given to a group that has lost one of those, even if nobody looks for that one any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import final

from raftly.demo.live.report import Stored


class Outcome(Enum):
    """What is known of a write."""

    PENDING = "pending"
    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"
    REFUSED = "refused"


@final
@dataclass(slots=True, eq=False)
class Write:
    """One of them."""

    key: str
    value: str
    above: int  # the largest revision that was acknowledged when it began
    outcome: Outcome = Outcome.PENDING
    revision: int = 0


@final
@dataclass(slots=True)
class _Key:
    acknowledged: Write | None = None  # the one with the largest revision
    writes: list[Write] = field(default_factory=list)


@final
class Ledger:
    """All writes of a demonstration."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.unknown = 0
        self.contradictions: list[str] = []  # revisions that prove a loss by themselves
        self._revision = 0  # the largest that was acknowledged
        self._keys: dict[str, _Key] = {}

    def begin(self, key: str, value: str) -> Write:
        """A write is about to be sent."""
        write = Write(key, value, self._revision)
        self._keys.setdefault(key, _Key()).writes.append(write)
        return write

    def acknowledge(self, write: Write, revision: int) -> None:
        """The group said that it is done, and is change `revision` of the dict."""
        write.outcome = Outcome.ACKNOWLEDGED
        write.revision = revision
        self.acknowledged += 1
        if revision <= write.above:
            self.contradictions.append(
                f"{write.key} was acknowledged as revision {revision}, and revision {write.above} had been "
                "acknowledged before it began: the group went back"
            )
        key = self._keys[write.key]
        if key.acknowledged is None or key.acknowledged.revision < revision:
            key.acknowledged = write
        self._revision = max(self._revision, revision)

    def give_up(self, write: Write) -> None:
        """Nobody knows what became of it."""
        write.outcome = Outcome.UNKNOWN
        self.unknown += 1

    def refuse(self, write: Write) -> None:
        """It was certainly not taken."""
        write.outcome = Outcome.REFUSED

    def judge(self, items: Mapping[str, Stored]) -> list[str]:
        """What is wrong with the whole dict of a replica, a sentence for each key; nothing if nothing was lost."""
        problems = []
        for name, key in sorted(self._keys.items()):
            if problem := _judge(name, key, items.get(name)):
                problems.append(problem)
        return problems

    def judge_value(self, name: str, value: str | None, since: Write | None) -> str:
        """What is wrong with a linearizable read of one key; `since` is its `newest` write when the read began."""
        if since is None:
            return ""  # nothing was promised
        if value is None:
            return f"{name}={since.value} was acknowledged, and is not there"
        later = (write.value for write in self._keys[name].writes if _may_follow(write, since))
        if value == since.value or value in later:
            return ""
        return f"{name}={since.value} was acknowledged, and {value} is read, which was not written later"

    def newest(self, name: str) -> Write | None:
        """The newest acknowledged write of a key."""
        key = self._keys.get(name)
        return None if key is None else key.acknowledged


def _may_follow(write: Write, since: Write) -> bool:
    """May the value of `write` stand where `since` was written?"""
    if write.outcome is Outcome.ACKNOWLEDGED:
        return write.revision > since.revision
    return write.outcome is not Outcome.REFUSED


def _judge(name: str, key: _Key, stored: Stored | None) -> str:
    newest = key.acknowledged
    if newest is None:
        return ""  # nothing was promised
    promised = f"{name}={newest.value} was acknowledged (revision {newest.revision})"
    if stored is None:
        return f"{promised}, and is not there"
    if stored.revision < newest.revision or (stored.revision == newest.revision and stored.value != newest.value):
        return f"{promised}, and {stored.value} is there (revision {stored.revision})"
    if stored.revision == newest.revision:
        return ""
    if any(write.value == stored.value and _may_follow(write, newest) for write in key.writes):
        return ""
    return f"{promised}, and {stored.value} is there (revision {stored.revision}), which nobody wrote"
