"""`raftly kv`: what is typed, printed and returned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from raftly.base.region_errors import RaftEntryTooLarge, ServerIsBusy
from raftly.cli.root import raftly
from raftly.client.text import shown_key
from tests.unit.cli.clusters import Cli, fake_stores
from tests.unit.client.fakes import FakeCluster

Fake = tuple[Cli, FakeCluster]


@pytest.fixture(scope="module")
def one() -> Iterator[Fake]:
    with fake_stores() as made:
        yield made


@pytest.fixture
def fake(one: Fake) -> Fake:
    one[1].data.clear()
    for store in one[1].stores.values():
        store.faults.clear()
    return one


def test_put_get_delete(fake: Fake) -> None:
    kv, cluster = fake
    assert kv.said("put", "color", "green") == ""
    assert kv.said("get", "color") == "green\n"
    assert kv.said("put", "fruit/apple", "") == ""
    assert kv.said("get", "fruit/apple") == "\n"
    assert kv.said("delete", "color", "never there") == ""
    assert kv.problem("get", "color", code=3) == "color is not there\n"
    assert cluster.data == {b"fruit/apple": b""}


@pytest.mark.parametrize("data", [b"\x00\xff", b"0xcafe", b"two\nlines", "größer".encode(), b"a b", b"\xc3"])
def test_what_is_printed_can_be_typed(fake: Fake, data: bytes) -> None:
    kv, cluster = fake
    typed = shown_key(data)
    kv.said("put", typed, typed)
    assert cluster.data == {data: data}
    assert kv.said("get", typed) == f"{typed}\n"
    assert json.loads(kv.said("--json", "scan")) == [[typed, typed]]
    assert CliRunner().invoke(raftly, ["kv", "--pd", kv.address, "get", typed, "--raw"]).stdout_bytes == data


def test_a_value_may_come_from_a_file(fake: Fake, tmp_path: Path) -> None:
    kv, cluster = fake
    path = tmp_path / "value"
    path.write_bytes(bytes(range(256)))
    kv.said("put", "k", "--file", str(path))
    assert cluster.data[b"k"] == bytes(range(256))
    done = CliRunner().invoke(raftly, ["kv", "--pd", kv.address, "put", "k", "--file", "-"], input=b"from a pipe")
    assert (done.exit_code, cluster.data[b"k"]) == (0, b"from a pipe")
    assert "either a VALUE or --file" in kv.problem("put", "k", code=2)
    assert "either a VALUE or --file" in kv.problem("put", "k", "v", "--file", str(path), code=2)


def test_scan(fake: Fake) -> None:
    kv, cluster = fake
    cluster.data.update({b"a": b"1", b"b": b"\x02", b"c": b"3"})
    assert kv.said("scan") == "key  value\na    1\nb    0x02\nc    3\n"
    assert kv.said("scan", "a", "c", "--keys") == "key\na\nb\n"
    assert kv.said("scan", "x") == "key  value\n"
    assert kv.said("scan", "b", "", "--json") == '[["b", "0x02"], ["c", "3"]]\n'
    assert kv.said("--json", "scan", "--keys", "--reverse") == '["c", "b", "a"]\n'
    done = kv("scan", "--limit", "2", "--reverse")
    assert (done.stdout, done.stderr) == ("key  value\nc    3\nb    0x02\n", "there may be more: --limit N\n")
    assert "0 is not in the range" in kv.problem("scan", "--limit", "0", code=2)
    kv.said("delete-range", "b", "")
    assert list(cluster.data) == [b"a"]


def test_compare_and_swap(fake: Fake) -> None:
    kv, cluster = fake
    assert kv.said("cas", "lock", "mine") == ""
    done = kv("cas", "lock", "yours")
    assert (done.exit_code, done.stdout) == (3, "mine\n")
    assert kv.said("cas", "lock", "yours", "--expect", "mine", "--json") == (
        '{"key": "lock", "done": true, "previous": "mine"}\n'
    )
    assert kv.problem("cas", "other", "x", "--expect", "y", code=3) == "other is not there\n"
    assert cluster.data == {b"lock": b"yours"}


def test_json_of_everything_else(fake: Fake) -> None:
    kv, _ = fake
    assert json.loads(kv.said("put", "0x00", "v", "--json")) == {"key": "0x00", "ok": True}
    assert json.loads(kv.said("get", "0x00", "--json")) == {"key": "0x00", "value": "v"}
    assert json.loads(kv.said("delete", "0x00", "--json")) == {"keys": ["0x00"], "ok": True}
    assert json.loads(kv.said("delete-range", "a", "b", "--json")) == {"lo": "a", "hi": "b", "ok": True}
    none = kv("--json", "get", "0x00")
    assert (none.exit_code, json.loads(none.stdout), none.stderr) == (3, {"key": "0x00", "value": None}, "")


@pytest.mark.parametrize("words", [["put", "0xabc", "v"], ["get", "0xzz"], ["scan", "0x0g"]])
def test_bad_hex_is_wrong_use(fake: Fake, words: list[str]) -> None:
    assert "begins with 0x but is not hex digits" in fake[0].problem(*words, code=2)


def test_what_stores_refuse_is_told(fake: Fake) -> None:
    kv, cluster = fake
    assert "no ttl here" in kv.problem("put", "k", "v", "--ttl", "5")
    cluster.stores[1].faults.append(RaftEntryTooLarge(2, 9_000_000))
    assert "9000000" in kv.problem("put", "k", "v").replace(",", "")
    cluster.stores[1].faults += [ServerIsBusy("its disk is slow", 5)] * 1000
    assert "its disk is slow" in kv.problem("get", "k", "--timeout", "0.2")
    failed = kv("get", "k", "--timeout", "0.2", "--json")
    told = json.loads(failed.stdout)
    assert (failed.exit_code, told["error"], failed.stderr) == (1, "client_not_done", "")
    assert "its disk is slow" in told["message"]


def test_an_outcome_that_is_unknown_says_so(fake: Fake) -> None:
    kv, cluster = fake
    cluster.stores[1].lost_answers = 1
    assert "whether all of it was done is unknown" in kv.problem("cas", "k", "v")
    assert cluster.data == {b"k": b"v"}


def test_nobody_there() -> None:
    done = CliRunner().invoke(raftly, ["kv", "--pd", "127.0.0.1:1", "get", "k", "--timeout", "0.2"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no placement driver was found at 127.0.0.1:1: for 0.2 s, " in done.stderr
    assert "`raftly playground` starts one" in done.stderr
    done = CliRunner().invoke(
        raftly, ["kv", "get", "k", "--json", "--timeout", "0.2"], env={"RAFTLY_PD": "127.0.0.1:1"}
    )
    assert json.loads(done.stdout)["error"] == "cli_no_placement_driver"


def test_the_address_of_something_else(fake: Fake) -> None:
    _, cluster = fake
    done = CliRunner().invoke(raftly, ["kv", "--pd", f"127.0.0.1:{cluster.stores[1].port}", "get", "k"])
    assert "what answers there is something else" in done.stderr
    assert done.exit_code == 1
    done = CliRunner().invoke(raftly, ["kv", "--pd", "localhost", "get", "k"])
    assert "must be host:port" in done.stderr
    assert done.exit_code == 2


def test_where_it_is_may_be_said_anywhere(fake: Fake) -> None:
    """What is typed counts more than the environment, and what is typed last most."""
    address = fake[0].address
    fake[1].data[b"k"] = b"v"
    for words in (
        ["kv", "get", "k", "--pd", address],
        ["kv", "--pd", "127.0.0.1:1", "get", "--pd", address, "k"],
        ["kv", "--pd", address, "get", "k"],
    ):
        done = CliRunner().invoke(raftly, words, env={"RAFTLY_PD": "127.0.0.1:1"})
        assert (done.exit_code, done.stdout) == (0, "v\n"), done.stderr
    done = CliRunner().invoke(raftly, ["kv", "get", "k"], env={"RAFTLY_PD": f"{address},127.0.0.1:1"})
    assert done.stdout == "v\n"


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("kv", ["cas", "checksum", "delete", "delete-range", "get", "put", "scan", "ttl"]),
        ("ctl", ["config", "member", "operator", "region", "state", "store"]),
        ("config", ["check", "explain"]),
    ],
)
def test_help_teaches_by_example(group: str, commands: list[str]) -> None:
    told = CliRunner().invoke(raftly, [group, "--help"]).output
    assert told.count(f"raftly {group} ") >= 3
    assert "Exit code 0" in told
    for command in commands:
        assert f"  {command} " in told
        assert CliRunner().invoke(raftly, [group, command, "--help"]).exit_code == 0
