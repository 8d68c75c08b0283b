"""Duties: what a store tells of its regions, and when it looks at them."""

from dataclasses import replace

from raftly.engine.base import CF_DEFAULT
from raftly.store.ops import Put
from tests.support.virtual import run
from tests.unit.store.cluster import OPTIONS, Cluster, soon


def test_keys_written_again_count_once_when_a_region_was_walked_over() -> None:
    async def main() -> None:
        options = replace(
            OPTIONS, region_max_keys=100, region_split_keys=50, region_split_bytes=1 << 10, split_check_interval=1.0
        )
        cluster = Cluster(1, options=options)
        await cluster.start()
        store, peer = await cluster.leader()
        for _ in range(2):
            for number in range(60):
                await store.write(cluster.context(peer), [Put(CF_DEFAULT, b"%03d" % number, b"v")], soon())
        reports = cluster.placement.leader.cluster.regions

        def told() -> int:
            report = reports.by_id(peer.region.id)
            return 0 if report is None else report.approximate_keys

        await cluster.until(lambda: told() == 60)
        assert peer.keys == 60
        parts = await store.split(cluster.context(peer), [b"030"], soon())
        await cluster.until(lambda: len(store.regions()) == 2)
        cut_off = store.peer_of(parts[1].id)
        assert cut_off is not None
        assert (peer.keys, cut_off.keys) == (30, 30)
        await cluster.stop()

    run(main())
