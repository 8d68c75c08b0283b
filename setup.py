"""Builds with mypyc, where that can be done, `base`, `core` and what else runs for each message, entry and call.

Elsewhere they stay plain. That form is complete, so nothing that goes wrong here may fail an installation; it is said
aloud instead.

    RAFTLY_PURE=1       never compile
    RAFTLY_COMPILED=1   fail unless everything was compiled (our own builds, so that no fall-back passes unseen)
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

COMPILED = (
    "base/**/*.py",
    "core/**/*.py",
    "engine/base.py",
    "engine/size_estimate.py",
    "node/commands.py",
    "node/driver.py",
    "node/eager.py",
    "node/gathered.py",
    "node/group.py",
    "node/histogram.py",
    "node/intake.py",
    "node/machine.py",
    "node/telling.py",
    "node/values.py",
    "node/waiting.py",
    "rpc/bound.py",
    "rpc/client_call.py",
    "rpc/client_connection.py",
    "rpc/deadlines.py",
    "rpc/driver.py",
    "rpc/grpc/**/*.py",
    "rpc/h2/**/*.py",
    "rpc/inbox.py",
    "rpc/later.py",
    "rpc/limits.py",
    "rpc/refusal.py",
    "rpc/server_call.py",
    "rpc/server_connection.py",
    "server/batch_commands.py",
    "server/commands.py",
    "server/contexts.py",
    "server/raw.py",
    "server/ttl.py",
    "storage/group_log.py",
    "storage/items.py",
    "storage/log_store.py",
    "storage/places.py",
    "storage/segment.py",
    "storage/wal.py",
    "store/apply.py",
    "store/brake.py",
    "store/checks.py",
    "store/command.py",
    "store/keys.py",
    "store/kv.py",
    "store/ops.py",
    "store/peer.py",
    "store/reader.py",
    "store/region_state.py",
    "store/regions.py",
    "store/shared.py",
    "store/store.py",
    "transport/codec.py",
    "transport/frame.py",
    "transport/groups.py",
    "transport/send_queue.py",
)
BUILDING = {"bdist_wheel", "build", "build_ext", "develop", "editable_wheel", "install"}


class PlainPythonError(Exception):
    """Why the compiled form cannot be built here."""


def fall_back(reason: object) -> None:
    """Say that the plain form is used, or stop when the compiled one was demanded."""
    if os.environ.get("RAFTLY_COMPILED") == "1":
        sys.exit(f"raftly: RAFTLY_COMPILED=1, but the core cannot be compiled: {reason}")
    print(f"raftly: installing plain Python, slower but complete: {reason}", file=sys.stderr)


def check_compiler() -> None:
    """Build one empty extension module.

    Raises:
        PlainPythonError: there is no C compiler, or no headers of Python's, or they do not work together.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return NULL; }\n", encoding="ascii")
        command = build_ext(Distribution({"ext_modules": [Extension("probe", [str(source)])]}))
        command.build_temp = command.build_lib = folder
        command.ensure_finalized()
        try:
            command.run()
        except Exception as error:
            raise PlainPythonError(f"no working C compiler with Python's headers ({error})") from error


def compiled_modules() -> list[Extension]:
    """The extension modules of the compiled packages, their C written to `build/`.

    Raises:
        PlainPythonError: they were not wanted, or cannot be made here.
    """
    if os.environ.get("RAFTLY_PURE") == "1":
        raise PlainPythonError("RAFTLY_PURE=1")
    check_compiler()
    try:
        from mypyc.build import mypycify  # noqa: PLC0415 - it may be absent
    except ImportError as error:
        raise PlainPythonError("mypyc is not installed (it comes with mypy)") from error
    paths = sorted(str(path) for pattern in COMPILED for path in Path("src/raftly").glob(pattern))
    try:
        # One C file for each module: one for all of them takes a C compiler more than twice as long.
        modules: list[Extension] = mypycify(paths, group_name="raftly", multi_file=True)
    except SystemExit as error:
        raise PlainPythonError(f"mypyc refused the sources (exit {error.code}), see above") from error
    return modules


class TolerantBuildExt(build_ext):  # type: ignore[misc]  # setuptools ships no types
    """Compiles all or nothing: a failing C compiler leaves the plain modules to do the work."""

    def build_extension(self, extension: Extension) -> None:
        """Build one extension module, its C files side by side."""
        one_by_one = self.compiler.compile

        def side_by_side(sources: list[str], **options: object) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return [
                    item
                    for items in pool.map(lambda source: one_by_one([source], **options), sources)
                    for item in items
                ]

        self.compiler.compile = side_by_side
        try:
            super().build_extension(extension)
        finally:
            self.compiler.compile = one_by_one

    def run(self) -> None:
        """Build; on failure remove what was built, say so and go on."""
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - whatever a compiler does, the plain form still installs
            for output in self.get_outputs():
                Path(output).unlink(missing_ok=True)
            self.extensions: list[Extension] = []
            fall_back(error)
        wanted = {Path(output).resolve() for output in self.get_outputs()}
        for path in Path(self.build_lib).rglob("*.so"):
            if path.resolve() not in wanted:  # of a module that is gone; a wheel would take it along
                path.unlink()


extensions: list[Extension] = []
if BUILDING.intersection(sys.argv):
    try:
        extensions = compiled_modules()
    except PlainPythonError as why:
        fall_back(why)
setup(ext_modules=extensions, cmdclass={"build_ext": TolerantBuildExt})
