"""Play: a cluster from its start to its end, with a prompt, a script or the tour in between; the exit code."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from raftly.demo.live import prompt
from raftly.demo.live.acts import SETTLE_S, Acts
from raftly.demo.live.cluster import Cluster
from raftly.demo.live.commands import Command, Refused, parse
from raftly.demo.live.frame import GREETING, given_up, ignore_signals, root_of, signals_end_it
from raftly.demo.live.render import Teller
from raftly.demo.live.report import State
from raftly.demo.live.step import Step
from raftly.demo.live.tour import TOUR, Scene, verdict
from raftly.demo.live.words import who_leads
from raftly.loop_thread import LoopThread

READ_S: Final = 2.0  # to read what a scene is about


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What may be asked for."""

    nodes: int = 3
    base_port: int = 0  # the proxy of node N is at this and N; 0: any that are free
    data: Path | None = None  # None: a temporary directory
    speed: float = 0.0  # of the tour: 1 leaves time to read, 2 half of it; 0: none


@final
class Player:
    """Carries out what is typed, or written in a script."""

    def __init__(self, thread: LoopThread, cluster: Cluster, teller: Teller, speed: float) -> None:
        self.lost = False
        self.understood = True  # so far, all lines
        self._thread = thread
        self._cluster = cluster
        self._acts = Acts(cluster)
        self._teller = teller
        self._pause_s = READ_S / speed if speed else 0.0

    def start(self, options: Options) -> None:
        """Start the nodes, and wait until one leads.

        Raises:
            RaftlyError: a node cannot be started.
        """
        begun = time.monotonic()
        self._thread.run(self._cluster.start(options.nodes, options.base_port))
        picture, missing = self._thread.run(self._cluster.settle(SETTLE_S))
        seconds = time.monotonic() - begun
        self._teller.note(f"{len(picture.nodes)} processes, each with a log of its own below {self._cluster.root}")
        lines = [f"{missing or who_leads(picture)}, {seconds:.1f} s after the start"]
        self._teller.end("start", Step(lines, not missing, {"nodes": sorted(picture.nodes)}), seconds)

    def play(self, lines: Iterable[str], *, echo: bool) -> bool:
        """Carry out line after line, until one says quit; was nothing lost, and did every line mean something?"""
        for typed in lines:
            line = typed.strip()
            try:
                command = parse(line)
            except Refused as error:
                self.understood = False
                self._teller.end(line, Step([str(error)], ok=False, facts={"error": error.code}), 0.0)
                continue
            if command is None:
                continue
            if command.name == "quit":
                break
            if echo:
                self._teller.begin(line, "")
            with given_up(self._teller, quietly=not echo):
                if command.name == "tour":
                    self.tour()
                else:
                    self._do(line, command)
        return self.understood and not self.lost

    def tour(self) -> bool:
        """The script; was nothing lost, and did everything go as it must?"""
        if problem := self._broken():
            self._teller.end("tour", Step([problem], ok=False), 0.0)
            return False
        played = [(scene.line, self._scene(scene)) for scene in TOUR]
        ok, lines = verdict(played, sorted(self._cluster.processes))
        self._teller.verdict(lines, ok=ok)
        return ok

    def _broken(self) -> str:
        processes = self._cluster.processes.values()
        if any(process.state is not State.RUNNING for process in processes) or self._cluster.links.all_cut():
            return "the tour begins with a whole cluster: `heal`, `resume` and `restart` make it one"
        return ""

    def _scene(self, scene: Scene) -> Step:
        self._teller.begin(scene.line, scene.about)
        if scene.about:
            time.sleep(self._pause_s)
        command = parse(scene.line)
        assert command is not None
        return self._do(scene.line, command)

    def _do(self, line: str, command: Command) -> Step:
        begun = time.monotonic()
        step = self._thread.run(self._acts.do(command))
        self.lost |= bool(step.lost)
        self._teller.end(line, step, time.monotonic() - begun)
        return step


def play(options: Options, teller: Teller, script: Iterable[str] | None, *, ask: bool) -> int:
    """Everything: a script if there is one, else a prompt if somebody is to be asked, else the tour. The exit code.

    Raises:
        RaftlyError: the nodes could not be started.
        KeyboardInterrupt, SystemExit: somebody ended it; all processes are gone then, too.
    """
    with signals_end_it(), root_of(options.data, "demo") as root:
        thread = LoopThread("raftly-demo")
        cluster = Cluster(root)
        try:
            player = Player(thread, cluster, teller, options.speed)
            player.start(options)
            if script is not None:
                return 0 if player.play(script, echo=True) else 1
            if ask:
                teller.note(GREETING)
                player.play(prompt.lines(), echo=False)
                return 1 if player.lost else 0
            return 0 if player.tour() else 1
        finally:
            ignore_signals()
            thread.stop(cluster.close())
