"""Words: what there is to say about a picture of the cluster. Pure; each function is a question."""

from __future__ import annotations

from collections.abc import Iterable

from raftly.base.types import NO_NODE, NodeId
from raftly.demo.live.report import Picture, Report, Safe, Seen, State

COLUMNS = ("node", "role", "term", "commit", "applied", "lag", "links", "state", "port")


def listed(ids: Iterable[NodeId]) -> str:
    """Names of nodes: "node 1", "nodes 1, 2"."""
    names = [str(id_) for id_ in sorted(ids)]
    return "no node" if not names else ("node " if len(names) == 1 else "nodes ") + ", ".join(names)


def plural(count: int, what: str) -> str:
    """A number of things: "1 write", "2 writes"."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def table(picture: Picture) -> list[tuple[str, ...]]:
    """The rows below COLUMNS, one a node."""
    leader = picture.leader()
    return [_row(picture, seen, leader) for _, seen in sorted(picture.nodes.items())]


def _row(picture: Picture, seen: Seen, leader: Report | None) -> tuple[str, ...]:
    report = seen.report
    others = [other for other in sorted(picture.nodes) if other != seen.id]
    links = " ".join(str(other) if picture.is_linked(seen.id, other) else f"✗{other}" for other in others)
    lag = None if leader is None else 0 if leader.id == seen.id else leader.behind.get(seen.id)
    state = f"{seen.state.value}, pid {seen.pid}" if seen.pid else seen.state.value
    told = ("-",) * 4
    if report is not None:
        role = "learner" if seen.id in report.learners else report.role
        told = (role, str(report.term), str(report.committed), str(report.applied))
    return (str(seen.id), *told, "-" if lag is None else str(lag), links, state, str(seen.port))


def unsettled(picture: Picture) -> str:
    """What the nodes have still to notice or to decide, as things are; empty when each knows where it stands."""
    for id_ in picture.running():
        if picture.nodes[id_].report is None:
            return f"node {id_} does not answer"
    may_lead = picture.may_lead()
    leader = picture.leader()
    if may_lead and (leader is None or leader.id not in may_lead):
        return f"{listed(may_lead)} can reach a majority, and none of them leads yet"
    for report in picture.reports():
        if problem := _unsettled(picture, report, leader if may_lead else None):
            return problem
    return ""


def _unsettled(picture: Picture, report: Report, leader: Report | None) -> str:
    id_ = report.id
    running = picture.running()
    if leader is not None and (id_ == leader.id or picture.is_linked(id_, leader.id)):
        if (report.leader, report.term) != (leader.id, leader.term):
            return f"node {id_} does not follow node {leader.id} yet"
        if id_ != leader.id:
            return ""
    elif not report.no_leader or report.role == "leader":
        return f"node {id_} has not noticed yet that it can reach no majority"
    reached = {other for other in running if picture.is_linked(id_, other)}
    unnoticed = {*report.voters, *report.learners} - reached - {*report.unreachable, id_}
    if unnoticed:
        return f"node {id_} has not noticed yet that it cannot reach {listed(unnoticed)}"
    if leader is not None and (back := reached & {*report.unreachable}):
        return f"node {id_} has not heard of {listed(back)} yet"
    return ""


def who_leads(picture: Picture) -> str:
    """One sentence."""
    leader = picture.leader()
    if leader is not None and leader.id in picture.may_lead():
        return f"node {leader.id} leads in term {leader.term}"
    return no_leader(picture)


def no_leader(picture: Picture) -> str:
    """Why nobody leads who could decide anything, in words: the demonstration's own, and a node's."""
    voters = picture.voters()
    needed = len(voters) // 2 + 1
    alive = [id_ for id_ in picture.running() if id_ in voters]
    if picture.may_lead():
        return f"nobody leads yet: {listed(picture.may_lead())} can reach a majority, and will elect one of them"
    if len(alive) < needed:
        down = "; ".join(_fate(picture.nodes[id_]) for id_ in voters if id_ in picture.nodes and id_ not in alive)
        return f"nobody leads: {needed} of {len(voters)} voters are needed, and {len(alive)} run ({down})"
    return f"nobody leads: no voter reaches {needed} of {len(voters)}, because links are cut: {cut_links(picture)}"


def _fate(seen: Seen) -> str:
    return f"node {seen.id} {_FATES[seen.state]}"


_FATES = {
    State.RUNNING: "runs",
    State.PAUSED: "is paused",
    State.KILLED: "was killed",
    State.STOPPED: "was stopped",
    State.FAILED: "ended by itself",
    State.NEW: "was not started",
}


def cut_links(picture: Picture) -> str:
    """Which links are cut."""
    return ", ".join(f"{one}✗{other}" for one, other in picture.cut) or "none"


def why(picture: Picture) -> list[str]:
    """Everything that explains how things are: who leads or why nobody does, what nodes say, who may be stopped."""
    lines = [who_leads(picture)]
    leader = picture.leader()
    lines += [
        f"{_fate(seen)}: {_ADVICE[seen.state].format(seen.id)}"
        for _, seen in sorted(picture.nodes.items())
        if seen.state in _ADVICE
    ]
    if picture.cut:
        lines.append(f"links are cut ({cut_links(picture)}): `heal` joins them again")
    for report in picture.reports():
        told = "; ".join(report.problems) or "all is well"
        lines.append(f"node {report.id}, {report.role} in term {report.term}, says: {told}")
    if leader is not None and leader.id in picture.may_lead():
        lines += [f"stop node {id_}? {verdict.why}" for id_, verdict in sorted(leader.safe.items())]
    return lines


_ADVICE = {
    State.PAUSED: "`resume {0}` lets it go on",
    State.KILLED: "`restart {0}` starts it from its log",
    State.STOPPED: "`restart {0}` starts it from its log",
    State.FAILED: "`log {0}` has its last words, `restart {0}` starts it from its log",
}


def may_stop(picture: Picture, id_: NodeId) -> Safe:
    """May this node be stopped? Only a leader knows how far the others are."""
    leader = picture.leader()
    if leader is None or leader.id not in picture.may_lead():
        return Safe(ok=False, why=f"no: {no_leader(picture)}")
    return leader.safe.get(id_, Safe(ok=True, why=f"yes: node {id_} is not a member"))


def compared(picture: Picture, ids: Iterable[NodeId]) -> str:
    """In what these replicas differ, though they applied the same entries; empty when they are equal."""
    reports = [report for report in picture.reports() if report.id in set(ids)]
    by_digest: dict[str, list[NodeId]] = {}
    for report in reports:
        by_digest.setdefault(report.digest, []).append(report.id)
    if len(by_digest) > 1:
        told = ", ".join(f"{listed(group)} {digest}" for digest, group in sorted(by_digest.items()))
        return f"at entry {reports[0].applied} the digests differ: {told}"
    for report in reports[1:]:
        if report.items != reports[0].items:
            return f"node {report.id} does not hold what node {reports[0].id} holds, though their digests are equal"
    return ""


def comparable(picture: Picture) -> list[NodeId]:
    """Nodes that can be brought to the same entry now: the leader, and who runs and is linked to it."""
    leader = picture.leader()
    if leader is None or leader.id not in picture.may_lead():
        return []
    return [id_ for id_ in picture.running() if id_ == leader.id or picture.is_linked(id_, leader.id)]


def known_leader(picture: Picture) -> NodeId:
    """The id of whoever leads, or NO_NODE."""
    leader = picture.leader()
    return NO_NODE if leader is None else leader.id
