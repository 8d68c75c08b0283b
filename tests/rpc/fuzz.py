"""Coverage-guided fuzzing of the whole protocol stack, both roles, with atheris.

    python -m tests.rpc.fuzz [--seconds 600] [--corpus DIRECTORY]

Each input is read as a script of frames (or as raw bytes), cut into pieces, and fed to a server connection with real
handlers on a transport in memory, to a server core, and to a client core with calls open. Checked on every input:

- nothing raises, and no handler is left running;
- the core gives the same events and output for the bytes whole and in pieces;
- output is whole frames, buffers and streams stay within `Limits`.

`one_input` is what the fuzzer calls; tests call it too, with inputs of a seeded generator.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

if __name__ == "__main__":  # before what is to be instrumented is imported
    import atheris

    with atheris.instrument_imports(include=["raftly", "hpack"]):
        for _name in ("hpack", "raftly.rpc.server", "raftly.rpc.channel"):
            importlib.import_module(_name)

from raftly.rpc.channel import Channel
from raftly.rpc.client_call import ClientCall, UnaryCall
from raftly.rpc.client_connection import ClientConnection
from raftly.rpc.grpc.heads import request_block
from raftly.rpc.grpc.status import RpcError
from raftly.rpc.h2.connection import Connection
from raftly.rpc.h2.events import DataReceived
from raftly.rpc.h2.frames import GOAWAY, PREFACE, SETTINGS, ErrorCode, frame
from raftly.rpc.h2.headers import encode_block
from raftly.rpc.limits import Limits
from raftly.rpc.server import Server
from raftly.rpc.server_connection import ServerConnection
from raftly.rpc.service import Kind, Method, Service, bind

LIMITS = Limits(streams_max=8, message_bytes_max=4096, header_list_bytes_max=2048, control_burst=50, reset_burst=20)
HELLO = PREFACE + frame(SETTINGS, 0, 0)
GROWTH_BYTES_MAX = 64 << 20


def _method(name: str, kind: Kind) -> Method[bytes, bytes]:
    return Method("f.F", name, kind, bytes, bytes, bytes, bytes)


UNARY = _method("U", Kind.UNARY_UNARY)
BIDI = _method("B", Kind.STREAM_STREAM)
_FIELDS = [
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]
    for path in (b"/f.F/U", b"/f.F/B", b"/f.F/S", b"/f.F/C", b"/f.F/W")
]
BLOCKS = [encode_block(fields).block for fields in _FIELDS] + [
    encode_block([(b":status", b"200"), (b"content-type", b"application/grpc")]).block,
    encode_block([(b"grpc-status", b"0")]).block,
    encode_block([(b"grpc-status", b"5"), (b"grpc-message", b"a%20b%zz"), (b"x-bin", b"YWJj,?")]).block,
    encode_block([*_FIELDS[0], (b"grpc-timeout", b"1n"), (b"grpc-encoding", b"gzip")]).block,
    encode_block([*_FIELDS[1], (b"content-length", b"3"), (b"grpc-timeout", b"99999999H")]).block,
    b"\x40\x01a\x01b\xbe\x20",
]


async def _unary(request: bytes) -> bytes:
    return request


async def _waits(request: bytes) -> bytes:
    await asyncio.sleep(3600)
    return request


async def _bidi(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def _server_stream(request: bytes) -> AsyncIterator[bytes]:
    for _ in range(3):
        yield request


async def _client_stream(requests: AsyncIterator[bytes]) -> bytes:
    return b"".join([request async for request in requests])


SERVICE = Service(
    "f.F",
    [
        bind(UNARY, _unary),
        bind(BIDI, _bidi),
        bind(_method("S", Kind.UNARY_STREAM), _server_stream),
        bind(_method("C", Kind.STREAM_UNARY), _client_stream),
        bind(_method("W", Kind.UNARY_UNARY), _waits),
    ],
)


class Sink(asyncio.Transport):
    """A transport that keeps nothing, and is full now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False
        self.written = 0

    def write(self, data: Any) -> None:
        self.written += len(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default


def script(data: bytes) -> bytes:
    """Frames from bytes: kind, flags, stream, then a block of the list or a payload that the next byte measures."""
    out = [HELLO] if data[:1] < b"\xf0" else []
    at = 1
    while at + 4 <= len(data):
        kind, flags, stream, what = data[at : at + 4]
        at += 4
        if what >= 0xE0:
            payload = BLOCKS[what % len(BLOCKS)]
        else:
            payload = data[at : at + what % 48]
            at += what % 48
            if kind % 12 == 0 and what & 1:
                payload = b"\0" + len(payload).to_bytes(4, "big") + payload
        out.append(frame(kind % 12, flags, stream % 24, payload))
    return b"".join(out)


def pieces(data: bytes, seed: int) -> list[bytes]:
    """`data` cut at places that the seed decides."""
    out = []
    at = 0
    while at < len(data):
        seed = seed * 1103515245 + 12345 & 0x7FFFFFFF
        step = 1 + (seed >> 8) % (3 if seed & 1 else 40)
        out.append(data[at : at + step])
        at += step
    return out


def run_core(data: list[bytes], *, client: bool) -> tuple[list[object], bytes]:
    """Events and output of one core; it answers what a driver would."""
    core = Connection(LIMITS, client=client, clock=lambda: 0.0)
    if client:
        core.receive(frame(SETTINGS, 0, 0))
        for _ in range(4):
            core.send_all(core.open_stream(), request_block(b"/f.F/U", b"h", b"http", b"u"), b"\0\0\0\0\1x", None)
    events: list[object] = []
    for piece in data:
        for event in core.receive(piece):
            events.append(event.describe())
            if isinstance(event, DataReceived):
                core.release(event.stream, len(event.data))
        assert len(core.streams) <= LIMITS.streams_max + 1
        assert len(core._buffer) <= LIMITS.frame_bytes_max + 9
        assert core._fragment_bytes <= LIMITS.header_list_bytes_hard
    if not core.ended:
        core.ping(b"12345678")
    for stream in list(core.streams.values()):
        core.reset(stream, ErrorCode.CANCEL)
    output = b""
    while core.has_output:
        output += core.take_output()
    at = len(PREFACE) if client else 0
    kind = SETTINGS
    while at < len(output):
        kind = output[at + 3]
        at += 9 + int.from_bytes(output[at : at + 3], "big")
    assert at == len(output), "output is not whole frames"
    assert (kind == GOAWAY) == core.ended, "GOAWAY is the last word, and nothing else is"
    assert core.ended or core.unread_bytes == 0
    return events, output


class Rig:
    """One event loop for all inputs."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.server = Server([SERVICE], limits=LIMITS)
        self.channel = Channel("127.0.0.1", 1, limits=LIMITS)
        self.failures: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _loop, context: self.failures.append(context))

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def serve(self, data: list[bytes], pauses: int) -> None:
        connection = ServerConnection(self.server, self.loop)
        transport = Sink()
        connection.connection_made(transport)
        for number, piece in enumerate(data):
            if transport.closed:
                break
            if pauses & 1 and number % 7 == 3:
                connection.pause_writing()
            connection.data_received(piece)
            if number % 5 == 4:
                self.turn()
            if pauses & 1 and number % 7 == 6:
                connection.resume_writing()
        self.turn(2)
        connection.check(self.loop.time() + 1.0)
        connection.check(self.loop.time() + 100.0)
        connection.connection_lost(None)
        self.turn(4)
        assert connection.h2.winding_down == 0, "a handler is left running"
        assert connection.calls_open == 0
        assert not asyncio.all_tasks(self.loop), "a task is left"
        if self.server._watch is not None:
            self.server._watch.cancel()
            self.server._watch = None

    def call(self, data: list[bytes]) -> None:
        connection = ClientConnection(self.channel, self.loop)
        connection.connection_made(Sink())
        connection.data_received(frame(SETTINGS, 0, 0))
        calls: list[UnaryCall | ClientCall[bytes, bytes]] = []
        head = request_block(b"/f.F/U", b"h", b"http", b"u")
        for number in range(4):
            if not connection.h2.can_open:
                break
            if number < 2:
                calls.append(UnaryCall(connection, head, b"\0\0\0\0\1x"))
            else:
                calls.append(ClientCall(connection, BIDI, head))
        self.turn()
        for piece in data:
            connection.data_received(piece)
        self.turn()
        for call in calls:
            if isinstance(call, ClientCall):
                with contextlib.suppress(RpcError):
                    while self.loop.run_until_complete(asyncio.wait_for(_drain(call), 5)) is not None:
                        pass
        connection.connection_lost(None)
        self.turn(2)
        for call in calls:
            if isinstance(call, UnaryCall):
                assert call.future.done()
                call.future.exception()
            else:
                call._discard()


async def _drain(call: ClientCall[bytes, bytes]) -> bytes | None:
    if call._inbox is not None and call._inbox.ready:
        return await call.recv()
    return None


_rig: list[Rig] = []


def one_input(data: bytes) -> None:
    """Feed one input to everything. Raises AssertionError, or whatever the code under test lets out."""
    if not _rig:
        _rig.append(Rig())
    rig = _rig[0]
    if len(data) < 3:
        return
    seed, mode = data[0], data[1]
    received = data[2:] if mode & 1 else script(data[2:])
    if mode & 2:
        received = HELLO + received
    cut = pieces(received, seed)
    assert run_core([received], client=False) == run_core(cut, client=False)
    answer = received.removeprefix(PREFACE)
    assert run_core([answer], client=True) == run_core(pieces(answer, seed), client=True)
    rig.serve(cut, mode >> 2)
    rig.call(pieces(answer, seed))
    if rig.failures:
        failures, rig.failures = rig.failures, []
        raise AssertionError(f"the loop heard: {failures}")


def _resident_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz raftly.rpc with coverage guidance.")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=None)
    options = parser.parse_args()
    import atheris  # noqa: PLC0415  # only the command needs it

    count = 0
    base = 0

    def target(data: bytes) -> None:
        nonlocal count, base
        one_input(data)
        count += 1
        if count == 20_000:
            base = _resident_bytes()
        elif count > 20_000 and count % 1000 == 0:
            grown = _resident_bytes() - base
            assert grown < GROWTH_BYTES_MAX, f"grew by {grown} bytes in {count - 20_000} inputs"

    arguments = [sys.argv[0], f"-max_total_time={options.seconds}", "-max_len=1024", "-timeout=5", "-len_control=20"]
    if options.corpus is not None:
        options.corpus.mkdir(parents=True, exist_ok=True)
        arguments.append(str(options.corpus))
    atheris.Setup(arguments, cast("Any", target))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
