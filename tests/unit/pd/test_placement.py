from collections.abc import Callable
from dataclasses import replace

import pytest

from raftly.base.region import Peer, Region, RegionEpoch, encode_region
from raftly.base.store_meta import StoreMeta, StoreState
from raftly.errors import ConfigError
from raftly.node.commands import methods_of
from raftly.node.log_time import at
from raftly.node.machine import StateMachine
from raftly.pd.config import ScheduleConfig
from raftly.pd.errors import Refused
from raftly.pd.placement import ID_MAX, MemberRow, Placement, SavedRegion, report_of, row_of
from tests.support.states import restore, saved

FIRST = Region(2, b"", b"", RegionEpoch(1, 1), (Peer(3, 1),))


def store(id_: int, address: str = "") -> StoreMeta:
    return StoreMeta(id_, address or f"s{id_}:1", labels={"zone": "z"})


def begun(stores: int = 3) -> Placement:
    placement = Placement()
    placement.bootstrap(row_of(store(1)), encode_region(FIRST))
    for id_ in range(2, stores + 1):
        placement.put_store(row_of(store(id_)))
    return placement


def refused(kind: str, act: Callable[[], object]) -> None:
    with pytest.raises(Refused) as caught:
        act()
    assert caught.value.kind == kind
    assert str(caught.value)


def test_the_cluster_id_is_chosen_once() -> None:
    placement = Placement()
    assert placement.found(7) == 7
    assert placement.found(8) == 7


def test_bootstrap() -> None:
    placement = begun(1)
    assert placement.is_bootstrapped
    assert placement.next_id == 4, "beyond what the first store chose"
    report = report_of(placement.regions[2])
    assert report is not None
    assert (report.region, report.leader) == (FIRST, Peer(3, 1))
    refused("ALREADY_BOOTSTRAPPED", lambda: placement.bootstrap(row_of(store(1)), encode_region(FIRST)))


@pytest.mark.parametrize(
    "region",
    [
        encode_region(Region(2, b"a", b"", RegionEpoch(), (Peer(3, 1),))),
        encode_region(Region(2, b"", b"z", RegionEpoch(), (Peer(3, 1),))),
        encode_region(Region(2, b"", b"", RegionEpoch(), (Peer(3, 2),))),
        encode_region(Region(0, b"", b"", RegionEpoch(), (Peer(3, 1),))),
        encode_region(Region(2, b"", b"", RegionEpoch(), (Peer(ID_MAX + 1, 1),))),
        b"no region",
        b"",
    ],
)
def test_a_cluster_does_not_begin_with_anything(region: bytes) -> None:
    placement = Placement()
    refused("INVALID_VALUE", lambda: placement.bootstrap(row_of(store(1)), region))
    assert not placement.is_bootstrapped
    assert not placement.stores


def test_stores() -> None:
    refused("NOT_BOOTSTRAPPED", lambda: Placement().put_store(row_of(store(1))))
    placement = begun()
    assert placement.stores[2].meta() == store(2)
    refused("DUPLICATED_ENTRY", lambda: placement.put_store(row_of(store(9, "s2:1"))))
    for id_ in (0, ID_MAX + 1, (1 << 64) - 1):  # ids would be used up
        refused("INVALID_VALUE", lambda id_=id_: placement.put_store(row_of(store(id_, "far:1"))))  # type: ignore[misc]
    placement.put_store(row_of(replace(store(2), peer_address="s2:2")))
    refused("DUPLICATED_ENTRY", lambda: placement.put_store(row_of(replace(store(3), peer_address="s2:2"))))
    placement.put_store(row_of(store(2, "elsewhere:1")))
    assert placement.stores[2].address == "elsewhere:1"
    placement.put_store(row_of(store(100)))
    assert placement.next_id == 101


def test_a_store_comes_and_goes() -> None:
    placement = begun()
    placement.remove_store(3)
    assert placement.stores[3].meta().state is StoreState.OFFLINE
    placement.put_store(row_of(store(3)))
    assert placement.stores[3].meta().state is StoreState.OFFLINE, "a restart changes no decision"
    placement.restore_store(3)
    assert placement.stores[3].meta().state is StoreState.UP
    assert not placement.bury_store(3)
    placement.remove_store(3)
    assert placement.bury_store(3)
    for act in (placement.remove_store, placement.restore_store):
        refused("STORE_TOMBSTONE", lambda act=act: act(3))  # type: ignore[misc]
    refused("STORE_TOMBSTONE", lambda: placement.put_store(row_of(store(3))))
    placement.put_store(row_of(store(4, "s3:1")))  # its address is free
    refused("INVALID_VALUE", lambda: placement.remove_store(77))
    for id_ in (4, 2):
        placement.remove_store(id_)
    refused("INVALID_VALUE", lambda: placement.remove_store(1))


def test_numbers() -> None:
    placement = Placement()
    assert [placement.reserve_ids(5), placement.reserve_ids(1), placement.reserve_ids(1)] == [1, 6, 7]
    refused("INVALID_VALUE", lambda: placement.reserve_ids(0))
    assert placement.save_tso_bound(100) == 100
    assert placement.save_tso_bound(50) == 100


def test_a_region_whose_leader_is_none_of_its_peers_is_not_told_of() -> None:
    assert report_of(SavedRegion(encode_region(FIRST), 77)) is None


def test_safe_points_use_log_time() -> None:
    placement = Placement()
    with at(1_000_000):
        placement.set_gc_barrier("b", 50, 10)
        assert placement.advance_txn_safe_point(60) == (0, 50, "barrier b")
        assert placement.gc_state() == (50, 0, {"b": (50, 10)})
    with at(11_000_000):
        assert placement.gc_state() == (50, 0, {}), "its time is over"
        assert placement.delete_gc_barrier("b") is None


def test_every_field_travels_in_a_snapshot() -> None:
    placement = begun()
    placement.register(MemberRow(1, "pd-1", ["http://a:1"], ["http://a:2"]))
    placement.configure(ScheduleConfig(max_replicas=5))
    with at(1_000_000):
        placement.set_gc_barrier("b", 50, 10)
        placement.update_service_safe_point("br", 50, 10)
    machine = StateMachine(lambda: placement)
    again = StateMachine(Placement)
    restore(again, saved(machine))
    assert vars(again.instance) == vars(placement)
    assert set(methods_of(Placement)) >= {"found", "reserve_ids", "save_tso_bound", "put_store", "save_regions"}


@pytest.mark.parametrize(
    "option",
    [
        {"max_replicas": 0},
        {"max_replicas": 16},
        {"low_space_ratio": 0.0},
        {"isolation_level": "planet"},
        {"down_after_s": 0.0},
        {"leader_limit": -1},
    ],
)
def test_options_have_bounds(option: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ScheduleConfig(**option)  # type: ignore[arg-type]
