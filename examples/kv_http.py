"""A key-value store with an HTTP server in each process, kept alike on all of them by Raft. Try it with curl.

Start three, each in a terminal of its own (its files go to data/kv-1, -2, -3):

    P=1=127.0.0.1:4001,2=127.0.0.1:4002,3=127.0.0.1:4003
    python examples/kv_http.py --id 1 --raft 127.0.0.1:4001 --http 127.0.0.1:8001 --peers $P
    python examples/kv_http.py --id 2 --raft 127.0.0.1:4002 --http 127.0.0.1:8002 --peers $P
    python examples/kv_http.py --id 3 --raft 127.0.0.1:4003 --http 127.0.0.1:8003 --peers $P

Ask any of them. Who does not lead answers 307 with the address of the leader, and `curl -L` goes there:

    curl -L -X PUT -d hello  127.0.0.1:8001/kv/greeting
    curl -L                  127.0.0.1:8002/kv/greeting               linearizable
    curl                    '127.0.0.1:8003/kv/greeting?read=local'   what node 3 has; bounded: at most a second old
    curl                     127.0.0.1:8001/status                    who leads, and what is wrong, in words

`kill -9` the leader: the other two go on. Start it again with the same command, and it has what it missed. Its log is
cut behind snapshots (every 10,000 entries, or --snapshot-entries), and it starts from the newest. Add a fourth:

    python examples/kv_http.py --id 4 --raft 127.0.0.1:4004 --http 127.0.0.1:8004 --peers $P --join
    curl -L -X POST -d '{"raft": "127.0.0.1:4004", "http": "127.0.0.1:8004"}' 127.0.0.1:8001/members/4
    curl -L -X DELETE 127.0.0.1:8001/members/2                        node 2 ends; its id is not used again
    curl    127.0.0.1:8001/members

No TLS, no authentication: for loopback. What is replicated is `Store`; what turns HTTP into calls of it is `Api`.
"""

import argparse
import asyncio
import json
import re
import sys
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import parse_qs, unquote, urlsplit

from raftly.errors import ConfChangeError, ConfigError, DiskFull, LimitExceeded, NotLeader, OutcomeUnknown, RaftlyError
from raftly.node import (
    FOLLOWER,
    LOCAL,
    STRONG,
    Member,
    NodeConfig,
    Replicated,
    bounded,
    command,
    query,
    replicate,
    serve,
)
from raftly.node.errors import Busy
from raftly.node.remote import parse_address

HEAD_BYTES_MAX, VALUE_BYTES_MAX, CONNECTIONS_MAX, PATIENCE_S = 16 << 10, 1 << 20, 256, 10.0
READS = {"strong": STRONG, "follower": FOLLOWER, "bounded": bounded(1.0), "local": LOCAL}
STATUS_OF = {OutcomeUnknown: 504, Busy: 503, DiskFull: 507, ConfChangeError: 409, LimitExceeded: 413, ConfigError: 400}
Answer = tuple[int, str | bytes, str]  # status, body, and where to go instead


class Store:
    """What is replicated: the values, and where each member has its HTTP server, so that the others can name it."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.http: dict[int, str] = {}

    @command
    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value

    @command
    def delete(self, key: str) -> bool:
        return self.values.pop(key, None) is not None

    @command
    def meet(self, member: int, http: str) -> None:
        self.http[member] = http

    @query
    def get(self, key: str) -> bytes | None:
        return self.values.get(key)

    @query
    def http_of(self, member: int) -> str:
        return self.http.get(member, "")


class Api:
    """A request becomes a call of the node; how the call ends becomes a status."""

    def __init__(self, node: Replicated[Store]) -> None:
        self.node = node
        self.connections = 0

    async def on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer, and the connection is closed: as simple as HTTP/1.1 can be."""
        self.connections += 1
        try:
            with suppress(OSError, EOFError, TimeoutError):  # it went away, or is too slow
                writer.write(encode(*await self.answer(reader)))
                async with asyncio.timeout(PATIENCE_S):
                    await writer.drain()
        finally:
            self.connections -= 1
            writer.close()

    async def answer(self, reader: asyncio.StreamReader) -> Answer:
        """Whatever goes wrong has a status: 307 it is another who leads, 504 nobody knows whether it was done."""
        target = ""
        try:
            if self.connections > CONNECTIONS_MAX:
                return 503, "there are too many connections\n", ""
            async with asyncio.timeout(PATIENCE_S):
                method, target, body = await read_request(reader)
            return *await self.handle(method, target, body), ""
        except asyncio.LimitOverrunError:
            return 431, "", ""
        except NotLeader as error:
            there = self.node.look(Store.http_of, error.leader_id)
            return (307, "", f"http://{there}{target}") if there else (503, "no leader is known\n", "")
        except RaftlyError as error:
            status = next((status for kind, status in STATUS_OF.items() if isinstance(error, kind)), 503)
            return status, f"{type(error).__name__}: {error}\n", ""
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            return 400, f"{error!r}\n", ""

    async def handle(self, method: str, target: str, body: bytes) -> tuple[int, str | bytes]:
        url = urlsplit(target)
        kind, _, name = url.path.removeprefix("/").partition("/")
        name = unquote(name, errors="strict")
        match method, kind:
            case "GET", "kv":
                await self.node.fresh(READS[parse_qs(url.query).get("read", ["strong"])[0]])
                value = self.node.look(Store.get, name)
                return (404, "no such key\n") if value is None else (200, value)
            case "PUT", "kv":
                await self.node.call(Store.put, name, body)
                return 200, "stored\n"
            case "DELETE", "kv":
                return (200, "deleted\n") if await self.node.call(Store.delete, name) else (404, "no such key\n")
            case "GET", "members":
                members = {member.id: self.describe(member) for member in self.node.member_list()}
                return 200, json.dumps(members, indent=1) + "\n"
            case "POST", "members":
                where = json.loads(body)
                raft, http = parse_address(where["raft"]), check_address(where["http"])
                await self.node.add(int(name), raft)
                await self.node.call(Store.meet, int(name), http)
                return 200, "added\n"
            case "DELETE", "members":
                await self.node.remove(int(name))
                return 200, "removed\n"
            case "POST", "snapshot":
                return 200, f"up to entry {await self.node.take_snapshot()}\n"
            case "GET", "status":
                return 200, json.dumps(self.status(), indent=1) + "\n"
        return 404, "there are /kv/KEY, /members/ID, /snapshot and /status\n"

    def describe(self, member: Member) -> dict[str, str]:
        host, port = member.address or ("", 0)
        http = self.node.look(Store.http_of, member.id)
        return {"role": member.role.value, "raft": f"{host}:{port}", "http": http}

    def status(self) -> dict[str, int | str]:
        core = self.node.status().basic
        role = core.soft_state.role.name.lower()
        return {"id": self.node.config.id, "role": role, "leader": core.soft_state.leader,
                "term": core.hard_state.term, "commit": core.hard_state.commit, "applied": core.applied,
                "health": str(self.node.health().value)}  # fmt: skip


async def read_request(reader: asyncio.StreamReader) -> tuple[str, str, bytes]:
    """Method, target and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    method, target, _ = head[0].split()
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    size = fields.get("content-length", "0")
    if "transfer-encoding" in fields or not size.isdecimal():
        raise ValueError("a body needs a Content-Length")
    if int(size) > VALUE_BYTES_MAX:
        raise LimitExceeded("value_bytes", int(size), VALUE_BYTES_MAX)
    return method, target, await reader.readexactly(int(size))


def encode(status: int, body: str | bytes, location: str) -> bytes:
    """The answer as it goes out."""
    body = body.encode() if isinstance(body, str) else body
    head = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"Content-Length: {len(body)}", "Connection: close"]
    head += [f"Location: {location}"] if location else ["Retry-After: 1"] if status == 503 else []
    return "\r\n".join([*head, "", ""]).encode() + body


def check_address(text: str) -> str:
    """It goes into the Location of others, so it must be nothing but an address."""
    if not re.fullmatch(r"[\w.:\[\]-]+:\d{1,5}", text, re.ASCII):
        raise ConfigError("http", f"is {text!r}, it must be host:port")
    return text


async def announce(node: Replicated[Store], http: str) -> None:
    """Let the others know where the HTTP server of this node is, as soon as there is a leader."""
    while True:
        with suppress(OutcomeUnknown):  # no leader yet
            session = await node.open_session()
            return await session.call(Store.meet, node.config.id, http)


async def main(options: argparse.Namespace) -> None:
    """Run one member, with its HTTP server."""
    me, join = options.id, options.join
    peers = {int(id_): parse_address(at) for id_, _, at in (peer.partition("=") for peer in options.peers.split(","))}
    founders = () if join else tuple(sorted(peers))
    config = NodeConfig(me, founders, join, call_timeout=5.0, snapshot_entries=options.snapshot_entries)
    addresses = {**peers, me: parse_address(options.raft)}
    node = await replicate(Store, me, addresses, options.data or f"data/kv-{me}", join=join, config=config)
    host, port = parse_address(check_address(options.http))
    server = await asyncio.start_server(Api(node).on_connection, host, port, limit=HEAD_BYTES_MAX)
    announcing = asyncio.create_task(announce(node, options.http))
    await serve(node)  # until SIGTERM or Ctrl-C: answers who waits, hands leadership over
    announcing.cancel()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A key-value store over HTTP, kept alike by Raft.")
    parser.add_argument("--id", type=int, required=True)
    for name in ("raft", "http", "peers"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--data", default="")
    parser.add_argument("--join", action="store_true", help="wait to be added, instead of founding a group")
    parser.add_argument("--snapshot-entries", type=int, default=10_000)
    try:
        asyncio.run(main(parser.parse_args()))
    except RaftlyError as error:  # it failed, or was removed
        sys.exit(str(error))
