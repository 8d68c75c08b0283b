"""Every behaviour has its test, and the page that says so is current; and the reader of the marks reads them right."""

from pathlib import Path

import pytest

from tools import behaviours
from tools.behaviours import problems, table, wanted_ids
from tools.marks import Claim, ClaimError, source_claims

WANTED = wanted_ids(behaviours.IDS.read_text("utf-8"))


def test_every_behaviour_has_a_test() -> None:
    complaints = problems(WANTED, list(behaviours.claims(behaviours.ROOT / "tests")), None)
    assert not complaints, "\n".join(complaints)


def test_the_page_is_current() -> None:
    page = table(WANTED, list(behaviours.claims(behaviours.ROOT / "tests")))
    current = behaviours.PAGE.read_text("utf-8") == page  # compared apart: the difference would be the whole page
    assert current, "docs/behaviours.md is not what the tests say: run `make behaviours`"


@pytest.mark.skipif(not behaviours.CATALOGUE.exists(), reason="the conformance kit is not beside this repository")
def test_our_ids_are_those_of_the_catalogue() -> None:
    assert behaviours.catalogue_ids(behaviours.CATALOGUE.read_text("utf-8")) == list(WANTED)


def _claimed(source: str) -> list[tuple[str, str]]:
    return [(claim.name, claim.test) for claim in source_claims("tests/test_x.py", source, "behaviour")]


def test_marks_are_found_wherever_they_may_stand() -> None:
    source = """
pytestmark = [pytest.mark.behaviour("AA01")]

@pytest.mark.behaviour("AA02", "AA03")
def test_one(): ...

@pytest.mark.behaviour("AA04")
class TestAll:
    @pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.behaviour("AA05"))])
    async def test_two(self, x): ...

def helper(): ...
"""
    assert _claimed(source) == [
        ("AA01", "test_one"),
        ("AA02", "test_one"),
        ("AA03", "test_one"),
        ("AA01", "TestAll::test_two"),
        ("AA04", "TestAll::test_two"),
        ("AA05", "TestAll::test_two"),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.behaviour(NAME)\ndef test_one(): ...",
        "@pytest.mark.behaviour('AA01')\ndef helper(): ...",
        "@pytest.mark.behaviour('AA01')\n@pytest.mark.xfail\ndef test_one(): ...",
        "@pytest.mark.behaviour('AA01')\n@pytest.mark.skip(reason='later')\ndef test_one(): ...",
    ],
)
def test_a_claim_that_proves_nothing_is_refused(source: str) -> None:
    with pytest.raises(ClaimError):
        _claimed(source)


def test_golden_scripts_claim_in_comments(tmp_path: Path) -> None:
    script = tmp_path / "tests" / "datadriven" / "core" / "votes.txt"
    script.parent.mkdir(parents=True)
    script.write_text("# behaviour: AA01, AA02\nlog-level none\n----\nok\n")
    assert [str(claim) for claim in behaviours.claims(tmp_path / "tests")] == ["tests/datadriven/core/votes.txt"] * 2


def test_what_is_missing_is_named() -> None:
    wanted = {"AA01": False, "AA02": False, "AA03": True}
    found = [Claim("AA01", "tests/test_x.py", "test_one")]
    assert problems(wanted, found, None) == ["1 behaviours have no test: AA02"]
    assert problems(wanted, [*found, Claim("AA02", "tests/test_x.py", "test_two")], None) == []
    assert "no behaviour ZZ99" in problems(wanted, [Claim("ZZ99", "tests/test_x.py", "test_x")], None)[0]
    assert "deferred" in problems({"AA03": True}, [Claim("AA03", "tests/test_x.py", "test_x")], None)[0]
    assert "AA04" in problems({"AA03": True}, [], ["AA03", "AA04"])[0]
    page = table(wanted, found)
    assert "| AA01 | `tests/test_x.py::test_one` |\n| AA02 | **none** |\n| AA03 | no test yet" in page
