"""Whole clusters in one process and one thread, on virtual time, from a seed, with everything going wrong.

    run = Run(seed=7, factory=Register, workload=workload, options=RunOptions(profile="storm"))
    report = run.go()                          raises when a check fails, or the cluster does not recover
    report = run_of(seed=7).go()               the same with one of our own structures and its model

    world = World(seed=7)                      or by hand
    cluster = SimCluster(world, Register)
    world.run(script(cluster), within=60)

Production code of `storage`, `transport` and `node` runs unchanged: it gets a `SimLoop` as its event loop, a host's
`disk.fs` as its file system, `wall` as its clock and `source` as its randomness.

Invariants:

1. One seed and one script give one run, to the last event: `world.trace.digest()` tells, in any process and under any
   PYTHONHASHSEED. Nothing here may read a real clock, draw from an unseeded source, or visit objects in the order of
   their addresses; production code that does is found by comparing digests.
2. A host dies whole, between two callbacks or in the middle of one (at a change of its disk). What its `finally` blocks
   do then reaches nothing: the loop, the sockets and the disk that they know are dead.
3. Within a host the order of callbacks is asyncio's; the order of arrivals in one turn, and of hosts, is drawn.
4. The bytes of a connection keep their order and none is lost while both ends live; messages have no such promise.
5. A fault undoes itself after its time, so every part of a list of faults is one. At the end of a run all is healed,
   and the cluster must answer a write and have equal replicas within `LIVENESS_S`.

Reading order: `clock`, `trace`, `world` (time and events), `loop`, `disk`, `host` (what production code runs on),
`net`, `stream`, `connect` (TCP), `messages` (a transport of messages), `cluster`, `clients`, `remotes`, `faults` (as
data), `inject` (done), `watch` (the checks of every turn), `run` (all of it from a seed), `scenarios` (what clients
do), `record` (for a page about a run).

More checks hook into `World.after_turn`, which is called after every turn of every host and may raise; `World.note`
puts what it likes into the trace; `Run.history` is a `raftly.testing.history.History` for the linearizability checker.

Not simulated: TLS, threads and executors, real files, `loop.add_reader`. A script must not draw from `random` or read
`time` either; `world.stream("mine")` and `world.now` are for that.
"""

from raftly.testing.sim.clients import Call, Client, ClientOptions, Way, Workload, call
from raftly.testing.sim.cluster import SimCluster
from raftly.testing.sim.faults import KINDS, NEWCOMERS, PROFILES, Fault, from_line, plan, to_line
from raftly.testing.sim.host import Host, HostDown
from raftly.testing.sim.inject import heal, inject, settle_members
from raftly.testing.sim.loop import SimLoop
from raftly.testing.sim.messages import MessageNetwork, MessageTransport
from raftly.testing.sim.net import LinkOptions, Network
from raftly.testing.sim.record import Recorder
from raftly.testing.sim.run import (
    LIVENESS_S,
    NodeFailed,
    NotLinearizable,
    NotLive,
    Report,
    Run,
    RunOptions,
    Undecided,
    judge,
)
from raftly.testing.sim.scenarios import SCENARIOS, Scenario, run_of, scenario_of
from raftly.testing.sim.trace import Trace
from raftly.testing.sim.watch import Watch
from raftly.testing.sim.world import OutOfTime, SimulationError, Stuck, World, WorldOptions

__all__ = [
    "KINDS",
    "LIVENESS_S",
    "NEWCOMERS",
    "PROFILES",
    "SCENARIOS",
    "Call",
    "Client",
    "ClientOptions",
    "Fault",
    "Host",
    "HostDown",
    "LinkOptions",
    "MessageNetwork",
    "MessageTransport",
    "Network",
    "NodeFailed",
    "NotLinearizable",
    "NotLive",
    "OutOfTime",
    "Recorder",
    "Report",
    "Run",
    "RunOptions",
    "Scenario",
    "SimCluster",
    "SimLoop",
    "SimulationError",
    "Stuck",
    "Trace",
    "Undecided",
    "Watch",
    "Way",
    "Workload",
    "World",
    "WorldOptions",
    "call",
    "from_line",
    "heal",
    "inject",
    "judge",
    "plan",
    "run_of",
    "scenario_of",
    "settle_members",
    "to_line",
]
