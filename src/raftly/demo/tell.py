"""The demonstration of five nodes as plain lines, for a pipe, a file, or a terminal that cannot do more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from raftly.demo.five_nodes import Event, FiveNodes, Phase
from raftly.demo.host import Host, role_name


@final
class Teller:
    """Gives, after each round, the lines that tell what is new."""

    __slots__ = ("_demo", "_quarters", "_told")

    def __init__(self, demo: FiveNodes) -> None:
        self._demo = demo
        self._told = 0
        self._quarters = 0  # of all proposals, told as confirmed

    def lines(self) -> Iterator[str]:
        """What happened since the last call."""
        demo = self._demo
        for event in demo.events[self._told :]:
            if not event.detail:
                yield event_line(event)
        self._told = len(demo.events)
        quarters = 4 * demo.confirmed() // demo.options.proposals
        if quarters > self._quarters:
            self._quarters = quarters
            yield event_line(Event(demo.cluster.rounds, 0, progress_line(demo)))


def event_line(event: Event) -> str:
    """One event as one line."""
    who = f"node {event.node}" if event.node else ""
    return f"round {event.round:>4}  {who:<7}  {event.text}"


def progress_line(demo: FiveNodes) -> str:
    """How many proposals are confirmed."""
    return f"{demo.confirmed()} of {demo.options.proposals} proposals confirmed"


def table_lines(demo: FiveNodes) -> Iterator[str]:
    """All nodes side by side, with a heading."""
    yield "node  role          term  log end committed  applied commands  digest"
    for host in demo.cluster.hosts.values():
        yield _table_line(host)


def _table_line(host: Host) -> str:
    raft = host.node.raft
    log = raft.log
    return (
        f"{host.id:>4}  {role_name(raft):<13} {raft.term:>4} {log.last_index:>8} {log.committed:>9} {log.applied:>8}"
        f" {len(host.journal.commands):>8}  {host.journal.digest()}"
    )


def verdict_line(demo: FiveNodes) -> str:
    """How it ended."""
    cluster = demo.cluster
    many = len(cluster.hosts)
    equality = "alone, with its state machine" if many == 1 else f"all {many} state machines are equal"
    if not demo.is_success():
        equality = "given up" if demo.phase is Phase.FAILED else "not finished"
    lost = f" ({cluster.lost} of them lost)" if cluster.lost else ""
    repeated = max(host.journal.repeated for host in cluster.hosts.values())
    again = f"; {repeated} stood in the log twice and counted once" if repeated else ""
    return f"{progress_line(demo)}, {equality}; {cluster.sent} messages{lost} in {cluster.rounds} rounds{again}"
