"""SplitRegion: what reaches the store, and what a client hears."""

from __future__ import annotations

from typing import Any

import pytest

from raftly.base.memcomparable import encode_bytes
from raftly.base.region import Peer, Region
from raftly.base.region_errors import EpochNotMatch, KeyNotInRegion, NotRegionLeader
from raftly.client.errors import NotDone
from raftly.errors import OutcomeUnknown, RaftlyError
from raftly.proto import kvrpcpb_pb2 as pb
from raftly.rpc import RpcError, StatusCode
from raftly.server.kv_server import KvServerOptions
from raftly.server.raw import RawOptions
from raftly.server.standalone import StandaloneKv
from tests.unit.server.parts import CONTEXT, Fake, context, ignore, run, served


def ask(backend: Any, **fields: Any) -> Any:
    """The answer of a server over this backend."""
    fields.setdefault("context", CONTEXT)

    async def body() -> Any:
        async with served(backend, KvServerOptions(cluster_id=9, raw=RawOptions(key_bytes_max=9))) as (_s, _c, client):
            return await client.split_region(pb.SplitRegionRequest(**fields))

    return run(body())


@pytest.mark.parametrize("fields", [{"split_key": b"m"}, {"split_keys": [b"m"]}])
def test_a_region_is_cut_in_two(fields: Any) -> None:
    backend = Fake()
    response = ask(backend, is_raw_kv=True, **fields)
    assert backend.cut == [b"m"]
    assert not response.HasField("region_error")
    assert [(one.start_key, one.end_key) for one in response.regions] == [(b"", b"m"), (b"m", b"")]
    assert [response.left, response.right] == list(response.regions)


def test_keys_of_transactions_are_encoded() -> None:
    backend = Fake()
    response = ask(backend, split_keys=[b"m", b"k"])
    assert backend.cut == [encode_bytes(b"m"), encode_bytes(b"k")]
    assert len(response.regions) == 3


def test_where_a_cut_is_already_there_is_one_region() -> None:
    class Whole(Fake):
        async def split(self, *_: Any) -> list[Region]:
            return [Region(7, b"m")]

    response = ask(Whole(), split_keys=[b"m"])
    assert [one.id for one in response.regions] == [7]
    assert not response.HasField("right")


@pytest.mark.parametrize(
    "error,field",
    [
        (NotRegionLeader(1, Peer(7, 2)), "not_leader"),
        (EpochNotMatch((Region(1),)), "epoch_not_match"),
        (KeyNotInRegion(b"z", Region(1, b"", b"k")), "key_not_in_region"),
        (OutcomeUnknown("who knows"), "undetermined_result"),
        (NotDone("ask_batch_split", "nobody answers"), "server_is_busy"),
    ],
)
def test_what_goes_wrong_is_a_region_error(error: RaftlyError, field: str) -> None:
    backend = Fake()
    backend.error = error
    response = ask(backend, split_keys=[b"m"], is_raw_kv=True)
    assert response.region_error.HasField(field)
    assert not response.regions


@pytest.mark.parametrize("keys", [[], [b""], [b"a", b""], [b"a", b"x" * 10]])
def test_keys_at_which_nothing_can_be_split_are_refused(keys: list[bytes]) -> None:
    backend = Fake()
    response = ask(backend, split_keys=keys)
    assert len(response.errors) == 1
    assert response.errors[0].abort
    assert not backend.cut


def test_a_store_that_stands_alone_and_another_cluster_say_so() -> None:
    fake = Fake()
    for backend, asked, status in (
        (StandaloneKv(fake.engine, ignore), CONTEXT, StatusCode.UNIMPLEMENTED),
        (fake, context(cluster_id=8), StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(RpcError) as caught:
            ask(backend, context=asked, split_keys=[b"m"])
        assert caught.value.status is status
