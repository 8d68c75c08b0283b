"""TLS for both sides: TLS 1.2 or later, ALPN `h2`, mutual when asked, certificates that may change while we run.

A server looks at its files when a connection comes in and loads them again when they changed; connections that are up
keep the certificate they began with. Files that do not load (half written, key and certificate not yet a pair) change
nothing: the last good ones stay in use and the problem is logged once.
"""

from __future__ import annotations

import logging
import ssl
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from raftly.errors import ConfigError

__all__ = ["ClientTls", "ServerTls"]

_log: Final = logging.getLogger("raftly.rpc")
_ALPN: Final = ["h2"]
_Signature = tuple[tuple[int, int, int], ...]


class _Files(ABC):
    """PEM files and the context made of them, made again when they change."""

    def __init__(self, certificate: Path | None, key: Path | None, authorities: Path | None) -> None:
        self.certificate = certificate
        self.key = key
        self.authorities = authorities
        self._context: ssl.SSLContext | None = None
        self._signature: _Signature = ()
        self._refused: _Signature = ()  # a change that did not load, told once

    def context(self) -> ssl.SSLContext:
        """The context for the next handshake. Raises ConfigError when there never was one that loads."""
        try:
            signature = self._read_signature()
            if self._context is None or signature != self._signature:
                self._context = self._load()
                self._signature = signature
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            if self._context is None:
                raise ConfigError("tls", f"does not load: {error}") from error
            refused = self._signature_or_empty()
            if refused != self._refused:
                self._refused = refused
                _log.warning("changed TLS files do not load, the old ones stay in use: %s", error)
        return self._context

    def _read_signature(self) -> _Signature:
        stats = [path.stat() for path in (self.certificate, self.key, self.authorities) if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _signature_or_empty(self) -> _Signature:
        try:
            return self._read_signature()
        except OSError:
            return ((0, 0, 0),)

    @abstractmethod
    def _load(self) -> ssl.SSLContext:
        """A context from the files as they are now. Raises OSError or ValueError."""


class ServerTls(_Files):
    """A server's certificate and key. With `authorities` a client must show a certificate that they signed."""

    def __init__(self, certificate: Path, key: Path, authorities: Path | None = None) -> None:
        super().__init__(certificate, key, authorities)

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_alpn_protocols(_ALPN)
        assert self.certificate is not None
        context.load_cert_chain(self.certificate, self.key)
        if self.authorities is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.authorities)
        return context


class ClientTls(_Files):
    """Whom a client trusts (None: the system's authorities), and the certificate it shows, if any.

    The server's name is always checked.
    """

    def __init__(
        self, authorities: Path | None = None, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        super().__init__(certificate, key, authorities)

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.authorities)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(_ALPN)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context
