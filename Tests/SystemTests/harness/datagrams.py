"""Owns both ends of UDP services in tests: backends that answer by a rule, and clients that ask.

Leaves to `dnsmasq.py` the real one.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable

from .ports import split

from harness.patience import patient

CLIENT_SECONDS = patient(10.0)
RECEIVE_BYTES = 1 << 22
#: The longest payload of IPv4: 65,535 less the two headers.
LONGEST = 65_507
#: udp(7); Python names neither.
SOL_UDP, UDP_SEGMENT = 17, 103


class DatagramPeer:
    """Answers each datagram with what `answers` makes of it, from one thread.

    `received` has every datagram in order, with where it came from; `sources` the addresses by themselves.
    """

    def __init__(
        self, address: str = "127.0.0.1:0", answers: Callable[[bytes], list[bytes]] = lambda datagram: [datagram]
    ) -> None:
        self._answers = answers
        host, port = split(address)
        self._host = host
        self._socket = bound(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.received: list[tuple[bytes, tuple[str, int]]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                datagram, source = self._socket.recvfrom(65_536)
            except OSError:
                return
            if datagram == b"\0stop":
                return
            self.received.append((datagram, source[:2]))
            for answer in self._answers(datagram):
                self._socket.sendto(answer, source)

    @property
    def sources(self) -> list[tuple[str, int]]:
        return [source for _, source in self.received]

    def send(self, datagram: bytes, to: tuple[str, int]) -> None:
        """One that nobody has asked for."""
        self._socket.sendto(datagram, to)

    def send_batch(self, content: bytes, size: int, to: tuple[str, int]) -> None:
        """Datagrams of this size, which the kernel makes of it."""
        self._socket.sendmsg([content], [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", size))], 0, to)

    def close(self) -> None:
        """From now on its host refuses what is sent to it."""
        if self._thread.is_alive():
            with socket.socket(self._socket.family, socket.SOCK_DGRAM) as stopping:
                stopping.sendto(b"\0stop", (self._host, self.port))
            self._thread.join(CLIENT_SECONDS)
        self._socket.close()


def bound(host: str = "127.0.0.1", port: int = 0) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    one = socket.socket(family, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    one.bind((host, port))
    return one


class DatagramClient:
    """A client with a port of its own, connected, so that it takes answers from where it asked and from nowhere else."""

    def __init__(self, address: str, source: str = "") -> None:
        host, port = split(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, RECEIVE_BYTES)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect((host, port))
        self.socket.settimeout(CLIENT_SECONDS)

    def send(self, datagram: bytes) -> None:
        self.socket.send(datagram)

    def receive(self, seconds: float = CLIENT_SECONDS) -> bytes:
        self.socket.settimeout(seconds)
        return self.socket.recv(65_536)

    def ask(self, datagram: bytes, seconds: float = CLIENT_SECONDS) -> bytes:
        self.send(datagram)
        return self.receive(seconds)

    def hears_nothing(self, seconds: float = 0.3) -> bool:
        try:
            self.receive(seconds)
        except (TimeoutError, ConnectionRefusedError):
            return True
        return False

    def close(self) -> None:
        self.socket.close()


def named(name: str) -> Callable[[bytes], list[bytes]]:
    """A rule: the backend's name is the answer."""
    return lambda _: [name.encode()]
