"""Owns addresses for listeners that somebody else will bind: ports that are free now and are not handed out twice.

They lie below the kernel's ephemeral range, so that no outgoing connection of a test takes one in the meantime. A peer
that binds for itself asks the kernel (port 0) and does not need this.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket

FIRST = 12_000
LAST = 31_999


def _start() -> int:
    """Test runs beside each other start at different places, and the workers of one run far apart: their numbers as
    processes are neighbours."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    parent = os.getppid() if workers > 1 else os.getpid()
    return (parent * 137 + worker * (LAST - FIRST) // workers) % (LAST - FIRST)


_next = itertools.count(_start())


def free_port() -> int:
    """A port that nobody has bound, on IPv4 and IPv6, at any address."""
    for _ in range(LAST - FIRST):
        port = FIRST + next(_next) % (LAST - FIRST + 1)
        if _is_free(port):
            return port
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")


def free_address(host: str = "127.0.0.1") -> str:
    """`host:port` with a free port."""
    return f"{host}:{free_port()}"


def split(address: str) -> tuple[str, int]:
    """`127.0.0.1:80`, `[::1]:80` or `:80` (which is reached at 127.0.0.1) as Python's sockets take it."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "127.0.0.1", int(port)


def unix_name(address: str) -> str | None:
    """`unix:/path`, `/path` or `unix:@name` as Python's sockets take it; None for an address with a port."""
    if not address.startswith(("unix:", "/")):
        return None
    name = address.removeprefix("unix:")
    return "\0" + name[1:] if name.startswith("@") else name


def port_of(address: str) -> int:
    return split(address)[1]


def _is_free(port: int) -> bool:
    # Without SO_REUSEADDR, so that a port with connections in TIME_WAIT counts as taken.
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            # Anything else says that this machine has no IPv6: then nobody has the port there either.
    return True
