"""`raftly demo` as its users meet it: lines in a pipe, one JSON object, a picture in a terminal, exit codes."""

import json
import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from raftly.cli.root import raftly

RAFTLY = [sys.executable, "-c", "from raftly.cli import main; main()"]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(raftly, ["demo", *arguments])


def spawn(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*RAFTLY, "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


def test_json_is_one_object_and_nothing_else() -> None:
    ran = spawn("five-nodes", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.count("\n") == 1
    result = json.loads(ran.stdout)
    assert list(result) == ["nodes", "proposals", "committed", "equal", "leader", "term", "messages"]
    messages = result.pop("messages")
    assert result == {"nodes": 5, "proposals": 100, "committed": 100, "equal": True, "leader": 1, "term": 2}
    assert isinstance(messages, int)
    assert messages > 5 * 100


def test_the_same_seed_gives_the_same_bytes_whatever_python_hashes() -> None:
    elections = ["--drop", "50", "--seed", "5", "--proposals", "20"]  # so lossy that leaders come and go
    for arguments in (["five-nodes", "--json", *elections], ["five-nodes"], ["one-proposal"]):
        outputs = [spawn(*arguments, PYTHONHASHSEED=seed).stdout for seed in ("0", "4242")]
        assert outputs[0]
        assert outputs[0] == outputs[1]
    assert json.loads(invoke("five-nodes", "--json", *elections).output)["term"] > 2


def test_another_seed_gives_another_history() -> None:
    outputs = {invoke("five-nodes", "--json", "--drop", "20", "--seed", str(seed)).output for seed in range(3)}
    assert len(outputs) == 3


def test_a_pipe_gets_plain_lines() -> None:
    ran = invoke("five-nodes")
    assert ran.exit_code == 0
    assert "\x1b" not in ran.output
    lines = ran.output.splitlines()
    assert lines[2] == "round    0  node 1   leads term 2"
    assert [line for line in lines if "100 of 100 proposals confirmed" in line]
    assert [line.split()[:2] for line in lines[-7:-2]] == [["1", "leader"]] + [
        [str(id_), "follower"] for id_ in range(2, 6)
    ]
    assert len({line.split()[-1] for line in lines[-7:-2]}) == 1
    assert lines[-1].startswith("100 of 100 proposals confirmed, all 5 state machines are equal; ")


def test_failure_is_exit_code_1_with_its_reason() -> None:
    ran = invoke("five-nodes", "--drop", "99")
    assert ran.exit_code == 1
    assert "nothing was achieved in 2000 rounds while the others join" in ran.output
    assert ran.output.splitlines()[-1].startswith("0 of 100 proposals confirmed, given up; ")
    as_json = invoke("five-nodes", "--drop", "99", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.output)["committed"] == 0


@pytest.mark.parametrize(
    "arguments,sentence",
    [
        ("five-nodes --nodes 0", "--nodes: is 0, it must be from 1 to 25"),
        ("five-nodes --nodes -5", "--nodes: is -5, it must be from 1 to 25"),
        ("five-nodes --nodes 26", "--nodes: is 26, it must be from 1 to 25"),
        ("five-nodes --nodes five", "'--nodes': 'five' is not a valid integer"),
        ("five-nodes --proposals 0", "--proposals: is 0, it must be from 1 to 100000"),
        ("five-nodes --drop 100", "--drop: is 100, it must be at least 0 and below 100: something must arrive"),
        ("five-nodes --drop -1", "--drop: is -1, it must be at least 0 and below 100: something must arrive"),
        ("five-nodes --drop nan", "--drop: is nan, it must be at least 0 and below 100: something must arrive"),
        ("five-nodes --seed -1", "--seed: is -1, it must be from 0 to 2**64 - 1"),
        ("five-nodes --json --nodes 0", "--nodes: is 0"),
        ("five-nodes six", "Got unexpected extra argument (six)"),
        ("one-proposal --at 4", "--at: is 4, it must be from 1 to 3"),
    ],
)
def test_wrong_options_are_exit_code_2_with_a_sentence(arguments: str, sentence: str) -> None:
    ran = invoke(*arguments.split())
    assert ran.exit_code == 2
    assert sentence in ran.output
    assert ran.stdout == ""


def in_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code and what a terminal was sent."""
    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"} | environment
    process = subprocess.Popen([*RAFTLY, "demo", *arguments], stdout=theirs, stderr=theirs, stdin=theirs, env=env)
    os.close(theirs)
    sent = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that the other end is closed
            break
        if not part:
            break
        sent += part
    os.close(ours)
    return process.wait(), sent.decode()


def test_a_terminal_gets_a_picture_that_moves() -> None:
    code, sent = in_terminal("five-nodes", "--nodes", "2", "--proposals", "3")
    assert code == 0
    assert sent.count("2 nodes in one process") > 5
    assert "\x1b[?25l" in sent  # the cursor is hidden meanwhile
    assert "\x1b[?25h" in sent  # and comes back
    assert "3 of 3 proposals confirmed, all 2 state machines are equal" in sent


def test_a_dumb_terminal_gets_lines() -> None:
    code, sent = in_terminal("five-nodes", "--nodes", "2", "--proposals", "3", TERM="dumb")
    assert code == 0
    assert "\x1b" not in sent
    assert sent.startswith("round    0  node 1")


def test_one_proposal_is_told_with_names_and_places() -> None:
    ran = invoke("one-proposal")
    assert ran.exit_code == 0
    assert "\x1b" not in ran.output
    assert "node 1 raftly.core.raw_node.RawNode.propose  " in ran.output
    assert 'Entries:[2/5 EntryNormal "1/1 greet the world"]' in ran.output
    assert ran.output.splitlines()[-1].endswith("every state machine has applied it.")
    assert len(invoke("one-proposal", "--every").output) > len(ran.output)


def test_one_proposal_in_a_terminal_links_to_the_source() -> None:
    code, sent = in_terminal("one-proposal", "--at", "2")
    assert code == 0
    assert "\x1b]8;" in sent
    assert "file:///" in sent
