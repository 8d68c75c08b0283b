"""`raftly kv` and `raftly ctl` with a cluster that talks over TLS alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raftly.cli.root import raftly
from raftly.loop_thread import LoopThread
from raftly.server.config import TlsSection
from raftly.server.process import Started
from tests.rpc.certificates import Authority
from tests.unit.server.test_tls import NAME, start


def invoke(*words: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(raftly, list(words), env=env)


class Cluster:
    """A placement driver and a store, with certificates of an authority; what a client of theirs types."""

    def __init__(self, directory: Path, authority: Authority, address: str) -> None:
        certificate, key = authority.issue("client")
        self.pd = ["--timeout", "20", "--pd", address]
        self.files = ["--tls-ca", str(authority.path), "--tls-cert", str(certificate), "--tls-key", str(key)]
        self.stranger = Authority(directory, "stranger")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("cluster")
    authority = Authority(directory, "authority")
    certificate, key = authority.issue("process", hosts=("localhost", NAME))
    section = TlsSection(str(authority.path), str(certificate), str(key), (NAME,))
    thread = LoopThread("tls-cluster")
    started: list[Started] = []

    async def begin() -> str:
        address, running = await start(directory, section, 1)
        started.extend(running)
        return address

    async def end() -> None:
        for one in reversed(started):
            await one.stop()

    try:
        yield Cluster(directory, authority, thread.run(begin()))
    finally:
        thread.stop(end())


def test_with_its_files_a_client_is_served(cluster: Cluster) -> None:
    put = invoke("kv", *cluster.pd, *cluster.files, "put", "k", "v")
    assert put.exit_code == 0, put.output
    names = ("RAFTLY_TLS_CA", "RAFTLY_TLS_CERT", "RAFTLY_TLS_KEY")
    env = dict(zip(names, cluster.files[1::2], strict=True))
    assert invoke("kv", *cluster.pd, "get", "k", env=env).stdout == "v\n"
    told = invoke("ctl", *cluster.pd, "store", env=env)
    assert told.exit_code == 0, (told.output, told.exception)
    assert told.stdout.splitlines()[1].split()[1] == "up"


def test_without_them_nobody_answers(cluster: Cluster, tmp_path: Path) -> None:
    quick = ["--timeout", "0.5", *cluster.pd[2:]]
    for files in ([], cluster.files[:2], ["--tls-ca", str(cluster.stranger.path), *cluster.files[2:]]):
        refused = invoke("kv", *quick, *files, "get", "k")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "no placement driver was found" in refused.stderr


def test_files_that_do_not_go_together_are_told(cluster: Cluster, tmp_path: Path) -> None:
    _, other = cluster.stranger.issue("other")
    wrong = invoke("ctl", *cluster.pd, *cluster.files[:4], "--tls-key", str(other), "store")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "tls does not load" in wrong.stderr
    half = invoke("ctl", *cluster.pd, *cluster.files[:4], "store")
    assert (half.exit_code, "--tls-cert and --tls-key are one file each" in half.stderr) == (2, True)
    missing = invoke("ctl", *cluster.pd, "--tls-ca", str(tmp_path / "none.pem"), "store")
    assert (missing.exit_code, "none.pem" in missing.stderr) == (2, True)
