"""`raftly kv`: read and write keys."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from raftly.cli.output import print_json, print_table
from raftly.client.text import shown_key
from raftly.errors import RaftlyError

if TYPE_CHECKING:
    from raftly.client import RawClient

__all__ = ["kv"]

PD = "127.0.0.1:2379"
NOT_THERE = 3  # exit code


class _Bytes(click.ParamType[bytes]):
    """Text, or bytes as 0x and hex digits."""

    name = "bytes"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> bytes:
        if isinstance(value, bytes):
            return value
        text = str(value)
        if not text.startswith("0x"):
            return text.encode()
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            self.fail(f"{text!r} begins with 0x but is not hex digits")


BYTES = _Bytes()


@click.group()
@click.option("--pd", default=PD, envvar="RAFTLY_PD", show_default=True, metavar="HOST:PORT,...",
              help="The placement driver; also in RAFTLY_PD.")  # fmt: skip
@click.option("--timeout", default=10.0, show_default=True, metavar="SECONDS", help="Of a request, retries included.")
@click.option("--json", "as_json", is_flag=True, help="JSON; keys and values as text, or as 0x and hex digits.")
@click.pass_context
def kv(ctx: click.Context, pd: str, timeout: float, *, as_json: bool) -> None:
    """Read and write keys of a cluster, ours or TiKV's. Keys and values are text, or 0x and hex digits.

    Exit code 0: done. 1: not done, or perhaps done, and it says which and why. 3: the key is not there, or did not
    have the value that was expected.
    """
    ctx.obj = (pd.split(","), timeout, as_json)


def _run(ctx: click.Context, work: Callable[[RawClient, bool], Awaitable[int]]) -> None:
    from raftly.client import ClientOptions, RawClient

    endpoints, timeout, as_json = ctx.obj

    async def main() -> int:
        async with await RawClient.connect(endpoints, ClientOptions(timeout_s=timeout)) as client:
            return await work(client, as_json)

    try:
        code = asyncio.run(main())
    except RaftlyError as error:
        if as_json:
            print_json({"error": error.code, "message": str(error)})
            sys.exit(1)
        raise
    sys.exit(code)


@kv.command()
@click.argument("key", type=BYTES)
@click.pass_context
def get(ctx: click.Context, key: bytes) -> None:
    """Print the value of KEY; exit code 3 if there is none."""

    async def work(client: RawClient, as_json: bool) -> int:
        value = await client.get(key)
        if as_json:
            print_json({"key": shown_key(key), "value": None if value is None else shown_key(value)})
        elif value is not None:
            sys.stdout.buffer.write(value + b"\n")
        return NOT_THERE if value is None else 0

    _run(ctx, work)


@kv.command()
@click.argument("key", type=BYTES)
@click.argument("value", type=BYTES)
@click.option("--ttl", type=click.IntRange(min=0), default=0, metavar="SECONDS", help="Let it be gone after so long.")
@click.pass_context
def put(ctx: click.Context, key: bytes, value: bytes, ttl: int) -> None:
    """Set KEY to VALUE."""

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
        elif seconds is not None:
            click.echo(seconds)
        return NOT_THERE if seconds is None else 0

    _run(ctx, work)


@kv.command()
@click.argument("key", type=BYTES)
@click.argument("value", type=BYTES)
@click.option("--expect", type=BYTES, metavar="VALUE", help="The value it must have now; else it must not be there.")
@click.pass_context
def cas(ctx: click.Context, key: bytes, value: bytes, expect: bytes | None) -> None:
    """Set KEY to VALUE if it has the expected one, atomically; exit code 3 if not, and the value found is printed."""

    async def work(client: RawClient, as_json: bool) -> int:
        swap = await client.compare_and_swap(key, expect, value)
        found = None if swap.previous is None else shown_key(swap.previous)
        if as_json:
            print_json({"key": shown_key(key), "done": swap.done, "previous": found})
        elif not swap.done:
            click.echo("not there" if found is None else found)
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
    """Print the pairs from LO up to, and without, HI."""

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
    """All CRC-64s of the pairs from LO up to HI xored, how many there are, and their bytes."""

    async def work(client: RawClient, as_json: bool) -> int:
        found = await client.checksum(lo, hi)
        if as_json:
            print_json({"crc64_xor": f"{found.crc64_xor:016x}", "keys": found.keys, "bytes": found.bytes})
        else:
            print_table(["crc64 xor", "keys", "bytes"], [[f"{found.crc64_xor:016x}", found.keys, found.bytes]])
        return 0

    _run(ctx, work)
