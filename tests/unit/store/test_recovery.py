"""What a region needs when it is found on disk again."""

from dataclasses import replace

import pytest

from raftly.engine.base import CF_DEFAULT, WriteBatch
from raftly.engine.memory import MemoryEngine
from raftly.errors import Corruption
from raftly.store.ops import Put
from raftly.store.region_state import get_apply_state, put_apply_state
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, soon


def test_an_engine_that_ends_before_its_log_begins_is_damage_and_stays_as_it_is() -> None:
    async def main() -> None:
        cluster = Cluster(1, options=replace(OPTIONS, log_entries_max=20, log_entries_keep=5))
        await cluster.start()
        store, peer = await cluster.leader()
        old = peer.applied, peer.applied_term
        for number in range(100):
            await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"%03d" % number, b"v")], soon())
        group = peer.group
        assert group is not None
        await cluster.until(lambda: group.log.first_index() - 1 > old[0])
        begin = group.log.first_index() - 1
        await cluster.stop()

        engine = MemoryEngine(cluster.disks[0])
        batch = WriteBatch()
        put_apply_state(batch, peer.region.id, *old)
        engine.write(batch)
        await engine.sync()
        engine.close()
        wanted = f"region {peer.region.id} up to entry {old[0]}, and the log begins behind entry {begin}"
        for _ in range(2):
            with pytest.raises(Corruption, match=wanted) as caught:
                await cluster.boot(0)
            assert "raftly ctl store remove" in str(caught.value)
        engine = MemoryEngine(cluster.disks[0])
        assert get_apply_state(engine, peer.region.id).index == old[0]
        engine.close()

    run(main())
