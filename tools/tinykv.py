"""Which test plays which scenario of the TinyKV course: reads the marks in the tests, writes docs/tinykv.md.

    python -m tools.tinykv            print the page
    python -m tools.tinykv --write    write docs/tinykv.md
    python -m tools.tinykv --check    exit 1 unless docs/tinykv.md is what the tests say

The rows are those of `tests/tinykv/rows.csv`: the name that the course gives a test, and what happens in it. A test of
ours claims rows with `@pytest.mark.tinykv("TestBasic2B")`. A row that no test claims is shown as missing, and counted.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path
from typing import NamedTuple

from tools.marks import Claim, ClaimError, claims_in

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT.parent / "shared" / "tinykv" / "requirements.md"
ROWS = ROOT / "tests" / "tinykv" / "rows.csv"
PAGE = ROOT / "docs" / "tinykv.md"
SUFFIX = re.compile(r"(1|2A|2B|2C|3A|3B|3C)[ABC]?$")  # 2AA, 2AB and 2AC are parts of 2A
PROJECTS = {
    "1": "Project 1: a store of one process",
    "2A": "Project 2A: Raft",
    "2B": "Project 2B: a key-value store on Raft",
    "2C": "Project 2C: compaction and snapshots",
    "3A": "Project 3A: leadership transfer and membership in Raft",
    "3B": "Project 3B: membership and splits in the store",
    "3C": "Project 3C: the placement driver",
}
HEADER = """# TinyKV's scenarios and their tests

[TinyKV](https://github.com/talent-plan/tinykv) is a course in which one builds a small TiKV. Its tests are a fair list
of what such a store must stand. Each row below is one of those that the course grades: the name that it has there, what
happens in our words, and the tests of ours that play it. This page is made from the tests by `make tinykv`; do not edit
it.

The rows of 2B, 2C and 3B run on whole stores in the simulator. Unless a row says something else, its clients put
numbered keys and scan their own range all the while, and every scan shows exactly what was acknowledged; then the
faults end, and every acknowledged put is there once, in order. A round takes three virtual seconds, and longer until
what the row is about took place; there are two of them, where the course has three of five real seconds. Stores do not
stop in good order for a restart: their power fails.

Raftly is stricter than the course asks in four things, and the tests are of what it does: the last member of a group is
not removed; a group of one stores an entry before it counts as committed; whoever returns to a store is a new peer; and
a leader hands over before it is removed.

"""


class Row(NamedTuple):
    """One graded test of the course."""

    name: str
    scenario: str

    @property
    def project(self) -> str:
        """A key of `PROJECTS`."""
        match = SUFFIX.search(self.name)
        assert match is not None, f"{self.name} does not end in the number of a project"
        return match[1]


def rows_of(text: str) -> list[Row]:
    """The rows of a table with the columns `test` and `scenario`, in order."""
    return [Row(line["test"], line["scenario"]) for line in csv.DictReader(text.splitlines())]


def required_names(text: str) -> list[str]:
    """Names of the graded tests of projects 1 to 3 in the tables of the requirements, in order."""
    return re.findall(r"^\| (Test\w*(?:1|2A[ABC]|2B|2C|3A|3B|3C)) \|", text, re.MULTILINE)


def tests_of(row: Row, found: list[Claim]) -> list[str]:
    """Where a row is played, in order of path."""
    return sorted({str(claim) for claim in found if claim.name == row.name})


def table(rows: list[Row], found: list[Claim]) -> str:
    """The page: the count first, then a table for each project."""
    missing = missing_rows(rows, found)
    said = f"{len(rows) - len(missing)} of {len(rows)} rows have a test"
    parts = [HEADER, f"**{said}{'' if missing else ': none is missing'}.**\n"]
    for project, title in PROJECTS.items():
        own = [row for row in rows if row.project == project]
        if not own:
            continue
        lacking = sum(row.project == project for row in missing)
        count = f"{len(own)} rows, {lacking or 'none'} missing"
        parts.append(f"\n## {title}\n\n{count}.\n\n| row | scenario | tests |\n|---|---|---|\n")
        for row in own:
            tests = "<br>".join(f"`{test}`" for test in tests_of(row, found))
            parts.append(f"| {row.name} | {row.scenario} | {tests or '**missing**'} |\n")
    return "".join(parts)


def missing_rows(rows: list[Row], found: list[Claim]) -> list[Row]:
    """The rows that no test claims."""
    return [row for row in rows if not tests_of(row, found)]


def unknown_claims(rows: list[Row], found: list[Claim]) -> list[Claim]:
    """Claims of rows that do not exist."""
    names = {row.name for row in rows}
    return [claim for claim in found if claim.name not in names]


def main(arguments: list[str]) -> int:
    """Print, write or check the page; the status to exit with."""
    rows = rows_of(ROWS.read_text("utf-8"))
    try:
        found = list(claims_in(ROOT / "tests", "tinykv"))
    except ClaimError as error:
        print(error, file=sys.stderr)
        return 1
    page = table(rows, found)
    complaints = [f"{claim}: there is no row {claim.name}" for claim in unknown_claims(rows, found)]
    if "--write" in arguments:
        PAGE.write_text(page, "utf-8")
    elif "--check" not in arguments:
        print(page)
    elif not PAGE.exists() or PAGE.read_text("utf-8") != page:
        complaints.append(f"{PAGE.name} is not what the tests say: run `make tinykv`")
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    print(f"{len(rows) - len(missing_rows(rows, found))} of {len(rows)} rows have a test")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
