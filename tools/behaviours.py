"""Which test proves which behaviour: reads the marks in the tests, writes docs/behaviours.md, names what is missing.

    python -m tools.behaviours            print the table
    python -m tools.behaviours --write    write docs/behaviours.md

A test claims behaviours with `@pytest.mark.behaviour("EL01", "EL02")`, on itself, on its class, on a parameter or on
its module (`pytestmark`); a golden script claims them with comment lines `# behaviour: EL01 EL02`. The marks are read
from the sources without running them. Exit 1 when a behaviour has no test, or a claim cannot stand: an unknown id, or
one on a test that is skipped or expected to fail.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.marks import Claim, ClaimError, claims_in

ROOT = Path(__file__).parents[1]
CATALOGUE = ROOT.parent / "shared" / "raft-conformance" / "behaviours.md"
IDS = ROOT / "tests" / "behaviours" / "ids.txt"
PAGE = ROOT / "docs" / "behaviours.md"
HEADER = """# Behaviours and their tests

Every rule that raftly promises to keep has an id, and every id a test that carries it; the names of the tests say the
rules. This page is made from the tests by `make behaviours`; do not edit it.

The letters: EL elections and terms, CQ check-quorum and leases, LR replication and commit, FC flow control, SN
snapshots, RI read index, LT leadership transfer, LN learners, CC changes of members, RN RawNode and Ready, LG the log,
UN its unstable part, ST storage in memory, TR progress of followers, MQ majorities, HN whole clusters, X what only
raft-rs has.

"""
DEFERRED = "no test yet: belongs to the asyncio node"


def wanted_ids(text: str) -> dict[str, bool]:
    """Ids of `ids.txt` in order; True when the behaviour is deferred."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return {words[0]: "deferred" in words[1:] for words in lines if words}


def catalogue_ids(text: str) -> list[str]:
    """Ids of the catalogue's tables in order."""
    return re.findall(r"^\| ([A-Z]+\d+) \|", text, re.MULTILINE)


def claims(tests: Path) -> Iterator[Claim]:
    """All claims below a folder of tests.

    Raises:
        ClaimError: a claim cannot stand.
    """
    yield from claims_in(tests, "behaviour")
    for path in sorted((tests / "datadriven").rglob("*.txt")):
        where = path.relative_to(tests.parent).as_posix()
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("# behaviour:"):
                yield from (Claim(id_, where, "") for id_ in line.partition(":")[2].replace(",", " ").split())


def table(wanted: dict[str, bool], found: list[Claim]) -> str:
    """The page: one row a behaviour, its tests in order of path."""
    rows = ["| behaviour | tests |", "|---|---|"]
    for id_, deferred in wanted.items():
        tests = "<br>".join(f"`{claim}`" for claim in sorted(claim for claim in found if claim.name == id_))
        rows.append(f"| {id_} | {tests or (DEFERRED if deferred else '**none**')} |")
    return HEADER + "\n".join(rows) + "\n"


def problems(wanted: dict[str, bool], found: list[Claim], catalogue: list[str] | None) -> list[str]:
    """What keeps the table from being complete; `catalogue` is None where the kit is not at hand."""
    claimed = {claim.name for claim in found}
    result = [f"{claim}: there is no behaviour {claim.name}" for claim in found if claim.name not in wanted]
    missing = [id_ for id_, deferred in wanted.items() if not deferred and id_ not in claimed]
    if missing:
        result.append(f"{len(missing)} behaviours have no test: {' '.join(missing)}")
    late = [id_ for id_, deferred in wanted.items() if deferred and id_ in claimed]
    if late:
        result.append(f"{IDS.name} calls these deferred, but they have tests: {' '.join(late)}")
    if catalogue is not None and catalogue != list(wanted):
        differing = sorted(set(catalogue).symmetric_difference(wanted)) or ["only in their order"]
        result.append(f"{IDS.name} and the catalogue differ: {' '.join(differing)}")
    return result


def main(arguments: list[str]) -> int:
    """Print or write the table, then what is missing; the status to exit with."""
    wanted = wanted_ids(IDS.read_text("utf-8"))
    catalogue = catalogue_ids(CATALOGUE.read_text("utf-8")) if CATALOGUE.exists() else None
    try:
        found = list(claims(ROOT / "tests"))
    except ClaimError as error:
        print(error, file=sys.stderr)
        return 1
    page = table(wanted, found)
    if "--write" in arguments:
        PAGE.write_text(page, "utf-8")
    else:
        print(page)
    proven = len({claim.name for claim in found} & set(wanted))
    deferred = sum(wanted.values())
    complaints = problems(wanted, found, catalogue)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    print(f"{proven} of {len(wanted) - deferred} behaviours have tests, {deferred} more are deferred")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
