"""A few cycles of what `python -m tests.cluster.kills` does for hours."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.cluster.support.run import Setting, Totals, started

CYCLES = {"kill": 5, "pause": 2, "partition": 2}


@pytest.mark.parametrize("mode", CYCLES)
def test_nothing_acknowledged_is_lost_and_the_history_is_linearizable(mode: str, tmp_path: Path) -> None:
    async def main() -> None:
        totals = Totals()
        async with started(tmp_path, Setting(mode, seed=5)) as running:
            chapter = await running.chapter(CYCLES[mode])
        totals.add(chapter)
        assert chapter.problems == []
        assert totals.counts["undecided"] == 0
        assert len(chapter.faults) == CYCLES[mode]
        assert chapter.acknowledged > 100 * CYCLES[mode]

    asyncio.run(main())
