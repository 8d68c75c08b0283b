"""`raftly config`: what it explains is a file that is right, and what is wrong with others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raftly.cli.root import raftly


def config(*words: str) -> Result:
    return CliRunner().invoke(raftly, ["config", *words])


@pytest.mark.parametrize(("kind", "name"), [("store", "a store"), ("pd", "the placement driver")])
def test_what_is_explained_is_a_file_that_is_right(kind: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(config("explain", kind).stdout)
    assert config("check", str(path), "--kind", kind).stdout == f"{path} is a configuration of {name}\n"
    assert json.loads(config("check", str(path), "--json").stdout) == {"ok": True, "kind": kind}


def test_json_has_every_option_of_both() -> None:
    told = json.loads(config("explain", "--json").stdout)
    assert {one["of"] for one in told} == {"pd", "store"}
    assert all(one["about"] and one["kind"] for one in told)
    assert {"of": "pd", "option": "address"}.items() <= next(one for one in told if one["option"] == "address").items()
    both = config("explain").stdout
    assert "### raftly pd --config FILE" in both
    assert "### raftly store --config FILE" in both


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("addres = 'x'", "store", "addres is no option; the nearest is address"),
        ("id = 0", "pd", "id must"),
        ("id = 'one'", "pd", "id must"),
        ("= 3", "pd", "is no TOML"),
    ],
)
def test_a_file_that_is_wrong(text: str, kind: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    done = config("check", "--kind", kind, str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"{path}: ")
    assert sentence in done.stderr
    told = json.loads(config("check", "--kind", kind, str(path), "--json").stdout)
    assert not told["ok"]
    assert sentence in told["problems"][kind]


def test_a_file_that_is_of_neither_kind_says_so_for_each(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("id = 0\n[region]\nmax_keys = 1\n")
    done = config("check", str(path))
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == [
        f"{path}, as one of store",
        f"{path}, as one of pd",
    ]


def test_a_file_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    done = config("check", str(tmp_path / "none.toml"))
    assert done.exit_code == 1
    assert done.stderr.count("cannot be read") == 1
