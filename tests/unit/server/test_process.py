"""What a store and a member of the placement driver share as processes."""

import socket

import pytest

from raftly.errors import ConfigError
from raftly.server.process import Bound, bound_address


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_port_0_takes_one_that_is_free(host: str) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        if host == "[::1]":
            pytest.skip("there is no IPv6 here")
    bound = bound_address("address", f"{host}:0")
    assert bound.port > 0
    assert bound == Bound(host.strip("[]"), bound.port, f"{host}:{bound.port}")


def test_what_others_are_told_must_lead_here() -> None:
    assert bound_address("address", "0.0.0.0:2379", "db:1") == Bound("0.0.0.0", 2379, "db:1")
    with pytest.raises(ConfigError, match="advertise_address must say how others reach "):
        bound_address("address", "0.0.0.0:2379")
    with pytest.raises(ConfigError, match="members must say how others reach "):
        bound_address("peer_address", "0.0.0.0:2380", told_by="members")


def test_a_port_of_every_interface_is_told_as_one_of_a_host_that_is_known() -> None:
    assert bound_address("status_address", "0.0.0.0:80", beside="db:1") == Bound("0.0.0.0", 80, "db:80")
    assert bound_address("status_address", "[::]:80", beside="[fd00::1]:1") == Bound("::", 80, "[fd00::1]:80")
    assert bound_address("status_address", "127.0.0.1:80", beside="db:1") == Bound("127.0.0.1", 80, "127.0.0.1:80")
