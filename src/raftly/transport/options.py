"""What can be set about a TcpTransport, with its bounds, and what counts as loopback."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields
from typing import Final, TypeAlias, final

from raftly.base.limits import FRAME_BYTES_MAX
from raftly.errors import ConfigError
from raftly.transport.tls import PeerTls

_FLAGS: Final = {"tls", "allow_plaintext", "bind_senders", "write_at_once"}

Address: TypeAlias = tuple[str, int]
"""Host, a name or a number, and port."""


@final
@dataclass(frozen=True, slots=True)
class TcpOptions:
    """Seconds and bytes. A wrong value is a ConfigError."""

    tls: PeerTls | None = None
    allow_plaintext: bool = False
    """Without TLS, may the port or a peer be anywhere but on loopback?"""
    bind_senders: bool = True
    """Must each message be from the node at the other end? Off where messages name peers of a store, not nodes."""
    write_at_once: bool = False
    """Write in `send` itself, not once a turn of the loop: for a driver that sends once a turn anyway.

    It saves a turn of the loop, much of what a small frame costs; a second `send` in a turn is a second write."""
    connect_s: float = 5.0
    """A connection that is dialed: name, TCP, TLS and handshake together."""
    handshake_s: float = 5.0
    """A connection that came in: from TCP to the hello, and TLS before that."""
    backoff_s_min: float = 0.05
    backoff_s_max: float = 2.0
    ping_s: float = 1.0
    """Between the answer to a ping and the next ping."""
    dead_s: float = 5.0
    """Without an answer, and without a byte more going out, for this long: the connection is cut."""
    contest_s: float = 1.0
    """How long a node that is connected has to show that it lives when another comes with its id."""
    frame_s_max: float = 30.0
    """A frame that began must be whole by then."""
    close_s: float = 1.0
    """How long `close` waits for what has been sent to leave."""
    queue_bytes_max: int = 32 << 20
    """What may wait for a peer that reads slowly; what comes then is dropped."""
    pending_max: int = 128
    """Connections that came in and have not shaken hands; more are closed at once."""
    connections_max: int = 1024
    """Connections that came in."""
    clients_max: int = 512
    """Of these, clients; more are told that this node is busy."""
    client_frame_bytes_max: int = 16 << 20
    """Of a frame from or to a client, so no request and no response is larger. The same on both sides."""
    client_in_flight_max: int = 1024
    """Requests of one client that are not answered; more are answered with Busy at once."""
    client_bytes_max: int = 64 << 20
    """Bytes of those, and bytes of responses that a client does not read before it is cut."""
    chunk_bytes: int = 256 << 10
    """Of a snapshot."""
    window_bytes: int = 1 << 20
    """Of a snapshot, on the way and not yet taken."""
    transfer_stall_s: float = 30.0
    """A snapshot that does not move for this long has failed."""
    transfers_max: int = 16
    """Snapshots that wait for one peer, and those that come in from all of them at a time."""
    transfer_attempts: int = 3
    """Connections for a snapshot, one after the other, that may break without having moved it."""

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ConfigError: a value is out of range.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in _FLAGS and not value > 0:
                raise ConfigError(field.name, f"is {value}, it must be more than 0")
        if self.backoff_s_max < self.backoff_s_min:
            raise ConfigError("backoff_s_max", "must not be less than backoff_s_min")
        if not self.client_frame_bytes_max <= FRAME_BYTES_MAX:
            raise ConfigError("client_frame_bytes_max", f"must be at most {FRAME_BYTES_MAX}")
        if not self.chunk_bytes <= self.window_bytes <= FRAME_BYTES_MAX:
            raise ConfigError("window_bytes", f"must be in [chunk_bytes, {FRAME_BYTES_MAX}]")

    def check_address(self, what: str, address: Address) -> None:
        """May this be listened on, or dialed?

        Raises:
            ConfigError: not without TLS, or not a port.
        """
        host, port = address
        if not 0 <= port < 1 << 16:
            raise ConfigError(what, f"has port {port}, which must be in [0, 65535]")
        if self.tls is None and not self.allow_plaintext and not is_loopback(host):
            raise ConfigError(what, f"is {host}, not loopback: set tls, or allow_plaintext if the network is trusted")


def is_loopback(host: str) -> bool:
    """Is it sure, without asking anybody, that the host is this machine and reached from nowhere else?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
