"""`raftly ctl`: look at a cluster, and tell its placement driver what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from raftly.cli.cluster import BYTES, ClusterGroup, connected, run, where_is, where_options
from raftly.cli.output import print_json, print_table
from raftly.client.errors import PlacementRefused
from raftly.client.text import shown_key

if TYPE_CHECKING:
    from raftly.client.pd import PdClient, PlacedRegion

__all__ = ["ctl"]


@click.group(cls=ClusterGroup, params=where_options())
def ctl() -> None:
    """Look at a cluster, and tell its placement driver what to do.

    \b
    raftly ctl store                            who is there, and who was not heard of lately
    raftly ctl region --key fruit/apple         where a key is
    raftly ctl region split fruit/m             let a region begin there
    raftly ctl region transfer-leader 12 3      region 12 is led by store 3
    raftly ctl store remove 2                   move everything away from store 2
    raftly ctl operator                         what is under way
    raftly ctl region --json | jq '.[].leader'

    Keys are text, or 0x and hex digits. What only looks works with TiKV's placement driver too.

    Exit code 0: done. 1: not done, and it says why. 2: a wrong command line.
    """  # noqa: D301 - the escape keeps the lines below it as they are


def _run(ctx: click.Context, work: Callable[[PdClient, bool], Awaitable[None]]) -> None:
    from raftly.client import PdClient

    where = where_is(ctx)

    async def main() -> int:
        tls = where.tls()
        connect = lambda: PdClient.connect(where.endpoints, tls=tls, timeout_s=where.timeout_s)  # noqa: E731
        async with connected(where, connect) as pd:
            await work(pd, where.as_json)
        return 0

    run(where, main)


async def _ask(pd: PdClient, do: str, **arguments: object) -> dict[str, object]:
    """What our own placement driver answers.

    Raises:
        click.ClickException: it is another's.
    """
    try:
        answer = await pd.admin(do, arguments)
    except PlacementRefused as error:
        if error.kind != "UNIMPLEMENTED":
            raise
        raise click.ClickException("this placement driver is not raftly's: it can be looked at, not told") from error
    return answer if isinstance(answer, dict) else {}


def _tell(ctx: click.Context, do: str, **arguments: object) -> None:
    """Have the placement driver do something, and say what it answers."""

    async def work(pd: PdClient, as_json: bool) -> None:
        answer = await _ask(pd, do, **arguments)
        if as_json:
            print_json(answer)
        else:
            plan, stuck = answer.get("plan"), answer.get("stuck")
            click.echo(f"begun: {plan}" if plan else f"begun, but {stuck}" if stuck else "done")

    _run(ctx, work)


@ctl.command()
@click.pass_context
def state(ctx: click.Context) -> None:
    """All that the placement driver knows, as JSON."""

    async def work(pd: PdClient, as_json: bool) -> None:
        print_json(await _ask(pd, "state"))

    _run(ctx, work)


# --- members and stores ----------------------------------------------------------------------------------------


@ctl.group(invoke_without_command=True)
@click.pass_context
def member(ctx: click.Context) -> None:
    """The members of the placement driver, and who leads. One more joins by `join = true` in its configuration."""
    if ctx.invoked_subcommand is not None:
        return

    async def work(pd: PdClient, as_json: bool) -> None:
        told = await pd.members()
        if as_json:
            members = [{"id": one.id, "name": one.name, "client_urls": one.client_urls} for one in told.members]
            print_json({"cluster_id": told.cluster_id, "leader": told.leader.id, "members": members})
            return
        rows = [
            [one.id, one.name, "leader" if one.id == told.leader.id else "follower", " ".join(one.client_urls)]
            for one in told.members
        ]
        print_table(["id", "name", "role", "clients"], rows)

    _run(ctx, work)


@member.command("remove")
@click.argument("member")
@click.pass_context
def remove_member(ctx: click.Context, member: str) -> None:
    """Let MEMBER, an id or a name, leave the placement driver, for good; refused if no majority would be left."""
    _tell(ctx, "remove-member", member=member)


@ctl.group(invoke_without_command=True)
@click.pass_context
def store(ctx: click.Context) -> None:
    """The stores: what they are meant for, and whether they live.

    Its state: up; disconnected, when nothing was heard of it for a while (others lead instead); down, when that lasts
    (its replicas are made anew elsewhere); offline, to be removed; tombstone, removed.
    """
    if ctx.invoked_subcommand is not None:
        return

    async def work(pd: PdClient, as_json: bool) -> None:
        stores = await pd.get_all_stores(tombstones=True)
        regions = await pd.scan_regions()
        told = await _told_of_stores(pd)
        rows = [
            (
                one.id,
                told.get(one.id, {}).get("liveness", one.state.name.lower()),
                told.get(one.id, {}).get("silent_s"),
                sum(placed.leader is not None and placed.leader.store_id == one.id for placed in regions),
                sum(placed.region.peer_on(one.id) is not None for placed in regions),
                one.address,
                one.status_address,
                dict(one.labels),
            )
            for one in stores
        ]
        columns = ("id", "state", "silent_s", "leads", "regions", "address", "status", "labels")
        stuck = {id_: why for id_, one in told.items() if (why := one.get("stuck"))}
        if as_json:
            print_json([dict(zip(columns, row, strict=True)) | {"stuck": stuck.get(row[0], "")} for row in rows])
            return
        labels = [",".join(f"{name}={value}" for name, value in sorted(row[-1].items())) or "-" for row in rows]
        print_table(columns, [[*map(_or_dash, row[:-1]), label] for row, label in zip(rows, labels, strict=True)])
        for why in stuck.values():
            click.echo(f"\n{why}")

    _run(ctx, work)


async def _told_of_stores(pd: PdClient) -> dict[int, dict[str, object]]:
    """By store: what our placement driver knows of it, in `pd_state`. Nothing from a driver of TiKV's."""
    try:
        told = await pd.admin("state")
    except PlacementRefused:
        return {}
    stores = told.get("stores", {}) if isinstance(told, dict) else {}
    return {one["id"]: one for one in stores.values()}


def _or_dash(cell: object) -> object:
    return "-" if cell in {None, ""} else cell


@store.command("remove")
@click.argument("store", type=int)
@click.pass_context
def remove_store(ctx: click.Context, store: int) -> None:
    """Move everything away from STORE. Then it is gone for good, a tombstone, and may be stopped."""
    _tell(ctx, "remove-store", store=store)


@store.command("restore")
@click.argument("store", type=int)
@click.pass_context
def restore_store(ctx: click.Context, store: int) -> None:
    """Keep STORE, which was to be removed and is not gone yet."""
    _tell(ctx, "restore-store", store=store)


@store.command("label")
@click.argument("store", type=int)
@click.argument("labels", metavar="NAME=VALUE...", nargs=-1, required=True)
@click.pass_context
def label_store(ctx: click.Context, store: int, labels: tuple[str, ...]) -> None:
    """Say where STORE stands. Labels such as zone=z1 host=h7; zone= takes that one away.

    Copies of a region are kept apart by the labels that `ctl config show` has as location_labels. What the store's own
    file says counts more when it starts again.
    """
    pairs = [label.partition("=") for label in labels]
    if wrong := [name for name, equals, _ in pairs if not name or not equals]:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE", ctx, param_hint="labels")
    _tell(ctx, "label-store", store=store, labels={name: value for name, _, value in pairs})


# --- options ---------------------------------------------------------------------------------------------------


@ctl.group()
def config() -> None:
    """How the placement driver schedules. The options that a file has under [schedule], of the whole cluster.

    \b
    raftly ctl config show
    raftly ctl config set max_replicas 5
    """  # noqa: D301 - the escape keeps the lines below it as they are


@config.command("show")
@click.argument("name", required=False)
@click.pass_context
def show_config(ctx: click.Context, name: str | None) -> None:
    """All options, or NAME alone. `raftly config explain pd` says what they mean."""

    async def work(pd: PdClient, as_json: bool) -> None:
        from raftly.server.config import render

        told = await _ask(pd, "config")
        if name is not None and name not in told:
            raise click.ClickException(f"there is no option {name!r}; there are {', '.join(told)}")
        chosen = told if name is None else {name: told[name]}
        if as_json:
            print_json(chosen)
        else:
            click.echo("\n".join(f"{option} = {render(value)}" for option, value in chosen.items()))

    _run(ctx, work)


@config.command("set")
@click.argument("name")
@click.argument("value")
@click.pass_context
def set_config(ctx: click.Context, name: str, value: str) -> None:
    """Set option NAME to VALUE, as in 30m, 20MiB, 4, false, or zone,host; at once, and for all members."""
    _tell(ctx, "set-config", name=name, value=value)


# --- regions ---------------------------------------------------------------------------------------------------


@ctl.group(invoke_without_command=True)
@click.option("--key", type=BYTES, metavar="KEY", help="Only the one that holds it.")
@click.option("--id", "id_", type=click.IntRange(min=1), metavar="N", help="Only this one.")
@click.option("--limit", type=click.IntRange(min=0), default=0, metavar="N", help="The first so many.")
@click.pass_context
def region(ctx: click.Context, key: bytes | None, id_: int | None, limit: int) -> None:
    """The regions, in the order of their keys.

    \b
    raftly ctl region                    all
    raftly ctl region --key fruit/apple  the one that holds it
    raftly ctl region --id 12
    """  # noqa: D301 - the escape keeps the lines below it as they are
    if ctx.invoked_subcommand is not None:
        return

    async def work(pd: PdClient, as_json: bool) -> None:
        if id_ is not None:
            found = [await _region_by_id(pd, id_)]
        elif key is not None:
            found = [await pd.get_region(key)]
        else:
            found = await pd.scan_regions(limit=limit)
        if as_json:
            print_json([_region_object(placed) for placed in found])
            return
        columns = ["id", "from", "to", "epoch", "leader on", "replicas on", "not well"]
        print_table(columns, [_region_row(placed) for placed in found])

    _run(ctx, work)


async def _region_by_id(pd: PdClient, id_: int) -> PlacedRegion:
    try:
        return await pd.get_region_by_id(id_)
    except PlacementRefused as error:
        if error.kind != "REGION_NOT_FOUND":
            raise
        raise click.ClickException(f"there is no region {id_}; `raftly ctl region` lists them") from error


def _region_object(placed: PlacedRegion) -> dict[str, object]:
    region = placed.region
    return {
        "id": region.id,
        "start_key": shown_key(region.start_key),
        "end_key": shown_key(region.end_key),
        "conf_ver": region.epoch.conf_ver,
        "version": region.epoch.version,
        "leader": placed.leader.store_id if placed.leader else None,
        "peers": [{"id": peer.id, "store": peer.store_id, "role": peer.role.name.lower()} for peer in region.peers],
        "down": [down.peer.store_id for down in placed.down_peers],
        "pending": [peer.store_id for peer in placed.pending_peers],
    }


def _region_row(placed: PlacedRegion) -> Sequence[object]:
    region = placed.region
    unwell = [f"{down.peer.store_id} down" for down in placed.down_peers]
    unwell += [f"{peer.store_id} behind" for peer in placed.pending_peers]
    return [
        region.id,
        shown_key(region.start_key, "-∞"),
        shown_key(region.end_key, "+∞"),
        f"{region.epoch.conf_ver}.{region.epoch.version}",
        placed.leader.store_id if placed.leader else "-",
        " ".join(f"{peer.store_id}{'*' if peer.is_learner else ''}" for peer in region.peers),
        ", ".join(unwell) or "-",
    ]


@region.command()
@click.argument("key", type=BYTES)
@click.pass_context
def split(ctx: click.Context, key: bytes) -> None:
    """Let a region begin at KEY. Waits until one does, 8 seconds at most."""

    async def work(pd: PdClient, as_json: bool) -> None:
        ids = await pd.split_regions([key])
        if as_json:
            print_json({"regions": ids})
        else:
            click.echo(f"region {', '.join(map(str, ids))} begins there" if ids else "not yet: look again")

    _run(ctx, work)


@region.command()
@click.argument("region", type=int)
@click.argument("into", type=int)
@click.pass_context
def merge(ctx: click.Context, region: int, into: int) -> None:
    """Let REGION become part of its neighbour INTO."""
    _tell(ctx, "merge-region", region=region, into=into)


@region.command("transfer-leader")
@click.argument("region", type=int)
@click.argument("store", type=int)
@click.pass_context
def transfer_leader(ctx: click.Context, region: int, store: int) -> None:
    """Let the replica of REGION on STORE lead."""
    _tell(ctx, "transfer-leader", region=region, store=store)


@region.command("add-peer")
@click.argument("region", type=int)
@click.argument("store", type=int)
@click.pass_context
def add_peer(ctx: click.Context, region: int, store: int) -> None:
    """One replica of REGION more, on STORE."""
    _tell(ctx, "add-peer", region=region, store=store)


@region.command("remove-peer")
@click.argument("region", type=int)
@click.argument("store", type=int)
@click.pass_context
def remove_peer(ctx: click.Context, region: int, store: int) -> None:
    """One replica of REGION less, the one on STORE."""
    _tell(ctx, "remove-peer", region=region, store=store)


@region.command("move-peer")
@click.argument("region", type=int)
@click.argument("from_store", metavar="FROM", type=int)
@click.argument("to_store", metavar="TO", type=int)
@click.pass_context
def move_peer(ctx: click.Context, region: int, from_store: int, to_store: int) -> None:
    """A new replica of REGION on store TO in the place of the one on store FROM."""
    _tell(ctx, "move-peer", region=region, **{"from": from_store, "to": to_store})


@region.command()
@click.argument("regions", type=int, nargs=-1, required=True)
@click.pass_context
def scatter(ctx: click.Context, regions: tuple[int, ...]) -> None:
    """Spread REGIONS over the stores."""

    async def work(pd: PdClient, as_json: bool) -> None:
        percent = await pd.scatter_regions(regions)
        if as_json:
            print_json({"begun_percent": percent})
        else:
            click.echo(f"{percent} % of them were begun")

    _run(ctx, work)


# --- operators -------------------------------------------------------------------------------------------------


@ctl.group(invoke_without_command=True)
@click.pass_context
def operator(ctx: click.Context) -> None:
    """What is being done with regions."""
    if ctx.invoked_subcommand is not None:
        return

    async def work(pd: PdClient, as_json: bool) -> None:
        plans = (await _ask(pd, "state")).get("operators", [])
        assert isinstance(plans, list)
        if as_json:
            print_json(plans)
            return
        columns = list(dict.fromkeys(name for plan in plans for name in plan))
        if plans:
            print_table(columns, [[plan.get(column, "-") for column in columns] for plan in plans])
        else:
            click.echo("nothing is under way")

    _run(ctx, work)


@operator.command("show")
@click.argument("region", type=int)
@click.pass_context
def show_operator(ctx: click.Context, region: int) -> None:
    """What is being done with REGION, or was last."""

    async def work(pd: PdClient, as_json: bool) -> None:
        told = await pd.get_operator(region)
        if as_json:
            print_json({"region": told.region_id, "kind": told.kind, "status": told.status, "about": told.description})
        else:
            print_table(
                ["region", "kind", "status", "about"], [[told.region_id, told.kind, told.status, told.description]]
            )

    _run(ctx, work)


@operator.command("cancel")
@click.argument("region", type=int)
@click.pass_context
def cancel_operator(ctx: click.Context, region: int) -> None:
    """Give up what is being done with REGION."""
    _tell(ctx, "cancel", region=region)
