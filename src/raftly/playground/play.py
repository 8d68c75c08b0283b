"""Play: a playground from its start to its end, with a prompt, the tour, or nothing in between; the exit code."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final, final

from raftly.demo.live import prompt
from raftly.demo.live.frame import GREETING, given_up, ignore_signals, root_of, signals_end_it
from raftly.demo.live.render import Teller
from raftly.demo.live.step import Step
from raftly.errors import ConfigError
from raftly.loop_thread import LoopThread
from raftly.playground.acts import Acts
from raftly.playground.cluster import Cluster, Refused
from raftly.playground.commands import COMMANDS, Command, parse
from raftly.playground.tour import TOUR, verdict

__all__ = ["Mode", "Options", "play"]

READ_S: Final = 2.0  # to read what a scene is about


@final
@dataclass(frozen=True, slots=True)
class Options:
    """What may be asked for. Raises ConfigError."""

    members: int | None = None  # None: 1, or as many as the data is of
    stores: int | None = None  # None: 3, or as many as the data is of
    base_port: int = 0  # 0: any that are free
    data: Path | None = None  # None: a temporary directory
    speed: float = 0.0  # of the tour: 1 leaves time to read; 0: none

    def __post_init__(self) -> None:
        if self.members not in (None, 1, 3, 5):
            raise ConfigError("pd", f"must be 1, 3 or 5, and is {self.members}")
        if self.stores is not None and not 1 <= self.stores <= 20:
            raise ConfigError("stores", f"must lie between 1 and 20, and is {self.stores}")


@final
class Player:
    """Carries out what is typed, or written in a script."""

    def __init__(self, thread: LoopThread, cluster: Cluster, teller: Teller, speed: float) -> None:
        self.lost = False
        self._thread = thread
        self._acts = Acts(cluster, teller.note)
        self._teller = teller
        self._pause_s = READ_S / speed if speed else 0.0

    def play(self, lines: Iterable[str], *, echo: bool) -> bool:
        """Carry out line after line, until one says quit; did every line go as it must?"""
        fine = True
        for typed in lines:
            line = typed.strip()
            try:
                command = parse(line)
            except Refused as error:
                fine = False
                self._teller.end(line, Step([str(error)], ok=False, facts={"error": error.code}), 0.0)
                continue
            if command is None:
                continue
            if command.name == "quit":
                break
            if echo:
                self._teller.begin(line, "")
            with given_up(self._teller, quietly=not echo):
                fine &= self.tour() if command.name == "tour" else self._do(line, command).ok
        return fine and not self.lost

    def tour(self) -> bool:
        """The script; was nothing lost, and did everything go as it must?"""
        played = []
        for scene in TOUR:
            self._teller.begin(scene.line, scene.about)
            if scene.about:
                time.sleep(self._pause_s)
            command = parse(scene.line)
            assert command is not None
            played.append((scene.line, self._do(scene.line, command)))
        ok, lines = verdict(played)
        self._teller.verdict(lines, ok=ok)
        return ok

    def _do(self, line: str, command: Command) -> Step:
        begun = time.monotonic()
        step = self._thread.run(self._acts.do(command))
        self.lost |= bool(step.lost)
        self._teller.end(line, step, time.monotonic() - begun)
        return step


@final
@dataclass(frozen=True, slots=True)
class Mode:
    """What happens between start and end: a script, else a prompt if `ask`, else nothing if `serve`, else the tour."""

    script: Iterable[str] | None = None
    ask: bool = False
    serve: bool = False


def play(options: Options, teller: Teller, mode: Mode) -> int:
    """Everything; the exit code.

    Raises:
        RaftlyError: the processes could not be started.
        KeyboardInterrupt, SystemExit: somebody ended it; all processes are gone then, too.
    """
    with signals_end_it(), root_of(options.data, "playground") as root:
        thread = LoopThread("raftly-playground")
        cluster = Cluster(root)
        try:
            begun = time.monotonic()
            if not mode.serve:
                teller.note(f"starting processes, with their files below {root}")
            thread.run(cluster.start(options.members, options.stores, options.base_port))
            if mode.serve:
                return _serve(cluster)
            stays = mode.ask or mode.script is not None
            _greet(cluster, teller, time.monotonic() - begun, stays=stays)
            player = Player(thread, cluster, teller, options.speed)
            if mode.script is not None:
                return 0 if player.play(mode.script, echo=True) else 1
            if mode.ask:
                teller.note(GREETING)
                player.play(prompt.lines(COMMANDS), echo=False)
                return 1 if player.lost else 0
            went_well = player.tour()
            teller.end("try next", Step(_next_lines()), 0.0)
            return 0 if went_well else 1
        finally:
            ignore_signals()
            thread.stop(cluster.close(kill=options.data is None))


def _greet(cluster: Cluster, teller: Teller, seconds: float, *, stays: bool) -> None:
    """Say what there is, and three things to try that can be typed as they are, if it stays for long enough."""
    pd = cluster.pd_addresses()
    members, stores = len(cluster.members()), len(cluster.stores())
    what = f"{members} placement driver{'s' if members > 1 else ''} and {stores} store{'s' if stores > 1 else ''}"
    lines = [f"{what} serve, {seconds:.1f} s after the start"]
    if stays:
        lines += _lines_to_try(pd)
    facts: dict[str, object] = {"pd": pd, "stores": [cluster.address(process) for process in cluster.stores()]}
    teller.end("start", Step(lines, facts=facts), seconds)


def _lines_to_try(pd: Sequence[str]) -> list[str]:
    raftly = _program()
    if find_spec("tikv_client") is not None:
        read = f"from tikv_client import RawClient; print(RawClient.connect(['{pd[0]}']).get(b'hello'))"
    else:
        read = f"from raftly.client import blocking; print(blocking.connect(['{pd[0]}']).get(b'hello'))"
    return [
        "try next, from another terminal:",
        f"  export RAFTLY_PD={','.join(pd)}",
        f"  {raftly} kv put hello world; {raftly} kv scan",
        f"  {raftly} ctl store; {raftly} ctl region",
        f'  {_shown(sys.executable)} -c "{read}"',
    ]


def _next_lines() -> list[str]:
    """What to try when the tour is over, and with it the cluster."""
    raftly = _program()
    return [
        "try next:",
        f"  {raftly} playground                in a terminal: the same cluster, and a prompt to break it with",
        f"  {raftly} playground --data here    kept in ./here, and found there again",
        f"  {raftly} playground --json         for tests of your own: one line says where it is",
    ]


def _program() -> str:
    """How the command line was started, so that it can be started again."""
    started = sys.argv[0]
    if Path(started).name != "raftly":
        return f"{_shown(sys.executable)} -m raftly.cli"
    known = shutil.which("raftly")
    return "raftly" if known is not None and Path(known).samefile(started) else _shown(started)


def _shown(path: str) -> str:
    """As short as it can be typed here."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def _serve(cluster: Cluster) -> int:
    """Say where everything is, and go on until the standard input ends, or a signal comes."""
    addresses = [cluster.address(process) for process in cluster.stores()]
    sys.stdout.write(json.dumps({"pd": cluster.pd_addresses(), "stores": addresses}) + "\n")
    sys.stdout.flush()
    while sys.stdin is not None and sys.stdin.buffer.read(4096):
        pass
    return 0
