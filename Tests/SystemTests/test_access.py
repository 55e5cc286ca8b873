"""Who may come in: `allow` and `deny`, with real sockets from several addresses of both families."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from harness.peers import Echo
from harness.ports import free_port
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import echoes
from harness.wait import eventually


class Guarded:
    """A service on all addresses of the machine, with lists."""

    def __init__(self, stage: Stage, rings: int = 2, **fields: Any) -> None:
        self.stage = stage
        self.port = free_port()
        self.echo = stage.add(Echo())
        self.shuttled: Shuttled = stage.shuttled([self.configuration(**fields)], rings=rings)

    def configuration(self, **fields: Any) -> dict[str, Any]:
        return service("web", f":{self.port}", [backend("one", self.echo.address)], **fields)

    def change(self, **fields: Any) -> None:
        self.shuttled.admin.change("/web", self.configuration(**fields))

    def come(self, source: str) -> socket.socket:
        if ":" in source:
            return self.stage.connect(f"[::1]:{self.port}", source=(source, 0))
        return self.stage.connect(f"127.0.0.1:{self.port}", source=(source, 0))

    def lets_in(self, source: str) -> bool:
        """Whether a client from there is served; else its connection is reset, maybe before it knows that it stands."""
        try:
            return echoes(self.come(source))
        except ConnectionError:
            return False

    def statistic(self, name: str) -> int:
        return int(self.shuttled.admin.service("web")[name])


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_only_what_is_allowed_comes_in_and_what_is_denied_stays_out(stage: Stage) -> None:
    web = Guarded(stage, allow=["127.0.0.0/30", "127.7.0.0/16"], deny=["127.0.0.2", "127.7.1.0/24"])
    comes_in = {
        source: web.lets_in(source)
        for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.7.0.1", "127.7.1.1", "127.7.2.1")
    }
    assert comes_in == {
        "127.0.0.1": True,
        "127.0.0.2": False,
        "127.0.0.3": True,
        "127.0.0.4": False,
        "127.7.0.1": True,
        "127.7.1.1": False,
        "127.7.2.1": True,
    }
    eventually(lambda: web.statistic("denied") == 3, "those who were turned away are counted")
    assert web.statistic("connections") == 7 and web.statistic("errors") == 0
    assert web.shuttled.admin.backend("web", "one")["connections"] == 4, "no backend was connected for the others"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
def test_the_families_are_apart_on_one_listener(stage: Stage) -> None:
    """The listener is IPv6 and takes both: an IPv4 client is one all the same."""
    web = Guarded(stage, allow=["::1"])
    assert web.lets_in("::1") and not web.lets_in("127.0.0.1")
    web.change(allow=["127.0.0.0/8"])
    assert not web.lets_in("::1") and web.lets_in("127.0.0.1")
    web.change(deny=["::ffff:127.0.0.0/104"])
    assert web.lets_in("::1") and not web.lets_in("127.0.0.1")
    web.change(deny=["::/0"])
    assert not web.lets_in("::1") and web.lets_in("127.0.0.1")


def test_a_change_is_for_the_next_connection_and_sessions_run_on(stage: Stage) -> None:
    web = Guarded(stage, rings=4)
    client = web.come("127.0.0.2")
    assert echoes(client)
    for _ in range(20):
        web.change(deny=["127.0.0.2"])
        assert not web.lets_in("127.0.0.2"), "the change was answered"
        assert echoes(client), "the session was there before"
        web.change()
        assert web.lets_in("127.0.0.2")
    assert web.statistic("denied") == 20


def test_lists_are_printed_as_they_were_written_and_survive(stage: Stage) -> None:
    web = Guarded(stage, allow=["127.0.0.0/8", "2001:DB8::/32"], deny=["::ffff:127.0.0.9"])
    (printed,) = web.shuttled.admin.config()
    assert printed["allow"] == ["127.0.0.0/8", "2001:DB8::/32"] and printed["deny"] == ["::ffff:127.0.0.9"]
    web.shuttled.admin.put("/config", [printed]).expect(200)
    assert not web.lets_in("127.0.0.9") and web.lets_in("127.0.0.8")
    web.change()
    assert "allow" not in web.shuttled.admin.config()[0], "an empty list is none"


def test_ten_thousand_entries(stage: Stage) -> None:
    """As many as a list may have are taken live, and each of them counts."""
    web = Guarded(stage)
    entries = [f"127.{100 + number // 10_000}.{number // 100 % 100}.{number % 100}" for number in range(10_000)]
    web.change(deny=entries)
    assert web.shuttled.admin.config()[0]["deny"] == entries
    for source in (entries[0], entries[5000], entries[-1]):
        assert not web.lets_in(source)
    for source in ("127.100.0.100", "127.0.0.1", "127.101.0.0"):
        assert web.lets_in(source)
    problem = web.shuttled.admin.put("/web", web.configuration(deny=[*entries, "10.0.0.1"])).problem(400)
    problem.points_to("/deny").says("10001 entries", "at most 10000")


@pytest.mark.parametrize(
    ("entries", "pointer", "words"),
    [
        (["127.0.0.1", "127.0.0.300"], "/deny/1", ["127.0.0.300", "a network such as"]),
        (["office.example"], "/deny/0", ["office.example", "or an address"]),
        (["127.0.0.1/8"], "/deny/0", ["bits beyond the prefix", "127.0.0.0/8", "127.0.0.1"]),
        (["127.0.0.0/33"], "/deny/0", ["a number from 0 to 32"]),
        (["127.0.0.0/8", "127.0.0.0/8"], "/deny/1", ["the same as", "/deny/0", "leave one of them out"]),
        (["127.1.0.0/16", "127.0.0.0/8"], "/deny/0", ["lies within", "/deny/1", "leave one of them out"]),
    ],
)
def test_what_is_no_network_is_pointed_to(stage: Stage, entries: list[str], pointer: str, words: list[str]) -> None:
    web = Guarded(stage)
    web.shuttled.admin.put("/web", web.configuration(deny=entries)).problem(400).points_to(pointer).says(*words)
    assert web.lets_in("127.0.0.1"), "nothing has changed"
