"""TcpTransport on virtual time: connections made, lost and made again, queues, garbage, silence."""

from __future__ import annotations

import asyncio
import gc
import struct
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raftly.base.types import Entry
from raftly.core.messages import MsgApp, MsgHeartbeat, MsgTransferLeader
from raftly.errors import ConfigError, InvariantError
from raftly.transport.codec import encode_messages
from raftly.transport.connection import Connection
from raftly.transport.events import IdentityRefused, PeerConnected, PeerLost, StrangerClosed
from raftly.transport.frame import FRAME_GROUPS, FRAME_HELLO, FRAME_PING, FRAME_PONG, encode_frame
from raftly.transport.handshake import Hello, Identity, Purpose, make_hello
from raftly.transport.options import TcpOptions
from raftly.transport.tcp import TcpTransport
from tests.unit.transport.nodes import Node, close, pair
from tests.unit.transport.virtual import VirtualLoop, Wire, run


async def stranger(loop: VirtualLoop, port: int) -> tuple[Wire, list[bytes], asyncio.Event]:
    """A raw connection to a port: its end, what it hears, and its end."""
    heard: list[bytes] = []
    gone = asyncio.Event()

    class Raw(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            heard.append(data)

        def connection_lost(self, _error: Exception | None) -> None:
            gone.set()

    wire, _ = await loop.create_connection(Raw, "127.0.0.1", port)
    return wire, heard, gone


def hello(node: int = 9, expected: int = 1, **change: int) -> bytes:
    said = make_hello(Identity(7, node, 99), expected, Purpose.MESSAGES)
    return Hello(**{name: change.get(name, getattr(said, name)) for name in Hello.__slots__}).encode()


# --- who is where ---


def test_a_node_nobody_told_of_is_answered_where_it_says_as_long_as_it_is_connected() -> None:
    async def main(loop: VirtualLoop) -> None:
        two = await Node(2, 4002, {}).start()
        one = await Node(1, 4001, {2: 4002}).start()
        await two.until(lambda n: n.told(PeerConnected))
        two.beat(1, 7)
        await one.until(lambda n: n.commits == [7])
        await close(one)
        await asyncio.sleep(1)
        dials = len(loop.dials)
        await asyncio.sleep(60)
        assert len(loop.dials) == dials
        await close(two)

    run(main)


def test_what_a_node_says_of_its_place_counts_less_than_what_the_owner_was_told_who_hears_of_it() -> None:
    async def main(loop: VirtualLoop) -> None:
        two = await Node(2, 4002, {1: 4009}).start()
        one = await Node(1, 4001, {2: 4002}).start()
        await one.until(lambda n: n.told(PeerConnected))
        await asyncio.sleep(5)
        assert not two.told(PeerConnected)
        assert (one.moved, two.moved) == ([], [1])
        two.transport.set_address(1, None)
        assert 4001 not in {port for _, _, port in loop.dials}
        await close(one, two)

    run(main)


# --- sending ---


def test_messages_of_many_groups_arrive_in_order_as_one_frame_a_turn() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        wire = next(here for here, there in loop.wires if there.port == 50000 and here.port == 4002)
        before = len(wire.writes)
        for commit in range(5):
            one.beat(2, commit, group=commit % 2)
        one.append(2, 100, group=9)
        await two.until(lambda n: len(n.received) == 6)
        assert len(wire.writes) == before + 1
        assert two.frames == [(1, 6)]
        assert [(group, type(message)) for _, group, message in two.received] == [
            *((commit % 2, MsgHeartbeat) for commit in range(5)),
            (9, MsgApp),
        ]
        assert two.commits == [0, 1, 2, 3, 4]
        await close(one, two)

    run(main)


def test_a_driver_that_sends_once_a_turn_may_have_it_written_at_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair(options=TcpOptions(write_at_once=True))
        wire = next(here for here, _ in loop.wires if here.port == 4002)
        before = len(wire.writes)
        one.beat(2, 1)
        assert len(wire.writes) == before + 1
        one.beat(2, 2)
        await two.until(lambda n: n.commits == [1, 2])
        await close(one, two)

    run(main)


def test_what_is_sent_while_the_first_connection_is_made_is_not_lost() -> None:
    async def main(_loop: VirtualLoop) -> None:
        two = await Node(2, 4002, {}).start()
        one = await Node(1, 4001, {2: 4002}).start()
        one.beat(2, 3)
        await two.until(lambda n: n.commits == [3])
        assert one.unreachable == []
        await close(one, two)

    run(main)


def test_what_is_sent_while_nobody_listens_is_dropped_and_told() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {2: 4002}).start()
        one.beat(2, 1)
        await one.until(lambda n: n.unreachable)
        one.beat(2, 2)
        assert one.transport.stats.batches_dropped == 2
        two = await Node(2, 4002, {}).start()
        await one.until(lambda n: n.told(PeerConnected))
        one.beat(2, 3)
        await two.until(lambda n: n.commits == [3])
        assert len(one.told(PeerLost)) == 1  # not one for each attempt
        await close(one, two)

    run(main)


def test_attempts_are_further_and_further_apart_with_jitter_and_repeat_with_the_seed() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        one = await Node(1, 4001, {2: 4002}, seed=5).start()
        await asyncio.sleep(60)
        await close(one)
        return [time for time, _, port in loop.dials if port == 4002]

    times = run(main)
    assert times == run(main)
    waits = [after - before for before, after in pairwise(times)]
    bounds = [min(0.05 * 2**n, 2.0) for n in range(len(waits))]
    assert all(bound / 2 <= wait <= bound + 0.01 for wait, bound in zip(waits, bounds, strict=True))
    assert len({round(wait, 4) for wait in waits[8:]}) > 5


def test_a_node_that_comes_up_and_connects_is_dialed_at_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {2: 4002}).start()
        await asyncio.sleep(20)
        dials = len(loop.dials)
        two = await Node(2, 4002, {1: 4001}).start()
        began = loop.time()
        await one.until(lambda n: n.told(PeerConnected))
        assert loop.time() - began < 0.02
        assert len(loop.dials) == dials + 2
        await close(one, two)

    run(main)


def test_the_name_is_resolved_again_at_each_attempt() -> None:
    async def main(loop: VirtualLoop) -> None:
        options = TcpOptions(allow_plaintext=True)
        two = await Node(2, 4002, {}).start()
        one = Node(1, 4001, {}, options=options)
        one.transport.set_address(2, ("two.example", 4002))
        await one.start()
        await one.until(lambda n: n.unreachable)
        assert "no such host" in one.transport.peers()[0].problem
        loop.names["two.example"] = "127.0.0.1"
        await one.until(lambda n: n.told(PeerConnected))
        await close(one, two)

    run(main)


def test_an_address_may_change_and_go() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        moved = await Node(2, 4003, {}, seed=22).start()
        await close(two)
        one.transport.set_address(2, ("127.0.0.1", 4003))
        await one.until(lambda n: len(n.told(PeerConnected)) == 2)
        one.beat(2, 8)
        await moved.until(lambda n: n.commits == [8])
        one.transport.set_address(2, None)
        assert one.transport.peers() == []
        one.beat(2, 9)
        await asyncio.sleep(20)
        assert moved.commits == [8]
        assert moved.transport.incoming() == []
        dials = len(loop.dials)
        await asyncio.sleep(20)
        assert len(loop.dials) == dials
        await close(one, moved)

    run(main)


def test_a_peer_that_does_not_read_costs_no_more_than_the_queue_and_is_cut() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair(options=TcpOptions(queue_bytes_max=4 << 20))
        wire = next(here for here, _ in loop.wires if here.port == 4002)
        wire.stalled = True
        for _ in range(20):
            one.append(2, 1 << 20)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert wire.get_write_buffer_size() < 3 << 20
        assert one.transport.peers()[0].queue_bytes <= 4 << 20
        assert one.transport.stats.batches_dropped >= 12
        assert one.unreachable == [2]  # once for all of them
        began = loop.time()
        await one.until(lambda n: n.told(PeerLost))
        assert loop.time() - began < 8
        assert one.transport.stats.timeouts == 1
        await close(one, two)

    run(main)


def test_the_newest_is_dropped_and_what_was_queued_arrives_in_order_when_the_peer_reads_again() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair(options=TcpOptions(queue_bytes_max=1 << 20))
        wire = next(here for here, _ in loop.wires if here.port == 4002)
        wire.stalled = True
        one.append(2, 3 << 20)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not wire.protocol.writable  # type: ignore[attr-defined]
        for commit in range(10_000):
            one.beat(2, commit)
        wire.unstall()
        await two.until(lambda n: n.commits)
        assert two.commits == list(range(len(two.commits)))
        assert 0 < len(two.commits) < 10_000
        one.beat(2, 77)
        await two.until(lambda n: n.commits[-1] == 77)
        await close(one, two)

    run(main)


def test_more_than_a_frame_of_one_group_is_sent_message_by_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raftly.transport.link.PART_BYTES_MAX", 400)

    async def main(_loop: VirtualLoop) -> None:
        one, two = await pair()
        batch = [MsgApp(2, 1, 1, 0, 0, [Entry(1, 1, data=bytes(size))], 0) for size in (200, 200, 500, 200)]
        one.transport.send(2, [(1, list(batch))])
        await two.until(lambda n: len(n.received) == 3)
        assert one.transport.stats.batches_dropped == 1
        assert one.unreachable == [2]
        await close(one, two)

    run(main)


def test_closing_lets_what_was_sent_leave() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two = await pair()
        one.beat(2, 5)
        await close(one)
        assert two.commits == [5]
        await close(two)
        await close(two)  # once more does nothing
        one.beat(2, 6)

    run(main)


def test_closing_does_not_wait_for_who_does_not_read() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        for here, there in loop.wires:
            here.stalled = there.stalled = True
        one.append(2, 3 << 20)
        began = loop.time()
        await close(one)
        assert loop.time() - began < 1.5
        await close(two)

    run(main)


# --- identity ---


def refusals(node: Node) -> list[tuple[str, bool]]:
    return [(event.reason, event.here) for event in node.told(IdentityRefused)]


def test_a_foreign_cluster_is_refused_on_both_sides_with_a_reason() -> None:
    async def main(_loop: VirtualLoop) -> None:
        two = await Node(2, 4002, {}, cluster_id=8).start()
        one = await Node(1, 4001, {2: 4002}).start()
        await one.until(lambda n: n.told(IdentityRefused))
        assert (refusals(one), refusals(two)) == ([("CLUSTER", False)], [("CLUSTER", True)])
        assert "cluster 8" in one.told(IdentityRefused)[0].problem
        assert one.unreachable == [2]
        assert "belongs to cluster 7" in one.transport.peers()[0].problem
        one.beat(2)
        await asyncio.sleep(0.5)
        assert two.received == []
        await close(one, two)

    run(main)


def test_who_was_refused_does_not_come_back_quickly() -> None:
    async def main(loop: VirtualLoop) -> None:
        two = await Node(2, 4002, {}, cluster_id=8).start()
        one = await Node(1, 4001, {2: 4002}).start()
        await one.until(lambda n: len(n.told(IdentityRefused)) == 4)
        times = [time for time, _, _ in loop.dials]
        assert all(after - before >= 2.0 for before, after in pairwise(times))
        await close(one, two)

    run(main)


def test_the_wrong_node_at_an_address_is_refused() -> None:
    async def main(_loop: VirtualLoop) -> None:
        three = await Node(3, 4002, {}).start()
        one = await Node(1, 4001, {2: 4002}).start()
        await one.until(lambda n: n.told(IdentityRefused))
        assert (refusals(one), refusals(three)) == ([("WRONG_NODE", False)], [("WRONG_NODE", True)])
        assert "not node 2" in one.told(IdentityRefused)[0].problem
        await close(one, three)

    run(main)


def test_an_address_that_leads_to_oneself_is_noticed() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {2: 4001}).start()
        await one.until(lambda n: len(n.told(IdentityRefused)) == 2)
        assert sorted(refusals(one)) == [("SELF", False), ("SELF", True)]
        await close(one)

    run(main)


def test_of_two_living_nodes_with_one_id_the_second_is_refused() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two = await pair()
        clone = await Node(2, 4005, {1: 4001}, seed=222).start()
        await clone.until(lambda n: n.told(IdentityRefused))
        assert refusals(clone) == [("DUPLICATE", False)]
        assert "connected already" in clone.told(IdentityRefused)[0].problem
        assert refusals(one) == [("DUPLICATE", True)]
        clone.beat(1, 66)
        two.beat(1, 5)
        await one.until(lambda n: n.commits)
        assert one.commits == [5]
        assert two.told(PeerLost) == []
        await close(one, two, clone)

    run(main)


def test_a_node_may_not_call_another_by_its_own_id() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        wire, _, gone = await stranger(loop, 4001)
        wire.write(hello(node=1, expected=1))
        await gone.wait()
        assert refusals(one) == [("DUPLICATE", True)]
        await close(one)

    run(main)


def test_a_node_that_restarted_takes_the_place_of_its_half_dead_connection() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        for here, there in loop.wires:  # node 2's machine is gone: nothing leaves it any more, not even a reset
            mine = here if here.port == 4001 else there
            mine.mute = True
        loop.listening.pop(4002)
        again = await Node(2, 4002, {1: 4001}, seed=222).start()
        began = loop.time()
        await again.until(lambda n: n.told(PeerConnected))
        assert 1.0 <= loop.time() - began < 2.5
        again.beat(1, 6)
        await one.until(lambda n: n.commits == [6])
        assert refusals(one) == []
        for here, there in loop.wires:
            here.mute = there.mute = False
        await close(one, again, two)

    run(main)


def test_a_newcomer_is_taken_when_the_one_before_goes_meanwhile() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        wire = next(here for here, _ in loop.wires if here.port == 4001)
        wire.mute = True
        again = await Node(2, 4005, {1: 4001}, seed=222).start()
        await asyncio.sleep(0.3)
        assert one.transport.incoming() == [2]
        assert again.told(PeerConnected) == []
        wire.mute = False
        wire.abort()
        await again.until(lambda n: n.told(PeerConnected))
        assert refusals(one) == []
        await close(one, two, again)

    run(main)


def test_a_second_newcomer_ends_the_wait_of_the_first() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        next(here for here, _ in loop.wires if here.port == 4001).mute = True
        first, heard, gone = await stranger(loop, 4001)
        first.write(hello(node=2, incarnation=5))
        await asyncio.sleep(0.1)
        second, _, second_gone = await stranger(loop, 4001)
        second.write(hello(node=2, incarnation=6))
        await gone.wait()
        assert heard
        assert not second_gone.is_set()
        second.close()
        await second_gone.wait()
        for here, _ in loop.wires:
            here.mute = False
        await close(one, two)

    run(main)


def test_a_required_feature_that_the_peer_lacks_is_a_refusal() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}, required_features=1).start()
        wire, heard, gone = await stranger(loop, 4001)
        wire.write(hello(features=0))
        await gone.wait()
        assert refusals(one) == [("FEATURES", True)]
        assert b"required features" in b"".join(heard)
        await close(one)

    run(main)


def test_a_message_in_the_name_of_another_node_closes_the_connection() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two = await pair()
        one.transport.send(2, [(1, [MsgTransferLeader(2, 3, 1)])])  # a follower passes it on: allowed
        await two.until(lambda n: len(n.received) == 1)
        one.transport.send(2, [(1, [MsgHeartbeat(2, 3, 9)])])
        await one.until(lambda n: n.told(PeerLost))
        assert len(two.received) == 1
        assert two.transport.stats.garbage == 1
        await close(one, two)

    run(main)


def test_a_store_may_send_in_the_name_of_its_peers() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one, two = await pair(options=TcpOptions(bind_senders=False))
        one.transport.send(2, [(1, [MsgHeartbeat(31, 32, 9)])])
        await two.until(lambda n: n.received)
        await close(one, two)

    run(main)


# --- hostile and broken ---

GARBAGE = [
    b"GET / HTTP/1.1\r\n\r\n",
    bytes(64),
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(30),
    encode_frame(FRAME_HELLO, b""),
    encode_frame(FRAME_HELLO, bytes(10)),
    encode_frame(FRAME_GROUPS, bytes(20)),
    encode_frame(FRAME_PING, bytes(65)),
    struct.pack("<2sBBII", b"rf", 1, FRAME_HELLO, 1025, 0),
    struct.pack("<2sBBII", b"rf", 1, FRAME_HELLO, (1 << 32) - 1, 0),
    hello()[:-1] + b"\x01",
    hello() + b"x" * 20,
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_closes_that_connection_only_and_is_counted(data: bytes) -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        wire, _, gone = await stranger(loop, 4001)
        wire.write(data)
        await gone.wait()
        assert one.transport.stats.garbage == 1
        two.beat(1, 4)
        await one.until(lambda n: n.commits == [4])
        assert one.told(PeerLost) == []
        await close(one, two)

    run(main)


BAD_BODIES = [
    struct.pack("<Q", 1),
    struct.pack("<QI", 1, 5),
    struct.pack("<QI", 1, 1) + b"\xff",
    struct.pack("<QI", 1, 1) + b"\x00",
    struct.pack("<QI", 1, (1 << 32) - 1) + bytes(40),
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_bad_messages_of_a_node_that_shook_hands_are_garbage_too(body: bytes) -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        wire, _, gone = await stranger(loop, 4001)
        wire.write(hello())
        await asyncio.sleep(0.01)
        assert one.transport.incoming() == [9]
        wire.write(encode_frame(FRAME_GROUPS, body))
        await gone.wait()
        assert one.received == []
        assert one.transport.stats.garbage == 1
        await close(one)

    run(main)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.builds(encode_frame, st.integers(0, 13), st.binary(max_size=80)),
            st.just(hello()),
        ),
        max_size=6,
    )
)
def test_whatever_comes_harms_nobody_else(pieces: list[bytes]) -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        wire, _, gone = await stranger(loop, 4001)
        for piece in pieces:
            wire.write(piece)
        await gone.wait()  # garbage at once, silence by its time-out
        assert one.received == []
        assert one.transport.stats.garbage + one.transport.stats.timeouts == 1
        await close(one)

    run(main)


def test_a_frame_in_many_pieces_is_a_frame() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        wire, heard, _ = await stranger(loop, 4001)
        for byte in hello():
            wire.write(bytes((byte,)))
        await asyncio.sleep(0.01)
        assert heard
        assert one.transport.incoming() == [9]
        await close(one)

    run(main)


def test_half_open_handshakes_are_timed_out() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        silent = [await stranger(loop, 4001) for _ in range(3)]
        for count, (wire, _, _) in enumerate(silent):
            wire.write(hello()[: 20 * count] or b"r")
        began = loop.time()
        for _, _, gone in silent:
            await gone.wait()
        assert 4.5 < loop.time() - began < 6
        assert one.transport.stats.timeouts == 3
        assert len(one.told(StrangerClosed)) == 3
        assert "no hello" in one.told(StrangerClosed)[0].problem
        await close(one)

    run(main)


def test_a_slow_frame_and_a_silent_node_are_cut() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}, options=TcpOptions(frame_s_max=10)).start()
        slow, _, slow_gone = await stranger(loop, 4001)
        slow.write(hello(node=8))
        silent, _, silent_gone = await stranger(loop, 4001)
        silent.write(hello(node=9))
        began = loop.time()
        frame = encode_frame(FRAME_GROUPS, bytes(1000))
        for byte in frame:
            if slow_gone.is_set():
                break
            slow.write(bytes((byte,)))
            await asyncio.sleep(1)
        assert 10 < loop.time() - began < 13
        assert silent_gone.is_set()
        assert one.transport.stats.timeouts == 2
        await close(one)

    run(main)


def test_there_is_a_bound_on_strangers_and_on_what_is_told_of_them() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}, options=TcpOptions(pending_max=20)).start()
        held = [await stranger(loop, 4001) for _ in range(20)]
        _, _, gone = await stranger(loop, 4001)
        await gone.wait()
        assert one.transport.stats.turned_away == 1
        for wire, _, _ in held:
            wire.write(b"garbage, and more of it")
        for _, _, gone in held:
            await gone.wait()
        await asyncio.sleep(0.01)
        assert one.transport.stats.garbage == 20
        assert len(one.told(StrangerClosed)) == 16
        assert one.transport.stats.events_suppressed == 4
        wire, _, _ = await stranger(loop, 4001)
        wire.write(hello())
        await asyncio.sleep(0.01)
        assert one.transport.incoming() == [9]
        await close(one)

    run(main)


def test_all_connections_together_are_bounded() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}, options=TcpOptions(connections_max=2)).start()
        for node in (8, 9):
            wire, _, _ = await stranger(loop, 4001)
            wire.write(hello(node=node))
            await asyncio.sleep(0.01)
        _, _, gone = await stranger(loop, 4001)
        await gone.wait()
        assert one.transport.incoming() == [8, 9]
        await close(one)

    run(main)


def test_somebody_who_pings_without_reading_is_cut() -> None:
    async def main(loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        wire, _, gone = await stranger(loop, 4001)
        wire.write(hello())
        await asyncio.sleep(0.01)
        assert wire.other is not None
        wire.other.stalled = True
        wire.other.high = 100
        for _ in range(20):
            wire.write(encode_frame(FRAME_PING, b"?"))
        await gone.wait()
        assert one.transport.stats.timeouts == 1
        await close(one)

    run(main)


@pytest.mark.parametrize("answer", [encode_frame(FRAME_PONG, b"") * 3, b"garbage garbage", b""])
def test_who_answers_nonsense_to_a_hello_is_tried_again(answer: bytes) -> None:
    async def main(loop: VirtualLoop) -> None:
        class Odd(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                transport.write(answer)

        await loop.create_server(Odd, "127.0.0.1", 4002)
        one = await Node(1, 4001, {2: 4002}).start()
        await one.until(lambda n: len(n.unreachable) == 2)
        assert one.told(PeerConnected) == []
        await close(one)

    run(main)


def test_a_connection_that_closes_at_either_end_is_lost_and_a_failed_dial_is_not() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        await one.until(lambda n: n.transport.incoming() == [2])
        await two.transport.close()
        await one.until(lambda n: len(n.lost) == 2)  # the one that it dialed, and the one that it took
        await asyncio.sleep(10)
        assert one.lost == [2, 2]
        assert len(one.unreachable) > 2  # it goes on dialing
        assert two.lost == []  # it closed them itself
        await close(one)

    run(main)


def test_a_port_that_lets_the_connection_hang_is_given_up() -> None:
    async def main(loop: VirtualLoop) -> None:
        loop.silent.add(4002)
        one = await Node(1, 4001, {2: 4002}).start()
        began = loop.time()
        await one.until(lambda n: n.unreachable)
        assert 4.9 < loop.time() - began < 5.1
        assert "within 5.0 s" in one.transport.peers()[0].problem
        await close(one)

    run(main)


def test_a_peer_that_falls_silent_is_noticed_by_ping() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        await asyncio.sleep(30)
        assert one.told(PeerLost) == two.told(PeerLost) == []
        assert one.transport.peers()[0].rtt_s == pytest.approx(0.002)
        for here, there in loop.wires:
            here.mute = there.mute = True
        loop.silent |= {4001, 4002}
        began = loop.time()
        await one.until(lambda n: n.unreachable)
        assert loop.time() - began < 8
        assert "no answer" in one.told(PeerLost)[0].problem
        for here, there in loop.wires:
            here.mute = there.mute = False
        await close(one, two)

    run(main)


def test_a_peer_that_falls_silent_is_noticed_however_much_is_said_to_it() -> None:
    async def main(loop: VirtualLoop) -> None:
        one, two = await pair()
        await asyncio.sleep(3)
        for here, there in loop.wires:
            here.mute = there.mute = True
        loop.silent |= {4001, 4002}
        began = loop.time()
        while not one.unreachable:
            one.beat(2, 1)  # it leads, so it never stops to
            await asyncio.sleep(0.1)
        assert loop.time() - began < 8
        assert "no answer" in one.told(PeerLost)[0].problem
        for here, there in loop.wires:
            here.mute = there.mute = False
        await close(one, two)

    run(main)


def test_a_bug_in_the_receiver_is_not_taken_for_a_bad_peer() -> None:
    async def main(loop: VirtualLoop) -> None:
        two = Node(2, 4002, {})

        def receive(_from: int, _batch: object) -> None:
            raise InvariantError("ours")

        await two.transport.start(receive, two._unreachable)
        wire, _, _ = await stranger(loop, 4002)
        wire.write(hello(expected=2))
        await asyncio.sleep(0.01)
        connection = wire.other and wire.other.protocol
        assert isinstance(connection, Connection)
        batch = encode_messages([MsgHeartbeat(2, 9, 1)])
        with pytest.raises(InvariantError):
            connection.data_received(encode_frame(FRAME_GROUPS, struct.pack("<QI", 1, len(batch)) + batch))
        assert two.transport.stats.garbage == 0
        await close(two)

    run(main)


# --- settings ---


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "node-1.example", "::", ""])
def test_plaintext_off_loopback_only_when_asked_for(host: str) -> None:
    with pytest.raises(ConfigError, match="allow_plaintext"):
        TcpTransport(1, 1, (host, 4001), {})
    with pytest.raises(ConfigError, match="address of node 2"):
        TcpTransport(1, 1, ("127.0.0.1", 4001), {2: (host, 4002)})
    transport = TcpTransport(1, 1, ("127.0.0.1", 4001), {})
    with pytest.raises(ConfigError, match="allow_plaintext"):
        transport.set_address(2, (host, 4002))
    allowed = TcpTransport(1, 1, (host, 4001), {2: (host, 4002)}, TcpOptions(allow_plaintext=True))
    assert allowed.address == (host, 4001)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_permission(host: str) -> None:
    TcpTransport(1, 1, (host, 4001), {2: (host, 4002)})


@pytest.mark.parametrize(
    "change",
    [
        {"ping_s": 0.0},
        {"backoff_s_max": 0.01},
        {"queue_bytes_max": -1},
        {"window_bytes": 1},
        {"window_bytes": 1 << 30},
        {"connect_s": float("nan")},
    ],
)
def test_options_have_bounds(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        TcpOptions(**change)  # type: ignore[arg-type]


def test_ids_and_ports_have_bounds() -> None:
    for cluster_id, node_id, port in ((0, 1, 1), (1, 0, 1), (1, 1 << 64, 1), (1, 1, 1 << 16)):
        with pytest.raises(ConfigError):
            TcpTransport(cluster_id, node_id, ("127.0.0.1", port), {})
    with pytest.raises(ConfigError, match="required_features"):
        TcpTransport(1, 1, ("127.0.0.1", 1), {}, required_features=1 << 40)


def test_a_port_in_use_is_an_error_at_the_start() -> None:
    async def main(_loop: VirtualLoop) -> None:
        one = await Node(1, 4001, {}).start()
        with pytest.raises(OSError, match="in use"):
            await Node(2, 4001, {}).start()
        await close(one)

    run(main)


def test_a_dial_given_up_while_it_connects_says_nothing_when_the_connection_is_lost() -> None:
    async def main(loop: VirtualLoop) -> None:
        connect = loop.create_connection

        async def slowly(*told: Any, **more: Any) -> Any:
            made = await connect(*told, **more)
            await asyncio.sleep(1)
            return made

        loop.create_connection = slowly  # type: ignore[method-assign]
        await loop.create_server(asyncio.Protocol, "127.0.0.1", 4002)
        one = await Node(1, 4001, {2: 4002}).start()
        await asyncio.sleep(0.5)
        await close(one)
        await asyncio.sleep(1)
        loop.wires.clear()
        del one
        gc.collect()

    run(main)  # a future whose exception nobody took would be a problem there
