"""Clusters for tests: stores, and regions that do what they are asked to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from raftly.base.heartbeats import RegionReport, StoreStats
from raftly.base.operators import ChangeKind, ChangePeers, MergeInto, Operator, SplitRegion, TransferLeader
from raftly.base.rand import SplitMix64
from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.pd.cluster import Cluster
from raftly.pd.config import ScheduleConfig

MIB = 1 << 20


def key(number: int) -> bytes:
    return number.to_bytes(4, "big")


def region(
    id_: int, lo: bytes, hi: bytes, stores: list[int], *, conf_ver: int = 1, version: int = 1, first_peer: int = 0
) -> Region:
    """A region whose peers' ids are 10,000 times its own and up."""
    first = first_peer or id_ * 10_000
    peers = tuple(Peer(first + n, store_id) for n, store_id in enumerate(stores))
    return Region(id_, lo, hi, RegionEpoch(conf_ver, version), peers)


def report(of: Region, leader: int | None = None, size: int = 10 * MIB, **changes: object) -> RegionReport:
    """Led by the peer on a store, the first one by default."""
    peer = of.peers[0] if leader is None else of.peer_on(leader)
    assert peer is not None
    made = RegionReport(of, peer, approximate_bytes=size)
    return replace(made, **changes)  # type: ignore[arg-type]


def cluster_of(stores: int | list[int], config: ScheduleConfig | None = None, **labels: list[str]) -> Cluster:
    """With stores that are up; labels are given by name, a value for each store."""
    cluster = Cluster(config or ScheduleConfig())
    ids = list(range(1, stores + 1)) if isinstance(stores, int) else stores
    for place, id_ in enumerate(ids):
        chosen = {name: values[place] for name, values in labels.items()}
        cluster.stores.put(StoreMeta(id_, f"s{id_}:1", labels=chosen), 0.0)
    return cluster


def hear(cluster: Cluster, now_s: float, *but: int) -> None:
    """All stores speak, but for some."""
    cluster.now_s = now_s
    for store in cluster.stores:
        if store.id not in but:
            cluster.stores.on_heartbeat(StoreStats(store.id), now_s)


def set_state(cluster: Cluster, store_id: int, state: StoreState) -> None:
    info = cluster.stores.get(store_id)
    assert info is not None
    info.meta = replace(info.meta, state=state)


@dataclass
class RunningRegion:
    """A region that runs: does what it is asked to, and reports."""

    region: Region
    leader: int  # peer id
    size: int = 10 * MIB
    pending: dict[int, int] = field(default_factory=dict)  # learners that lack data: reports until they have it
    dead: set[int] = field(default_factory=set)  # stores that do not answer

    def report(self) -> RegionReport:
        for peer_id in [peer_id for peer_id, left in self.pending.items() if left == 0]:
            del self.pending[peer_id]
        self.pending = {peer_id: left - 1 for peer_id, left in self.pending.items()}
        leader = self.region.peer(self.leader)
        assert leader is not None
        pending = tuple(peer for peer in self.region.peers if peer.id in self.pending)
        return RegionReport(self.region, leader, approximate_bytes=self.size, pending_peers=pending)

    def do(self, operator: Operator | None) -> None:
        if operator is None or operator.epoch != self.region.epoch:
            return
        step = operator.step
        if isinstance(step, TransferLeader):
            target = self.region.peer(step.peer.id)
            if target is not None and target.role is PeerRole.VOTER and target.store_id not in self.dead:
                self.leader = target.id
        elif isinstance(step, ChangePeers):
            self._change(step)
        else:
            assert isinstance(step, SplitRegion | MergeInto)

    def _change(self, step: ChangePeers) -> None:
        peers = {peer.id: peer for peer in self.region.peers}
        for change in step.changes:
            if change.kind is ChangeKind.REMOVE:
                assert len(peers) > 1
                assert change.peer.id != self.leader, "a leader hands over before it goes"
                peers.pop(change.peer.id, None)
            elif change.kind is ChangeKind.ADD_LEARNER:
                known = peers.get(change.peer.id)
                assert change.peer.id != self.leader, "a leader hands over before its vote is taken"
                peers[change.peer.id] = Peer(change.peer.id, change.peer.store_id, PeerRole.LEARNER)
                if known is None:
                    assert all(peer.store_id != change.peer.store_id for peer in self.region.peers)
                    self.pending[change.peer.id] = 2
            else:
                assert change.peer.id not in self.pending, "who lacks data gets no vote"
                peers[change.peer.id] = Peer(change.peer.id, change.peer.store_id)
        epoch = RegionEpoch(self.region.epoch.conf_ver + max(1, len(step.changes)), self.region.epoch.version)
        self.region = replace(self.region, peers=tuple(peers.values()), epoch=epoch)
        voters = [peer for peer in self.region.peers if peer.role is PeerRole.VOTER]
        assert voters
        if self.leader not in peers:
            self.leader = voters[0].id


def drawn(rand: SplitMix64, stores: int, regions: int, replicas: int = 3) -> list[RunningRegion]:
    """Regions side by side, their peers anywhere."""
    made: list[RunningRegion] = []
    for n in range(regions):
        held: list[int] = []
        while len(held) < replicas:
            store_id = 1 + rand.below(stores)
            if store_id not in held:
                held.append(store_id)
        lo, hi = key(n) if n else b"", key(n + 1) if n + 1 < regions else b""
        of = region(n + 1, lo, hi, held)
        made.append(RunningRegion(of, of.peers[rand.below(replicas)].id, MIB * (1 + rand.below(40))))
    return made
