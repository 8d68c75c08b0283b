"""`raftly ctl` beside our placement driver, and beside one that knows kvproto alone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from raftly.cli.root import raftly
from tests.unit.cli.clusters import Cli, fake_stores, real_driver


@pytest.fixture(scope="module")
def ctl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    with real_driver(tmp_path_factory.mktemp("pd")) as made:
        yield made


def columns(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


def test_members(ctl: Cli) -> None:
    assert columns(ctl.said("member")) == [
        ["id", "name", "role", "clients"],
        ["1", "pd-1", "leader", f"http://{ctl.address}"],
    ]
    told = json.loads(ctl.said("--json", "member"))
    assert told["leader"] == 1
    assert [member["id"] for member in told["members"]] == [1]
    assert json.loads(ctl.said("state"))["cluster_id"] == told["cluster_id"]


def test_stores(ctl: Cli) -> None:
    told = json.loads(ctl.said("store", "--json"))
    assert [(one["id"], one["leads"], one["regions"], one["labels"]) for one in told] == [
        (1, 1, 2, {"zone": "z1"}),
        (2, 1, 2, {"zone": "z2"}),
        (3, 0, 2, {"zone": "z3"}),
    ]
    head, *rows = columns(ctl.said("store"))
    assert head == ["id", "state", "silent_s", "leads", "regions", "address", "status", "labels"]
    assert [(row[0], row[5], row[6], row[7]) for row in rows] == [
        (str(id_), f"127.0.0.1:{20160 + id_}", "-", f"zone=z{id_}") for id_ in (1, 2, 3)
    ]


def test_regions(ctl: Cli) -> None:
    assert ctl.said("region").splitlines() == [
        "id  from    to      epoch  leader on  replicas on  not well",
        "2   -∞      0x00ff  3.2    1          1 2 3        -",
        "9   0x00ff  +∞      3.2    2          1 2 3        3 behind",
    ]
    told = json.loads(ctl.said("region", "--json"))
    assert [(one["start_key"], one["end_key"], one["leader"], one["pending"]) for one in told] == [
        ("", "0x00ff", 1, []),
        ("0x00ff", "", 2, [3]),
    ]
    for words in (["--key", "k"], ["--key", told[0]["end_key"]], ["--id", "9"]):
        assert [one["id"] for one in json.loads(ctl.said("region", *words, "--json"))] == [9]
    assert [one["id"] for one in json.loads(ctl.said("region", "--limit", "1", "--json"))] == [2]
    assert ctl.problem("region", "--id", "77") == "Error: there is no region 77; `raftly ctl region` lists them\n"


def test_a_plan_is_made_shown_and_given_up(ctl: Cli) -> None:
    assert ctl.said("operator") == "nothing is under way\n"
    assert ctl.said("region", "transfer-leader", "2", "3").startswith("begun: ")
    try:
        (plan,) = json.loads(ctl.said("operator", "--json"))
        assert plan["region"] == 2
        assert columns(ctl.said("operator"))[1][0] == "2"
        shown = json.loads(ctl.said("operator", "show", "2", "--json"))
        assert (shown["region"], shown["status"]) == (2, "RUNNING")
        assert columns(ctl.said("operator", "show", "2"))[1][:1] == ["2"]
        assert "region 2" in ctl.problem("region", "remove-peer", "2", "1"), "one thing at a time"
    finally:
        assert ctl.said("operator", "cancel", "2") == "done\n"
    assert json.loads(ctl.said("operator", "--json")) == []
    assert ctl.problem("operator", "show", "77").endswith("nothing was planned for region 77 lately\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["region", "transfer-leader", "77", "1"], "region 77 is not known"),
        (["region", "transfer-leader", "2", "77"], "77"),
        (["region", "add-peer", "2", "1"], "has a peer on store 1 already"),
        (["region", "move-peer", "2", "77", "1"], "has a peer on store 1 already"),
        (["region", "merge", "2", "77"], "77"),
        (["store", "remove", "77"], "there is no store 77"),
        (["store", "restore", "77"], "there is no store 77"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(ctl: Cli, words: list[str], sentence: str) -> None:
    told = ctl.problem(*words)
    assert told.startswith("Error: ")
    assert sentence in told
    failed = ctl(*words, "--json")
    assert (failed.exit_code, set(json.loads(failed.stdout))) == (1, {"error", "message"})


def test_a_store_is_removed_and_kept_after_all(ctl: Cli) -> None:
    stuck = "region 2 cannot leave store 3: its 3 copies need other stores, and 2 are up: start one more"
    assert ctl.said("store", "remove", "3") == f"begun, but {stuck}\n"
    assert ctl.said("store").splitlines()[-1] == stuck
    third = json.loads(ctl.said("store", "--json"))[2]
    assert (third["state"], third["stuck"]) == ("offline", stuck)
    assert json.loads(ctl.said("store", "restore", "3", "--json")) == {}
    third = json.loads(ctl.said("store", "--json"))[2]
    assert (third["state"] != "offline", third["stuck"]) == (True, "")


def test_options_are_shown_and_set(ctl: Cli) -> None:
    lines = ctl.said("config", "show").splitlines()
    assert {"max_replicas = 3", 'down_after = "30m"', 'location_labels = ["zone", "rack", "host"]'} <= set(lines)
    assert ctl.said("config", "set", "hot_limit", "7") == "done\n"
    assert ctl.said("config", "show", "hot_limit") == "hot_limit = 7\n"
    assert json.loads(ctl.said("config", "show", "hot_limit", "--json")) == {"hot_limit": 7}
    assert "hot_limit must be a whole number, and is 'many'" in ctl.problem("config", "set", "hot_limit", "many")
    assert "there is no option 'hot'; there are max_replicas," in ctl.problem("config", "show", "hot")


def test_a_store_is_labelled(ctl: Cli) -> None:
    assert ctl.said("store", "label", "3", "rack=r1", "host=h=1") == "done\n"
    stores = {one["id"]: one["labels"] for one in json.loads(ctl.said("store", "--json"))}
    assert stores[3] == {"zone": "z3", "rack": "r1", "host": "h=1"}
    assert ctl.said("store", "label", "3", "rack=", "host=") == "done\n"
    stores = {one["id"]: one["labels"] for one in json.loads(ctl.said("store", "--json"))}
    assert stores[3] == {"zone": "z3"}
    assert "'zone' is not NAME=VALUE" in ctl.problem("store", "label", "3", "zone", code=2)
    assert "there is no store 77" in ctl.problem("store", "label", "77", "zone=z1")


def test_the_last_member_is_not_removed(ctl: Cli) -> None:
    assert "voter" in ctl.problem("member", "remove", "pd-1")
    assert "no member is called 'pd-2'; there are 1 (pd-1)" in ctl.problem("member", "remove", "pd-2")
    assert columns(ctl.said("member"))[1][1] == "pd-1"


def test_options_of_the_cluster(ctl: Cli) -> None:
    assert "max_replicas = 3" in ctl.said("config", "show").splitlines()
    assert ctl.said("config", "show", "max_replicas") == "max_replicas = 3\n"
    assert json.loads(ctl.said("config", "show", "max_replicas", "--json")) == {"max_replicas": 3}
    assert "there is no option 'replicas'; there are " in ctl.problem("config", "show", "replicas")
    failed = ctl("config", "show", "replicas", "--json")
    assert (failed.exit_code, json.loads(failed.stdout)["error"]) == (1, "refused")
    ctl.said("config", "set", "leader_limit", "5")
    assert ctl.said("config", "show", "leader_limit") == "leader_limit = 5\n"
    assert "leader_limit" in ctl.problem("config", "set", "leader_limit", "many")


def test_labels_of_a_store(ctl: Cli) -> None:
    ctl.said("store", "label", "2", "rack=r7", "zone=z9")
    assert json.loads(ctl.said("store", "--json"))[1]["labels"] == {"rack": "r7", "zone": "z9"}
    ctl.said("store", "label", "2", "rack=", "zone=z2")
    assert json.loads(ctl.said("store", "--json"))[1]["labels"] == {"zone": "z2"}
    assert "'rack' is not NAME=VALUE" in ctl.problem("store", "label", "2", "rack", code=2)


def test_the_last_member_stays(ctl: Cli) -> None:
    assert ctl.problem("member", "remove", "1").startswith("Error: ")
    assert "nobody" in ctl.problem("member", "remove", "nobody")


def test_a_region_that_begins_there_already(ctl: Cli) -> None:
    assert ctl.said("region", "split", "0x00ff") == "region 9 begins there\n"
    assert json.loads(ctl.said("region", "split", "0x00ff", "--json")) == {"regions": [9]}


@pytest.mark.parametrize(
    "words",
    [["region", "split", "0xz"], ["region", "transfer-leader", "two", "1"], ["region", "nine"], ["--timeout", "0"]],
)
def test_wrong_use(ctl: Cli, words: list[str]) -> None:
    assert ctl.problem(*words, code=2).startswith("Usage: raftly ctl")


def test_a_driver_of_tikv_can_be_looked_at_not_told() -> None:
    with fake_stores() as (kv, _):
        done = CliRunner().invoke(raftly, ["ctl", "--pd", kv.address, "store", "remove", "1"])
        assert (done.exit_code, done.stdout) == (1, "")
        assert "not raftly's: it can be looked at, not told" in done.stderr
        done = CliRunner().invoke(raftly, ["ctl", "--pd", kv.address, "member", "--json"])
        assert json.loads(done.stdout)["leader"] == json.loads(done.stdout)["members"][0]["id"]


def test_nobody_there() -> None:
    done = CliRunner().invoke(raftly, ["ctl", "--pd", "127.0.0.1:1", "store", "--timeout", "0.2"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no placement driver was found at 127.0.0.1:1" in done.stderr
