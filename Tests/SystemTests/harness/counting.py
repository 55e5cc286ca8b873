"""Owns a backend that counts its own connections, and a crowd of clients that come all at once: what limits are judged by.

The backend runs in one thread. When it accepts a connection it first looks, by peeking, which of the others have ended:
what a proxy has closed before it opened the next one does not count, whatever the order in which events are reported.
"""

from __future__ import annotations

import heapq
import selectors
import socket
import threading
import time
from collections import Counter

from .ports import split
from .streams import End

POLL_SECONDS = 0.02
REPLY = b"served\n"
CROWD_SECONDS = 60.0


class Counting:
    """Answers a line with `REPLY` after `hold` seconds, then waits for the other side's end.

    `most` is how many connections were open at a time, at most; `order` the lines in which connections spoke first.
    """

    def __init__(self, hold: float = 0.0) -> None:
        self.hold = hold
        self.accepted = 0
        self.most = 0
        self.order: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open: set[socket.socket] = set()
        self._due: list[tuple[float, int, socket.socket]] = []
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def close(self) -> None:
        self._is_closing.set()
        self._thread.join(10)
        for connection in self._open:
            connection.close()
        self._selector.close()
        self._listener.close()

    def _run(self) -> None:
        while not self._is_closing.is_set():
            wait = POLL_SECONDS
            if self._due:
                wait = min(wait, max(0.0, self._due[0][0] - time.monotonic()))
            for key, _ in self._selector.select(wait):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._read(key.fileobj)  # type: ignore[arg-type]
            self._reply()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            self.accepted += 1
            ended = sum(1 for other in self._open if has_ended(other))
            self._open.add(connection)
            self.most = max(self.most, len(self._open) - ended)
            self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, connection: socket.socket) -> None:
        if connection not in self._open:
            return
        try:
            data = connection.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._selector.unregister(connection)
            self._open.discard(connection)
            connection.close()
            return
        self.order.append(data.strip())
        heapq.heappush(self._due, (time.monotonic() + self.hold, id(connection), connection))

    def _reply(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            connection = heapq.heappop(self._due)[2]
            if connection in self._open:
                try:
                    connection.send(REPLY)
                except OSError:
                    pass


def has_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


class Crowd:
    """Clients that connect at once, each say a line, read the reply to its end, and close."""

    def __init__(self, address: str, count: int, *, speaks: bool = True) -> None:
        self.outcomes: Counter[tuple[bytes, End]] = Counter()
        selector = selectors.DefaultSelector()
        received: dict[socket.socket, bytes] = {}
        for _ in range(count):
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            client.setblocking(False)
            client.connect_ex(split(address))
            received[client] = b""
            selector.register(client, selectors.EVENT_WRITE if speaks else selectors.EVENT_READ)
        deadline = time.monotonic() + CROWD_SECONDS
        while received:
            assert time.monotonic() < deadline, f"{len(received)} of {count} clients wait still; {self.outcomes}"
            for key, events in selector.select(1.0):
                client: socket.socket = key.fileobj  # type: ignore[assignment]
                if events & selectors.EVENT_WRITE:
                    selector.modify(client, selectors.EVENT_READ)
                    try:
                        client.send(b"hello\n")
                    except ConnectionError:
                        pass
                    continue
                try:
                    data = client.recv(4096)
                    end = None if data else End.FINISHED
                except ConnectionError:
                    data, end = b"", End.RESET
                received[client] += data
                if end is None and received[client] != REPLY:
                    continue
                self.outcomes[(received.pop(client), end or End.FINISHED)] += 1
                selector.unregister(client)
                client.close()
        selector.close()

    @property
    def served(self) -> int:
        return self.outcomes[(REPLY, End.FINISHED)]
