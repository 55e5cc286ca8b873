"""Owns stopping one thread of another process, as if a core had been taken away from it."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


@contextlib.contextmanager
def stopped_thread(thread: int) -> Iterator[None]:
    """The thread with this id stands still inside the `with` block; all others of its process go on.

    Only the Python thread that enters may leave: the kernel knows it as the tracer.
    """
    _ptrace(PTRACE_SEIZE, thread)
    try:
        _ptrace(PTRACE_INTERRUPT, thread)
        os.waitpid(thread, WALL)
        yield
    finally:
        _ptrace(PTRACE_DETACH, thread)


def _ptrace(request: int, thread: int) -> None:
    if _libc.ptrace(request, thread, None, None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace({request:#x}) of thread {thread}: {os.strerror(code)}")
