"""Without asyncio: the same answers from any thread, and a sentence where a call would wait for itself."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from raftly.errors import ConfigError, NotLeader, OutcomeUnknown
from raftly.loop_thread import LoopThread, WrongThread
from raftly.node import FOLLOWER, LOCAL, NodeConfig, blocking
from raftly.node.blocking import BlockingNode
from raftly.node.errors import NodeStopped, NoNodeReached
from raftly.transport.options import Address
from tests.support.nodes import Register, Taken


@pytest.fixture(name="node")
def make_node(tmp_path: Path) -> Iterator[BlockingNode[Register]]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = held.getsockname()
    config = NodeConfig(1, (1,), tick=0.01, lease=0.04, clock_drift=0.01)
    with blocking.replicate(Register, 1, {1: address}, str(tmp_path), config=config) as node:
        node.wait_leader()
        yield node


def address_of(node: BlockingNode[Register]) -> Address:
    address = node._node._driver._transport.address
    assert address is not None
    return address


def test_a_node_and_a_caller_elsewhere(node: BlockingNode[Register]) -> None:
    assert node.call(Register.add, "a", 1) == 1
    assert node.ask(Register.get, "a") == 1
    assert node.fresh().age_s == 0
    assert node.look(Register.get, "a") == 1
    with node.open_session() as session:
        assert session.call(Register.add, "a", 1) == 2
    assert node.status().basic.soft_state.leader == 1
    (member,) = node.member_list()
    assert member.id == 1
    node.transfer_leader(1)
    with pytest.raises(ConfigError):
        node.transfer_leader(2)
    with blocking.connect(Register, [address_of(node)]) as caller:
        assert caller.call(Register.add, "a", 1) == 3
        assert caller.ask(Register.get, "a") == 3
        assert caller.reading(LOCAL).within(1.0).ask_fresh(Register.get, "a")[0] == 3
        with caller.open_session() as remote_session:
            assert remote_session.call(Register.add, "a", 1) == 4
        assert caller.members().leader == 1
        caller.call(Register.claim, "b")
        with pytest.raises(Taken):
            caller.call(Register.claim, "b")


def test_many_threads_share_one(node: BlockingNode[Register]) -> None:
    with (
        blocking.connect(Register, [address_of(node)]) as caller,
        caller.open_session() as session,
        ThreadPoolExecutor(8) as threads,
    ):
        own = [threads.submit(node.call, Register.add, "a", 1) for _ in range(40)]
        remote = [threads.submit(session.call, Register.add, "a", 1) for _ in range(40)]
        assert sorted(done.result() for done in own + remote) == list(range(1, 81))
    assert node.look(Register.get, "a") == 80


def test_a_call_on_the_loops_own_thread_is_refused(node: BlockingNode[Register]) -> None:
    def inside() -> None:
        with pytest.raises(WrongThread, match="wait for itself"):
            node.call(Register.add, "a", 1)
        with pytest.raises(WrongThread):
            node.stop()

    node._thread.do(inside)
    assert node.call(Register.add, "a", 1) == 1


def test_a_wait_that_is_interrupted_gives_the_call_up(node: BlockingNode[Register]) -> None:
    thread = node._thread
    cancelled = threading.Event()

    async def long() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    class Interrupted(Future[None]):
        def result(self, timeout: float | None = None) -> None:
            raise KeyboardInterrupt

    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        real = asyncio.run_coroutine_threadsafe

        def interrupted(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> Future[None]:
            future = real(work, loop)
            future.result = Interrupted().result  # type: ignore[method-assign]
            return future

        context.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            thread.run(long())
    assert cancelled.wait(10)
    assert node.call(Register.add, "a", 1) == 1  # the node goes on


def test_a_node_joins_and_listens_where_it_is_told(node: BlockingNode[Register], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        named = held.getsockname()
    addresses = {1: address_of(node), 2: ("elsewhere.invalid", named[1])}
    with blocking.replicate(Register, 2, addresses, str(tmp_path / "2"), join=True, listen=named) as second:
        assert second.member_list() == []  # it founds nothing
        assert address_of(second) == named
        node.add(2, named, voter=False)
        node.call(Register.add, "a", 1)
        assert second.wait_leader() == 1
        second.fresh(FOLLOWER)
        assert second.look(Register.get, "a") == 1
        assert [member.id for member in second.member_list()] == [1, 2]


def test_after_the_end_everything_says_so() -> None:
    caller = blocking.connect(Register, ["127.0.0.1:1"])
    with pytest.raises(NoNodeReached):
        caller.within(0.2).call(Register.add, "a", 1)
    caller.close()
    caller.close()
    with pytest.raises(NodeStopped):
        caller.call(Register.add, "a", 1)
    assert not any(thread.name == "raftly-remote" for thread in threading.enumerate())


def test_what_runs_at_the_end_is_of_unknown_outcome() -> None:
    thread = LoopThread("test")

    async def nothing() -> None:
        pass

    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(thread.run, waits())
        while not thread.do(lambda: len(asyncio.all_tasks()) > 2):
            pass
        thread.stop(nothing())
        with pytest.raises(OutcomeUnknown):
            waiting.result()


def test_a_node_that_cannot_start_leaves_no_thread(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        blocking.replicate(Register, 1, {2: ("127.0.0.1", 0)}, str(tmp_path))
    assert not any(thread.name == "raftly-node-1" for thread in threading.enumerate())


def test_a_lonely_member_is_no_leader(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        address = held.getsockname()
    config = NodeConfig(1, (1, 2))
    with (
        blocking.replicate(Register, 1, {1: address, 2: ("127.0.0.1", 1)}, str(tmp_path), config=config) as node,
        pytest.raises(NotLeader),
    ):
        node.call(Register.add, "a", 1)
