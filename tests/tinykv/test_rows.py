"""The page of TinyKV's scenarios says what the tests say, and its rows are those of the course."""

import pytest

from tools import tinykv
from tools.marks import Claim, claims_in
from tools.tinykv import Row, missing_rows, required_names, rows_of, table, unknown_claims

ROWS = rows_of(tinykv.ROWS.read_text("utf-8"))


@pytest.fixture(scope="module")
def found() -> list[Claim]:
    return list(claims_in(tinykv.ROOT / "tests", "tinykv"))


def test_the_page_is_current(found: list[Claim]) -> None:
    current = tinykv.PAGE.read_text("utf-8") == table(ROWS, found)  # compared apart: the difference would be the page
    assert current, "docs/tinykv.md is not what the tests say: run `make tinykv`"


def test_every_claim_is_of_a_row(found: list[Claim]) -> None:
    assert unknown_claims(ROWS, found) == []


def test_no_row_is_missing(found: list[Claim]) -> None:
    assert [row.name for row in missing_rows(ROWS, found)] == []


@pytest.mark.skipif(not tinykv.REQUIREMENTS.exists(), reason="the requirements are not beside this repository")
def test_our_rows_are_those_of_the_requirements() -> None:
    assert [row.name for row in ROWS] == required_names(tinykv.REQUIREMENTS.read_text("utf-8"))


def test_the_counts_of_the_projects() -> None:
    projects = [row.project for row in ROWS]
    counts = {project: projects.count(project) for project in tinykv.PROJECTS}
    assert counts == {"1": 10, "2A": 52, "2B": 11, "2C": 13, "3A": 16, "3B": 16, "3C": 22}
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_what_is_missing_is_shown_and_counted() -> None:
    rows = [Row("TestOne2B", "One."), Row("TestTwo2B", "Two."), Row("TestThree13C", "Three.")]
    claims = [Claim("TestOne2B", "tests/test_x.py", "test_b"), Claim("TestOne2B", "tests/test_a.py", "test_a")]
    page = table(rows, claims)
    assert "**1 of 3 rows have a test.**" in page
    assert "| TestOne2B | One. | `tests/test_a.py::test_a`<br>`tests/test_x.py::test_b` |" in page
    assert "| TestTwo2B | Two. | **missing** |" in page
    assert "2 rows, 1 missing." in page
    assert "none is missing" in table(rows[:1], claims)
    assert unknown_claims(rows, [Claim("TestFour2B", "tests/test_x.py", "test_x")]) != []


def test_required_names_are_those_of_the_graded_tests_of_three_projects() -> None:
    text = "| TestOne1 | a |\n| TestTwo2AC | b |\n| TestReplicas13C | c |\n| TestBasic | d |\n| TestScan4C | e |\n"
    assert required_names(text) == ["TestOne1", "TestTwo2AC", "TestReplicas13C"]
