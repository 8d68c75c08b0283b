"""Faults of the store and of its placement driver: merges of regions, what a crash must find in order, timestamps."""

# ruff: noqa: E501 - the text of a source is as long as it is

from __future__ import annotations

from typing import Final

from tests.mutants.fault import Fault


def _fault(id_: str, what: str, breaks: str, file: str, old: str, new: str, first: str, *rows: int) -> Fault:
    tests = tuple(f"{'' if '/' in name else 'unit/store/test_'}{name}.py" for name in first.split())
    path = f"{'' if '/' in file else 'store/'}{file}.py"
    return Fault(id_, "store", what, tuple(breaks.split()), path, old, new, tests, rows)


_RULES: Final = [
    _fault(
        "merge-prepare-keeps-version",
        "a region that is prepared, or rolled back, keeps its version",
        "LIN SMS",
        "merge",
        "RegionEpoch(source.epoch.conf_ver, source.epoch.version + 1))\n",
        "source.epoch)\n",
        "merge merging",
    ),
    _fault(
        "merge-version-of-target-alone",
        "the target's version grows by one, whatever the source's is",
        "LIN",
        "merge",
        "max(target.epoch.version, source.epoch.version) + 1)\n",
        "target.epoch.version + 1)\n",
        "merge",
    ),
    _fault(
        "merge-refused-by-jump",
        "whoever jumped over a commit by a snapshot says that there was none",
        "SMS DUR",
        "merge",
        "    return named.is_older_than(target) and not named.is_older_than(began)\n",
        "    return named.is_older_than(target)\n",
        "merge sim_store/test_merge",
    ),
    _fault(
        "merge-of-regions-apart",
        "regions whose peers are on different stores are merged",
        "DUR",
        "merge",
        "    if _homes(source) != _homes(target):\n",
        "    if False:\n",
        "merge",
    ),
    _fault(
        "merge-tail-with-splits",
        "a member may lack splits and changes of peers, too",
        "SMS",
        "merge",
        "        if entry.type is not EntryType.NORMAL or (entry.data and entry.data[KIND_AT] != WRITE):\n",
        "        if False:\n",
        "merge",
    ),
]

_APPLIED: Final = [
    _fault(
        "merge-serves-reads",
        "a source answers reads while it is merged",
        "LIN",
        "peer",
        "        if self.merging is not None:  # whatever lease or read index says: another region may have its keys by now\n"
        "            refuse_while_merging(self)\n",
        "",
        "merging",
        70,
    ),
    _fault(
        "merge-applies-writes",
        "a source applies what is behind PREPARE in its log",
        "SMS DUR",
        "peer",
        "        if self.merging is not None:  # on every replica alike\n",
        "        if False:\n",
        "merging merge_troubles",
    ),
    _fault(
        "merge-commit-at-any-epoch",
        "a commit counts whatever the target became since it was proposed",
        "SMS DUR",
        "merging",
        "    if peer.merging is not None or (command.conf_ver, command.version) != (epoch.conf_ver, epoch.version):\n",
        "    if peer.merging is not None:\n",
        "merging",
    ),
    _fault(
        "merge-prepare-at-any-epoch",
        "a PREPARE counts whatever the source became since it was proposed",
        "SMS",
        "merging",
        "    if (command.conf_ver, command.version) != (epoch.conf_ver, epoch.version):\n        return EpochNotMatch((region,))\n    if problem",
        "    if problem",
        "merging merge_troubles",
    ),
    _fault(
        "merge-rollback-of-another",
        "a rollback counts for a later merge than its own",
        "SMS DUR",
        "merging",
        "    if merging is None or merging.index != command.index:\n        return EpochNotMatch",
        "    if merging is None:\n        return EpochNotMatch",
        "merging merge_troubles",
        69,
    ),
    _fault(
        "merge-catch-up-without-own",
        "a source that is brought up to its PREPARE takes nothing from its own log",
        "SMS DUR",
        "merging",
        "    return own + [entry for entry in carried if entry.index > source.applied]\n",
        "    return [entry for entry in carried if entry.index > source.applied]\n",
        "merging",
    ),
    _fault(
        "merge-absorbed-stays-in-engine",
        "the engine is not told that the source's peer is no more",
        "SMS",
        "merging",
        "    put_region_state(batch, RegionState(PeerState.MERGED, source.peer_id, region))\n",
        "",
        "merging",
        68,
    ),
]

_CARRIED_OUT: Final = [
    _fault(
        "merge-stalled-for-ever",
        "a commit that waited for its source is not begun again when that has come",
        "LIVE",
        "peers",
        "            self.stalled.remove(waiting)\n            self._begin_anew(waiting)\n",
        "            self.stalled.remove(waiting)\n",
        "sim_store/test_merge",
    ),
    _fault(
        "merge-forgotten-at-start",
        "a source that was being merged is none after a restart",
        "LIN",
        "peers",
        "                if merge.merging is not None:\n",
        "                if False:\n",
        "merging",
    ),
    _fault(
        "merge-waiter-told-unknown",
        "who waits behind PREPARE in the source's log is told that it may have happened",
        "check",
        "peers",
        "            peer.waiting.give_up(RegionNotFound(peer.region.id))  # what is behind PREPARE in its log never was\n",
        "",
        "merge_troubles",
    ),
    _fault(
        "merge-floor-stays",
        "a leader that proposed to merge never cuts its log again",
        "M",
        "merging",
        "    peer.log_floor = None  # from now on `merging` keeps the log, or nothing\n",
        "",
        "merge_troubles",
    ),
    _fault(
        "merge-floor-looked-at-early",
        "a merge that is prepared while a cut is on its way loses entries that its commit has to carry",
        "LIVE",
        "duties",
        "            index = wanted if floor is None else min(wanted, floor)  # a commit has to carry what is behind it\n",
        "            index = wanted\n",
        "merge_troubles",
    ),
    _fault(
        "merge-prepared-twice",
        "a second PREPARE is proposed while the first is on its way",
        "LIVE",
        "merging",
        "    if peer.log_floor is not None:\n",
        "    if False:\n",
        "merge_troubles",
    ),
    _fault(
        "merge-never-given-up",
        "a merge that nobody can commit waits for ever",
        "LIVE",
        "merging",
        "            self._call(target, lambda deadline: pass_epoch(target, deadline))\n",
        "            pass\n",
        "merge_troubles",
    ),
    _fault(
        "merge-target-led-elsewhere",
        "the source's leader does not take over a target that is not committed where it is led",
        "LIVE",
        "merging",
        "            target.group.act(lambda raw: raw.transfer_leader(target.peer_id))\n",
        "            pass\n",
        "merge_troubles",
    ),
    _fault(
        "merge-proof-goes-with-peer",
        "a target's peer that was destroyed leaves no proof",
        "LIVE",
        "peers",
        "        put_merge_state(batch, region.id, MergeState(peer.began))  # how far it came, and from where: it may be proof\n",
        "        put_merge_state(batch, region.id, MergeState(region.epoch))\n",
        "merge_troubles",
    ),
    _fault(
        "merge-takes-keys-that-are-needed",
        "a snapshot takes the keys of a source whose commit the target's peer has not applied",
        "LIVE",
        "snapshots",
        "        return is_idle and other.heir is not None and not self._peers.is_needed(other, takers)\n",
        "        return is_idle and other.heir is not None\n",
        "sim_store/test_merge",
    ),
    _fault(
        "merge-takes-keys-unasked",
        "a snapshot takes the keys of any region in its range",
        "DUR SMS",
        "snapshots",
        "        return is_idle and other.heir is not None and not self._peers.is_needed(other, takers)\n",
        "        return is_idle\n",
        "sim_store/test_merge",
    ),
]

_PEERS: Final = [
    _fault(
        "store-log-before-tombstone",
        "a log goes at the start before the tombstone beside it is on disk",
        "ES DUR",
        "store",
        "            await self.engine.sync()  # after a kill the engine shows what a power cut may yet take back\n",
        "",
        "merge_troubles",
    ),
    _fault(
        "store-child-log-before-split",
        "the log of a region that was cut off is on disk before it is known there that the split is committed",
        "LIVE",
        "peers",
        "            self._driver.write(*self._known_of(parent), *items, then=begin)\n",
        "            self._driver.write(*items, then=begin)\n",
        "sim_store/test_merge",
    ),
    _fault(
        "store-learner-waits",
        "a learner that was removed and not told follows its last leader for ever",
        "M",
        "peer",
        "        is_lonely = self.is_expelled or raft.leader == NO_NODE or is_deaf\n",
        "        is_lonely = self.is_expelled or raft.leader == NO_NODE\n",
        "merge_troubles",
    ),
    _fault(
        "store-failed-peer-stays",
        "a peer that failed is never asked for, so it stays when it is replaced",
        "LIVE",
        "duties",
        "            if not is_out and peer.leaderless_ticks < patience:\n",
        "            if peer.leaderless_ticks < patience:\n",
        "merge_troubles",
    ),
    _fault(
        "store-empty-peer-stays",
        "a peer without keys, of a region that is no more, is never told so",
        "M",
        "duties",
        "                self._peers.ask(peer)  # those that campaign are told then\n",
        "                pass\n",
        "merge_troubles",
        71,
    ),
]

_REGIONS: Final = [
    _fault(
        "store-snapshot-over-others",
        "a snapshot is taken whose keys other regions of the store have",
        "DUR SMS",
        "snapshots",
        "        if overlapping or own is None or own.store_id != self._shared.store_id:\n",
        "        if own is None or own.store_id != self._shared.store_id:\n",
        "snapshots sim_store/test_merge",
        66,
    ),
    _fault(
        "store-split-over-tombstone",
        "a split makes a peer again that was removed before",
        "ES SMS",
        "apply",
        "        buried = shared.tombstones.get(part.id, 0)\n",
        "        buried = 0\n",
        "apply peers recovery",
        67,
    ),
    _fault(
        "store-serves-any-epoch",
        "a region is read and written by callers that know another range of it",
        "LIN",
        "peer",
        "        if ctx.epoch.version != self.region.epoch.version:\n            check_epoch(",
        "        if not self.region.epoch.version:\n            check_epoch(",
        "store changes",
        83,
    ),
]

_TIMESTAMPS: Final = [
    _fault(
        "tso-begins-at-clock",
        "a new leader gives timestamps by its clock, below those of the one before",
        "LIN",
        "pd/tso",
        "        self._last = Timestamp(max(saved_ms, now_ms), 0)\n",
        "        self._last = Timestamp(now_ms, 0)\n",
        "unit/pd/test_tso",
        81,
    ),
    _fault(
        "tso-passes-its-bound",
        "timestamps are given above the bound that the log holds",
        "LIN",
        "pd/tso",
        "        if physical_ms >= self._saved_ms:\n            return None\n",
        "",
        "unit/pd/test_tso",
        81,
    ),
    _fault(
        "tso-bound-believed-early",
        "a bound counts before the log holds it",
        "LIN",
        "pd/tso",
        "        return ahead_ms + self._window_ms\n",
        "        self._saved_ms = ahead_ms + self._window_ms\n        return self._saved_ms\n",
        "unit/pd/test_tso",
        81,
    ),
]

FAULTS: Final[tuple[Fault, ...]] = (*_RULES, *_APPLIED, *_CARRIED_OUT, *_PEERS, *_REGIONS, *_TIMESTAMPS)
