"""Owns what is done with one TCP stream: reading to its end and saying how it ended, resetting it, test data.

How a stream ended matters: a FIN is a promise that all bytes arrived, a reset is not, and a proxy must not turn one
into the other.
"""

from __future__ import annotations

import enum
import fcntl
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

from .ports import split, unix_name

from harness.patience import patient

TIMEOUT_SECONDS = patient(20.0)
READ_BYTES = 65_536
SIOCOUTQ = 0x5411


class End(enum.Enum):
    FINISHED = "finished (FIN)"
    RESET = "reset (RST)"


class Stream:
    """All that was read from a connection, and how it ended."""

    def __init__(self, data: bytes, end: End) -> None:
        self.data = data
        self.end = end

    def __repr__(self) -> str:
        return f"<{len(self.data)} bytes, {self.end.value}>"

    def is_all_of(self, expected: bytes) -> None:
        """All of it, nothing else, and a FIN behind it."""
        same_prefix(self.data, expected)
        assert len(self.data) == len(expected), f"{len(self.data)} of {len(expected)} bytes came, then {self.end.value}"
        assert self.end is End.FINISHED, f"all bytes came, but the end was a {self.end.value}"


def same_prefix(data: bytes, expected: bytes) -> None:
    """`data` is a prefix of `expected`; names the first byte that is not."""
    if expected.startswith(data):
        return
    at = next((i for i, (a, b) in enumerate(zip(data, expected)) if a != b), min(len(data), len(expected)))
    raise AssertionError(
        f"byte {at} of {len(data)} is not what was sent: {data[at : at + 16]!r}, not {expected[at : at + 16]!r}"
    )


def connect(
    address: str,
    *,
    timeout: float = TIMEOUT_SECONDS,
    receive_buffer: int | None = None,
    source: tuple[str, int] | None = None,
) -> socket.socket:
    """A connection to `host:port` or to a unix socket. A small `receive_buffer` must be set before connecting to take
    effect."""
    name = unix_name(address)
    target: str | tuple[str, int] = name or split(address)
    family = socket.AF_UNIX if name else socket.AF_INET6 if ":" in target[0] else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            connection.bind(source)
        connection.connect(target)
    except BaseException:
        connection.close()
        raise
    return connection


def read_to_end(connection: socket.socket, pause: float = 0.0, piece: int = READ_BYTES) -> Stream:
    """Reads until the other side ends the stream; a silence longer than the socket's timeout is an error."""
    pieces: list[bytes] = []
    while True:
        try:
            data = connection.recv(piece)
        except (ConnectionResetError, BrokenPipeError):
            return Stream(b"".join(pieces), End.RESET)
        if not data:
            return Stream(b"".join(pieces), End.FINISHED)
        pieces.append(data)
        if pause:
            time.sleep(pause)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = connection.recv(min(count - len(data), READ_BYTES))
        assert piece, f"the stream ended after {len(data)} of {count} bytes"
        data += piece
    return bytes(data)


def finish(connection: socket.socket) -> None:
    """Sends our FIN; reading goes on."""
    connection.shutdown(socket.SHUT_WR)


def reset(connection: socket.socket) -> None:
    """Ends the connection with an RST, at once; what was not yet sent is dropped."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def unacknowledged_bytes(connection: socket.socket) -> int:
    """Bytes that were written and that the other side's kernel does not have yet."""
    return struct.unpack("i", fcntl.ioctl(connection, SIOCOUTQ, b"\0" * 4))[0]


def random_bytes(seed: int | str, count: int) -> bytes:
    """The same bytes for the same seed."""
    return random.Random(seed).randbytes(count)


def random_pieces(data: bytes, random_source: random.Random, longest: int) -> Iterator[bytes]:
    """`data` cut at random places."""
    view = memoryview(data)
    while view:
        count = random_source.randint(1, longest)
        yield bytes(view[:count])
        view = view[count:]


def exchange(connection: socket.socket, data: bytes, pieces: Iterator[bytes] | None = None) -> Stream:
    """Writes `data` and then a FIN while reading all that comes back, as a client with both directions busy does."""

    def write() -> None:
        for piece in pieces if pieces is not None else (data,):
            connection.sendall(piece)
        finish(connection)

    with background(write):
        return read_to_end(connection)


def echoes(connection: socket.socket, message: bytes = b"are you there?") -> bool:
    """One round trip over an echo connection."""
    connection.sendall(message)
    answer = read_exactly(connection, len(message))
    assert answer == message, f"sent {message!r}, got {answer!r}"
    return True


class background:
    """Runs a function in a thread for the length of a `with` block; what it raises is raised at the block's end.

    A connection that ends while the function writes to it is not an error: the reader says how it ended.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._fault: BaseException | None = None

    def _run(self) -> None:
        try:
            self._function()
        except (ConnectionResetError, BrokenPipeError):
            pass
        except BaseException as error:  # noqa: B902 - handed to the thread that waits
            self._fault = error

    def __enter__(self) -> background:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._thread.join(TIMEOUT_SECONDS * 2)
        if kind is None:
            assert not self._thread.is_alive(), "the writing side did not come to its end"
            if self._fault is not None:
                raise self._fault
