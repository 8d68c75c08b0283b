"""One node with asynchronous storage writes, its append and apply threads run by hand.

host = async_leader()                   node 1 of three: elected, its empty entry durable and acknowledged by 2
host.node.propose(b"x")
leaving = hand_out(host)                the append job is queued, and what may leave before it is done leaves
answers = append_next(host)             one job of the append thread; its answer to the node itself is stepped
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from raftly.core.config import Config
from raftly.core.messages import Message, MsgVoteResp
from raftly.core.role import Role
from tests.support.lone import acked
from tests.support.network import DEFAULTS, Host, host_with, storage_with

ASYNC = replace(DEFAULTS, async_storage_writes=True)


def hand_out(host: Host) -> list[Message]:
    """Take Readies until there is none; storage work is queued, the other messages come back."""
    leaving: list[Message] = []
    while host.node.has_ready():
        leaving += host.run_ready()
    return leaving


def append_next(host: Host) -> list[Message]:
    """The append thread does its oldest job; answers to the node itself are stepped, the others come back."""
    return _step_own(host, host.run_append())


def apply_next(host: Host) -> None:
    """The apply thread does its oldest job."""
    _step_own(host, host.run_apply())


def settle(host: Host) -> list[Message]:
    """Both threads catch up; everything that left the node on the way."""
    leaving = hand_out(host)
    while host.append_queue or host.apply_queue:
        while host.append_queue:
            leaving += append_next(host)
        while host.apply_queue:
            apply_next(host)
        leaving += hand_out(host)
    return leaving


def _step_own(host: Host, answers: Iterable[Message]) -> list[Message]:
    leaving = []
    for answer in answers:
        if answer.to == host.id:
            host.node.step(answer)
        else:
            leaving.append(answer)
    return leaving


def async_follower(
    id_: int = 2, *, voters: Sequence[int] = (1, 2, 3), terms: Sequence[int] = (), template: Config = ASYNC
) -> Host:
    """A member at rest, its log durable and uncommitted."""
    return host_with(id_, template, storage_with(voters=voters, terms=terms))


def async_leader(
    *, voters: Sequence[int] = (1, 2, 3), terms: Sequence[int] = (), template: Config = ASYNC, followers: int = 1
) -> Host:
    """Node 1 as leader at rest, everything in its log durable; the first `followers` others hold it too."""
    host = async_follower(1, voters=voters, terms=terms, template=template)
    host.node.campaign()
    settle(host)
    others = [id_ for id_ in voters if id_ != 1]
    for id_ in others:
        if host.raft.role is not Role.LEADER:
            host.node.step(MsgVoteResp(1, id_, host.raft.term))
    assert host.raft.role is Role.LEADER
    settle(host)
    for id_ in others[:followers]:
        host.node.step(acked(host, id_))
    settle(host)
    return host
