"""Backends die, hang, come back and are drained under load, and everybody who could be served is.

Who could be served is computed from what the test itself did: a client may fail only when the backend that it was
connected to died in the meantime. The backends count their connections themselves, in the order of the kernel.
"""

from __future__ import annotations

import os
import queue
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.ports import free_address, split
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import reset

#: How long there is trouble: longer on request.
SECONDS = float(os.environ.get("SHUTTLE_CHAOS_SECONDS", "60"))
CLIENTS = 20
NAMES = ["a", "b", "c", "d"]
#: Sessions that a backend may have: two backends alone have too few places for all clients at once, so some wait.
PLACES = 8
ALGORITHMS = ["RR", "LC", "P2C", "RANDOM", "HASH"]
CONNECT_TIMEOUT_MS = 300
CHECK_INTERVAL_MS = 100
QUEUE_TIMEOUT_MS = 10_000
#: A client that has had no answer for so long was not served: longer than all tries may take.
PATIENCE_SECONDS = 12.0
#: A death is noticed by the client a moment later.
NOTICE_SECONDS = 1.0


class Backend:
    """An echo server that says its name, in one thread: it serves, refuses or hangs as it is told.

    Its health is what it does at its check address, which is told apart so that checks do not count as connections.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = free_address()
        self.check_address = free_address()
        self.most = 0
        self.accepted = 0
        self.deaths: list[float] = []
        self._faults: list[str] = []
        self._drained = False
        self._listeners: list[socket.socket] = []
        self._fillers: list[socket.socket] = []
        self._open: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._commands: queue.SimpleQueue[tuple[Callable[[], None] | None, threading.Event]] = queue.SimpleQueue()
        self._bell, self._ear = socket.socketpair()
        self._selector.register(self._ear, selectors.EVENT_READ, self._obey)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.serve()

    # Told from other threads; each is done when it returns

    def serve(self) -> None:
        self._do(self._serve)

    def die(self) -> None:
        """Its connections are reset and new ones refused."""
        self._do(self._die)

    def hang(self) -> None:
        """New connections are neither taken nor refused; those that it has go on."""
        self._do(self._hang)

    def drained(self) -> None:
        """What was on its way when the drain was answered is taken; from now on nothing may come."""
        self._do(lambda: self._set_drained(True))

    def undrained(self) -> None:
        self._do(lambda: self._set_drained(False))

    def faults(self) -> list[str]:
        return self._faults

    def close(self) -> None:
        self._do(self._die)
        self._commands.put((None, threading.Event()))
        self._bell.send(b"!")
        self._thread.join(10)
        self._bell.close()
        self._ear.close()

    # In its thread

    def _do(self, what: Callable[[], None]) -> None:
        done = threading.Event()
        self._commands.put((what, done))
        self._bell.send(b"!")
        assert done.wait(10), f"backend {self.name} does not react"

    def _obey(self, _: socket.socket) -> None:
        self._ear.recv(1)
        what, done = self._commands.get()
        if what is None:
            raise SystemExit
        try:
            what()
        except OSError as error:
            self._faults.append(f"{self.name}: {error!r}")
        done.set()

    def _run(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    # What came before in this round may have closed it.
                    if key.fd in self._selector.get_map() and key.fileobj.fileno() == key.fd:  # type: ignore[union-attr]
                        key.data(key.fileobj)
        except SystemExit:
            self._selector.close()

    def _listen(self, address: str, backlog: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(split(address))
        listener.listen(backlog)
        listener.setblocking(False)
        self._listeners.append(listener)
        return listener

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            if listener.fileno() in self._selector.get_map():
                self._selector.unregister(listener)
            listener.close()
        for filler in self._fillers:
            filler.close()
        self._listeners.clear()
        self._fillers.clear()

    def _serve(self) -> None:
        self._stop_listening()
        self._selector.register(self._listen(self.address, 4096), selectors.EVENT_READ, self._accept)
        self._selector.register(self._listen(self.check_address, 4096), selectors.EVENT_READ, self._checked)

    def _die(self) -> None:
        self.deaths.append(time.monotonic())
        self._stop_listening()
        for connection in list(self._open):
            self._selector.unregister(connection)
            reset(connection)
        self._open.clear()

    def _hang(self) -> None:
        # What waits to be accepted is lost with the listener: a small death.
        if self._listeners:
            self._accept(self._listeners[0])
        self.deaths.append(time.monotonic())
        self._stop_listening()
        for address in (self.address, self.check_address):
            self._listen(address, 0)
            for _ in range(3):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(split(address))
                self._fillers.append(filler)

    def _set_drained(self, is_drained: bool) -> None:
        if is_drained and self._listeners:
            self._accept(self._listeners[0])
        self._drained = is_drained

    def _checked(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        connection.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            if self._drained:
                self._faults.append(f"{self.name}: a connection came after the drain was answered")
            self._sweep()
            self._open.add(connection)
            self.accepted += 1
            self.most = max(self.most, len(self._open))
            connection.setblocking(False)
            self._selector.register(connection, selectors.EVENT_READ, self._echo)
            connection.send(self.name.encode() + b"\n")

    def _sweep(self) -> None:
        """Connections whose end the kernel has seen by now are none any more, though this thread has not read it."""
        for connection in list(self._open):
            try:
                if connection.recv(1, socket.MSG_PEEK) != b"":
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            self._drop(connection)

    def _echo(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65_536)
            if data:
                connection.send(data)
                return
        except OSError:
            pass
        self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._open.discard(connection)
        connection.close()


@dataclass
class Record:
    """What became of the clients' sessions."""

    served: dict[str, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    #: When it began and ended, who had taken it, and what happened.
    failed: list[tuple[float, float, str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def client(address: str, seed: int, record: Record, stopping: threading.Event) -> None:
    source = random.Random(seed)
    while not stopping.is_set():
        started, name = time.monotonic(), ""
        try:
            with socket.create_connection(split(address), timeout=PATIENCE_SECONDS) as connection:
                connection.settimeout(PATIENCE_SECONDS)
                data = source.randbytes(source.choice([1, 100, 3000]))
                connection.sendall(data)
                lines = connection.makefile("rb")
                line = lines.readline()
                if not line.endswith(b"\n"):
                    raise ConnectionError("closed without a word")
                name = line.decode().strip()
                if lines.read(len(data)) != data:
                    raise ConnectionError("not all came back")
                if stopping.wait(source.choice([0, 0, 0.002, 0.05])):
                    return
            with record.lock:
                record.served[name] += 1
        except OSError as error:
            with record.lock:
                record.failed.append((started, time.monotonic(), name, repr(error)))


def could_have_been_served(failure: tuple[float, float, str, str], backends: dict[str, Backend]) -> bool:
    """Not when its backend died under it. One that had no answer may have been at any: it was there from its start on."""
    started, ended, name, _ = failure
    suspects = [backends[name]] if name else list(backends.values())
    return not any(started - 0.01 <= death <= ended <= death + NOTICE_SECONDS for b in suspects for death in b.deaths)


def configuration(address: str, backends: dict[str, Backend], balance: str, drained: set[str]) -> dict[str, Any]:
    return service(
        "web", address,
        [
            backend(
                name, peer.address, check_address=peer.check_address, max_connections=PLACES,
                state="drain" if name in drained else "ready",
            )
            for name, peer in backends.items()
        ],
        balance=balance, retries=3, connect_timeout=CONNECT_TIMEOUT_MS, check_interval=CHECK_INTERVAL_MS,
        queue_limit=CLIENTS, queue_timeout=QUEUE_TIMEOUT_MS,
    )  # fmt: skip


def trouble(shuttled: Shuttled, address: str, backends: dict[str, Backend], source: random.Random, end: float) -> None:
    """Makes trouble until the end. One backend at least serves at every moment, and has done so for a while."""
    drained: set[str] = set()
    troubled: dict[str, str] = {}
    balance = "RR"
    rested = time.monotonic()
    while time.monotonic() < end:
        name = source.choice(NAMES)
        peer = backends[name]
        if name in troubled:
            if troubled.pop(name) == "drain":
                peer.undrained()
                drained.discard(name)
                shuttled.admin.change("/web", configuration(address, backends, balance, drained))
            else:
                peer.serve()
            rested = time.monotonic()
        elif len(troubled) < len(NAMES) - 2 and time.monotonic() - rested > 1.5:
            what = source.choice(["die", "hang", "drain"])
            troubled[name] = what
            if what == "drain":
                drained.add(name)
                shuttled.admin.change("/web", configuration(address, backends, balance, drained))
                peer.drained()
            else:
                peer.die() if what == "die" else peer.hang()
        else:
            balance = source.choice(ALGORITHMS)
            shuttled.admin.change("/web", configuration(address, backends, balance, drained))
        time.sleep(source.uniform(0.05, 0.4))
    for name, what in troubled.items():
        if what == "drain":
            backends[name].undrained()
        else:
            backends[name].serve()
    shuttled.admin.change("/web", configuration(address, backends, "RR", set()))


@pytest.mark.time_limit(int(SECONDS) + 90)
def test_whoever_can_be_served_is_served(stage: Stage) -> None:
    address = free_address()
    backends = {name: stage.add(Backend(name)) for name in NAMES}
    shuttled = stage.shuttled([configuration(address, backends, "RR", set())], rings=2)
    record, stopping = Record(), threading.Event()
    clients = [
        threading.Thread(target=client, args=(address, seed, record, stopping), daemon=True) for seed in range(CLIENTS)
    ]
    for thread in clients:
        thread.start()
    try:
        trouble(shuttled, address, backends, random.Random(4), time.monotonic() + SECONDS)
    finally:
        stopping.set()
        for thread in clients:
            thread.join(PATIENCE_SECONDS + 5)
    assert not any(thread.is_alive() for thread in clients), "a client hangs"
    wronged = [failure for failure in record.failed if could_have_been_served(failure, backends)]
    served = sum(record.served.values())
    print(f"{served} served {record.served}, {len(record.failed)} failed with their backend, {len(wronged)} wronged")
    assert not wronged, f"{len(wronged)} of {served + len(record.failed)}: {wronged[:5]}"
    assert [fault for peer in backends.values() for fault in peer.faults()] == []
    assert {name: peer.most for name, peer in backends.items() if peer.most > PLACES} == {}, "a limit was exceeded"
    assert max(peer.most for peer in backends.values()) == PLACES, "the limit was reached"
    statistics = shuttled.admin.service("web")
    away = {name: statistics.get(name, 0) for name in ["refused", "queue_overflows", "queue_timeouts"]}
    assert set(away.values()) == {0}, f"some were turned away: {away}"
    assert all(count > 0 for count in record.served.values()) and served > 20 * SECONDS
    deaths = sum(len(peer.deaths) for peer in backends.values())
    assert deaths >= SECONDS / 10, f"only {deaths} deaths"


def test_a_client_that_nobody_could_serve_is_told_from_one_that_was_wronged() -> None:
    """The judge itself: what it must let pass, and what it must not."""

    class Dead:
        def __init__(self, *deaths: float) -> None:
            self.deaths = list(deaths)

    backends: Any = {"a": Dead(10.0), "b": Dead()}
    assert not could_have_been_served((9.5, 10.2, "a", "reset"), backends)
    assert not could_have_been_served((9.5, 10.2, "", "closed"), backends)
    assert could_have_been_served((9.5, 10.2, "b", "reset"), backends)
    assert could_have_been_served((10.5, 10.9, "a", "reset"), backends), "it began after the death"
    assert could_have_been_served((9.5, 9.9, "a", "reset"), backends), "it ended before"
    assert could_have_been_served((9.5, 14.0, "", "timed out"), backends), "it waited for nothing"
