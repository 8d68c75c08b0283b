"""Founding: whose directory this is, and the first region of a new cluster.

The first region is written here before the placement driver is asked to begin the cluster with it, and marked: after a
crash in between the same one is offered again. A store that comes second takes its own back.
"""

from __future__ import annotations

from dataclasses import replace

from raftly.base.rand import RandomSource
from raftly.base.region import Peer, Region, decode_region, encode_region
from raftly.base.store_meta import StoreMeta
from raftly.engine.base import CF_RAFT, Engine, WriteBatch
from raftly.errors import StorageError
from raftly.store.keys import PREPARED_KEY, apply_state_key, region_state_key
from raftly.store.placement import PlacementClient
from raftly.store.region_state import (
    FIRST_INDEX,
    FIRST_TERM,
    PeerState,
    RegionState,
    StoreIdent,
    all_region_states,
    get_ident,
    put_apply_state,
    put_ident,
    put_region_state,
)


async def identify(engine: Engine, placement: PlacementClient, random: RandomSource) -> StoreIdent:
    """Who this store is: as its directory says, else with a new id.

    Raises:
        StorageError: the directory belongs to a store of another cluster.
        RaftlyError: the placement driver cannot be reached.
    """
    ident = get_ident(engine)
    cluster_id = await placement.cluster_id()
    if ident is None:
        ident = StoreIdent(cluster_id, await placement.alloc_id(), random.below((1 << 63) - 1) + 1)
        batch = WriteBatch()
        put_ident(batch, ident)
        engine.write(batch)
        await engine.sync()
    if ident.cluster_id != cluster_id:
        raise StorageError(
            f"this directory is of store {ident.store_id} of cluster {ident.cluster_id}, and the placement driver "
            f"is of cluster {cluster_id}: name the right driver, or another directory"
        )
    return ident


async def found(engine: Engine, placement: PlacementClient, meta: StoreMeta) -> None:
    """Begin the cluster, unless it has begun.

    Raises:
        StorageError: it has not, and still this store has regions.
        RaftlyError: the placement driver cannot be reached.
    """
    prepared = engine.get(CF_RAFT, PREPARED_KEY)
    if prepared is None and await placement.is_bootstrapped():
        return
    if prepared is not None:
        region, _ = decode_region(prepared)
    elif held := all_region_states(engine):
        raise StorageError(
            f"this store has {len(held)} regions of cluster {await placement.cluster_id()}, and its placement driver "
            f"says that the cluster has not begun: the driver has lost what it knew, and a new first region would lie "
            f"over the keys that are here"
        )
    else:
        region = await _prepare(engine, placement, meta)
    batch = WriteBatch()
    batch.delete(CF_RAFT, PREPARED_KEY)
    if not await placement.bootstrap(replace(meta), region):
        known = await placement.region_by_id(region.id)
        if known is None or known[0].peer(region.peers[0].id) is None:
            batch.delete(CF_RAFT, region_state_key(region.id))
            batch.delete(CF_RAFT, apply_state_key(region.id))
    engine.write(batch)
    await engine.sync()


async def _prepare(engine: Engine, placement: PlacementClient, meta: StoreMeta) -> Region:
    region_id, peer_id = await placement.alloc_id(), await placement.alloc_id()
    region = Region(region_id, peers=(Peer(peer_id, meta.id),))
    batch = WriteBatch()
    batch.put(CF_RAFT, PREPARED_KEY, encode_region(region))
    put_region_state(batch, RegionState(PeerState.NORMAL, peer_id, region))
    put_apply_state(batch, region_id, FIRST_INDEX, FIRST_TERM)
    engine.write(batch)
    await engine.sync()
    return region
