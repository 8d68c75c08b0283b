"""The pytest plugin: fixtures that run your class on a simulated cluster, from a seed, under faults.

    def test_counter(raft_sim):
        raft_sim.run(Counter, lambda random: call(Counter.add, random.randrange(9)), profile="storm")

    def test_counter_by_hand(raft_cluster):
        cluster = raft_cluster(Counter)
        cluster.call(Counter.add, 5)
        cluster.kill(cluster.leader)
        assert cluster.ask(Counter.get) == 5

`--raftly-seeds A..B` runs each such test once with every seed from A to B, and a test that fails says how to run it
again. Nothing of raftly is imported before a test asks for a fixture.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from raftly.testing.fixtures import ClusterFactory, SimFactory

__all__ = ["raft_cluster", "raft_sim", "raftly_seed"]

_SEED: Final = "raftly_seed"
_SEEDS_MAX: Final = 100_000
_FACTORY: Final = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """See pytest."""
    group = parser.getgroup("raftly", "simulated Raft clusters")
    group.addoption(
        "--raftly-seeds",
        metavar="A..B",
        help="run tests of simulated clusters with each seed from A to B, or with the one seed A",
    )
    group.addoption(
        "--raftly-reports",
        metavar="DIR",
        help="write a page about each simulated run that fails into this folder",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """See pytest: one test a seed."""
    text = metafunc.config.getoption("--raftly-seeds")
    if text is not None and _SEED in metafunc.fixturenames:
        metafunc.parametrize(_SEED, _seeds(text), ids=lambda seed: f"seed{seed}", indirect=True)


def _seeds(text: str) -> range:
    first, dots, last = text.partition("..")
    try:
        seeds = range(int(first), int(last if dots else first) + 1)
    except ValueError:
        seeds = range(0)
    if not 1 <= len(seeds) <= _SEEDS_MAX:
        raise pytest.UsageError(f"--raftly-seeds takes A..B with A <= B, or one seed; {text!r} is neither")
    return seeds


@pytest.fixture
def raftly_seed(request: pytest.FixtureRequest) -> int:
    """The seed of this test: from --raftly-seeds, otherwise made of the test's name."""
    seed = getattr(request, "param", None)
    return seed if isinstance(seed, int) else zlib.crc32(request.node.nodeid.encode())


@pytest.fixture
def raft_sim(raftly_seed: int, request: pytest.FixtureRequest) -> Iterator[SimFactory]:
    """Whole runs from the test's seed; see `raftly.testing.fixtures.SimFactory`."""
    from raftly.testing.fixtures import SimFactory  # noqa: PLC0415 - what nobody uses costs nothing

    factory = SimFactory(raftly_seed, _reports(request))
    request.node.stash[_FACTORY] = factory
    yield factory
    factory.close()


@pytest.fixture
def raft_cluster(raftly_seed: int, request: pytest.FixtureRequest) -> Iterator[ClusterFactory]:
    """Clusters of your class that a plain test drives; see `raftly.testing.fixtures.ClusterFactory`."""
    from raftly.testing.fixtures import ClusterFactory  # noqa: PLC0415 - as above

    factory = ClusterFactory(raftly_seed, _reports(request))
    request.node.stash[_FACTORY] = factory
    yield factory
    factory.close()


def _reports(request: pytest.FixtureRequest) -> str | None:
    folder = request.config.getoption("--raftly-reports")
    return folder if isinstance(folder, str) else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """See pytest: a failure says how to see it again."""
    report = yield
    factory = item.stash.get(_FACTORY, None)
    if factory is not None and call.when == "call" and report.failed:
        path = item.nodeid.partition("[")[0]
        lines = [f'replay: pytest "{path}" --raftly-seeds {factory.seed}', *factory.on_failure(item.name)]
        report.sections.append(("raftly", "\n".join(lines)))
    return report
