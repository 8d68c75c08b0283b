"""The Python in README.md and docs/ runs. The snippets of a page share one namespace, in the order of reading."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.snippets import Snippet, snippets

ROOT = Path(__file__).parents[2]
FENCES = """# Title
```python
a = 1
```
```sh
make
```
<!-- fragment: the class is above -->
```python
b = a +
```
  ```python
  if a:
    c = 2
  ```
"""
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_runs(page: Path, tmp_path: Path) -> None:
    """In a process of its own and an empty folder, so that a page needs what its reader has, and leaves nothing."""
    parts = [snippet for snippet in snippets(page.read_text("utf-8")) if snippet.fragment is None]
    if not parts:
        return
    program = ""
    for part in parts:  # each line at its own number, so that a failure names the line of the page
        program += "\n" * (part.line - program.count("\n")) + part.code
    script = tmp_path / page.with_suffix(".py").name
    script.write_text(program, "utf-8")
    command = [sys.executable, "-W", "error", str(script)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, f"{page}:\n{ran.stdout}{ran.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_fragment_says_why_it_is_one(page: Path) -> None:
    assert "" not in [snippet.fragment for snippet in snippets(page.read_text("utf-8"))]


def test_fences_are_read() -> None:
    assert snippets(FENCES) == [
        Snippet(2, "a = 1\n", None),
        Snippet(9, "b = a +\n", "the class is above"),
        Snippet(12, "if a:\n  c = 2\n", None),
    ]
