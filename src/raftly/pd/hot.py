"""HotRegions: which regions are read or written so much that where they lie matters.

A region is hot once it was busy for a few reports in a row, and stays so until it was quiet for as many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from raftly.base.heartbeats import RegionReport
from raftly.base.region import RegionId
from raftly.pd.config import ScheduleConfig

HOT_DEGREE: Final = 3
_DEGREE_MAX: Final = 2 * HOT_DEGREE


@final
@dataclass(slots=True)
class Flow:
    """Of one region, bytes a second, smoothed over a few reports."""

    write: float = 0.0
    read: float = 0.0
    degree: int = 0  # reports that were busy, less those that were not; in [0, _DEGREE_MAX]


@final
class HotRegions:
    """Flows of the regions that are, or were lately, busy."""

    def __init__(self) -> None:
        self._flows: dict[RegionId, Flow] = {}

    def __len__(self) -> int:
        return len(self._flows)

    def on_report(self, report: RegionReport, config: ScheduleConfig) -> None:
        """A leader told how busy its region was."""
        if not report.interval_s:
            return
        region_id = report.region.id
        write, read = report.bytes_written / report.interval_s, report.bytes_read / report.interval_s
        is_busy = write >= config.hot_write_bytes_s or read >= config.hot_read_bytes_s
        flow = self._flows.get(region_id)
        if flow is None:
            if is_busy:
                self._flows[region_id] = Flow(write, read, 1)
            return
        flow.write += (write - flow.write) / 2
        flow.read += (read - flow.read) / 2
        flow.degree = min(flow.degree + 1, _DEGREE_MAX) if is_busy else flow.degree - 1
        if flow.degree <= 0:
            del self._flows[region_id]

    def forget(self, region_id: RegionId) -> None:
        """The region is no more."""
        self._flows.pop(region_id, None)

    def hot(self) -> list[tuple[RegionId, Flow]]:
        """Hot regions, ids ascending."""
        return sorted((id_, flow) for id_, flow in self._flows.items() if flow.degree >= HOT_DEGREE)
