"""Which file a node that starts takes for a snapshot of its own: one that its log agrees with."""

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
