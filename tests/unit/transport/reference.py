"""The protobuf library's own classes for the two forms, from descriptors that are made here.

A row is (number, name, type); a type that is no scalar names a message or an enumeration of the same file.
"""

from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClassesForFiles

SCALARS = {
    "uint64": FieldDescriptorProto.TYPE_UINT64,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
}

MESSAGE_TYPES = [
    *("Hup", "Beat", "Prop", "App", "AppResp", "Vote", "VoteResp", "Snap", "Heartbeat", "HeartbeatResp"),
    *("Unreachable", "SnapStatus", "CheckQuorum", "TransferLeader", "TimeoutNow", "ReadIndex", "ReadIndexResp"),
    *("PreVote", "PreVoteResp", "StorageAppend", "StorageAppendResp", "StorageApply", "StorageApplyResp"),
    "ForgetLeader",
]

Rows = list[tuple[int, str, str]]

SHARED: dict[str, Rows] = {
    "SnapshotMetadata": [(1, "conf_state", "ConfState"), (2, "index", "uint64"), (3, "term", "uint64")],
    "Snapshot": [(1, "data", "bytes"), (2, "metadata", "SnapshotMetadata")],
    "HardState": [(1, "term", "uint64"), (2, "vote", "uint64"), (3, "commit", "uint64")],
    "ConfState": [
        (1, "voters", "*uint64"),
        (2, "learners", "*uint64"),
        (3, "voters_outgoing", "*uint64"),
        (4, "learners_next", "*uint64"),
        (5, "auto_leave", "bool"),
    ],
    "ConfChange": [
        (1, "id", "uint64"),
        (2, "type", "ConfChangeType"),
        (3, "node_id", "uint64"),
        (4, "context", "bytes"),
    ],
    "ConfChangeSingle": [(1, "type", "ConfChangeType"), (2, "node_id", "uint64")],
    "ConfChangeV2": [
        (1, "transition", "ConfChangeTransition"),
        (2, "changes", "*ConfChangeSingle"),
        (3, "context", "bytes"),
    ],
}
ENTRY: Rows = [(1, "type", "EntryType"), (2, "term", "uint64"), (3, "index", "uint64"), (4, "data", "bytes")]
MESSAGE: Rows = [
    (1, "type", "MessageType"),
    (2, "to", "uint64"),
    (3, "from", "uint64"),
    (4, "term", "uint64"),
    (5, "log_term", "uint64"),
    (6, "index", "uint64"),
    (7, "entries", "*Entry"),
    (8, "commit", "uint64"),
    (9, "snapshot", "Snapshot"),
    (10, "reject", "bool"),
    (11, "reject_hint", "uint64"),
    (12, "context", "bytes"),
]


def _file(package: str, syntax: str, messages: dict[str, Rows], enums: dict[str, list[str]]) -> FileDescriptorProto:
    made = FileDescriptorProto(name=f"{package}.proto", package=package, syntax=syntax)
    for name, values in enums.items():
        enum = EnumDescriptorProto(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=f"{name}_{value}", number=number)
        made.enum_type.append(enum)
    for name, rows in messages.items():
        message = DescriptorProto(name=name)
        for number, field_name, type_ in rows:
            kind = type_.removeprefix("*")
            label = FieldDescriptorProto.LABEL_REPEATED if type_ != kind else FieldDescriptorProto.LABEL_OPTIONAL
            field = message.field.add(name=field_name, number=number, label=label)
            if kind in SCALARS:
                field.type = SCALARS[kind]
            else:
                field.type = FieldDescriptorProto.TYPE_ENUM if kind in enums else FieldDescriptorProto.TYPE_MESSAGE
                field.type_name = f".{package}.{kind}"
        made.message_type.append(message)
    return made


def _classes(made: FileDescriptorProto) -> dict[str, Any]:
    pool = DescriptorPool()
    pool.Add(made)
    classes = GetMessageClassesForFiles([made.name], pool)
    return {name.rpartition(".")[2]: cls for name, cls in classes.items()}


@cache
def raftpb() -> dict[str, Any]:
    """etcd/raft's messages by name."""
    messages = SHARED | {"Entry": ENTRY, "Message": [*MESSAGE, (13, "vote", "uint64"), (14, "responses", "*Message")]}
    enums = {
        "EntryType": ["Normal", "ConfChange", "ConfChangeV2"],
        "MessageType": MESSAGE_TYPES,
        "ConfChangeTransition": ["Auto", "Implicit", "Explicit"],
        "ConfChangeType": ["AddNode", "RemoveNode", "UpdateNode", "AddLearnerNode"],
    }
    return _classes(_file("raftpb", "proto2", messages, enums))


@cache
def eraftpb() -> dict[str, Any]:
    """raft-rs's messages by name; `type` stands for msg_type, entry_type and change_type, names are not on the wire."""
    own = [
        (13, "request_snapshot", "uint64"),
        (14, "deprecated_priority", "uint64"),
        (15, "commit_term", "uint64"),
        (16, "priority", "int64"),
    ]
    messages = SHARED | {
        "Entry": [*ENTRY, (5, "sync_log", "bool"), (6, "context", "bytes")],
        "Message": [*MESSAGE, *own],
    }
    enums = {
        "EntryType": ["Normal", "ConfChange", "ConfChangeV2"],
        "MessageType": MESSAGE_TYPES[:19],
        "ConfChangeTransition": ["Auto", "Implicit", "Explicit"],
        "ConfChangeType": ["AddNode", "RemoveNode", "AddLearnerNode"],
    }
    return _classes(_file("eraftpb", "proto3", messages, enums))
