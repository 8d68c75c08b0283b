"""Output: tables for a terminal, lines for a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

__all__ = ["in_terminal", "print_json", "print_table"]


def in_terminal() -> bool:
    """Is there somebody to ask? A stream that was closed before the process began is None."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def print_json(value: object) -> None:
    """One line."""
    print(json.dumps(value, default=str), flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Drawn in a terminal; in a pipe lines of columns, the first of them their names."""
    cells = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE, show_edge=False, header_style="dim")
        for column in columns:
            table.add_column(column)
        for row in cells:
            table.add_row(*map(Text, row))
        Console(highlight=False).print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [list(columns), *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    sys.stdout.flush()
