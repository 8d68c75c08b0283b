"""`raftly kv`: read and write keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, BinaryIO

import click

from raftly.cli.cluster import BYTES, ClusterGroup, connected, run, where_is, where_options
from raftly.cli.output import print_json, print_table
from raftly.client.text import shown_key

if TYPE_CHECKING:
    from raftly.client import RawClient

__all__ = ["kv"]

NOT_THERE = 3  # exit code


@click.group(cls=ClusterGroup, params=where_options())
def kv() -> None:
    """Read and write keys of a cluster, ours or TiKV's.

    Keys and values are text, or 0x and hex digits: what is not printable text, or begins with 0x itself, is written and
    typed as hex. Where a range is asked for, '' is no bound.

    \b
    raftly kv put fruit/apple green
    raftly kv get fruit/apple
    raftly kv scan fruit/ fruit0            all keys that begin with fruit/
    raftly kv put 0x00ff 0x0102             two bytes are two bytes
    raftly kv put logo --file logo.png; raftly kv get logo --raw > copy.png
    raftly kv cas lock mine && echo got it  set it only if nobody has
    RAFTLY_PD=10.0.0.1:2379 raftly kv scan --json

    Exit code 0: done. 1: not done, or perhaps done, and it says which and why. 2: a wrong command line. 3: the key is
    not there, or did not have the value that was expected.
    """  # noqa: D301 - the escape keeps the lines below it as they are


def _run(ctx: click.Context, work: Callable[[RawClient, bool], Awaitable[int]]) -> None:
    from raftly.client import ClientOptions, RawClient

    where = where_is(ctx)

    async def main() -> int:
        options = ClientOptions(tls=where.tls(), timeout_s=where.timeout_s)
        async with connected(where, lambda: RawClient.connect(where.endpoints, options)) as client:
            return await work(client, where.as_json)

    run(where, main)


def _not_there(key: bytes) -> int:
    click.echo(f"{shown_key(key)} is not there", err=True)
    return NOT_THERE


@kv.command()
@click.argument("key", type=BYTES)
@click.option("--raw", is_flag=True, help="Exactly its bytes, and no newline.")
@click.pass_context
def get(ctx: click.Context, key: bytes, *, raw: bool) -> None:
    """Print the value of KEY. Exit code 3 if there is none."""

    async def work(client: RawClient, as_json: bool) -> int:
        value = await client.get(key)
        if as_json:
            print_json({"key": shown_key(key), "value": None if value is None else shown_key(value)})
            return NOT_THERE if value is None else 0
        if value is None:
            return _not_there(key)
        if raw:
            click.echo(value, nl=False)
        else:
            click.echo(shown_key(value))
        return 0

    _run(ctx, work)


@kv.command()
@click.argument("key", type=BYTES)
@click.argument("value", type=BYTES, required=False)
@click.option("--file", type=click.File("rb"), metavar="FILE", help="The value is what is in it; '-': standard input.")
@click.option("--ttl", type=click.IntRange(min=0), default=0, metavar="SECONDS", help="Let it be gone after so long.")
@click.pass_context
def put(ctx: click.Context, key: bytes, value: bytes | None, file: BinaryIO | None, ttl: int) -> None:
    """Set KEY to VALUE."""
    if (value is None) == (file is None):
        raise click.UsageError("either a VALUE or --file FILE is needed, and not both")
    value = value if file is None else file.read()
    assert value is not None

    async def work(client: RawClient, as_json: bool) -> int:
        await client.put(key, value, ttl=ttl)
        if as_json:
            print_json({"key": shown_key(key), "ok": True})
        return 0

    _run(ctx, work)


@kv.command()
@click.argument("keys", type=BYTES, nargs=-1, required=True)
@click.pass_context
def delete(ctx: click.Context, keys: tuple[bytes, ...]) -> None:
    """Remove KEYS, those that are there."""

    async def work(client: RawClient, as_json: bool) -> int:
        await client.batch_delete(keys)
        if as_json:
            print_json({"keys": [shown_key(key) for key in keys], "ok": True})
        return 0

    _run(ctx, work)


@kv.command()
@click.argument("key", type=BYTES)
@click.pass_context
def ttl(ctx: click.Context, key: bytes) -> None:
    """Seconds until KEY is gone; 0: it stays. Exit code 3 if it is not there."""

    async def work(client: RawClient, as_json: bool) -> int:
        seconds = await client.ttl(key)
        if as_json:
            print_json({"key": shown_key(key), "ttl": seconds})
            return NOT_THERE if seconds is None else 0
        if seconds is None:
            return _not_there(key)
        click.echo(seconds)
        return 0

    _run(ctx, work)


@kv.command()
@click.argument("key", type=BYTES)
@click.argument("value", type=BYTES)
@click.option("--expect", type=BYTES, metavar="VALUE", help="The value it must have now; else it must not be there.")
@click.pass_context
def cas(ctx: click.Context, key: bytes, value: bytes, expect: bytes | None) -> None:
    """Set KEY to VALUE if it is as expected. Atomic. Exit code 3 if it is not; the value found is printed."""

    async def work(client: RawClient, as_json: bool) -> int:
        swap = await client.compare_and_swap(key, expect, value)
        found = None if swap.previous is None else shown_key(swap.previous)
        if as_json:
            print_json({"key": shown_key(key), "done": swap.done, "previous": found})
        elif not swap.done and found is None:
            return _not_there(key)
        elif not swap.done:
            click.echo(found)
        return 0 if swap.done else NOT_THERE

    _run(ctx, work)


@kv.command()
@click.argument("lo", type=BYTES, default=b"")
@click.argument("hi", type=BYTES, default=b"")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, metavar="N", help="How many.")
@click.option("--reverse", is_flag=True, help="From the end.")
@click.option("--keys", "keys_only", is_flag=True, help="Keys without values.")
@click.pass_context
def scan(ctx: click.Context, lo: bytes, hi: bytes, limit: int, *, reverse: bool, keys_only: bool) -> None:
    """Print the pairs from LO up to, and without, HI.

    \b
    raftly kv scan                    the first hundred
    raftly kv scan a b --limit 1000   what begins with a
    raftly kv scan --reverse --limit 1
    """  # noqa: D301 - the escape keeps the lines below it as they are

    async def work(client: RawClient, as_json: bool) -> int:
        pairs = await client.scan(lo, hi, limit=limit, reverse=reverse, keys_only=keys_only)
        if as_json:
            shown: list[object] = [
                shown_key(key) if keys_only else [shown_key(key), shown_key(value)] for key, value in pairs
            ]
            print_json(shown)
        else:
            print_table(
                ["key"] if keys_only else ["key", "value"],
                [[shown_key(key)] if keys_only else [shown_key(key), shown_key(value)] for key, value in pairs],
            )
            if len(pairs) == limit:
                click.echo("there may be more: --limit N", err=True)
        return 0

    _run(ctx, work)


@kv.command("delete-range")
@click.argument("lo", type=BYTES)
@click.argument("hi", type=BYTES)
@click.pass_context
def delete_range(ctx: click.Context, lo: bytes, hi: bytes) -> None:
    """Remove all keys from LO up to, and without, HI."""

    async def work(client: RawClient, as_json: bool) -> int:
        await client.delete_range(lo, hi)
        if as_json:
            print_json({"lo": shown_key(lo), "hi": shown_key(hi), "ok": True})
        return 0

    _run(ctx, work)


@kv.command()
@click.argument("lo", type=BYTES, default=b"")
@click.argument("hi", type=BYTES, default=b"")
@click.pass_context
def checksum(ctx: click.Context, lo: bytes, hi: bytes) -> None:
    """The checksum and size of a range. All CRC-64s of its pairs xored, how many there are, and their bytes."""

    async def work(client: RawClient, as_json: bool) -> int:
        found = await client.checksum(lo, hi)
        if as_json:
            print_json({"crc64_xor": f"{found.crc64_xor:016x}", "keys": found.keys, "bytes": found.bytes})
        else:
            print_table(["crc64 xor", "keys", "bytes"], [[f"{found.crc64_xor:016x}", found.keys, found.bytes]])
        return 0

    _run(ctx, work)
