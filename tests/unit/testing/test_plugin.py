"""The pytest plugin as its user has it: run by pytest in a process of pytest's own making."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

COUNTER = """
from raftly.node import command, query

class Counter:
    value: int
    def __init__(self) -> None:
        self.value = 0
    @command
    def add(self, amount: int) -> int:
        self.value += amount
        return self.value
    @query
    def get(self) -> int:
        return self.value
"""
RUNS = """
from counter import Counter
from raftly.testing.sim import call

def calls(random):
    return random.choice([call(Counter.add, random.randrange(100)), call(Counter.get)])

def test_it(raft_sim):
    report = raft_sim.run(Counter, calls, profile="storm", seconds=2.0)
    assert report.answered > 3
    assert report.seed == raft_sim.seed
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, pytester: pytest.Pytester) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(counter=COUNTER)
    pytester.makeini("[pytest]\npythonpath = .\n")


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "raftly.testing.plugin", "-p", "no:cacheprovider", *options)


def test_a_class_is_run_under_faults_and_judged_by_itself(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(RUNS)
    run(pytester).assert_outcomes(passed=1)


def test_seeds_multiply_the_tests_that_use_them(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        seen = []
        def test_seed(raftly_seed):
            seen.append(raftly_seed)
        def test_other():
            pass
        def test_all():
            assert seen in ([3, 4, 5], [7]), seen
        """
    )
    run(pytester, "--raftly-seeds", "3..5").assert_outcomes(passed=5)
    run(pytester, "--raftly-seeds", "7").assert_outcomes(passed=3)


@pytest.mark.parametrize("text", ["5..3", "x", "1..", "..", "0..100001"])
def test_seeds_that_are_none_are_refused(pytester: pytest.Pytester, text: str) -> None:
    pytester.makepyfile("def test_seed(raftly_seed): pass")
    result = run(pytester, f"--raftly-seeds={text}")
    result.stdout.fnmatch_lines(["*--raftly-seeds takes A..B*"])
    assert result.ret != 0


def test_a_seed_without_the_option_is_that_of_the_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_a(raftly_seed):
            assert 0 <= raftly_seed < 1 << 32
            print("SEED", raftly_seed)
        """
    )
    first, second = (run(pytester, "-s").outlines for _ in range(2))
    assert [line for line in first if "SEED" in line] == [line for line in second if "SEED" in line] != []


BROKEN = """
from raftly.node import command, query
from raftly.testing.sim import call

class Broken:
    value: int
    stale: int
    def __init__(self) -> None:
        self.value = self.stale = 0
    @command
    def set(self, value: int) -> int:
        self.stale, self.value = self.value, value
        return value
    @query
    def get(self) -> int:
        return self.stale

class Sound:
    value: int
    stale: int
    def __init__(self) -> None:
        self.value = self.stale = 0
    @command
    def set(self, value: int) -> int:
        self.value = value
        return value
    @query
    def get(self) -> int:
        return self.value

def calls(random):
    return random.choice([call(Broken.set, random.randrange(1000)), call(Broken.get)])

def test_it(raft_sim):
    from raftly.testing.class_model import ClassModel
    raft_sim.run(Broken, calls, profile="calm", seconds=2.0, model=ClassModel(Sound))
"""


def test_a_failure_says_how_to_see_it_again_and_leaves_pages(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_broken=BROKEN)
    result = run(pytester, "--raftly-seeds", "2..2", "--raftly-reports", "pages")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*NotLinearizable*", 'replay: pytest "test_broken.py::test_it" --raftly-seeds 2', "seed 2, virtual time*"]
    )
    pages = sorted(path.name for path in (pytester.path / "pages").iterdir())
    assert pages == ["test_it_seed2_.faults", "test_it_seed2_.history.html", "test_it_seed2_.html"]


def test_a_cluster_by_hand(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from counter import Counter
        from raftly.errors import OutcomeUnknown
        from raftly.testing.sim import HostDown, NodeFailed

        def test_by_hand(raft_cluster):
            cluster = raft_cluster(Counter)
            assert cluster.call(Counter.add, 5) == 5
            first = cluster.leader
            cluster.kill(first)
            assert cluster.leader != first
            with pytest.raises(HostDown):
                cluster.look(first, Counter.get)
            assert cluster.call(Counter.add, 5) == 10
            cluster.restart(first)
            cluster.wait_equal()
            assert cluster.look(first, Counter.get) == cluster.ask(Counter.get) == 10
            cluster.isolate(cluster.leader)
            cluster.run_for(5.0)
            assert cluster.call(Counter.add, 1) == 11
            cluster.heal()
            cluster.wait_equal()
            assert {cluster.look(id_, Counter.get) for id_ in cluster.ids} == {11}
            cluster.partition([1], [2], [3])
            with pytest.raises(OutcomeUnknown):
                cluster.call(Counter.add, 1)
            cluster.heal()
            cluster.add(4)
            cluster.stop(4)
            cluster.restart(4)
            cluster.remove(4)
            assert cluster.ids == (1, 2, 3)

        def test_a_class_that_fails(raft_cluster):
            cluster = raft_cluster(Counter, size=1)
            def on_tick(now):
                raise ZeroDivisionError
            cluster.sim.nodes[1].on_tick = on_tick
            with pytest.raises(NodeFailed, match="node 1 failed .*ZeroDivisionError"):
                cluster.run_for(5.0)

        def test_two_clusters_and_a_failure(raft_cluster):
            assert raft_cluster(Counter, size=1).world.seed != raft_cluster(Counter, size=1).world.seed
            assert False
        """
    )
    result = run(pytester)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["replay: pytest *::test_two_clusters_and_a_failure* --raftly-seeds *", "*node 1: *"])


def test_shrinking_leaves_the_faults_that_matter(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        counter_shrinks="""
        import pytest
        from counter import Counter
        from raftly.testing.sim import Fault, call

        class Fragile(Exception):
            pass

        def calls(random):
            return call(Counter.add, 1)

        def test_it(raft_sim, monkeypatch):
            from importlib import import_module
            inject = import_module("raftly.testing.sim.inject")
            async def bad(cluster, fault):
                raise AssertionError("planted")
            monkeypatch.setitem(inject._ACTIONS, "reset", bad)
            faults = [Fault(0.1 * n, "exit" if n != 5 else "reset", (1, 2), 0.01) for n in range(9)]
            with pytest.raises(AssertionError, match="planted"):
                raft_sim.run(Counter, calls, seconds=1.0, faults=faults)
            assert raft_sim.shrink() == [faults[5]]
        """
    )
    run(pytester, "counter_shrinks.py").assert_outcomes(passed=1)


def test_nothing_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, raftly.testing.plugin; print(*sorted(name for name in sys.modules if name.startswith('raftly')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["raftly", "raftly.testing", "raftly.testing.plugin"]


def test_the_package_registers_it() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"raftly": "raftly.testing.plugin"}
    assert not any(name.startswith("pytest") for name in project["dependencies"])
