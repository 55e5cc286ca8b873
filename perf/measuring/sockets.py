"""Owns what the network namespace says of its sockets: who listens, and how many connections there are."""

from __future__ import annotations

import itertools
import pathlib
import re
import socket
import struct
from collections.abc import Iterable

LISTEN = "0A"


def listening() -> set[tuple[str, int]]:
    """Address and port of every IPv4 listener here."""
    return {(address, port) for address, port, _ in _listeners()}


def listening_inodes(address: str) -> set[int]:
    """What tells the listeners of an address from others that take their place."""
    return {inode for at, _, inode in _listeners() if at == address}


def _listeners() -> list[tuple[str, int, int]]:
    with open("/proc/self/net/tcp", encoding="ascii") as table:
        return parse_listeners(table)


def parse_listeners(table: Iterable[str]) -> list[tuple[str, int, int]]:
    """The kernel prints listeners before all others, of which there may be many: reading stops at the first of those."""
    found = []
    for line in itertools.islice(table, 1, None):
        fields = line.split()
        if fields[3] != LISTEN:
            break
        address, port = fields[1].split(":")
        found.append((socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16), int(fields[9])))
    return found


def connections() -> int:
    """Connections of TCP in this namespace; those in TIME_WAIT, which need no program any more, are not among them.

    The kernel counts listeners with them, and some origins close theirs between two runs.
    """
    while True:
        listeners = _listeners()
        count = parse_in_use(pathlib.Path("/proc/self/net/sockstat").read_text())
        if _listeners() == listeners:
            return count - len(listeners)


def parse_in_use(text: str) -> int:
    found = re.search(r"^TCP: inuse (\d+)", text, re.MULTILINE)
    if not found:
        raise ValueError(f"no count of TCP sockets in: {text!r}")
    return int(found[1])
