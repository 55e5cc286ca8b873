"""The signs that docs/troubleshooting.md names are those that the failures show. io_uring that is refused has its own file,
test_unusable_machine.py."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path
from typing import Any

from harness.peers import Blackhole, Echo, Named, Refusing, Scripted
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import connect, echoes, read_to_end
from harness.wait import eventually

DOCUMENT = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
TEXT = DOCUMENT.read_text()


def said(*words: str) -> None:
    """The page names them."""
    for word in words:
        assert f"`{word}`" in TEXT, f"{word} is not in {DOCUMENT.name}"


def metrics(shuttled: Shuttled) -> dict[str, float]:
    text = shuttled.admin.get("/metrics").expect(200).body.decode()
    return {name: float(value) for name, value in re.findall(r"^([^#\s]+) (\S+)$", text, re.M)}


def recent(shuttled: Shuttled, query: str) -> list[dict[str, Any]]:
    return shuttled.admin.get(f"/v1/recent?{query}").expect(200).json["sessions"]


def served(address: str) -> None:
    with connect(address) as client:
        assert echoes(client)


def turned_away(address: str) -> None:
    """Closed or reset, however early."""
    try:
        with connect(address) as client:
            assert read_to_end(client).data == b""
    except ConnectionError:
        pass


def test_every_metric_of_the_page_exists(stage: Stage) -> None:
    echo = stage.add(Echo())
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", echo.address)])])
    served(address)

    def missing() -> list[str]:
        found = metrics(shuttled)
        named = set(re.findall(r"`((?:shuttle|process)_\w+)`", TEXT))
        return sorted(name for name in named if not any(entry.startswith(name) for entry in found))

    # Some come with the first session that has ended.
    eventually(lambda: not missing(), lambda: f"there is no {missing()}")


def test_a_backend_refuses(stage: Stage) -> None:
    echo, dead = stage.add(Echo()), stage.add(Refusing())
    address, alone = free_address(), free_address()
    checked = backend("dead", dead.address, check_address=dead.address)
    shuttled = stage.shuttled(
        [service("web", address, [backend("good", echo.address), checked], check_interval=60_000),
         service("alone", alone, [backend("dead", dead.address)])]
    )  # fmt: skip
    # Its first check alone does not take it out.
    for _ in range(4):
        served(address)
    shuttled.admin.change("/web", {"check_interval": 50}, "PATCH")
    entry = eventually(lambda: (e := shuttled.admin.service("web"))["backends"][1]["up"] is False and e, "it is down")
    good, bad = entry["backends"]
    said("retried", "errors", "last_failure", "connection refused", "check_status", "check_reason", "up", "fail")
    assert entry["retried"] >= 1 and good["errors"] == 0
    assert bad["errors"] >= 1 and bad["last_failure"] == "connection refused"
    assert (bad["check_status"], bad["check_reason"]) == ("fail", "connection refused")
    said("backend is down", "backend-down")
    assert "backend is down" in shuttled.log_path.read_text()
    text = shuttled.admin.get("/v1/events?last_event_id=0&follow=0").expect(200).body.decode()
    assert "event: backend-down\n" in text, text
    assert metrics(shuttled)['shuttle_backend_up{service="web",backend="dead"}'] == 0
    # Alone, and without checks.
    for _ in range(6):
        turned_away(alone)
    eventually(lambda: recent(shuttled, "service=alone&reason=connect_refused"), "they are remembered")
    failed = eventually(
        lambda: (b := shuttled.admin.backend("alone", "dead"))["errors"] >= 5 and b, "its failures are counted"
    )
    assert failed["last_failure"] == "connection refused"


def test_a_backend_is_slow(stage: Stage) -> None:
    def slow(connection: socket.socket) -> None:
        connection.recv(100)
        released.wait(20)
        connection.sendall(b"answer")

    released = threading.Event()
    hole, late = stage.add(Blackhole()), stage.add(Scripted(slow))
    unreachable, address = free_address(), free_address()
    shuttled = stage.shuttled(
        [service("far", unreachable, [backend("b", hole.address)], connect_timeout=200, retries=0),
         service("web", address, [backend("b", late.address)], max_connections=1, queue_limit=1, queue_timeout=20_000)]
    )  # fmt: skip
    turned_away(unreachable)
    said("connect_timeout", "connect_microseconds", "first_byte_microseconds", "queued", "wait_microseconds")
    eventually(lambda: recent(shuttled, "service=far&reason=connect_timeout"), "it is remembered")
    first = stage.connect(address)
    first.sendall(b"question")
    eventually(lambda: shuttled.admin.service("web")["active"] == 1, "the first has the place")
    second = stage.connect(address)
    second.sendall(b"question")
    eventually(lambda: shuttled.admin.service("web")["queued"] == 1, "the second waits for it")
    path = "/v1/connections?service=web&min_idle=50ms"
    eventually(lambda: len(shuttled.admin.get(path).expect(200).json["connections"]) == 2, "both are seen to wait")
    released.set()
    for client in (first, second):
        assert read_to_end(client).data == b"answer"
        client.close()
    told = eventually(lambda: len(r := recent(shuttled, "service=web")) == 2 and r, "both are remembered")
    for entry in told:
        # At least one look of 50 ms lies between the question and the answer of the first.
        assert entry["connect_microseconds"] < entry["duration_microseconds"]
    assert max(entry["first_byte_microseconds"] for entry in told) > 50_000
    assert max(entry["wait_microseconds"] for entry in told) > 50_000


def test_the_descriptors_run_out(stage: Stage) -> None:
    named = stage.add(Named("served"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", named.address)])], limits={"nofile": 256})
    clients = [stage.connect(address) for _ in range(200)]
    said("accept_pauses", "shuttle_ring_accept_pauses_total", "active")

    def pauses() -> int:
        return sum(ring["accept_pauses"] for ring in shuttled.admin.get("/v1/rings").expect(200).json)

    eventually(lambda: pauses() > 0, "accepting pauses")
    assert sum(v for n, v in metrics(shuttled).items() if n.startswith("shuttle_ring_accept_pauses_total")) > 0
    capacity = int(re.search(r"sessions_max=(\d+)", shuttled.log_path.read_text())[1])  # type: ignore[index]
    assert shuttled.admin.service("web")["active"] <= capacity < 200
    for client in clients:
        assert read_line(client) == "served"
        client.close()


def test_clients_are_turned_away_by_what_the_page_says(stage: Stage) -> None:
    echo = stage.add(Echo())
    backends = [backend("b", echo.address)]
    addresses = {name: free_address() for name in ("denied", "maintenance", "full", "client", "rate", "nobody")}
    shuttled = stage.shuttled(
        [service("denied", addresses["denied"], backends, deny=["127.0.0.0/8"]),
         service("maintenance", addresses["maintenance"], backends, maintenance=True),
         service("full", addresses["full"], backends, max_connections=1),
         service("client", addresses["client"], backends, max_connections_per_client=1),
         service("rate", addresses["rate"], backends, rate_limit={"per_second": 1, "burst": 1}),
         service("nobody", addresses["nobody"], [])]
    )  # fmt: skip
    for name in ("full", "client", "rate"):
        assert echoes(stage.connect(addresses[name]))
    for address in addresses.values():
        turned_away(address)
    for name, counter, outcome in (
        ("denied", "denied", "denied"), ("maintenance", "refused", "maintenance"), ("full", "refused", "full"),
        ("client", "refused_per_client", "client-limit"), ("rate", "refused_by_rate", None),
        ("nobody", "errors", "no-backend"),
    ):  # fmt: skip
        said(counter)
        eventually(lambda: shuttled.admin.service(name)[counter] == 1, f"{name} counts {counter}")
        if outcome:
            told = shuttled.admin.get(f"/v1/services/{name}/explain?client=127.0.0.1").expect(200).json
            assert told["outcome"] == outcome, told
