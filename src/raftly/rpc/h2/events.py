"""What came in, as values. `Connection.receive` returns them in the order of the frames that made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, final

if TYPE_CHECKING:
    from raftly.rpc.h2.frames import ErrorCode
    from raftly.rpc.h2.headers import HeaderBlock
    from raftly.rpc.h2.stream import Stream

__all__ = [
    "ConnectionEnded",
    "DataReceived",
    "Event",
    "GoAwayReceived",
    "HeadersReceived",
    "HeadersTooLarge",
    "PingAcked",
    "SettingsReceived",
    "StreamReset",
]


class Event:
    """Base of all events; `describe` is what tests compare and logs print."""

    __slots__ = ()
    FIELDS: ClassVar[tuple[str, ...]] = ()

    def describe(self) -> tuple[object, ...]:
        """Class name and fields, streams by number and header blocks by their fields."""
        return (type(self).__name__, *[_plain(getattr(self, name)) for name in self.FIELDS])


def _plain(value: object) -> object:
    fields = getattr(value, "fields", None)
    if fields is not None:
        return tuple(fields)
    return getattr(value, "id", value)


@final
class HeadersReceived(Event):
    """A request, a response, or trailers (`block.shape` says which). `end_stream`: nothing more comes."""

    __slots__ = ("block", "end_stream", "stream")
    FIELDS: ClassVar = ("block", "end_stream", "stream")

    def __init__(self, stream: Stream, block: HeaderBlock, end_stream: bool) -> None:
        self.stream = stream
        self.block = block
        self.end_stream = end_stream


@final
class HeadersTooLarge(Event):
    """A request whose header list is over `Limits.header_list_bytes_max`: answer on the stream, do not serve it."""

    __slots__ = ("stream",)
    FIELDS: ClassVar = ("stream",)

    def __init__(self, stream: Stream) -> None:
        self.stream = stream


@final
class DataReceived(Event):
    """Payload of one DATA frame, padding removed. It counts as unread until given back with `Connection.release`."""

    __slots__ = ("data", "end_stream", "stream")
    FIELDS: ClassVar = ("data", "end_stream", "stream")

    def __init__(self, stream: Stream, data: bytes, end_stream: bool) -> None:
        self.stream = stream
        self.data = data
        self.end_stream = end_stream


@final
class StreamReset(Event):
    """A stream ended early. `remote`: the peer did it. `unprocessed`: the peer says it did nothing with it."""

    __slots__ = ("code", "problem", "remote", "stream", "unprocessed")
    FIELDS: ClassVar = ("code", "problem", "remote", "stream", "unprocessed")

    def __init__(self, stream: Stream, code: ErrorCode, *, remote: bool, unprocessed: bool, problem: str = "") -> None:
        self.stream = stream
        self.code = code
        self.remote = remote
        self.unprocessed = unprocessed
        self.problem = problem


@final
class SettingsReceived(Event):
    """The peer's settings changed; `Connection.peer` has them."""

    __slots__ = ()


@final
class PingAcked(Event):
    """The peer answered a ping of ours."""

    __slots__ = ("payload",)
    FIELDS: ClassVar = ("payload",)

    def __init__(self, payload: bytes) -> None:
        self.payload = payload


@final
class GoAwayReceived(Event):
    """The peer takes no new streams. Streams above `last_stream_id` were reset before this, as unprocessed."""

    __slots__ = ("code", "debug", "last_stream_id")
    FIELDS: ClassVar = ("code", "debug", "last_stream_id")

    def __init__(self, last_stream_id: int, code: ErrorCode, debug: bytes) -> None:
        self.last_stream_id = last_stream_id
        self.code = code
        self.debug = debug


@final
class ConnectionEnded(Event):
    """The peer broke the protocol; GOAWAY is in the output, no further event follows. Send the output and close."""

    __slots__ = ("code", "problem")
    FIELDS: ClassVar = ("code", "problem")

    def __init__(self, code: ErrorCode, problem: str) -> None:
        self.code = code
        self.problem = problem
