"""The way of a client that uses `raftly.node.remote`: real requests on real connections over the simulated network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from raftly.errors import RaftlyError
from raftly.node.errors import SessionExpired
from raftly.node.reads import Freshness, Read
from raftly.node.remote import Remote, RemoteOptions, RemoteSession, connect
from raftly.testing.sim.cluster import PORT, SimCluster
from raftly.testing.sim.host import Host
from raftly.transport.client import TcpDialer

if TYPE_CHECKING:
    from raftly.testing.sim.clients import Call

T = TypeVar("T")


class NoSession(Exception):
    """A session was not opened, so the call was not made."""


@final
class RemoteWay(Generic[T]):
    """One caller. With `sessions` its commands are applied exactly once, otherwise at most once."""

    def __init__(self, cluster: SimCluster[T], host: Host, patience_s: float, *, sessions: bool) -> None:
        self._cluster = cluster
        self._host = host
        self._patience_s = patience_s
        self._sessions = sessions
        self._remote: Remote[T] | None = None
        self._session: RemoteSession[T] | None = None

    async def perform(self, call: Call[T]) -> object:
        """Call a command.

        Raises:
            Exception: as `Remote` does; NoSession.
        """
        remote = self._remote = self._remote or self._connect()
        if not self._sessions:
            return await remote.call(call.method, *call.args)
        session = self._session
        if session is None:
            try:
                session = self._session = await remote.open_session()
            except RaftlyError as error:
                raise NoSession from error
        try:
            return await session.call(call.method, *call.args)
        except SessionExpired:
            self._session = None
            raise

    async def read(self, call: Call[T], read: Read) -> tuple[object, Freshness]:
        """Call a query.

        Raises:
            Exception: as `Remote` does.
        """
        remote = self._remote = self._remote or self._connect()
        return await remote.reading(read).ask_fresh(call.method, *call.args)

    def find_again(self) -> None:
        """If every node that it ever heard of is gone for good, tell it where the others are, as its operator would.

        Gone is also who does not serve since its disk is damaged: it is about to be removed.
        """
        cluster, remote = self._cluster, self._remote
        damaged = cluster.damaged - cluster.nodes.keys()
        there = {(cluster.hosts[id_].address, PORT) for id_ in cluster.ids if id_ not in damaged}
        if remote is not None and there.isdisjoint(remote.addresses):
            self._remote = self._session = None
            cluster.world.rare["callers that knew nobody any more"] += 1

    def _connect(self) -> Remote[T]:
        cluster, host = self._cluster, self._host
        dialer = TcpDialer(cluster.cluster_id, cluster.tcp, random=host.source("dialer"), on_event=_ignore)
        places = [(cluster.hosts[id_].address, PORT) for id_ in cluster.ids]
        options = RemoteOptions(call_timeout=self._patience_s, seed=host.seed("remote"))
        return connect(cluster.cls, places, cluster_id=cluster.cluster_id, options=options, dialer=dialer)


_ignore: Callable[[Any], None] = lambda _: None  # noqa: E731
