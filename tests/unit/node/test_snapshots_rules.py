"""Which file a node that starts takes for a snapshot of its own, and when the log is cut behind it."""

import asyncio

import pytest

from raftly.base.types import SnapshotMeta
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run


@pytest.mark.parametrize(("later", "found"), [(0, True), (1, False)])
def test_a_file_of_another_term_than_the_log_is_not_of_this_log(later: int, found: bool) -> None:
    async def main() -> None:
        async with Nodes(1) as nodes:
            node = await nodes.leader()
            for number in range(5):
                await node.call(Register.set, f"{number}", number)
            index = node.machine.applied
            meta = SnapshotMeta(index, node._log.term(index) + later, node.status().conf_state)
            writer = node._snapshots._files.create(meta)
            for piece in node.machine.stream():
                await writer.write(piece)
            await writer.commit()
            await nodes.stop(1)
            again = await nodes.start(1)
            assert again._snapshots._newest.index == (index if found else 0)

    run(main())


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("crashes", [True, False])
def test_after_a_restart_the_log_is_cut_no_further_than_it_is_applied(count: int, crashes: bool) -> None:
    """The last entry of a burst has no later one that tells that it is committed: a restart has to be told again."""

    async def main() -> None:
        async with Nodes(count, snapshot_bytes=20_000) as nodes:
            leader = await nodes.leader()
            for number in range(25):
                await leader.call(Register.set, f"{number:04}" * 250, number)
            await asyncio.sleep(1)
            ahead = {id_: node._snapshots._newest.index for id_, node in nodes.nodes.items()}
            assert all(index == nodes.nodes[id_].machine.applied > 20 for id_, index in ahead.items())
            for id_ in nodes.ids:
                if crashes:
                    nodes.crash(id_)
                else:
                    await nodes.stop(id_)
            for id_ in nodes.ids:
                node = await nodes.start(id_)
                assert node._snapshots._newest.index == ahead[id_]
            for _ in range(200):
                await asyncio.sleep(0.025)
                for node in nodes.nodes.values():
                    assert node.failure is None
                    assert node._log.first_index() - 1 <= node.machine.applied
            leader = await nodes.leader()
            await leader.call(Register.set, "behind it", 1)

    run(main())
