"""Owns what a test put up: shuttled instances, peers, client connections. Takes it all down again, and looks for leaks.

The order at the end is the point: clients and peers go first, then every shuttled that still runs must be without
sessions and have no more descriptors than after its start, then it must end cleanly when asked to.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Any, Protocol, TypeVar

from .ports import free_address
from .shuttled import Shuttled, backend, service
from .streams import connect, read_exactly


class Closable(Protocol):
    def close(self) -> None: ...


Thing = TypeVar("Thing", bound=Closable)


class Stage:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.instances: list[Shuttled] = []
        self._things: list[Closable] = []

    # Putting up

    def shuttled(self, services: Any = None, **options: Any) -> Shuttled:
        """A shuttled in a folder of its own, started and ready."""
        return self.prepared(services, **options).start()

    def prepared(self, services: Any = None, **options: Any) -> Shuttled:
        """The same, not started."""
        number = len(self.instances)
        instance = Shuttled(self.directory / f"shuttled{number or ''}", services, **options)
        self.instances.append(instance)
        return instance

    def front(self, to: str, **options: Any) -> Front:
        """A shuttled with one service, `web`, in front of one backend, `b`."""
        address = free_address()
        shuttled = self.shuttled([service("web", address, [backend("b", to)])], **options)
        return Front(self, address, shuttled)

    def add(self, thing: Thing) -> Thing:
        """Something that is closed at the end of the test: a peer, a socket."""
        self._things.append(thing)
        return thing

    def connect(self, address: str, **options: Any) -> socket.socket:
        return self.add(connect(address, **options))

    def name_at(self, address: str) -> str:
        """Which `Named` backend a new connection reaches; the connection is closed again."""
        with connect(address) as connection:
            return read_line(connection)

    # Taking down

    def close(self, failed: bool) -> None:
        """Takes everything down; after a test that did not fail, leaks and unclean ends are failures."""
        faults: list[BaseException] = []
        for thing in reversed(self._things):
            try:
                thing.close()
            except (AssertionError, OSError) as error:
                faults.append(error)
        self._things.clear()
        try:
            for instance in self.instances:
                if failed or faults:
                    break
                try:
                    instance.check_end()
                    if instance.is_running:
                        if instance.is_measured:
                            instance.check_leaks()
                        instance.stop()
                except (AssertionError, OSError) as error:
                    faults.append(error)
        finally:
            for instance in self.instances:
                instance.kill()
        if faults and not failed:
            raise faults[0]
        if not failed and not faults:
            shutil.rmtree(self.directory, ignore_errors=True)


class Front:
    """One service of one shuttled, in front of one backend."""

    def __init__(self, stage: Stage, address: str, shuttled: Shuttled) -> None:
        self.address = address
        self.shuttled = shuttled
        self._stage = stage

    def connect(self, **options: Any) -> socket.socket:
        return self._stage.connect(self.address, **options)


def read_line(connection: socket.socket) -> str:
    line = b""
    while not line.endswith(b"\n"):
        line += read_exactly(connection, 1)
    return line.decode().rstrip("\n")
