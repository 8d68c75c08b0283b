"""The interaction runner where it does more, or refuses more, than the golden scripts can show."""

import pytest

from raftly.testing.golden.interaction import InteractionRunner
from raftly.testing.golden.script import Directive, ScriptError, parse_directive


def run(runner: InteractionRunner, line: str, input_: str = "") -> str:
    command, arguments = parse_directive(line)
    return runner.run(Directive(command, arguments, input_))


@pytest.fixture
def three() -> InteractionRunner:
    """Node 1 of three leads."""
    runner = InteractionRunner()
    run(runner, "log-level none")
    for line in ("add-nodes 3 voters=(1,2,3) index=10 content=state", "campaign 1", "stabilize", "log-level debug"):
        assert run(runner, line) == "ok"
    return runner


@pytest.mark.parametrize(
    "line,problem",
    [
        ("campaign", "argument 1 of campaign"),
        ("campaign x", "'x' is not a decimal number"),
        ("campaign 0", "there is no node 0"),
        ("campaign 4", "there is no node 4, the cluster has 3"),
        ("propose 1", "a node and one payload"),
        ("propose 1 a b", "a node and one payload"),
        ("propose 1 a=b", "argument 2 of propose"),
        ("set-randomized-election-timeout 1", "timeout="),
        ("set-randomized-election-timeout 1 timeout=0", "at least 1"),
        ("transfer-leadership from=1", "to="),
        ("transfer-leadership from=1 to=9", "no node 9"),
        ("send-snapshot 1", "two nodes"),
        ("report-snapshot 1 2 lost", "the word failed"),
        ("deliver-msgs 1 drop=1", "either delivered or dropped"),
        ("deliver-msgs 1 type=MsgGossip", "no message type MsgGossip"),
        ("add-nodes 1 voters=(a) index=2", "'a' is not a decimal number"),
        ("add-nodes 1 prevote=perhaps", "neither true nor false"),
        ("stabilize 1 7", "no node 7"),
        ("raft-log 8", "no node 8"),
    ],
)
def test_arguments_that_make_no_sense(three: InteractionRunner, line: str, problem: str) -> None:
    with pytest.raises(ScriptError, match=problem):
        run(three, line)


def test_a_v1_change_needs_a_change(three: InteractionRunner) -> None:
    with pytest.raises(ScriptError, match="needs one operation"):
        run(three, "propose-conf-change 1 v1=true")


def test_unknown_directives_and_options_of_the_cluster(three: InteractionRunner) -> None:
    assert run(three, "make-coffee 1") == "unknown command"
    assert run(three, "add-nodes 1 disable-proposal-forwarding=true sugar=2").count("newRaft 4") == 1


def test_a_wrong_configuration_is_the_output_of_its_directive(three: InteractionRunner) -> None:
    assert run(three, "add-nodes 1 inflight=0") == "max_inflight_msgs is 0, it must be at least 1"
    assert "needs check_quorum" in run(three, "add-nodes 1 read-only=lease-based")


def test_at_level_none_only_an_error_gets_through(three: InteractionRunner) -> None:
    run(three, "log-level none")
    for line in ("raft-state", "status 1", "raft-log 1", "stabilize", "send-snapshot 1 2", "deliver-msgs 2"):
        assert run(three, line) == "ok"
    assert run(three, "compact 1 1") == "requested index is unavailable due to compaction"


def test_the_level_of_one_stabilize_ends_with_it(three: InteractionRunner) -> None:
    run(three, "tick-heartbeat 1")
    assert run(three, "stabilize log-level=none") == "ok"
    assert run(three, "stabilize log-level=shout").startswith("log levels must be")
    assert run(three, "campaign 1") == "DEBUG 1 ignoring MsgHup because already leader\n"


def test_local_messages_survive_a_drop() -> None:
    runner = InteractionRunner()
    run(runner, "add-nodes 2 voters=(1,2) index=10 async-storage-writes=true")
    for line in ("campaign 1", "process-ready 1", "process-append-thread 1"):
        run(runner, line)
    assert run(runner, "deliver-msgs drop=(1,2)") == "dropped: 1->2 MsgVote Term:1 Log:1/10\n"
    assert run(runner, "deliver-msgs 1").startswith("1->1 MsgVoteResp")


def test_messages_to_nodes_that_do_not_exist_may_be_dropped(three: InteractionRunner) -> None:
    run(three, "propose-conf-change 1", "v9")
    run(three, "stabilize log-level=none")
    assert run(three, "deliver-msgs drop=9").startswith("dropped: 1->9 MsgApp")
    assert run(three, "deliver-msgs drop=9") == "no messages\n"


def test_a_snapshot_and_entries_at_once_are_an_error_of_the_directive() -> None:
    runner = InteractionRunner()
    run(runner, "log-level none")
    for line in ("add-nodes 3 voters=(1,2,3) index=10", "campaign 1", "stabilize", "propose 1 one"):
        run(runner, line)
    for line in ("stabilize 1 2", "deliver-msgs drop=3", "send-snapshot 1 3", "deliver-msgs 3", "propose 1 two"):
        run(runner, line)
    for line in ("process-ready 1", "deliver-msgs 3", "log-level debug"):
        run(runner, line)
    assert run(runner, "process-ready 3").endswith("\ncan't apply snapshot and entries at the same time")


def test_a_forged_snapshot_is_stepped_whatever_the_core_lets_in(three: InteractionRunner) -> None:
    run(three, "send-snapshot 2 2")
    assert "ignored snapshot" in run(three, "deliver-msgs 2")
    run(three, "add-nodes 1 voters=(1,2,3) index=20")
    run(three, "send-snapshot 4 2")
    assert "restored snapshot [index: 20, term: 1]" in run(three, "deliver-msgs 2")


def test_the_application_appends(three: InteractionRunner) -> None:
    run(three, "propose 1 +more")
    run(three, "stabilize log-level=none")
    node = three._cluster.nodes[1]
    assert node.storage.snapshot().data == b"state+more"
    assert node.storage.snapshot().meta.index == 12
    assert node.storage.snapshot().meta.conf_state.voters == (1, 2, 3)


def test_restarting_loses_work_that_was_under_way() -> None:
    runner = InteractionRunner()
    run(runner, "add-nodes 1 voters=(1) index=10 async-storage-writes=true")
    for line in ("campaign 1", "process-ready 1", "restart 1"):
        run(runner, line)
    assert run(runner, "process-append-thread 1") == "no append work to perform"
    assert run(runner, "raft-state") == "1: StateFollower (Voter) Term:0 Lead:0\n"
