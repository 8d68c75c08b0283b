"""What a function of a test module gives in processes of their own, each under another hash seed.

    digests_elsewhere("tests.sim.test_determinism", "digests")        a list of words for each process

The function takes nothing and gives words. All processes run at once, on the form of raftly that runs here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import raftly

_ROOT: Final = Path(__file__).parents[2]
_HASH_SEEDS: Final = ("0", "4711")


def digests_elsewhere(module: str, function: str) -> list[list[str]]:
    """See the module; one list for each of two hash seeds."""
    package = Path(raftly.__file__).parents[1]
    path = os.pathsep.join(map(str, (package, _ROOT)))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", f"from {module} import {function}; print(*{function}())"],
            env=os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": path},
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for hash_seed in _HASH_SEEDS
    ]
    told = [process.communicate() for process in running]
    for process, (_, errors) in zip(running, told, strict=True):
        assert process.returncode == 0, errors
    return [words.split() for words, _ in told]
