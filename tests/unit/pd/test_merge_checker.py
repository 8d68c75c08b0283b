from dataclasses import replace

from raftly.base.region import RegionId
from raftly.pd.cluster import Cluster
from raftly.pd.config import ScheduleConfig
from raftly.pd.moves import Unite
from raftly.pd.schedulers.merge_checker import check
from tests.unit.pd.clusters import MIB, cluster_of, region, report

SMALL = report(region(2, b"g", b"p", [1, 2, 3]), size=MIB)
BELOW = report(region(1, b"", b"g", [1, 2, 3]), size=50 * MIB)
ABOVE = report(region(3, b"p", b"", [1, 2, 3]), size=40 * MIB)


def made(**changes: object) -> Cluster:
    cluster = cluster_of(3, replace(ScheduleConfig(), **changes))  # type: ignore[arg-type]
    cluster.now_s = 4000.0
    for each in (BELOW, SMALL, ABOVE):
        cluster.regions.put(each)
    return cluster


def look(cluster: Cluster, split_at_s: float = 0.0, busy: RegionId = 0) -> Unite | None:
    return check(cluster, SMALL, lambda region_id: region_id != busy, lambda _: split_at_s)


def test_a_small_region_goes_to_its_smaller_neighbour() -> None:
    assert look(made()) == Unite(SMALL, ABOVE)
    assert look(made(), busy=3) == Unite(SMALL, BELOW)


def test_what_forbids_it() -> None:
    assert look(made(merge=False)) is None
    assert look(made(merge_bytes_max=MIB)) is None, "it is not small"
    assert look(made(merge_keys_max=0)) == Unite(SMALL, ABOVE)
    assert look(made(), split_at_s=1000.0) is None, "it was split a while ago"
    assert look(made(region_bytes_max=40 * MIB)) is None, "the whole would be too large"
    assert look(made(max_replicas=5)) is None, "replicas are missing"


def test_neighbours_with_no_store_in_common_are_left() -> None:
    cluster = made()
    cluster.regions.put(report(region(3, b"p", b"", [4, 5, 6], conf_ver=2), size=MIB))
    cluster.regions.put(report(region(1, b"", b"g", [4, 5, 6], conf_ver=2), size=MIB))
    assert look(cluster) is None
