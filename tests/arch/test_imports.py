"""Inner layers never import outer ones, and only the edges act. The rules are in `layers.py`."""

import subprocess
import sys

import pytest

from tests.arch.layers import LAYERS, Finding, check_imports, modules, parse


def _problems(name: str, source: str, *, is_package: bool = False) -> list[Finding]:
    return list(check_imports(parse(name, source, is_package=is_package)))


def test_every_import_keeps_to_its_layer() -> None:
    findings = [str(finding) for module in modules() for finding in check_imports(module)]
    assert not findings, "\n".join(findings)


def test_the_rules_see_the_sources() -> None:
    assert {"", "errors", "base.types", "cli.root"} <= {module.name for module in modules()}


@pytest.mark.parametrize(
    "name,source",
    [
        ("base.types", "import raftly.core.log"),
        ("base.types", "from raftly import core"),
        ("base.types", "import random"),
        ("errors", "from raftly.base import types"),
        ("core.raft", "from raftly.storage.wal import Wal"),
        ("core.raft", "import logging"),
        ("core.raft", "from time import monotonic"),
        ("core.raft", "import struct"),
        ("core.raft", "from raftly import RawNode"),
        ("core.raft", "import raftly"),
        ("core.raft", "def f():\n    import socket"),
        ("core.raft", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from raftly.node import driver"),
        ("core.raft", "from ..storage import wal"),
        ("core.raft", "from .. import testing"),
        ("core.raft", "import hpack"),
        ("storage.wal", "from raftly.core.log import RaftLog"),
        ("storage.wal", "import pickle"),
        ("transport.codec", "from raftly.core.raft import Raft"),
        ("transport.codec", "from raftly.core import log"),
        ("node.driver", "import raftly.testing.loop"),
        ("node.driver", "import rich"),
        ("txn.scheduler", "from raftly.store import router"),
        ("rpc.server", "import grpc"),
        ("server.kv", "import raftly.cli"),
        ("testing.golden", "from raftly.cli.root import raftly"),
        ("demo.five_nodes", "from raftly.testing import network"),
        ("stray.module", "import sys"),
    ],
)
def test_a_planted_import_is_found(name: str, source: str) -> None:
    assert len(_problems(name, source)) == 1


def test_a_relative_import_of_a_package_is_resolved() -> None:
    assert _problems("core", "from . import raft", is_package=True) == []
    assert len(_problems("core", "from ..node import driver", is_package=True)) == 1


@pytest.mark.parametrize(
    "name,source",
    [
        ("base.codec", "import zlib\nfrom raftly.errors import DecodeError"),
        ("core.raft", "from collections import deque\nfrom raftly.base.types import Term\nfrom raftly.core import log"),
        ("core.raft", "from . import log\nfrom ..base import types\nfrom ..errors import NotLeader"),
        ("transport.codec", "from raftly.core.messages import MsgApp\nfrom raftly.core import messages"),
        ("node.driver", "import asyncio\nfrom raftly.core.raw_node import RawNode"),
        ("rpc.server", "import hpack\nimport asyncio"),
        ("testing.golden", "import raftly.server.kv\nimport random"),
        ("cli.demo", "import click\nimport raftly\nfrom raftly import RawNode\nimport raftly.testing.golden"),
    ],
)
def test_what_is_allowed_is_not_found(name: str, source: str) -> None:
    assert _problems(name, source) == []


def test_no_inner_layer_may_import_an_outer_one_by_another_way() -> None:
    """LAYERS itself has no cycle: following it from any layer never comes back."""
    for layer in LAYERS:
        seen: set[str] = set()
        queue = [layer]
        while queue:
            inner = {name.partition(".")[0] for name in LAYERS[queue.pop()]}
            queue += inner - seen
            seen |= inner
        assert layer not in seen


def test_importing_raftly_opens_and_starts_nothing() -> None:
    """No event loop, socket, logger or random source is even loaded by importing the library's core."""
    acting = "{'asyncio', 'logging', 'multiprocessing', 'random', 'socket', 'ssl', 'subprocess'}"
    program = f"import sys, raftly, raftly.base, raftly.core; print(sorted({acting} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
