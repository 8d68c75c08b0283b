"""The command line: what it offers, what it says about itself, and what it says when its packages are missing."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from raftly.cli.form import core_form
from raftly.cli.root import GROUPS, LazyGroup, raftly
from raftly.errors import NotLeader


def test_help_lists_every_group_and_imports_none() -> None:
    program = (
        "import sys; from raftly.cli.root import raftly; raftly(['--help'], standalone_mode=False);"
        "print([name for name in sys.modules if name.startswith(('raftly.cli.', 'raftly.core', 'rich'))"
        " and name not in ('raftly.cli.root', 'raftly.cli.form')])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
    for name, (_, line) in GROUPS.items():
        assert f"{name}" in ran.stdout
        assert line in ran.stdout


@pytest.mark.parametrize("name", sorted(GROUPS))
def test_every_group_is_there(name: str) -> None:
    ran = CliRunner().invoke(raftly, [name, "--help"])
    assert ran.exit_code == 0, ran.output
    assert ran.output.startswith(f"Usage: raftly {name}")


def test_an_unknown_command_is_refused_with_a_sentence() -> None:
    ran = CliRunner().invoke(raftly, ["fly"])
    assert ran.exit_code == 2
    assert "No such command 'fly'" in ran.output


def test_version_tells_the_form_of_the_core() -> None:
    ran = CliRunner().invoke(raftly, ["--version"])
    assert ran.exit_code == 0
    assert f"core {core_form()}" in ran.output


def test_an_error_of_ours_is_one_sentence() -> None:
    @click.group(cls=LazyGroup, invoke_without_command=True)
    def failing() -> None:
        raise NotLeader(3)

    ran = CliRunner().invoke(failing, [])
    assert (ran.exit_code, ran.output) == (1, "Error: this node is not the leader; node 3 is\n")


@pytest.mark.parametrize(
    "missing,use",
    [
        ("click", ""),
        ("rich", "import raftly.cli.root as table; table.GROUPS['draw'] = ('rich:print', ''); sys.argv[1:] = ['draw']"),
    ],
)
def test_without_its_packages_it_says_what_to_install(missing: str, use: str) -> None:
    program = f"import sys, raftly.cli; sys.modules[{missing!r}] = None\n{use}\nraftly.cli.main()"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"the command line of raftly needs {missing}, which is not installed: pip install 'raftly[cli]'\n"
    )


def test_another_missing_module_is_a_bug_and_shows_its_trace() -> None:
    program = (
        "import raftly.cli.root as table; table.GROUPS['gone'] = ('raftly.cli.gone:gone', '')\n"
        "import sys, raftly.cli; sys.argv[1:] = ['gone']; raftly.cli.main()"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert "raftly.cli.gone" in ran.stderr
