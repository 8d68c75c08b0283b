"""Write echo_pb2.py, echo_pb2.pyi and echo_rpc.py again, from the root of the repository."""

import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PROTO = "tests/rpc/protos/echo.proto"


def regenerate(out: str = ".") -> None:
    with TemporaryDirectory() as directory:
        plugin = Path(directory) / "protoc-gen-raftly"
        plugin.write_text(f"#!/bin/sh\nexec {sys.executable} -m raftly.rpc.codegen\n")
        plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)
        plugins = [f"--plugin=protoc-gen-raftly={plugin}", f"--raftly_out={out}"]
        command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", *plugins]
        subprocess.run([*command, f"--python_out={out}", f"--pyi_out={out}", PROTO], check=True)
    stubs = Path(out) / "tests/rpc/protos/echo_pb2.pyi"
    stubs.write_text('# mypy: disable-error-code="type-arg"\n' + stubs.read_text())
    for path in Path(out, "tests/rpc/protos").glob("echo_rpc.py"):
        for arguments in (["check", "--quiet", "--select", "I", "--fix"], ["format", "--quiet"]):
            subprocess.run([sys.executable, "-m", "ruff", *arguments, str(path)], check=False)


if __name__ == "__main__":
    regenerate()
