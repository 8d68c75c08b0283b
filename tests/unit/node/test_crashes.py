"""Crashes and partitions from a seed: what was answered is there, once; what was not is there at most once."""

import asyncio

import pytest

from raftly.base.rand import SplitMix64
from raftly.errors import NotLeader, OutcomeUnknown, ProposalDropped, RaftlyError
from raftly.node.errors import NodeStopped
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


class History:
    def __init__(self) -> None:
        self.answered: set[str] = set()
        self.unknown: set[str] = set()
        self.refused: set[str] = set()

    def check(self, values: dict[str, int]) -> None:
        """Each name was added to once: by a call of its own."""
        assert set(values.values()) <= {1}, "applied twice"
        missing = self.answered - values.keys()
        assert not missing, f"answered and lost: {sorted(missing)}"
        assert not self.refused & values.keys(), "refused and applied"
        assert values.keys() <= self.answered | self.unknown, "never called"


async def one_call(nodes: Nodes, history: History, name: str, random: SplitMix64) -> None:
    node = nodes.nodes.get(1 + random.below(3))
    if node is None:
        return
    try:
        if random.below(2):
            session = await node.open_session(within=3.0)
            history.unknown.add(name)
            assert await session.call(Register.add, name, 1) == 1
        else:
            history.unknown.add(name)
            assert await node.call(Register.add, name, 1) == 1
        history.answered.add(name)
    except OutcomeUnknown:
        pass
    except (NotLeader, ProposalDropped, NodeStopped):
        history.refused.add(name)
        history.unknown.discard(name)
    except RaftlyError as error:
        if str(error) != "crashed":
            raise


async def caller(nodes: Nodes, history: History, id_: int, random: SplitMix64) -> None:
    for number in range(40):
        await one_call(nodes, history, f"{id_}-{number}", random)
        await asyncio.sleep(random.below(20) / 100)


async def trouble(nodes: Nodes, random: SplitMix64) -> None:
    for _ in range(8):
        await asyncio.sleep(random.below(150) / 100)
        id_ = 1 + random.below(3)
        what = random.below(3)
        if what == 0:
            nodes.network.isolate(id_)
            await asyncio.sleep(random.below(300) / 100)
            nodes.network.heal()
        elif what == 1:
            nodes.crash(id_)
            await asyncio.sleep(random.below(300) / 100)
            await nodes.start(id_)
        else:
            for other in list(nodes.nodes):
                nodes.crash(other)
            for other in nodes.ids:
                await nodes.start(other)


@pytest.mark.parametrize("seed", range(12))
def test_what_was_answered_is_there_once_whatever_crashed(seed: int) -> None:
    async def main() -> None:
        random = SplitMix64(seed)
        history = History()
        async with Nodes(seed=seed, snapshot_entries=20 if seed % 2 else 10_000, call_timeout=3.0) as nodes:
            for position, disk in enumerate(nodes.disks.values()):
                disk.on_sync = lambda _, delay=0.002 * position: asyncio.sleep(delay)
            await asyncio.gather(trouble(nodes, random), *(caller(nodes, history, id_, random) for id_ in range(4)))
            nodes.network.heal()
            await nodes.set("end", 1)
            await nodes.equal()
            values = dict(nodes.nodes[1].machine.instance.values)
            del values["end"]
            history.check(values)
            assert len(history.answered) > 20

    run(main())


def test_the_check_finds_what_is_wrong() -> None:
    history = History()
    history.answered, history.unknown, history.refused = {"a"}, {"b"}, {"c"}
    history.check({"a": 1})
    history.check({"a": 1, "b": 1})
    for wrong in ({}, {"a": 2}, {"a": 1, "c": 1}, {"a": 1, "d": 1}):
        with pytest.raises(AssertionError):
            history.check(wrong)
