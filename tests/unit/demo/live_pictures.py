"""Pictures of clusters, for tests: what nodes would tell."""

from raftly.demo.live.report import Picture, Report, Safe, Seen, State, Stored

VOTERS = (1, 2, 3)


def report(id_: int, leader: int = 1, term: int = 2, **fields: object) -> Report:
    told: dict[str, object] = {
        "role": "leader" if id_ == leader else "follower",
        "last": 9,
        "committed": 9,
        "applied": 9,
        "voters": VOTERS,
    }
    return Report(id=id_, leader=leader, term=term, **(told | fields))  # type: ignore[arg-type]


def picture(*reports: Report, down: dict[int, State] | None = None, cut: tuple[tuple[int, int], ...] = ()) -> Picture:
    nodes = {told.id: Seen(told.id, State.RUNNING, told, 100 + told.id, 4000 + told.id) for told in reports}
    nodes |= {id_: Seen(id_, state) for id_, state in (down or {}).items()}
    return Picture(dict(sorted(nodes.items())), cut)


def whole(**items: tuple[str, int]) -> dict[str, Stored]:
    return {key: Stored(value, revision) for key, (value, revision) in items.items()}


SAFE = Safe(ok=True, why="yes: the rest is a majority, reachable and up to date")
