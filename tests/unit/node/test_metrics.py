"""Numbers: what is counted, how they are read, and their Prometheus form."""

import asyncio
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raftly.base.types import Entry
from raftly.errors import NotLeader, OutcomeUnknown
from raftly.node import FOLLOWER, LOCAL, bounded
from raftly.node.histogram import Histogram, HistogramValue
from raftly.node.metrics import (
    FAMILIES,
    SECONDS,
    DriverCounts,
    Kind,
    Metrics,
    NodeCounts,
    Sample,
)
from raftly.node.prometheus import CONTENT_TYPE, NodeCollector, exposition
from raftly.storage.items import EntriesItem
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run

DOCS = Path(__file__).parents[3] / "docs"


def test_a_histogram_counts_by_inclusive_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 3.0):
        histogram.observe(value)
    histogram.observe(2.0, 3)
    found = histogram.value()
    assert found == HistogramValue((1.0, 2.0), (2, 7, 8), 14.0)
    assert found.count == 8


def test_a_write_counts_its_entries() -> None:
    counts = DriverCounts()
    counts.on_write([EntriesItem(1, [Entry(1, 1), Entry(1, 2)]), EntriesItem(2, [Entry(1, 1)])], 0.003)
    assert (counts.writes, counts.entries_written) == (1, 3)
    assert counts.write_entries.sum == 3
    assert counts.write_s.value().cumulative[SECONDS.index(0.005)] == 1
    assert counts.write_s.value().cumulative[SECONDS.index(0.002)] == 0


def test_late_ticks() -> None:
    counts = DriverCounts()
    counts.on_tick(-0.001, 0.1)
    counts.on_tick(0.05, 0.1)
    counts.on_tick(0.35, 0.1)
    assert (counts.ticks, counts.ticks_missed) == (3, 3)
    assert counts.late_s == pytest.approx(0.4)


def test_errors_are_counted_by_code() -> None:
    counts = NodeCounts()
    for code in ("busy", "not_leader", "busy"):
        counts.on_failed_call(code)
    assert counts.failed == {"busy": 2, "not_leader": 1}


def test_numbers_are_found_by_name_and_labels() -> None:
    metrics = Metrics(
        {
            "raftly_term": (Sample((), 5),),
            "raftly_reads_total": (Sample(("lease",), 3), Sample(("none",), 1)),
            "raftly_write_seconds": (Sample((), HistogramValue((1.0,), (2, 3), 4.5)),),
        }
    )
    assert metrics.value("raftly_reads_total", proof="lease") == 3
    assert metrics.value("raftly_write_seconds") == 3
    with pytest.raises(KeyError):
        metrics.value("raftly_reads_total", proof="other")
    with pytest.raises(KeyError):
        metrics.value("raftly_no_such_thing")
    assert metrics.flat() == {
        "raftly_term": 5,
        'raftly_reads_total{proof="lease"}': 3,
        'raftly_reads_total{proof="none"}': 1,
        "raftly_write_seconds_count": 3,
        "raftly_write_seconds_sum": 4.5,
    }


def test_names_are_those_of_the_field() -> None:
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    for family in FAMILIES:
        assert re.fullmatch(r"raftly(_[a-z]+)+", family.name)
        assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
        assert family.help.endswith(".")


def test_the_page_lists_each_of_them() -> None:
    page = (DOCS / "observe.md").read_text("utf-8")
    rows = re.findall(r"^\| `(raftly_\w+)` \| (\w+) \| ([^|]*) \| (.*) \|$", page, re.MULTILINE)
    labels = {name: label for name, _, label, _ in rows}
    assert [(name, kind, text) for name, kind, _, text in rows] == [
        (family.name, family.kind.value, family.help) for family in FAMILIES
    ]
    for family in FAMILIES:
        assert labels[family.name] == ", ".join(f"`{label}`" for label in family.labels)


# --- at a node ---


def test_a_node_counts_what_it_does() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            follower = nodes.others(leader)[0]
            session = await leader.open_session()
            for value in range(10):
                await leader.call(Register.set, "a", value)
            await session.call(Register.set, "a", 1)
            for _ in range(5):
                await leader.ask(Register.get, "a")
            await follower.fresh(FOLLOWER)
            await follower.fresh(bounded(100))
            await follower.fresh(LOCAL)
            with pytest.raises(NotLeader):
                await follower.call(Register.set, "a", 1)
            await asyncio.sleep(1)
            one = leader.metrics()
            assert one.value("raftly_is_leader") == 1
            assert one.value("raftly_leader_id") == leader.config.id
            assert one.value("raftly_term") == leader.status().basic.hard_state.term
            assert one.value("raftly_proposals_total") == 10
            assert one.value("raftly_commit_seconds") == 10
            assert one.value("raftly_elections_won_total") == 1
            assert one.value("raftly_leader_changes_total") == 1
            assert one.value("raftly_sessions") == 1
            assert one.value("raftly_calls_in_flight") == 0
            assert one.value("raftly_members", role="voter") == 3
            assert one.value("raftly_members", role="learner") == 0
            assert one.value("raftly_applied_index") == one.value("raftly_commit_index") == leader.machine.applied
            assert one.value("raftly_last_index") == leader.machine.applied
            assert one.value("raftly_healthy") == 1
            assert one.value("raftly_disk_ok") == 1
            assert one.value("raftly_uptime_seconds") > 1
            reads = sum(one.value("raftly_reads_total", proof=proof) for proof in ("lease", "read_index"))
            assert reads >= 5
            assert one.value("raftly_writes_total") == one.value("raftly_write_seconds") > 0
            assert one.value("raftly_written_entries_total") >= 12
            assert one.value("raftly_written_bytes_total") > 0
            assert one.value("raftly_log_size_bytes") >= one.value("raftly_log_live_bytes") > 0
            assert one.value("raftly_log_segments") == 1
            assert one.value("raftly_log_cache_bytes") > 0
            assert one.value("raftly_ticks_total") > 10
            assert one.value("raftly_ticks_missed_total") == 0
            for peer in "23" if leader.config.id == 1 else "1":
                assert one.value("raftly_peer_reachable", peer=peer) == 1
                assert one.value("raftly_peer_behind_entries", peer=peer) == 0
            two = follower.metrics()
            assert two.value("raftly_is_leader") == 0
            assert two.value("raftly_proposals_total") == 0
            assert two.value("raftly_reads_total", proof="read_index") == 1
            assert two.value("raftly_reads_total", proof="earlier") == 1
            assert two.value("raftly_reads_total", proof="none") == 1
            assert two.value("raftly_calls_failed_total", code="not_leader") == 1
            assert two.value("raftly_applied_total") >= 12
            assert "raftly_peer_behind_entries" not in two.samples

    run(main())


def test_what_was_placed_and_lost_is_no_commit() -> None:
    async def main() -> None:
        async with Nodes(call_timeout=3.0) as nodes:
            old = await nodes.leader()
            await old.call(Register.set, "a", 1)
            nodes.network.isolate(old.config.id)
            lost = [asyncio.create_task(old.call(Register.set, "b", value)) for value in range(5)]
            await asyncio.gather(*lost, return_exceptions=True)
            new = await nodes.leader(but=old.config.id)
            for value in range(10):
                await new.call(Register.set, "a", value)
            nodes.network.heal()
            await old.wait_applied(new.machine.applied)
            assert old.metrics().value("raftly_proposals_total") == 6
            assert old.metrics().value("raftly_commit_seconds") == 1
            assert old.metrics().value("raftly_calls_failed_total", code="outcome_unknown") == 5
            assert new.metrics().value("raftly_commit_seconds") == 10

    run(main())


def test_a_sessions_call_that_nobody_answered_is_counted() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            node = nodes.others(await nodes.leader())[0]
            session = await node.open_session(within=2.0)
            nodes.network.isolate(node.config.id)
            with pytest.raises(OutcomeUnknown):
                await session.call(Register.set, "a", 1)
            assert node.metrics().value("raftly_calls_failed_total", code="outcome_unknown") == 1

    run(main())


def test_a_full_disk_is_measured() -> None:
    async def main() -> None:
        async with Nodes(1, call_timeout=2.0) as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            await nodes.fill_disk(1)
            await asyncio.sleep(3)
            assert leader.metrics().value("raftly_disk_ok") == 0
            full_s = leader.metrics().value("raftly_disk_full_seconds_total")
            assert full_s >= 2
            nodes.free_disk(1)
            await asyncio.sleep(1)
            assert leader.metrics().value("raftly_disk_ok") == 1
            full_s = leader.metrics().value("raftly_disk_full_seconds_total")
            await asyncio.sleep(5)
            assert leader.metrics().value("raftly_disk_full_seconds_total") == full_s
            failed = {sample.labels[0] for sample in leader.metrics().samples["raftly_calls_failed_total"]}
            assert failed & {"disk_full", "outcome_unknown"}

    run(main())


def test_a_snapshot_that_is_taken_over_is_counted() -> None:
    async def main() -> None:
        async with Nodes(snapshot_entries=10) as nodes:
            leader = await nodes.leader()
            late = nodes.others(leader)[0]
            nodes.network.isolate(late.config.id)
            for value in range(60):
                await leader.call(Register.set, "a", value)
            nodes.network.heal()
            await late.wait_applied(leader.machine.applied)
            assert late.metrics().value("raftly_snapshots_total", event="restored") == 1
            assert leader.metrics().value("raftly_snapshot_index") > 0
            assert leader.metrics().value("raftly_snapshots_total", event="sent") == 1
            assert leader.metrics().value("raftly_snapshots_total", event="made") >= 2
            assert leader.metrics().value("raftly_snapshots_total", event="make_failed") == 0

    run(main())


# --- Prometheus ---


def test_prometheus_reads_all_of_it() -> None:
    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await leader.call(Register.set, "a", 1)
            text = exposition(nodes.nodes.values()).decode()
            found = {
                (sample.name, tuple(sorted(sample.labels.items()))): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
            for id_, node in nodes.nodes.items():
                labels = ("node", str(id_))
                metrics = node.metrics()
                assert found["raftly_term", (labels,)] == metrics.value("raftly_term")
                assert found["raftly_written_bytes_total", (labels,)] == metrics.value("raftly_written_bytes_total")
                assert found["raftly_write_seconds_count", (labels,)] == metrics.value("raftly_write_seconds")
                assert found["raftly_write_seconds_bucket", (("le", "+Inf"), labels)] == metrics.value(
                    "raftly_write_seconds"
                )
                assert found["raftly_reads_total", (labels, ("proof", "lease"))] == 0
            assert f"# HELP raftly_term {next(f.help for f in FAMILIES if f.name == 'raftly_term')}" in text
            assert "# TYPE raftly_commit_seconds histogram" in text

    run(main())


def test_a_collector_describes_nothing_before_it_is_asked() -> None:
    assert NodeCollector([]).describe() == []
    assert list(NodeCollector([]).collect()) == []
    assert CONTENT_TYPE.startswith("text/plain")
