"""The followed proposal: every step names a function that exists, and was taken by it, in this order."""

import sys
from pathlib import Path
from types import FrameType

import pytest

from raftly.cli.form import core_form
from raftly.core.log import RaftLog
from raftly.core.raft import Raft
from raftly.demo.one_proposal import OneProposal, Scene
from raftly.demo.source import place_of
from raftly.demo.steps import Step
from raftly.demo.story import story
from raftly.errors import ConfigError


def names(steps: list[Step]) -> list[str]:
    return [place_of(step.function).name.removeprefix("raftly.") for step in steps]


def of_node(scene: Scene, node: int) -> list[Step]:
    return [step for step in scene.steps if step.node == node]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_every_step_names_a_function_where_it_stands(at: int) -> None:
    for scene in OneProposal(at).follow():
        assert scene.steps
        for step in scene.steps:
            place = place_of(step.function)
            line = place.path.read_text("utf-8").splitlines()[place.line - 1]
            assert line.lstrip().startswith(f"def {place.name.rpartition('.')[2]}(")
            assert step.sentence.endswith(".")


@pytest.mark.skipif(core_form() != "plain", reason="Python sees no calls inside compiled code")
@pytest.mark.parametrize("at", [1, 2, 3])
def test_the_steps_are_the_calls_that_were_made(at: int) -> None:
    calls: list[str] = []

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls.append(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}")

    demo = OneProposal(at)
    sys.setprofile(watch)
    try:
        scenes = demo.follow()
    finally:
        sys.setprofile(None)
    told = [place_of(step.function).name for scene in scenes for step in scene.steps]
    # Called more often than told: where nothing came of it, or from within a function that is told.
    quiet = {place_of(function).name for function in (RaftLog.append, RaftLog.commit_to, Raft.step)}
    kept = [name for name in calls if name in set(told) - quiet]
    assert kept == [name for name in told if name not in quiet]
    remaining = iter(calls)
    assert all(name in remaining for name in told)  # in order, those three included


def test_the_life_of_a_proposal_at_the_leader() -> None:
    """As the core is today, in both of its forms. When a function moves or is renamed, this list follows."""
    proposed, appended, committed, applied, known = OneProposal().follow()
    assert names(proposed.steps) == [
        "core.raw_node.RawNode.propose",
        "core.proposals.propose_payloads",
        "core.raft.Raft.append_payloads",
        "core.log.RaftLog.append",
        "core.raft.Raft.send_after_append",
        "core.replication.bcast_append",
        "core.replication.maybe_send_append",
        "core.replication.maybe_send_append",
        "core.raw_node.RawNode.ready",
        "core.memory.MemoryStorage.append",
        "transport.codec.encode_messages",
        "transport.codec.encode_messages",
        "core.raw_node.RawNode.advance",
        "core.replication.on_app_resp",
        "core.raft.Raft.maybe_commit",
        "core.acks.on_storage_append_resp",
    ]
    arrival = ["transport.codec.decode_messages", "core.admission.admit", "core.raft.Raft.step"]
    appending = [
        *arrival,
        "core.following.on_app",
        "core.log.RaftLog.maybe_append",
        "core.raft.Raft.send_after_append",
        "core.raw_node.RawNode.ready",
        "core.memory.MemoryStorage.append",
        "transport.codec.encode_messages",
        "core.raw_node.RawNode.advance",
        "core.acks.on_storage_append_resp",
    ]
    assert names(of_node(appended, 2)) == names(of_node(appended, 3)) == appending
    assert names(committed.steps) == [
        *arrival,
        "core.replication.on_app_resp",
        "core.raft.Raft.maybe_commit",
        "core.log.RaftLog.commit_to",
        "core.replication.bcast_append",
        "core.replication.maybe_send_append",
        "core.replication.maybe_send_append",
        *arrival,
        "core.replication.on_app_resp",
        "core.raft.Raft.maybe_commit",
        "core.raw_node.RawNode.ready",
        "core.memory.MemoryStorage.set_hard_state",
        "transport.codec.encode_messages",
        "transport.codec.encode_messages",
        "demo.host.Journal.apply",
        "core.raw_node.RawNode.advance",
        "core.acks.on_storage_apply_resp",
    ]
    applying = [
        *arrival,
        "core.following.on_app",
        "core.log.RaftLog.maybe_append",
        "core.log.RaftLog.commit_to",
        "core.raft.Raft.send_after_append",
        "core.raw_node.RawNode.ready",
        "core.memory.MemoryStorage.set_hard_state",
        "transport.codec.encode_messages",
        "demo.host.Journal.apply",
        "core.raw_node.RawNode.advance",
        "core.acks.on_storage_apply_resp",
    ]
    assert names(of_node(applied, 2)) == names(of_node(applied, 3)) == applying
    assert names(known.steps) == [*arrival, "core.replication.on_app_resp"] * 2


def test_what_there_was_to_see_is_what_happened() -> None:
    steps = [step for scene in OneProposal().follow() for step in scene.steps]
    counts = [step.seen for step in steps if step.function == Raft.maybe_commit]
    assert counts == [f"{many} of 3 nodes hold entry 5, a majority is 2" for many in (1, 2, 3)]
    sentences = [step.sentence for step in steps if step.function == Raft.maybe_commit]
    assert len(set(sentences)) == 3
    assert '1->2 MsgApp Term:2 Log:2/4 Commit:4 Entries:[2/5 EntryNormal "1/1 greet the world"]' in [
        step.seen for step in steps
    ]


@pytest.mark.parametrize("at", [2, 3])
def test_a_follower_passes_the_proposal_on_and_confirms_it_when_it_has_applied_it(at: int) -> None:
    demo = OneProposal(at)
    scenes = demo.follow()
    assert "core.proposals.on_prop_follower" in names(scenes[0].steps)
    leader = names(scenes[1].steps)
    assert leader.index("core.proposals.on_prop") + 1 == leader.index("core.proposals.propose")
    told = [step.node for scene in scenes for step in scene.steps if "the client is told" in step.sentence]
    assert told == [at]
    assert all(host.journal.commands == [demo.command] for host in demo.hosts.values())


def test_a_node_that_is_not_there_is_refused() -> None:
    for at in (0, 4, -1):
        with pytest.raises(ConfigError, match=f"at is {at}, it must be from 1 to 3"):
            OneProposal(at)


def test_the_story_tells_every_step_once_and_folds_what_nodes_do_alike() -> None:
    whole = [line.plain for line in story(OneProposal(), every=True)]
    steps = sum(len(scene.steps) for scene in OneProposal().follow())
    assert [int(line[:3]) for line in whole if line[:3].strip().isdigit() and line[3] == " "] == list(
        range(1, steps + 1)
    )
    folded = [line.plain for line in story(OneProposal())]
    assert [line for line in folded if "takes the same" in line] == [
        " 28-38   node 3 takes the same 11 steps as node 2.",
        " 73-85   node 3 takes the same 13 steps as node 2.",
    ]
    assert folded[-1] == f"{steps} steps; every state machine has applied it."


def test_a_function_without_source_is_an_error() -> None:
    def local() -> None: ...

    local.__module__ = "raftly.core.raft"
    with pytest.raises(LookupError, match="defines no"):
        place_of(local)
    local.__module__ = "raftly.core.nowhere"
    with pytest.raises(LookupError, match="is not installed"):
        place_of(local)


def test_a_place_reads_as_path_and_line(monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of(Raft.step)
    monkeypatch.chdir(place.path.parent)
    assert str(place) == f"raft.py:{place.line}"
    monkeypatch.chdir(Path("/"))
    assert str(place).endswith(f"core/raft.py:{place.line}")
