"""Owns the servers that stand behind shuttled in the tests, each with one habit; a thread for every connection.

Leaves to `load.py` the servers of tests where thousands of connections a second are the point. A peer's ephemeral port
is chosen by the kernel; one that goes away and comes back is given a port from `ports.py`.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from .ports import split, unix_name
from .streams import End, Stream, finish, read_to_end, reset, unacknowledged_bytes
from .wait import eventually, settled

from harness.patience import patient

BACKLOG = 4096
ACCEPT_POLL_SECONDS = 0.05
JOIN_SECONDS = patient(10.0)
#: A connection that a test forgot; no scenario is silent for so long.
SILENCE_SECONDS = 60.0


class Peer:
    """Listens, and runs `handle` in a thread for each connection.

    `accepted` counts connections ever. A handler that fails otherwise than by the connection's end makes `close` fail.
    """

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        name = unix_name(address)
        host, port = ("", 0) if name else split(address)
        family = socket.AF_UNIX if name else socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.configure(self._listener)
        self._listener.bind(name or (host, port))
        self._listener.listen(BACKLOG)
        self._listener.settimeout(ACCEPT_POLL_SECONDS)
        self.port: int = 0 if name else self._listener.getsockname()[1]
        self.address = address if name else f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
        self.accepted = 0
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._faults: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    # What the different peers change

    def configure(self, listener: socket.socket) -> None:
        """Socket options that connections inherit."""

    def handle(self, connection: socket.socket) -> None:
        """One connection, from its accept; it is closed when this returns."""
        raise NotImplementedError

    # Life

    @property
    def open_connections(self) -> int:
        with self._lock:
            return len(self._open)

    def reset_all(self) -> None:
        """Ends every open connection with an RST."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                reset(connection)
            except OSError:
                pass

    def close(self) -> None:
        self.closing.set()
        self._acceptor.join(JOIN_SECONDS)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
            assert not thread.is_alive(), f"a connection of {self} does not end"
        if self._faults:
            raise self._faults[0]

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                self._faults.append(error)
                return
            connection.settimeout(SILENCE_SECONDS)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
                self.accepted += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            if len(self._threads) >= 2 * self.open_connections + 64:
                self._threads = [running for running in self._threads if running.is_alive()]
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            self.handle(connection)
        except (ConnectionError, BrokenPipeError):
            pass
        except OSError as error:
            if connection.fileno() != -1 and not self.closing.is_set():
                self._faults.append(error)
        except BaseException as error:  # noqa: B902 - raised by close()
            self._faults.append(error)
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()


class Scripted(Peer):
    """Does with each connection what the test's own function does."""

    def __init__(self, script: Callable[[socket.socket], None], address: str = "127.0.0.1:0") -> None:
        self._script = script
        super().__init__(address)

    def handle(self, connection: socket.socket) -> None:
        self._script(connection)


class Echo(Peer):
    """Sends back what it gets, and its FIN after the client's."""

    def handle(self, connection: socket.socket) -> None:
        while data := connection.recv(65_536):
            connection.sendall(data)


class Named(Peer):
    """Says its name and a line end at once, then echoes: which backend a connection went to is the first line of it."""

    def __init__(self, name: str, address: str = "127.0.0.1:0") -> None:
        self.name = name
        super().__init__(address)

    def handle(self, connection: socket.socket) -> None:
        connection.sendall(self.name.encode() + b"\n")
        while data := connection.recv(65_536):
            connection.sendall(data)


class Recorder(Peer):
    """Reads each connection to its end and keeps what came and how it ended; answers nothing."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        self.streams: list[Stream] = []
        super().__init__(address)

    def handle(self, connection: socket.socket) -> None:
        self.streams.append(read_to_end(connection))

    def ended(self, index: int = 0) -> Stream:
        """The connection that ended as number `index`, waiting for it."""
        eventually(lambda: len(self.streams) > index, f"{index + 1} connections of the backend end")
        return self.streams[index]


class Flood(Peer):
    """Sends `piece` over and over as fast as it is taken, and reads nothing."""

    PIECE = b"0123456789abcdef" * 1024

    def __init__(self, send_buffer: int | None = None) -> None:
        self._send_buffer = send_buffer
        self.sent = 0
        super().__init__()

    def configure(self, listener: socket.socket) -> None:
        if self._send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)

    def handle(self, connection: socket.socket) -> None:
        connection.settimeout(ACCEPT_POLL_SECONDS)
        while not self.closing.is_set():
            try:
                self.sent += connection.send(self.PIECE)
            except TimeoutError:
                continue

    def stalled(self) -> int:
        """Waits until nothing more is taken for half a second, and says how much was."""
        return settled(lambda: self.sent, "the flood is held back")


class Sink(Peer):
    """Reads nothing until `release` is set, then everything."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.streams: list[Stream] = []
        super().__init__()

    def configure(self, listener: socket.socket) -> None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)

    def handle(self, connection: socket.socket) -> None:
        while not self.release.wait(ACCEPT_POLL_SECONDS):
            if self.closing.is_set():
                return
        self.streams.append(read_to_end(connection))


def banner_then_echo(text: bytes) -> Callable[[socket.socket], None]:
    """A server that speaks first, as SMTP and SSH servers do."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(text)
        while data := connection.recv(65_536):
            connection.sendall(data)

    return handle


def send_then_reset(data: bytes) -> Callable[[socket.socket], None]:
    """Sends `data`, waits until the other side's kernel has all of it, then resets."""

    def handle(connection: socket.socket) -> None:
        connection.sendall(data)
        eventually(lambda: unacknowledged_bytes(connection) == 0, "all that was sent is acknowledged", 30)
        reset(connection)

    return handle


def reply_after_eof(data: bytes, seconds: float, request: list[Stream]) -> Callable[[socket.socket], None]:
    """Reads to the client's FIN, and only some time after that sends its whole reply."""

    def handle(connection: socket.socket) -> None:
        stream = read_to_end(connection)
        request.append(stream)
        if stream.end is End.FINISHED:
            time.sleep(seconds)
            connection.sendall(data)
            finish(connection)

    return handle


class Refusing:
    """A port that is taken but does not listen: connecting to it is refused for as long as this lives."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def close(self) -> None:
        self._socket.close()


class Blackhole:
    """A listening socket whose queue is full: connecting to it neither succeeds nor fails.

    The kernel drops further SYNs while the accept queue is full, and repeats ours, so that a connect hangs until
    its own timeout.
    """

    def __init__(self) -> None:
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._fillers: list[socket.socket] = []
        for _ in range(16):
            filler = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            filler.settimeout(0.15)
            self._fillers.append(filler)
            try:
                filler.connect(("127.0.0.1", self.port))
            except TimeoutError:
                return
        raise AssertionError("the accept queue does not fill: this kernel takes more than 16 connections at backlog 0")

    def close(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._listener.close()


class FullUnix:
    """A unix socket whose listen queue is full: connecting to it does not succeed until `serve` is called, which
    echoes."""

    def __init__(self, address: str) -> None:
        self.address = address
        name = unix_name(address)
        assert name is not None
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(name)
        self._listener.listen(0)
        self._fillers: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._closing = threading.Event()
        for _ in range(16):
            filler = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            filler.setblocking(False)
            self._fillers.append(filler)
            try:
                filler.connect(name)
            except BlockingIOError:
                return
        raise AssertionError("the listen queue does not fill")

    def serve(self) -> None:
        """Takes connections from now on."""
        self._listener.settimeout(ACCEPT_POLL_SECONDS)
        acceptor = threading.Thread(target=self._accept, daemon=True)
        self._threads.append(acceptor)
        acceptor.start()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._echo, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(SILENCE_SECONDS)
            while data := connection.recv(65_536):
                connection.sendall(data)

    def close(self) -> None:
        self._closing.set()
        for filler in self._fillers:
            filler.close()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)
        self._listener.close()
