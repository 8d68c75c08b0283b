"""Interaction scripts: the directives that drive a simulated cluster.

Directives and texts are those of etcd-io/raft's interaction tests. Beyond them, for what these cannot reach:

    restart <id>                          stop a node and start it from what it stored and applied
    report-snapshot <id> <peer> [failed]  the transport's word on a snapshot
    read-index <id> <context>             ask for a linearizable read
    add-nodes ... forward-proposals=<bool> max-size-per-msg=<bytes> max-uncommitted-size=<bytes>
                  max-inflight-bytes=<bytes>
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, final

from raftly.base.membership import (
    AnyConfChange,
    ConfChange,
    ConfChangeTransition,
    ConfChangeV2,
    ConfState,
    parse_changes,
)
from raftly.base.types import NO_LIMIT, Snapshot, SnapshotMeta
from raftly.core.config import Config, ReadOnlyOption
from raftly.core.describe import describe_entries, describe_error, describe_progress, quote
from raftly.core.logtext import fatal_line
from raftly.core.messages import MESSAGE_CLASSES, MessageType
from raftly.errors import InvariantError, RaftlyError
from raftly.testing.golden.cluster import Cluster, SimulatedNode
from raftly.testing.golden.script import CommandError, Directive, ScriptError, parse_bool, parse_uint

_ELECTION_TICK: Final = 3
_HEARTBEAT_TICK: Final = 1
_INFLIGHT_MAX: Final = (1 << 31) - 1
_START_TERM: Final = 1  # of the snapshot that new nodes share
_TRANSITIONS: Final = {
    "auto": ConfChangeTransition.AUTO,
    "implicit": ConfChangeTransition.JOINT_IMPLICIT,
    "explicit": ConfChangeTransition.JOINT_EXPLICIT,
}
_READ_MODES: Final = {mode.value: mode for mode in ReadOnlyOption}
_STANDARD: Final = Config(
    id=1, election_tick=_ELECTION_TICK, heartbeat_tick=_HEARTBEAT_TICK, max_inflight_msgs=_INFLIGHT_MAX
)
_OPTIONS: Final[dict[str, tuple[str, Callable[[str], int]]]] = {  # bool is an int
    "async-storage-writes": ("async_storage_writes", parse_bool),
    "checkquorum": ("check_quorum", parse_bool),
    "disable-conf-change-validation": ("disable_conf_change_validation", parse_bool),
    "forward-proposals": ("disable_proposal_forwarding", lambda text: not parse_bool(text)),
    "inflight": ("max_inflight_msgs", parse_uint),
    "max-committed-size-per-ready": ("max_committed_size_per_ready", parse_uint),
    "max-inflight-bytes": ("max_inflight_bytes", parse_uint),
    "max-size-per-msg": ("max_size_per_msg", parse_uint),
    "max-uncommitted-size": ("max_uncommitted_entries_size", parse_uint),
    "prevote": ("pre_vote", parse_bool),
    "step-down-on-removal": ("step_down_on_removal", parse_bool),
}
_TYPES: Final = {cls.type.name: cls.type for cls in MESSAGE_CLASSES}


class ScriptAborted(Exception):
    """A node broke an invariant: `output` is what was printed until then, `problem` the invariant."""

    def __init__(self, output: str, problem: str) -> None:
        super().__init__(output, problem)
        self.output: Final = output
        self.problem: Final = problem

    def __str__(self) -> str:
        return self.problem


@final
class InteractionRunner:
    """The cluster of one script."""

    def __init__(self) -> None:
        self._cluster = Cluster()
        self._console = self._cluster.console

    def run(self, directive: Directive) -> str:
        """Carry out one directive; what it printed, or `ok`.

        Raises:
            ScriptError: an argument makes no sense.
            ScriptAborted: a node broke an invariant; nothing more can be run.
        """
        self._console.take()
        failure = ""
        handler = DIRECTIVES.get(directive.command)
        try:
            if handler is None:
                raise CommandError("unknown command")
            handler(self, directive)
        except ScriptError:
            raise
        except RaftlyError as error:
            failure = describe_error(error)
        except InvariantError as error:
            self._console.log(fatal_line(error))
            raise ScriptAborted(self._console.take(), str(error)) from error
        return self._console.take() + failure or "ok"

    # --- nodes ---

    def add_nodes(self, directive: Directive) -> None:
        count = parse_uint(_bare(directive, 0))
        config, first = _parse_add_nodes(directive)
        for _ in range(count):
            self._cluster.add_node(config, first)

    def restart(self, directive: Directive) -> None:
        self._node(directive).restart()

    def _node(self, directive: Directive) -> SimulatedNode:
        """The node that the first argument names."""
        return self._cluster.node(parse_uint(_bare(directive, 0)))

    # --- what happens to a node ---

    def campaign(self, directive: Directive) -> None:
        self._node(directive).core.campaign()

    def propose(self, directive: Directive) -> None:
        if len(directive.arguments) != 2:
            raise ScriptError("propose needs a node and one payload without = in it")
        self._node(directive).core.propose(_bare(directive, 1).encode())

    def propose_conf_change(self, directive: Directive) -> None:
        self._node(directive).core.propose_conf_change(_parse_change(directive))

    def tick_election(self, directive: Directive) -> None:
        self._tick(directive, _ELECTION_TICK)

    def tick_heartbeat(self, directive: Directive) -> None:
        self._tick(directive, _HEARTBEAT_TICK)

    def _tick(self, directive: Directive, count: int) -> None:
        core = self._node(directive).core
        for _ in range(count):
            core.tick()

    def set_election_timeout(self, directive: Directive) -> None:
        timeout = parse_uint(directive.single("timeout"))
        if timeout == 0:
            raise ScriptError("timeout must be at least 1")
        self._node(directive).core.raft.randomized_election_timeout = timeout

    def transfer_leadership(self, directive: Directive) -> None:
        from_ = self._cluster.node(parse_uint(directive.single("from")))
        to = self._cluster.node(parse_uint(directive.single("to")))
        from_.core.transfer_leader(to.id)

    def forget_leader(self, directive: Directive) -> None:
        self._node(directive).core.forget_leader()

    def report_unreachable(self, directive: Directive) -> None:
        ids = _ids(directive)
        if len(ids) != 2:
            raise CommandError("must specify exactly two node indexes: node on which to report, and reported node")
        self._cluster.node(ids[0]).core.report_unreachable(self._cluster.node(ids[1]).id)

    def report_snapshot(self, directive: Directive) -> None:
        words = directive.bare()
        if len(words) not in {2, 3} or words[2:] not in ([], ["failed"]):
            raise ScriptError("report-snapshot needs a node, a peer, and perhaps the word failed")
        peer = self._cluster.node(parse_uint(words[1]))
        self._node(directive).core.report_snapshot(peer.id, failed=len(words) == 3)

    def read_index(self, directive: Directive) -> None:
        self._node(directive).core.read_index(_bare(directive, 1).encode())

    def compact(self, directive: Directive) -> None:
        self._node(directive).storage.log.compact(parse_uint(_bare(directive, 1)))
        self.raft_log(directive)

    def send_snapshot(self, directive: Directive) -> None:
        ids = _ids(directive)
        if len(ids) != 2:
            raise ScriptError("send-snapshot needs two nodes")
        self._cluster.send_snapshot(ids[0], ids[1])

    # --- what the environment does ---

    def process_ready(self, directive: Directive) -> None:
        self._each(directive, "handling Ready", self._cluster.process_ready)

    def process_append_thread(self, directive: Directive) -> None:
        self._each(directive, "processing append thread", self._cluster.process_append_thread)

    def process_apply_thread(self, directive: Directive) -> None:
        self._each(directive, "processing apply thread", self._cluster.process_apply_thread)

    def _each(self, directive: Directive, what: str, action: Callable[[SimulatedNode], None]) -> None:
        """One node without a header, several each below its own."""
        nodes = self._cluster.nodes_of(_ids(directive))
        if len(nodes) == 1:
            action(nodes[0])
            return
        for node in nodes:
            self._console.write(f"> {node.id} {what}\n")
            with self._console.indented():
                action(node)

    def deliver_msgs(self, directive: Directive) -> None:
        recipients, type_ = _parse_deliver(directive)
        count = sum([self._cluster.deliver(id_, type_, drop=drop) for id_, drop in recipients])
        if count == 0:
            self._console.write("no messages\n")

    def stabilize(self, directive: Directive) -> None:
        nodes = self._cluster.nodes_of(_ids(directive)) or list(self._cluster.nodes)
        level = self._console.level
        try:
            for key, value in directive.valued():
                if key == "log-level":
                    self._console.set_level(value)
            self._cluster.stabilize(nodes)
        finally:
            self._console.level = level

    # --- looking in ---

    def log_level(self, directive: Directive) -> None:
        self._console.set_level(_bare(directive, 0))

    def raft_log(self, directive: Directive) -> None:
        log = self._node(directive).storage.log
        first, last = log.first_index(), log.last_index()
        if last < first:
            self._console.write(f"log is empty: first index={first}, last index={last}")
            return
        self._console.write(describe_entries(log.entries(first, last + 1, NO_LIMIT)))

    def raft_state(self, _: Directive) -> None:
        for node in self._cluster.nodes:
            raft = node.core.raft
            membership = "(Voter)" if raft.id in raft.tracker.config.voters.ids() else "(Non-Voter)"
            self._console.write(f"{raft.id}: {raft.role.value} {membership} Term:{raft.term} Lead:{raft.leader}\n")

    def status(self, directive: Directive) -> None:
        self._console.write(describe_progress(self._node(directive).core.status().progress.items()))

    def breakpoint(self, _: Directive) -> None:
        """Nothing: a place to stop a debugger at."""


DIRECTIVES: Final[dict[str, Callable[[InteractionRunner, Directive], None]]] = {
    "_breakpoint": InteractionRunner.breakpoint,
    "add-nodes": InteractionRunner.add_nodes,
    "campaign": InteractionRunner.campaign,
    "compact": InteractionRunner.compact,
    "deliver-msgs": InteractionRunner.deliver_msgs,
    "forget-leader": InteractionRunner.forget_leader,
    "log-level": InteractionRunner.log_level,
    "process-append-thread": InteractionRunner.process_append_thread,
    "process-apply-thread": InteractionRunner.process_apply_thread,
    "process-ready": InteractionRunner.process_ready,
    "propose": InteractionRunner.propose,
    "propose-conf-change": InteractionRunner.propose_conf_change,
    "raft-log": InteractionRunner.raft_log,
    "raft-state": InteractionRunner.raft_state,
    "read-index": InteractionRunner.read_index,
    "report-snapshot": InteractionRunner.report_snapshot,
    "report-unreachable": InteractionRunner.report_unreachable,
    "restart": InteractionRunner.restart,
    "send-snapshot": InteractionRunner.send_snapshot,
    "set-randomized-election-timeout": InteractionRunner.set_election_timeout,
    "stabilize": InteractionRunner.stabilize,
    "status": InteractionRunner.status,
    "tick-election": InteractionRunner.tick_election,
    "tick-heartbeat": InteractionRunner.tick_heartbeat,
    "transfer-leadership": InteractionRunner.transfer_leadership,
}


# --- arguments -------------------------------------------------------------------------------------------------


def _bare(directive: Directive, position: int) -> str:
    """The argument at a position, which must have no value."""
    arguments = directive.arguments
    if position >= len(arguments) or arguments[position].values:
        raise ScriptError(f"argument {position + 1} of {directive.command} must be there, and without =")
    return arguments[position].key


def _ids(directive: Directive) -> list[int]:
    return [parse_uint(key) for key in directive.bare()]


def _parse_deliver(directive: Directive) -> tuple[list[tuple[int, bool]], MessageType | None]:
    """Recipients with their drop flag, in written order, and the one type to take, if any."""
    recipients: list[tuple[int, bool]] = []
    type_: MessageType | None = None
    for argument in directive.arguments:
        if not argument.values:
            recipients.append((parse_uint(argument.key), False))
        for value in argument.values:
            if argument.key == "drop":
                id_ = parse_uint(value)
                if any(id_ == known for known, _ in recipients):
                    raise ScriptError(f"messages to {id_} are either delivered or dropped, once")
                recipients.append((id_, True))
            elif argument.key == "type":
                if value not in _TYPES:
                    raise ScriptError(f"there is no message type {value}")
                type_ = _TYPES[value]
    return recipients, type_


def _parse_add_nodes(directive: Directive) -> tuple[Config, Snapshot]:
    """The configuration and the start snapshot that the new nodes share; an empty snapshot starts them empty.

    Raises:
        CommandError: a start snapshot without a usable index, or an unknown read mode.
    """
    voters: list[int] = []
    learners: list[int] = []
    index, content = 0, None
    options: dict[str, Any] = {}
    for key, value in directive.valued():
        if key == "voters":
            voters.append(parse_uint(value))
        elif key == "learners":
            learners.append(parse_uint(value))
        elif key == "index":
            index = parse_uint(value)
        elif key == "content":
            content = value
        elif key == "read-only":
            if value not in _READ_MODES:
                raise CommandError(f"invalid read-only option {quote(value.encode())}")
            options["read_only_option"] = _READ_MODES[value]
        elif key in _OPTIONS:
            option, parse = _OPTIONS[key]
            options[option] = parse(value)
    if not (voters or learners or index or content is not None):
        return replace(_STANDARD, **options), Snapshot()
    if index <= 1:
        raise CommandError("index must be specified as > 1 due to bootstrap")
    meta = SnapshotMeta(index, _START_TERM, ConfState(tuple(voters), tuple(learners)))
    return replace(_STANDARD, applied=index, **options), Snapshot(meta, (content or "").encode())


def _parse_change(directive: Directive) -> AnyConfChange:
    """The change of a propose-conf-change.

    Raises:
        CommandError: an unknown option, or changes that its version cannot carry.
        ConfChangeError: the change list does not parse.
    """
    v1 = False
    transition = ConfChangeTransition.AUTO
    for key, value in directive.valued():
        if key == "v1":
            v1 = parse_bool(value)
        elif key == "transition":
            if value not in _TRANSITIONS:
                raise CommandError(f"unknown transition {value}")
            transition = _TRANSITIONS[value]
        else:
            raise CommandError(f"unknown command {key}")
    changes = parse_changes(directive.input)
    if not v1:
        return ConfChangeV2(changes, transition)
    if len(changes) > 1 or transition != ConfChangeTransition.AUTO:
        raise CommandError("v1 conf change can only have one operation and no transition")
    if not changes:
        raise ScriptError("a v1 change needs one operation")
    return ConfChange(changes[0].type, changes[0].node_id)
