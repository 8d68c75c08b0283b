"""Makes the classes of one protobuf file, in a descriptor pool of our own.

Two definitions of one message cannot live in protobuf's default pool, and a program may well hold another client with a
kvproto of its own. Only public, old parts of protobuf are used, so no version of it is too new for these modules.
"""

from __future__ import annotations

from typing import Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

__all__ = ["POOL", "define"]

POOL: Final = descriptor_pool.DescriptorPool()


def define(names: dict[str, object], serialized: bytes) -> None:
    """Put DESCRIPTOR, the messages, the enums and the enums' values of a file into `names`, a module's globals.

    The files that it imports have to be defined already.
    """
    file = POOL.AddSerializedFile(serialized)
    names["DESCRIPTOR"] = file
    for name, message in file.message_types_by_name.items():
        names[name] = message_factory.GetMessageClass(message)
    for name, enum in file.enum_types_by_name.items():
        names[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        names |= {value.name: value.number for value in enum.values}
