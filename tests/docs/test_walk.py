"""docs/walk.md: the functions that it names are there, and run in that order when a class is called."""

from __future__ import annotations

import sys
from types import FrameType

import pytest

from raftly.cli.form import core_form
from raftly.core.log import RaftLog
from tests.docs.walks import function_of, names, steps
from tests.support.nodes import Nodes, Register
from tests.support.virtual import run

PAGE = "walk.md"


def test_every_name_on_the_page_is_a_function() -> None:
    found = names(PAGE)
    assert len(found) > 40
    assert {name for _, name in steps(PAGE)} < found
    for name in found:
        assert callable(function_of(name)), name
    assert function_of("core.log.RaftLog.append") is RaftLog.append


class Calls:
    """A profiler: which functions of raftly were called, and at which node, as far as its driver or owner tells."""

    def __init__(self) -> None:
        self.made: list[tuple[int, str]] = []
        self._nodes = [0]  # of the frames that are open; a coroutine is entered again each time it goes on

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            module = str(frame.f_globals.get("__name__"))
            node = self._nodes[-1]
            owner = frame.f_locals.get("self")
            if module == "raftly.node.driver":
                node = getattr(owner, "node_id", node)
            elif module == "raftly.node.replicated":
                node = owner.config.id if owner is not None else node
            self._nodes.append(node)
            self.made.append((node, f"{module}.{frame.f_code.co_qualname}".removeprefix("raftly.")))
        elif event == "return" and len(self._nodes) > 1:
            self._nodes.pop()


@pytest.mark.skipif(core_form() != "plain", reason="Python sees no calls inside compiled code")
def test_the_steps_run_in_the_order_of_the_page() -> None:
    calls = Calls()
    roles: dict[int, str] = {}

    async def main() -> None:
        async with Nodes() as nodes:
            leader = await nodes.leader()
            await nodes.equal()
            follower = nodes.others(leader)[0]
            roles.update({leader.config.id: "leader", follower.config.id: "follower"})
            sys.setprofile(calls)
            try:
                assert await leader.call(Register.set, "greeting", 1) == 1
                applied = leader.machine.applied
                await follower.wait_applied(applied)
            finally:
                sys.setprofile(None)

    run(main())
    teller = "node.telling.Teller._tell"  # the loop calls it, so nobody says at which node: only a leader has one to do
    tell = "core.replication.maybe_tell_commit"
    seen = [("leader" if name in {teller, tell} else roles.get(node, ""), name) for node, name in calls.made]
    remaining = iter(seen)
    for step in steps(PAGE):
        assert step in remaining, f"{step} did not run behind the steps before it"
