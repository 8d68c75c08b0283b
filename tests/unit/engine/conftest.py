"""Fixtures of the engines' tests."""

from pathlib import Path

import pytest

from tests.unit.engine.kit import Home, MemoryHome, RocksHome


@pytest.fixture(params=["memory", "rocks"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A place for an engine of each kind."""
    return MemoryHome() if request.param == "memory" else RocksHome(tmp_path / "engine")
