"""What people ask a member of the placement driver for: the service of `raftly.client.admin`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, final

from raftly.client.admin import ADMIN_DO
from raftly.errors import ConfChangeError, ConfigError, RaftlyError
from raftly.pd import admin
from raftly.pd.errors import NotReady, Refused
from raftly.pd.member import Member
from raftly.pd.operators import Plan
from raftly.pd.placement import Placement
from raftly.pd.stuck import why_stuck
from raftly.rpc import RpcError, Service, StatusCode, bind
from raftly.server.pd_edge import status_of
from raftly.server.pd_schedule import changed, shown
from raftly.server.pd_state import pd_state

__all__ = ["admin_service"]

_Arguments = Mapping[str, object]


def admin_service(member: Member) -> Service:
    """The service of one member; only who leads serves it."""
    return Service(ADMIN_DO.service, [bind(ADMIN_DO, _Handler(member).do)])


@final
class _Handler:
    def __init__(self, member: Member) -> None:
        self._member = member
        self._table: Final[Mapping[str, Callable[[_Arguments], Awaitable[object]]]] = {
            "state": self._state,
            "config": self._config,
            "set-config": self._set_config,
            "remove-store": self._remove_store,
            "restore-store": self._restore_store,
            "label-store": self._label_store,
            "remove-member": self._remove_member,
        }
        self._setting = asyncio.Lock()  # an option is set by writing all of them
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
        except NotReady as error:
            raise RpcError(StatusCode.UNAVAILABLE, str(error)) from error
        except (Refused, ConfigError, ConfChangeError) as error:
            raise RpcError(StatusCode.INVALID_ARGUMENT, str(error)) from error
        except RaftlyError as error:
            raise status_of(error) from error
        raise RpcError(StatusCode.INVALID_ARGUMENT, f"there is no {name!r}; there are {', '.join(self._names())}")

    def _names(self) -> list[str]:
        return sorted([*self._table, *self._plans])

    async def _state(self, arguments: _Arguments) -> object:
        self._member.leader()
        return pd_state(self._member)

    async def _remove_store(self, arguments: _Arguments) -> object:
        store_id = _id(arguments, "store")
        await self._member.call(Placement.remove_store, store_id)
        return {"stuck": why_stuck(self._member.leader().cluster, store_id)}

    async def _restore_store(self, arguments: _Arguments) -> object:
        await self._member.call(Placement.restore_store, _id(arguments, "store"))
        return {}

    async def _label_store(self, arguments: _Arguments) -> object:
        labels = arguments.get("labels")
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise Refused("INVALID_VALUE", f"labels must be names with text, and are {labels!r}")
        await self._member.call(Placement.label_store, _id(arguments, "store"), labels)
        return {}

    async def _config(self, arguments: _Arguments) -> object:
        self._member.leader()
        return shown(self._member.state.config)

    async def _set_config(self, arguments: _Arguments) -> object:
        name = str(arguments.get("name", ""))
        async with self._setting:
            self._member.leader()
            config = changed(self._member.state.config, name, arguments.get("value"))
            await self._member.call(Placement.configure, config)
        return {name: shown(config)[name]}

    async def _remove_member(self, arguments: _Arguments) -> object:
        """A leader that is to go hands over, and whoever leads then is asked."""
        self._member.leader()
        id_ = self._find_member(str(arguments.get("member", "")))
        await self._member.node.remove(id_)
        await self._member.call(Placement.unregister, id_)
        return {"removed": id_}

    def _find_member(self, named: str) -> int:
        rows = self._member.state.members
        there = set(self._member.node.membership().value.all()) | set(rows)
        matches = {id_ for id_ in there if str(id_) == named} or {id_ for id_, row in rows.items() if row.name == named}
        if len(matches) == 1:
            return matches.pop()
        names = ", ".join(f"{id_} ({rows[id_].name})" if id_ in rows else str(id_) for id_ in sorted(there))
        count = "no member" if not matches else "more than one member"
        raise Refused("INVALID_VALUE", f"{count} is called {named!r}; there are {names}: give its id")


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
