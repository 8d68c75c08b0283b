"""Bytes of HTTP/2 for tests: frames written by hand, frames read back, and a core on the other side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hpack import Encoder

from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.events import DataReceived, Event, HeadersReceived, HeadersTooLarge
from raftly.rpc.h2.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)
from raftly.rpc.h2.headers import encode_block
from raftly.rpc.limits import Limits

REQUEST = [(":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), (":authority", "host")]
HELLO = PREFACE + frame(SETTINGS, 0, 0)
RESPONSE = encode_block([(b":status", b"200"), (b"content-type", b"text/plain")])
TRAILERS = encode_block([(b"grpc-status", b"0")])
BODY = b"0123456789"


def block(fields: Any, huffman: bool = True) -> bytes:
    """A header block of a fresh encoder; one for each connection unless the encoder is shared."""
    return Encoder().encode(fields, huffman=huffman)


def headers(stream: int, fields: Any = REQUEST, *, end: bool = True, done: bool = True, encoder: Any = None) -> bytes:
    encoded = (encoder or Encoder()).encode(fields)
    return frame(HEADERS, (END_STREAM if end else 0) | (END_HEADERS if done else 0), stream, encoded)


def data(stream: int, payload: bytes, *, end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def settings(*entries: tuple[int, int], flags: int = 0) -> bytes:
    return frame(SETTINGS, flags, 0, b"".join(i.to_bytes(2, "big") + v.to_bytes(4, "big") for i, v in entries))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def rst(stream: int, code: int = 8) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


@dataclass(frozen=True)
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def code(self) -> int:
        """Error code of RST_STREAM or GOAWAY."""
        return int.from_bytes(self.payload[-4:] if self.kind == RST_STREAM else self.payload[4:8], "big")


def parse(output: bytes) -> list[Frame]:
    frames = []
    output = output.removeprefix(PREFACE)
    while output:
        size = int.from_bytes(output[:3], "big")
        frames.append(Frame(output[3], output[4], int.from_bytes(output[5:9], "big"), output[9 : 9 + size]))
        assert len(output) >= 9 + size, "output cut within a frame"
        output = output[9 + size :]
    return frames


class Clock:
    """Time that tests move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A server core that answers each whole request with 200 and ten bytes."""

    def __init__(self, limits: Limits | None = None, *, hello: bool = True, release: bool = True) -> None:
        self.clock = Clock()
        self.core = Connection(limits or Limits(), client=False, clock=self.clock)
        self.events: list[Event] = []
        self.release = release
        self.core.take_output()
        if hello:
            self.feed(HELLO)

    def feed(self, received: bytes) -> list[Frame]:
        """Bytes in, the answer as frames."""
        for event in self.core.receive(received):
            self.events.append(event)
            if isinstance(event, DataReceived) and self.release:
                self.core.release(event.stream, len(event.data))
            if isinstance(event, HeadersTooLarge) or (
                isinstance(event, HeadersReceived | DataReceived) and event.end_stream
            ):
                self.core.send_all(event.stream, RESPONSE, BODY, TRAILERS)
        return self.output()

    def output(self) -> list[Frame]:
        frames = []
        while self.core.has_output:
            frames += parse(self.core.take_output())
        return frames

    def alive(self) -> bool:
        """Whether a ping is answered and a new request served."""
        answered = Frame(PING, ACK, 0, b"12345678") in self.feed(frame(PING, 0, 0, b"12345678"))
        return answered and not self.core.ended


def goaway_code(frames: list[Frame]) -> int | None:
    codes = [frame.code for frame in frames if frame.kind == GOAWAY]
    return codes[-1] if codes else None


def reset_codes(frames: list[Frame]) -> dict[int, int]:
    return {frame.stream: frame.code for frame in frames if frame.kind == RST_STREAM}
