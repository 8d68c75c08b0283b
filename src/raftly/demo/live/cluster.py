"""Cluster: the nodes' processes, the proxies between them, and a caller that remembers what it was told.

    DIR/cluster.json   which nodes there are, and the ports of their proxies: where the group knows its members to be
    DIR/1, DIR/2 ...   their data directories
    DIR/1.log ...      what they said

A cluster that is started on a directory of an earlier one goes on with it, at the same ports.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final, final

from raftly.base.types import Index, NodeId
from raftly.demo.live.commands import Refused
from raftly.demo.live.ledger import Ledger
from raftly.demo.live.links import Links
from raftly.demo.live.member import CLUSTER_ID, TCP, Settings, Store
from raftly.demo.live.processes import NotAnswered, Process
from raftly.demo.live.proxy import HOST, Proxy
from raftly.demo.live.report import Picture, Report, Seen
from raftly.demo.live.words import comparable, listed, unsettled
from raftly.demo.live.writer import Writer
from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.node import Remote, RemoteOptions, RemoteSession, connect
from raftly.node.errors import SessionExpired
from raftly.node.structures import Dict

POLL_S: Final = 0.05
STOP_S: Final = 10.0
CALL_S: Final = 5.0  # of a write or read at the prompt
WRITER_S: Final = 20.0
SESSION_S: Final = 86_400.0  # nobody at a prompt shall find his session expired


@final
class Cluster:
    """See the module. `close` it, whatever happens."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.links = Links()
        self.ledger = Ledger()
        self.writer = Writer(lambda key, value: self.put(key, value, within=WRITER_S))
        self.processes: dict[NodeId, Process] = {}
        self._proxies: dict[NodeId, Proxy] = {}
        self._next = 1
        self._remote: Remote[Store] | None = None
        self._session: RemoteSession[Store] | None = None
        self._opening = asyncio.Lock()

    # --- life ---

    async def start(self, nodes: int, base_port: int = 0) -> None:
        """Start so many nodes, or those that the directory is of.

        Raises:
            Refused: the directory or a port cannot be used.
            NotAnswered: a process did not start.
        """
        ports = self._known() or {id_: base_port + id_ if base_port else 0 for id_ in range(1, nodes + 1)}
        for id_, port in ports.items():
            await self._open_proxy(id_, port)
        self._next = max(self._next, max(ports) + 1)
        for id_ in ports:
            self._enter(id_, join=False)
        self._save()
        await asyncio.gather(*map(self.start_node, ports))
        addresses = [(HOST, proxy.port) for proxy in self._proxies.values()]
        self._remote = connect(Dict, addresses, cluster_id=CLUSTER_ID, tcp=TCP, options=RemoteOptions())

    def _known(self) -> dict[NodeId, int]:
        path = self.root / "cluster.json"
        if not path.exists():
            return {}
        try:
            told = json.loads(path.read_text("utf-8"))
            self._next = int(told["next"])
            return {int(id_): int(port) for id_, port in told["ports"].items()}
        except (ValueError, KeyError, AttributeError, TypeError):
            raise Refused(f"{path} is not what this demonstration wrote: name another directory") from None

    def _save(self) -> None:
        ports = {id_: proxy.port for id_, proxy in sorted(self._proxies.items())}
        (self.root / "cluster.json").write_text(json.dumps({"next": self._next, "ports": ports}) + "\n", "utf-8")

    async def _open_proxy(self, id_: NodeId, port: int) -> None:
        proxy = Proxy(id_, self.links)
        try:
            await proxy.start(port)
        except (OSError, OverflowError) as error:
            raise Refused(f"port {port} cannot be had for node {id_} ({error}): name others with --port") from error
        self._proxies[id_] = proxy

    def _enter(self, id_: NodeId, *, join: bool) -> None:
        addresses = {other: (HOST, proxy.port) for other, proxy in sorted(self._proxies.items())}
        directory = self.root / str(id_)
        directory.mkdir(exist_ok=True)
        settings = Settings(id_, str(directory), addresses, join)
        self.processes[id_] = Process(settings, self.root / f"{id_}.log")

    async def start_node(self, id_: NodeId) -> None:
        """Start the process of a node.

        Raises:
            NotAnswered: it ended instead.
        """
        self._proxies[id_].target = await self.processes[id_].start()

    async def close(self) -> None:
        """End everything. Processes are killed: what they acknowledged is on disk."""
        await self.writer.stop(0)
        await asyncio.gather(*(process.kill() for process in self.processes.values()))
        if self._remote is not None:
            await self._remote.close()
        for proxy in self._proxies.values():
            await proxy.close()

    # --- looking ---

    async def picture(self, *, whole: bool = False) -> Picture:
        """How it stands; `whole`: with what each replica holds."""
        ids = sorted(self.processes)
        reports = await asyncio.gather(*(self._report(id_, whole=whole) for id_ in ids))
        seen = {
            id_: Seen(id_, self.processes[id_].state, report, self.processes[id_].pid, self._proxies[id_].port)
            for id_, report in zip(ids, reports, strict=True)
        }
        return Picture(seen, tuple(self.links.all_cut()))

    async def _report(self, id_: NodeId, *, whole: bool) -> Report | None:
        try:
            return await self.processes[id_].report(whole=whole)
        except NotAnswered:
            return None

    async def settle(self, within: float, reach: Index = 0) -> tuple[Picture, str]:
        """Wait until each node knows where it stands, and those with the leader have applied `reach`.

        The picture then; and what is still missing, when that took too long.
        """
        deadline = asyncio.get_running_loop().time() + within
        while True:
            picture = await self.picture()
            missing = unsettled(picture) or _behind(picture, reach)
            if not missing or asyncio.get_running_loop().time() > deadline:
                return picture, missing
            await asyncio.sleep(POLL_S)

    async def converge(self, within: float) -> tuple[Picture, str]:
        """Wait until all that can be compared have applied the same entry: a whole picture of then.

        And why there is none, when that took too long, or there can be no leader. Nothing should be written meanwhile.
        """
        deadline = asyncio.get_running_loop().time() + within
        while True:
            picture = await self.picture()
            missing = _apart(picture)
            if not missing:
                picture = await self.picture(whole=True)
                missing = _apart(picture)
            if not missing or not picture.may_lead() or asyncio.get_running_loop().time() > deadline:
                return picture, missing
            await asyncio.sleep(POLL_S)

    # --- calls ---

    async def put(self, key: str, value: str, *, within: float = CALL_S) -> int:
        """Write, exactly once; the revision. What becomes of it is noted.

        Raises:
            RaftlyError: as `RemoteSession.call`.
        """
        write = self.ledger.begin(key, value)
        try:
            session = await self._open_session(within)
        except BaseException:
            self.ledger.refuse(write)
            raise
        session.within = within
        try:
            revision = await session.call(Dict.put, key, value)
        except (OutcomeUnknown, SessionExpired, asyncio.CancelledError) as error:
            self.ledger.give_up(write)
            if isinstance(error, SessionExpired):
                self._session = None
            raise
        except RaftlyError:
            self.ledger.refuse(write)
            raise
        self.ledger.acknowledge(write, revision)
        return revision

    async def get(self, key: str) -> tuple[str | None, str]:
        """Read linearizably: the value, and what is wrong with it, if something is.

        Raises:
            RaftlyError: as `Remote.ask`.
        """
        assert self._remote is not None
        since = self.ledger.newest(key)
        value = await self._remote.within(CALL_S).ask(Dict.get, key)
        return value, self.ledger.judge_value(key, value, since)

    async def look(self, id_: NodeId, key: str) -> str | None:
        """What one replica has now.

        Raises:
            NotAnswered: it does not run, or says nothing.
        """
        value = await self.processes[id_].ask("get", key=key)
        return None if value is None else str(value)

    async def _open_session(self, within: float) -> RemoteSession[Store]:
        assert self._remote is not None
        async with self._opening:
            if self._session is None:
                self._session = await self._remote.within(within).open_session(ttl=SESSION_S)
            return self._session

    # --- the network ---

    def cut(self, one: NodeId, other: NodeId) -> None:
        """Cut a link."""
        self.links.cut(one, other)
        self._on_links()

    def part(self, groups: Iterable[Iterable[NodeId]]) -> None:
        """Cut all links between groups."""
        self.links.part([list(group) for group in groups])
        self._on_links()

    def heal(self) -> None:
        """All links hold."""
        self.links.heal()
        self._on_links()

    def _on_links(self) -> None:
        for proxy in self._proxies.values():
            proxy.on_links()

    # --- nodes ---

    async def kill(self, id_: NodeId) -> None:
        """End a process by `kill -9`."""
        self._proxies[id_].target = 0
        await self.processes[id_].kill()

    async def stop(self, id_: NodeId) -> bool:
        """SIGTERM; did it end in time?"""
        ended = await self.processes[id_].stop(STOP_S)
        self._proxies[id_].target = 0
        return ended

    async def add(self) -> NodeId:
        """Start a new node and make it a member.

        Raises:
            RaftlyError: as `Remote.add`; the process runs, and its id is used up.
        """
        assert self._remote is not None
        id_ = self._next
        self._next += 1
        await self._open_proxy(id_, 0)
        self._enter(id_, join=True)
        self._save()
        await self.start_node(id_)
        await self._remote.add(id_, (HOST, self._proxies[id_].port))
        return id_

    async def remove(self, id_: NodeId) -> None:
        """Let a member go, and end its process.

        Raises:
            RaftlyError: as `Remote.remove`; nothing was ended.
        """
        assert self._remote is not None
        await self._remote.remove(id_)
        await self.processes.pop(id_).kill()
        await self._proxies.pop(id_).close()
        self._save()


def _behind(picture: Picture, reach: Index) -> str:
    for id_ in comparable(picture):
        report = picture.nodes[id_].report
        if report is not None and report.applied < reach:
            return f"node {id_} has applied {report.applied} of {reach} entries"
    return ""


def _apart(picture: Picture) -> str:
    """Why the replicas cannot be compared in this picture."""
    leader = picture.leader()
    ids = comparable(picture)
    if leader is None or not ids:
        return "nobody leads"
    if missing := _behind(picture, leader.committed):
        return missing
    if any(report.applied != leader.applied for report in picture.reports() if report.id in ids):
        return f"{listed(ids)} have not applied the same entry"
    if any(picture.nodes[id_].report is None for id_ in ids):
        return f"not all of {listed(ids)} answer"
    return ""
