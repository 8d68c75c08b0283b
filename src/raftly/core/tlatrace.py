"""Trace events in the form that the TLA+ trace validation of etcd-io/raft replays: one dict, then one JSON line, each.

    {"tag": "trace", "event": {"name", "nid", "state", "role", "log", "conf", ["msg"], ["prop"]}}

Ids are decimal strings, "0" is nobody. Receipts show the state before the message was handled, role changes the state
after it; a configuration is shown before its switch, with the new voters in `prop`. Pre-candidates, reads and transfers
are not part of the specification: their messages and role changes give nothing. Nor does it know joint configurations,
messages that arrive twice, appends that grow while they wait (`Config.batch_append`), or the answers that
`Config.check_quorum` gives to an older term: it rejects traces that show them.

Source: etcd-io/raft state_trace.go and tla/ (the form), "Validating Traces of Distributed Programs Against TLA+
Specifications" (the method).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from raftly.base.membership import AnyConfChange, ConfChangeType
from raftly.base.types import EntryType, NodeId
from raftly.core.fields import to_fields
from raftly.core.messages import Message, MessageType, MsgApp
from raftly.core.role import Role
from raftly.core.trace import (
    CommitAttempted,
    ConfChangeAccepted,
    ConfigSwitching,
    EntryReplicated,
    LeaderElected,
    MessageReceived,
    MessageSent,
    NodeCreated,
    ReadyAccepted,
    RoleChanged,
    TraceEvent,
)

if TYPE_CHECKING:
    from raftly.core.raft import Raft

TlaValue: TypeAlias = "int | str | bool | list[TlaValue] | dict[str, TlaValue]"
TlaRecord: TypeAlias = "dict[str, TlaValue]"

_PLAIN_NAMES: Final[dict[type[TraceEvent], str]] = {
    NodeCreated: "InitState",
    LeaderElected: "BecomeLeader",
    CommitAttempted: "Commit",
    ReadyAccepted: "Ready",
}
_ROLE_NAMES: Final = {Role.FOLLOWER: "BecomeFollower", Role.CANDIDATE: "BecomeCandidate"}  # leaders: LeaderElected
_MESSAGE_NAMES: Final = {
    MessageType.MsgApp: "AppendEntriesRequest",
    MessageType.MsgHeartbeat: "AppendEntriesRequest",
    MessageType.MsgSnap: "AppendEntriesRequest",
    MessageType.MsgAppResp: "AppendEntriesResponse",
    MessageType.MsgHeartbeatResp: "AppendEntriesResponse",
    MessageType.MsgVote: "RequestVoteRequest",
    MessageType.MsgVoteResp: "RequestVoteResponse",
}
_ACTIONS: Final = {
    ConfChangeType.ADD_NODE: "AddNewServer",
    ConfChangeType.REMOVE_NODE: "RemoveServer",
    ConfChangeType.ADD_LEARNER_NODE: "AddLearner",
}


@final
class TlaTracer:
    """A Tracer that hands each record to `write` in the order of events; one for all nodes of a group.

    To the specification a start is one step, so what a node does while it takes up its stored state is not told:
    InitState comes when that is done, with all of it. Nor does it know pre-candidates: such a node is still what it was
    before.
    """

    __slots__ = ("_created", "_roles", "_write")

    def __init__(self, write: Callable[[TlaRecord], None]) -> None:
        self._write = write
        self._created: dict[NodeId, Raft] = {}
        self._roles: dict[NodeId, Role] = {}  # the last that the specification knows

    def on_event(self, node: Raft, event: TraceEvent) -> None:
        """Pass the event on, if the specification knows it."""
        if type(event) is NodeCreated:
            self._created[node.id] = node
        elif self._created.get(node.id) is not node:
            return
        if node.role is not Role.PRE_CANDIDATE:
            self._roles[node.id] = node.role
        record = tla_record(node, event)
        if record is not None:
            told = record["event"]
            assert isinstance(told, dict)
            told["role"] = self._roles.get(node.id, Role.FOLLOWER).value
            self._write(record)


def tla_record(node: Raft, event: TraceEvent) -> TlaRecord | None:
    """What to write, as one JSON line, for an event that happens now at `node`; None for an event not modelled."""
    name = _PLAIN_NAMES.get(type(event))
    if name is not None:
        return _record(node, name)
    if isinstance(event, MessageSent):
        return _message_record(node, "Send", event.message)
    if isinstance(event, MessageReceived):
        return _message_record(node, "Receive", event.message)
    if isinstance(event, EntryReplicated):
        return _record(node, "Replicate") if event.type == EntryType.NORMAL else None
    if isinstance(event, RoleChanged):
        name = _ROLE_NAMES.get(event.role)
        return None if name is None else _record(node, name)
    if isinstance(event, ConfigSwitching):
        return _record(node, "ApplyConfChange", {"cc": {"newconf": _ids(event.voters)}})
    if isinstance(event, ConfChangeAccepted):
        return _conf_change_record(node, event.change)
    return None


def _record(node: Raft, name: str, prop: TlaRecord | None = None) -> TlaRecord:
    voters = node.tracker.config.voters
    event: TlaRecord = {
        "name": name,
        "nid": str(node.id),
        "state": {"term": node.term, "vote": str(node.vote), "commit": node.log.committed},
        "role": node.role.value,
        "log": node.log.last_index,
        "conf": [_ids(voters.incoming.ids), _ids(voters.outgoing.ids)],
    }
    if prop is not None:
        event["prop"] = prop
    return {"tag": "trace", "event": event}


def _ids(ids: tuple[NodeId, ...]) -> list[TlaValue]:
    return [str(id_) for id_ in ids]


def _conf_change_record(node: Raft, change: AnyConfChange) -> TlaRecord | None:
    changes: list[TlaValue] = [
        {"nid": str(single.node_id), "action": _ACTIONS[single.type]}
        for single in change.as_v2().changes
        if single.type in _ACTIONS
    ]
    return _record(node, "ChangeConf", {"cc": {"changes": changes}}) if changes else None


def _message_record(node: Raft, verb: str, message: Message) -> TlaRecord | None:
    name = _MESSAGE_NAMES.get(message.type)
    if name is None:
        return None
    record = _record(node, verb + name)
    inner = record["event"]
    assert isinstance(inner, dict)
    inner["msg"] = _message(message)
    return record


def _message(message: Message) -> TlaRecord:
    fields = to_fields(message)
    entries = len(fields.entries)
    commit = fields.commit
    if isinstance(message, MsgApp):
        commit = min(commit, message.index + entries)  # the specification's leader clamps what ours leaves to clamp
    if fields.snapshot is not None:
        entries = fields.snapshot.meta.index  # a snapshot is an append of everything from the start of the log
    return {
        "type": fields.type.name,
        "term": fields.term,
        "from": str(fields.from_),
        "to": str(fields.to),
        "entries": entries,
        "logTerm": fields.log_term,
        "index": fields.index,
        "commit": commit,
        "vote": str(fields.vote),
        "reject": fields.reject,
        "rejectHint": fields.reject_hint,
    }
