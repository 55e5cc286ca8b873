"""How fast clients may come in: `rate_limit`, with real sockets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from harness.peers import Echo
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import echoes, reset
from harness.wait import Stopwatch, eventually

RINGS = 8


class Rated:
    """A service with a rate limit in front of an echo server."""

    def __init__(self, stage: Stage, rings: int = 4, **limit: Any) -> None:
        self.stage = stage
        self.address = free_address()
        self.echo = stage.add(Echo())
        self.shuttled: Shuttled = stage.shuttled([self.configuration(**limit)], rings=rings)

    def configuration(self, **limit: Any) -> dict[str, Any]:
        fields = {"rate_limit": limit} if limit else {}
        return service("web", self.address, [backend("one", self.echo.address)], **fields)

    def change(self, **limit: Any) -> None:
        self.shuttled.admin.change("/web", self.configuration(**limit))

    def come(self, source: str = "127.0.0.1") -> socket.socket:
        return self.stage.connect(self.address, source=(source, 0))

    def is_let_in(self, source: str = "127.0.0.1") -> bool:
        """Whether a client that speaks at once is served."""
        client = self.come(source)
        try:
            client.sendall(b"?")
            return client.recv(1) == b"?"
        except ConnectionError:
            # What it had said was unread when it was closed.
            return False

    def lets_in(self, count: int, source: str = "127.0.0.1") -> int:
        return sum(self.is_silently_let_in(source) for _ in range(count))

    def is_silently_let_in(self, source: str) -> bool:
        """As `is_let_in`, of one that says nothing at first: the end that it sees must be a clean one."""
        client = self.come(source)
        client.settimeout(0.2)
        try:
            assert client.recv(1) == b""
            return False
        except TimeoutError:
            client.settimeout(10)
            return echoes(client)

    def statistic(self, name: str) -> int:
        return int(self.shuttled.admin.service("web")[name])


def at_once(count: int, body: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=body, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_rate_is_one_for_all_rings_and_exact(stage: Stage) -> None:
    """Sixty clients at once, eight rings: the burst comes in and nobody else, who are closed cleanly and counted."""
    web = Rated(stage, rings=RINGS, per_second=1, burst=10)
    started = time.monotonic()
    clients: list[socket.socket] = []
    lock = threading.Lock()

    def come(_: int) -> None:
        client = web.come()
        with lock:
            clients.append(client)

    at_once(60, come)
    eventually(lambda: web.statistic("connections") == 60, "all were accepted")
    most = 10 + int(time.monotonic() - started) + 1
    refused = web.statistic("refused_by_rate")
    assert 60 - most <= refused <= 50
    assert web.shuttled.admin.backend("web", "one")["connections"] <= 60 - refused
    ended = 0
    for client in clients:
        client.settimeout(0.2)
        try:
            assert client.recv(1) == b"", "a clean end"
            ended += 1
        except TimeoutError:
            client.settimeout(10)
            assert echoes(client)
    assert ended == refused and web.statistic("errors") == 0


def test_tokens_come_back_at_the_rate(stage: Stage) -> None:
    web = Rated(stage, per_second=20, burst=2)
    watch = Stopwatch()
    let_in = 0
    while let_in < 22:
        let_in += web.is_let_in()
    # Twenty beyond the burst take a second; a client that is refused tries again at once.
    assert 0.95 < watch.seconds < 10


def test_who_comes_too_early_waits(stage: Stage) -> None:
    web = Rated(stage, per_second=20, burst=1, action="delay")
    watch = Stopwatch()
    at_once(21, lambda _: echoes(web.come()) and None)
    assert 0.95 < watch.seconds < 10
    assert web.statistic("delays") == 20 and web.statistic("delayed") == 0
    assert web.statistic("refused_by_rate") == 0


def test_nobody_waits_longer_than_ten_seconds(stage: Stage) -> None:
    web = Rated(stage, per_second=1, burst=1, action="delay")
    clients = [web.come() for _ in range(15)]
    eventually(lambda: web.statistic("connections") == 15, "all were accepted")
    assert 3 <= web.statistic("refused_by_rate") <= 4
    assert 9 <= web.statistic("delayed") <= 11
    # What those who wait have to say is kept for them, and a limit that is taken away lets them go at once.
    clients[1].sendall(b"early")
    watch = Stopwatch()
    web.change()
    assert clients[1].recv(5) == b"early"
    eventually(lambda: web.statistic("delayed") == 0, "nobody waits any more")
    assert watch.seconds < 5


@pytest.mark.parametrize("leave", [reset, socket.socket.close], ids=["reset", "close"])
def test_who_leaves_while_waiting_leaves_nothing_behind(stage: Stage, leave: Callable[[socket.socket], None]) -> None:
    web = Rated(stage, per_second=1, burst=1, action="delay")
    clients = [web.come() for _ in range(8)]
    eventually(lambda: web.statistic("delayed") >= 6, "they wait")
    for client in clients:
        leave(client)
    watch = Stopwatch()
    eventually(lambda: web.statistic("delayed") == 0, "nobody waits any more")
    assert watch.seconds < 3, "their tokens would have come later"
    web.shuttled.wait_idle()


def test_each_client_has_a_rate_of_its_own(stage: Stage) -> None:
    web = Rated(stage, per_second=1, burst=3, per="client")
    for number in range(1, 4):
        watch = Stopwatch()
        let_in = web.lets_in(6, f"127.0.1.{number}")
        assert 3 <= let_in <= 3 + int(watch.seconds) + 1
    assert web.is_let_in("127.0.1.9")


def test_a_change_is_in_effect_when_it_is_answered(stage: Stage) -> None:
    web = Rated(stage, per_second=1, burst=1)
    assert web.is_let_in()
    assert not web.is_silently_let_in("127.0.0.1")
    web.change(per_second=1, burst=5)
    assert 4 <= web.lets_in(5) <= 5, "a new limit begins with a full bucket"
    web.change()
    assert web.lets_in(20) == 20
    assert "rate_limit" not in web.shuttled.admin.config()[0]


def test_the_limit_is_printed_whole_and_bad_ones_are_pointed_to(stage: Stage) -> None:
    web = Rated(stage, per_second=50, burst=10)
    (printed,) = web.shuttled.admin.config()
    assert printed["rate_limit"] == {"per_second": 50, "burst": 10, "per": "service", "action": "refuse"}
    for limit, pointer, words in [
        ({"per_second": 0, "burst": 1}, "/rate_limit/per_second", ["an integer from 1 to 1000000"]),
        ({"per_second": 1, "burst": 0}, "/rate_limit/burst", ["an integer from 1 to 1000000"]),
        ({"per_second": 1}, "/rate_limit/burst", ["burst"]),
        ({"per_second": 1, "burst": 1, "per": "ring"}, "/rate_limit/per", ['"service" or "client"']),
        ({"per_second": 1, "burst": 1, "action": "queue"}, "/rate_limit/action", ['"refuse" or "delay"']),
        ({"per_second": 1, "burst": 1, "rate": 1}, "/rate_limit/rate", ["is not a field of a rate_limit object"]),
    ]:
        web.shuttled.admin.put("/web", web.configuration(**limit)).problem(400).points_to(pointer).says(*words)
