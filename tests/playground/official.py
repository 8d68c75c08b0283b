"""The official Python client in a process of its own, told line by line what to do; run as a script.

It aborts when its interpreter ends in the ordinary way, so it leaves through os._exit. It gives some errors at once
that its server recovers from a moment later; such a request is repeated, by a new client, for as long as RETRY_S.
"""

import asyncio
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from tikv_client import RawClient
from tikv_client.asynchronous import RawClient as AsyncRawClient

RETRY_S = 60.0


def value_of(key: bytes) -> bytes:
    return key[::-1] * 3


class Sync:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.client = RawClient.connect([endpoint])

    def again(self, request: Callable[[RawClient], Any]) -> Any:
        until = time.monotonic() + RETRY_S
        while True:
            try:
                return request(self.client)
            except Exception:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
                self.client = RawClient.connect([self.endpoint])

    def put(self, key: bytes) -> None:
        self.again(lambda client: client.put(key, value_of(key)))

    def write(self, keys: list[bytes]) -> None:
        half = len(keys) // 2
        for key in keys[:half]:
            self.put(key)
        self.again(lambda client: client.batch_put({key: value_of(key) for key in keys[half:]}))

    def read(self, keys: list[bytes]) -> None:
        found = dict(self.again(lambda client: client.batch_get(keys)))
        assert found == {key: value_of(key) for key in keys}
        assert self.again(lambda client: client.get(keys[0])) == value_of(keys[0])
        assert self.again(lambda client: client.get(b"nobody wrote this")) is None

    def scan(self, keys: list[bytes]) -> None:
        """With new clients: one that has an old route takes a refusal for the end of the range."""
        until = time.monotonic() + RETRY_S
        while True:
            self.client = RawClient.connect([self.endpoint])
            found = self.again(lambda client: client.scan(keys[0], end=keys[-1], limit=1000, include_end=True))
            if [key for key, _ in found] == keys or time.monotonic() > until:
                assert [(bytes(key), bytes(value)) for key, value in found] == [(key, value_of(key)) for key in keys]
                return
            time.sleep(0.1)

    def delete(self, keys: list[bytes]) -> None:
        self.again(lambda client: client.delete(keys[0]))
        self.again(lambda client: client.batch_delete(keys[1:]))
        assert self.again(lambda client: client.batch_get(keys)) == []


class Async:
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.loop = asyncio.get_event_loop()

    def write(self, keys: list[bytes]) -> None:
        self.loop.run_until_complete(self._write(keys))

    def read(self, keys: list[bytes]) -> None:
        self.loop.run_until_complete(self._read(keys))

    async def _client(self) -> AsyncRawClient:
        return await AsyncRawClient.connect([self.endpoint])

    async def _write(self, keys: list[bytes]) -> None:
        client = await self._client()
        await asyncio.gather(*(client.put(key, value_of(key)) for key in keys))

    async def _read(self, keys: list[bytes]) -> None:
        client = await self._client()
        assert dict(await client.batch_get(keys)) == {key: value_of(key) for key in keys}
        assert await asyncio.gather(*(client.get(key) for key in keys[:8])) == [value_of(key) for key in keys[:8]]


def main() -> None:
    sync, async_ = Sync(sys.argv[1]), Async(sys.argv[1])
    for line in sys.stdin:
        asked = json.loads(line)
        client = async_ if asked.get("async") else sync
        keys = [f"{asked['prefix']}{number:04}".encode() for number in range(asked["count"])]
        try:
            getattr(client, asked["do"])(keys)
            answer = "ok"
        except BaseException:  # noqa: BLE001 - told to whoever asked
            answer = traceback.format_exc()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    try:
        main()
    finally:
        sys.stdout.flush()
        os._exit(0)
