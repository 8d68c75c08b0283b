"""Ctrl-C at the prompt and in a script, and the files that processes are started with."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any, final

import pytest

from raftly.demo.live.play import Player as Demonstrator
from raftly.demo.live.step import Step
from raftly.playground.cluster import Cluster
from raftly.playground.play import Player
from raftly.server.config import PdConfig, StoreConfig, read_config


@final
class Interrupted:
    """A thread with a loop; the wait for the first result is interrupted."""

    def __init__(self) -> None:
        self.calls = 0

    def run(self, work: Coroutine[Any, Any, Step]) -> Step:
        work.close()
        self.calls += 1
        if self.calls == 1:
            raise KeyboardInterrupt
        return Step(["done"])


@final
class Told:
    """A teller that keeps in mind what was given up, and what was done."""

    def __init__(self) -> None:
        self.of: list[str] = []

    def note(self, text: str) -> None:
        self.of.append(text.partition(";")[0])

    def begin(self, line: str, about: str) -> None: ...

    def end(self, line: str, step: Step, seconds: float) -> None:
        self.of.append(line)

    def verdict(self, lines: list[str], *, ok: bool) -> None: ...


def playing(root: Path, told: Told) -> Player:
    thread: Any = Interrupted()
    return Player(thread, Cluster(root), told, 0.0)


def showing(_: Path, told: Told) -> Demonstrator:
    thread: Any = Interrupted()
    live: Any = SimpleNamespace(processes={}, links=SimpleNamespace(all_cut=lambda: False))
    return Demonstrator(thread, live, told, 0.0)


Make = Callable[[Path, Told], Player | Demonstrator]


@pytest.mark.parametrize("make", [playing, showing])
@pytest.mark.parametrize("line", ["tour", "check"])
def test_ctrl_c_gives_a_command_up_and_the_prompt_goes_on(tmp_path: Path, make: Make, line: str) -> None:
    told = Told()
    try:
        assert make(tmp_path, told).play([line, "show"], echo=False)
    except KeyboardInterrupt:
        pytest.fail("it ended everything")
    assert told.of == ["given up", "show"]


@pytest.mark.parametrize("make", [playing, showing])
@pytest.mark.parametrize("line", ["tour", "check"])
def test_ctrl_c_ends_a_script(tmp_path: Path, make: Make, line: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, Told()).play([line, "show"], echo=True)


@pytest.mark.parametrize("name", ["data", 'a "b" \\ c', "\u00e9\u6f22", "\U0001f389", "tab\tand\x01", "del\x7f"])
def test_a_directory_may_have_any_name(tmp_path: Path, name: str) -> None:
    cluster = Cluster(tmp_path / name)
    cluster.root.mkdir()
    cluster._ports = {"pd-1": [1, 2, 3], "store-1": [4, 5, 6]}
    member = read_config(PdConfig, cluster._enter("pd-1").config)
    store = read_config(StoreConfig, cluster._enter("store-1").config)
    assert (member.data_dir, store.data_dir) == (str(cluster.root / "pd-1"), str(cluster.root / "store-1"))
