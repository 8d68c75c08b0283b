"""Acts: commands carried out on a cluster, and what came of it in words."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, final

from raftly.base.types import Index, NodeId
from raftly.demo.live.cluster import Cluster
from raftly.demo.live.commands import ALL, LEADER, REST, Command, Refused, help_lines
from raftly.demo.live.inside import log_lines
from raftly.demo.live.report import Picture, State
from raftly.demo.live.step import Step
from raftly.demo.live.words import (
    COLUMNS,
    comparable,
    compared,
    known_leader,
    listed,
    may_stop,
    plural,
    table,
    who_leads,
    why,
)
from raftly.errors import OutcomeUnknown, RaftlyError

SETTLE_S: Final = 15.0  # for the nodes to notice what was done to them, and to elect; it takes two or three
CONVERGE_S: Final = 15.0
WRITE_AGAIN_S: Final = 15.0
LOST_SHOWN: Final = 5


@final
class Acts:
    """Carries commands out, one at a time."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._told: dict[NodeId, int] = {}  # of whose end, by which start of its process
        self._acts: dict[str, Callable[[Command], Awaitable[Step]]] = {
            "put": self._put,
            "get": self._get,
            "write": self._write,
            "kill": self._kill,
            "pause": self._pause,
            "resume": self._resume,
            "stop": self._stop,
            "restart": self._restart,
            "cut": self._part,
            "partition": self._part,
            "heal": self._heal,
            "add": self._add,
            "remove": self._remove,
            "show": self._show,
            "why": self._why,
            "check": self._check,
            "log": self._log,
            "help": self._help,
        }

    async def do(self, command: Command) -> Step:
        """Carry out a command; whatever cannot be done is a step that is not ok, and so is one in which a node ends."""
        try:
            step = await self._acts[command.name](command)
        except (RaftlyError, OSError) as error:
            step = Step([str(error)], ok=False, facts={"error": getattr(error, "code", type(error).__name__)})
        if not (ended := self._ended()):
            return step
        return replace(step, ok=False, lines=step.lines + ended, facts=step.facts | {"ended": ended})

    def _ended(self) -> list[str]:
        """Nodes that ended by themselves, each time told once: nobody did that to them."""
        lines = []
        for id_, process in sorted(self._cluster.processes.items()):
            if process.state is State.FAILED and self._told.get(id_) != process.starts:
                self._told[id_] = process.starts
                lines.append(f"node {id_} ended by itself; its last words: {process.last_words()}")
        return lines

    # --- the state ---

    async def _put(self, command: Command) -> Step:
        try:
            revision = await self._cluster.put(command.key, command.value)
        except OutcomeUnknown:
            picture = await self._cluster.picture()
            lines = [f"nobody acknowledged it in time: it may be written, now or later; {who_leads(picture)}"]
            return Step(lines, ok=False, facts={"key": command.key, "error": OutcomeUnknown.code})
        except RaftlyError as error:
            picture = await self._cluster.picture()
            lines = [f"it was not written; {who_leads(picture)}"]
            return Step(lines, ok=False, facts={"key": command.key, "error": error.code})
        facts: dict[str, object] = {"key": command.key, "value": command.value, "revision": revision}
        told = f"acknowledged: {command.key}={command.value} is on a majority of disks, revision {revision}"
        return Step([told], facts=facts)

    async def _get(self, command: Command) -> Step:
        key = command.key
        if command.node != ALL:
            id_ = await self._node(command)
            value = await self._cluster.look(id_, key)
            told = f"node {id_} has {_pair(key, value)}, which may be old"
            return Step([told], facts={"key": key, "value": value, "node": id_})
        try:
            value, wrong = await self._cluster.get(key)
        except RaftlyError as error:
            picture = await self._cluster.picture()
            told = f"nobody can say what {key} is now; {who_leads(picture)}"
            return Step([told], ok=False, facts={"key": key, "error": error.code})
        facts: dict[str, object] = {"key": key, "value": value}
        return Step([wrong or _pair(key, value)], ok=not wrong, facts=facts, lost=(wrong,) if wrong else ())

    async def _write(self, command: Command) -> Step:
        writer = self._cluster.writer
        if command.flag:
            writer.start()
            began = await writer.wait_acknowledged(WRITE_AGAIN_S)
            return Step(["a client writes from now on" + _unless(began)], ok=began)
        await writer.stop(WRITE_AGAIN_S)
        told = f"it wrote {writer.acknowledged:,} times, one write after the other"
        return Step([told], facts={"written": writer.acknowledged})

    async def _check(self, command: Command) -> Step:
        """Nothing is written meanwhile, so what every replica must hold is known."""
        cluster = self._cluster
        async with cluster.writer.held():
            picture, missing = await cluster.converge(CONVERGE_S)
            if missing:
                return Step([f"the replicas cannot be compared now: {missing} ({who_leads(picture)})"], ok=False)
            ids = comparable(picture)
            problems = list(cluster.ledger.contradictions)
            if differ := compared(picture, ids):
                problems.append(differ)
            for report in picture.reports():
                if report.id in ids:
                    problems += [f"node {report.id}: {problem}" for problem in cluster.ledger.judge(report.items)]
        writes = cluster.ledger.acknowledged
        absent = [id_ for id_ in sorted(cluster.processes) if id_ not in ids]
        facts: dict[str, object] = {"acknowledged": writes, "unknown": cluster.ledger.unknown, "nodes": ids}
        if problems:
            facts["lost"] = problems
            told = [f"WRONG, {plural(len(problems), 'finding')}:", *problems[:LOST_SHOWN]]
            return Step(told, ok=False, facts=facts, lost=tuple(problems))
        first = next(report for report in picture.reports() if report.id == ids[0])
        facts |= {"applied": first.applied, "digest": first.digest, "lost": []}
        apart = f"; {listed(absent)} cannot be looked at now" if absent else ""
        lines = [
            f"everything that was acknowledged, {plural(writes, 'write')}, is on {listed(ids)}{apart}",
            f"they are equal at entry {first.applied}, digest {first.digest}",
        ]
        return Step(lines, facts=facts)

    # --- faults ---

    async def _kill(self, command: Command) -> Step:
        id_ = await self._alive(command)
        before, pid = await self._cluster.picture(), self._cluster.processes[id_].pid
        begun = asyncio.get_running_loop().time()
        await self._cluster.kill(id_)
        return await self._after(f"node {id_} is gone (kill -9, pid {pid})", before, begun)

    async def _pause(self, command: Command) -> Step:
        id_ = await self._running(command)
        before = await self._cluster.picture()
        begun = asyncio.get_running_loop().time()
        self._cluster.processes[id_].pause()
        return await self._after(f"node {id_} stands still (SIGSTOP), its connections are open", before, begun)

    async def _resume(self, command: Command) -> Step:
        ids = self._chosen(command, {State.PAUSED}, "is paused")
        before = await self._cluster.picture()
        begun = asyncio.get_running_loop().time()
        for id_ in ids:
            self._cluster.processes[id_].resume()
        return await self._after(f"{listed(ids)} may go on (SIGCONT)", before, begun, catch_up=True)

    async def _stop(self, command: Command) -> Step:
        id_ = await self._running(command)
        before = await self._cluster.picture()
        safe = may_stop(before, id_)
        facts: dict[str, object] = {"safe": safe.ok, "why": safe.why}
        if not safe.ok and not command.flag:
            lines = [f"is it safe? {safe.why}", f"it goes on; `stop {id_} anyway` stops it all the same"]
            return Step(lines, ok=False, facts=facts)
        begun = asyncio.get_running_loop().time()
        in_time = await self._cluster.stop(id_)
        how = "was stopped (SIGTERM)" if in_time else "took too long to stop, and was killed"
        step = await self._after(f"is it safe? {safe.why}; node {id_} {how}", before, begun)
        return Step(step.lines, step.ok and in_time, step.facts | facts)

    async def _restart(self, command: Command) -> Step:
        ids = self._chosen(command, {State.KILLED, State.STOPPED, State.FAILED, State.NEW}, "is down")
        before = await self._cluster.picture()
        begun = asyncio.get_running_loop().time()
        await asyncio.gather(*map(self._cluster.start_node, ids))
        there = await self._cluster.picture()
        read = "; ".join(
            f"node {report.id} found {report.last:,} entries in its log"
            for report in there.reports()
            if report.id in ids
        )
        return await self._after(read or f"{listed(ids)} started", before, begun, catch_up=True)

    async def _part(self, command: Command) -> Step:
        before = await self._cluster.picture()
        groups = self._groups(command, before)
        begun = asyncio.get_running_loop().time()
        if command.name == "cut":
            self._cluster.cut(groups[0][0], groups[1][0])
            what = f"the link between nodes {groups[0][0]} and {groups[1][0]} is cut"
        else:
            self._cluster.part(groups)
            what = "cut apart: " + " | ".join(" ".join(map(str, group)) for group in groups)
        return await self._after(what, before, begun)

    async def _heal(self, command: Command) -> Step:
        before = await self._cluster.picture()
        begun = asyncio.get_running_loop().time()
        self._cluster.heal()
        return await self._after("all links hold", before, begun, catch_up=True)

    async def _after(self, what: str, before: Picture, begun: float, *, catch_up: bool = False) -> Step:
        """Wait until the nodes have noticed, and tell how they got on with it."""
        cluster = self._cluster
        reach: Index = max((report.committed for report in before.reports()), default=0) if catch_up else 0
        picture, missing = await cluster.settle(SETTLE_S, reach)
        seconds = asyncio.get_running_loop().time() - begun
        leader = known_leader(picture) if picture.may_lead() else 0
        facts: dict[str, object] = {"leader": leader or None, "settled_s": round(seconds, 3)}
        lines = [f"{what}; {who_leads(picture)}; settled after {seconds:.1f} s"]
        if missing:
            return Step([f"{what}; after {seconds:.0f} s {missing} ({who_leads(picture)})"], ok=False, facts=facts)
        lines += [f"node {report.id} says: {report.no_leader}" for report in picture.reports() if report.no_leader]
        ok = True
        if cluster.writer.is_on and leader:
            ok = await cluster.writer.wait_acknowledged(WRITE_AGAIN_S)
            waited_s = cluster.writer.take_waited_s()
            facts |= {"write_waited_s": round(waited_s, 3), "acknowledged": cluster.ledger.acknowledged}
            lines.append(f"the writing client had to wait {waited_s:.2f} s at most" + _unless(ok))
        return Step(lines, ok, facts)

    # --- members ---

    async def _add(self, command: Command) -> Step:
        picture = await self._cluster.picture()
        if not picture.may_lead():
            raise Refused(f"a member is added by a leader; {who_leads(picture)}")
        begun = asyncio.get_running_loop().time()
        id_ = await self._cluster.add()
        return await self._after(f"node {id_} caught up as a learner, and is a voter now", picture, begun)

    async def _remove(self, command: Command) -> Step:
        id_ = await self._node(command)
        before = await self._cluster.picture()
        begun = asyncio.get_running_loop().time()
        await self._cluster.remove(id_)
        return await self._after(f"node {id_} is no member any more", before, begun)

    # --- looking ---

    async def _show(self, command: Command) -> Step:
        picture = await self._cluster.picture()
        rows = table(picture)
        facts: dict[str, object] = {"nodes": [dict(zip(COLUMNS, row, strict=True)) for row in rows]}
        return Step([who_leads(picture)], facts=facts, rows=rows, columns=COLUMNS)

    async def _why(self, command: Command) -> Step:
        return Step(why(await self._cluster.picture()))

    async def _log(self, command: Command) -> Step:
        process = self._cluster.processes[await self._node(command)]
        return Step(await asyncio.to_thread(log_lines, process.settings.directory, process.said))

    async def _help(self, command: Command) -> Step:
        return Step(help_lines())

    # --- who is meant ---

    async def _node(self, command: Command) -> NodeId:
        if command.node != LEADER:
            return self._known(command.node)
        picture = await self._cluster.picture()
        if leader := known_leader(picture):
            return leader
        raise Refused(who_leads(picture))

    def _known(self, id_: NodeId) -> NodeId:
        if id_ not in self._cluster.processes:
            raise Refused(f"there is no node {id_}: there are {listed(self._cluster.processes)}")
        return id_

    async def _alive(self, command: Command) -> NodeId:
        id_ = await self._node(command)
        if not self._cluster.processes[id_].is_alive:
            raise Refused(f"node {id_} does not run; `restart {id_}` starts it")
        return id_

    async def _running(self, command: Command) -> NodeId:
        id_ = await self._alive(command)
        if self._cluster.processes[id_].state is State.PAUSED:
            raise Refused(f"node {id_} is paused; `resume {id_}` lets it go on")
        return id_

    def _chosen(self, command: Command, states: set[State], what: str) -> list[NodeId]:
        processes = self._cluster.processes
        if command.node == ALL:
            ids = [id_ for id_, process in sorted(processes.items()) if process.state in states]
            if not ids:
                raise Refused(f"no node {what}")
            return ids
        if command.node == LEADER:
            raise Refused(f"a leader is no node that {what}: name the node by its number")
        id_ = self._known(command.node)
        if processes[id_].state not in states:
            raise Refused(f"node {id_} is no node that {what}: it is {processes[id_].state.value}")
        return [id_]

    def _groups(self, command: Command, picture: Picture) -> list[list[NodeId]]:
        named = [[self._one_of(id_, picture) for id_ in group if id_ != REST] for group in command.groups]
        all_named = {id_ for group in named for id_ in group}
        rest = [id_ for id_ in sorted(self._cluster.processes) if id_ not in all_named]
        named = [group + (rest if REST in meant else []) for group, meant in zip(named, command.groups, strict=True)]
        flat = [id_ for group in named for id_ in group]
        if len(set(flat)) < len(flat) or not all(named):
            raise Refused("a node can be on one side only, and every side needs one")
        return named

    def _one_of(self, id_: NodeId, picture: Picture) -> NodeId:
        if id_ != LEADER:
            return self._known(id_)
        if leader := known_leader(picture):
            return leader
        raise Refused(who_leads(picture))


def _pair(key: str, value: str | None) -> str:
    return f"no {key}" if value is None else f"{key}={value}"


def _unless(ok: bool) -> str:
    return "" if ok else f", and nothing was acknowledged for {WRITE_AGAIN_S:g} s"
