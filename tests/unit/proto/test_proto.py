"""The wire is kvproto's: bytes made by hand decode to the right fields, and the modules are what the tables say."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from raftly.proto import errorpb_pb2, kvrpcpb_pb2, metapb_pb2, pdpb_pb2, pdpb_rpc, tikvpb_pb2, tikvpb_rpc
from raftly.rpc.service import Kind, files_of
from tools.proto import OUT, TABLES, describe, render


def _bytes(field: int, payload: bytes) -> bytes:
    assert field < 16
    assert len(payload) < 128
    return bytes([field << 3 | 2, len(payload)]) + payload


def _varint(field: int, value: int) -> bytes:
    assert field < 16
    assert value < 128
    return bytes([field << 3, value])


def test_a_raw_put_is_read_from_its_bytes() -> None:
    epoch = _varint(1, 5) + _varint(2, 7)
    peer = _varint(1, 11) + _varint(2, 3)
    context = _varint(1, 9) + _bytes(2, epoch) + _bytes(3, peer)
    wire = _bytes(1, context) + _bytes(2, b"key") + _bytes(3, b"value") + _bytes(4, b"write") + _varint(5, 60)
    request = kvrpcpb_pb2.RawPutRequest.FromString(wire)
    assert (request.key, request.value, request.cf, request.ttl) == (b"key", b"value", "write", 60)
    assert request.context.region_id == 9
    assert (request.context.region_epoch.conf_ver, request.context.region_epoch.version) == (5, 7)
    assert (request.context.peer.id, request.context.peer.store_id) == (11, 3)
    assert request.SerializeToString() == wire


def test_a_region_error_has_the_fields_where_clients_look() -> None:
    leader = metapb_pb2.Peer(id=4, store_id=2)
    error = errorpb_pb2.Error(message="m", not_leader=errorpb_pb2.NotLeader(region_id=1, leader=leader))
    assert error.SerializeToString() == _bytes(1, b"m") + _bytes(
        2, _varint(1, 1) + _bytes(2, _varint(1, 4) + _varint(2, 2))
    )
    assert error.HasField("not_leader")
    assert not error.HasField("epoch_not_match")


def test_a_timestamp_answer_has_its_header_first() -> None:
    header = pdpb_pb2.ResponseHeader(cluster_id=6)
    answer = pdpb_pb2.TsoResponse(header=header, count=2, timestamp=pdpb_pb2.Timestamp(physical=3, logical=4))
    assert answer.SerializeToString() == _bytes(1, _varint(1, 6)) + _varint(2, 2) + _bytes(
        3, _varint(1, 3) + _varint(2, 4)
    )


def test_oneofs_maps_and_nested_messages() -> None:
    batch = tikvpb_pb2.BatchCommandsRequest.Request()
    batch.RawGet.key = b"k"
    assert batch.WhichOneof("cmd") == "RawGet"
    batch.Empty.test_id = 5
    assert batch.WhichOneof("cmd") == "Empty"
    assert batch.DESCRIPTOR.fields_by_name["Empty"].number == 255
    found = pdpb_pb2.QueryRegionResponse()
    found.regions_by_id[8].region.id = 8
    assert pdpb_pb2.QueryRegionResponse.FromString(found.SerializeToString()).regions_by_id[8].region.id == 8


def test_enums_have_names_and_numbers() -> None:
    assert metapb_pb2.Learner == metapb_pb2.PeerRole.Value("Learner") == 1
    assert metapb_pb2.StoreState.Name(2) == "Tombstone"


def test_methods_have_the_paths_and_kinds_of_the_wire() -> None:
    assert tikvpb_rpc.TIKV_RAW_GET.path == b"/tikvpb.Tikv/RawGet"
    assert tikvpb_rpc.TIKV_BATCH_COMMANDS.kind is Kind.STREAM_STREAM
    assert pdpb_rpc.PD_TSO.path == b"/pdpb.PD/Tso"


def test_another_kvproto_may_live_in_the_process() -> None:
    theirs = descriptor_pb2.FileDescriptorProto(name="metapb.proto", package="metapb", syntax="proto3")
    theirs.message_type.add(name="Region")
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(theirs.SerializeToString())
    other = message_factory.GetMessageClass(pool.FindMessageTypeByName("metapb.Region"))
    assert other is not metapb_pb2.Region


def test_reflection_gets_every_file_with_its_imports() -> None:
    files = [descriptor_pb2.FileDescriptorProto.FromString(file) for file in files_of(tikvpb_pb2.DESCRIPTOR)]
    names = {file.name for file in files}
    assert {"raftly/proto/tikvpb.proto", "raftly/proto/kvrpcpb.proto", "raftly/proto/metapb.proto"} <= names
    assert {name for file in files for name in file.dependency} <= names


# --- the tables, where they are --------------------------------------------------------------------------------------

needs_tables = pytest.mark.skipif(not TABLES.exists(), reason="the tables of kvproto (../shared/kvproto) are not here")


@needs_tables
def test_the_modules_are_those_that_the_tables_make() -> None:
    made = render(TABLES)
    kept = {path.name: path.read_text("utf-8") for pattern in ("*_pb2.py*", "*_rpc.py") for path in OUT.glob(pattern)}
    assert {name for name in made.keys() | kept.keys() if made.get(name) != kept.get(name)} == set()


def test_each_kind_of_row_becomes_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "messages.csv").write_text(
        "package,message,field,number,type,label,enum_or_message_type,oneof\n"
        "b,Empty,,,,,,\n"
        "b,Outer,one,1,uint64,optional,,which\n"
        "b,Outer,two,2,message,optional,a.Thing,which\n"
        'b,Outer,by_name,3,"map<string,message>",repeated,a.Thing,\n'
        "b,Outer.Inner,kind,1,enum,repeated,b.Kind,\n"
        "a,Thing,raw,1,bytes,optional,,\n"
    )
    (tmp_path / "enums.csv").write_text("package,enum,value,number\nb,Kind,NONE,0\nb,Kind,SOME,3\n")
    (tmp_path / "services.csv").write_text(
        "package,service,method,request,response,client_streaming,server_streaming\nb,S,Do,a.Thing,b.Empty,true,false\n"
    )
    first, second = describe(tmp_path)
    assert (first.package, second.package) == ("a", "b")
    assert list(second.dependency) == ["raftly/proto/a.proto"]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(first.SerializeToString())
    pool.AddSerializedFile(second.SerializeToString())
    outer = message_factory.GetMessageClass(pool.FindMessageTypeByName("b.Outer"))
    value = outer(two={"raw": b"x"}, by_name={"n": {"raw": b"y"}})
    assert value.SerializeToString() == b"\x12\x03\x0a\x01x" + b"\x1a\x08\x0a\x01n\x12\x03\x0a\x01y"
    assert pool.FindMessageTypeByName("b.Empty").fields == []
    inner = pool.FindMessageTypeByName("b.Outer.Inner")
    kind = inner.fields_by_name["kind"].enum_type
    assert kind is not None
    assert kind.values_by_name["SOME"].number == 3
    method = second.service[0].method[0]
    assert (method.client_streaming, method.server_streaming, method.input_type) == (True, False, ".a.Thing")
