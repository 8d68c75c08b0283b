"""examples/replicated_sqlite.py: SQL on three replicas, restarts, a snapshot that is the file, what is refused."""

from __future__ import annotations

import importlib.util
import sqlite3
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from raftly.node import FOLLOWER
from raftly.node.machine import StateMachine
from tests.support.nodes import Replicas
from tests.support.processes import EXAMPLES, Processes
from tests.support.states import restore, saved
from tests.support.virtual import run

EXAMPLE = EXAMPLES / "replicated_sqlite.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("replicated_sqlite", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["replicated_sqlite"] = module  # annotations are looked up there
    spec.loader.exec_module(module)
    return module


example = load()
Database = example.Database


def factory(tmp_path: Path) -> Callable[[], Any]:
    return partial(Database, str(tmp_path))


def test_it_is_short_enough() -> None:
    assert len(EXAMPLE.read_text("utf-8").splitlines()) <= 120


def test_three_replicas_restart_and_one_far_behind_takes_the_file(tmp_path: Path) -> None:
    async def main() -> None:
        nodes = Replicas(factory(tmp_path), snapshot_entries=20)
        async with nodes:
            leader = await nodes.leader()
            await leader.call(Database.execute, [("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)", [])])
            behind = nodes.others(leader)[0].config.id
            await nodes.stop(behind)
            insert = "INSERT INTO t (name) VALUES (?)"
            for number in range(60):
                assert await leader.call(Database.execute, [(insert, [f"{number}"]), (insert, [f"{number}'"])]) == 2
            assert leader._log.first_index() > 20
            node = await nodes.start(behind)
            await nodes.equal()
            await node.fresh(FOLLOWER)
            assert node.look(Database.select, "SELECT count(*), max(name) FROM t", []) == [(120, "9'")]
            with pytest.raises(example.SqlError, match="UNIQUE"):
                await leader.call(Database.execute, [(insert, ["new"]), (insert, ["1"])])
            assert await leader.ask(Database.select, "SELECT * FROM t WHERE name = 'new'", []) == []
            await nodes.equal()
        async with nodes:
            leader = await nodes.leader()
            assert await leader.ask(Database.select, "SELECT count(*) FROM t", []) == [(120,)]
            await nodes.equal()

    run(main())
    assert list(tmp_path.iterdir()) == []  # all were closed


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[StateMachine[Any]]:
    found = StateMachine(factory(tmp_path))
    yield found
    found.instance.close()


def test_the_snapshot_is_the_database_file(machine: StateMachine[Any], tmp_path: Path) -> None:
    machine.instance.execute([("CREATE TABLE t (a)", []), ("INSERT INTO t VALUES (1), (NULL), (x'00')", [])])
    data = saved(machine)
    path = tmp_path / "out.db"
    path.write_bytes(data[data.index(b"SQLite format 3") :])
    db = sqlite3.connect(path)
    assert db.execute("SELECT a FROM t").fetchall() == [(1,), (None,), (b"\x00",)]
    db.close()
    other = StateMachine(factory(tmp_path))
    restore(other, data, 1000)
    assert other.digest() == machine.digest()
    other.instance.close()


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC",
        "SELECT random()",
        "INSERT INTO t VALUES (randomblob(4))",
        "INSERT INTO t VALUES (CURRENT_TIMESTAMP)",
        "INSERT INTO t VALUES (datetime('now'))",
        "INSERT INTO t VALUES (last_insert_rowid())",
        "COMMIT",
        "SAVEPOINT x",
        "ATTACH 'x.db' AS x",
        "PRAGMA user_version = 3",
        "VACUUM",
        "INSERT INTO t VALUES (?)",
        "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)",
    ],
)
def test_what_differs_between_machines_or_is_wrong_is_refused(machine: StateMachine[Any], sql: str) -> None:
    machine.instance.execute([("CREATE TABLE t (a)", [])])
    before = saved(machine)
    with pytest.raises(example.SqlError):
        machine.instance.execute([("INSERT INTO t VALUES ('part')", []), (sql, [])])
    assert saved(machine) == before


def test_a_default_that_differs_is_refused_when_it_is_used(machine: StateMachine[Any]) -> None:
    machine.instance.execute([("CREATE TABLE u (a DEFAULT CURRENT_TIME)", [])])
    with pytest.raises(example.SqlError):
        machine.instance.execute([("INSERT INTO u DEFAULT VALUES", [])])


def test_a_query_changes_nothing(machine: StateMachine[Any]) -> None:
    machine.instance.execute([("CREATE TABLE t (a)", [])])
    for sql in ("INSERT INTO t VALUES (1)", "DROP TABLE t", "INSERT INTO t VALUES (1) RETURNING a", "BEGIN"):
        with pytest.raises(example.SqlError):
            machine.instance.select(sql, [])
    assert machine.instance.select("SELECT * FROM t", []) == []


def test_three_processes_answer_sql_and_a_killed_one_comes_back(tmp_path: Path) -> None:
    with Processes("replicated_sqlite", tmp_path) as processes:
        for id_ in (1, 2, 3):
            processes.start(id_)
        assert processes.ask(1, "CREATE TABLE t (a TEXT)") == "0"
        assert processes.ask(2, "INSERT INTO t VALUES ('two')") == "1"
        assert processes.ask(3, "SELECT * FROM t") == "[('two',)]"
        processes.kill(3)
        assert processes.ask(2, "INSERT INTO t VALUES ('more')") == "1"
        assert processes.ask(1, "SELECT wrong") == "SqlError: no such column: wrong"
        processes.start(3)
        assert processes.ask(3, "SELECT count(*) FROM t") == "[(2,)]"
