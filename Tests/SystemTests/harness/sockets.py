"""Owns looking at the sockets of another process: what options they have, where they are bound."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator

from .process import ProcessView

PIDFD_GETFD = 438  # pidfd_getfd(2), the same number on every architecture


@contextlib.contextmanager
def sockets(pid: int, peers: set[tuple[str, int]]) -> Iterator[list[socket.socket]]:
    """Duplicates of the process's TCP connections to these peers, closed again at the end."""
    system = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    found: list[socket.socket] = []
    try:
        for descriptor, target in ProcessView(pid).descriptors().items():
            if not target.startswith("socket:"):
                continue
            copy = system.syscall(PIDFD_GETFD, process, descriptor, 0)
            if copy < 0:
                code = ctypes.get_errno()
                raise OSError(code, f"pidfd_getfd of {target}: {os.strerror(code)}")
            one = socket.socket(fileno=copy)
            try:
                is_wanted = one.getpeername()[:2] in peers
            except OSError:
                is_wanted = False
            if is_wanted:
                found.append(one)
            else:
                one.close()
        yield found
    finally:
        os.close(process)
        for one in found:
            one.close()
