"""Merging: what the commands of a merge do to the peers of a store, and who proposes them when.

The source's leader prepares; every store looks at its peers that merge, again and again (`Merges.look`): the one whose
target leads commits, one that has proof that it never will says so. What a command means is decided in `merge`.
`docs/design/0012-merge.md` says why any crash is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias, final

from raftly.base.membership import ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2
from raftly.base.region import Region, RegionId
from raftly.base.region_errors import EpochNotMatch, NotRegionLeader, ProposalInMergingMode, ServerIsBusy
from raftly.base.types import NO_LIMIT, NO_NODE, Entry, Index
from raftly.engine.base import CF_RAFT, WriteBatch
from raftly.errors import Compacted, Corruption, Unavailable
from raftly.store.command import (
    Commit,
    Prepare,
    Rollback,
    encode_change,
    encode_commit,
    encode_prepare,
    encode_rollback,
)
from raftly.store.keys import apply_state_key
from raftly.store.merge import (
    ENTRIES_BYTES_MAX,
    UNKNOWN_HEIR,
    Heir,
    Merging,
    is_refused,
    merged,
    prepared,
    problem_with_merge,
    problem_with_tail,
)
from raftly.store.messages import STORE_GROUP, Kind, StoreMessage, to_wire
from raftly.store.region_state import (
    MergeState,
    PeerState,
    RegionState,
    get_merge_state,
    get_region_state,
    put_merge_state,
    put_region_state,
)

if TYPE_CHECKING:
    from raftly.store.peer import RegionPeer
    from raftly.store.shared import Shared
    from raftly.transport.base import Transport

_CALL_S: Final = 5.0
_PATIENCE: Final = 10  # looks, before a merge that does not come further is helped
_Result: TypeAlias = "list[object]"


@final
class SourceMissing(Exception):
    """A commit came, and the source's peer is not here yet: a split that the engine lost will bring it."""

    def __init__(self, region_id: RegionId) -> None:
        self.region_id = region_id
        super().__init__()


# --- apply: inside a round ---


def apply_prepare(peer: RegionPeer, command: Prepare, index: Index) -> object:
    """The region is a source from now on."""
    region = peer.region
    epoch = region.epoch
    peer.log_floor = None  # from now on `merging` keeps the log, or nothing
    if (command.conf_ver, command.version) != (epoch.conf_ver, epoch.version):
        return EpochNotMatch((region,))
    if problem := problem_with_merge(region, command.target):
        return ServerIsBusy(problem)
    _become(peer, prepared(region), Merging(index, command.min_index, command.target))
    peer.shared.merges.prepared += 1
    return [peer.region]


def apply_rollback(peer: RegionPeer, command: Rollback) -> object:
    """The region is as it was, but for its version."""
    merging = peer.merging
    if merging is None or merging.index != command.index:
        return EpochNotMatch((peer.region,))
    _become(peer, prepared(peer.region), None)
    peer.shared.merges.rolled_back += 1
    return [peer.region]


def _become(peer: RegionPeer, region: Region, merging: Merging | None) -> None:
    shared = peer.shared
    peer.merging = merging
    put_merge_state(shared.round.batch, region.id, MergeState(peer.began, merging))
    if merging is None:
        shared.merging.pop(region.id, None)
    else:
        shared.merging[region.id] = peer
    peer.take_region(region)


def apply_commit(peer: RegionPeer, command: Commit, index: Index) -> object:
    """The source's peer here has all its entries, then none of its own life: this region has its keys.

    Raises:
        SourceMissing: the source's peer is not here; nothing was done.
        Corruption: it is not where the command says that it must be.
    """
    epoch = peer.region.epoch
    if peer.merging is not None or (command.conf_ver, command.version) != (epoch.conf_ver, epoch.version):
        return EpochNotMatch((peer.region,))
    after = merged(peer.region, command.source)
    if after is None:
        return EpochNotMatch((peer.region,))
    shared = peer.shared
    source = shared.peers.get(command.source.id)
    named = command.source.peer_on(shared.store_id)
    if source is None or named is None or source.peer_id != named.id or not source.is_initialized:
        raise SourceMissing(command.source.id)
    if source.group is None or source.stalled_by is not None:
        raise SourceMissing(command.source.id)  # it begins anew
    source.on_committed(missing_entries(source, command.entries))
    if source.stalled_by is not None:
        raise SourceMissing(source.stalled_by)
    merging = source.merging
    if merging is None or merging.index != command.index or source.region != command.source:
        state = "does not merge" if merging is None else f"merges since entry {merging.index}"
        raise Corruption(
            "the engine",
            0,
            f"region {source.region.id} must merge since entry {command.index}, and {state} here. Nothing was changed."
            " Let the other replicas repair it: remove this peer of the target, and the driver adds another",
        )
    absorb(source, Heir(peer.region.id, index))
    shared.merges.committed += 1
    peer.keys += source.keys
    peer.written_bytes += source.written_bytes
    peer.take_region(after)
    return [after]


def missing_entries(source: RegionPeer, carried: list[Entry]) -> list[Entry]:
    """What a peer has not applied of its log up to the last entry carried. What is not carried it has acknowledged.

    Raises:
        Corruption: it lacks what it has acknowledged.
    """
    group = source.group
    assert group is not None
    first = carried[0].index
    own: list[Entry] = []
    if source.applied + 1 < first:
        try:
            own = group.log.entries(source.applied + 1, first, NO_LIMIT)
        except (Compacted, Unavailable):
            own = []
        if len(own) != first - source.applied - 1:
            what = f"region {source.region.id} lacks entries behind {source.applied} which this peer acknowledged"
            raise Corruption("the log", 0, what)
    return own + [entry for entry in carried if entry.index > source.applied]


def absorb(source: RegionPeer, heir: Heir) -> None:
    """Its region is part of another one: the rest of its end follows when that is written."""
    shared = source.shared
    region = source.region
    source.is_absorbed = True
    source.heir = heir
    shared.merging.pop(region.id, None)
    shared.regions.remove(region.id)
    shared.round.leave(source)
    put_merged(shared.round.batch, source)
    shared.absorbed.append(source)


def put_merged(batch: WriteBatch, source: RegionPeer) -> None:
    """The tombstone of a peer whose region is part of another one."""
    region = source.region
    heir = source.heir
    part_of = None if heir in (None, UNKNOWN_HEIR) else Merging(heir.index, 0, Region(heir.region_id))
    put_region_state(batch, RegionState(PeerState.MERGED, source.peer_id, region))
    put_merge_state(batch, region.id, MergeState(source.began, part_of))
    batch.delete(CF_RAFT, apply_state_key(region.id))


# --- propose ---


def prepare_merge(peer: RegionPeer, target: Region, deadline: float) -> asyncio.Future[_Result] | None:
    """Begin to merge; done when this region is a source. None: it is one already.

    Raises:
        NotRegionLeader: this peer does not lead.
        ServerIsBusy: it must not be done now; it says why.
    """
    group = peer.group
    if group is None or not peer.is_leader:
        raise NotRegionLeader(peer.region.id, peer.leader)
    if peer.merging is not None:
        return None
    if peer.log_floor is not None:
        raise ServerIsBusy(f"region {peer.region.id} is being prepared to be merged")
    shared = peer.shared
    beside = shared.peers.get(target.id)
    if beside is None or beside.merging is not None or beside.region.epoch != target.epoch:
        raise ServerIsBusy(f"region {target.id} is not here as it was when the merge was planned")
    targets = {other.merging.target.id for other in shared.merging.values() if other.merging is not None}
    if peer.region.id in targets:
        raise ServerIsBusy(f"another region is being merged into region {peer.region.id}")
    if problem := problem_with_merge(peer.region, beside.region):
        raise ServerIsBusy(problem)
    raft = group.raw.raft
    log = raft.log
    if raft.pending_conf_index > peer.applied or raft.lead_transferee != NO_NODE:
        raise ServerIsBusy("a change of peers or of the leader is under way")
    min_index = min(progress.match for _, progress in raft.tracker.peers)
    if min_index + 1 < log.first_index():
        raise ServerIsBusy("a member lacks entries that are cut")
    tail = log.slice(min_index + 1, log.last_index + 1, 2 * ENTRIES_BYTES_MAX) if min_index < log.last_index else []
    if len(tail) < log.last_index - min_index:
        raise ServerIsBusy("a member lacks too much of the log")
    if problem := problem_with_tail(tail):
        raise ServerIsBusy(problem)
    epoch = peer.region.epoch
    payload = encode_prepare(Prepare(epoch.version, epoch.conf_ver, min_index, beside.region))
    done = peer.propose_now(payload, deadline)
    if not done.done():
        peer.log_floor = min_index
    return done


@final
class Merges:
    """The merges that peers of one store take part in."""

    def __init__(self, shared: Shared, transport: Transport) -> None:
        self._shared = shared
        self._transport = transport
        self._calls: dict[RegionId, asyncio.Future[_Result]] = {}
        self._looks: dict[RegionId, int] = {}  # how often a source was looked at

    def look(self) -> None:
        """Bring every merge further that can be brought further from here. Called again and again."""
        for region_id in [region_id for region_id, call in self._calls.items() if call.done()]:
            del self._calls[region_id]
        sources = self._shared.merging
        self._looks = {region_id: self._looks.get(region_id, 0) + 1 for region_id in sources}
        for source in list(sources.values()):
            merging = source.merging
            if merging is None or source.group is None:
                continue
            if self._has_proof(merging):
                self._refuse(source, merging)
            else:
                self._try_commit(source, merging)

    def on_refused(self, peer: RegionPeer, index: Index) -> None:
        """Another store has proof that the merge will never count."""
        if peer.merging is not None and peer.merging.index == index and peer.is_leader:
            rollback = encode_rollback(Rollback(peer.region.epoch.version, index))
            self._call(peer, lambda deadline: peer.propose_now(rollback, deadline))

    def _has_proof(self, merging: Merging) -> bool:
        target_id = merging.target.id
        target = self._shared.peers.get(target_id)
        if target is not None:
            return target.is_initialized and is_refused(merging, target.region.epoch, target.began)
        engine = self._shared.round.engine
        state = get_region_state(engine, target_id)  # of one that is gone from here: how far it came
        return state is not None and is_refused(merging, state.region.epoch, get_merge_state(engine, target_id).began)

    def _refuse(self, source: RegionPeer, merging: Merging) -> None:
        leader = source.leader
        if source.is_leader:
            self.on_refused(source, merging.index)
        elif leader is not None:
            message = StoreMessage(Kind.REFUSED, source.region.id, leader.id, merging.index)
            self._transport.send(leader.store_id, [(STORE_GROUP, [to_wire(message)])])

    def _try_commit(self, source: RegionPeer, merging: Merging) -> None:
        target = self._shared.peers.get(merging.target.id)
        if target is None or target.group is None or target.merging is not None:
            return
        epoch = merging.target.epoch
        if target.region.epoch != epoch:
            return
        entries = carried(source, merging) if target.knows_all else None
        if entries is not None:
            commit = encode_commit(Commit(epoch.version, epoch.conf_ver, merging.index, source.region, entries))
            self._call(target, lambda deadline: target.propose_now(commit, deadline))
        elif not source.is_leader or self._looks[source.region.id] < _PATIENCE:
            return
        elif target.knows_all:  # what a member lacks is cut at the source's leader, so nobody can commit
            self._call(target, lambda deadline: pass_epoch(target, deadline))
        elif not target.is_leader:  # whoever leads it cannot commit, or is slow to; this store can
            target.group.act(lambda raw: raw.transfer_leader(target.peer_id))

    def _call(self, peer: RegionPeer, propose: Callable[[float], asyncio.Future[_Result]]) -> None:
        region_id = peer.region.id
        if region_id not in self._calls:
            call = self._calls[region_id] = propose(asyncio.get_running_loop().time() + _CALL_S)
            call.add_done_callback(_look_at)


def carried(source: RegionPeer, merging: Merging) -> list[Entry] | None:
    """The entries that a member may lack, the last one at least; None: this store has cut some of them."""
    group = source.group
    assert group is not None
    least = merging.min_index
    if source.is_leader:  # since it was prepared they may have come further
        least = max(least, min(progress.match for _, progress in group.raw.raft.tracker.peers))
    lo, hi = min(least, merging.index - 1) + 1, merging.index + 1
    try:
        entries = group.log.entries(lo, hi, NO_LIMIT)
    except (Compacted, Unavailable):
        return None
    return entries if len(entries) == hi - lo else None


def pass_epoch(target: RegionPeer, deadline: float) -> asyncio.Future[_Result]:
    """A change of peers that changes none: behind it no commit for the epoch as it is counts, and there is proof."""
    context = encode_change(target.region.epoch.conf_ver, [target.own()])
    single = ConfChangeSingle(ConfChangeType.ADD_NODE, target.peer_id)
    return target.propose_now(ConfChangeV2((single,), ConfChangeTransition.AUTO, context), deadline)


def _look_at(call: asyncio.Future[_Result]) -> None:
    """How it ended does not matter: it is tried again as long as the source merges."""
    if not call.cancelled():
        call.exception()


def refuse_while_merging(peer: RegionPeer) -> None:
    """A source serves nothing.

    Raises:
        ProposalInMergingMode: it is one.
    """
    if peer.merging is not None:
        raise ProposalInMergingMode(peer.region.id)
