"""A cluster over TLS, from its configuration: who shows a right certificate is served, and nobody else."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from raftly.base.region import PeerRole
from raftly.client import ClientOptions, RawClient
from raftly.client.channels import split_address
from raftly.client.pd import PdClient
from raftly.errors import ConfigError, RaftlyError
from raftly.rpc import ClientTls
from raftly.server.config import (
    PdConfig,
    RegionSection,
    ScheduleSection,
    ServerSection,
    StorageSection,
    StoreConfig,
    TlsSection,
)
from raftly.server.pd_wiring import start_pd
from raftly.server.process import Started
from raftly.server.wiring import server_tls, start_store
from raftly.testing.processes import free_ports
from tests.rpc.certificates import Authority
from tests.unit.server.parts import run

FREE = "127.0.0.1:0"
NAME = "raftly.test"


class Certificates:
    """An authority of the cluster's, and what it issued to its processes and to clients."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory, "authority")
        self.stranger = Authority(directory, "stranger")
        certificate, key = self.authority.issue("process", hosts=("localhost", NAME))
        self.section = TlsSection(str(self.authority.path), str(certificate), str(key), (NAME,))

    def client(self) -> ClientTls:
        return ClientTls(self.authority.path, *self.authority.issue("client"))


async def start(directory: Path, tls: TlsSection, stores: int) -> tuple[str, list[Started]]:
    """A placement driver and some stores; where the former is."""
    pd = await start_pd(
        PdConfig(
            data_dir=str(directory / "pd"),
            address=FREE,
            peer_address=FREE,
            schedule=ScheduleSection(max_replicas=stores),
            tls=tls,
        )
    )
    started = [pd]
    for number in range(stores):
        config = StoreConfig(
            data_dir=str(directory / f"store-{number}"),
            pd=(pd.addresses["address"],),
            address=FREE,
            peer_address=FREE,
            status_address="",
            region=RegionSection(heartbeat=0.2, store_heartbeat=0.2),
            storage=StorageSection(engine="memory"),
            server=ServerSection(drain=2.0),
            tls=tls,
        )
        started.append(await start_store(config))
    return pd.addresses["address"], started


async def is_refused(address: str, certificate: tuple[Path, Path] | None, *, plain: bool = False) -> bool:
    """Is a connection closed before it brings anything? Nothing that it is asked with makes sense otherwise."""
    context = None
    if not plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        if certificate is not None:
            context.load_cert_chain(*certificate)
    try:
        reader, writer = await asyncio.open_connection(*split_address(address), ssl=context)
        try:
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0)))
            return await reader.read(1) == b""
        finally:
            writer.transport.abort()
    except OSError:  # ssl.SSLError is one
        return True


def test_a_cluster_over_tls_serves_those_who_show_a_right_certificate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        certificates = Certificates(tmp_path)
        pd_address, started = await start(tmp_path, certificates.section, 2)
        try:
            options = ClientOptions(tls=certificates.client(), timeout_s=60.0)
            async with await RawClient.connect([pd_address], options) as client:
                await client.put(b"k", b"v")
                while True:  # the second replica comes over the stores' own port
                    (placed,) = await client.pd.scan_regions()
                    if [peer.role for peer in placed.region.peers] == [PeerRole.VOTER] * 2 and not placed.pending_peers:
                        break
                    await asyncio.sleep(0.05)
                await client.put(b"k", b"w")
                right = certificates.authority.issue("right")
                wrong = certificates.stranger.issue("wrong")
                clients = [pd_address, *(one.addresses["address"] for one in started[1:])]
                for address in clients:
                    assert not await is_refused(address, right)
                for address in [*clients, started[1].addresses["peer"]]:
                    assert await is_refused(address, wrong), "a certificate of another authority"
                    assert await is_refused(address, None), "no certificate"
                    assert await is_refused(address, None, plain=True), "plain text"
                assert await client.get(b"k") == b"w"
                assert not any(one.failed.done() for one in started)
        finally:
            for one in reversed(started):
                await one.stop()

    with caplog.at_level("INFO", "raftly"):
        run(scenario())
    assert "handshake" in caplog.text


def test_a_member_joins_over_tls(tmp_path: Path) -> None:
    """It asks those that are there as a client does, and shows what the members show."""

    async def scenario() -> None:
        certificates = Certificates(tmp_path)
        first = PdConfig(data_dir=str(tmp_path / "1"), address=FREE, peer_address=FREE, tls=certificates.section)
        peer = f"127.0.0.1:{free_ports(1)[0]}"
        one = await start_pd(replace(first, peer_address=peer))
        two = await start_pd(replace(first, id=2, data_dir=str(tmp_path / "2"), join=True, members={"1": peer}))
        client = PdClient([one.addresses["address"]], tls=certificates.client())
        try:
            while len((known := await client.members()).members) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            urls = [url for member in known.members for url in (*member.client_urls, *member.peer_urls)]
            assert len(urls) == 4
            assert all(url.startswith("https://") for url in urls)
        finally:
            await client.close()
            await two.stop()
            await one.stop()

    run(scenario())


@pytest.mark.parametrize("missing", ["authorities", "certificate", "key"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    section = Certificates(tmp_path).section
    Path(getattr(section, missing)).unlink()
    with pytest.raises(ConfigError, match=rf"tls\.{missing}.*No such file"):
        server_tls(section)


def test_a_key_that_is_not_of_the_certificate_is_told(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    _, other = certificates.authority.issue("other")
    Path(certificates.section.key).write_bytes(other.read_bytes())

    async def scenario() -> None:
        with pytest.raises(RaftlyError, match="does not load"):
            await start(tmp_path, certificates.section, 1)

    run(scenario())
