"""The cache beside a naive twin, and what it learns from each error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.region import Peer, PeerRole, Region, RegionEpoch
from raftly.base.region_errors import (
    DataIsNotReady,
    EpochNotMatch,
    KeyNotInRegion,
    MismatchPeerId,
    NotRegionLeader,
    ProposalInMergingMode,
    ReadIndexNotReady,
    RegionError,
    RegionNotFound,
    ServerIsBusy,
    StaleCommand,
    StoreNotMatch,
)
from raftly.client.backoff import Cause
from raftly.client.region_cache import RegionCache, Route

A, B, C = Peer(11, 1), Peer(12, 2), Peer(13, 3)


def region(id_: int = 2, lo: bytes = b"", hi: bytes = b"", version: int = 1, conf_ver: int = 1) -> Region:
    return Region(id_, lo, hi, RegionEpoch(conf_ver, version), (A, B, C))


def cache_with(*regions: Region, leader: Peer = A) -> RegionCache:
    cache = RegionCache()
    for one in regions:
        assert cache.add(one, leader)
    return cache


def route(cache: RegionCache, key: bytes = b"k") -> Route:
    found = cache.find(key)
    assert found is not None
    return found


KEYS = st.sampled_from([b"", b"a", b"b", b"bb", b"c", b"d", b"e"])


@given(st.lists(st.tuples(st.integers(1, 6), KEYS, KEYS, st.integers(1, 5)), max_size=12), KEYS)
def test_no_two_regions_overlap_and_all_are_found(told: list[tuple[int, bytes, bytes, int]], key: bytes) -> None:
    cache = RegionCache()
    known: list[Region] = []
    for id_, lo, hi, version in told:
        if hi and lo >= hi:
            continue
        new = region(id_, lo, hi, version)
        stale = any(old.id == id_ and new.epoch.is_older_than(old.epoch) for old in known)
        stale |= any(old.overlaps(new) and old.epoch.version > version for old in known)
        assert cache.add(new, A) is not stale
        if not stale:
            known = [old for old in known if old.id != id_ and not old.overlaps(new)] + [new]
    assert len(cache) == len(known)
    found = cache.find(key)
    assert ([found.region] if found else []) == [one for one in known if one.contains(key)]
    below = cache.find_below(key)
    assert ([below.region] if below else []) == [one for one in known if one.contains_end(key)]


def test_below_an_empty_key_is_the_last_region() -> None:
    cache = cache_with(region(1, b"", b"m"), region(2, b"m", b""))
    assert cache.find_below(b"") == cache.find(b"z")
    assert cache.find_below(b"m") == cache.find(b"")
    assert cache.find_below(b"n") == cache.find(b"z")


def test_what_is_older_is_not_taken() -> None:
    cache = cache_with(region(2, b"", b"m", version=2), region(3, b"m", b"", version=2))
    assert not cache.add(region(2, b"", b"", version=1), A)
    assert cache.add(region(2, b"", b"m", version=2, conf_ver=2), B)
    assert not cache.add(region(2, b"", b"m", version=2, conf_ver=1), A)
    assert route(cache, b"a").leader == B


def test_the_leader_is_kept_when_none_is_told() -> None:
    cache = cache_with(region(), leader=B)
    assert cache.add(region(conf_ver=2))
    assert route(cache).leader == B
    assert cache.add(Region(2, epoch=RegionEpoch(3, 1), peers=(Peer(14, 4, PeerRole.LEARNER), C)))
    assert route(cache).leader == C, "the first that may lead"
    assert not cache.add(Region(9, epoch=RegionEpoch(9, 9), peers=(Peer(14, 4, PeerRole.LEARNER),)))


def test_a_leader_that_is_named_is_asked_next() -> None:
    cache = cache_with(region())
    assert cache.on_error(route(cache), NotRegionLeader(2, C)) is Cause.LEADER_MOVED
    assert route(cache).leader == C


def test_a_leader_that_is_no_peer_is_looked_up() -> None:
    cache = cache_with(region())
    assert cache.on_error(route(cache), NotRegionLeader(2, Peer(19, 9))) is Cause.ROUTE
    assert cache.find(b"k") is None


def test_without_a_leader_every_peer_is_asked_before_the_region_is_looked_up() -> None:
    cache = cache_with(region())
    asked = []
    while (found := cache.find(b"k")) is not None:
        asked.append(found.leader)
        assert cache.on_error(found, NotRegionLeader(2)) is Cause.NO_LEADER
    assert asked == [A, B, C]


def test_a_peer_that_names_a_leader_that_is_gone_does_not_hide_the_third() -> None:
    cache = cache_with(region(), leader=C)
    asked: list[Peer] = []
    while (found := cache.find(b"k")) is not None and len(asked) < 9:
        asked.append(found.leader)
        if found.leader == A:
            cache.on_error(found, NotRegionLeader(2, C))
        else:
            cache.on_connection_lost(found)
    assert asked == [C, A, C, B]


def test_one_that_was_asked_in_vain_is_asked_again_when_it_is_named() -> None:
    cache = cache_with(region())
    cache.on_connection_lost(route(cache))
    for refusal in (NotRegionLeader(2), NotRegionLeader(2, B)):  # of B, then of C: B has won since
        cache.on_error(route(cache), refusal)
    assert route(cache).leader == B
    cache.on_served(route(cache))
    cache.on_connection_lost(route(cache))
    assert route(cache).leader == C, "what was before it served is forgotten"


def test_a_region_that_nobody_knows_better_is_asked_for_again_at_all_its_peers() -> None:
    cache = cache_with(region())
    for _ in range(2):
        for peer in (A, B, C):
            assert route(cache).leader == peer
            cache.on_connection_lost(route(cache))
        assert cache.find(b"k") is None
        assert cache.find_below(b"") is None
        assert cache.believe(b"", below=True)
    assert not RegionCache().believe(b"k")


def test_a_region_that_is_looked_up_again_is_doubted_no_more() -> None:
    cache = cache_with(region())
    last = route(cache)
    while (found := cache.find(b"k")) is not None:
        last = found
        cache.on_connection_lost(found)
    assert cache.add(region(), B)
    assert route(cache).leader == B
    assert last.leader == C


@pytest.mark.parametrize("peers", [(Peer(11, 1, PeerRole.LEARNER),), (Peer(11, 1, PeerRole.LEARNER), B, C)])
def test_a_leader_without_a_vote_is_left_for_those_with_one(peers: tuple[Peer, ...]) -> None:
    cache = RegionCache()
    cache.add(Region(2, epoch=RegionEpoch(1, 1), peers=peers), peers[0])
    asked = []
    while (found := cache.find(b"k")) is not None:
        asked.append(found.leader)
        cache.on_connection_lost(found)
    assert asked == list(peers)


def test_a_lost_connection_turns_to_the_next_peer_once_for_all_requests() -> None:
    cache = cache_with(region())
    first = route(cache)
    assert cache.on_connection_lost(first) is Cause.CONNECTION
    assert cache.on_connection_lost(first) is Cause.CONNECTION, "another request that was under way"
    assert route(cache).leader == B


def test_a_peer_that_serves_is_asked_again_after_later_failures() -> None:
    cache = cache_with(region())
    for _ in range(5):
        cache.on_served(route(cache))
        cache.on_connection_lost(route(cache))
    assert cache.find(b"k") is not None


def test_a_split_is_learned_from_the_refusal() -> None:
    cache = cache_with(region(), leader=B)
    halves = (region(2, b"", b"m", 2), Region(3, b"m", b"", RegionEpoch(1, 2), (Peer(21, 1), Peer(22, 2))))
    assert cache.on_error(route(cache), EpochNotMatch(halves)) is Cause.ROUTE
    assert route(cache, b"a") == Route(halves[0], B)
    assert route(cache, b"n") == Route(halves[1], Peer(22, 2))


def test_a_store_that_is_behind_is_waited_for() -> None:
    cache = cache_with(region(version=3))
    assert cache.on_error(route(cache), EpochNotMatch((region(version=2),))) is Cause.NOT_READY
    assert route(cache).region.epoch.version == 3


def test_an_epoch_error_that_tells_nothing_drops_the_route() -> None:
    cache = cache_with(region())
    assert cache.on_error(route(cache), EpochNotMatch(())) is Cause.ROUTE
    assert cache.find(b"k") is None


def test_an_error_of_an_old_route_does_not_drop_what_was_learned_since() -> None:
    cache = cache_with(region())
    old = route(cache)
    cache.add(region(version=2), B)
    cache.on_error(old, RegionNotFound(2))
    assert route(cache).leader == B
    cache.on_error(old, NotRegionLeader(2, C))
    assert route(cache).leader == B


def test_each_error_keeps_or_drops_the_route() -> None:
    kept = {
        StaleCommand(): Cause.NOT_READY,
        ReadIndexNotReady(2, "an election"): Cause.NOT_READY,
        ProposalInMergingMode(2): Cause.NOT_READY,
        DataIsNotReady(2, 11): Cause.NOT_READY,
        ServerIsBusy("flooded"): Cause.BUSY,
    }
    dropped = (RegionNotFound(2), KeyNotInRegion(b"k", region()), StoreNotMatch(1, 2), MismatchPeerId(11, 15))
    for error, cause in kept.items():
        cache = cache_with(region())
        assert cache.on_error(route(cache), error) is cause
        assert cache.find(b"k") is not None
    for gone in (*dropped, RegionError("something new")):
        cache = cache_with(region())
        assert cache.on_error(route(cache), gone) is Cause.ROUTE
        assert cache.find(b"k") is None
