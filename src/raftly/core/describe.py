"""Text of what the core handles: entries, messages, Ready, states, membership changes.

These forms are the language of the golden scripts, so changing one is an API change. Node ids are lower-case
hexadecimal at the ends of a message and decimal everywhere else.

Source: the forms that etcd-io/raft prints (util.go); quoting as in Go's `%q`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from raftly.base.membership import AnyConfChange, ConfChangeTransition, ConfChangeType, ConfState, format_changes
from raftly.base.types import NO_NODE, Entry, EntryType, HardState, NodeId, Snapshot
from raftly.core.fields import Fields, to_fields
from raftly.core.messages import APPEND_THREAD, APPLY_THREAD, Message
from raftly.core.proposals import decode_change
from raftly.core.ready import Ready
from raftly.core.status import SoftState
from raftly.core.tracker import Progress
from raftly.errors import (
    Compacted,
    DecodeError,
    PeerNotFound,
    ProposalDropped,
    RaftlyError,
    SnapshotNotReady,
    SnapshotOutOfDate,
    StepLocalMessage,
    Unavailable,
)

ENTRY_TYPE_NAMES: Final = {
    EntryType.NORMAL: "EntryNormal",
    EntryType.CONF_CHANGE: "EntryConfChange",
    EntryType.CONF_CHANGE_V2: "EntryConfChangeV2",
}
TRANSITION_NAMES: Final = {
    ConfChangeTransition.AUTO: "ConfChangeTransitionAuto",
    ConfChangeTransition.JOINT_IMPLICIT: "ConfChangeTransitionJointImplicit",
    ConfChangeTransition.JOINT_EXPLICIT: "ConfChangeTransitionJointExplicit",
}
CHANGE_TYPE_NAMES: Final = {
    ConfChangeType.ADD_NODE: "ConfChangeAddNode",
    ConfChangeType.REMOVE_NODE: "ConfChangeRemoveNode",
    ConfChangeType.UPDATE_NODE: "ConfChangeUpdateNode",
    ConfChangeType.ADD_LEARNER_NODE: "ConfChangeAddLearnerNode",
}
ERROR_TEXTS: Final[dict[type[RaftlyError], str]] = {
    ProposalDropped: "raft proposal dropped",
    StepLocalMessage: "raft: cannot step raft local message",
    PeerNotFound: "raft: cannot step as peer not found",
    Compacted: "requested index is unavailable due to compaction",
    Unavailable: "requested entry at index is unavailable",
    SnapshotOutOfDate: "requested index is older than the existing snapshot",
    SnapshotNotReady: "snapshot is temporarily unavailable",
}
_ESCAPES: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def describe_error(error: RaftlyError) -> str:
    """Etcd's wording where etcd has the error too, else our own."""
    return ERROR_TEXTS.get(type(error)) or str(error)


# --- payloads and entries --------------------------------------------------------------------------------------


def quote(data: bytes) -> str:
    r"""Bytes as a double-quoted string: printable Unicode as it is, the rest as \n, \xNN, \uNNNN or \UNNNNNNNN.

    What is printable is for the Unicode version of the Python at hand to say.
    """
    # surrogateescape turns each byte that is not UTF-8 into one lone surrogate, which no valid byte can give.
    return '"' + "".join([_escape(character) for character in data.decode("utf-8", "surrogateescape")]) + '"'


def _escape(character: str) -> str:
    escaped = _ESCAPES.get(character)
    if escaped is not None:
        return escaped
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def describe_entry(entry: Entry, payload: Callable[[bytes], str] = quote) -> str:
    """`3/17 EntryNormal "payload"`; the changes in short notation for a configuration entry.

    `payload` renders the data of a normal entry, for an application that knows what is in it.
    """
    if entry.type == EntryType.NORMAL:
        text = payload(entry.data)
    else:
        try:
            text = format_changes(decode_change(entry).as_v2().changes)
        except DecodeError as error:
            text = str(error)
    head = f"{entry.term}/{entry.index} {ENTRY_TYPE_NAMES[entry.type]}"
    return f"{head} {text}" if text else head


def describe_entries(entries: Iterable[Entry]) -> str:
    """One entry a line, each line ended."""
    return "".join([describe_entry(entry) + "\n" for entry in entries])


# --- states ----------------------------------------------------------------------------------------------------


def describe_soft_state(state: SoftState) -> str:
    """`Lead:1 State:StateFollower`."""
    return f"Lead:{state.leader} State:{state.role.value}"


def describe_hard_state(state: HardState) -> str:
    """`Term:2 Vote:1 Commit:9`, without the vote when there is none."""
    vote = f" Vote:{state.vote}" if state.vote else ""
    return f"Term:{state.term}{vote} Commit:{state.commit}"


def describe_conf_state(state: ConfState) -> str:
    """All lists, empty ones too, in stored order."""
    return (
        f"Voters:{_id_list(state.voters)} VotersOutgoing:{_id_list(state.voters_outgoing)} "
        f"Learners:{_id_list(state.learners)} LearnersNext:{_id_list(state.learners_next)} "
        f"AutoLeave:{_boolean(state.auto_leave)}"
    )


def _id_list(ids: tuple[NodeId, ...]) -> str:
    return "[" + " ".join([str(id_) for id_ in ids]) + "]"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def describe_snapshot(snapshot: Snapshot) -> str:
    """Where it stands and the membership; never its data."""
    meta = snapshot.meta
    return f"Index:{meta.index} Term:{meta.term} ConfState:{describe_conf_state(meta.conf_state)}"


def describe_conf_change(change: AnyConfChange) -> str:
    """Transition, changes and context, as log lines show a change."""
    v2 = change.as_v2()
    text = f"transition:{TRANSITION_NAMES[v2.transition]}"
    for single in v2.changes:
        text += f" changes:{{type:{CHANGE_TYPE_NAMES[single.type]} node_id:{single.node_id}}}"
    return f"{text} context:{quote(v2.context)}" if v2.context else text


def describe_progress(progress: Iterable[tuple[NodeId, Progress]]) -> str:
    """One peer a line, ascending, each line ended."""
    return "".join([f"{id_}: {peer}\n" for id_, peer in sorted(progress, key=_first)])


def _first(pair: tuple[NodeId, Progress]) -> NodeId:
    return pair[0]


# --- messages and Ready ----------------------------------------------------------------------------------------


def describe_message(message: Message, indent: str = "", *, responses: bool = True) -> str:
    """One message, over several lines when it holds several entries, a snapshot or responses; no final newline.

    `indent` comes before every line; `responses` False leaves out what a storage message carries to be answered.
    """
    fields = to_fields(message)
    text = (
        f"{indent}{_end(fields.from_)}->{_end(fields.to)} {fields.type.name} "
        f"Term:{fields.term} Log:{fields.log_term}/{fields.index}"
    )
    if fields.reject:
        text += f" Rejected (Hint: {fields.reject_hint})"
    if fields.commit:
        text += f" Commit:{fields.commit}"
    if fields.vote:
        text += f" Vote:{fields.vote}"
    text += _carried(fields, indent)
    if responses and fields.responses:
        lines = [describe_message(response, indent + "  ") for response in fields.responses]
        text += " Responses:[\n" + "\n".join(lines) + f"\n{indent}]"
    return text


def _carried(fields: Fields, indent: str) -> str:
    """Entries and snapshot."""
    text = ""
    if len(fields.entries) == 1:
        text += f" Entries:[{describe_entry(fields.entries[0])}]"
    elif fields.entries:
        text += " Entries:["
        for entry in fields.entries:
            text += f"\n{indent}  {describe_entry(entry)}"
        text += f"\n{indent}]"
    if fields.snapshot is not None and not fields.snapshot.is_empty():
        text += f"\n{indent}  Snapshot: {describe_snapshot(fields.snapshot)}"
    return text


def _end(id_: NodeId) -> str:
    if id_ == NO_NODE:
        return "None"
    if id_ == APPEND_THREAD:
        return "AppendThread"
    if id_ == APPLY_THREAD:
        return "ApplyThread"
    return f"{id_:x}"


def describe_ready(ready: Ready) -> str:
    """All that is in it, a part a line; `<empty Ready>`, without a newline, when that is nothing."""
    if ready.is_empty():
        return "<empty Ready>"
    text = f"Ready MustSync={_boolean(ready.must_sync)}:\n"
    if ready.soft_state is not None:
        text += describe_soft_state(ready.soft_state) + "\n"
    if ready.hard_state is not None:
        text += f"HardState {describe_hard_state(ready.hard_state)}\n"
    if ready.read_states:
        states = [f"{{{state.index} {_id_list(tuple(state.context))}}}" for state in ready.read_states]
        text += f"ReadStates [{' '.join(states)}]\n"
    if ready.entries:
        text += "Entries:\n" + describe_entries(ready.entries)
    if ready.snapshot is not None:
        text += f"Snapshot {describe_snapshot(ready.snapshot)}\n"
    if ready.committed_entries:
        text += "CommittedEntries:\n" + describe_entries(ready.committed_entries)
    if ready.messages:
        text += "Messages:\n" + "".join([describe_message(message) + "\n" for message in ready.messages])
    return text
