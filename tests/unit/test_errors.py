"""The error tree: what errors say, and that equal ones are equal."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from raftly import errors
from raftly.errors import (
    Compacted,
    ConfChangeError,
    ConfigError,
    Corruption,
    DamagedMessage,
    DecodeError,
    DropReason,
    LimitExceeded,
    LogNotReady,
    NotLeader,
    PeerNotFound,
    ProposalDropped,
    RaftlyError,
    RequestSnapshotDropped,
    Retry,
    SnapshotNotReady,
    SnapshotOutOfDate,
    StepLocalMessage,
    Unavailable,
)

# One error of each kind that carries something, and variations of it in one field each.
CARRYING: list[list[Callable[[], RaftlyError]]] = [
    [NotLeader, lambda: NotLeader(2)],
    [lambda: ProposalDropped(DropReason.NO_LEADER), lambda: ProposalDropped(DropReason.TRANSFERRING)],
    [lambda: RequestSnapshotDropped("a"), lambda: RequestSnapshotDropped("b")],
    [lambda: LimitExceeded("a", 1, 2), lambda: LimitExceeded("a", 1, 3), lambda: LimitExceeded("b", 1, 2)],
    [lambda: ConfigError("id", "a"), lambda: ConfigError("id", "b"), lambda: ConfigError("seed", "a")],
    [lambda: ConfChangeError("a"), lambda: ConfChangeError("b")],
    [lambda: StepLocalMessage("MsgHup"), lambda: StepLocalMessage("MsgBeat")],
    [lambda: PeerNotFound(1), lambda: PeerNotFound(2)],
    [lambda: DamagedMessage("MsgApp", 1, "a"), lambda: DamagedMessage("MsgApp", 2, "a")],
    [lambda: DecodeError("a", 1, "b"), lambda: DecodeError("a", 2, "b")],
    [lambda: Corruption("a", 1, "b"), lambda: Corruption("b", 1, "b")],
]
PLAIN: list[type[RaftlyError]] = [Compacted, Unavailable, SnapshotOutOfDate, SnapshotNotReady]


@pytest.mark.behaviour("X16")
def test_errors_are_equal_in_kind_and_in_what_they_carry() -> None:
    makers = [maker for variations in CARRYING for maker in variations] + list(PLAIN)
    for at, maker in enumerate(makers):
        for other_at, other in enumerate(makers):
            assert (maker() == other()) is (at == other_at), (maker(), other())
        assert hash(maker()) == hash(maker())
        assert maker() != str(maker())


@pytest.mark.behaviour("X16")
def test_a_raised_error_equals_the_one_that_was_meant() -> None:
    with pytest.raises(PeerNotFound) as caught:
        raise PeerNotFound(7) from Compacted()
    assert caught.value == PeerNotFound(7)
    assert caught.value in {PeerNotFound(7), Unavailable()}


def test_every_error_has_a_code_of_its_own_a_sentence_and_a_word_on_retrying() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RaftlyError)]
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert isinstance(kind.retry, Retry)
        assert kind.__doc__
    for variations in CARRYING:
        texts = [str(maker()) for maker in variations]
        assert len(set(texts)) == len(texts)
        assert all(texts)


@pytest.mark.parametrize("kind", [Compacted, Unavailable, SnapshotOutOfDate, SnapshotNotReady, LogNotReady])
def test_an_error_without_words_of_its_own_still_says_a_sentence(kind: type[RaftlyError]) -> None:
    assert str(kind()) == kind.sentence
    assert str(kind("own words")) == "own words"
