"""What people ask a member of the placement driver for: the service of `raftly.client.admin`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, final

from raftly.client.admin import ADMIN_DO
from raftly.errors import RaftlyError
from raftly.pd import admin
from raftly.pd.errors import NotReady, Refused
from raftly.pd.member import Member
from raftly.pd.operators import Plan
from raftly.pd.placement import Placement
from raftly.rpc import RpcError, Service, StatusCode, bind
from raftly.server.pd_edge import status_of
from raftly.server.pd_state import pd_state

__all__ = ["admin_service"]

_Arguments = Mapping[str, object]
REGIONS_MAX: Final = 4096
"""In the answer to `state`: no message is above 4 MiB."""


def admin_service(member: Member) -> Service:
    """The service of one member; only who leads serves it."""
    return Service(ADMIN_DO.service, [bind(ADMIN_DO, _Handler(member).do)])


@final
class _Handler:
    def __init__(self, member: Member) -> None:
        self._member = member
        self._table: Final[Mapping[str, Callable[[_Arguments], Awaitable[object]]]] = {
            "state": self._state,
            "remove-store": self._remove_store,
            "restore-store": self._restore_store,
        }
        self._plans: Final[Mapping[str, Callable[[_Arguments], Plan | None]]] = {
            "transfer-leader": lambda a: admin.transfer_leader(member.leader(), _id(a, "region"), _id(a, "store")),
            "add-peer": lambda a: admin.add_peer(member.leader(), _id(a, "region"), _id(a, "store")),
            "remove-peer": lambda a: admin.remove_peer(member.leader(), _id(a, "region"), _id(a, "store")),
            "move-peer": lambda a: admin.move_peer(member.leader(), _id(a, "region"), _id(a, "from"), _id(a, "to")),
            "split-region": lambda a: admin.split_region(member.leader(), _id(a, "region"), _keys(a)),
            "merge-region": lambda a: admin.merge_region(member.leader(), _id(a, "region"), _id(a, "into")),
            "cancel": lambda a: admin.cancel(member.leader(), _id(a, "region")),
        }

    async def do(self, request: dict[str, object]) -> object:
        """Raises RpcError: INVALID_ARGUMENT says what is wrong with the request, UNAVAILABLE that another leads."""
        name = str(request.get("do", ""))
        try:
            if (make := self._plans.get(name)) is not None:
                plan = make(request)
                if plan is not None and (step := self._member.leader().next_step(plan)) is not None:
                    self._member.on_steps([step])
                return {"plan": None if plan is None else str(plan)}
            if (do := self._table.get(name)) is not None:
                return await do(request)
        except (NotReady, Refused) as error:
            raise RpcError(
                StatusCode.UNAVAILABLE if isinstance(error, NotReady) else StatusCode.INVALID_ARGUMENT, str(error)
            ) from error
        except RaftlyError as error:
            raise status_of(error) from error
        raise RpcError(StatusCode.INVALID_ARGUMENT, f"there is no {name!r}; there are {', '.join(self._names())}")

    def _names(self) -> list[str]:
        return sorted([*self._table, *self._plans])

    async def _state(self, arguments: _Arguments) -> object:
        self._member.leader()
        return pd_state(self._member, REGIONS_MAX)

    async def _remove_store(self, arguments: _Arguments) -> object:
        await self._member.call(Placement.remove_store, _id(arguments, "store"))
        return {}

    async def _restore_store(self, arguments: _Arguments) -> object:
        await self._member.call(Placement.restore_store, _id(arguments, "store"))
        return {}


def _id(arguments: _Arguments, name: str) -> int:
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Refused("INVALID_VALUE", f"{name} must be an id, and is {value!r}")
    return value


def _keys(arguments: _Arguments) -> tuple[bytes, ...]:
    keys = arguments.get("keys", [])
    try:
        if not isinstance(keys, list):
            raise ValueError  # noqa: TRY004 - as what is not hex
        return tuple(bytes.fromhex(str(key)) for key in keys)
    except ValueError:
        raise Refused("INVALID_VALUE", "keys must be a list of hex digits") from None
