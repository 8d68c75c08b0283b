"""`raftly demo cluster` with real processes: the tour, what it says when something was lost, and what it leaves."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

RAFTLY = [sys.executable, "-c", "from raftly.cli import main; main()", "demo", "cluster"]
WITHIN_S = 120.0  # many times what it takes; a machine that is busy with other things is no failure

# As if a write had been acknowledged that the group never got: what a lost one looks like from outside.
DOCTORED = """
from raftly.demo.live.ledger import Ledger
honest = Ledger.begin
def begin(self, key, value):
    if not self.acknowledged:
        self.acknowledge(honest(self, "lost", "1"), 1)
    return honest(self, key, value)
Ledger.begin = begin
from raftly.cli import main
main()
"""


def environment(tmp: Path) -> dict[str, str]:
    """Its temporary directory is below `tmp`, which its children have in their arguments, so both can be looked for."""
    return os.environ | {"TMPDIR": str(tmp), "TERM": "xterm", "COLUMNS": "200"}


def children(tmp: Path) -> list[str]:
    """Command lines of nodes with directories below `tmp`; the dead that nobody has buried have none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "raftly.demo.live.member" in line and str(tmp) in line:
            found.append(line)
    return found


def wait_gone(tmp: Path) -> list[str]:
    """Who is left after a while."""
    deadline = time.monotonic() + WITHIN_S
    while (left := children(tmp)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def run(tmp: Path, *arguments: str, command: list[str] = RAFTLY, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=WITHIN_S,
        env=environment(tmp),
    )


pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")


def test_the_tour_in_a_pipe_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    ran = run(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    assert "\x1b" not in ran.stdout
    assert ran.stdout.splitlines()[-1].startswith("nothing was lost: ")
    assert "says: no leader: 2 of 3 voters are needed, only 1 is reachable from here" in ran.stdout
    assert "is it safe? yes: leadership moves to another node" in ran.stdout
    assert "! " not in ran.stdout
    assert children(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_json_is_an_object_a_step_and_a_verdict(tmp_path: Path) -> None:
    ran = run(tmp_path, "--json", "--nodes", "5")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    steps = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [step["step"] for step in steps[:-1]] == list(range(1, len(steps)))
    assert all(step["ok"] for step in steps)
    by_command = {step["command"]: step for step in steps[:-1]}
    assert by_command["kill leader"]["leader"] in range(1, 6)
    assert by_command["kill leader"]["write_waited_s"] > 0
    last = steps[-2]
    assert last["command"] == "check"
    assert (last["nodes"], last["lost"]) == ([1, 2, 3, 4, 5], [])
    assert last["acknowledged"] > 3
    assert steps[-1]["step"] == "verdict"


def test_an_acknowledged_write_that_no_replica_has_is_exit_code_1(tmp_path: Path) -> None:
    ran = run(tmp_path, "--script", "-", command=[sys.executable, "-c", DOCTORED, "demo", "cluster"],
              typed="put a 1\nkill leader\ncheck\n")  # fmt: skip
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "lost=1 was acknowledged (revision 1), and is not there" in ran.stdout
    assert "a was acknowledged as revision 1, and revision 1 had been acknowledged before it began" in ran.stdout
    assert children(tmp_path) == []


def test_a_script_without_a_majority_says_why_and_members_come_and_go(tmp_path: Path) -> None:
    typed = "put a 1\nadd\nremove 1\nkill leader\nkill leader\nget a\nwhy\nrestart\nget a\ncheck\nquit\nnonsense\n"
    ran = run(tmp_path, "--script", "-", "--json", typed=typed)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    steps = {step["command"]: step for step in map(json.loads, ran.stdout.splitlines())}
    assert steps["remove 1"]["ok"]
    assert steps["kill leader"]["leader"] is None
    assert any("nobody leads: 2 of 3 voters are needed, and 1 run" in told for told in steps["why"]["told"])
    assert steps["get a"]["value"] == "1"
    assert steps["check"]["nodes"] == [2, 3, 4]
    assert "nonsense" not in steps


def test_a_directory_is_kept_and_gone_on_with(tmp_path: Path) -> None:
    data, tmp = tmp_path / "data", tmp_path / "tmp"
    tmp.mkdir()
    assert run(tmp, "--data", str(data), "--script", "-", typed="put a 1\n").returncode == 0
    before = (data / "cluster.json").read_text("utf-8")
    ran = run(tmp, "--data", str(data), "--script", "-", "--json", typed="get a\ncheck\nlog 1\n")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    steps = [json.loads(line) for line in ran.stdout.splitlines()]
    assert steps[1]["value"] == "1"
    assert steps[2]["nodes"] == [1, 2, 3]
    assert any(told.strip().startswith("entries 1 to ") for told in steps[3]["told"])
    assert (data / "cluster.json").read_text("utf-8") == before
    assert children(data) == []
    assert list(tmp.iterdir()) == []


@pytest.mark.parametrize(
    "arguments,code,sentence",
    [
        (["--nodes", "2"], 2, "2 is not in the range 3<=x<=7"),
        (["--script", "/no/such/file"], 2, "'/no/such/file': No such file or directory"),
        (["--data", "{tmp}/broken"], 1, "is not what this demonstration wrote: name another directory"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(tmp_path: Path, arguments: list[str], code: int, sentence: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cluster.json").write_text("[]")
    ran = run(tmp_path, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert ran.returncode == code
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr


def _listen_to_ctrl_c() -> None:
    """As a shell has it for what it runs in front; what runs these tests may itself run behind, where it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """The demonstration in a terminal."""

    def __init__(self, tmp: Path, *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*RAFTLY, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment(tmp),
            start_new_session=True,
            preexec_fn=_listen_to_ctrl_c,  # noqa: PLW1509  # it takes no lock
        )
        os.close(theirs)
        self.unread = ""

    def until(self, text: str) -> str:
        """What comes up to this."""
        deadline = time.monotonic() + WITHIN_S
        while text not in self.unread:
            assert time.monotonic() < deadline, self.unread
            if select.select([self.ours], [], [], 1.0)[0]:
                self.unread += os.read(self.ours, 65536).decode(errors="replace")
        before, _, self.unread = self.unread.partition(text)
        return before

    def do(self, line: str) -> str:
        """What a command says."""
        os.write(self.ours, f"{line}\n".encode())
        self.until(line)
        return self.until("raftly> ")


@contextmanager
def terminal(tmp: Path, *arguments: str) -> Iterator[Terminal]:
    shown = Terminal(tmp, *arguments)
    try:
        shown.until("raftly> ")
        yield shown
    finally:
        shown.process.kill()
        shown.process.wait()
        os.close(shown.ours)
        assert wait_gone(tmp) == []


def test_a_terminal_gets_a_prompt_and_ctrl_d_ends_everything(tmp_path: Path) -> None:
    with terminal(tmp_path) as shown:
        assert "acknowledged: color=green" in shown.do("put color green")
        assert "Did you mean `kill`?" in shown.do("kil leader")
        assert "node 1 does not run" in shown.do("kill 1") + shown.do("pause 1")
        assert "color=green" in shown.do("get color")
        table = shown.do("show")
        assert "killed" in table
        pid = re.search(r"running, pid (\d+)", table)
        assert pid is not None
        os.kill(int(pid[1]), signal.SIGKILL)  # by somebody else
        assert "node 2 ended by itself" in shown.do("check")
        assert "its last words" not in shown.do("show")  # that has been said
        os.write(shown.ours, b"\x04")
        assert shown.process.wait(WITHIN_S) == 0
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_however_it_ends_no_child_is_left_not_even_a_paused_one(tmp_path: Path, how: signal.Signals) -> None:
    with terminal(tmp_path) as shown:
        assert "stands still" in shown.do("pause leader")
        assert len(children(tmp_path)) == 3
        shown.process.send_signal(how)
        assert shown.process.wait(WITHIN_S) == {signal.SIGINT: 0, signal.SIGKILL: -9}.get(how, 128 + how)
        assert wait_gone(tmp_path) == []
        if how is not signal.SIGKILL:
            assert list(tmp_path.iterdir()) == []
