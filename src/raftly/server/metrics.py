"""What a server counts, as families of samples; and any families in Prometheus' text form.

Names are TiKV's where the meaning is the same. Families and histograms are those of `raftly.node.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias, final

from raftly.node.histogram import Histogram, HistogramValue
from raftly.node.metrics import SIZES, Family, Kind, Sample

__all__ = ["CONTENT_TYPE", "CommandCounts", "Families", "ServerCounts", "exposition"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = tuple(0.00005 * 2**step for step in range(20))

Families: TypeAlias = Iterable[tuple[Family, Sequence[Sample]]]

_DURATION: Final = Family(
    "tikv_grpc_msg_duration_seconds", Kind.HISTOGRAM, "From having a command to having its answer.", ("type",)
)
_FAILED: Final = Family(
    "tikv_grpc_msg_fail_total", Kind.COUNTER, "Commands that ended without an answer of their own.", ("type",)
)
_REGION_ERRORS: Final = Family(
    "raftly_region_errors_total",
    Kind.COUNTER,
    "Commands that were answered with a region error, by its code.",
    ("code",),
)
_IN_FLIGHT: Final = Family("raftly_commands_in_flight", Kind.GAUGE, "Commands that wait for their answer.")
_REQUEST_BATCH: Final = Family(
    "tikv_server_grpc_req_batch_size", Kind.HISTOGRAM, "Commands in one message of a stream."
)
_RESPONSE_BATCH: Final = Family(
    "tikv_server_grpc_resp_batch_size", Kind.HISTOGRAM, "Answers in one message of a stream."
)


@final
class CommandCounts:
    """Of one type of command."""

    __slots__ = ("failed", "seconds")

    def __init__(self) -> None:
        self.seconds: Final = Histogram(SECONDS)
        self.failed = 0


@final
class ServerCounts:
    """Of all commands of a server."""

    __slots__ = ("by_command", "in_flight", "region_errors", "request_batch", "response_batch")

    def __init__(self) -> None:
        self.by_command: Final[dict[str, CommandCounts]] = {}
        self.region_errors: Final[dict[str, int]] = {}
        self.in_flight = 0
        self.request_batch: Final = Histogram(SIZES)
        self.response_batch: Final = Histogram(SIZES)

    def command(self, name: str) -> CommandCounts:
        """Where a type of command is counted."""
        return self.by_command.setdefault(name, CommandCounts())

    def on_region_error(self, code: str) -> None:
        """A command was answered with a region error."""
        self.region_errors[code] = self.region_errors.get(code, 0) + 1

    def families(self) -> Iterator[tuple[Family, list[Sample]]]:
        """All numbers as of now; types that were never asked for are left out."""
        counted = [(name, counts) for name, counts in sorted(self.by_command.items()) if any(counts.seconds.counts)]
        yield _DURATION, [Sample((name,), counts.seconds.value()) for name, counts in counted]
        yield _FAILED, [Sample((name,), counts.failed) for name, counts in counted]
        yield _REGION_ERRORS, [Sample((code,), count) for code, count in sorted(self.region_errors.items())]
        yield _IN_FLIGHT, [Sample((), self.in_flight)]
        yield _REQUEST_BATCH, [Sample((), self.request_batch.value())]
        yield _RESPONSE_BATCH, [Sample((), self.response_batch.value())]


# --- the text ------------------------------------------------------------------------------------------------------


def exposition(families: Families) -> bytes:
    """In Prometheus' text form, to be served as CONTENT_TYPE. A family without samples is left out.

    Source: Prometheus, exposition formats, text-based format 0.0.4.
    """
    lines: list[str] = []
    for family, samples in families:
        if samples:
            help_text = family.help.replace("\\", r"\\").replace("\n", r"\n")
            lines += (f"# HELP {family.name} {help_text}", f"# TYPE {family.name} {family.kind.value}")
            for sample in samples:
                lines += _lines(family, sample)
    return "".join(f"{line}\n" for line in lines).encode()


def _lines(family: Family, sample: Sample) -> Iterator[str]:
    pairs = list(zip(family.labels, sample.labels, strict=True))
    value = sample.value
    if not isinstance(value, HistogramValue):
        yield f"{family.name}{_labels(pairs)} {_number(value)}"
        return
    for bound, count in zip((*map(_number, value.bounds), "+Inf"), value.cumulative, strict=True):
        yield f"{family.name}_bucket{_labels([*pairs, ('le', bound)])} {count}"
    yield f"{family.name}_sum{_labels(pairs)} {_number(value.sum)}"
    yield f"{family.name}_count{_labels(pairs)} {value.count}"


def _labels(pairs: Sequence[tuple[str, str]]) -> str:
    if not pairs:
        return ""
    escaped = ((name, value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")) for name, value in pairs)
    return "{" + ",".join(f'{name}="{value}"' for name, value in escaped) + "}"


def _number(value: float) -> str:
    return format(value, ".15g")
