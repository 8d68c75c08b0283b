"""What a transport tells its owner besides messages: events as they happen, and counts of all that did."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from raftly.base.types import NodeId

_log: Final = logging.getLogger("raftly.transport")


@final
@dataclass(frozen=True, slots=True)
class PeerConnected:
    """Messages can be sent to a node. `features` are those of both."""

    node_id: NodeId
    version: int
    features: int


@final
@dataclass(frozen=True, slots=True)
class PeerLost:
    """The connection to a node broke, or could not be made; the latter is told once a problem."""

    node_id: NodeId
    problem: str


@final
@dataclass(frozen=True, slots=True)
class IdentityRefused:
    """A node with a wrong identity: refused here, or when dialed. `node_id` is what it claims, or who was dialed."""

    node_id: NodeId
    reason: str  # a name of `handshake.Reason`
    problem: str
    here: bool


@final
@dataclass(frozen=True, slots=True)
class StrangerClosed:
    """A connection that came in was closed: garbage, too large, too slow, silent, or without TLS."""

    address: str
    problem: str


@final
@dataclass(frozen=True, slots=True)
class SnapshotReported:
    """A snapshot arrived, or did not (`problem` is not empty). Each that is given to the transport has one report."""

    node_id: NodeId
    group: int
    problem: str


TransportEvent: TypeAlias = PeerConnected | PeerLost | IdentityRefused | StrangerClosed | SnapshotReported


def log_event(event: TransportEvent) -> None:
    """What is done with events when the owner does nothing with them."""
    serious = isinstance(event, IdentityRefused) or (isinstance(event, SnapshotReported) and event.problem)
    _log.log(logging.WARNING if serious else logging.INFO, "%s", event)


@final
@dataclass(slots=True)
class TransportStats:
    """Counts since the start."""

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    batches_dropped: int = 0  # messages of one group to one node, lost here: no connection, or the queue was full
    connects: int = 0
    connects_failed: int = 0
    lost: int = 0  # connections to nodes that broke
    accepted: int = 0
    refused: int = 0  # handshakes, by us
    garbage: int = 0  # connections closed for bytes that are not what they should be
    timeouts: int = 0  # connections closed for silence or slowness
    turned_away: int = 0  # connections closed at once: there were too many
    tls_failures: int = 0
    events_suppressed: int = 0  # StrangerClosed that were not told, because too many came
    snapshots_sent: int = 0
    snapshots_taken: int = 0
    snapshots_failed: int = 0  # sent or taken
    clients: int = 0  # that are connected
    requests: int = 0  # of clients
    requests_excess: int = 0  # that were answered with Busy, since their client had too many in flight


@final
@dataclass(frozen=True, slots=True)
class PeerStatus:
    """How it stands with one node."""

    node_id: NodeId
    address: tuple[str, int]
    connected: bool
    queue_bytes: int
    rtt_s: float  # of the last ping; 0.0 when there was none
    problem: str  # of the last attempt; "" when connected
