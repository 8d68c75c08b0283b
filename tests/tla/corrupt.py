"""Traces that no run of the algorithm can produce, each made from a good one by a single change."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any, Final

from raftly.core.tlatrace import TlaRecord

Events = list[dict[str, Any]]


def corruptions(records: list[TlaRecord], seed: int = 0) -> dict[str, list[TlaRecord]]:
    """The corrupted copies of a trace by the name of what was done; what finds no place for itself is left out."""
    made: dict[str, list[TlaRecord]] = {}
    for name, spoil in CORRUPTIONS.items():
        events: Events = [line["event"] for line in json.loads(json.dumps(records))]
        if spoil(events, random.Random(seed)):
            made[name] = [{"tag": "trace", "event": event} for event in events]
    return made


def _pick(events: Events, rng: random.Random, name: str, **fields: object) -> int:
    """The place of some event of this name behind the bootstrap; -1 for none."""
    places = [
        at
        for at, event in enumerate(events)
        if event["name"].startswith(name) and all((event.get("msg") or event).get(k) == v for k, v in fields.items())
    ]
    return rng.choice(places) if places else -1


def _spoil_state(name: str, field: str) -> Callable[[Events, random.Random], bool]:
    def spoil(events: Events, rng: random.Random) -> bool:
        at = _pick(events, rng, name)
        if at >= 0:
            state = events[at]["state"]
            state[field] = state[field] + 1 if field != "vote" else str(int(state[field]) + 1)
        return at >= 0

    return spoil


def _other_log(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "Receive")
    events[at]["log"] += 1
    return at >= 0


def _other_role(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "ReceiveAppendEntriesResponse")
    events[at]["role"] = "StateFollower" if events[at]["role"] != "StateFollower" else "StateLeader"
    return at >= 0


def _lost_voter(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "ReceiveAppendEntries")
    events[at]["conf"][0].pop()
    return at >= 0


def _other_index(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "ReceiveAppendEntriesRequest", type="MsgApp")
    events[at]["msg"]["index"] += 1
    return at >= 0


def _more_entries(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "SendAppendEntriesRequest", type="MsgApp")
    events[at]["msg"]["entries"] += 1
    return at >= 0


def _turned_vote(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "ReceiveRequestVoteResponse")
    events[at]["msg"]["reject"] ^= True
    return at >= 0


def _false_ack(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "ReceiveAppendEntriesResponse", type="MsgAppResp", reject=False)
    events[at]["msg"]["index"] += 1
    return at >= 0


def _unelected(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "BecomeLeader")
    if at >= 0:
        del events[at]
    return at >= 0


def _not_persisted(events: Events, rng: random.Random) -> bool:
    """The Ready behind a vote request: it lets the request go."""
    at = _pick(events, rng, "SendRequestVoteRequest")
    if at < 0:
        return False
    nid = events[at]["nid"]
    ready = next(k for k in range(at, len(events)) if events[k]["name"] == "Ready" and events[k]["nid"] == nid)
    del events[ready]
    return True


def _unwritten(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "Replicate")
    if at >= 0:
        del events[at]
    return at >= 0


def _early_leader(events: Events, _: random.Random) -> bool:
    """The first leader does not wait for votes: it leads as soon as it is a candidate."""
    leads = next((k for k, event in enumerate(events) if event["name"] == "BecomeLeader"), -1)
    if leads < 0:
        return False
    nid = events[leads]["nid"]
    stands = max(k for k in range(leads) if events[k]["name"] == "BecomeCandidate" and events[k]["nid"] == nid)
    events.insert(stands + 1, events.pop(leads))
    return True


def _from_nowhere(events: Events, rng: random.Random) -> bool:
    at = _pick(events, rng, "Receive")
    events[at]["msg"]["term"] += 7
    return at >= 0


CORRUPTIONS: Final[dict[str, Callable[[Events, random.Random], bool]]] = {
    "other-term": _spoil_state("Receive", "term"),
    "other-vote": _spoil_state("Receive", "vote"),
    "other-commit": _spoil_state("Commit", "commit"),
    "other-log": _other_log,
    "other-role": _other_role,
    "lost-voter": _lost_voter,
    "other-index": _other_index,
    "more-entries": _more_entries,
    "turned-vote": _turned_vote,
    "false-ack": _false_ack,
    "unelected": _unelected,
    "not-persisted": _not_persisted,
    "unwritten": _unwritten,
    "early-leader": _early_leader,
    "from-nowhere": _from_nowhere,
}
