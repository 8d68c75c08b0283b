"""The metrics of nodes for Prometheus; needs the extra `metrics` (the package prometheus-client).

registry.register(NodeCollector([node]))       in a program that has a registry
body = exposition([node])                      what an HTTP handler answers, as CONTENT_TYPE
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol, final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from raftly.node.config import NodeConfig
from raftly.node.histogram import HistogramValue
from raftly.node.metrics import Family, Kind, Metrics, Sample

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


class Measured(Protocol):
    """A node, as far as it matters here."""

    config: NodeConfig

    def metrics(self) -> Metrics:
        """All numbers, as of now."""
        ...


@final
class NodeCollector(Collector):
    """Collects the metrics of some nodes of this process, labelled with their ids, whenever it is asked."""

    def __init__(self, nodes: Iterable[Measured]) -> None:
        self._nodes = list(nodes)

    def collect(self) -> Iterator[Metric]:
        """All families, one after the other. Call it on the loop of the nodes."""
        families: dict[str, Metric] = {}
        for node in self._nodes:
            id_ = str(node.config.id)
            for family, samples in node.metrics():
                metric = families.get(family.name)
                if metric is None:
                    metric = families[family.name] = _new(family)
                for sample in samples:
                    _add(metric, id_, sample)
        yield from families.values()

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: nodes are asked only when they run."""
        return []


def _new(family: Family) -> Metric:
    labels = ["node", *family.labels]
    if family.kind is Kind.COUNTER:
        return CounterMetricFamily(family.name, family.help, labels=labels)
    if family.kind is Kind.GAUGE:
        return GaugeMetricFamily(family.name, family.help, labels=labels)
    return HistogramMetricFamily(family.name, family.help, labels=labels)


def _add(metric: Metric, node: str, sample: Sample) -> None:
    labels = [node, *sample.labels]
    value = sample.value
    if isinstance(value, HistogramValue):
        assert isinstance(metric, HistogramMetricFamily)
        bounds = [*map(str, value.bounds), "+Inf"]
        buckets = [(bound, float(count)) for bound, count in zip(bounds, value.cumulative, strict=True)]
        metric.add_metric(labels, buckets, value.sum)
    else:
        assert isinstance(metric, CounterMetricFamily | GaugeMetricFamily)
        metric.add_metric(labels, value)


def exposition(nodes: Iterable[Measured]) -> bytes:
    """The metrics of some nodes in Prometheus' text form."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(nodes))
    return generate_latest(registry)
