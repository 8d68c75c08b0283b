"""The picture of the five nodes: it fits a small terminal, keeps still, and shows what is there."""

import io

from rich.console import Console

from raftly.demo.five_nodes import FiveNodes, Options
from raftly.demo.view import View, picture


def drawn(demo: FiveNodes, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(picture(demo))
    return capture.get().splitlines()


def test_it_fits_80_columns_and_24_lines_at_every_moment() -> None:
    demo = FiveNodes(Options(proposals=30, drop=20.0))
    heights, going = set(), True
    while going:
        lines = drawn(demo)
        assert {len(line) for line in lines} == {80}
        heights.add(len(lines))
        going = demo.step()
    assert len(heights) == 1
    assert heights.pop() <= 24


def test_it_shows_roles_logs_messages_events_and_progress() -> None:
    demo = FiveNodes(Options())
    while demo.confirmed() < 50:
        demo.step()
    lines = drawn(demo, 100)
    text = "\n".join(lines)
    assert f"round {demo.cluster.rounds}" in lines[0]
    for host, line in zip(demo.cluster.hosts.values(), lines[2:], strict=False):
        log = host.node.raft.log
        role = "leader" if host.id == 1 else "follower"
        numbers = [host.node.raft.term, log.last_index, log.committed, log.applied]
        assert line.split()[1:7] == [str(host.id), role, *map(str, numbers)]
    assert f"{demo.confirmed()} of 100 proposals confirmed" in text
    assert "→" in text
    assert f"{demo.events[-1].round:>5} node {demo.events[-1].node} {demo.events[-1].text}" in text
    assert "clients propose" in lines[-1]


def test_a_lagging_log_is_shorter() -> None:
    demo = FiveNodes(Options(drop=40.0))
    ends = [0]
    while min(ends) <= 30 or max(ends) - min(ends) < 3:
        assert demo.step(), "no node ever lagged: take another seed"
        ends = [host.node.raft.log.last_index for host in demo.cluster.hosts.values()]
    bars = [line.count("■") for line in drawn(demo, 100)[2:7]]
    assert max(bars) == 20
    assert [max(ends) - end for end in ends] == [20 - bar for bar in bars]


def test_one_node_alone_is_drawn_too() -> None:
    assert "1 node in one process" in drawn(FiveNodes(Options(nodes=1)))[0]


def test_the_view_redraws_in_place() -> None:
    demo = FiveNodes(Options(nodes=2, proposals=2))
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, legacy_windows=False)
    with console.capture() as capture, View(demo, console) as view:
        while demo.step():
            view.show()
    sent = capture.get()
    assert sent.count("2 nodes in one process") > 3
    assert "\x1b[1A" in sent
