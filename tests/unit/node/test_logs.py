"""Events as text and as JSON lines; hostile strings stay on their line."""

import json
import logging
import sys

import pytest

from raftly.node.logs import (
    TEXT_MAX,
    DiskTrouble,
    ElectionStarted,
    Failed,
    JsonFormatter,
    LeaderChanged,
    LoopLate,
    MembersChanged,
    NodeLog,
    SnapshotFailed,
    StateDiffers,
    printable,
)
from raftly.transport.events import PeerLost, log_event

HOSTILE = "boom\nCRITICAL root: all is lost\r\x1b[2J\x1b]0;owned\x07\u202e\u2028\x85\x00\ud800"


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    found = [JsonFormatter().format(record) for record in caplog.records]
    assert all(line.isascii() and line.isprintable() for line in found)
    return [json.loads(line) for line in found]


def test_an_event_is_a_sentence_and_a_json_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "raftly.node")
    NodeLog(3, 1).tell(LeaderChanged(5, 2, is_self=False), 5)
    assert caplog.messages == ["node 3: follows node 2 in term 5"]
    (line,) = lines(caplog)
    ts = line.pop("ts")
    assert isinstance(ts, str)
    assert ts.endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "raftly.node",
        "event": "leader_changed",
        "node": 3,
        "group": 1,
        "term": 5,
        "leader": 2,
        "is_self": False,
        "text": "follows node 2 in term 5",
    }
    assert list(line)[-1] == "text"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ElectionStarted(4), "starts an election in term 4"),
        (LeaderChanged(4, 0, is_self=False), "knows no leader in term 4"),
        (LeaderChanged(4, 1, is_self=True), "leads in term 4"),
        (MembersChanged((1, 2), (1,), (4,)), "members are now: voters 1 2, leaving 1, learners 4"),
        (LoopLate(1.5), "its event loop stood still for 1.50 s, longer than an election time-out"),
        (StateDiffers(9, 1, 0xAB, 0xCD), "has digest 000000cd of the state at entry 9, node 1 has 000000ab: one of"),
        (SnapshotFailed("too large"), "cannot make a snapshot, so its log grows: too large"),
        (DiskTrouble("FULL", "the disk is full"), "the disk is full"),
    ],
)
def test_sentences(event: object, text: str) -> None:
    assert str(event).startswith(text)


def test_hostile_strings_stay_on_their_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "raftly.node")
    NodeLog(1, 1).tell(Failed("machine_failed", HOSTILE), 2)
    (text,) = caplog.messages
    assert text.isprintable()
    assert "\\n" in text
    assert "\\x1b[2J" in text
    (line,) = lines(caplog)
    assert line["event"] == "failed"
    assert line["code"] == "machine_failed"
    assert line["level"] == "ERROR"
    assert str(line["problem"]).isprintable()


def test_a_string_is_cut_to_its_bound() -> None:
    assert len(printable("x" * 10_000)) == TEXT_MAX
    assert len(printable("\x00" * 10_000)) == TEXT_MAX
    assert printable("x" * TEXT_MAX) == "x" * TEXT_MAX


def test_events_of_the_transport_are_json_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "raftly.transport")
    log_event(PeerLost(2, HOSTILE))
    (line,) = lines(caplog)
    assert line["event"] == "peer_lost"
    assert line["node_id"] == 2
    assert str(line["problem"]).startswith("boom\\nCRITICAL")


def test_any_other_record_is_a_log() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:  # not through a logger: half of a surrogate pair is more than what shows captured logs can bear
        record = logging.LogRecord("other", logging.ERROR, "f", 1, "it was %s", (HOSTILE,), sys.exc_info())
    line = json.loads(JsonFormatter().format(record))
    assert line["event"] == "log"
    assert line["logger"] == "other"
    assert "Traceback" in str(line["exception"])
    record = logging.LogRecord("other", logging.INFO, "f", 1, "%d of %d", (1, 2), sys.exc_info())
    assert json.loads(JsonFormatter().format(record))["text"] == "1 of 2"


def test_no_level_no_cost(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "raftly.node")
    NodeLog(1, 1).tell(ElectionStarted(1), 1)
    assert caplog.records == []
