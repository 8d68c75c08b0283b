"""Three stores whose load is not unary calls to one leader: BatchCommands, and leaders spread over many regions.

    python bench/store_spread.py
    python bench/store_spread.py --regions 60 --seconds 3 --json

Keys, values, sync and unary calls as in `bench/store.py`. "one leader" is its case, for comparison in the same run;
"batches" are the same calls in a stream of BatchCommands, 16 a message, by our own client's connection; "spread" is one
connection to each store, for keys of the regions that it leads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Final

from disk import steal
from store_load import Figures, Load, connect
from store_systems import KEYS, REPLICAS, VALUE, Raftly, context_of, field, key_of
from store_usage import usage_of

from raftly.base.region import PeerRole
from raftly.cli.form import core_form
from raftly.client.pd import PdClient, PlacedRegion
from raftly.proto import tikvpb_pb2, tikvpb_rpc
from raftly.rpc import Channel

BATCH: Final = 16
IN_FLIGHT: Final = (64, 256)
SPREAD_S_MAX: Final = 90.0
QUIET_S: Final = 6.0
ANSWERS: Final = {"puts": range(1), "gets": range(len(VALUE), len(VALUE) + 20)}
PATHS: Final = {"puts": "/tikvpb.Tikv/RawPut", "gets": "/tikvpb.Tikv/RawGet"}


@dataclass(frozen=True, slots=True)
class Row:
    """One load."""

    rate: float
    cpu_us: float
    """Of all the system's processes, a call."""
    load_us: float


async def spread(system: Raftly, regions: int) -> list[PlacedRegion]:
    """Cut the key space evenly, and wait until all replicas are there and leaders, spread, move no more.

    Raises:
        SystemExit: it took too long.
    """
    cuts = [key_of(KEYS * number // regions) for number in range(1, regions)]
    until = time.monotonic() + SPREAD_S_MAX
    before: dict[int, int] = {}
    since = 0.0
    async with PdClient([system.pd]) as pd:
        await pd.split_regions(cuts, timeout_s=30.0)
        while True:
            found = await pd.scan_regions()
            ready = [it for it in found if it.leader is not None and len(_voters(it)) == REPLICAS]
            leaders = {it.region.id: it.leader.store_id for it in ready if it.leader is not None}
            if leaders != before:
                before, since = leaders, time.monotonic()
            led = Counter(leaders.values())
            is_spread = len(ready) == len(found) >= regions and len(led) == REPLICAS
            if is_spread and min(led.values()) * 5 >= regions and time.monotonic() - since > QUIET_S:
                return ready
            if time.monotonic() > until:
                raise SystemExit(f"{len(ready)} of {len(found)} regions are ready, leaders are spread as {dict(led)}")
            await asyncio.sleep(0.5)


def _voters(placed: PlacedRegion) -> list[int]:
    return [peer.id for peer in placed.region.peers if peer.role is PeerRole.VOTER]


async def loads_of(system: Raftly, kind: str, regions: list[PlacedRegion]) -> list[Load]:
    """A connection to every store, for keys of what it leads."""
    loads = []
    async with PdClient([system.pd]) as pd:
        for store in await pd.get_all_stores():
            led = [it for it in regions if it.leader is not None and it.leader.store_id == store.id]
            request = request_of(kind, led)
            loads.append(await connect(store.address, PATHS[kind], request, ANSWERS[kind]))
    return loads


def request_of(kind: str, regions: list[PlacedRegion]) -> Callable[[], bytes]:
    """Makes requests for keys drawn at random from some regions."""
    random, every = Random(1), [key_of(number) for number in range(KEYS)]
    targets: list[tuple[bytes, bytes]] = []
    for placed in regions:
        context = field(1, context_of(placed).SerializeToString())
        end = bisect_left(every, placed.region.end_key) if placed.region.end_key else KEYS
        targets += [(context, key) for key in every[bisect_left(every, placed.region.start_key) : end]]
    value = field(3, VALUE) if kind == "puts" else b""

    def request() -> bytes:
        context, key = targets[int(random.random() * len(targets))]
        return context + field(2, key) + value

    return request


async def batched(channel: Channel, kind: str, region: PlacedRegion, in_flight: int, seconds: float) -> Figures:
    """Keep so many calls under way in messages of `BATCH`.

    Raises:
        SystemExit: an answer is an error.
    """
    context, random = context_of(region), Random(1)
    answered, owed = 0, in_flight
    began = time.perf_counter()
    async with await tikvpb_rpc.TikvClient(channel).batch_commands() as stream:
        while owed or answered:
            now = time.perf_counter() - began
            while owed >= BATCH and now < seconds:
                message = tikvpb_pb2.BatchCommandsRequest(request_ids=range(BATCH))
                for _ in range(BATCH):
                    command = message.requests.add()
                    one = command.RawPut if kind == "puts" else command.RawGet
                    one.context.CopyFrom(context)
                    one.key = key_of(random.randrange(KEYS))
                    if kind == "puts":
                        command.RawPut.value = VALUE
                await stream.send(message)
                owed -= BATCH
            if owed == in_flight:
                break
            response = await stream.recv()
            assert response is not None
            for it in response.responses:
                answer = it.RawPut if kind == "puts" else it.RawGet
                if answer.HasField("region_error") or answer.error:
                    raise SystemExit(f"refused: {answer}")
            answered += len(response.responses)
            owed += len(response.responses)
    return Figures(answered, time.perf_counter() - began, 0.0, 0.0)


async def measured(system: Raftly, *works: Coroutine[None, None, Figures]) -> Row:
    """One figure, of what is done side by side."""
    before, own = usage_of(system.processes), time.process_time()
    found = await asyncio.gather(*works)
    own, spent = time.process_time() - own, usage_of(system.processes).cpu_s - before.cpu_s
    calls = sum(it.calls for it in found)
    return Row(calls / max(it.seconds for it in found), 1e6 * spent / calls, 1e6 * own / calls)


async def play(root: Path, regions: int, seconds: float) -> dict[tuple[str, str, int], Row]:
    """All loads of stores that were started anew."""
    rows: dict[tuple[str, str, int], Row] = {}
    with Raftly(root) as system:
        await system.start()
        await (await system.puts(in_order=True)).run(256, calls=KEYS)
        async with PdClient([system.pd]) as pd:
            whole = await pd.get_region(b"")
            assert whole.leader is not None
            host, _, port = (await pd.get_store(whole.leader.store_id)).address.rpartition(":")
        async with Channel(host, int(port)) as channel:
            for kind in PATHS:
                load = await (system.puts() if kind == "puts" else system.gets())
                await load.run(64, 0.3)
                for in_flight in IN_FLIGHT:
                    rows["one leader", kind, in_flight] = await measured(system, load.run(in_flight, seconds))
                    work = batched(channel, kind, whole, in_flight, seconds)
                    rows["batches", kind, in_flight] = await measured(system, work)
        placed = await spread(system, regions)
        for kind in PATHS:
            loads = await loads_of(system, kind, placed)
            await asyncio.gather(*(load.run(20, 0.3) for load in loads))
            for in_flight in IN_FLIGHT:
                each = in_flight // len(loads)
                rows["spread", kind, in_flight] = await measured(system, *(load.run(each, seconds) for load in loads))
    return rows


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--regions", type=int, default=30)
    parser.add_argument("--directory", type=Path, default=Path.cwd() / "build", help="on the disk to be measured")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    stolen = steal()
    seen: dict[tuple[str, str, int], list[Row]] = {}
    for number in range(options.rounds):
        if sys.stderr.isatty():
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=options.directory, prefix="raftly-bench-") as root:
            for key, row in asyncio.run(play(Path(root), options.regions, options.seconds)).items():
                seen.setdefault(key, []).append(row)
    stolen = steal() - stolen
    rows = {
        key: Row(*(statistics.median(getattr(it, name) for it in found) for name in Row.__slots__))
        for key, found in seen.items()
    }
    if options.json:
        flat = [{"load": load, "kind": kind, "in_flight": n, **asdict(row)} for (load, kind, n), row in rows.items()]
        print(json.dumps({"rows": flat, "regions": options.regions, "steal_s": stolen}))
        return
    form = core_form()
    print(f"core {form}, {options.rounds} rounds of {options.seconds:g} s a figure; the host took {stolen:.1f} s away")
    print(f"{'':22}{'in flight':>10}{'calls/s':>10}{'cpu us':>9}{'load us':>9}")
    for (name, kind, in_flight), row in sorted(rows.items(), key=lambda item: (item[0][1], item[0][0], item[0][2])):
        print(f"{kind + ', ' + name:22}{in_flight:10}{row.rate:10.0f}{row.cpu_us:9.0f}{row.load_us:9.1f}")


if __name__ == "__main__":
    main()
