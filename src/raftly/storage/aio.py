"""Syncs that the kernel does by itself: Linux AIO's FDSYNC, its completion told through an eventfd.

A sync handed to a thread collapses under a busy event loop: the thread needs the GIL to tell that it is done, and
loses the race for it again and again (docs/performance.md). Here nothing but the loop's own poll wakes up.

Source: Linux io_submit(2), io_getevents(2), eventfd(2); linux/aio_abi.h for the numbers.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import sys
from typing import ClassVar, Final, final

_NUMBERS: Final = {  # io_setup, io_destroy, io_getevents, io_submit
    "x86_64": (206, 207, 208, 209),
    "aarch64": (0, 1, 4, 2),
}
_FDSYNC: Final = 3
_FLAG_RESFD: Final = 1
_DEPTH: Final = 128


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

    __slots__ = ("_context", "_eventfd", "_events", "_libc", "_loop", "_next", "_numbers", "_waiting")

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
        self._next = 0
        # The control block must live until the kernel is done with it.
        self._waiting: dict[int, tuple[_Iocb, asyncio.Future[None]]] = {}
        self._loop = loop
        loop.add_reader(self._eventfd, self._collect)

    def sync(self, fd: int) -> asyncio.Future[None]:
        """Start an fdatasync; the future fails with the disk's OSError."""
        self._next += 1
        block = _Iocb(data=self._next, opcode=_FDSYNC, fd=fd, flags=_FLAG_RESFD, resfd=self._eventfd)
        pointers = (ctypes.POINTER(_Iocb) * 1)(ctypes.pointer(block))
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting[self._next] = (block, future)
        try:
            self._call(self._numbers[3], self._context, 1, pointers)
        except OSError:
            del self._waiting[self._next]
            raise
        return future

    def close(self) -> None:
        """Stop listening; what is under way goes on in the kernel, untold."""
        self._loop.remove_reader(self._eventfd)
        self._call(self._numbers[1], self._context)  # waits for what is under way
        os.close(self._eventfd)
        for _, future in self._waiting.values():
            future.cancel()
        self._waiting.clear()

    def _collect(self) -> None:
        os.eventfd_read(self._eventfd)
        count = self._call(self._numbers[2], self._context, 0, _DEPTH, self._events, None)
        for event in self._events[:count]:
            _, future = self._waiting.pop(event.data)
            if future.cancelled():
                continue
            if event.res < 0:
                future.set_exception(OSError(-event.res, os.strerror(-event.res)))
            else:
                future.set_result(None)

    def _call(self, number: int, *arguments: object) -> int:
        result = int(self._libc.syscall(number, *arguments))
        if result < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return result
