"""examples/counter.py: three processes that count together, and one that is killed and comes back."""

import ast
import re
from pathlib import Path

from tests.support.processes import EXAMPLES, Processes

EXAMPLE = EXAMPLES / "counter.py"


def value(processes: Processes, id_: int) -> int:
    line = processes.hear(id_)
    found = re.fullmatch(rf"node {id_}: the counter is (\d+)", line)
    assert found, line
    return int(found[1])


def test_three_processes_count_together_and_a_killed_one_comes_back(tmp_path: Path) -> None:
    with Processes("counter", tmp_path) as processes:
        for id_ in (1, 2, 3):
            processes.start(id_)
        assert sorted(value(processes, id_) for id_ in (1, 2, 3)) == [1, 2, 3]
        processes.kill(2)
        processes.start(2)
        assert value(processes, 2) == 4


def test_the_user_writes_no_more_than_fifteen_lines() -> None:
    tree = ast.parse(EXAMPLE.read_text("utf-8"))
    counted: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if isinstance(node, ast.stmt):
            counted.add(node.lineno)
    assert len(counted) <= 15, sorted(counted)
