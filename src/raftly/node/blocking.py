"""The same without asyncio: a node or a caller whose methods wait.

    with blocking.connect(Counter, ["10.0.0.1:4001"]) as counter:
        counter.call(Counter.add, 5)

    with blocking.replicate(Counter, 1, addresses, "data/1") as node:
        node.call(Counter.add, 5)

Each runs its event loop in one thread of its own, and may be used from any number of threads. Methods take and raise
what their asynchronous namesakes do. A wait that is interrupted (Ctrl-C) gives the call up, whose outcome is then
unknown; the node or caller goes on. Stop it, or use `with`: a thread that is left behind ends with the process, like a
crash. One that is interrupted while it stops goes on with that by itself; `stop` once more waits for it.

After a `fork` they are the parent's: in the child every call raises `Forked`. Make them in the process that uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, final

from raftly.base.types import NodeId
from raftly.core.status import Status
from raftly.loop_thread import LoopThread
from raftly.node import remote as remote_
from raftly.node.config import NodeConfig
from raftly.node.errors import NodeStopped
from raftly.node.membership import Member
from raftly.node.reads import STRONG, Freshness, Read
from raftly.node.remote import Remote, RemoteOptions, RemoteSession
from raftly.node.replicate import replicate as replicate_
from raftly.node.replicated import Replicated
from raftly.node.requests import GroupStatus
from raftly.node.session import Session
from raftly.transport.base import Dialer
from raftly.transport.options import Address, TcpOptions
from raftly.transport.tls import PeerTls

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class Blocking(Generic[T]):
    """What a caller and a node have in common; what is said of a `Remote` holds for a `Replicated` too."""

    def __init__(
        self, thread: LoopThread, waited: Remote[T] | Replicated[T], end: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        self._thread = thread
        self._waited = waited
        self._end = end  # the last that is done in the thread

    def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Remote.call`."""
        return self._thread.run(self._waited.call(method, *args, **kwargs))

    def ask(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Remote.ask`."""
        return self._thread.run(self._waited.ask(method, *args, **kwargs))

    def add(self, id: NodeId, address: Address, *, voter: bool = True, force: bool = False) -> None:
        """See `Remote.add`."""
        self._thread.run(self._waited.add(id, address, voter=voter, force=force))

    def promote(self, id: NodeId, *, force: bool = False) -> None:
        """See `Remote.promote`."""
        self._thread.run(self._waited.promote(id, force=force))

    def remove(self, id: NodeId, *, force: bool = False) -> None:
        """See `Remote.remove`."""
        self._thread.run(self._waited.remove(id, force=force))

    def replace(self, old: NodeId, new: NodeId, address: Address, *, force: bool = False) -> None:
        """See `Remote.replace`."""
        self._thread.run(self._waited.replace(old, new, address, force=force))

    def transfer_leader(self, to: NodeId) -> None:
        """See `Remote.transfer_leader`."""
        self._thread.run(self._waited.transfer_leader(to))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.stop(self._end())


# --- callers elsewhere -----------------------------------------------------------------------------------------


def connect(
    cls: type[T],
    addresses: Sequence[str | Address],
    *,
    cluster_id: int = 1,
    tls: PeerTls | None = None,
    tcp: TcpOptions | None = None,
    options: RemoteOptions | None = None,
    dialer: Dialer | None = None,
) -> BlockingRemote[T]:
    """See `raftly.node.remote.connect`."""
    caller = remote_.connect(cls, addresses, cluster_id=cluster_id, tls=tls, tcp=tcp, options=options, dialer=dialer)
    return BlockingRemote(LoopThread("raftly-remote", _stopped), caller)


@final
class BlockingRemote(Blocking[T]):
    """A `Remote` whose methods wait."""

    def __init__(self, thread: LoopThread, caller: Remote[T]) -> None:
        super().__init__(thread, caller, caller.close)
        self._remote = caller

    def within(self, seconds: float) -> BlockingRemote[T]:
        """See `Remote.within`."""
        return BlockingRemote(self._thread, self._remote.within(seconds))

    def reading(self, read: Read) -> BlockingRemote[T]:
        """See `Remote.reading`."""
        return BlockingRemote(self._thread, self._remote.reading(read))

    def open_session(self, *, ttl: float | None = None) -> BlockingSession[T]:
        """See `Remote.open_session`."""
        return BlockingSession(self._thread, self._thread.run(self._remote.open_session(ttl=ttl)))

    def ask_fresh(
        self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[R, Freshness]:
        """See `Remote.ask_fresh`."""
        return self._thread.run(self._remote.ask_fresh(method, *args, **kwargs))

    def members(self) -> GroupStatus:
        """See `Remote.members`."""
        return self._thread.run(self._remote.members())

    def close(self) -> None:
        """End all connections, those of other views too, and the thread."""
        self._thread.stop(self._remote.close())


@final
class BlockingSession(Generic[T]):
    """A `Session` or a `RemoteSession` whose methods wait."""

    def __init__(self, thread: LoopThread, session: Session[T] | RemoteSession[T]) -> None:
        self.id = session.id
        self._thread = thread
        self._session = session

    def call(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Session.call`."""
        return self._thread.run(self._session.call(method, *args, **kwargs))

    def close(self) -> None:
        """See `Session.close`."""
        session = self._session
        if isinstance(session, RemoteSession):
            self._thread.run(session.close())
        else:
            self._thread.do(session.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# --- a node ----------------------------------------------------------------------------------------------------


def replicate(
    factory: Callable[[], T],
    id: NodeId,
    addresses: Mapping[NodeId, Address],
    directory: str,
    *,
    join: bool = False,
    listen: Address | None = None,
    config: NodeConfig | None = None,
    tcp: TcpOptions | None = None,
) -> BlockingNode[T]:
    """See `raftly.node.replicate.replicate`. The class's methods run in the node's thread."""
    thread = LoopThread(f"raftly-node-{id}", _stopped)
    try:
        started = replicate_(factory, id, addresses, directory, join=join, listen=listen, config=config, tcp=tcp)
        node = thread.run(started)
    except BaseException:
        thread.stop()
        raise
    return BlockingNode(thread, node)


def _stopped() -> NodeStopped:
    return NodeStopped("this was stopped")


@final
class BlockingNode(Blocking[T]):
    """A `Replicated` whose methods wait."""

    def __init__(self, thread: LoopThread, node: Replicated[T]) -> None:
        super().__init__(thread, node, node.stop)
        self._node = node

    def open_session(self, *, ttl: float | None = None, within: float | None = None) -> BlockingSession[T]:
        """See `Replicated.open_session`."""
        return BlockingSession(self._thread, self._thread.run(self._node.open_session(ttl=ttl, within=within)))

    def fresh(self, read: Read = STRONG, *, within: float | None = None) -> Freshness:
        """See `Replicated.fresh`."""
        return self._thread.run(self._node.fresh(read, within=within))

    def look(self, method: Callable[Concatenate[T, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """See `Replicated.look`."""
        return self._thread.do(lambda: self._node.look(method, *args, **kwargs))

    def status(self) -> Status:
        """See `Replicated.status`."""
        return self._thread.do(self._node.status)

    def wait_leader(self, *, within: float | None = None) -> NodeId:
        """See `Replicated.wait_leader`."""
        return self._thread.run(self._node.wait_leader(within=within))

    def member_list(self) -> list[Member]:
        """See `Replicated.member_list`."""
        return self._thread.do(self._node.member_list)

    def stop(self) -> None:
        """See `Replicated.stop`; then end the thread. Interrupted, both are done all the same, behind your back."""
        self._thread.stop(self._node.stop())
