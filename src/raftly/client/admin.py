"""What people ask our placement driver for and kvproto has no call for: one method, whose messages are JSON.

do                 arguments
state              -                          all that it knows, as /state does
config             -                          the options of scheduling, as they are written in a file
set-config         name, value                one of them: all members have it, also when they start again
remove-member      member (id or name)        a member of the placement driver leaves it, for good
label-store        store, labels              where it stands; an empty text takes a label away
remove-store       store                      let it be drained; it is gone for good then
restore-store      store                      let it be as before, if it is not gone yet
transfer-leader    region, store              let the replica on that store lead
add-peer           region, store              one replica more
remove-peer        region, store              one less
move-peer          region, from, to           a new one in the place of an old one
split-region       region, keys (hex)         cut it there, or in the middle
merge-region       region, into               let it become part of its neighbour
cancel             region                     give up what is under way for it
"""

from __future__ import annotations

import json
from typing import Final

from raftly.client.kind import Kind
from raftly.rpc import Kind as CallKind
from raftly.rpc import Method

__all__ = ["ADMIN_DO", "kind_of"]

READS: Final = frozenset({"state", "config"})
PLANS: Final = frozenset(
    {"transfer-leader", "add-peer", "remove-peer", "move-peer", "split-region", "merge-region", "cancel"}
)


def kind_of(do: str) -> Kind:
    """May it be sent again when its answer was lost? A second plan for a region is refused because of the first."""
    return Kind.READ if do in READS else Kind.ONCE if do in PLANS else Kind.WRITE


def _encode(value: object) -> bytes:
    return json.dumps(value).encode()


def _decode(data: bytes) -> object:
    value: object = json.loads(data)
    return value


def _decode_request(data: bytes) -> dict[str, object]:
    value: object = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - what does not decode is a ValueError
    return value


ADMIN_DO: Final[Method[dict[str, object], object]] = Method(
    service="raftly.Admin",
    name="Do",
    kind=CallKind.UNARY_UNARY,
    encode_request=_encode,
    decode_request=_decode_request,
    encode_response=_encode,
    decode_response=_decode,
)
