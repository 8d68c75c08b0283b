"""The same without asyncio: a node or a caller whose methods wait.

    with blocking.connect(Counter, ["10.0.0.1:4001"]) as counter:
        counter.call(Counter.add, 5)

    with blocking.replicate(Counter, 1, addresses, "data/1") as node:
        node.call(Counter.add, 5)

Each runs its event loop in one thread of its own, and may be used from any number of threads. Methods take and raise
what their asynchronous namesakes do. A wait that is interrupted (Ctrl-C) gives the call up, whose outcome is then
unknown; the node or caller goes on. Stop it, or use `with`: a thread that is left behind ends with the process, like a
crash.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, final

from raftly.base.types import NodeId
from raftly.core.status import Status
from raftly.errors import OutcomeUnknown
from raftly.node import remote as remote_
from raftly.node.config import NodeConfig
from raftly.node.errors import NodeStopped, WrongThread
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


@final
class LoopThread:
    """A thread with an event loop in it, until `stop`."""

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._stopping = False  # somebody is about to
        self._stopped = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)
        self._thread.start()

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._wait_end())

    async def _wait_end(self) -> None:
        await self._end.wait()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of `work`, done in the thread.

        Raises:
            WrongThread: this is the thread.
            NodeStopped: it was stopped; `work` was not begun.
            OutcomeUnknown: it was stopped meanwhile.
            Exception: whatever `work` raises.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise WrongThread("a blocking call on the thread of its own event loop would wait for itself")
        with self._lock:
            if self._stopped:
                work.close()
                raise NodeStopped("this was stopped")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError:
            raise OutcomeUnknown("it was stopped before the answer came") from None
        finally:
            future.cancel()  # when the wait was interrupted; nothing otherwise

    def do(self, work: Callable[[], R]) -> R:
        """The result of a function that is called in the thread. Raises as `run`."""

        async def call() -> R:
            return work()

        return self.run(call())

    def stop(self, last: Coroutine[Any, Any, None]) -> None:
        """Do `last`, then end the thread, and all that runs in it; again is fine.

        Raises:
            WrongThread: this is the thread.
            Exception: whatever `last` raises.
        """
        with self._lock:
            begun, self._stopping = self._stopping, threading.current_thread() is not self._thread or self._stopping
        if begun:
            last.close()
            self._thread.join()
            return
        try:
            self.run(last)
        finally:
            if self._stopping:
                with self._lock:
                    self._stopped = True
                self._loop.call_soon_threadsafe(self._end.set)
                self._thread.join()


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
    return BlockingRemote(LoopThread("raftly-remote"), caller)


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
    thread = LoopThread(f"raftly-node-{id}")
    try:
        started = replicate_(factory, id, addresses, directory, join=join, listen=listen, config=config, tcp=tcp)
        node = thread.run(started)
    except BaseException:
        thread.stop(_nothing())
        raise
    return BlockingNode(thread, node)


async def _nothing() -> None:
    """What is left to do when nothing was begun."""


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
        """See `Replicated.stop`; then end the thread."""
        self._thread.stop(self._node.stop())
