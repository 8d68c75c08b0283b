"""Peers: every peer of one store, how they come and go, and what the driver asks of who has many groups.

A peer comes with a split, by a message that names one that was not here, or from disk at the start; it goes when
somebody who knows for certain says that it was removed, or when a newer one of the same region is named. Where it was,
a tombstone stays. Its own word that it is removed is not enough: of two members the one that stays may lose its memory
of the removal in a crash, and needs the other's vote to commit it again. So it is told when the removal is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Final, final

from raftly.base.rand import RandomSource
from raftly.base.region import Peer, PeerId, Region, RegionId, StoreId
from raftly.base.region_errors import RegionNotFound
from raftly.base.types import NO_NODE, HardState, NodeId
from raftly.core.messages import Message, MsgApp, MsgHeartbeat, MsgPreVote, MsgVote
from raftly.engine.base import CF_RAFT, Engine
from raftly.errors import RaftlyError
from raftly.node.driver import Driver
from raftly.node.group import Group
from raftly.storage.items import HardStateItem, Item, MembershipItem, RemovedItem
from raftly.storage.log_store import LogStore
from raftly.store.hibernation import SleepRound, may_follow_to_sleep, may_lead_to_sleep, others_of
from raftly.store.keys import apply_state_key
from raftly.store.merge import UNKNOWN_HEIR, Heir
from raftly.store.merging import Merges
from raftly.store.messages import STORE_GROUP, Kind, StoreMessage, from_wire, to_wire
from raftly.store.peer import RegionPeer
from raftly.store.recovery import is_begun, recovery_items, restart_items
from raftly.store.region_snapshot import clear_region
from raftly.store.region_state import (
    FIRST_TERM,
    ApplyState,
    MergeState,
    PeerState,
    RegionState,
    all_region_states,
    conf_state_of,
    get_apply_state,
    get_merge_state,
    put_merge_state,
    put_region_state,
)
from raftly.store.shared import Shared
from raftly.transport.base import Transport

_log: Final = logging.getLogger("raftly.store")

_REQUESTS: Final = (MsgApp, MsgHeartbeat, MsgPreVote, MsgVote)
_FEW: Final = 64  # regions with one replica that campaign all at once at the start
_UNINITIALIZED_MAX: Final = 1024
"""Peers that messages created and that wait for a snapshot: no more at once, whoever asks."""


@final
class Peers:
    """See the module, and `GroupsOwner`."""

    def __init__(
        self,
        shared: Shared,
        engine: Engine,
        logs: LogStore,
        transport: Transport,
        random: RandomSource,
        spawn: Callable[[Coroutine[object, object, None]], None],
    ) -> None:
        self.all = shared.peers
        self.busy: set[RegionId] = set()
        """Regions whose peer is being made, destroyed, or given the keys of a snapshot: it is in no group."""
        self.on_round_end: Callable[[], None] = lambda: None
        self.merges = Merges(shared, transport)
        self._tombstones = shared.tombstones
        self._merged: dict[RegionId, Heir] = {}
        """Of the tombstones, those of regions that are part of others."""
        self.stalled: list[RegionPeer] = []
        """Peers in no group, which wait for the keys of a source."""
        self._shared = shared
        self._driver: Driver = shared.driver
        self._engine = engine
        self._logs = logs
        self._transport = transport
        self._random = random
        self._spawn = spawn

    # --- from disk ---

    def load(self) -> tuple[list[Item], list[tuple[RegionState, ApplyState]]]:
        """Find the peers on disk: what the log needs before `start_loaded`, and those with a snapshot half applied.

        Raises:
            DecodeError: what is in the engine is damaged, or of another release.
        """
        items: list[Item] = []
        applying: list[tuple[RegionState, ApplyState]] = []
        for state in all_region_states(self._engine):
            region = state.region
            log = self._logs.group(region.id)
            if state.state in (PeerState.TOMBSTONE, PeerState.MERGED):
                self._tombstones[region.id] = state.peer_id
                if state.state is PeerState.MERGED:
                    self._merged[region.id] = get_merge_state(self._engine, region.id).heir
                if is_begun(log):
                    items.append(RemovedItem(region.id))
            elif state.state is PeerState.APPLYING:
                applying.append((state, get_apply_state(self._engine, region.id)))
            else:
                applied = get_apply_state(self._engine, region.id)
                items += recovery_items(log, region, applied)
                peer = self.take(region, state.peer_id, applied)
                merge = get_merge_state(self._engine, region.id)
                peer.began, peer.merging = merge.began, merge.merging
                if merge.merging is not None:
                    self._shared.merging[region.id] = peer
        return items, applying

    def take(self, region: Region, peer_id: PeerId, applied: ApplyState) -> RegionPeer:
        """A peer with keys is here from now on; it has no group yet."""
        peer = self.all[region.id] = RegionPeer(self._shared, region, peer_id, applied.index, applied.term)
        self._shared.regions.put(region)
        return peer

    def start_loaded(self) -> None:
        """Take all that were found under way."""
        for peer in [peer for peer in self.all.values() if peer.failure is None]:
            group = self.start(peer)
            if len(self.all) <= _FEW:
                group.hasten_alone(FIRST_TERM)

    def start(self, peer: RegionPeer, *, new: bool = False) -> Group:
        """Take a peer under way, and then those that waited for it."""
        group = peer.start(self._random.below(1 << 62), new=new)
        for waiting in [other for other in self.stalled if other.stalled_by == peer.region.id]:
            self.stalled.remove(waiting)
            self._begin_anew(waiting)
        return group

    def _begin_anew(self, peer: RegionPeer) -> None:
        """Apply again from where it stopped, when all that it had to write is written."""
        region = peer.region
        self.busy.add(region.id)

        def begin() -> None:
            if self.all.get(region.id) is peer and peer.failure is None:
                self.busy.discard(region.id)
                peer.stalled_by = None
                self.start(peer)

        self._driver.write(MembershipItem(region.id, peer.applied, conf_state_of(region)), then=begin)

    # --- messages ---

    def on_unknown(self, from_: NodeId, group: int, messages: list[Message]) -> None:
        """See `GroupsOwner.on_unknown`."""
        if group == STORE_GROUP:
            for message in from_wire(messages):
                self._take_message(from_, message)
            return
        for raft_message in messages:
            if isinstance(raft_message, _REQUESTS) and raft_message.to != NO_NODE:
                self._on_named(from_, group, raft_message)

    def _on_named(self, from_: StoreId, region_id: RegionId, message: Message) -> None:
        """Somebody believes that a peer is here which is not."""
        peer = self.all.get(region_id)
        if message.to <= self._tombstones.get(region_id, 0):
            if region_id in self._merged and region_id not in self.busy:
                heir = self._merged[region_id]
                self.send(from_, StoreMessage(Kind.MERGED, region_id, heir.region_id, heir.index))
            return
        if region_id in self.busy:
            return
        if peer is None:
            self._create(from_, region_id, message)
        elif peer.peer_id < message.to:
            self.remove(peer)  # a store has one peer of a region, and the newer one is it

    def _create(self, from_: StoreId, region_id: RegionId, message: Message) -> None:
        log = self._logs.group(region_id)
        if is_begun(log):
            return  # a split that the engine lost will be applied again, and brings its keys
        if sum(not peer.is_initialized for peer in self.all.values()) >= _UNINITIALIZED_MAX:
            return
        peer = self.all[region_id] = RegionPeer(self._shared, Region(region_id), message.to)
        group = self.start(peer, new=log.hard_state.is_empty())
        assert group.nodes is not None
        group.nodes[message.from_] = from_
        group.inbox.append(message)
        self._driver.wake(group)

    def on_stranger(self, group: Group, from_: NodeId, message: Message) -> None:
        """See `GroupsOwner.on_stranger`."""
        peer = self.all.get(group.id)
        # Whoever leads for certain, all applied, knows every member that there is.
        if peer is not None and peer.is_leased and isinstance(message, MsgVote | MsgPreVote):
            self._spawn(self._tell_expelled([(group.id, Peer(message.from_, from_))]))

    def _take_message(self, from_: StoreId, message: StoreMessage) -> None:
        peer = self.all.get(message.region_id)
        if peer is None or message.region_id in self.busy:
            return
        if message.kind is Kind.ASLEEP:
            self._on_asleep(peer, message)
        elif message.kind is Kind.MERGED:
            self._on_merged(peer, message)
        elif peer.peer_id != message.peer_id:
            return
        elif message.kind is Kind.SLEEP:
            self._on_sleep(from_, peer, message)
        elif message.kind is Kind.REFUSED:
            self.merges.on_refused(peer, message.index)
        else:
            self.remove(peer)

    def _on_merged(self, peer: RegionPeer, message: StoreMessage) -> None:
        if not peer.is_initialized:
            self.remove(peer)  # it has no keys, and all who were members at PREPARE had: it was removed before
        elif message.peer_id:  # its keys may be needed here: it stays until somebody has them
            peer.heir = Heir(message.peer_id, message.index)

    def is_needed(self, source: RegionPeer, takers: Collection[RegionId]) -> bool:
        """Has a peer here to apply the commit yet that made the source part of it? `takers` have its keys otherwise."""
        heir = source.heir
        if heir is None or heir == UNKNOWN_HEIR or heir.region_id in takers:
            return False
        peer = self.all.get(heir.region_id)
        if peer is None:  # it may be one that the engine lost, with the split that made it
            return heir.region_id not in self._tombstones and is_begun(self._logs.group(heir.region_id))
        if not peer.is_initialized or peer.applied >= heir.index:
            return False
        return peer.heir is None or self.is_needed(peer, takers)  # one that is merged itself goes on only for another

    def ask(self, peer: RegionPeer) -> None:
        """Have others say what became of a peer, or its region, that does not campaign by itself."""
        nodes = {other.id: other.store_id for other in peer.region.peers}
        if peer.group is not None and peer.group.nodes is not None:
            nodes |= peer.group.nodes
        for id_, store_id in sorted(nodes.items()):
            if store_id == self._shared.store_id:
                continue
            message = MsgPreVote(id_, peer.peer_id, peer.term + 1)  # as of an empty log: it is granted by nobody
            self._transport.send(store_id, [(peer.region.id, [message])])

    def remove(self, peer: RegionPeer) -> None:
        """It is a member no more: the round that follows destroys it."""
        self._shared.removed.append(peer)
        if peer.group is not None:
            self._driver.wake(peer.group)

    def send(self, to: StoreId, message: StoreMessage) -> None:
        """Tell another store something; it may be lost."""
        self._transport.send(to, [(STORE_GROUP, [to_wire(message)])])

    # --- rounds ---

    def on_round(self) -> RaftlyError | None:
        """See `GroupsOwner.on_round`."""
        try:
            self._shared.round.end()
            self._carry_out()
            self.on_round_end()
        except RaftlyError as error:
            return error
        return None

    def _carry_out(self) -> None:
        """What this round's entries ask of more than their own peer."""
        shared = self._shared
        if shared.drowsy:
            drowsy, shared.drowsy = shared.drowsy, []
            for sleeper in drowsy:
                self._lead_to_sleep(sleeper)
        if shared.splits:
            splits, shared.splits = shared.splits, []
            for parent, parts in splits:
                for part in parts:
                    self._on_cut_off(part, parent)
        if shared.absorbed or shared.stalled:
            self._end_merges()
        if not (shared.expelled or shared.removed):
            return
        expelled, shared.expelled = shared.expelled, []
        if expelled:
            self._spawn(self._tell_expelled(expelled))
        removed, shared.removed = shared.removed, []
        for gone in removed:
            if self.all.get(gone.region.id) is not gone:
                continue
            if gone.region.id in self.busy:
                shared.removed.append(gone)  # whoever is at work on it goes on; no round has it gone before that ends
            else:
                self.destroy(gone)

    def _end_merges(self) -> None:
        """What commits have left to be done with the peers of sources."""
        shared = self._shared
        absorbed, shared.absorbed = shared.absorbed, []
        for peer in absorbed:
            peer.on_written()  # those who wait for what it applied last
            peer.waiting.give_up(RegionNotFound(peer.region.id))  # what is behind PREPARE in its log never was
            self.forget_absorbed(peer)
        stalled, shared.stalled = shared.stalled, []
        for peer in stalled:
            source_id = peer.stalled_by
            assert source_id is not None
            self._leave(peer)
            peer.rest(f"it waits for the keys of region {source_id}")
            source = self.all.get(source_id)
            if source is not None and source.is_initialized and source.group is not None:
                self._begin_anew(peer)  # it has come meanwhile
                continue
            self.stalled.append(peer)
            what = "region %d waits for the keys of region %d, whose peer here %s"
            if source is not None and source.failure is not None:
                _log.error(what, peer.region.id, source_id, f"has failed: {source.failure}")
            else:
                _log.info(what, peer.region.id, source_id, "is not here yet")

    def forget_absorbed(self, peer: RegionPeer) -> None:
        """A peer whose region is part of another one here, by the engine: nothing of it is left but its log."""
        region_id = peer.region.id
        self._leave(peer)
        self.all.pop(region_id, None)
        self.busy.add(region_id)
        self._tombstones[region_id] = max(peer.peer_id, self._tombstones.get(region_id, 0))
        self._merged[region_id] = peer.heir or UNKNOWN_HEIR
        peer.close(RegionNotFound(region_id))
        _log.info("region %d is part of another one; peer %d is no more", region_id, peer.peer_id)
        self._spawn(self._forget_log(region_id))

    async def _tell_expelled(self, expelled: list[tuple[RegionId, Peer]]) -> None:
        """Tell peers that they are members no more, now that a crash here cannot undo it."""
        await self._engine.sync()
        for region_id, peer in expelled:
            self.send(peer.store_id, StoreMessage(Kind.GONE, region_id, peer.id))

    def _on_cut_off(self, region: Region, parent: RegionPeer) -> None:
        """A split made a region: its peer here comes to life as soon as its log is begun."""
        own = region.peer_on(self._shared.store_id)
        assert own is not None
        known = self.all.get(region.id)
        assert known is None or not known.is_initialized, f"region {region.id} was here before it was cut off"
        log = self._logs.group(region.id)
        applied = ApplyState()
        items: list[Item] = []
        if is_begun(log):
            items = recovery_items(log, region, applied)
        else:
            raft = None if known is None or known.group is None else known.group.raw.raft
            promised = (raft.term, raft.vote) if raft is not None else (log.hard_state.term, log.hard_state.vote)
            items = restart_items(log, region, applied, *promised)
        if known is not None:
            self._driver.remove_group(region.id)
        peer = self.take(region, own.id, applied)
        peer.keys = parent.keys
        campaigns = parent.is_leader
        self.busy.add(region.id)
        is_new = known is None and log.hard_state.is_empty()

        def begin() -> None:
            self.busy.discard(region.id)
            if self.all.get(region.id) is peer:
                group = self.start(peer, new=is_new)
                if campaigns:
                    group.act(lambda raw: raw.campaign())

        if items:
            # The word that the split is committed is on disk no later than the log. Else, should the engine lose the
            # split in a power cut, the parent might jump over it by a snapshot, and nothing would bring these keys.
            self._driver.write(*self._known_of(parent), *items, then=begin)
        else:  # the split is applied a second time: the engine lost the first, and the log is in line with it
            begin()

    def _known_of(self, peer: RegionPeer) -> list[Item]:
        """What is committed in a region, as far as its log here goes. A commit index alone is not written otherwise."""
        group = peer.group
        assert group is not None
        raft = group.raw.raft
        commit = min(raft.log.committed, group.log.last_index())
        return [HardStateItem(peer.region.id, HardState(raft.term, raft.vote, commit))]

    # --- sleep ---

    def _lead_to_sleep(self, peer: RegionPeer) -> None:
        """Nothing has happened in a region for long: ask all members to sleep."""
        group = peer.group
        if group is None or not peer.is_quiet or not may_lead_to_sleep(group.raw.raft):
            return
        last = group.raw.raft.log.last_index
        peer.sleep_round = SleepRound(peer.region, peer.peer_id, last)
        for store_id, peer_id in others_of(peer.region, peer.peer_id):
            self.send(store_id, StoreMessage(Kind.SLEEP, peer.region.id, peer_id, last))
        if peer.sleep_round.is_over:
            self._driver.sleep(group)

    def _on_sleep(self, from_: StoreId, peer: RegionPeer, message: StoreMessage) -> None:
        group = peer.group
        if group is None or not peer.is_quiet or not may_follow_to_sleep(group.raw.raft, message.index):
            return
        if group.node_of(group.raw.raft.leader) == from_:
            self._driver.sleep(group)
            self.send(from_, StoreMessage(Kind.ASLEEP, peer.region.id, peer.peer_id, message.index))

    def _on_asleep(self, peer: RegionPeer, message: StoreMessage) -> None:
        group, sleep_round = peer.group, peer.sleep_round
        if group is None or sleep_round is None or not sleep_round.on_asleep(message.peer_id, message.index):
            return
        peer.sleep_round = None
        if peer.is_quiet and peer.is_leader and group.raw.raft.log.last_index == message.index:
            self._driver.sleep(group)

    # --- the end of a peer ---

    def _leave(self, peer: RegionPeer) -> None:
        self._driver.remove_group(peer.region.id)
        if peer.group is not None:
            peer.group.refuse_queued()
        if peer in self.stalled:
            self.stalled.remove(peer)

    def destroy(self, peer: RegionPeer) -> None:
        """A peer is no member any more: its keys and its log go, for good.

        The log goes last, and only when the engine's word that the peer is dead is durable: with its log gone it would
        not know any more whom it voted for, and what it acknowledged.
        """
        region = peer.region
        shared = self._shared
        self._leave(peer)
        shared.round.leave(peer)
        del self.all[region.id]
        shared.regions.remove(region.id)
        shared.merging.pop(region.id, None)
        self.busy.add(region.id)
        batch = shared.round.batch
        if peer.is_initialized:
            clear_region(region, batch)
        put_region_state(batch, RegionState(PeerState.TOMBSTONE, peer.peer_id, region))
        batch.delete(CF_RAFT, apply_state_key(region.id))
        put_merge_state(batch, region.id, MergeState(peer.began))  # how far it came, and from where: it may be proof
        self._tombstones[region.id] = peer.peer_id
        shared.round.flush()
        peer.close(RegionNotFound(region.id))
        _log.info("peer %d of region %d is destroyed", peer.peer_id, region.id)
        self._spawn(self._forget_log(region.id))

    async def _forget_log(self, region_id: RegionId) -> None:
        await self._engine.sync()
        self._shared.sender.forget(region_id)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done() -> None:
            self.busy.discard(region_id)
            if not written.done():
                written.set_result(None)

        self._driver.write(RemovedItem(region_id), then=done)
        await written
