"""What must hold after every step of any cluster, whatever happens to it.

    election safety         at most one leader a term
    one vote                no node gives two votes in one term, not even across crashes
    leader append-only      a leader never cuts its own log
    log matching            an (index, term) is the same entry behind the same predecessor in every log
    leader completeness     what was committed before a term is in the log of that term's leader
    state-machine safety    everyone applies the same entries in the same order, and reaches the same states
    monotonic progress      term, commit and applied index only rise, in the right order to one another
    durability              an acknowledgement never leaves before what it acknowledges is on disk
    linearizable reads      an answer is at least as new as everything committed when the question was asked

Source: Raft thesis, figure 3.2 and §3.8, §6.4. The checker reads the nodes and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from raftly.base.types import Entry
from raftly.core.messages import Message, MsgAppResp, MsgVoteResp
from raftly.core.readindex import ReadState
from raftly.core.role import Role
from tests.support.network import Host


class SafetyViolationError(AssertionError):
    """A property of Raft does not hold."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """What stands at one (index, term), in every log that has it."""

    prev_term: int
    kind: int
    data: bytes


@dataclass(slots=True)
class _Seen:
    """A host as it was when last looked at, within one incarnation."""

    term: int = 0
    role: Role = Role.FOLLOWER
    commit: int = 0
    applied: int = 0
    end: tuple[int, int, int] = (0, 0, 0)  # first index, last index, last term


class SafetyChecker:
    """Watches all hosts of one cluster from its birth on."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}  # term -> node
        self.commits: dict[int, tuple[int, int]] = {}  # index -> (term of the entry, term it was seen committed in)
        self.commit_max = 0
        self.counts: Counter[str] = Counter()  # how much of what was there to be judged
        self._votes: dict[tuple[int, int], int] = {}  # (voter, term) -> candidate
        self._slots: dict[tuple[int, int], _Slot] = {}
        self._states: dict[int, bytes] = {}  # index -> state of an application that applied it
        self._seen: dict[int, _Seen] = {}
        self._reads: dict[bytes, int] = {}  # context -> index that an answer must reach

    # --- told by the simulation ---

    def restarted(self, host: Host) -> None:
        """What a node had not made durable is gone, so it starts over."""
        self._seen[host.id] = _Seen()

    def asked(self, context: bytes) -> None:
        """A linearizable read begins."""
        self._reads[context] = self.commit_max

    def answered(self, host: Host, state: ReadState) -> None:
        least = self._reads[state.context]
        self.counts["reads"] += 1
        _require(state.index >= least, host, f"answers a read with {state.index}, {least} was committed before it")

    def applied(self, host: Host, entry: Entry) -> None:
        """The application of `host` applied an entry and is in its `state`."""
        self.counts["joint" if host.conf_state.voters_outgoing else "applied"] += 1
        committed = self.commits.get(entry.index)
        _require(committed is not None and committed[0] == entry.term, host, f"applied {entry!r}, not {committed}")
        self._reached(host, entry.index)

    def restored(self, host: Host) -> None:
        """The application of `host` took over a snapshot."""
        self.counts["snapshots"] += 1
        _require(host.applied_index in self._states, host, f"took a snapshot of {host.applied_index} that nobody made")
        self._reached(host, host.applied_index)

    def _reached(self, host: Host, index: int) -> None:
        state = self._states.setdefault(index, host.state)
        _require(state == host.state, host, f"is in another state than others were at entry {index}")

    def sent(self, host: Host, message: Message) -> None:
        """A message leaves a node, or comes back to it from its own disk."""
        if isinstance(message, MsgVoteResp) and not message.reject:
            self._voted(host, message.term, message.to)
            durable = host.storage.initial_state()[0]
            _require(durable.term >= message.term, host, f"votes in {message.term}, which is not on disk")
            if durable.term == message.term:
                _require(durable.vote == message.to, host, f"votes for {message.to}, on disk for {durable.vote}")
        elif isinstance(message, MsgAppResp) and not message.reject:
            durable = host.storage.initial_state()[0]
            # A later term may have cut the log meanwhile; within one term nothing does.
            if durable.term == message.term:
                last = host.storage.last_index()
                _require(message.index <= last, host, f"acknowledges {message.index}, its disk ends at {last}")

    def _voted(self, host: Host, term: int, candidate: int) -> None:
        first = self._votes.setdefault((host.id, term), candidate)
        _require(first == candidate, host, f"votes for {first} and {candidate} in term {term}")

    # --- after every step ---

    def look(self, host: Host) -> None:
        """Check one host, the only one that the last step can have changed."""
        raft, log = host.raft, host.raft.log
        seen = self._seen.setdefault(host.id, _Seen())
        durable = host.storage.initial_state()[0]
        if durable.vote:
            self._voted(host, durable.term, durable.vote)
        _require(raft.term >= seen.term, host, f"falls from term {seen.term}")
        _require(log.committed >= seen.commit, host, f"falls from commit {seen.commit}")
        _require(log.applied >= seen.applied, host, f"falls from applied {seen.applied}")
        _require(
            log.applied <= log.applying <= log.committed <= log.last_index, host, f"has its log in disorder: {log}"
        )
        end = (log.first_index(), log.last_index, log.last_term)
        if end != seen.end:
            self._look_at_log(host, seen)
        if log.committed > seen.commit:
            self._look_at_commits(host, max(seen.commit + 1, log.first_index()))
        if raft.role is Role.LEADER and (seen.role is not Role.LEADER or seen.term != raft.term):
            self._look_at_leader(host)
        seen.term, seen.role, seen.end = raft.term, raft.role, end
        seen.commit, seen.applied = log.committed, log.applied

    def _look_at_log(self, host: Host, seen: _Seen) -> None:
        raft = host.raft
        first, old_last, old_last_term = seen.end
        if raft.role is Role.LEADER and seen.role is Role.LEADER and raft.term == seen.term:
            kept = raft.log.term_or_none(old_last)
            _require(raft.log.last_index >= old_last and kept == old_last_term, host, f"cuts its log behind {first}")
        prev_term = raft.log.term_or_none(raft.log.first_index() - 1) or 0
        for entry in host.log():
            _require(entry.term >= prev_term, host, f"has falling terms at {entry!r}")
            slot = _Slot(prev_term, entry.type, entry.data)
            known = self._slots.setdefault((entry.index, entry.term), slot)
            _require(known == slot, host, f"has {slot} at {entry.term}/{entry.index}, others {known}")
            if entry.index <= raft.log.committed and entry.index in self.commits:
                agreed = self.commits[entry.index][0]
                _require(entry.term == agreed, host, f"has {entry!r} where an entry of term {agreed} is committed")
            prev_term = entry.term
        _require(prev_term <= raft.term, host, f"has an entry of the future term {prev_term}")

    def _look_at_commits(self, host: Host, lo: int) -> None:
        log = host.raft.log
        for index in range(lo, log.committed + 1):
            term = log.term(index)
            agreed = self.commits.setdefault(index, (term, host.raft.term))[0]
            _require(agreed == term, host, f"commits {term}/{index}, others {agreed}/{index}")
        self.commit_max = max(self.commit_max, log.committed)

    def _look_at_leader(self, host: Host) -> None:
        raft, log = host.raft, host.raft.log
        self.counts["leaders"] += 1
        first = self.leaders.setdefault(raft.term, host.id)
        _require(first == host.id, host, f"leads term {raft.term}, and so does {first}")
        for index, (term, seen_in) in self.commits.items():
            if seen_in < raft.term and index >= log.first_index():
                held = log.term_or_none(index)
                _require(held == term, host, f"leads without {term}/{index}, committed by term {seen_in}")


def _require(holds: bool, host: Host, problem: str) -> None:
    if not holds:
        raft = host.raft
        raise SafetyViolationError(f"node {host.id} ({raft.role.value}, term {raft.term}, {raft.log}) {problem}")
