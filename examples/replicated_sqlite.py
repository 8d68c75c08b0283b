"""SQL on three machines: an SQLite database behind a Raft log, as rqlite has it. Its snapshot is the database file.

    python examples/replicated_sqlite.py 1 data/1    and so on for 2 and 3; then SQL, a statement a line

The log is durable, so a start throws the file away: it comes back from the newest snapshot and the log behind it.
Statements that would differ between machines are refused. All machines need the same version of SQLite.
"""

import asyncio
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import product
from pathlib import Path

from raftly.errors import RaftlyError
from raftly.node import FOLLOWER, command, query, replicate

Cell = None | int | float | str | bytes
READS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
REFUSED = {sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_SAVEPOINT, sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_PRAGMA}
DIFFERENT = """random randomblob date time datetime julianday unixepoch strftime timediff load_extension
    current_date current_time current_timestamp changes total_changes last_insert_rowid"""
OF_THE_STATEMENT = {1, 18, 19, 20, 23, 25}  # error, too big, constraint, mismatch, not authorized, range


class SqlError(Exception):
    """The statement is wrong, alike on all machines. Another error, of the disk say, stops this one."""


def refuse(*_: Cell) -> Cell:
    """Stands for a function whose result differs between machines."""
    raise ValueError


class Database:
    """What is replicated."""

    errors = (SqlError,)

    def __init__(self, directory: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="sqlite-", dir=directory))
        self._allowed: set[int] | None = READS  # None: all but REFUSED
        self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(self._directory / "db", isolation_level=None, cached_statements=0)
        self._db.executescript("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF")  # the log is synced
        for name, count in product(DIFFERENT.split(), (-1, 0, 1)):  # as many arguments as they have
            self._db.create_function(name, count, refuse)
        self._db.set_authorizer(self._authorize)

    def _authorize(self, action: int, *_: str | None) -> int:
        may = action in self._allowed if self._allowed is not None else action not in REFUSED
        return sqlite3.SQLITE_OK if may else sqlite3.SQLITE_DENY

    def _run(self, sql: str, parameters: list[Cell], allowed: set[int] | None) -> sqlite3.Cursor:
        self._allowed = allowed
        try:
            return self._db.execute(sql, parameters)
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError) as error:
            if getattr(error, "sqlite_errorcode", 1) & 0xFF not in OF_THE_STATEMENT:
                raise
            raise SqlError(str(error)) from None

    @command
    def execute(self, statements: list[tuple[str, list[Cell]]]) -> int:
        """Run statements with their parameters in one transaction; how many rows they changed."""
        self._run("BEGIN", [], {sqlite3.SQLITE_TRANSACTION})
        end = "ROLLBACK"
        try:
            changed = sum(max(self._run(sql, parameters, None).rowcount, 0) for sql, parameters in statements)
            end = "COMMIT"
        finally:
            self._run(end, [], {sqlite3.SQLITE_TRANSACTION})
        return changed

    @query
    def select(self, sql: str, parameters: list[Cell]) -> list[tuple[Cell, ...]]:
        return self._run(sql, parameters, READS).fetchall()

    def snapshot(self) -> Iterator[bytes]:
        copy = shutil.copyfile(self._directory / "db", self._directory / "copy")
        with copy.open("rb") as file:  # the next statements do not touch it
            yield from iter(partial(file.read, 256 << 10), b"")

    async def restore(self, chunks: AsyncIterator[bytes]) -> None:
        self._db.close()
        with (self._directory / "db").open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
        self._open()

    def close(self) -> None:
        self._db.close()
        shutil.rmtree(self._directory)


async def main(me: int, directory: str, *ports: str) -> None:
    """Answer a line of SQL after the other."""
    addresses = {id_: ("127.0.0.1", int(port)) for id_, port in enumerate(ports or ("4001", "4002", "4003"), 1)}
    node = await replicate(partial(Database, directory), me, addresses, directory)
    session = await node.open_session()
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            if line.lower().startswith(("select", "values", "with")):
                await node.fresh(FOLLOWER)
                print(node.look(Database.select, line, []), flush=True)
            else:
                print(await session.call(Database.execute, [(line, [])]), flush=True)
        except (SqlError, RaftlyError) as error:
            print(f"{type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    list(map(shutil.rmtree, Path(sys.argv[2]).glob("sqlite-*")))  # of a run that was killed
    asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
