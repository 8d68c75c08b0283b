"""run_pd: a process, or a part of one, that is a member of the placement driver.

pd = await PdServer.start(options)      listening, and a member of its group
await pd.stop()                         hands leadership over, finishes, leaves

await run_pd(options)                   until SIGTERM or Ctrl-C
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self, final

from raftly.client.channels import join_address
from raftly.errors import ConfigError, RaftlyError
from raftly.node import Replicated, connect, replicate, serve
from raftly.node.config import NodeConfig
from raftly.pd.config import ScheduleConfig
from raftly.pd.member import Member
from raftly.pd.placement import MemberRow, Placement
from raftly.rpc import Server, ServerTls
from raftly.rpc.health import Health
from raftly.rpc.reflection import reflection_services
from raftly.server.pd_admin import admin_service
from raftly.server.pd_service import pd_service
from raftly.server.pd_state import pd_state
from raftly.transport.options import Address, TcpOptions

RETRY_S: Final = 0.5
GRACE_S: Final = 2.0


@final
@dataclass(frozen=True, slots=True)
class PdOptions:
    """Options of one member. Addresses are (host, port).

    Raises:
        ConfigError: they contradict each other.
    """

    id: int = 1
    """Number of the member, never used again for another one."""
    name: str = ""
    """For people; empty: pd-ID."""
    directory: str = "data/pd-1"
    listen: Address = ("127.0.0.1", 2379)
    """For clients and stores, by gRPC."""
    advertise: str = ""
    """Where they are told to go, "host:port"; empty: where it listens."""
    peer_listen: Address = ("127.0.0.1", 2380)
    """For the other members."""
    peer_advertise: Address | None = None
    """Where they are told to go; None: where it listens."""
    members: Mapping[int, Address] = field(default_factory=dict)
    """The first members with their peer addresses, this one among them; the same for each. Empty: it is alone."""
    join: bool = False
    """Instead of being among the first: `members` are those that are there, one of which is asked to add this one."""
    moved: bool = False
    """The directory was copied or restored to here, and the other one is gone for good; for one start."""
    cluster_id: int = 0
    """Of a new cluster; 0: drawn at random."""
    schedule: ScheduleConfig | None = None
    """How to schedule, in a new cluster; it is part of the cluster's state then. None: the defaults."""
    tls: ServerTls | None = None
    """For clients and stores."""
    tcp: TcpOptions = field(default_factory=TcpOptions)
    """For the other members, TLS among it."""
    seed: int | None = None
    """Of randomised time-outs; None: another one at every start."""

    def __post_init__(self) -> None:
        if self.id < 1:
            raise ConfigError("id", f"is {self.id}, it must be at least 1")
        if self.members and not self.join and self.id not in self.members:
            raise ConfigError("members", f"lack member {self.id} itself")
        if self.join and not self.members:
            raise ConfigError("join", "needs the members that are there")
        if not 0 <= self.cluster_id < 1 << 64:
            raise ConfigError("cluster_id", f"is {self.cluster_id}, it must lie in [0, 2**64)")

    @property
    def peer_address(self) -> Address:
        """Where the other members find it."""
        return self.peer_advertise or self.members.get(self.id) or self.peer_listen


@final
class PdServer:
    """A member that serves. Made by `start`."""

    def __init__(self, options: PdOptions, node: Replicated[Placement], member: Member, server: Server) -> None:
        self.options = options
        self.node = node
        self.member = member
        self.server = server
        self.address = ""
        """Where clients are told to go."""
        self._joining: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, options: PdOptions) -> Self:
        """Recover from the directory, or begin, and listen.

        Raises:
            ConfigError, StorageError: see `raftly.node.replicate`.
            OSError: an address cannot be listened on.
        """
        node = await replicate(
            Placement,
            options.id,
            {**options.members, options.id: options.peer_address},
            options.directory,
            join=options.join,
            listen=None if options.peer_listen == options.peer_address else options.peer_listen,
            config=_node_config(options),
            tcp=options.tcp,
        )
        cluster_id = options.cluster_id or 1 + secrets.randbelow((1 << 63) - 1)
        member = Member(node, cluster_id, options.schedule)
        services = [pd_service(member), admin_service(member), Health().service()]
        pd = cls(options, node, member, Server([*services, *reflection_services(services)], tls=options.tls))
        try:
            await pd._listen()
        except BaseException:
            await pd.stop()
            raise
        return pd

    async def _listen(self) -> None:
        host, port = self.options.listen
        port = await self.server.start(host, port)
        self.address = self.options.advertise or join_address(host, port)
        peer = self.node.address_of(self.options.id) or self.options.peer_address
        clients = _url(self.address, secure=self.options.tls is not None)
        peers = _url(join_address(*peer), secure=self.options.tcp.tls is not None)
        name = self.options.name or f"pd-{self.options.id}"
        self.member.announce(MemberRow(self.options.id, name, [clients], [peers]))
        if self.options.join:
            self._joining = asyncio.get_running_loop().create_task(self._join())

    async def stop(self) -> None:
        """Hand leadership over, take no new calls, finish, leave."""
        if self._joining is not None:
            self._joining.cancel()
            await asyncio.gather(self._joining, return_exceptions=True)
        try:
            await self.node.stop()  # others lead, and clients are told who, before this place is closed to them
        finally:
            await self.server.stop(GRACE_S)
            await self.member.close()

    def state(self) -> dict[str, object]:
        """See `pd_state`."""
        return pd_state(self.member)

    async def _join(self) -> None:
        """Ask those that are there to add this member, until they have."""
        own = self.node.address_of(self.options.id) or self.options.peer_address
        others = [address for id_, address in sorted(self.options.members.items()) if id_ != self.options.id]
        async with connect(Placement, others, tcp=self.options.tcp) as remote:
            while self.options.id not in self.node.membership().value.voters:
                with suppress(RaftlyError):
                    await remote.add(self.options.id, own)
                await asyncio.sleep(RETRY_S)


def _url(address: str, *, secure: bool) -> str:
    return f"{'https' if secure else 'http'}://{address}"


async def run_pd(options: PdOptions, *, on_ready: Callable[[PdServer], None] | None = None) -> None:
    """Run a member until SIGTERM or SIGINT comes; `on_ready` is called once it listens.

    Raises:
        RaftlyError: it cannot begin, or cannot go on.
        OSError: an address cannot be listened on.
    """
    pd = await PdServer.start(options)
    try:
        if on_ready is not None:
            on_ready(pd)
        serving = asyncio.ensure_future(serve(pd.node))
        await asyncio.wait([serving, pd.member.failed], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        else:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            pd.member.failed.result()
    finally:
        await pd.stop()


def _node_config(options: PdOptions) -> NodeConfig:
    members = () if options.join else tuple(sorted({*options.members, options.id}))
    config = NodeConfig(options.id, members, options.join, moved=options.moved)
    return config if options.seed is None else dataclasses.replace(config, seed=options.seed)
