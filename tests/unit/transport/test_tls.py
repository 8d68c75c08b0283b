"""TLS between nodes, on real sockets: whose certificate it is, and what happens when it changes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from raftly.base.types import NodeId, Snapshot
from raftly.core.messages import MsgSnap
from raftly.errors import ConfigError
from raftly.transport.events import IdentityRefused, PeerConnected, PeerLost, SnapshotReported, StrangerClosed
from raftly.transport.options import TcpOptions
from raftly.transport.tls import PeerTls
from tests.unit.transport.certificates import Authority
from tests.unit.transport.nodes import Node, close


def names(node: NodeId) -> set[str]:
    return {f"n{node}.test", f"spiffe://raft/{node}"}


def real(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on a real loop; nothing here may take long."""
    asyncio.run(asyncio.wait_for(main(), 30))


def options(authority: Authority, files: tuple[Path, Path], **change: Any) -> TcpOptions:
    return TcpOptions(tls=PeerTls(*files, authority.path, names), **change)


@pytest.fixture(name="authority")
def make_authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def start_pair(one: TcpOptions, two: TcpOptions) -> tuple[Node, Node]:
    """Node 1, whom nobody dials, dials node 2."""
    second = await Node(2, 0, {}, options=two).start()
    first = Node(1, 0, {}, options=one)
    first.transport.set_address(2, second.transport.address)
    return await first.start(), second


def test_nodes_talk_with_certificates_of_their_names(authority: Authority) -> None:
    async def main() -> None:
        one, two = await start_pair(
            options(authority, authority.issue("one", "spiffe://raft/1")),
            options(authority, authority.issue("two", "other.test", "n2.test"), allow_plaintext=False),
        )
        one.beat(2, 4)
        await two.until(lambda n: n.commits == [4])
        one.append(2, 3 << 20)
        one.transport.send(2, [(1, [MsgSnap(2, 1, 1, Snapshot(data=bytes(2 << 20)))])])
        await one.until(lambda n: n.told(SnapshotReported))
        assert one.told(SnapshotReported)[0].problem == ""
        assert len(two.received) == 3
        await close(one, two)

    real(main)


def test_tls_may_be_anywhere(authority: Authority) -> None:
    with_tls = options(authority, authority.issue("one", "n1.test"))
    Node(1, 0, {}, options=with_tls).transport.set_address(2, ("two.example", 4000))


@pytest.mark.parametrize("which", ["expired", "foreign", "client only"])
def test_a_certificate_that_does_not_verify_is_no_connection(authority: Authority, tmp_path: Path, which: str) -> None:
    def bad(file: str, name: str, usage: Any) -> TcpOptions:
        if which == "expired":
            return options(authority, authority.issue(file, name, expired=True))
        if which == "foreign":
            return options(authority, Authority(tmp_path, "foreign").issue(file, name))
        return options(authority, authority.issue(file, name, usage=(usage,)))

    async def main() -> None:
        good = options(authority, authority.issue("good", "n1.test", "n2.test"))
        one, two = await start_pair(good, bad("two", "n2.test", ExtendedKeyUsageOID.CLIENT_AUTH))
        await one.until(lambda n: n.unreachable)
        assert one.told(PeerConnected) == []
        assert "certificate" in one.transport.peers()[0].problem.lower()
        await close(one, two)

        one, two = await start_pair(bad("one", "n1.test", ExtendedKeyUsageOID.SERVER_AUTH), good)
        await two.until(lambda n: n.told(StrangerClosed))
        await one.until(lambda n: n.unreachable)
        assert one.told(PeerConnected) == []
        assert two.transport.stats.tls_failures >= 1
        assert two.transport.incoming() == []
        await close(one, two)

    real(main)


@pytest.mark.parametrize("shown", [("n3.test",), ("*.test",), ()])
def test_a_certificate_of_another_node_is_refused_by_either_side(authority: Authority, shown: tuple[str, ...]) -> None:
    async def main() -> None:
        good = options(authority, authority.issue("good", "n1.test", "n2.test"))
        wrong = options(authority, authority.issue("wrong", *shown))  # its common name is n1.test, which counts nothing
        one, two = await start_pair(good, wrong)
        await one.until(lambda n: n.told(IdentityRefused))
        assert one.told(IdentityRefused)[0].reason == "CERTIFICATE"
        assert two.received == []
        await close(one, two)

        one, two = await start_pair(wrong, good)
        await one.until(lambda n: n.told(IdentityRefused))
        assert (one.told(IdentityRefused)[0].reason, one.told(IdentityRefused)[0].here) == ("CERTIFICATE", False)
        assert (two.told(IdentityRefused)[0].reason, two.told(IdentityRefused)[0].here) == ("CERTIFICATE", True)
        assert "not for node 1" in two.told(IdentityRefused)[0].problem
        await close(one, two)

    real(main)


def test_plaintext_to_a_tls_port_and_the_reverse(authority: Authority) -> None:
    async def main() -> None:
        secure = options(authority, authority.issue("both", "n1.test", "n2.test"))
        one, two = await start_pair(TcpOptions(), secure)
        await one.until(lambda n: n.unreachable)
        await two.until(lambda n: n.told(StrangerClosed))
        assert "TLS" in two.told(StrangerClosed)[0].problem
        await close(one, two)
        one, two = await start_pair(secure, TcpOptions())
        await one.until(lambda n: n.unreachable)
        await two.until(lambda n: n.told(StrangerClosed))
        assert two.transport.stats.garbage >= 1
        await close(one, two)

    real(main)


def test_an_old_version_of_tls_is_refused(authority: Authority) -> None:
    async def main() -> None:
        files = authority.issue("both", "n1.test", "n2.test")
        one = await Node(1, 0, {}, options=options(authority, files)).start()
        context = ssl.create_default_context(cafile=authority.path)
        context.check_hostname = False
        context.load_cert_chain(*files)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        loop = asyncio.get_running_loop()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await loop.create_connection(
                asyncio.Protocol, *one.transport.address, ssl=context, server_hostname="localhost"
            )
        await one.until(lambda n: n.told(StrangerClosed))
        await close(one)

    real(main)


def test_half_a_tls_handshake_is_timed_out_and_counted(authority: Authority) -> None:
    async def main() -> None:
        secure = options(authority, authority.issue("one", "n1.test"), handshake_s=0.05, pending_max=1)
        one = await Node(1, 0, {}, options=secure).start()
        gone = asyncio.Event()

        class Silent(asyncio.Protocol):
            def connection_lost(self, _error: Exception | None) -> None:
                gone.set()

        loop = asyncio.get_running_loop()
        first, _ = await loop.create_connection(Silent, *one.transport.address)
        await gone.wait()
        await one.until(lambda n: n.told(StrangerClosed))
        assert one.transport.stats.tls_failures == 1
        assert one.transport._acceptor is not None
        assert (one.transport._acceptor.pending, one.transport._acceptor.accepted) == (0, 0)
        first.close()
        await close(one)

    real(main)


def test_closing_ends_tls_handshakes(authority: Authority) -> None:
    async def main() -> None:
        one = await Node(1, 0, {}, options=options(authority, authority.issue("one", "n1.test"))).start()
        loop = asyncio.get_running_loop()
        gone = loop.create_future()

        class Silent(asyncio.Protocol):
            def connection_lost(self, _error: Exception | None) -> None:
                gone.set_result(None)

        await loop.create_connection(Silent, *one.transport.address)
        while not one.transport.stats.accepted:  # noqa: ASYNC110 - nothing is told of it
            await asyncio.sleep(0)
        await close(one)
        await gone

    real(main)


def test_a_changed_certificate_is_used_for_the_next_connection_and_breaks_none(authority: Authority) -> None:
    async def main() -> None:
        two_files = authority.issue("two", "n3.test")  # not node 2's yet
        two_options = options(authority, two_files)
        one, two = await start_pair(
            options(authority, authority.issue("one", "n1.test"), backoff_s_max=0.05), two_options
        )
        await one.until(lambda n: n.told(IdentityRefused))
        authority.issue("two", "n2.test")
        await one.until(lambda n: n.told(PeerConnected))
        assert two_options.tls is not None
        assert two_options.tls.reloads == 1
        lost = len(one.told(PeerLost))
        authority.issue("two", "n3.test")
        one.beat(2, 5)
        await two.until(lambda n: n.commits == [5])
        assert len(one.told(PeerLost)) == lost
        await close(one, two)

    real(main)


def test_a_new_authority_replaces_the_old_one(authority: Authority, tmp_path: Path) -> None:
    async def main() -> None:
        old = authority.issue("one", "n1.test")
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(authority.path.read_bytes())
        two_options = TcpOptions(tls=PeerTls(*authority.issue("two", "n2.test"), bundle, names))
        next_authority = Authority(tmp_path, "next")
        bundle.write_bytes(next_authority.path.read_bytes())
        one, two = await start_pair(options(authority, old), two_options)
        await two.until(lambda n: n.told(StrangerClosed))
        assert one.told(PeerConnected) == []
        await close(one, two)

    real(main)


def test_files_that_do_not_load_change_nothing(authority: Authority) -> None:
    certificate, key = authority.issue("one", "n1.test")
    tls = PeerTls(certificate, key, authority.path, names)
    before = tls.server_context(), tls.client_context()
    good = key.read_bytes()
    key.write_bytes(b"half a key")
    assert (tls.server_context(), tls.client_context()) == before
    assert tls.reload_problem
    key.unlink()
    assert tls.server_context() is before[0]
    key.write_bytes(good)
    assert tls.server_context() is not before[0]
    assert (tls.reload_problem, tls.reloads) == ("", 1)


def test_files_that_never_loaded_are_a_config_error(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("one", "n1.test")
    with pytest.raises(ConfigError, match="tls"):
        PeerTls(certificate, tmp_path / "none", authority.path, names)
    _, other_key = authority.issue("other", "n1.test")
    with pytest.raises(ConfigError, match="tls"):
        PeerTls(certificate, other_key, authority.path, names)
    assert PeerTls(certificate, key, authority.path, names).find_problem(1, None)
