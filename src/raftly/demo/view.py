"""The demonstration of five nodes as a picture in a terminal, drawn anew each round."""

from __future__ import annotations

from collections import Counter
from typing import Final, final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raftly.demo.five_nodes import FiveNodes
from raftly.demo.host import Host, role_name
from raftly.demo.tell import progress_line

BAR_WIDTH: Final = 20  # all fits 80 columns
EVENTS_SHOWN: Final = 6
FLIGHT_LINES: Final = 4
FLIGHTS_A_LINE: Final = 4
FLIGHT_WIDTH: Final = 19
ROLE_STYLES: Final = {"leader": "bold green", "candidate": "yellow", "pre-candidate": "yellow", "empty": "dim"}


@final
class View:
    """The picture of a running demonstration; a context within which `show` redraws it."""

    __slots__ = ("_demo", "_live")

    def __init__(self, demo: FiveNodes, console: Console) -> None:
        self._demo = demo
        self._live = Live(picture(demo), console=console, auto_refresh=False)

    def __enter__(self) -> View:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self) -> None:
        """Draw how it stands now."""
        self._live.update(picture(self._demo), refresh=True)


def picture(demo: FiveNodes) -> RenderableType:
    """Everything there is to see at this moment."""
    many = len(demo.cluster.hosts)
    lossy = f" · {demo.options.drop:g}% lost" if demo.options.drop else ""
    title = f"[bold]{many} node{'s' if many > 1 else ''} in one process[/]{lossy} · round {demo.cluster.rounds}"
    body = Group(_nodes(demo), Text(), _progress(demo), Text(), _flights(demo), Text(), _events(demo))
    return Panel(body, title=title, subtitle=demo.phase.value, border_style="blue", padding=(0, 1))


def _nodes(demo: FiveNodes) -> Table:
    table = Table(box=None, expand=True, pad_edge=False, header_style="dim")
    table.add_column("node", justify="right")
    table.add_column("role", min_width=13)
    for heading in ("term", "[yellow]log end[/]", "[cyan]committed[/]", "[green]applied[/]"):
        table.add_column(heading, justify="right")
    table.add_column("end of the log", min_width=BAR_WIDTH)
    longest = max(host.node.raft.log.last_index for host in demo.cluster.hosts.values())
    for host in demo.cluster.hosts.values():
        table.add_row(*_node_row(host, longest))
    return table


def _node_row(host: Host, longest: int) -> list[RenderableType]:
    raft = host.node.raft
    log = raft.log
    role = role_name(raft)
    numbers = (raft.term, log.last_index, log.committed, log.applied)
    return [str(host.id), Text(role, ROLE_STYLES.get(role, "")), *map(str, numbers), _log_bar(host, longest)]


def _log_bar(host: Host, longest: int) -> Text:
    """The end of the log, a cell an entry; all nodes show the same part of it, so one that lags is shorter."""
    log = host.node.raft.log
    first = max(longest - BAR_WIDTH, 0)
    bar = Text()
    start = first
    for end, style in ((log.applied, "green"), (log.committed, "cyan"), (log.last_index, "yellow")):
        bar.append("■" * (end - start), style)
        start = max(start, end)
    return bar


def _progress(demo: FiveNodes) -> Table:
    grid = Table.grid(padding=(0, 2))
    bar = ProgressBar(total=demo.options.proposals, completed=demo.confirmed(), width=40, complete_style="green")
    grid.add_row(bar, progress_line(demo))
    return grid


def _flights(demo: FiveNodes) -> Text:
    """What is on the wire, as far as it fits; always the same number of lines, so that the picture stays still."""
    many = Counter((flight.from_, flight.to, flight.name, flight.lost) for flight in demo.cluster.in_flight)
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("in flight", "dim")
    labels = list(many.items())
    if len(labels) > FLIGHTS_A_LINE * FLIGHT_LINES:
        text.append(f", of {len(demo.cluster.in_flight)} messages these", "dim")
    for row in range(FLIGHT_LINES):
        text.append("\n")
        for (from_, to, name, lost), count in labels[FLIGHTS_A_LINE * row : FLIGHTS_A_LINE * (row + 1)]:
            times = f"×{count}" if count > 1 else ""
            label = f"{from_}→{to} {name.removeprefix('Msg')}{times}"
            text.append(label, "strike red" if lost else "cyan")
            text.append(" " * (FLIGHT_WIDTH - len(label)))
    return text


def _events(demo: FiveNodes) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    latest = demo.events[-EVENTS_SHOWN:]
    for row in range(EVENTS_SHOWN):
        if row:
            text.append("\n")
        if row < len(latest):
            event = latest[row]
            text.append(f"{event.round:>5} ", "dim")
            text.append(f"node {event.node} " if event.node else "", "bold")
            text.append(event.text, "" if event.node else "bold blue")
    return text
