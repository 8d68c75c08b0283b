"""Scripts of runs that failed once, shrunk and kept: each passes now."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from raftly.cli.sim import sim
from raftly.errors import DecodeError
from raftly.testing.core_sim.faults import Fault
from raftly.testing.core_sim.fleet import jobs_of
from raftly.testing.core_sim.kinds import Job, load
from raftly.testing.core_sim.options import Options

SEEDS = Path(__file__).with_name("seeds")

# What each was kept for must still happen in it: another draw of random numbers makes another run of the same script.
MET = {
    "callers-know-nobody-any-more": {"callers that knew nobody any more", "replace"},
    "cut-ahead-of-commit": {"compactions", "exit"},
    "snapshot-asked-before-restart": {"asks for a snapshot", "crash"},
}


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*.script")), ids=lambda path: path.stem)
def test_what_failed_once_passes(path: Path) -> None:
    job = load(path)
    assert job.script is not None
    assert len(job.script) <= 200
    outcome = job.run()
    assert outcome.problem == ""
    assert {*outcome.rare, *outcome.counts, *outcome.struck} >= MET[path.stem]


def test_a_file_holds_the_whole_job(tmp_path: Path) -> None:
    script = (Fault(0.5, "crash", (1,), 0.25), Fault(0.75, "write", (2,), 0.0, 5.0))
    job = Job("core", 7, Options("storm", 5, 3.0), script)
    job.save(tmp_path / "a.script")
    assert load(tmp_path / "a.script") == job


@pytest.mark.parametrize("kind", ["core", "full"])
def test_the_command_of_a_job_gives_its_run(kind: str) -> None:
    for job in jobs_of(range(8_500_000, 8_500_004), Options(size=0, seconds=0.5), "", float(kind == "full")):
        _, _, _, *arguments = job.command().split()
        done = CliRunner().invoke(sim, ["replay", *arguments, "--quiet"])
        assert f"digest {job.run().digest}" in done.output, job.command()


@pytest.mark.parametrize("text", ["{}\n", "nothing\n", '{"kind": "core", "seed": 1, "options": {"no": 1}}\n'])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.script").write_text(text)
    with pytest.raises(DecodeError):
        load(tmp_path / "a.script")
