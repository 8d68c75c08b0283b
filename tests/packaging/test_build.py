"""A build compiles all or nothing, never fails for want of a compiler, and says which it did.

Each test builds a package of two small modules with the real `setup.py`, in a folder of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HAS_COMPILER = shutil.which(os.environ.get("CC", "cc")) is not None
needs_compiler = pytest.mark.skipif(not HAS_COMPILER, reason="there is no C compiler here")
REFUSING = """#!/bin/sh
case "$*" in *__native*) exit 1 ;; esac
exec cc "$@"
"""  # a compiler that works until it meets the generated C


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    for module in ("__init__", "base/__init__", "base/types", "core/__init__", "core/log"):
        path = tmp_path / "src" / "raftly" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("def next_index(index: int) -> int:\n    return index + 1\n")
    return tmp_path


def build(project: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RAFTLY_", "PYTHON"))}
    command = [sys.executable, "setup.py", "-q", "build", "--build-lib", "lib"]
    return subprocess.run(
        command, cwd=project, env=inherited | environment, capture_output=True, text=True, check=False
    )


def built(project: Path, suffix: str) -> list[str]:
    found = (path.relative_to(project / "lib").as_posix() for path in (project / "lib").rglob(f"*{suffix}"))
    return sorted(name.partition(".")[0] for name in found)


PLAIN = ["raftly/__init__", "raftly/base/__init__", "raftly/base/types", "raftly/core/__init__", "raftly/core/log"]
COMPILED = [*PLAIN[1:], "raftly__mypyc"]


@pytest.mark.parametrize(
    "environment,reason",
    [({"RAFTLY_PURE": "1"}, "RAFTLY_PURE=1"), ({"CC": "/no/such/compiler"}, "no working C compiler")],
)
def test_without_a_compiler_it_is_plain_and_says_so(project: Path, environment: dict[str, str], reason: str) -> None:
    ran = build(project, **environment)
    assert ran.returncode == 0, ran.stderr
    assert f"installing plain Python, slower but complete: {reason}" in ran.stderr
    assert (built(project, ".py"), built(project, ".so")) == (PLAIN, [])


@needs_compiler
def test_a_compiler_that_fails_midway_leaves_the_plain_form(project: Path) -> None:
    compiler = project / "refusing-cc"
    compiler.write_text(REFUSING)
    compiler.chmod(0o755)
    ran = build(project, CC=str(compiler))
    assert ran.returncode == 0, ran.stderr
    assert "installing plain Python" in ran.stderr
    assert (built(project, ".py"), built(project, ".so")) == (PLAIN, [])


@needs_compiler
def test_sources_that_mypyc_refuses_leave_the_plain_form(project: Path) -> None:
    (project / "src/raftly/core/log.py").write_text("first: int = 'one'\n")
    ran = build(project)
    assert ran.returncode == 0, ran.stderr
    assert "mypyc refused the sources" in ran.stderr
    assert (built(project, ".py"), built(project, ".so")) == (PLAIN, [])


def test_when_the_compiled_form_is_demanded_nothing_less_is_built(project: Path) -> None:
    ran = build(project, CC="/no/such/compiler", RAFTLY_COMPILED="1")
    assert ran.returncode != 0
    assert "the core cannot be compiled: no working C compiler" in ran.stderr


@needs_compiler
def test_every_module_of_base_and_core_is_compiled_and_gone_ones_go(project: Path) -> None:
    assert build(project, RAFTLY_COMPILED="1").returncode == 0
    assert built(project, ".so") == COMPILED
    (project / "src/raftly/core/log.py").unlink()
    assert build(project, RAFTLY_COMPILED="1").returncode == 0
    assert built(project, ".so") == [name for name in COMPILED if name != "raftly/core/log"]
