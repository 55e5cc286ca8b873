"""Owns load from processes of their own, so that the tests' interpreter lock is not the bottleneck.

Run as a program it is one of:

    load.py names NAME[=ADDRESS]…  echo servers that first say their name; prints their addresses as a JSON object
    load.py flood SEND_BUFFER      a server that sends as fast as it can to all its connections; prints its address
    load.py sessions JOB           a client that runs sessions against an address; prints its findings

Servers end when their standard input does. A session sends its own key and random bytes, finishes, reads to the end and
compares: what comes back must be a name line and its own bytes, nothing else.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

CONNECT_SECONDS = 15.0
SILENCE_SECONDS = 20.0
FAILURES_KEPT = 10


@dataclass
class Job:
    """What one client process does."""

    address: str
    sessions: int
    concurrent: int
    seed: int
    bytes_max: int = 65_536
    names: list[str] = field(default_factory=list)
    #: In place of a number of sessions: new ones, one after the other, for so long.
    seconds: float = 0.0
    #: Each session goes on for `seconds`, exchanging pieces of up to `bytes_max`.
    is_held: bool = False


@dataclass
class Findings:
    """What it found."""

    sessions: int = 0
    names: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0
    #: That were sent, came back and were compared.
    bytes: int = 0

    def failure(self, what: str) -> None:
        self.failed += 1
        if len(self.failures) < FAILURES_KEPT:
            self.failures.append(what)


class Program:
    """This file as a process of its own, which ends with the tests at the latest."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, str(Path(__file__).resolve()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> Any:
        """The next line it prints, read as JSON."""
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        assert text, "the program ended without an answer"
        return json.loads(text)

    def close(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)


class NameServers(Program):
    """Named echo servers in one process, at addresses of their own where they are given; `addresses` by name."""

    def __init__(self, *names: str) -> None:
        super().__init__("names", *names)
        self.addresses: dict[str, str] = self.line()


class FloodProcess(Program):
    def __init__(self, send_buffer: int) -> None:
        super().__init__("flood", str(send_buffer))
        self.address: str = self.line()


class Sessions(Program):
    """A running job."""

    def __init__(self, job: Job) -> None:
        super().__init__("sessions", json.dumps(asdict(job)))

    def findings(self) -> Findings:
        """Waits for the job's end."""
        try:
            return Findings(**self.line())
        finally:
            self.close()


# The servers


class NamedEcho(asyncio.Protocol):
    def __init__(self, name: str) -> None:
        self._greeting = name.encode() + b"\n"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def eof_received(self) -> bool:
        return False  # closes once all is written


async def _serve_names(names: list[str]) -> None:
    loop = asyncio.get_running_loop()
    addresses = {}
    for name, _, address in (given.partition("=") for given in names):
        host, _, port = (address or "127.0.0.1:0").rpartition(":")
        server = await loop.create_server(lambda name=name: NamedEcho(name), host, int(port), backlog=4096)  # type: ignore[misc]
        addresses[name] = "%s:%d" % server.sockets[0].getsockname()
    print(json.dumps(addresses), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


def _serve_flood(send_buffer: int) -> None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    listener.bind(("127.0.0.1", 0))
    listener.listen(4096)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print(json.dumps("127.0.0.1:%d" % listener.getsockname()[1]), flush=True)
    piece = b"flood..." * 2048
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                return
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_WRITE)
                continue
            connection = key.fileobj  # type: ignore[assignment]
            try:
                connection.send(piece)
            except BlockingIOError:
                pass
            except OSError:
                selector.unregister(connection)
                connection.close()


# The client


async def _session(job: Job, number: int, found: Findings) -> None:
    source = random.Random(f"{job.seed}/{number}")
    data = b"%016x:%016x:" % (job.seed, number) + source.randbytes(source.randint(0, job.bytes_max))
    host, _, port = job.address.rpartition(":")
    step = "connecting"
    received = b""
    writer = None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), CONNECT_SECONDS)
        step = "writing"
        at = 0
        while at < len(data):
            count = source.choice((1, 100, 1460, 16_384, 65_536))
            writer.write(data[at : at + count])
            at += count
            if writer.transport.get_write_buffer_size() > 131_072:
                await asyncio.wait_for(writer.drain(), SILENCE_SECONDS)
        writer.write_eof()
        step = "reading"
        received = await asyncio.wait_for(reader.read(-1), SILENCE_SECONDS)
        step = "comparing"
        name, _, echoed = received.partition(b"\n")
        said = name.decode("ascii", "replace")
        if echoed != data:
            found.failure(
                f"session {number}: sent {len(data)} bytes beginning {data[:34]!r}, "
                f"got {len(echoed)} from {said!r} beginning {echoed[:34]!r}"
            )
        elif job.names and said not in job.names:
            found.failure(f"session {number}: served by {said!r}, not one of {job.names}")
        else:
            found.names[said] = found.names.get(said, 0) + 1
            found.bytes += len(data)
    except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
        found.failure(f"session {number}: {error!r} while {step}, after {len(received)} bytes")
    finally:
        found.sessions += 1
        if writer is not None:
            writer.transport.abort() if step != "comparing" else writer.close()


async def _held_session(job: Job, number: int, found: Findings, end: float) -> None:
    """One session that goes on to the end, whatever becomes of its backend and its service."""
    source = random.Random(f"{job.seed}/{number}")
    host, _, port = job.address.rpartition(":")
    step = "connecting"
    exchanged = 0
    writer = None
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), CONNECT_SECONDS)
        step = "reading its name"
        said = (await asyncio.wait_for(reader.readline(), SILENCE_SECONDS)).decode("ascii", "replace").rstrip("\n")
        while time.monotonic() < end:
            step = "exchanging"
            data = source.randbytes(source.randint(1, job.bytes_max))
            writer.write(data)
            echoed = await asyncio.wait_for(reader.readexactly(len(data)), SILENCE_SECONDS)
            if echoed != data:
                found.failure(f"held session {number}: other bytes came back from {said!r} after {exchanged}")
                return
            exchanged += len(data)
            found.bytes += len(data)
            # Many sessions are there, and none of them keeps the others from coming in.
            await asyncio.sleep(source.uniform(0, 0.1))
        step = "finishing"
        writer.write_eof()
        rest = await asyncio.wait_for(reader.read(-1), SILENCE_SECONDS)
        if rest:
            found.failure(f"held session {number}: {len(rest)} bytes too many")
        else:
            found.names[said] = found.names.get(said, 0) + 1
    except (TimeoutError, OSError, asyncio.IncompleteReadError) as error:
        found.failure(f"held session {number}: {error!r} while {step}, after {exchanged} bytes")
    finally:
        found.sessions += 1
        if writer is not None:
            writer.close()


async def _run_sessions(job: Job) -> None:
    found = Findings()
    numbers = iter(range(job.sessions) if job.sessions else itertools.count())
    start = time.monotonic()
    end = start + job.seconds

    async def work() -> None:
        for number in numbers:
            if job.seconds and time.monotonic() >= end:
                return
            if job.is_held:
                return await _held_session(job, number, found, end)
            await _session(job, number, found)

    await asyncio.gather(*(work() for _ in range(job.concurrent)))
    found.seconds = round(time.monotonic() - start, 3)
    print(json.dumps(asdict(found)), flush=True)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["names", *names]:
            asyncio.run(_serve_names(names))
        case ["flood", size]:
            _serve_flood(int(size))
        case ["sessions", job]:
            asyncio.run(_run_sessions(Job(**json.loads(job))))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
