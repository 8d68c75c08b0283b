"""Membership scripts: one tracker a file, changed by each case.

    simple                       apply the changes of the input one voter at a time
    enter-joint [autoleave=...]  enter a joint configuration with them
    leave-joint                  leave it; takes no input

The input is the short notation of `raftly.base.membership.parse_changes`. The log's last index, which new members
start from, is 0 at first and rises by one with every case, failed ones too.
"""

from __future__ import annotations

from typing import final

from raftly.base.membership import ConfChangeSingle, parse_changes
from raftly.core.confchange import Changer
from raftly.core.describe import describe_progress
from raftly.core.tracker import Progress, ProgressTracker, TrackerConfig
from raftly.errors import ConfChangeError
from raftly.testing.golden.script import CommandError, Directive, parse_bool

_INFLIGHT_MAX = 10


@final
class ConfChangeRunner:
    """The tracker of one script."""

    def __init__(self) -> None:
        self._tracker = ProgressTracker(_INFLIGHT_MAX)
        self._last_index = 0

    def run(self, directive: Directive) -> str:
        """The configuration and the progress table after a change, or why it was refused.

        Raises:
            ScriptError: an argument makes no sense.
        """
        try:
            self._tracker.switch(*self._change(directive, parse_changes(directive.input)))
        except (CommandError, ConfChangeError) as error:
            return str(error)
        finally:
            self._last_index += 1
        return f"{self._tracker.config}\n{describe_progress(self._tracker.progress.items())}"

    def _change(
        self, directive: Directive, changes: tuple[ConfChangeSingle, ...]
    ) -> tuple[TrackerConfig, dict[int, Progress]]:
        changer = Changer(self._tracker, self._last_index)
        if directive.command == "simple":
            return changer.simple(changes)
        if directive.command == "enter-joint":
            auto_leave = False
            if directive.arguments:
                auto_leave = parse_bool(directive.single("autoleave"))
            return changer.enter_joint(auto_leave, changes)
        if directive.command == "leave-joint":
            if changes:
                raise CommandError("this command takes no input")
            return changer.leave_joint()
        raise CommandError("unknown command")
