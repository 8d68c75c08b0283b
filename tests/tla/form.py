"""Is a trace well formed? What can be said without a model checker: fields, names, and the order of events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from tests.tla.cluster import EVENTS_MAX

ROLES: Final = {"StateFollower", "StateCandidate", "StateLeader"}
MESSAGE_TYPES: Final = {
    "AppendEntriesRequest": {"MsgApp", "MsgHeartbeat", "MsgSnap"},
    "AppendEntriesResponse": {"MsgAppResp", "MsgHeartbeatResp"},
    "RequestVoteRequest": {"MsgVote"},
    "RequestVoteResponse": {"MsgVoteResp"},
}
BECOMES: Final = {"InitState", "BecomeFollower", "BecomeCandidate", "BecomeLeader"}
PLAIN: Final = BECOMES | {"Replicate", "Commit", "Ready"}
CHANGES: Final = {"ChangeConf", "ApplyConfChange"}
ACTIONS: Final = {"AddNewServer", "RemoveServer", "AddLearner"}
_NODE_FIELDS: Final = {"name", "nid", "state", "role", "log", "conf"}
_MESSAGE_FIELDS: Final = {
    "type": str,
    "term": int,
    "from": str,
    "to": str,
    "entries": int,
    "logTerm": int,
    "index": int,
    "commit": int,
    "vote": str,
    "reject": bool,
    "rejectHint": int,
}


def faults(lines: Iterable[dict[str, Any]]) -> list[str]:
    """What is wrong with a trace, with the number of the line; empty for a good one."""
    trace = list(lines)
    found = [f"{len(trace)} events, {EVENTS_MAX} are allowed"] if len(trace) > EVENTS_MAX else []
    for number, line in enumerate(trace, 1):
        found += [f"line {number}: {fault}" for fault in _line_faults(line)]
    return found or [f"line {number}: {fault}" for number, fault in _order_faults([line["event"] for line in trace])]


# --- one line --------------------------------------------------------------------------------------------------


def _line_faults(line: dict[str, Any]) -> list[str]:
    if set(line) != {"tag", "event"} or line["tag"] != "trace":
        return ["not a trace line"]
    event = line["event"]
    name = event.get("name")
    extra = {"msg"} if _message_name(name) else {"prop"} if name in CHANGES else set()
    if not extra and name not in PLAIN:
        return [f"unknown event {name}"]
    if set(event) != _NODE_FIELDS | extra:
        return [f"{name} has the fields {sorted(event)}"]
    return _node_faults(event) + (_message_faults(event) if "msg" in event else _prop_faults(event))


def _message_name(name: object) -> str:
    for verb in ("Send", "Receive"):
        if isinstance(name, str) and name.removeprefix(verb) in MESSAGE_TYPES:
            return name.removeprefix(verb)
    return ""


def _is_id(text: object) -> bool:
    return isinstance(text, str) and text.isdecimal() and text == str(int(text))


def _node_faults(event: dict[str, Any]) -> list[str]:
    state, conf = event["state"], event["conf"]
    good = {
        "nid": _is_id(event["nid"]) and event["nid"] != "0",
        "state": set(state) == {"term", "vote", "commit"} and _is_id(state["vote"]),
        "role": event["role"] in ROLES,
        "log": type(event["log"]) is int and event["log"] >= state["commit"] >= 0,
        "conf": len(conf) == 2 and all(_is_id(id_) for voters in conf for id_ in voters) and conf[1] == [],
    }
    return [f"{field} is {event[field]}" for field, holds in good.items() if not holds]


def _message_faults(event: dict[str, Any]) -> list[str]:
    message = event["msg"]
    if {name: type(value) for name, value in message.items()} != _MESSAGE_FIELDS:
        return [f"msg is {message}"]
    name = event["name"]
    here = message["from" if name.startswith("Send") else "to"]
    good = {
        "its type belongs to the event": message["type"] in MESSAGE_TYPES[_message_name(name)],
        "it is sent or received here": here == event["nid"],
        "its ids are ids": all(_is_id(message[field]) for field in ("from", "to", "vote")),
        "a snapshot is an append from the start": message["type"] != "MsgSnap"
        or message["index"] == message["logTerm"] == 0 < message["entries"],
    }
    return [f"msg {message}: not so that {rule}" for rule, holds in good.items() if not holds]


def _prop_faults(event: dict[str, Any]) -> list[str]:
    if event["name"] == "ApplyConfChange":
        voters = event["prop"]["cc"]["newconf"]
        return [] if all(map(_is_id, voters)) else [f"newconf is {voters}"]
    if event["name"] == "ChangeConf":
        changes = event["prop"]["cc"]["changes"]
        good = len(changes) == 1 and changes[0]["action"] in ACTIONS and _is_id(changes[0]["nid"])
        return [] if good else [f"changes are {changes}"]
    return []


# --- the order of lines ----------------------------------------------------------------------------------------


def _order_faults(events: list[dict[str, Any]]) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    previous: dict[str, dict[str, Any]] = {}
    waiting: dict[str, list[dict[str, Any]]] = {}  # by sender: sent, and not yet released by a Ready
    released: list[dict[str, Any]] = []
    for number, event in enumerate(events, 1):
        name, nid = event["name"], event["nid"]
        before = previous.get(nid)
        if before is None and name != "InitState":
            found.append((number, f"node {nid} was not created"))
        elif before is not None:
            found += [(number, fault) for fault in _transition_faults(before, event)]
        if name == "InitState":
            waiting[nid] = []
        elif name.startswith("Send"):
            waiting.setdefault(nid, []).append(event["msg"])
        elif name == "Ready":
            released += waiting.pop(nid, [])
        elif name.startswith("Receive"):
            if event["msg"] in released:
                released.remove(event["msg"])
            else:
                found.append((number, f"{event['msg']['type']} was not released before"))
        previous[nid] = event
    return found


def _transition_faults(before: dict[str, Any], event: dict[str, Any]) -> list[str]:
    """Two events of the same node that follow each other."""
    name, last = event["name"], before["name"]
    state, was = event["state"], before["state"]
    bootstrapping = was["term"] <= 1 and before["log"] == 0
    good = {
        "terms never fall": state["term"] >= was["term"],
        "the commit index never falls": state["commit"] >= was["commit"] or name == "InitState",
        "roles change by an event": name in BECOMES or event["role"] == before["role"],
        "a candidate is of a new term, and votes for itself": name != "BecomeCandidate"
        or (state["term"] == was["term"] + 1 and state["vote"] == event["nid"]),
        "a leader was a candidate that just heard a vote": name != "BecomeLeader"
        or (last == "ReceiveRequestVoteResponse" and before["role"] == "StateCandidate"),
        "an empty entry follows an election": last != "BecomeLeader"
        or (name == "Replicate" and event["log"] == before["log"]),
        "only leaders replicate, commit and change": name not in {"Replicate", "Commit", "ChangeConf"}
        or event["role"] == "StateLeader",
        "entries are acknowledged to oneself": last not in {"Replicate", "ChangeConf"}
        or name in {"Replicate", "ChangeConf"}
        or (name == "SendAppendEntriesResponse" and event["msg"]["to"] == event["nid"]),
        "nobody becomes a follower for nothing": name != "BecomeFollower"
        or bootstrapping
        or last.startswith("Receive")
        or before["role"] != "StateFollower",
        "a receipt shows the state before": not name.startswith("Receive")
        or last not in {"Ready", "BecomeFollower"}
        or (state, event["role"], event["log"]) == (was, before["role"], before["log"]),
    }
    return [f"{last}, {name} at {event['nid']}: not so that {rule}" for rule, holds in good.items() if not holds]
