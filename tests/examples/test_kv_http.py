"""examples/kv_http.py: three processes behind HTTP, one killed, one restarted from its snapshot, one more, one less."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest

from raftly.testing.processes import free_ports
from tests.support.processes import EXAMPLES

EXAMPLE = EXAMPLES / "kv_http.py"
DEADLINE_S = 60.0

T = TypeVar("T")


def until(found: Callable[[], T | None], what: str) -> T:
    """Ask until there is something."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        value = found()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_S} s"
        time.sleep(0.05)


class Reply:
    def __init__(self, status: int, body: bytes, headers: http.client.HTTPMessage) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Cluster:
    """Processes of the example; ids 1 to 3 found the group."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ports = free_ports(8)
        self.raft = {id_: f"127.0.0.1:{ports[id_ - 1]}" for id_ in range(1, 5)}
        self.http = {id_: f"127.0.0.1:{ports[id_ + 3]}" for id_ in range(1, 5)}
        self.running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, id_: int, *more: str) -> None:
        peers = ",".join(f"{peer}={self.raft[peer]}" for peer in (1, 2, 3))
        options = {"id": str(id_), "raft": self.raft[id_], "http": self.http[id_], "peers": peers}
        options |= {"data": str(self.root / str(id_)), "snapshot-entries": "20"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self.running[id_] = subprocess.Popen([sys.executable, str(EXAMPLE), *words, *more])

    def kill(self, id_: int) -> None:
        process = self.running.pop(id_)
        process.kill()
        process.wait()

    def ask(self, id_: int, method: str, target: str, body: bytes = b"", *, follow: bool = True) -> Reply:
        """One request; goes where it is sent, as `curl -L` does."""
        url = urlsplit(f"http://{self.http[id_]}{target}")
        for _ in range(5):
            connection = http.client.HTTPConnection(url.netloc, timeout=70)
            try:
                connection.request(method, f"{url.path}?{url.query}" if url.query else url.path, body or None)
                response = connection.getresponse()
                reply = Reply(response.status, response.read(), response.headers)
            finally:
                connection.close()
            if reply.status != 307 or not follow:
                return reply
            url = urlsplit(reply.headers["Location"])
        raise AssertionError("sent around in a circle")

    def wait(self, id_: int, method: str, target: str, body: bytes = b"", *, status: int = 200) -> Reply:
        """Ask until it is answered so; while there is no leader, or no server, that takes some attempts."""

        def attempt() -> Reply | None:
            try:
                reply = self.ask(id_, method, target, body)
            except (OSError, http.client.HTTPException):
                return None
            assert reply.status in {status, 503, 504}, (reply.status, reply.body)
            return reply if reply.status == status else None

        return until(attempt, f"{method} {target} of node {id_}")

    def leader(self) -> int:
        def find() -> int | None:
            for id_ in self.running:
                with_role = self.wait(id_, "GET", "/status").json
                if with_role["role"] == "leader":
                    return id_
            return None

        return until(find, "a leader")

    def reads(self, id_: int, key: str, value: bytes) -> None:
        """Wait until a node has this value, itself."""

        def look() -> bool:
            try:
                reply = self.ask(id_, "GET", f"/kv/{key}?read=local")
            except (OSError, http.client.HTTPException):
                return False
            return reply.status == 200 and reply.body == value

        until(look, f"{key} at node {id_}")

    def met(self, id_: int) -> Any:
        """The members as a node sees them, once it knows where its own HTTP is: a command after its adding."""

        def look() -> Any:
            members = self.ask(id_, "GET", "/members").json
            return members if members.get(str(id_), {}).get("http") else None

        return until(look, f"what node {id_} knows of itself")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    yield found
    for id_ in list(found.running):
        found.kill(id_)


def raw(address: str, data: bytes) -> bytes:
    """What is answered to these bytes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(data)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_the_tour_of_its_docstring(cluster: Cluster) -> None:
    for id_ in (1, 2, 3):
        cluster.start(id_)
    cluster.wait(1, "PUT", "/kv/greeting", b"hello")
    for id_ in (1, 2, 3):
        for read in ("strong", "follower", "bounded"):
            assert cluster.wait(id_, "GET", f"/kv/greeting?read={read}").body == b"hello"
        cluster.reads(id_, "greeting", b"hello")

    # Who does not lead names the leader.
    leader = cluster.leader()
    follower = next(id_ for id_ in cluster.running if id_ != leader)
    status = cluster.ask(follower, "GET", "/status").json
    assert (status["role"], status["leader"]) == ("follower", leader)
    reply = cluster.ask(follower, "PUT", "/kv/a%20b", b"1", follow=False)
    assert (reply.status, reply.headers["Location"]) == (307, f"http://{cluster.http[leader]}/kv/a%20b")

    # The leader is killed: what was acknowledged is there, and there is more of it, enough for snapshots.
    cluster.kill(leader)
    assert cluster.wait(follower, "GET", "/kv/greeting").body == b"hello"
    for number in range(60):
        cluster.wait(follower, "PUT", f"/kv/k{number}", b"v%d" % number)
    assert cluster.ask(follower, "DELETE", "/kv/k0").status == 200
    assert cluster.ask(follower, "DELETE", "/kv/k0").status == 404
    assert cluster.ask(follower, "GET", "/kv/k0").status == 404

    # It comes back, with what it missed: from a snapshot, since the log is cut.
    cluster.start(leader)
    cluster.reads(leader, "k59", b"v59")
    assert list((cluster.root / str(leader)).glob("snapshots/**/*")), "no snapshot"
    for id_ in (1, 2, 3):
        cluster.running[id_].send_signal(signal.SIGTERM)
        assert cluster.running.pop(id_).wait(DEADLINE_S) == 0
    for id_ in (1, 2, 3):
        cluster.start(id_)
    for id_ in (1, 2, 3):
        assert cluster.wait(id_, "GET", "/kv/k59").body == b"v59"
        assert cluster.wait(id_, "GET", "/kv/greeting?read=follower").body == b"hello"

    # A fourth joins, and has it all; the leader leaves, and its process ends.
    cluster.start(4, "--join")
    addresses = json.dumps({"raft": cluster.raft[4], "http": cluster.http[4]}).encode()
    cluster.wait(1, "POST", "/members/4", addresses)
    cluster.reads(4, "k59", b"v59")
    members = cluster.met(4)
    assert members["4"] == {"role": "voter", "raft": cluster.raft[4], "http": cluster.http[4]}
    assert sorted(members) == ["1", "2", "3", "4"]
    gone = cluster.leader()
    cluster.wait(4, "DELETE", f"/members/{gone}")
    assert cluster.running.pop(gone).wait(DEADLINE_S) == 1
    left = next(iter(cluster.running))
    assert sorted(cluster.wait(left, "GET", "/members").json) == sorted({"1", "2", "3", "4"} - {str(gone)})
    cluster.wait(left, "PUT", "/kv/greeting", b"goodbye")
    cluster.reads(4, "greeting", b"goodbye")
    assert cluster.ask(left, "POST", f"/members/{gone}", addresses).status == 409  # an id is used once


def test_what_is_wrong_is_said_so_and_ends_nothing(cluster: Cluster) -> None:
    for id_ in (1, 2, 3):
        cluster.start(id_)
    cluster.wait(1, "PUT", "/kv/k", b"v")
    leader = cluster.leader()
    at = cluster.http[leader]
    for data, status in [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\xff\xfe GET /\r\n\r\n", 400),
        (b"GET /kv/k?read=never HTTP/1.1\r\n\r\n", 400),
        (b"GET /kv/%ff HTTP/1.1\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /elsewhere HTTP/1.1\r\n\r\n", 404),
        (b"GET /kv/" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"PUT /kv/k HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PUT /kv/k HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"PUT /kv/k HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (b"PUT /kv/k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /members/x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400),
        (b"POST /members/9 HTTP/1.1\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000, 400),
        (b"DELETE /members/99 HTTP/1.1\r\n\r\n", 409),
    ]:
        found = re.match(rb"HTTP/1\.1 (\d+) ", raw(at, data))
        assert found, data[:60]
        assert int(found[1]) == status, data[:60]
    evil = json.dumps({"raft": cluster.raft[4], "http": "a\r\nSet-Cookie: b:80"}).encode()
    assert cluster.ask(leader, "POST", "/members/4", evil).status == 400
    socket.create_connection(("127.0.0.1", int(at.rpartition(":")[2]))).close()  # goes away at once
    assert cluster.ask(leader, "GET", "/kv/k").body == b"v"

    # Without a majority nobody knows how a write ends, and that is what is said.
    for id_ in (1, 2, 3):
        if id_ != leader:
            cluster.kill(id_)
    reply = cluster.ask(leader, "PUT", "/kv/k", b"w")
    assert reply.status == 504
    assert b"OutcomeUnknown" in reply.body
    reply = cluster.ask(leader, "GET", "/kv/k")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert cluster.ask(leader, "GET", "/kv/k?read=local").body == b"v"
    assert "no leader" in cluster.ask(leader, "GET", "/status").json["health"]
