"""`raftly log`: look into the log of a node that is not running."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import click

from raftly.errors import Corruption, StorageError
from raftly.storage.group_log import GroupLog
from raftly.storage.osfs import OsFs
from raftly.storage.survey import Cut, LogReport, carry_out, check_snapshots, plan_cut, survey

__all__ = ["log"]

WARNING = (
    "What is given up was promised to others: this node may have voted, or acknowledged entries, in it. Start it\n"
    "again only if it was never acknowledged, or if every other node of its groups is sound. Better: remove this\n"
    "node from its groups and add a new one."
)
_DIRECTORY = click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")


class UnusableInput(click.ClickException):
    """What was given cannot be worked on at all."""

    exit_code: ClassVar[int] = 2


@click.group()
def log() -> None:
    """Look into the log of a node that is not running.

    DIR is the directory with `wal` in it: a node's data directory, or `raft` in that of a store. Exit code 0: sound.
    1: damaged. 2: there is no log, a process uses it, or it cannot be read.
    """


@contextmanager
def _opened(directory: Path) -> Iterator[OsFs]:
    fs = OsFs(directory)
    try:
        if not fs.exists("wal"):
            raise StorageError(f"there is no log in {directory}: a node's data directory has a directory 'wal' in it")
        lock = fs.lock("")
    except StorageError as error:
        raise UnusableInput(str(error)) from error
    try:
        yield fs
    except StorageError as error:
        raise UnusableInput(str(error)) from error
    finally:
        lock.release()
        fs.close()


@log.command()
@_DIRECTORY
@click.option("--group", type=int, metavar="ID", help="List the entries of this group.")
@click.option("--limit", type=int, default=100, show_default=True, metavar="N", help="At most so many, the newest.")
@_JSON
def inspect(directory: Path, group: int | None, limit: int, *, as_json: bool) -> None:
    """Show the segments and the groups, or the entries of one group."""
    with _opened(directory) as fs:
        report = survey(fs)
        found = None if group is None else next((item for item in report.groups if item.group == group), None)
        if group is not None and found is None:
            raise StorageError(f"there is no group {group} in this log")
        listed = [] if found is None else _entries(found, limit)
    if as_json:
        shown = _json(report)
        if found is not None:
            shown["entries"] = listed
        click.echo(json.dumps(shown))
    elif found is not None:
        _table(f"group {group}", listed)
    else:
        _table("segments", _segments(report))
        click.echo()
        _table("groups", [_group(item) for item in report.groups])
        if report.damage is not None:
            click.echo(f"\ndamaged: {report.damage}")
    sys.exit(1 if report.damage is not None else 0)


@log.command()
@_DIRECTORY
@_JSON
def verify(directory: Path, *, as_json: bool) -> None:
    """Check every byte of the log and of the snapshots; say what is wrong, with path and offset."""
    with _opened(directory) as fs:
        report = survey(fs)
        snapshots = check_snapshots(fs)
    damages = _damages(report) + [damage for _, damage in snapshots if damage is not None]
    torn = sum(item.found.torn_end - item.found.end for item in report.segments if item.found is not None)
    if as_json:
        shown = {"sound": not damages, "segments": len(report.segments), "groups": len(report.groups)}
        told = {"snapshots": len(snapshots), "torn_bytes": torn, "damage": [_damage(damage) for damage in damages]}
        click.echo(json.dumps(shown | told))
    else:
        for damage in damages:
            click.secho(f"damaged: {damage}", fg="red")
        if torn:
            click.echo(f"the last batch was never completed: {torn} bytes, cut when the node starts")
        counts = (len(report.segments), "segment"), (len(report.groups), "group"), (len(snapshots), "snapshot")
        told_counts = ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for count, what in counts)
        click.echo(f"{told_counts}: {'damaged' if damages else 'sound'}")
    sys.exit(1 if damages else 0)


@log.command()
@_DIRECTORY
@click.option("--cut", "wanted", is_flag=True, help="Do it; without, only say what would be given up.")
@_JSON
def repair(directory: Path, *, wanted: bool, as_json: bool) -> None:
    """Cut a damaged log before its first damage, and say what is given up.

    Nothing is changed without --cut. What is cut off is kept beside the log, under names that end in `.cut`.
    """
    with _opened(directory) as fs:
        report = survey(fs)
        cut = plan_cut(report) if report.damage is not None else None
        if cut is not None and cut.refusal is None and wanted:
            carry_out(fs, cut)
    done = wanted and cut is not None and cut.refusal is None
    if as_json:
        click.echo(json.dumps(_json(report) | {"cut": None if cut is None else _cut(cut), "done": done}))
    else:
        _tell_repair(report, cut, done=done)
    if cut is not None and cut.refusal is not None:
        sys.exit(2)
    sys.exit(0 if cut is None or done else 1)


def _tell_repair(report: LogReport, cut: Cut | None, *, done: bool) -> None:
    if cut is None:
        click.echo("the log is sound: nothing to do")
        return
    click.echo(f"damaged: {report.damage}")
    if cut.refusal is not None:
        click.echo(f"it cannot be repaired by cutting: {cut.refusal}; remove this node from its groups, add a new one")
        return
    verb = "were" if done else "would be"
    click.echo(f"{cut.bytes_given_up} bytes {verb} given up:")
    if cut.number:
        click.echo(f"  segment {cut.number} from byte {cut.offset} on")
    for number in cut.segments_given_up:
        click.echo(f"  segment {number}, whole")
    known = {item.group: item.last_index() for item in report.groups}
    for group, last in sorted(report.entries_behind.items()):
        if last > known.get(group, 0):
            click.echo(f"  group {group}: entries up to at least {last}; what is left ends at {known.get(group, 0)}")
    click.echo(f"\n{WARNING}")
    if not done:
        click.echo("\nNothing was changed. Do it with: raftly log repair DIR --cut")


def _damages(report: LogReport) -> list[Corruption]:
    """All that is wrong, the first first, each once."""
    found = [report.damage, report.prefix_damage, *(item.damage for item in report.segments)]
    return list(dict.fromkeys(damage for damage in found if damage is not None))


def _damage(damage: Corruption) -> dict[str, object]:
    return {"path": damage.path, "offset": damage.offset, "problem": damage.problem}


def _cut(cut: Cut) -> dict[str, object]:
    return {
        "refusal": cut.refusal,
        "segment": cut.number or None,
        "offset": cut.offset,
        "bytes": cut.bytes_given_up,
        "segments": cut.segments_given_up,
    }


def _json(report: LogReport) -> dict[str, object]:
    header = next((item.found.header for item in report.segments if item.found is not None), None)
    return {
        "cluster": None if header is None else header.cluster_id,
        "node": None if header is None else header.node_id,
        "segments": _segments(report),
        "groups": [_group(item) for item in report.groups],
        "damage": None if report.damage is None else _damage(report.damage),
    }


def _segments(report: LogReport) -> list[dict[str, object]]:
    return [
        {
            "segment": item.number,
            "bytes": item.size,
            "used": None if item.found is None else item.found.end,
            "batches": None if item.found is None else item.found.batches,
            "first batch": None if item.found is None else item.found.header.first_sequence,
            "torn": None if item.found is None else item.found.torn_end - item.found.end,
            "state": "sound" if item.damage is None else f"byte {item.damage.offset}: {item.damage.problem}",
        }
        for item in report.segments
    ]


def _group(item: GroupLog) -> dict[str, object]:
    meta = item.snapshot_meta.meta
    conf = item.conf_state
    return {
        "group": item.group,
        "first": item.first_index(),
        "last": item.last_index(),
        "bytes": sum(size for *_, size in item.places.segments(item.first_index(), item.last_index() + 1)),
        "term": item.hard_state.term,
        "vote": item.hard_state.vote,
        "commit": item.hard_state.commit,
        "snapshot": f"{meta.term}/{meta.index}",
        "voters": list(conf.voters),
        "outgoing": list(conf.voters_outgoing),
        "learners": list(conf.learners),
    }


def _entries(item: GroupLog, limit: int) -> list[dict[str, object]]:
    """The newest entries; those on disk are checked as they are read."""
    first, stop = item.first_index(), item.last_index() + 1
    lo = max(stop - max(limit, 0), first)
    listed: list[dict[str, object]] = []
    while lo < stop:
        for entry in item.entries(lo, stop, 1 << 20):
            segment, offset, size, _ = item.places.stretch(entry.index, entry.index + 1, 1)
            kind = entry.type.name.lower()
            where = {"segment": segment, "offset": offset, "bytes": size}
            listed.append({"index": entry.index, "term": entry.term, "type": kind, "data": len(entry.data)} | where)
            lo = entry.index + 1
    return listed


def _table(title: str, rows: Sequence[dict[str, object]]) -> None:
    """A table in a terminal, columns in a pipe."""
    columns = list(rows[0]) if rows else []
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    if not rows:
        click.echo(f"no {title}")
    elif sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(title=title, box=box.SIMPLE, title_justify="left", show_edge=False, padding=(0, 1, 0, 0))
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in cells:
            table.add_row(*row)
        Console(highlight=False).print(table)
    else:
        widths = [max(len(name), *(len(row[at]) for row in cells)) for at, name in enumerate(columns)]
        for row in [columns, *cells]:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
