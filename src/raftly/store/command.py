"""Commands: what the entries of a region's log say. Every replica does the same with the same bytes.

    command    u8 version 1   u8 kind   u64 version of the region's epoch for which it was proposed   body
    1 WRITE    ops to the end:  u8 op   u8 family (0 default, 1 lock, 2 write)   u32 size, key   then by op
                 1 PUT            u32 size, value
                 2 DELETE         nothing
                 3 DELETE_RANGE   u32 size, end of the range
                 4 CAS            u32 size, value   u8 flags: 1 expects a value, 2 values carry expiries   u64 now_s
                                  u32 size, expected value
                 5 CAS_DELETE     as CAS, without the value
                 6 EXPIRE         u64 now_s
    2 SPLIT    new regions to the end:  u32 size, key   u64 region id   u32 count, that many peer ids (u64)
    3 PREPARE  u64 conf_ver for which it was proposed   u64 index up to which all members have the log
               the target (`base.region`)
    4 COMMIT   u64 conf_ver of the target   u64 index of the PREPARE   the source behind it (`base.region`)
               the source's last entries up to that index, to the end:  u64 term   u32 size, payload
    5 ROLLBACK u64 index of the PREPARE

    change     the context of a change of peers:  u8 version 1   u64 conf_ver for which it was proposed
               peers to the end, of each change but removals:  u64 peer id   u64 store id

Little-endian. An empty payload is a leader's first entry. A command of a version that is unknown stops the peer: it
must not go on otherwise than replicas that know it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from struct import error as struct_error
from typing import Final, TypeAlias, final

from raftly.base.heartbeats import NewRegionIds
from raftly.base.region import Peer, Region, decode_region, encode_region
from raftly.base.types import Entry, Index
from raftly.engine.base import DATA_CFS
from raftly.errors import DecodeError
from raftly.store.ops import Cas, Delete, DeleteRange, Expire, Op, Put

_VERSION: Final = 1
_WHAT: Final = "command"
_HEAD: Final = Struct("<BBQ")
_OP: Final = Struct("<BBI")
_SIZE: Final = Struct("<I")
_CAS: Final = Struct("<BQ")
_ID: Final = Struct("<Q")
_CHANGE: Final = Struct("<BQ")
_PEER: Final = Struct("<QQ")

_PLACE: Final = Struct("<QQ")
_ENTRY: Final = Struct("<QI")

_pack_head: Final = _HEAD.pack
_unpack_head: Final = _HEAD.unpack_from
_pack_op: Final = _OP.pack
_pack_size: Final = _SIZE.pack
_HEAD_BYTES: Final = 10
_OP_BYTES: Final = 6
_SIZE_BYTES: Final = 4

KIND_AT: Final = 1  # the byte of a command that says its kind
WRITE: Final = 1
_SPLIT, _PREPARE, _COMMIT, _ROLLBACK = 2, 3, 4, 5
_PUT, _DELETE, _DELETE_RANGE, _CAS_OP, _CAS_DELETE, _EXPIRE = 1, 2, 3, 4, 5, 6
_EXPECTS: Final = 1
_HAS_TTL: Final = 2
_CF_NUMBERS: Final = {cf: number for number, cf in enumerate(DATA_CFS)}
_CF_NAMES: Final = list(DATA_CFS)  # a tuple would be made anew at each look, once compiled


@final
@dataclass(slots=True)
class Write:
    """Ops on the keys of a region."""

    version: int
    ops: list[Op]


@final
@dataclass(slots=True)
class NewRegion:
    """What one split of several makes: all from `key` on, up to the next."""

    key: bytes
    ids: NewRegionIds


@final
@dataclass(slots=True)
class Split:
    """The region keeps what is below the first key; each new region begins at its own."""

    version: int
    regions: list[NewRegion]


@final
@dataclass(slots=True)
class Prepare:
    """The region is to become part of `target`."""

    version: int
    conf_ver: int
    min_index: Index
    target: Region


@final
@dataclass(slots=True)
class Commit:
    """`source`, which is prepared since the entry at `index`, becomes part of the region; its last entries."""

    version: int
    conf_ver: int
    index: Index
    source: Region
    entries: list[Entry]


@final
@dataclass(slots=True)
class Rollback:
    """The region, which is prepared since the entry at `index`, stays."""

    version: int
    index: Index


Command: TypeAlias = Write | Split | Prepare | Commit | Rollback


def encode_write(version: int, ops: Sequence[Op]) -> bytes:
    """A WRITE."""
    out = [_pack_head(_VERSION, WRITE, version)]
    for op in ops:
        if type(op) is Put:
            key, value = op.key, op.value
            out += [_pack_op(_PUT, _CF_NUMBERS[op.cf], len(key)), key, _pack_size(len(value)), value]
        elif type(op) is Delete:
            out += (_OP.pack(_DELETE, _CF_NUMBERS[op.cf], len(op.key)), op.key)
        elif type(op) is DeleteRange:
            head = _OP.pack(_DELETE_RANGE, _CF_NUMBERS[op.cf], len(op.lo))
            out += (head, op.lo, _SIZE.pack(len(op.hi)), op.hi)
        elif type(op) is Expire:
            out += (_OP.pack(_EXPIRE, _CF_NUMBERS[op.cf], len(op.key)), op.key, _ID.pack(op.now_s))
        else:
            assert type(op) is Cas
            flags = (op.expected is not None) * _EXPECTS | op.has_ttl * _HAS_TTL
            expected = op.expected or b""
            kind = _CAS_DELETE if op.value is None else _CAS_OP
            out += (_OP.pack(kind, _CF_NUMBERS[op.cf], len(op.key)), op.key)
            if op.value is not None:
                out += (_SIZE.pack(len(op.value)), op.value)
            out += (_CAS.pack(flags, op.now_s), _SIZE.pack(len(expected)), expected)
    return b"".join(out)


def encode_split(version: int, regions: Sequence[NewRegion]) -> bytes:
    """A SPLIT."""
    out = [_HEAD.pack(_VERSION, _SPLIT, version)]
    for new in regions:
        out += (_SIZE.pack(len(new.key)), new.key, _ID.pack(new.ids.region_id), _SIZE.pack(len(new.ids.peer_ids)))
        out += [_ID.pack(id_) for id_ in new.ids.peer_ids]
    return b"".join(out)


def encode_prepare(command: Prepare) -> bytes:
    """A PREPARE."""
    head = _HEAD.pack(_VERSION, _PREPARE, command.version)
    return head + _PLACE.pack(command.conf_ver, command.min_index) + encode_region(command.target)


def encode_commit(command: Commit) -> bytes:
    """A COMMIT."""
    out = [_HEAD.pack(_VERSION, _COMMIT, command.version), _PLACE.pack(command.conf_ver, command.index)]
    out.append(encode_region(command.source))
    for entry in command.entries:
        payload = entry.data
        out += (_ENTRY.pack(entry.term, len(payload)), payload)
    return b"".join(out)


def encode_rollback(command: Rollback) -> bytes:
    """A ROLLBACK."""
    return _HEAD.pack(_VERSION, _ROLLBACK, command.version) + _ID.pack(command.index)


def decode_command(data: bytes) -> Command:
    """What an entry says.

    Raises:
        DecodeError: malformed, or of a version or kind that this release does not know.
    """
    try:
        head: tuple[int, int, int] = _unpack_head(data)
        version, kind, region_version = head
        if version != _VERSION:
            raise DecodeError(_WHAT, 0, f"version {version} is unknown to this release")
        if kind == WRITE:
            return Write(region_version, _decode_ops(data, _HEAD_BYTES))
        if kind == _SPLIT:
            return Split(region_version, _decode_regions(data, _HEAD.size))
        if kind == _PREPARE:
            return _decode_prepare(region_version, data)
        if kind == _COMMIT:
            return _decode_commit(region_version, data)
        if kind == _ROLLBACK:
            _check_end(data, _HEAD.size + _ID.size)
            return Rollback(region_version, _ID.unpack_from(data, _HEAD.size)[0])
    except (struct_error, IndexError) as error:
        raise DecodeError(_WHAT, 0, str(error)) from None
    raise DecodeError(_WHAT, 1, f"kind {kind} is unknown to this release")


def _decode_ops(data: bytes, at: int) -> list[Op]:
    ops: list[Op] = []
    end = len(data)
    while at < end:
        kind = data[at]
        cf = _CF_NAMES[data[at + 1]]
        key, at = _sized(data, at + _OP_BYTES - _SIZE_BYTES)
        if kind == _DELETE:
            ops.append(Delete(cf, key))
            continue
        if kind == _CAS_DELETE:
            op, at = _decode_cas(data, at, cf, key, None)
            ops.append(op)
            continue
        if kind == _EXPIRE:
            ops.append(Expire(cf, key, _ID.unpack_from(data, at)[0]))
            at += _ID.size
            continue
        value, at = _sized(data, at)
        if kind == _PUT:
            ops.append(Put(cf, key, value))
        elif kind == _DELETE_RANGE:
            ops.append(DeleteRange(cf, key, value))
        elif kind == _CAS_OP:
            op, at = _decode_cas(data, at, cf, key, value)
            ops.append(op)
        else:
            raise DecodeError(_WHAT, at, f"op {kind} is unknown to this release")
    return ops


def _decode_cas(data: bytes, at: int, cf: str, key: bytes, value: bytes | None) -> tuple[Cas, int]:
    flags, now_s = _CAS.unpack_from(data, at)
    if flags > _EXPECTS | _HAS_TTL:
        raise DecodeError(_WHAT, at, f"flags {flags:#x} of a CAS are unknown to this release")
    expected, at = _sized(data, at + _CAS.size)
    return Cas(cf, key, expected if flags & _EXPECTS else None, value, now_s, bool(flags & _HAS_TTL)), at


def _decode_regions(data: bytes, at: int) -> list[NewRegion]:
    regions: list[NewRegion] = []
    while at < len(data):
        key, at = _sized(data, at)
        (region_id,) = _ID.unpack_from(data, at)
        (count,) = _SIZE.unpack_from(data, at + _ID.size)
        at += _ID.size + _SIZE.size
        if count > (len(data) - at) // _ID.size:
            raise DecodeError(_WHAT, at, f"{count} peers do not fit")
        ids = tuple(_ID.unpack_from(data, at + _ID.size * position)[0] for position in range(count))
        at += _ID.size * count
        regions.append(NewRegion(key, NewRegionIds(region_id, ids)))
    return regions


def _decode_prepare(version: int, data: bytes) -> Prepare:
    conf_ver, min_index = _PLACE.unpack_from(data, _HEAD.size)
    target, end = decode_region(data, _HEAD.size + _PLACE.size)
    _check_end(data, end)
    return Prepare(version, conf_ver, min_index, target)


def _decode_commit(version: int, data: bytes) -> Commit:
    conf_ver, index = _PLACE.unpack_from(data, _HEAD.size)
    source, at = decode_region(data, _HEAD.size + _PLACE.size)
    entries: list[Entry] = []
    while at < len(data):
        term, size = _ENTRY.unpack_from(data, at)
        payload, at = _cut(data, at + _ENTRY.size, size)
        entries.append(Entry(term, data=payload))
    first = index + 1 - len(entries)
    if first < 1:
        raise DecodeError(_WHAT, at, f"{len(entries)} entries up to {index} cannot be")
    for position, entry in enumerate(entries):
        entry.index = first + position
    return Commit(version, conf_ver, index, source, entries)


def _check_end(data: bytes, end: int) -> None:
    if end != len(data):
        raise DecodeError(_WHAT, end, f"{len(data) - end} bytes behind its end")


def _sized(data: bytes, at: int) -> tuple[bytes, int]:
    size = (
        data[at] | data[at + 1] << 8 | data[at + 2] << 16 | data[at + 3] << 24
    )  # compiled, a fifth of a Struct's time
    return _cut(data, at + _SIZE_BYTES, size)


def _cut(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    stop = at + size
    if stop > len(data):
        raise DecodeError(_WHAT, at, f"{size} bytes do not fit")
    return data[at:stop], stop


# --- changes of peers ---


def encode_change(conf_ver: int, newcomers: Sequence[Peer]) -> bytes:
    """The context of a change of peers."""
    return _CHANGE.pack(_VERSION, conf_ver) + b"".join([_PEER.pack(peer.id, peer.store_id) for peer in newcomers])


def decode_change(context: bytes) -> tuple[int, dict[int, int]]:
    """The conf_ver for which it was proposed, and where new peers live; nothing for the one that leaves a joint state.

    Raises:
        DecodeError: malformed, or of a version that this release does not know.
    """
    what = "change of peers"
    if not context:
        return 0, {}
    if len(context) < _CHANGE.size or (len(context) - _CHANGE.size) % _PEER.size:
        raise DecodeError(what, 0, f"{len(context)} bytes cannot be")
    version, conf_ver = _CHANGE.unpack_from(context)
    if version != _VERSION:
        raise DecodeError(what, 0, f"version {version} is unknown to this release")
    return conf_ver, dict(_PEER.iter_unpack(context[_CHANGE.size :]))
