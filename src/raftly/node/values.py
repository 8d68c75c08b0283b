"""Values of commands and snapshots as bytes: self-describing, canonical, and typed on the way back.

One byte of kind, then (all numbers little-endian; a length is a varint):

    0 None   1 False   2 True   3 int: length, two's complement   4 float: 8 bytes, IEEE 754   5 str: length, UTF-8
    6 bytes: length   7 list: count, values   8 tuple: count, values   9 dict: count, keys and values in their order
    10 set: count, values sorted by their bytes   11 frozenset: the same   12 dataclass: count, name and value of each

The same history gives the same bytes on every replica: sets travel sorted, dicts in the order of insertion. There is no
way to name a class or a function, so decoding runs no code of the sender's choosing: a dataclass arrives as a Record,
and `shapes` makes an object of it only where an annotation names the class.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from struct import Struct
from typing import Any, Final, final

from raftly.base.wire import decode_varint, encode_varint
from raftly.errors import DecodeError, LimitExceeded
from raftly.node.errors import ValueTypeError

VALUE_BYTES_MAX: Final = 64 << 20
_DEPTH_MAX: Final = 64
_FLOAT: Final = Struct("<d")
_WHAT: Final = "value"
_CONSTANTS: Final = (None, False, True)
# Kind and length of what is short, made once.
_INT_HEADS: Final = [bytes((3, size)) for size in range(128)]
_STR_HEADS: Final = [bytes((5, size)) for size in range(128)]
_BYTES_HEADS: Final = [bytes((6, size)) for size in range(128)]
_TUPLE_HEADS: Final = [bytes((8, size)) for size in range(128)]


@final
@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A dataclass as it arrived: not yet any class of ours.

    Which of them are equal only their class can tell, so here each equals itself alone: as many come out of a set, or
    as keys of a dict, as went in, whatever is in their fields.
    """

    fields: dict[str, object]


# --- encoding --------------------------------------------------------------------------------------------------


def encode_value(value: object, *, around: int = 0, bytes_max: int = VALUE_BYTES_MAX) -> bytes:
    """The bytes of a value; one of ours that holds values of others may have so many levels `around` them.

    Raises:
        ValueTypeError: a type that has no form, or values nested too deep.
        LimitExceeded: more than `bytes_max` bytes.
    """
    out: list[bytes] = []
    _encode(value, out, -around)
    data = b"".join(out)
    if len(data) > bytes_max:
        raise LimitExceeded("value_bytes", len(data), bytes_max)
    return data


def encode_scalars(values: tuple[object, ...]) -> bytes | None:
    """As `encode_value` for a short tuple of scalars, several times faster; None when it is something else."""
    if len(values) > 127:
        return None
    out = [_TUPLE_HEADS[len(values)]]
    for value in values:
        scalar = _SCALARS.get(type(value))
        if scalar is None:
            return None
        out.append(scalar(value))
    return b"".join(out)


def _int_bytes(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    head = _INT_HEADS[size] if size < 128 else b"\x03" + encode_varint(size)
    return head + value.to_bytes(size, "little", signed=True)


def _str_bytes(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    size = len(data)
    return (_STR_HEADS[size] if size < 128 else b"\x05" + encode_varint(size)) + data


def _bytes_bytes(value: bytes) -> bytes:
    size = len(value)
    return (_BYTES_HEADS[size] if size < 128 else b"\x06" + encode_varint(size)) + value


_SCALARS: Final[dict[type, Callable[[Any], bytes]]] = {
    type(None): lambda _: b"\x00",
    bool: lambda value: b"\x02" if value else b"\x01",
    int: _int_bytes,
    float: lambda value: b"\x04" + _FLOAT.pack(value),
    str: _str_bytes,
    bytes: _bytes_bytes,
}


def _encode(value: object, out: list[bytes], depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise ValueTypeError(f"values are nested deeper than {_DEPTH_MAX}")
    kind = type(value)
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        out.append(scalar(value))
        return
    encoder = _ENCODERS.get(kind)
    if encoder is not None:
        encoder(value, out, depth)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        out.append(b"\x0c" + encode_varint(len(fields)))
        for field in fields:
            out.append(_str_bytes(field.name))
            _encode(getattr(value, field.name), out, depth + 1)
    else:
        raise ValueTypeError(
            f"{kind.__qualname__} cannot travel in a command: use scalars, bytes, containers or dataclasses"
        )


def _encode_sequence(kind: bytes) -> Callable[[Sequence[object], list[bytes], int], None]:
    def encode(value: Sequence[object], out: list[bytes], depth: int) -> None:
        out.append(kind + encode_varint(len(value)))
        for item in value:
            _encode(item, out, depth + 1)

    return encode


def _encode_dict(value: Mapping[object, object], out: list[bytes], depth: int) -> None:
    out.append(b"\x09" + encode_varint(len(value)))
    for key, item in value.items():
        _encode(key, out, depth + 1)
        _encode(item, out, depth + 1)


def _encode_set(kind: bytes) -> Callable[[AbstractSet[object], list[bytes], int], None]:
    def encode(value: AbstractSet[object], out: list[bytes], depth: int) -> None:
        items: list[bytes] = []
        for item in value:
            parts: list[bytes] = []
            _encode(item, parts, depth + 1)
            items.append(b"".join(parts))
        out.append(kind + encode_varint(len(items)))
        out.extend(sorted(items))

    return encode


def _encode_record(value: Record, out: list[bytes], depth: int) -> None:
    out.append(b"\x0c" + encode_varint(len(value.fields)))
    for name, item in value.fields.items():
        out.append(_str_bytes(name))
        _encode(item, out, depth + 1)


_ENCODERS: Final[dict[type, Callable[[Any, list[bytes], int], None]]] = {
    list: _encode_sequence(b"\x07"),
    tuple: _encode_sequence(b"\x08"),
    dict: _encode_dict,
    set: _encode_set(b"\x0a"),
    frozenset: _encode_set(b"\x0b"),
    Record: _encode_record,
}


# --- decoding --------------------------------------------------------------------------------------------------


def decode_raw(data: bytes, *, around: int = 0, bytes_max: int = VALUE_BYTES_MAX) -> Any:
    """The value in `data` as it arrived, dataclasses as records; the bounds are those of `encode_value`.

    Raises:
        DecodeError: malformed.
    """
    if len(data) > bytes_max:
        raise DecodeError(_WHAT, 0, f"{len(data)} bytes are more than a value may have")
    value, end = _decode(data, 0, -around)
    if end != len(data):
        raise DecodeError(_WHAT, end, f"{len(data) - end} bytes are left over")
    return value


def decode_scalars(data: bytes) -> tuple[object, ...] | None:
    """As `decode_raw` for a short tuple of short scalars, several times faster; None when it is anything else."""
    try:
        if data[0] != 8:
            return None
        count = data[1]
        at = 2
        values: list[object] = []
        for _ in range(count):
            kind = data[at]
            if kind == 3 or kind == 5 or kind == 6:
                size = data[at + 1]
                at += 2
                if size > 127:
                    if data[at] > 127:
                        return None
                    size = size & 0x7F | data[at] << 7
                    at += 1
                raw = data[at : at + size]
                at += size
                if kind == 3:
                    values.append(int.from_bytes(raw, "little", signed=True))
                else:
                    values.append(raw if kind == 6 else raw.decode())
            elif kind <= 2:
                values.append(_CONSTANTS[kind])
                at += 1
            else:
                return None
    except (IndexError, UnicodeDecodeError):
        return None  # whoever looks closer will say what is wrong
    # A value that was cut short moved `at` beyond the end.
    return tuple(values) if at == len(data) and count < 128 else None


def _decode(data: bytes, at: int, depth: int) -> tuple[object, int]:
    if depth > _DEPTH_MAX:
        raise DecodeError(_WHAT, at, f"values are nested deeper than {_DEPTH_MAX}")
    if at >= len(data):
        raise DecodeError(_WHAT, at, "the bytes end where a value begins")
    kind = data[at]
    at += 1
    if kind <= 2:
        return _CONSTANTS[kind], at
    if kind == 4:
        if len(data) - at < 8:
            raise DecodeError(_WHAT, at, "the bytes end inside a float")
        return float(_FLOAT.unpack_from(data, at)[0]), at + 8
    if at < len(data) and data[at] < 0x80:
        count, at = data[at], at + 1
    else:
        count, at = decode_varint(_WHAT, data, at, len(data))
    # Whatever it counts takes at least a byte each, so a lie about it costs no memory.
    if count > len(data) - at:
        raise DecodeError(_WHAT, at, f"{count} bytes or items are claimed, {len(data) - at} bytes are left")
    if kind in (3, 5, 6):
        return _decode_bytes(kind, data, at, count), at + count
    return _decode_container(kind, data, at, count, depth)


def _decode_bytes(kind: int, data: bytes, at: int, size: int) -> object:
    raw = data[at : at + size]
    if kind == 3:
        return int.from_bytes(raw, "little", signed=True)
    if kind == 6:
        return raw
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise DecodeError(_WHAT, at, "a string is not UTF-8") from error


def _decode_container(kind: int, data: bytes, at: int, count: int, depth: int) -> tuple[object, int]:
    items: list[object] = []
    for _ in range(count * 2 if kind in (9, 12) else count):
        item, at = _decode(data, at, depth + 1)
        items.append(item)
    if kind == 7:
        return items, at
    if kind == 8:
        return tuple(items), at
    try:
        if kind == 9:
            return dict(zip(items[::2], items[1::2], strict=True)), at
        if kind == 10:
            return set(items), at
        if kind == 11:
            return frozenset(items), at
    except TypeError as error:
        raise DecodeError(_WHAT, at, "a key or a member of a set is not hashable") from error
    if kind == 12:
        names = [name for name in items[::2] if isinstance(name, str)]
        if len(set(names)) != count:
            raise DecodeError(_WHAT, at, "a field's name is not a string, or comes twice")
        return Record(dict(zip(names, items[1::2], strict=True))), at
    raise DecodeError(_WHAT, at, f"kind {kind} is unknown")
