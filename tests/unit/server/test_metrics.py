"""The text form of metrics is what Prometheus' own parser reads."""

import pytest

from raftly.node.histogram import Histogram
from raftly.node.metrics import Family, Kind, Sample
from raftly.server.metrics import ServerCounts, exposition

parser = pytest.importorskip("prometheus_client.parser")


def test_commands_are_counted_by_type() -> None:
    counts = ServerCounts()
    for seconds in (0.00004, 0.01, 100.0):
        counts.command("raw_get").seconds.observe(seconds)
    counts.command("raw_put").failed += 1
    counts.command("raw_put").seconds.observe(0.5)
    counts.command("never_called")
    counts.on_region_error("not_leader")
    counts.on_region_error("not_leader")
    counts.in_flight = 4
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(exposition(counts.families()).decode())
        for sample in family.samples
    }
    assert found["tikv_grpc_msg_duration_seconds_count", "raw_get"] == 3
    assert found["tikv_grpc_msg_duration_seconds_sum", "raw_get"] == pytest.approx(100.01004)
    assert found["tikv_grpc_msg_duration_seconds_bucket", "raw_get", "5e-05"] == 1
    assert found["tikv_grpc_msg_duration_seconds_bucket", "raw_get", "+Inf"] == 3
    assert found["tikv_grpc_msg_fail_total", "raw_put"] == 1
    assert found["raftly_region_errors_total", "not_leader"] == 2
    assert found["raftly_commands_in_flight",] == 4
    assert not any("never_called" in name for name in found)


def test_what_is_special_is_escaped() -> None:
    family = Family("f_total", Kind.COUNTER, "One \\ two\nlines.", ("a", "b"))
    text = exposition([(family, [Sample(('say "hi"\n', "back\\slash"), 1.5)]), (family, [])]).decode()
    (parsed,) = parser.text_string_to_metric_families(text)
    assert parsed.documentation == "One \\ two\nlines."
    assert [(sample.labels, sample.value) for sample in parsed.samples] == [
        ({"a": 'say "hi"\n', "b": "back\\slash"}, 1.5)
    ]


def test_numbers_are_whole_and_exact() -> None:
    family = Family("f", Kind.GAUGE, "F.")
    histogram = Histogram((1.0,))
    histogram.observe(3)
    text = exposition([(family, [Sample((), 123456789012.0)])]).decode()
    assert text.splitlines()[-1] == "f 123456789012"
    text = exposition([(Family("h", Kind.HISTOGRAM, "H."), [Sample((), histogram.value())])]).decode()
    assert text.splitlines()[2:] == ['h_bucket{le="1"} 0', 'h_bucket{le="+Inf"} 1', "h_sum 3", "h_count 1"]
