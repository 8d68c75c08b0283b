"""The answerer's side: who may come in, who is told to go, and what the other nodes send.

Two processes that claim one id are told from one that restarted: the one that is connected is asked whether it lives.
If it answers, the newcomer is refused; if it does not in time, the newcomer takes its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast, final

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.base.types import NodeId
from raftly.core.messages import Message, MsgTransferLeader
from raftly.errors import DecodeError
from raftly.transport.base import RequestHandler
from raftly.transport.connection import Connection, Session
from raftly.transport.events import IdentityRefused
from raftly.transport.frame import FRAME_GROUPS, FRAME_HELLO
from raftly.transport.groups import decode_groups
from raftly.transport.handshake import (
    Hello,
    Purpose,
    Reason,
    Refusal,
    Welcome,
    decode_hello,
    judge_hello,
)
from raftly.transport.hub import Hub
from raftly.transport.options import Address
from raftly.transport.serving import Serving


@final
class Acceptor:
    """All connections that came in."""

    __slots__ = (
        "_clients",
        "_hub",
        "_make_transfer",
        "_nodes",
        "_on_node",
        "_on_node_gone",
        "_tasks",
        "accepted",
        "handler",
        "pending",
    )

    def __init__(
        self,
        hub: Hub,
        make_transfer: Callable[[Connection, Hello, Welcome], Session],
        on_node: Callable[[NodeId, Address | None], None],
        on_node_gone: Callable[[NodeId], None],
    ) -> None:
        self.pending = 0  # that have not shaken hands
        self.accepted = 0  # open, those included
        self.handler: RequestHandler | None = None  # of what clients ask
        self._hub = hub
        self._make_transfer = make_transfer  # the session that takes a snapshot
        self._on_node = on_node  # told who came in, and where it says that it can be dialed
        self._on_node_gone = on_node_gone  # its connection for messages is no more
        self._nodes: dict[NodeId, Incoming] = {}
        self._clients: dict[Serving, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # TLS handshakes

    # --- TCP and TLS ---

    def accept(self) -> asyncio.Protocol:
        """For `create_server`: the protocol of a connection that comes in."""
        if self._hub.options.tls is None:
            return self._new_connection()
        return _TlsGate(self)

    def _new_connection(self) -> Connection:
        return self._hub.new_connection(Accepting(self, self._hub))

    def admit(self) -> bool:
        """Count a connection in, unless there are too many."""
        options = self._hub.options
        if self._hub.closing or self.pending >= options.pending_max or self.accepted >= options.connections_max:
            self._hub.stats.turned_away += 1
            return False
        self._hub.stats.accepted += 1
        self.pending += 1
        self.accepted += 1
        return True

    def on_tcp(self, transport: asyncio.Transport) -> None:
        """TCP is up, TLS is to come."""
        if not self.admit():
            transport.abort()
            return
        task = self._hub.loop.create_task(self._secure(transport))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _secure(self, transport: asyncio.Transport) -> None:
        """TLS by `start_tls`, so that each connection has the certificates of its own time."""
        hub = self._hub
        tls = hub.options.tls
        assert tls is not None
        peername = str(transport.get_extra_info("peername"))
        connection: Connection | None = None
        try:
            connection = self._new_connection()
            secured = await hub.loop.start_tls(
                transport,
                connection,
                tls.server_context(),
                server_side=True,
                ssl_handshake_timeout=hub.options.handshake_s,
            )
            if secured is None or connection.is_closed:
                raise ConnectionError("closed during the TLS handshake")
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError is an OSError
            transport.abort()
            assert connection is not None
            hub.forget(connection)
            hub.stats.tls_failures += 1
            self.pending -= 1
            self.accepted -= 1
            if isinstance(error, asyncio.CancelledError):
                raise
            hub.tell_stranger(peername, f"TLS: {error}")
            return
        session = connection.session
        assert isinstance(session, Accepting)
        session.admitted = True
        connection.connection_made(secured)

    # --- handshake ---

    def on_hello(self, connection: Connection, hello: Hello) -> None:
        """Somebody says who it is: answer, or have the one that already is it prove that it lives."""
        hub = self._hub
        tls = hub.options.tls
        is_client = hello.purpose == Purpose.CLIENT
        if tls is not None:
            certificate = connection.certificate
            problem = (
                tls.find_client_problem(certificate) if is_client else tls.find_problem(hello.node_id, certificate)
            )
            if problem:
                self.refuse(connection, hello, Reason.CERTIFICATE, problem)
                return
        answer = judge_hello(hub.identity, hello)
        if isinstance(answer, Refusal):
            self.refuse(connection, hello, Reason(answer.reason), answer.text)
            return
        if is_client:
            self._on_client(connection, hello, answer)
            return
        if hello.node_id in hub.expelled:
            text = f"node {hello.node_id} was removed from the group; its id is not used again: stop it"
            self.refuse(connection, hello, Reason.REMOVED, text)
            return
        if hello.directory and hub.directories.setdefault(hello.node_id, hello.directory) != hello.directory:
            text = (
                f"node {hello.node_id} comes with another data directory than before, so it has forgotten what it "
                "promised: remove it from the group, and add a node with another id"
            )
            self.refuse(connection, hello, Reason.DIRECTORY, text)
            return
        hub.learn(hello.origin)
        present = self._nodes.get(hello.node_id)
        if present is None or present.incarnation == hello.incarnation or not present.connection.is_open:
            self.welcome(connection, hello, answer)
        else:
            connection.session = present.contest(self, connection, hello, answer)

    def refuse(self, connection: Connection, hello: Hello, reason: Reason, text: str) -> None:
        """Say why not, and close."""
        hub = self._hub
        hub.stats.refused += 1
        if isinstance(connection.session, Accepting):
            connection.session.told = True
        connection.write(Refusal(reason, hub.identity.cluster_id, hub.identity.node_id, text).encode())
        if hello.purpose == Purpose.CLIENT:
            hub.tell_stranger(connection.peer, text)
        else:
            hub.emit(IdentityRefused(hello.node_id, reason.name, text, here=True))
        connection.close(text)

    def _on_client(self, connection: Connection, hello: Hello, answer: Welcome) -> None:
        hub = self._hub
        handler = self.handler
        if handler is None:
            self.refuse(connection, hello, Reason.NO_SERVICE, f"node {hub.identity.node_id} serves no clients now")
        elif len(self._clients) >= hub.options.clients_max:
            text = f"node {hub.identity.node_id} has {len(self._clients)} clients and takes no more"
            self.refuse(connection, hello, Reason.BUSY, text)
        else:
            if isinstance(connection.session, Accepting):
                connection.session.leave()
            connection.reader.limit = hub.options.client_frame_bytes_max
            serving = connection.session = Serving(hub, connection, handler, self._on_client_lost)
            self._clients[serving] = None
            hub.stats.clients += 1
            connection.write(answer.encode())

    def _on_client_lost(self, serving: Serving) -> None:
        del self._clients[serving]
        self._hub.stats.clients -= 1
        self.forget(serving.connection)

    def welcome(self, connection: Connection, hello: Hello, answer: Welcome) -> None:
        """Take the connection in."""
        hub = self._hub
        session = connection.session
        if isinstance(session, Accepting):
            session.leave()
        if hello.purpose == Purpose.SNAPSHOT:
            connection.session = self._make_transfer(connection, hello, answer)
        else:
            before = self._nodes.get(hello.node_id)
            connection.reader.limit = FRAME_BYTES_MAX
            incoming = self._nodes[hello.node_id] = Incoming(self, hub, connection, hello)
            connection.session = incoming
            if before is not None:
                before.connection.abort("the node has connected again")
        connection.write(answer.encode())
        self._on_node(hello.node_id, hello.address if hello.purpose == Purpose.MESSAGES else None)

    def drop(self, node: NodeId) -> None:
        """Close the connection that a node sends on, if there is one."""
        incoming = self._nodes.get(node)
        if incoming is not None:
            incoming.connection.abort("the node was removed from the group")

    def on_incoming_lost(self, incoming: Incoming) -> None:
        """A node's connection for messages is gone."""
        if self._nodes.get(incoming.node) is incoming:
            del self._nodes[incoming.node]
            self._on_node_gone(incoming.node)
            self._hub.tell_lost(incoming.node)

    def forget(self, connection: Connection) -> None:
        """A connection that had been admitted is gone."""
        self.accepted -= 1
        self._hub.forget(connection)

    def peers(self) -> list[NodeId]:
        """Who is connected."""
        return sorted(self._nodes)

    async def close(self) -> None:
        """Stop the TLS handshakes, and tell clients; the hub closes what has passed them."""
        for serving in self._clients:
            serving.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@final
class _TlsGate(asyncio.Protocol):
    """Holds a socket until TLS takes it over."""

    def __init__(self, acceptor: Acceptor) -> None:
        self._acceptor = acceptor

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tcp = cast("asyncio.Transport", transport)
        tcp.pause_reading()
        self._acceptor.on_tcp(tcp)


@final
class Accepting(Session):
    """A connection that has not said hello yet."""

    __slots__ = ("_acceptor", "_address", "_begun", "_connection", "_hub", "_left", "admitted", "told")

    def __init__(self, acceptor: Acceptor, hub: Hub) -> None:
        self.admitted = False
        self.told = False  # its end was told as an event already
        self._acceptor = acceptor
        self._hub = hub
        self._connection: Connection | None = None
        self._address = ""
        self._begun = hub.loop.time()
        self._left = False

    def on_open(self, connection: Connection) -> None:
        """See `Session.on_open`."""
        self._connection = connection
        self._address = connection.peer
        if not self.admitted:
            self.admitted = self._acceptor.admit()
            if not self.admitted:
                connection.abort("there are too many connections")

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        assert self._connection is not None
        if kind != FRAME_HELLO:
            raise DecodeError("handshake", start, f"a frame of kind {kind} came before the hello")
        self._acceptor.on_hello(self._connection, decode_hello(buf[start:stop]))

    def check(self, now: float) -> None:
        """See `Session.check`."""
        if now - self._begun > self._hub.options.handshake_s:
            assert self._connection is not None
            self._connection.time_out(f"no hello within {self._hub.options.handshake_s} s")

    def leave(self) -> None:
        """It has said hello."""
        if self.admitted and not self._left:
            self._left = True
            self._acceptor.pending -= 1

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        assert self._connection is not None
        self.leave()
        if self.admitted:
            self._acceptor.forget(self._connection)
            if not self.told:
                self._hub.tell_stranger(self._address, problem)
        else:
            self._hub.forget(self._connection)


@final
class Newcomer(Session):
    """A connection that claims the id of a node that is connected. Waits until that one answers, or does not."""

    __slots__ = ("_acceptor", "_answer", "_begun", "_connection", "_hello", "_hub", "_present")

    def __init__(
        self,
        acceptor: Acceptor,
        hub: Hub,
        present: Incoming,
        connection: Connection,
        hello: Hello,
        answer: Welcome,
    ) -> None:
        self._acceptor = acceptor
        self._hub = hub
        self._present = present
        self._connection = connection
        self._hello = hello
        self._answer = answer
        self._begun = hub.loop.time()

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        raise DecodeError("handshake", start, f"a frame of kind {kind} came before the answer to the hello")

    def check(self, now: float) -> None:
        """See `Session.check`."""
        if now - self._begun > self._hub.options.contest_s:
            self.win()

    def win(self) -> None:
        """The one that was connected is gone, or as good as gone."""
        self._present.newcomer = None
        self._present.connection.abort("it does not answer, and its node has connected again")
        self._acceptor.welcome(self._connection, self._hello, self._answer)

    def lose(self) -> None:
        """The one that is connected lives."""
        self._present.newcomer = None
        node = self._hello.node_id
        text = f"node {node} is connected already, and answers: stop one of the two, or give one an id of its own"
        self._acceptor.refuse(self._connection, self._hello, Reason.DUPLICATE, text)

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        if self._present.newcomer is self:
            self._present.newcomer = None
        self._acceptor.forget(self._connection)


@final
class Incoming(Session):
    """A node that sends messages."""

    __slots__ = ("_acceptor", "_hub", "connection", "incarnation", "newcomer", "node")

    def __init__(self, acceptor: Acceptor, hub: Hub, connection: Connection, hello: Hello) -> None:
        self.node = hello.node_id
        self.incarnation = hello.incarnation
        self.connection = connection
        self.newcomer: Newcomer | None = None
        self._acceptor = acceptor
        self._hub = hub

    def on_frame(self, kind: int, buf: bytes, start: int, stop: int) -> None:
        """See `Session.on_frame`."""
        if kind != FRAME_GROUPS:
            raise DecodeError("frame", start, f"kind {kind} does not belong on a connection for messages")
        batch = decode_groups(buf, start, stop)
        if self._hub.options.bind_senders:
            self._check_senders(batch)
        self._hub.receive(self.node, batch)

    def _check_senders(self, batch: list[tuple[int, list[Message]]]) -> None:
        """A node speaks for itself. A leadership transfer that is passed on names who is to lead, so it may differ."""
        node = self.node
        for _, messages in batch:
            for message in messages:
                if message.from_ != node and type(message) is not MsgTransferLeader:
                    raise DecodeError("message", 0, f"node {node} sent a message in the name of node {message.from_}")

    def contest(self, acceptor: Acceptor, connection: Connection, hello: Hello, answer: Welcome) -> Newcomer:
        """Another process claims to be this node: prove that you live."""
        if self.newcomer is not None:
            self.newcomer.lose()
        accepting = connection.session
        assert isinstance(accepting, Accepting)
        accepting.leave()
        self.newcomer = Newcomer(acceptor, self._hub, self, connection, hello, answer)
        self.connection.ping()
        return self.newcomer

    def on_alive(self) -> None:
        """See `Session.on_alive`."""
        if self.newcomer is not None:
            self.newcomer.lose()

    def check(self, now: float) -> None:
        """See `Session.check`."""
        self.connection.expect_signs(now)

    def on_lost(self, problem: str) -> None:
        """See `Session.on_lost`."""
        self._acceptor.on_incoming_lost(self)
        self._acceptor.forget(self.connection)
        if self.newcomer is not None:
            self.newcomer.win()
