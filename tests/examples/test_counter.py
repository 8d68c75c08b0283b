"""examples/counter.py: three processes that count together, and one that is killed and comes back."""

import ast
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "counter.py"


def free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(listening.getsockname()[1]) for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


class Processes:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.ports = free_ports(3)
        self.running: dict[int, subprocess.Popen[str]] = {}

    def start(self, id_: int) -> None:
        directory = self.root / str(id_)
        directory.mkdir(exist_ok=True)
        self.running[id_] = subprocess.Popen(
            [sys.executable, str(EXAMPLE), str(id_), str(directory), *self.ports], stdout=subprocess.PIPE, text=True
        )

    def value(self, id_: int) -> int:
        out = self.running[id_].stdout
        assert out is not None
        line = out.readline()
        found = re.fullmatch(rf"node {id_}: the counter is (\d+)\n", line)
        assert found, line
        return int(found[1])

    def kill(self, id_: int) -> None:
        process = self.running.pop(id_)
        process.kill()
        process.communicate()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    for id_ in list(found.running):
        found.kill(id_)


def test_three_processes_count_together_and_a_killed_one_comes_back(processes: Processes) -> None:
    for id_ in (1, 2, 3):
        processes.start(id_)
    assert sorted(processes.value(id_) for id_ in (1, 2, 3)) == [1, 2, 3]
    processes.kill(2)
    processes.start(2)
    assert processes.value(2) == 4


def test_the_user_writes_no_more_than_fifteen_lines() -> None:
    tree = ast.parse(EXAMPLE.read_text("utf-8"))
    counted: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.stmt):
            counted.add(node.lineno)
    assert len(counted) <= 15, sorted(counted)
