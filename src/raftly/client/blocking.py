"""The same without asyncio: a client whose methods wait.

    with blocking.connect(["127.0.0.1:2379"]) as client:
        client.put(b"k", b"v")

It runs an event loop in a thread of its own, and may be used from any number of threads. Methods take and raise what
their asynchronous namesakes of `RawClient` do; a call that is under way when another thread closes the client ends with
ClientClosed, or OutcomeUnknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self, final

from raftly.client.errors import ClientClosed
from raftly.client.raw import DEFAULT, Checksum, RawClient, Swap
from raftly.client.regions import ClientOptions
from raftly.loop_thread import LoopThread

__all__ = ["BlockingRawClient", "connect"]


def connect(endpoints: Sequence[str], options: ClientOptions | None = None) -> BlockingRawClient:
    """See `RawClient.connect`."""
    thread = LoopThread("raftly-client", ClientClosed)
    try:
        return BlockingRawClient(thread, thread.run(RawClient.connect(endpoints, options)))
    except BaseException:
        thread.stop()
        raise


@final
class BlockingRawClient:
    """A `RawClient` whose methods wait."""

    def __init__(self, thread: LoopThread, client: RawClient) -> None:
        self._thread = thread
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it; again is fine."""
        self._thread.stop(self._client.close())

    def get(self, key: bytes, *, cf: str = DEFAULT, timeout_s: float | None = None) -> bytes | None:
        """See `RawClient.get`."""
        return self._thread.run(self._client.get(key, cf=cf, timeout_s=timeout_s))

    def put(self, key: bytes, value: bytes, *, ttl: int = 0, cf: str = DEFAULT, timeout_s: float | None = None) -> None:
        """See `RawClient.put`."""
        self._thread.run(self._client.put(key, value, ttl=ttl, cf=cf, timeout_s=timeout_s))

    def delete(self, key: bytes, *, cf: str = DEFAULT, timeout_s: float | None = None) -> None:
        """See `RawClient.delete`."""
        self._thread.run(self._client.delete(key, cf=cf, timeout_s=timeout_s))

    def ttl(self, key: bytes, *, cf: str = DEFAULT, timeout_s: float | None = None) -> int | None:
        """See `RawClient.ttl`."""
        return self._thread.run(self._client.ttl(key, cf=cf, timeout_s=timeout_s))

    def compare_and_swap(
        self,
        key: bytes,
        expected: bytes | None,
        value: bytes,
        *,
        ttl: int = 0,
        cf: str = DEFAULT,
        timeout_s: float | None = None,
    ) -> Swap:
        """See `RawClient.compare_and_swap`."""
        work = self._client.compare_and_swap(key, expected, value, ttl=ttl, cf=cf, timeout_s=timeout_s)
        return self._thread.run(work)

    def batch_get(
        self, keys: Iterable[bytes], *, cf: str = DEFAULT, timeout_s: float | None = None
    ) -> dict[bytes, bytes]:
        """See `RawClient.batch_get`."""
        return self._thread.run(self._client.batch_get(keys, cf=cf, timeout_s=timeout_s))

    def batch_put(
        self,
        pairs: Mapping[bytes, bytes],
        *,
        ttl: int = 0,
        cf: str = DEFAULT,
        timeout_s: float | None = None,
    ) -> None:
        """See `RawClient.batch_put`."""
        self._thread.run(self._client.batch_put(pairs, ttl=ttl, cf=cf, timeout_s=timeout_s))

    def batch_delete(self, keys: Iterable[bytes], *, cf: str = DEFAULT, timeout_s: float | None = None) -> None:
        """See `RawClient.batch_delete`."""
        self._thread.run(self._client.batch_delete(keys, cf=cf, timeout_s=timeout_s))

    def scan(
        self,
        lo: bytes = b"",
        hi: bytes = b"",
        *,
        limit: int,
        reverse: bool = False,
        keys_only: bool = False,
        cf: str = DEFAULT,
        timeout_s: float | None = None,
    ) -> list[tuple[bytes, bytes]]:
        """See `RawClient.scan`."""
        work = self._client.scan(lo, hi, limit=limit, reverse=reverse, keys_only=keys_only, cf=cf, timeout_s=timeout_s)
        return self._thread.run(work)

    def delete_range(self, lo: bytes, hi: bytes = b"", *, cf: str = DEFAULT, timeout_s: float | None = None) -> None:
        """See `RawClient.delete_range`."""
        self._thread.run(self._client.delete_range(lo, hi, cf=cf, timeout_s=timeout_s))

    def checksum(self, lo: bytes = b"", hi: bytes = b"", *, timeout_s: float | None = None) -> Checksum:
        """See `RawClient.checksum`."""
        return self._thread.run(self._client.checksum(lo, hi, timeout_s=timeout_s))
