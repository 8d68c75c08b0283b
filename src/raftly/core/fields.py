"""One message spread flat over all fields that any message has.

What text, the protobuf codecs and other tools read and write, so that they need to know no class by name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from raftly.base.types import Entry, Snapshot
from raftly.core.messages import MESSAGE_CLASSES, Message, MessageType, MsgSnap
from raftly.errors import InvariantError


@dataclass(slots=True)
class Fields:
    """One message spread over every field that any message has; what a message lacks keeps its default."""

    type: MessageType
    to: int = 0
    from_: int = 0
    term: int = 0
    log_term: int = 0
    index: int = 0
    entries: list[Entry] = field(default_factory=list)
    commit: int = 0
    commit_term: int = 0
    vote: int = 0
    snapshot: Snapshot | None = None
    reject: bool = False
    reject_hint: int = 0
    context: bytes = b""
    responses: list[Message] = field(default_factory=list)
    request_snapshot: int = 0
    priority: int = 0


def to_fields(message: Message) -> Fields:
    """The flat form of a message."""
    own = {name: getattr(message, name) for name in message.FIELDS}
    return Fields(message.type, message.to, message.from_, message.term, **own)


def from_fields(fields: Fields) -> Message:
    """The message of a flat form; fields that its class does not have are dropped."""
    cls = MESSAGE_CLASSES[fields.type]
    if cls is MsgSnap and fields.snapshot is None:
        fields.snapshot = Snapshot()
    own = [getattr(fields, name) for name in cls.FIELDS]
    message = cls(fields.to, fields.from_, fields.term, *own)
    if message.type != fields.type:
        raise InvariantError(f"message class {cls.__name__} is out of place")
    return message
