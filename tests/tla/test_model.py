"""The model of reads and leases holds, and breaks as soon as one of its rules does. Needs Java and the jar of TLC."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tla.model import constants, missing, search

MEETS = "LeasesMeetNoNewerLeader"
# Each rule with the invariant that needs it.
RULES = {
    "a lease counts from the asking": MEETS,
    "a restart promises": MEETS,
    "a transfer ends the lease": MEETS,
    "no lease again in that term": MEETS,
    "a new term leaves the promise": MEETS,
    "its own vote is promised too": MEETS,
    "requests of the own term are held against the promise": MEETS,
    "an entry of the own term is committed": "ReadIndexesAreLinearizable",
    "a majority answers": "ReadIndexesAreLinearizable",
}


@pytest.fixture
def tlc() -> None:
    """Skip where TLC cannot run."""
    reason = missing()
    if reason:
        pytest.skip(reason)


def test_the_rules_of_the_model_are_those_tested() -> None:
    text = (Path(__file__).parent / "ReadLease.tla").read_text(encoding="utf-8")
    assert set(re.findall(r'Kept\("([^"]+)"\)', text)) == set(RULES)


def test_a_constant_must_be_there() -> None:
    with pytest.raises(ValueError, match="Leese"):
        constants("    Lease = 1\n    Off = {}\n", {"Leese": 2}, ())
    assert constants("    Lease = 1\n    Off = {}\n", {"Lease": 2}, ["x"]) == '    Lease = 2\n    Off = {"x"}\n'


@pytest.mark.usefixtures("tlc")
def test_the_model_holds_in_every_state() -> None:
    result = search({})
    assert result.violated == "", result.output
    assert result.states > 10_000


@pytest.mark.usefixtures("tlc")
@pytest.mark.parametrize("rule", RULES)
def test_without_a_rule_it_breaks(rule: str) -> None:
    assert search({}, [rule], RULES[rule]).violated == RULES[rule]


@pytest.mark.usefixtures("tlc")
def test_a_promise_one_tick_shorter_does_not_do() -> None:
    assert search({"LeaseTick": 3}, (), MEETS).violated == MEETS


@pytest.mark.usefixtures("tlc")
@pytest.mark.parametrize("rule", ["a restart promises", "an entry of the own term is committed"])
def test_a_stale_lease_read_is_seen(rule: str) -> None:
    stale = "LeaseReadsAreLinearizable"
    assert search({}, [rule], stale).violated == stale


@pytest.mark.usefixtures("tlc")
@pytest.mark.parametrize(
    "name", ["NoLaterLease", "NoLaterReadIndex", "NoTransferUnderPromise", "NoLeaderBesideAnother"]
)
def test_what_matters_happens(name: str) -> None:
    assert search({}, (), name).violated == name
