"""Real processes: the official client and our own through splits, moves of leaders and kills. Nothing is lost."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from raftly.base.region import PeerRole
from raftly.cli.root import raftly
from raftly.client import blocking
from raftly.client.errors import PlacementRefused
from raftly.demo.live.render import Teller
from raftly.demo.live.step import Step
from raftly.loop_thread import LoopThread
from raftly.playground.cluster import Cluster, Picture, Refused
from raftly.playground.play import Player
from raftly.playground.processes import Process
from tests.playground.serving import check_pages, restart_all, split

pytest.importorskip("rocksdict", reason="the extra `store` is not installed")

SETTLE_S = 90.0
COMMAND = [sys.executable, "-P", "-m", "raftly.cli"]


@dataclass
class Playground:
    thread: LoopThread
    cluster: Cluster

    @property
    def endpoint(self) -> str:
        return self.cluster.pd_addresses()[0]

    def settle(self, regions: int = 1) -> Picture:
        """Until every region has a leader and three voters, all of which keep up."""

        def holds(picture: Picture) -> bool:
            return len(picture.regions) >= regions and all(
                placed.leader is not None
                and not placed.pending_peers
                and [peer.role for peer in placed.region.peers] == [PeerRole.VOTER] * 3
                for placed in picture.regions
            )

        picture, settled = self.thread.run(self.cluster.wait(holds, SETTLE_S))
        assert settled, picture
        return picture

    def split(self, key: bytes) -> None:
        self.thread.run(self.cluster.pd.split_regions([key], timeout_s=SETTLE_S))

    def move_leader(self, key: bytes) -> None:
        """The region of `key` is to be led by another store."""

        async def move() -> None:
            placed = await self.cluster.pd.get_region(key)
            assert placed.leader is not None
            target = next(peer for peer in placed.region.peers if peer.id != placed.leader.id)
            try:
                await self.cluster.pd.admin("transfer-leader", {"region": placed.region.id, "store": target.store_id})
            except PlacementRefused:
                return  # something else is under way for the region: a scheduler had the same idea
            await self.cluster.wait(
                lambda now: any(
                    one.region.id == placed.region.id and one.leader is not None and one.leader.id != placed.leader.id  # type: ignore[union-attr]
                    for one in now.regions
                ),
                SETTLE_S,
            )

        self.thread.run(move())

    def kill_leader(self, key: bytes) -> Process:
        async def kill() -> Process:
            placed = await self.cluster.pd.get_region(key)
            assert placed.leader is not None
            process = self.cluster.by_store_id(placed.leader.store_id)
            assert process is not None
            await process.kill()
            return process

        return self.thread.run(kill())


@pytest.fixture(scope="module")
def playground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Playground]:
    thread = LoopThread("playground-test")
    cluster = Cluster(tmp_path_factory.mktemp("playground"))
    try:
        thread.run(cluster.start(1, 3))
        yield Playground(thread, cluster)
    finally:
        thread.stop(cluster.close(kill=True))


class Official:
    """The official client's process."""

    def __init__(self, endpoint: str) -> None:
        script = Path(__file__).with_name("official.py")
        self._child = subprocess.Popen(
            [sys.executable, str(script), endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, what: str, prefix: str, count: int = 40, *, in_async: bool = False) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        asked = {"do": what, "prefix": prefix, "count": count, "async": in_async}
        self._child.stdin.write(json.dumps(asked) + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        assert answer, "the client's process ended"
        assert json.loads(answer) == "ok", json.loads(answer)

    def close(self) -> None:
        self._child.communicate()


def test_the_official_client_works_through_splits_moves_and_a_kill(playground: Playground) -> None:
    pytest.importorskip("tikv_client", reason="tikv-client has no wheel here")
    playground.settle()
    client = Official(playground.endpoint)
    try:
        client.do("write", "a")
        client.do("write", "b", in_async=True)
        client.do("scan", "a")
        playground.split(b"a0020")
        playground.split(b"b0010")
        client.do("read", "a")
        client.do("write", "c")
        client.do("scan", "a")
        playground.settle(regions=3)
        playground.move_leader(b"a0000")
        client.do("read", "a")
        client.do("write", "d")
        client.do("read", "b", in_async=True)
        killed = playground.kill_leader(b"a0000")
        client.do("read", "a")
        client.do("write", "e")
        playground.thread.run(killed.start())
        for prefix in "abcde":
            client.do("read", prefix)
        client.do("scan", "a")
        client.do("delete", "c")
    finally:
        client.close()


def test_our_own_client_does_the_same(playground: Playground) -> None:
    pairs = {b"own-%04d" % number: b"value %d" % number for number in range(200)}
    with blocking.connect([playground.endpoint]) as client:
        client.batch_put(pairs, timeout_s=SETTLE_S)
        playground.split(b"own-0100")
        everything = sorted(pairs.items())
        assert client.scan(b"own-", b"own.", limit=1000, timeout_s=SETTLE_S) == everything
        assert client.scan(b"own-", b"own.", limit=150, reverse=True, timeout_s=SETTLE_S) == everything[:49:-1]
        playground.move_leader(b"own-0100")
        assert client.batch_get(pairs, timeout_s=SETTLE_S) == pairs
        assert client.compare_and_swap(b"own-0100", b"value 100", b"swapped", timeout_s=SETTLE_S).done
        assert not client.compare_and_swap(b"own-0100", b"value 100", b"again", timeout_s=SETTLE_S).done
        client.put(b"own-ttl", b"soon gone", ttl=1000, timeout_s=SETTLE_S)
        assert 0 < (client.ttl(b"own-ttl", timeout_s=SETTLE_S) or 0) <= 1000
        assert client.checksum(b"own-", b"own-:", timeout_s=SETTLE_S).keys == 200
        client.delete_range(b"own-0050", b"own-0150", timeout_s=SETTLE_S)
        left = [key for key in pairs if not b"own-0050" <= key < b"own-0150"]
        assert [key for key, _ in client.scan(b"own-", b"own-:", limit=1000, timeout_s=SETTLE_S)] == left


def test_a_region_is_split_on_a_clients_word(playground: Playground) -> None:
    parts = playground.thread.run(split(playground.cluster, b"own-word"))
    assert [part.start_key for part in parts][1:] == [b"own-word"]
    assert len(playground.thread.run(split(playground.cluster, b"own-word"))) == 1, "it was split there already"


def test_neighbours_are_merged_on_an_operators_word_and_a_kill_changes_nothing(playground: Playground) -> None:
    pytest.importorskip("tikv_client", reason="tikv-client has no wheel here")
    client = Official(playground.endpoint)
    try:
        client.do("write", "m")
        playground.split(b"m0010")
        playground.split(b"m0020")
        by_start = {one.region.start_key: one.region for one in playground.settle().regions}
        source, target = by_start[b"m0010"], by_start[b"m0020"]
        tell_to_merge(playground, source.id, target.id)
        killed = playground.kill_leader(b"m0010")
        client.do("read", "m")
        client.do("write", "n")
        playground.thread.run(killed.start())

        def is_merged(picture: Picture) -> bool:
            ranges = {one.region.id: one.region.start_key for one in picture.regions}
            return source.id not in ranges and ranges.get(target.id) == b"m0010"

        picture, merged = playground.thread.run(playground.cluster.wait(is_merged, SETTLE_S))
        assert merged, picture
        for prefix in "mn":
            client.do("read", prefix)
        client.do("scan", "m")
        client.do("delete", "n")
    finally:
        client.close()


def tell_to_merge(playground: Playground, source: int, target: int) -> None:
    """As an operator does: again, while something else is under way with one of them."""
    words = ["ctl", "--pd", playground.endpoint, "region", "merge", str(source), str(target)]
    until = time.monotonic() + SETTLE_S
    while (told := CliRunner().invoke(raftly, words)).exit_code:
        assert time.monotonic() < until, told.output
        time.sleep(0.2)


def test_no_write_fails_while_stores_restart_one_after_the_other(playground: Playground) -> None:
    playground.settle()
    playground.thread.run(restart_all(playground.cluster))


def test_prometheus_reads_what_a_process_shows(playground: Playground) -> None:
    pytest.importorskip("prometheus_client", reason="the extra `metrics` is not installed")
    for process in (playground.cluster.stores()[0], playground.cluster.members()[0]):
        playground.thread.run(check_pages(process, playground.cluster))


def test_a_kill_of_every_process_loses_nothing(playground: Playground) -> None:
    thread, cluster = playground.thread, playground.cluster
    written = 0

    def write(count: int) -> None:
        nonlocal written
        pairs = [(b"kill-%04d" % number, b"x" * 100) for number in range(written, written + count)]
        written += count
        thread.run(cluster.fill(pairs))

    write(100)
    for process in (cluster.members()[0], cluster.stores()[0]):
        playground.settle()
        thread.run(process.kill())
        write(50)
        thread.run(process.start())
    write(50)

    async def kill_all() -> None:
        processes = list(cluster.processes.values())
        await asyncio.gather(*(process.kill() for process in processes))
        await asyncio.gather(*(process.start() for process in processes))

    thread.run(kill_all())
    write(50)
    assert sum(key.startswith(b"kill-") for key in cluster.ledger.keys) == written
    assert thread.run(cluster.read_all()) == []


def test_what_is_typed_at_the_prompt_is_done_and_told(playground: Playground) -> None:
    """A store comes and goes, regions are cut and joined; what cannot be done is a sentence."""
    playground.settle()
    told = Told()
    player = Player(playground.thread, playground.cluster, told, 0.0)

    def typed(*lines: str) -> list[str]:
        told.lines.clear()
        assert player.play(lines, echo=True), told.lines
        return told.lines

    assert typed("put 0x00ff a value", "get 0x00ff")[1].startswith("a value, read in ")
    (line,) = typed("split prompt")
    new = int(line.split()[1])
    assert any("prompt" in row for row in typed("regions"))
    playground.settle()
    below = next(one for one in playground.settle().regions if one.region.end_key == b"prompt")
    (line,) = typed(f"merge {new} {below.region.id}")
    assert line == f"region {new} is part of region {below.region.id} now"
    assert "goes on" in typed("pause store-1", "# a comment", "resume store 1")[-1]
    added = playground.cluster.root / "store-4"
    typed("add store")
    assert added.exists()
    playground.settle()
    assert "store-4 held nothing any more, and has left; its files are removed" in typed("remove store 4")[-1]
    assert not added.exists()
    assert [process.name for process in playground.cluster.stores()] == ["store-1", "store-2", "store-3"]
    for line, sentence in (
        ("remove store-1", "each region has 3 replicas, and 2 other stores run"),
        ("remove pd-1", "only stores are removed"),
        ("remove store-1 now", "typed like this"),
        ("kill store-9", "there is no store-9; there are pd-1, store-1"),
        ("resume store-1", "store-1 is running"),
        ("merge 77 78", "region 77 is not known"),
        ("get 0xq", "not hex digits"),
        ("fly", "there is no command `fly`"),
    ):
        told.lines.clear()
        assert not player.play([line], echo=False)
        assert sentence in told.lines[-1]
    assert typed("quit", "fly") == []


@dataclass
class Told(Teller):
    """What the teller of a terminal would show."""

    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        pass

    def begin(self, line: str, about: str) -> None:
        pass

    def end(self, line: str, step: Step, seconds: float) -> None:
        self.lines += step.lines + [" ".join(row) for row in step.rows]

    def verdict(self, lines: Sequence[str], *, ok: bool) -> None:
        self.lines += lines


def test_a_directory_and_a_port_that_cannot_be_had(
    playground: Playground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raftly.playground.cluster.FREE_S", 0.0)
    used = playground.cluster.root
    port = int(playground.endpoint.rpartition(":")[2])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "playground.json").write_text("[]")
    (tmp_path / "copy").mkdir()
    shutil.copy(used / "playground.json", tmp_path / "copy")
    for root, arguments, sentence in (
        (used, (), f"another playground runs in {used}"),
        (tmp_path, (1, 1, port), f"port {port}, which pd-1 is to have, is taken"),
        (tmp_path / "other", (), "is not what a playground wrote"),
        (tmp_path / "copy", (1, 4), "has 3 of store, not 4: leave --stores out"),
        (tmp_path / "copy", (), "was made with it"),
    ):
        cluster = Cluster(root)

        async def start(cluster: Cluster = cluster, arguments: tuple[int, ...] = arguments) -> None:
            try:
                await cluster.start(*arguments)
            finally:
                await cluster.close(kill=True)

        with pytest.raises(Refused, match=re.escape(sentence)):
            playground.thread.run(start())


def test_one_line_says_that_it_is_ready_and_nothing_is_left_behind(tmp_path: Path) -> None:
    """A playground that is killed takes its processes with it; the next finds all that was kept."""
    for ending, words, said in ((signal.SIGKILL, ["put", "k", "v"], ""), (signal.SIGTERM, ["get", "k"], "v\n")):
        with subprocess.Popen(
            [*COMMAND, "playground", "--json", *(["--stores", "1"] * (not said)), "--data", str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                assert child.stdout is not None
                told = json.loads(child.stdout.readline())
                assert (len(told["pd"]), len(told["stores"])) == (1, 1)
                done = CliRunner().invoke(raftly, ["kv", "--timeout", str(SETTLE_S), "--pd", told["pd"][0], *words])
                assert (done.exit_code, done.output) == (0, said)
                tasks = Path(f"/proc/{child.pid}/task").iterdir()
                children = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
                child.send_signal(ending)
                assert child.wait(SETTLE_S) == (-9 if ending is signal.SIGKILL else 128 + ending)
            finally:
                child.kill()
        assert len(children) == 2
        wait_ended(children)


def wait_ended(pids: list[int]) -> None:
    """They end, and are nobody's but the system's; a zombie has ended."""
    until = time.monotonic() + SETTLE_S
    while any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids):
        assert time.monotonic() < until
        time.sleep(0.01)
