"""Apply: what committed commands do to the engine, all regions of a round in one batch.

A command checks the version of the region's epoch again: one that was proposed for another range does nothing, and its
result says so. Each command lies in one batch with the applied index behind it, so a crash never leaves half of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, final

from raftly.base.region import Region, RegionId
from raftly.base.region_errors import EpochNotMatch, ProposalInMergingMode
from raftly.base.types import Entry, Index, Term
from raftly.engine.base import Engine, WriteBatch
from raftly.errors import ConfChangeError
from raftly.node.roster import change_of
from raftly.store.changes import split_region, with_members
from raftly.store.command import Split, Write, decode_change
from raftly.store.keys import DATA_PREFIX, data_end_key, data_key
from raftly.store.ops import Cas, Delete, DeleteRange, Expire, Op, Put, compare, has_expired
from raftly.store.region_snapshot import clear_region
from raftly.store.region_state import (
    FIRST_INDEX,
    FIRST_TERM,
    PeerState,
    RegionState,
    put_apply_state,
    put_region_state,
)

if TYPE_CHECKING:
    from raftly.store.peer import RegionPeer

BATCH_BYTES_MAX: Final = 256 << 10
"""A batch that is larger, or has more changes than the next, goes to the engine before the round ends: the engine holds
the interpreter for about 10 ms a MiB, or 4 µs a change, and nothing else goes on meanwhile."""
BATCH_CHANGES_MAX: Final = 512


class Applier(Protocol):
    """A peer, as its round sees it."""

    region: Region
    applied: Index
    applied_term: Term

    def on_written(self) -> None:
        """What it applied is in the engine."""
        ...


@final
class Round:
    """What the regions of a store apply in one round."""

    __slots__ = ("_appliers", "batch", "engine")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.batch = WriteBatch()
        self._appliers: dict[RegionId, Applier] = {}

    def begin(self, applier: Applier) -> None:
        """It is about to apply; its applied index goes with the batch."""
        self._appliers[applier.region.id] = applier

    def leave(self, applier: Applier) -> None:
        """It is destroyed, and has no applied index any more."""
        if self._appliers.get(applier.region.id) is applier:
            del self._appliers[applier.region.id]

    def flush(self) -> None:
        """Write what there is, between two commands.

        Raises:
            StorageError: the engine cannot go on.
        """
        for region_id, applier in self._appliers.items():
            put_apply_state(self.batch, region_id, applier.applied, applier.applied_term)
        if not self.batch.is_empty:
            self.engine.write(self.batch)
            self.batch = WriteBatch()

    def end(self) -> bool:
        """Write, and let those who applied answer their callers; was there anything?

        Raises:
            StorageError: the engine cannot go on.
        """
        if not self._appliers and self.batch.is_empty:
            return False
        self.flush()
        appliers, self._appliers = self._appliers, {}
        for applier in appliers.values():
            applier.on_written()
        return True


def apply_write(round_: Round, region: Region, command: Write) -> list[object] | EpochNotMatch:
    """Do the ops of a command; their results.

    Raises:
        StorageError: the engine cannot read.
    """
    if command.version != region.epoch.version:
        return EpochNotMatch((region,))
    batch = round_.batch
    is_full = batch.size > BATCH_BYTES_MAX or len(batch) > BATCH_CHANGES_MAX
    if is_full or any(type(op) is Cas or type(op) is Expire for op in command.ops):
        round_.flush()  # so that the engine has all that came before this command
        batch = round_.batch
    results: list[object] = []
    for position, op in enumerate(command.ops):
        if type(op) is Put:
            batch.put(op.cf, DATA_PREFIX + op.key, op.value)
        elif type(op) is Delete:
            batch.delete(op.cf, DATA_PREFIX + op.key)
        elif type(op) is DeleteRange:
            delete_range(batch, region, op.cf, op.lo, op.hi)
        elif type(op) is Expire:
            stored = _value_before(round_.engine, command.ops, results, position, op)
            is_gone = stored is not None and has_expired(stored, op.now_s)
            if is_gone:
                batch.delete(op.cf, DATA_PREFIX + op.key)
            results.append(is_gone)
            continue
        else:
            assert type(op) is Cas
            result = compare(op, _value_before(round_.engine, command.ops, results, position, op))
            if result.succeeded:
                if op.value is None:
                    batch.delete(op.cf, DATA_PREFIX + op.key)
                else:
                    batch.put(op.cf, DATA_PREFIX + op.key, op.value)
            results.append(result)
            continue
        results.append(None)
    return results


def apply_split(peer: RegionPeer, command: Split) -> list[object] | EpochNotMatch:
    """Cut the region; its parts, itself first. The store brings the others to life when the round is written.

    But not those whose peer was removed here before it was made: its tombstone stays, and there are no keys beside it.
    """
    region, shared = peer.region, peer.shared
    parts = split_region(region, command.regions) if command.version == region.epoch.version else None
    if parts is None:
        return EpochNotMatch((region,))
    peer.take_region(parts[0])
    peer.keys //= len(parts)
    batch = shared.round.batch
    born: list[Region] = []
    for part in parts[1:]:
        own = part.peer_on(shared.store_id)
        assert own is not None
        known = shared.peers.get(part.id)
        buried = shared.tombstones.get(part.id, 0)
        if own.id > buried and (known is None or known.peer_id <= own.id):
            put_region_state(batch, RegionState(PeerState.NORMAL, own.id, part))
            put_apply_state(batch, part.id, FIRST_INDEX, FIRST_TERM)
            born.append(part)
            continue
        clear_region(part, batch)
        if own.id > buried:
            put_region_state(batch, RegionState(PeerState.TOMBSTONE, own.id, part))
            shared.tombstones[part.id] = own.id
    shared.splits.append((peer, born))
    return list(parts)


def apply_change(peer: RegionPeer, entry: Entry) -> object:
    """Change the region's members; the region as it is then, or why it is not changed: the same on every replica."""
    group = peer.group
    assert group is not None
    change = change_of(entry)
    conf_ver, stores = decode_change(change.context)
    region, shared = peer.region, peer.shared
    if peer.merging is not None:
        return ProposalInMergingMode(region.id)
    if change.changes and conf_ver != region.epoch.conf_ver:
        return EpochNotMatch((region,))
    try:
        conf = group.raw.apply_conf_change(change)
    except ConfChangeError as error:
        return error
    after = with_members(region, conf, len(change.changes), stores)
    nodes = group.nodes
    assert nodes is not None
    nodes.update({member.id: member.store_id for member in after.peers})
    peer.take_region(after)
    shared.member_changes += 1
    if peer.is_leader:
        shared.expelled += [(region.id, member) for member in region.peers if after.peer(member.id) is None]
    return [after]


def delete_range(batch: WriteBatch, region: Region, cf: str, lo: bytes, hi: bytes) -> None:
    """Take away the keys in [lo, hi) that a region holds; an empty `hi` has nothing above it."""
    lo = max(lo, region.start_key)
    ends = [key for key in (hi, region.end_key) if key]
    batch.delete_range(cf, data_key(lo), data_end_key(min(ends, default=b"")))


def _value_before(
    engine: Engine, ops: list[Op], results: list[object], position: int, op: Cas | Expire
) -> bytes | None:
    """What a key has before the op at `position`: by an op before it in the command, else in the engine."""
    for earlier in range(position - 1, -1, -1):
        before = ops[earlier]
        if before.cf != op.cf:
            continue
        if type(before) is DeleteRange:
            if before.lo <= op.key and (not before.hi or op.key < before.hi):
                return None
        elif before.key == op.key:
            if type(before) is Put:
                return before.value
            if type(before) is Delete:
                return None
            if type(before) is Cas and results[earlier].succeeded:  # type: ignore[attr-defined]
                return before.value
            if type(before) is Expire and results[earlier]:
                return None
    return engine.get(op.cf, DATA_PREFIX + op.key)
