"""The access log: a line for each session that ended, in every place where lines can go, and what becomes of them when that
place is slow, full or gone."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.datagrams import DatagramClient, DatagramPeer
from harness.peers import Echo, Refusing, Scripted
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage
from harness.streams import connect, read_exactly, read_to_end, reset
from harness.wait import eventually


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Whole lines; each must be JSON."""
    text = path.read_text() if path.exists() else ""
    assert not text or text.endswith("\n"), text[-200:]
    return [json.loads(line) for line in text.splitlines()]


def logged(stage: Stage, services: list[dict[str, Any]], *arguments: str, **options: Any) -> tuple[Shuttled, Path]:
    path = stage.directory / "access.log"
    return stage.shuttled(services, arguments=["-access-log", str(path), *arguments], **options), path


def session(address: str, data: bytes = b"hello") -> str:
    """One that its client ends; the client's address."""
    with connect(address) as client:
        client.sendall(data)
        assert read_exactly(client, len(data)) == data
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client).data == b""
        return "%s:%d" % client.getsockname()


def metric(shuttled: Shuttled, name: str) -> float:
    text = shuttled.admin.get("/metrics").expect(200).body.decode()
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)[1])  # type: ignore[index]


# What a line says


def test_a_line_tells_of_a_session_what_there_is_to_tell(stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    web = service("web", address, [backend("one", echo.address)], access_log={})
    shuttled, path = logged(stage, [web])
    clients = [session(address, b"x" * (100 + number)) for number in range(20)]
    lines = eventually(lambda: len(lines_of(path)) == 20 and lines_of(path), lambda: f"{path.read_text()}")
    assert sorted(line["client"] for line in lines) == sorted(clients)
    for line in lines:
        number = clients.index(line["client"])
        assert (line["sent"], line["received"]) == (100 + number, 100 + number)
        assert (line["service"], line["backend"], line["backend_address"]) == ("web", "one", echo.address)
        assert (line["network"], line["reason"], line["retries"]) == ("tcp", "client_closed", 0)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["started"])
        assert line["started"] <= line["ended"]
        assert 0 <= line["connect_microseconds"] <= line["duration_microseconds"]
        assert 0 <= line["first_byte_microseconds"] <= line["duration_microseconds"]
        assert line["client_rtt_microseconds"] > 0 and line["backend_rtt_microseconds"] > 0
        assert line["client_retransmits"] >= 0 and line["backend_retransmits"] >= 0
    assert shuttled.admin.service("web")["connections"] == 20


def test_the_reason_tells_who_ended_it(stage: Stage) -> None:
    dead = stage.add(Refusing())
    leaving = stage.add(Scripted(lambda connection: connection.sendall(b"bye")))
    echo = stage.add(Echo())
    addresses = {name: free_address() for name in ("refused", "leaving", "reset", "idle")}
    services = [
        service("refused", addresses["refused"], [backend("b", dead.address), backend("c", dead.address)], access_log={}),
        service("leaving", addresses["leaving"], [backend("b", leaving.address)], access_log={}),
        service("reset", addresses["reset"], [backend("b", echo.address)], access_log={}),
        service("idle", addresses["idle"], [backend("b", echo.address)], access_log={}, client_timeout=50),
    ]
    shuttled, path = logged(stage, services)
    for name in ("refused", "leaving", "idle"):
        with connect(addresses[name]) as client:
            try:
                read_to_end(client)
            except ConnectionError:
                pass
    client = connect(addresses["reset"])
    client.sendall(b"x")
    assert read_exactly(client, 1) == b"x"
    reset(client)
    lines = eventually(lambda: len(lines_of(path)) == 4 and lines_of(path), lambda: path.read_text())
    by_service = {line["service"]: line for line in lines}
    assert {name: line["reason"] for name, line in by_service.items()} == {
        "refused": "connect_refused", "leaving": "backend_closed", "reset": "client_reset", "idle": "client_idle",
    }  # fmt: skip
    assert by_service["refused"]["retries"] == 1 and by_service["refused"]["connect_microseconds"] is None


def test_sessions_of_datagrams_are_logged_too(stage: Stage) -> None:
    peer = stage.add(DatagramPeer())
    address = free_address()
    dns = service("dns", address, [backend("b", peer.address)], network="udp", udp_responses=1, access_log={})
    _, path = logged(stage, [dns])
    client = stage.add(DatagramClient(address))
    client.ask(b"question")
    (line,) = eventually(lambda: lines_of(path), "the session has ended and is logged")
    assert (line["network"], line["reason"], line["sent"]) == ("udp", "answered", 8)


def test_text_goes_to_standard_output(stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    web = service("web", address, [backend("one", echo.address)], access_log={})
    shuttled = stage.shuttled([web], arguments=["-access-log", "stdout", "-access-log-format", "text"])
    client = session(address)
    pattern = rf"^started=\S+ ended=\S+ service=web backend=one .*client={re.escape(client)} .*reason=client_closed .*$"
    eventually(lambda: re.search(pattern, shuttled.log_path.read_text(), re.M), shuttled.log_tail)


# Which sessions


def test_only_services_that_want_it_are_logged_and_that_changes_live(stage: Stage) -> None:
    echo = stage.add(Echo())
    addresses = [free_address(), free_address()]
    services = [service(f"s{n}", address, [backend("b", echo.address)]) for n, address in enumerate(addresses)]
    services[0]["access_log"] = {}
    shuttled, path = logged(stage, services)
    for address in addresses:
        session(address)
    eventually(lambda: [line["service"] for line in lines_of(path)] == ["s0"], lambda: path.read_text())
    shuttled.admin.change("/s0", {"access_log": None}, "PATCH")
    shuttled.admin.change("/s1", {"access_log": {}}, "PATCH")
    for address in addresses:
        session(address)
    eventually(lambda: [line["service"] for line in lines_of(path)] == ["s0", "s1"], lambda: path.read_text())


def test_one_of_so_many_is_logged(stage: Stage) -> None:
    echo = stage.add(Echo())
    addresses = {1: free_address(), 10: free_address()}
    services = [
        service(f"of{n}", address, [backend("b", echo.address)], access_log={"one_in": n}) for n, address in addresses.items()
    ]
    shuttled, path = logged(stage, services)
    for _ in range(300):
        session(addresses[10])
    # The last one is logged, and those before it were looked at by then.
    for _ in range(8):
        session(addresses[1])
    eventually(lambda: Counter(line["service"] for line in lines_of(path))["of1"] == 8, lambda: path.read_text())
    # 30 are expected; it would take a fault or more than six standard deviations to leave these bounds.
    assert 0 < Counter(line["service"] for line in lines_of(path))["of10"] < 65


# Where lines go


def test_a_file_that_is_moved_away_loses_no_line(stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    shuttled, path = logged(stage, [service("web", address, [backend("one", echo.address)], access_log={})])
    clients: list[str] = []
    moved = []
    for number in range(200):
        clients.append(session(address))
        if number % 40 == 20:
            eventually(path.exists, "the file is there")
            moved.append(path.rename(path.with_suffix(f".{number}")))
            shuttled.signal(signal.SIGUSR1)

    def lines() -> list[dict[str, Any]]:
        return [line for file in (*moved, path) for line in lines_of(file)]

    eventually(lambda: len(lines()) >= len(clients), lambda: f"{len(lines())} of {len(clients)}")
    assert sorted(line["client"] for line in lines()) == sorted(clients)
    assert path.exists() and path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", ["syslog", "journald"])
def test_syslog_and_the_journal_get_a_datagram_for_each(stage: Stage, kind: str) -> None:
    place = stage.add(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    place.settimeout(20)
    place.bind(str(stage.directory / "place"))
    echo = stage.add(Echo())
    address = free_address()
    web = service("web", address, [backend("one", echo.address)], access_log={})
    stage.shuttled([web], arguments=["-access-log", f"{kind}:{stage.directory}/place"])
    client = session(address)
    message = place.recv(65_536).decode()
    if kind == "syslog":
        start, line = message.split(": ", 1)
        assert re.fullmatch(r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d shuttled\[\d+\]", start)
    else:
        fields = dict(field.split("=", 1) for field in message.splitlines())
        assert (fields["SHUTTLE_SERVICE"], fields["SHUTTLE_BACKEND"]) == ("web", "one")
        assert (fields["SHUTTLE_REASON"], fields["SYSLOG_IDENTIFIER"]) == ("client_closed", "shuttled")
        line = fields["MESSAGE"]
    assert json.loads(line)["client"] == client


# Places that do not take them


def test_a_place_that_is_stuck_loses_lines_and_nothing_else(stage: Stage) -> None:
    """A pipe that nobody reads: the log stands still, sessions do not, what is lost is counted exactly, and shuttled ends."""
    echo = stage.add(Echo())
    address = free_address()
    pipe = stage.directory / "access.log"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    web = service("web", address, [backend("one", echo.address)], access_log={})
    # More than the log's batch, the pipe and the ring's records hold.
    shuttled, _ = logged(stage, [web], "-recent", "0", rings=1)
    sessions = 6000

    def some(count: int) -> None:
        for _ in range(count):
            session(address)

    threads = [threading.Thread(target=some, args=(sessions // 5,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: shuttled.admin.service("web")["active"] == 0, "every session has ended")
    assert shuttled.admin.service("web")["connections"] == sessions
    # Once it is read, what was not lost comes out.
    text = bytearray()

    def counts() -> tuple[int, float, float]:
        try:
            while piece := os.read(reader, 65_536):
                text.extend(piece)
        except BlockingIOError:
            pass
        lost = metric(shuttled, 'shuttle_access_log_lines_total{outcome="overrun"}')
        return text.count(b"\n"), metric(shuttled, 'shuttle_access_log_lines_total{outcome="written"}'), lost

    def is_complete() -> bool:
        lines, written, lost = counts()
        return lines == written and written + lost == sessions

    eventually(is_complete, lambda: f"{sessions} sessions, but lines, written and lost are {counts()}")
    lines, _, lost = counts()
    assert lost > 0 and lines > 0
    for line in text.decode().splitlines():
        json.loads(line)
    assert "lines of the access log are lost" in shuttled.log_path.read_text()
    os.close(reader)


def test_a_stuck_place_does_not_keep_it_from_stopping(stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    pipe = stage.directory / "access.log"
    os.mkfifo(pipe)
    full = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        while os.write(full, bytes(4096)):
            pass
    except BlockingIOError:
        pass
    shuttled, _ = logged(stage, [service("web", address, [backend("one", echo.address)], access_log={})])
    session(address)
    eventually(lambda: shuttled.admin.service("web")["active"] == 0, "the session has ended")
    shuttled.stop()
    os.close(full)


def test_what_cannot_be_opened_is_told_and_tried_again(stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    folder = stage.directory / "missing"
    web = service("web", address, [backend("one", echo.address)], access_log={})
    shuttled = stage.shuttled([web], arguments=["-access-log", str(folder / "access.log")])
    session(address)
    eventually(lambda: "No such file or directory" in shuttled.log_path.read_text(), shuttled.log_tail)
    failed = 'shuttle_access_log_lines_total{outcome="failed"}'
    eventually(lambda: metric(shuttled, failed) == 1, "its line is lost, and counted")
    folder.mkdir()
    client = session(address)
    eventually(lambda: [line["client"] for line in lines_of(folder / "access.log")] == [client], "it is written")
    # And when it goes again, it is let go of.
    folder.rename(stage.directory / "moved")
    shuttled.signal(signal.SIGUSR1)
    told = "the access log cannot be opened"
    eventually(lambda: shuttled.log_path.read_text().count(told) == 2, shuttled.log_tail)


@pytest.mark.parametrize("arguments", [["-access-log", "access.log"], ["-access-log-format", "xml"]])
def test_what_is_no_place_and_no_format_is_refused(arguments: list[str]) -> None:
    done = subprocess.run([binary(), *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == 64, done
    assert arguments[1] in done.stderr and ("stdout" in done.stderr or "json" in done.stderr), done.stderr
