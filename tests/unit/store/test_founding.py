"""A cluster begins once."""

import asyncio

import pytest

from raftly.engine.base import CF_DEFAULT
from raftly.engine.memory import MemoryEngine
from raftly.errors import StorageError
from raftly.pd.local import LocalPlacement
from raftly.store.ops import Put
from raftly.store.region_state import all_region_states
from tests.support.virtual import run
from tests.unit.store.cluster import Cluster, soon


def test_a_store_with_regions_does_not_begin_its_cluster_anew() -> None:
    """Its placement driver was started with an empty directory and the old cluster's id."""

    async def main() -> None:
        cluster = Cluster(1)
        await cluster.start()
        store, peer = await cluster.leader()
        await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"a", b"1")], soon())
        await cluster.stop()
        cluster.placement = LocalPlacement(lambda: asyncio.get_running_loop().time())
        with pytest.raises(StorageError, match="has 1 regions of cluster 1, and its placement driver says that"):
            await cluster.boot(0)
        engine = MemoryEngine(cluster.disks[0])
        assert [state.region for state in all_region_states(engine)] == [peer.region]
        engine.close()

    run(main())
