"""Member: the process of one node; `python -m raftly.demo.live.member SETTINGS`, which `processes` starts.

Settings are JSON. On its standard input come requests, a line of JSON each, and on its standard output go the answers;
when the input ends, whoever started it is gone, and so is this process, at once: like a crash, which a node survives.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from dataclasses import asdict, dataclass
from typing import Final, Self, TypeAlias, final

from raftly.base.types import NodeId
from raftly.demo.live.proxy import HOST
from raftly.demo.live.report import Report, Safe, Stored
from raftly.errors import RaftlyError
from raftly.node import NodeConfig, Replicated, replicate, serve
from raftly.node.digests import digest_of
from raftly.node.parent import end_with_parent
from raftly.node.structures import Dict
from raftly.storage.log_store import LogOptions
from raftly.transport.options import Address, TcpOptions

Store: TypeAlias = Dict[str, str]

CLUSTER_ID: Final = 4040
ELECTION_S: Final = 1.0
PORTS_TRIED: Final = 10
# Who is cut off shall be noticed while one watches: a peer that is silent for longer than this is not reachable.
TCP: Final = TcpOptions(ping_s=0.4, dead_s=1.2, connect_s=1.2, backoff_s_max=0.4)
SNAPSHOT_ENTRIES: Final = 1000  # few enough for one to be made while one watches
_ROLES: Final = {"StateFollower": "follower", "StateLeader": "leader"}


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """What a node is told when it starts."""

    id: NodeId
    directory: str
    addresses: dict[NodeId, Address]  # of the proxies
    join: bool = False

    def encode(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> Self:
        """What `encode` made."""
        told = json.loads(text)
        addresses = {int(id_): (str(host), int(port)) for id_, (host, port) in told["addresses"].items()}
        return cls(told["id"], told["directory"], addresses, told["join"])


async def start(settings: Settings) -> tuple[Replicated[Store], int]:
    """The node, and the port that it listens on, which is any that is free.

    Raises:
        RaftlyError: its directory cannot be used.
        OSError: no port can be had.
    """
    config = NodeConfig(
        settings.id,
        () if settings.join else tuple(sorted(settings.addresses)),
        settings.join,
        cluster_id=CLUSTER_ID,
        snapshot_entries=SNAPSHOT_ENTRIES,
        log=LogOptions(segment_bytes=1 << 20),
    )
    for attempt in range(PORTS_TRIED):
        with socket.create_server((HOST, 0)) as held:
            port = int(held.getsockname()[1])
        try:
            listen = (HOST, port)
            node: Replicated[Store] = await replicate(
                Dict, settings.id, settings.addresses, settings.directory, listen=listen, config=config, tcp=TCP
            )
        except OSError:  # somebody was quicker
            if attempt == PORTS_TRIED - 1:
                raise
        else:
            return node, port
    raise AssertionError("the last attempt returns or raises")


def report_of(node: Replicated[Store], *, whole: bool) -> Report:
    """How it stands; `whole`: with the digest of the state, and all of it."""
    health = node.health().value
    status = node.status()
    members = node.membership().value
    numbers = node.metrics()
    leads = status.basic.soft_state.leader == node.config.id
    verdicts = {id_: node.safe_to_stop(id_) for id_ in members.all()} if leads else {}
    items = node.machine.instance.items if whole else {}
    return Report(
        node.config.id,
        _ROLES.get(status.basic.soft_state.role.value, "candidate"),
        status.basic.soft_state.leader,
        status.basic.hard_state.term,
        int(numbers.value("raftly_last_index")),
        int(numbers.value("raftly_commit_index")),
        node.machine.applied,
        members.voters,
        members.learners,
        health.no_leader,
        health.problems,
        health.unreachable,
        dict(health.behind),
        {id_: Safe(verdict.ok, verdict.why) for id_, verdict in verdicts.items()},
        f"{digest_of(node.machine):08x}" if whole else "",
        {key: Stored(item.value, item.revision) for key, item in items.items()},
    )


def answer(node: Replicated[Store], request: dict[str, object]) -> object:
    """What to say to a request."""
    if request["do"] == "get":
        return node.look(Store.get, str(request["key"]))
    return report_of(node, whole=request["do"] == "compare").encode()


def say(message: dict[str, object]) -> None:
    """A line to whoever started this process."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def main(settings: Settings) -> None:
    """Run until SIGTERM, the node's failure, or the end of the standard input."""
    loop = asyncio.get_running_loop()
    requests = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    ready: asyncio.Future[Replicated[Store]] = loop.create_future()
    listening = loop.create_task(listen(requests, ready))
    node, port = await start(settings)
    ready.set_result(node)
    say({"ready": port})
    try:
        await serve(node)
    finally:
        listening.cancel()


async def listen(requests: asyncio.StreamReader, ready: asyncio.Future[Replicated[Store]]) -> None:
    """Answer requests."""
    while line := await requests.readline():
        request = json.loads(line)
        try:
            say({"id": request["id"], "answer": answer(await ready, request)})
        except RaftlyError as error:
            say({"id": request["id"], "error": str(error)})
        except OSError:
            break
    os._exit(1)


if __name__ == "__main__":
    end_with_parent()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        asyncio.run(main(Settings.decode(sys.argv[1])))
    except (RaftlyError, OSError) as problem:
        logging.getLogger("raftly.node").error("this node ended: %s", problem)  # noqa: TRY400 - a sentence is enough
        sys.exit(1)
