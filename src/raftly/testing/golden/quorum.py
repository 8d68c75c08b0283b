"""Quorum scripts: majorities and joint majorities, each case by itself.

    committed        cfg=(...) [cfgj=(...)|zero] idx=(...)            chart and commit index
    vote             cfg=(...) [cfgj=(...)|zero] votes=(...)          result
    group_committed  cfg=(...) [cfgj=(...)|zero] idx=(...) gid=(...)  commit index under group commit (raft-rs)

Values belong to the voters in the order of first mention; `_` is no value. Every result is also calculated in other
ways; a disagreement is a bug of ours and asserted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, final

from raftly.base.types import INDEX_MAX
from raftly.core.quorum import JointConfig, MajorityConfig, VoteResult, describe_acked
from raftly.testing.golden.script import Directive, ScriptError, parse_uint

_VOTES: Final = {"y": 2, "n": 1, "_": 0}


@final
class QuorumRunner:
    """Holds nothing: every case stands alone."""

    def run(self, directive: Directive) -> str:
        """The text of one case.

        Raises:
            ScriptError: an unknown directive or argument, or a value that is none.
        """
        calculate = _HANDLERS.get(directive.command)
        if calculate is None:
            raise ScriptError(f"unknown directive {directive.command}")
        case = _QuorumCase(directive)
        values = case.votes if directive.command == "vote" else case.indexes
        if len(values) != len(case.voters):
            ids = " ".join([f"{id_}:{{}}" for id_ in sorted(case.voters)])
            given = " ".join([_index_text(value) for value in values])
            return f"error: mismatched input (explicit or _) for voters map[{ids}]: [{given}]"
        if directive.command == "group_committed" and len(case.groups) not in {0, len(case.voters)}:
            return (
                "error: mismatched input (explicit or _) for group ids of "
                f"{len(case.voters)} voters: {len(case.groups)}"
            )
        return calculate(case)


@final
class _QuorumCase:
    """The arguments of a case, read."""

    def __init__(self, directive: Directive) -> None:
        self.joint = False
        self.indexes: list[int] = []
        self.votes: list[int] = []
        self.groups: list[int] = []
        incoming: list[int] = []
        outgoing: list[int] = []
        for argument in directive.arguments:
            for value in argument.values:
                if argument.key == "cfg":
                    incoming.append(parse_uint(value))
                elif argument.key == "cfgj":
                    self.joint = True
                    if value != "zero":
                        outgoing.append(parse_uint(value))
                    elif len(argument.values) != 1:
                        raise ScriptError("zero stands alone in cfgj")
                elif argument.key == "idx":
                    self.indexes.append(_parse_value(value))
                elif argument.key == "gid":
                    self.groups.append(_parse_value(value))
                elif argument.key == "votes":
                    if value not in _VOTES:
                        raise ScriptError(f"{value!r} is no vote")
                    self.votes.append(_VOTES[value])
                else:
                    raise ScriptError(f"unknown argument {argument.key}")
        self.incoming = tuple(incoming)
        self.outgoing = tuple(outgoing)
        self.voters = list(dict.fromkeys(incoming + outgoing))  # in the order of first mention

    def acked(self) -> dict[int, int]:
        """Acknowledged index of each voter that has one."""
        return {id_: index for id_, index in zip(self.voters, self.indexes, strict=True) if index}


def _parse_value(text: str) -> int:
    """A number above 0, or 0 for `_`."""
    if text == "_":
        return 0
    value = parse_uint(text)
    if value == 0:
        raise ScriptError("0 is written _")
    return value


def _index_text(index: int) -> str:
    return "∞" if index == INDEX_MAX else str(index)


# --- committed -------------------------------------------------------------------------------------------------


def _committed(case: _QuorumCase) -> str:
    acked = case.acked()
    incoming, outgoing = case.incoming, case.outgoing
    if case.joint:
        joint = JointConfig(incoming, outgoing)
        index = joint.committed_index(acked)
        assert JointConfig(outgoing, incoming).committed_index(acked) == index, "the halves are not symmetric"
        return f"{describe_acked(joint.ids(), acked)}{_index_text(index)}\n"
    majority = MajorityConfig(incoming)
    index = majority.committed_index(acked)
    assert _committed_by_counting(majority.ids, acked) == index, "counting gives another index"
    assert JointConfig(incoming).committed_index(acked) == index, "an empty half changes the index"
    assert JointConfig(incoming, incoming).committed_index(acked) == index, "the same half twice changes the index"
    for id_ in majority.ids:
        own = acked.get(id_, 0)
        for lower in (own - 1, 0) if 0 < own < index else ():
            assert majority.committed_index({**acked, id_: lower}) == index, f"{id_} at {lower} changes the index"
    return f"{describe_acked(majority.ids, acked)}{_index_text(index)}\n"


def _committed_by_counting(voters: tuple[int, ...], acked: Mapping[int, int]) -> int:
    """The largest acknowledged index that a majority reaches, found by trying each."""
    if not voters:
        return INDEX_MAX
    reached = [
        index for index in acked.values() if 2 * sum([acked.get(id_, 0) >= index for id_ in voters]) > len(voters)
    ]
    return max(reached, default=0)


def _group_committed(case: _QuorumCase) -> str:
    groups = case.groups or [0] * len(case.voters)
    acked = {id_: (index, group) for id_, index, group in zip(case.voters, case.indexes, groups, strict=True) if index}
    index, _ = JointConfig(case.incoming, case.outgoing).group_committed_index(acked)
    mirrored, _ = JointConfig(case.outgoing, case.incoming).group_committed_index(acked)
    assert mirrored == index, "the halves are not symmetric"
    return f"{_index_text(index)}\n"


# --- vote ------------------------------------------------------------------------------------------------------


def _vote(case: _QuorumCase) -> str:
    votes = {id_: vote == _VOTES["y"] for id_, vote in zip(case.voters, case.votes, strict=True) if vote}
    if not case.joint:
        result = MajorityConfig(case.incoming).vote_result(votes)
        assert _vote_by_counting(case.incoming, votes) is result, "counting gives another result"
    else:
        result = JointConfig(case.incoming, case.outgoing).vote_result(votes)
        mirrored = JointConfig(case.outgoing, case.incoming).vote_result(votes)
        assert mirrored is result, "the halves are not symmetric"
    return f"{result.value}\n"


def _vote_by_counting(voters: tuple[int, ...], votes: Mapping[int, bool]) -> VoteResult:
    """What becomes of the vote if all others say yes, and if all say no."""
    if not voters:
        return VoteResult.WON
    ids = set(voters)
    if 2 * sum([votes.get(id_, False) for id_ in ids]) > len(ids):
        return VoteResult.WON
    return VoteResult.PENDING if 2 * sum([votes.get(id_, True) for id_ in ids]) > len(ids) else VoteResult.LOST


_HANDLERS: Final[dict[str, Callable[[_QuorumCase], str]]] = {
    "committed": _committed,
    "group_committed": _group_committed,
    "vote": _vote,
}
