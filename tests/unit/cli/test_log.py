"""`raftly log`: shows, checks, and cuts only when asked."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raftly.base.membership import ConfState
from raftly.base.rand import SplitMix64
from raftly.base.types import HardState, SnapshotMeta
from raftly.cli.root import raftly
from raftly.storage.items import EntriesItem, HardStateItem, SnapshotItem
from raftly.storage.osfs import OsFs
from raftly.storage.snapshot import SnapshotStore
from tests.unit.storage.kit import entries, open_store, run, snapshot


@pytest.fixture
def data(tmp_path: Path) -> Path:
    async def work() -> None:
        fs = OsFs(tmp_path)
        store = open_store(fs)
        await store.commit([SnapshotItem(5, snapshot(2, 1), keeps_entries=False)])
        await store.commit([EntriesItem(5, entries(3, 4, 2, 100)), HardStateItem(5, HardState(2, 3, 4))])
        for first in (1, 4, 7):
            await store.commit([EntriesItem(6, entries(first, 3, 2, 700))])
        store.close()
        snapshots = SnapshotStore(fs, 0xC1, 5, SplitMix64(1))
        snapshots.open_dir()
        writer = snapshots.create(SnapshotMeta(2, 1, ConfState((1,))))
        await writer.write(b"state")
        await writer.commit()
        fs.close()

    run(work())
    return tmp_path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(raftly, ["log", *map(str, arguments)])


def damage(data: Path) -> Path:
    path = max((data / "wal").iterdir())
    content = bytearray(path.read_bytes())
    at = len(content.rstrip(b"\0")) - 100
    content[at] ^= 1
    path.write_bytes(content)
    return path


def test_inspect_shows_segments_and_groups(data: Path) -> None:
    ran = call("inspect", data)
    assert ran.exit_code == 0, ran.output
    lines = ran.output.splitlines()
    assert lines[0].split()[:2] == ["segment", "bytes"]
    assert lines[1].endswith("sound")
    assert "5      3      6     504    2     3     4       1/2       1,2,3   -         -" in lines
    assert "\x1b" not in ran.output


def test_inspect_in_json(data: Path) -> None:
    shown = json.loads(call("inspect", data, "--json").output)
    assert (shown["cluster"], shown["node"], shown["damage"]) == (0xC1, 3, None)
    assert [group["last"] for group in shown["groups"]] == [6, 9]
    listed = json.loads(call("inspect", data, "--group", 5, "--limit", 2, "--json").output)["entries"]
    assert [(item["index"], item["term"], item["type"], item["data"]) for item in listed] == [
        (5, 2, "normal", 100),
        (6, 2, "normal", 100),
    ]


def test_inspect_lists_the_entries_of_a_group(data: Path) -> None:
    ran = call("inspect", data, "--group", 6)
    assert ran.exit_code == 0
    assert [line.split()[0] for line in ran.output.splitlines()] == ["index", *map(str, range(1, 10))]
    missing = call("inspect", data, "--group", 77)
    assert missing.exit_code == 2
    assert "there is no group 77 in this log" in missing.output


def test_verify_finds_a_log_sound_or_says_where_it_is_damaged(data: Path) -> None:
    ran = call("verify", data)
    assert (ran.exit_code, ran.output) == (0, "3 segments, 2 groups, 1 snapshot: sound\n")
    path = damage(data)
    ran = call("verify", data)
    assert ran.exit_code == 1
    assert f"wal/{path.name} is damaged at byte " in ran.output
    told = json.loads(call("verify", data, "--json").output)
    assert not told["sound"]
    assert told["damage"][0]["path"] == f"wal/{path.name}"


def test_verify_reads_snapshots_too(data: Path) -> None:
    (path,) = (data / "snapshots" / "5").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    ran = call("verify", data)
    assert ran.exit_code == 1
    assert f"snapshots/5/{path.name} is damaged" in ran.output


def test_a_torn_end_is_no_damage(data: Path) -> None:
    path = max((data / "wal").iterdir())
    content = path.read_bytes()
    used = len(content.rstrip(b"\0"))
    path.write_bytes(content[: used // 512 * 512].ljust(len(content), b"\0"))
    ran = call("verify", data)
    assert ran.exit_code == 0
    assert "never completed" in ran.output


def test_repair_says_what_it_would_give_up_and_does_it_only_when_asked(data: Path) -> None:
    assert call("repair", data).output == "the log is sound: nothing to do\n"
    path = damage(data)
    before = path.read_bytes()
    ran = call("repair", data)
    assert ran.exit_code == 1
    assert "would be given up" in ran.output
    assert "Nothing was changed" in ran.output
    assert path.read_bytes() == before
    ran = call("repair", data, "--cut")
    assert ran.exit_code == 0, ran.output
    assert "were given up" in ran.output
    assert "promised to others" in ran.output
    assert path.with_name(path.name + ".cut").read_bytes() == before
    assert call("verify", data).exit_code == 0
    store = open_store(OsFs(data))
    assert store.group(6).last_index() == 6
    store.close()
    assert json.loads(call("repair", data, "--json").output)["cut"] is None


def test_repair_refuses_what_cutting_cannot_repair(data: Path) -> None:
    (data / "wal" / "00000001.seg").unlink()
    ran = call("repair", data, "--cut")
    assert ran.exit_code == 2
    assert "add a new one" in ran.output
    assert json.loads(call("repair", data, "--cut", "--json").output)["done"] is False


def test_what_is_no_log_or_in_use_is_exit_2(data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = tmp_path_factory.mktemp("empty")
    for command in ("inspect", "verify", "repair"):
        ran = call(command, empty)
        assert ran.exit_code == 2
        assert "there is no log" in ran.output
    assert list(empty.iterdir()) == []
    lock = OsFs(data).lock("")
    ran = call("verify", data)
    assert ran.exit_code == 2
    assert "in use by another process" in ran.output
    lock.release()
