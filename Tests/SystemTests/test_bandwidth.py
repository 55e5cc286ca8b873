"""Limits of bandwidth with real sockets. The machine is noisy: what may not be faster is bounded strictly, what may not be
slower generously."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

from harness.peers import Scripted
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import End, background, finish, random_bytes, read_to_end, reset
from harness.wait import Stopwatch, eventually

#: Received ahead of the rate at most: two steps of 20 ms, a buffer, and what was let through while connecting.
AHEAD_SECONDS = 0.04
AHEAD_BYTES = 16 << 10
SLACK = 3.0


class Paced:
    """A service with limits in front of a backend that reads to the end, then answers and ends."""

    def __init__(self, stage: Stage, rings: int = 2, reply: bytes = b"done", **fields: Any) -> None:
        self.stage = stage
        self.address = free_address()
        self.reply = reply
        self.received: list[bytes] = []
        self.noting = threading.Lock()
        self.peer = stage.add(Scripted(self.serve))
        self.shuttled: Shuttled = stage.shuttled([self.configuration(**fields)], rings=rings)

    def configuration(self, **fields: Any) -> dict[str, Any]:
        return service("web", self.address, [backend("one", self.peer.address)], **fields)

    def change(self, **fields: Any) -> None:
        self.shuttled.admin.change("/web", self.configuration(**fields))

    def serve(self, connection: socket.socket) -> None:
        pieces = []
        while data := connection.recv(65_536):
            pieces.append(data)
        with self.noting:
            self.received.append(b"".join(pieces))
        connection.sendall(self.reply)

    def exchange(self, data: bytes) -> float:
        """Sends all and reads all; the seconds that it took."""
        client = self.stage.connect(self.address, timeout=60)
        watch = Stopwatch()
        with background(lambda: (client.sendall(data), finish(client))):
            read_to_end(client).is_all_of(self.reply)
        return watch.seconds

    def statistic(self, name: str) -> int:
        return int(self.shuttled.admin.service("web")[name])


def seconds(count: int, rate: int) -> tuple[float, float]:
    """The shortest and the longest time that so many bytes may take."""
    return (count - AHEAD_BYTES) / rate - AHEAD_SECONDS, count / rate * SLACK + 3


def test_a_session_goes_at_its_rate(stage: Stage) -> None:
    up, down = random_bytes("up", 600_000), random_bytes("down", 900_000)
    web = Paced(stage, reply=down, bandwidth_limit={"upload": 600_000, "download": 900_000})
    least, most = [sum(pair) for pair in zip(seconds(len(up), 600_000), seconds(len(down), 900_000), strict=True)]
    took = web.exchange(up)
    assert least <= took <= most, f"{took} s"
    assert web.received == [up]
    assert web.statistic("bandwidth_holds") > 10
    web.shuttled.wait_idle()


def test_half_close_works_while_held_back(stage: Stage) -> None:
    """The client's end comes long before its bytes are through, and travels behind them."""
    up = random_bytes("half", 300_000)
    web = Paced(stage, bandwidth_limit={"upload": 200_000, "download": 0})
    least, most = seconds(len(up), 200_000)
    assert least <= web.exchange(up) <= most
    assert web.received == [up]


def test_a_reset_travels_behind_what_is_held_back(stage: Stage) -> None:
    web = Paced(stage, bandwidth_limit={"upload": 50_000, "download": 0})
    client = stage.connect(web.address)
    client.sendall(bytes(60_000))
    reset(client)
    eventually(lambda: web.statistic("active") == 0, "the session ends")
    web.shuttled.wait_idle()


def test_sessions_share_the_services_rate(stage: Stage) -> None:
    """Six sessions on four rings: together as fast as the service may be, and none much sooner than the others."""
    rate, count = 900_000, 300_000
    web = Paced(stage, rings=4, service_bandwidth_limit={"upload": rate, "download": 0})
    data = random_bytes("share", count)
    times: list[float] = []
    lock = threading.Lock()

    def run() -> None:
        took = web.exchange(data)
        with lock:
            times.append(took)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each may have brought a turn's worth, and what was let through while connecting, before the others had to wait.
    least = (6 * count - AHEAD_BYTES - (64 << 10)) / rate - AHEAD_SECONDS
    assert len(times) == 6 and web.received == [data] * 6
    assert least <= max(times) <= 6 * count / rate * SLACK + 3, f"{sorted(times)}"
    assert min(times) >= max(times) * 0.4, f"one had more than its share: {sorted(times)}"


def test_a_session_that_is_held_back_is_not_idle(stage: Stage) -> None:
    """Turns come every few seconds, timeouts are shorter; and what is silent by itself is ended as ever."""
    web = Paced(
        stage,
        service_bandwidth_limit={"upload": 20_000, "download": 0},
        client_timeout=700,
        server_timeout=700,
    )
    data = random_bytes("idle", 40_000)
    with background(lambda: web.exchange(data)), background(lambda: web.exchange(data)):
        web.exchange(data)
    assert web.received == [data] * 3
    silent = stage.connect(web.address)
    silent.sendall(b"x")
    assert read_to_end(silent).end in (End.FINISHED, End.RESET)
    assert web.shuttled.admin.service("web")["ended"]["idle"] == 1


def test_a_change_is_for_sessions_that_are_there(stage: Stage) -> None:
    web = Paced(stage, bandwidth_limit={"upload": 10_000, "download": 0})
    data = random_bytes("change", 3_000_000)
    watch = Stopwatch()
    with background(lambda: web.exchange(data)):
        eventually(lambda: web.statistic("bandwidth_holds") > 2, "it is held back")
        web.change()
    assert watch.seconds < 60, "it would have taken five minutes"
    # And the other way round: one that is spliced by then is held back from the answer on.
    client = stage.connect(web.address, timeout=60)
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                client.sendall(bytes(65_536))
            except OSError:
                return

    with background(send):
        eventually(lambda: web.statistic("sent") > 50_000_000, "bulk is on its way")
        holds = web.statistic("bandwidth_holds")
        web.change(bandwidth_limit={"upload": 100_000, "download": 0})
        # What was received before is still sent on; then it is held back again and again.
        eventually(lambda: web.statistic("bandwidth_holds") > holds + 5, "it is held back")
        before, started = web.statistic("sent"), time.monotonic()
        time.sleep(2)
        passed = web.statistic("sent") - before
        allowed = (time.monotonic() - started + 0.5) * 100_000 + AHEAD_BYTES
        stop.set()
        reset(client)
    assert 0 < passed <= allowed, f"{passed} bytes"
    # What the kernel has of it goes before the reset, however long that takes; now it need not.
    web.change()
    web.shuttled.wait_idle()


def test_bad_limits_are_pointed_to_and_good_ones_printed(stage: Stage) -> None:
    web = Paced(stage, bandwidth_limit={"upload": 5000}, service_bandwidth_limit={"download": 70_000})
    (printed,) = web.shuttled.admin.config()
    assert printed["bandwidth_limit"] == {"upload": 5000, "download": 0}
    assert printed["service_bandwidth_limit"] == {"upload": 0, "download": 70_000}
    for field in ("bandwidth_limit", "service_bandwidth_limit"):
        for value, pointer, words in [
            ({"upload": 100}, f"/{field}/upload", ["1024 (bytes a second) at least", "0 for no limit"]),
            ({"download": -1}, f"/{field}/download", ["from 0 to 100000000000"]),
            ({"up": 5000}, f"/{field}/up", ["is not a field of a bandwidth limit object"]),
            (5000, f"/{field}", ["an object with the fields upload and download"]),
        ]:
            change = web.configuration(**{field: value})
            web.shuttled.admin.put("/web", change).problem(400).points_to(pointer).says(*words)
