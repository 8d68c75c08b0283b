"""A process that is one member of a `raftly.testing.processes.ProcessCluster`; `python -m raftly.testing.member SPEC`.

SPEC is one JSON object, `Spec`. Ends with 0 after SIGTERM; with 1, and a sentence as the last line of standard error,
when the node cannot start or has failed; at once when its standard input ends: whoever started it is gone.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final, final

from raftly.errors import RaftlyError
from raftly.node import NodeConfig, replicate, serve
from raftly.node.parent import end_with_parent
from raftly.storage.log_store import LogOptions

FAILED: Final = 1


@final
@dataclass(frozen=True, slots=True)
class Spec:
    """What a member must be told."""

    target: str
    """The class, as "module:name"."""
    id: int
    addresses: dict[int, tuple[str, int]]
    listen: tuple[str, int]
    directory: str
    join: bool = False
    config: dict[str, Any] = field(default_factory=dict)
    """Of `NodeConfig`, besides what is above; "log" has those of `LogOptions`."""

    def encode(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))


def decode_spec(text: str) -> Spec:
    """What `encode` made."""
    told = json.loads(text)
    told["addresses"] = {int(id_): (host, port) for id_, (host, port) in told["addresses"].items()}
    told["listen"] = tuple(told["listen"])
    return Spec(**told)


def load(target: str) -> Callable[[], object]:
    """The class that "module:name" names."""
    module, _, name = target.partition(":")
    found: Callable[[], object] = getattr(importlib.import_module(module), name)
    return found


async def run(spec: Spec) -> None:
    """Be the member, until SIGTERM."""
    members = () if spec.join else tuple(sorted(spec.addresses))
    options = dict(spec.config)
    log = LogOptions(**options.pop("log", {}))
    config = NodeConfig(spec.id, members, spec.join, log=log, **options)
    await serve(
        await replicate(
            load(spec.target),
            spec.id,
            spec.addresses,
            spec.directory,
            join=spec.join,
            listen=spec.listen,
            config=config,
        )
    )


def _end_with_input() -> None:
    while os.read(0, 1 << 10):
        pass
    os._exit(FAILED)


def main(text: str) -> int:
    """The process; its exit code."""
    end_with_parent()
    threading.Thread(target=_end_with_input, daemon=True).start()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    try:
        asyncio.run(run(decode_spec(text)))
    except (RaftlyError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the process speaks to who started it
        return FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
