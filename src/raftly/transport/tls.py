"""Mutual TLS between nodes: TLS 1.3, certificates of our own authority, bound to node ids, changed while we run.

The files are looked at when a connection begins and loaded again when they changed; connections that are up keep what
they began with. Files that do not load (half written, or key and certificate not a pair yet) change nothing.

Who a certificate speaks for: one of its subject alternative names (DNS or URI, compared whole) must be among those that
`names` allows the node. The address plays no part, so a node may move without a new certificate.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, final

from raftly.base.types import NodeId
from raftly.errors import ConfigError

_Signature = tuple[tuple[int, int, int], ...]


@final
class PeerTls:
    """A certificate, its key and authorities (PEM files), and the names that each node's certificate may carry.

    A node's certificate must be good for servers and clients both. `clients` are the names that certificates of callers
    who are no nodes may carry: without any, none is let in.
    """

    __slots__ = ("_client", "_paths", "_server", "_signature", "clients", "names", "reload_problem", "reloads")

    def __init__(
        self,
        certificate: Path,
        key: Path,
        authorities: Path,
        names: Callable[[NodeId], Collection[str]],
        *,
        clients: Collection[str] = (),
    ) -> None:
        """Load the files.

        Raises:
            ConfigError: they do not load.
        """
        self.names = names
        self.clients = frozenset(clients)
        self.reloads = 0
        self.reload_problem = ""  # why the last change did not load; "" when it did
        self._paths = (certificate, key, authorities)
        try:
            self._signature = self._read_signature()
            self._server, self._client = self._load()
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigError("tls", f"does not load: {error}") from error

    def server_context(self) -> ssl.SSLContext:
        """For the next connection that comes in."""
        self._refresh()
        return self._server

    def client_context(self) -> ssl.SSLContext:
        """For the next connection that goes out."""
        self._refresh()
        return self._client

    def find_problem(self, node_id: NodeId, certificate: dict[str, Any] | None) -> str:
        """Why a verified certificate does not speak for a node; "" when it does."""
        return _find_problem(certificate, self.names(node_id), f"node {node_id}")

    def find_client_problem(self, certificate: dict[str, Any] | None) -> str:
        """Why a verified certificate is not that of a client; "" when it is."""
        return _find_problem(certificate, self.clients, "a client of this node")

    def _refresh(self) -> None:
        try:
            signature = self._read_signature()
            if signature == self._signature:
                return
            self._server, self._client = self._load()
        except (OSError, ValueError) as error:
            self.reload_problem = str(error)
            return
        self._signature = signature
        self.reload_problem = ""
        self.reloads += 1

    def _read_signature(self) -> _Signature:
        stats = [path.stat() for path in self._paths]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _load(self) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        return self._make(ssl.PROTOCOL_TLS_SERVER), self._make(ssl.PROTOCOL_TLS_CLIENT)

    def _make(self, side: ssl._SSLMethod) -> ssl.SSLContext:
        certificate, key, authorities = self._paths
        context = ssl.SSLContext(side)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # `find_problem` checks whose certificate it is
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authorities)
        return context


def _find_problem(certificate: dict[str, Any] | None, names: Collection[str], who: str) -> str:
    if not certificate:
        return "it showed no certificate"
    shown = {name for kind, name in certificate.get("subjectAltName", ()) if kind in ("DNS", "URI")}
    if shown.isdisjoint(names):
        return f"its certificate is for {', '.join(sorted(shown)) or 'nobody'}, not for {who}"
    return ""
