"""Syncs that the kernel does by itself: Linux AIO's FDSYNC, its completion told through an eventfd.

A sync handed to a thread collapses under a busy event loop: the thread needs the GIL to tell that it is done, and
loses the race for it again and again (docs/performance.md). Here nothing but the loop's own poll wakes up.

A disk that answers at once is waited for on the spot: to go back to the loop, and to be called from there, would cost
more than the sync. It has PATIENCE_S for that. Once it took longer, the next HASTY syncs go to the loop without
waiting, so a slow disk takes no more than a few hundredths of the loop's time, and one that stalls PATIENCE_S.

Source: Linux io_submit(2), io_getevents(2), eventfd(2); linux/aio_abi.h for the numbers.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import sys
from contextlib import suppress
from typing import ClassVar, Final, final

_NUMBERS: Final = {  # io_setup, io_destroy, io_getevents, io_submit
    "x86_64": (206, 207, 208, 209),
    "aarch64": (0, 1, 4, 2),
}
_FDSYNC: Final = 3
_FLAG_RESFD: Final = 1
_DEPTH: Final = 128
PATIENCE_S: Final = 0.001
HASTY: Final = 32


class _Timespec(ctypes.Structure):
    _fields_: ClassVar = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Iocb(ctypes.Structure):
    _fields_: ClassVar = [
        ("data", ctypes.c_uint64),
        ("key", ctypes.c_uint32),
        ("rw_flags", ctypes.c_uint32),
        ("opcode", ctypes.c_uint16),
        ("priority", ctypes.c_int16),
        ("fd", ctypes.c_uint32),
        ("buf", ctypes.c_uint64),
        ("nbytes", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("reserved", ctypes.c_uint64),
        ("flags", ctypes.c_uint32),
        ("resfd", ctypes.c_uint32),
    ]


class _Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("data", ctypes.c_uint64),
        ("obj", ctypes.c_uint64),
        ("res", ctypes.c_int64),
        ("res2", ctypes.c_int64),
    ]


@final
class AioSync:
    """Syncs of one event loop. `sync(fd)` gives a future; several may be under way.

    Raises:
        OSError: this system has no such thing, or no more of it.
    """

    __slots__ = (
        "_block",
        "_blocks",
        "_context",
        "_eventfd",
        "_events",
        "_hasty",
        "_libc",
        "_loop",
        "_next",
        "_numbers",
        "_patience",
        "_waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        numbers = _NUMBERS.get(platform.machine())
        if sys.platform != "linux" or numbers is None:
            message = "asynchronous sync needs Linux on x86-64 or arm64"
            raise OSError(message)
        self._numbers = numbers
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._context = ctypes.c_ulong(0)
        self._call(numbers[0], _DEPTH, ctypes.byref(self._context))
        self._eventfd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._events = (_Event * _DEPTH)()
        # The kernel copies the control block when it is submitted, so one serves all.
        self._block = _Iocb(opcode=_FDSYNC, flags=_FLAG_RESFD, resfd=self._eventfd)
        self._blocks = (ctypes.POINTER(_Iocb) * 1)(ctypes.pointer(self._block))
        self._patience = ctypes.byref(_Timespec(0, int(PATIENCE_S * 1e9)))
        self._hasty = 0  # so many syncs are not waited for on the spot
        self._next = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._loop = loop
        loop.add_reader(self._eventfd, self._on_signal)

    def sync(self, fd: int) -> asyncio.Future[None]:
        """Start an fdatasync, and wait a moment for it; the future, done perhaps, fails with the disk's OSError."""
        self._next += 1
        self._block.data = self._next
        self._block.fd = fd
        self._call(self._numbers[3], self._context, 1, self._blocks)
        future = self._waiting[self._next] = self._loop.create_future()
        if self._hasty:
            self._hasty -= 1
            return future
        if self._collect(1, self._patience) and not self._waiting:  # else one that ended since may have signalled too
            with suppress(BlockingIOError):
                os.eventfd_read(self._eventfd)  # or the loop would be woken for nothing
        if not future.done():
            self._hasty = HASTY
        return future

    def close(self) -> None:
        """Stop listening; what is under way goes on in the kernel, untold."""
        self._loop.remove_reader(self._eventfd)
        self._call(self._numbers[1], self._context)  # waits for what is under way
        os.close(self._eventfd)
        for future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    def _on_signal(self) -> None:
        with suppress(BlockingIOError):  # it was looked at on the spot meanwhile
            os.eventfd_read(self._eventfd)
        while self._collect(0, None) == _DEPTH:  # no other signal comes for the rest
            pass

    def _collect(self, at_least: int, patience: object) -> int:
        """Tell of the syncs that ended; how many. Waits for so many of them, as long as its patience lasts."""
        try:
            count = self._call(self._numbers[2], self._context, at_least, _DEPTH, self._events, patience)
        except InterruptedError:  # a signal came; the loop will hear of the rest
            return 0
        for event in self._events[:count]:
            future = self._waiting.pop(event.data)
            if future.cancelled():
                continue
            if event.res < 0:
                future.set_exception(OSError(-event.res, os.strerror(-event.res)))
            else:
                future.set_result(None)
        return count

    def _call(self, number: int, *arguments: object) -> int:
        result = int(self._libc.syscall(number, *arguments))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
