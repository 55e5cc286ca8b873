"""What the service manager is told, by sd_notify(3): readiness, status, reloads, the end, and signs of life."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from harness.manager import Manager
from harness.peers import Blackhole, Echo
from harness.ports import free_address
from harness.ptrace import stopped_thread
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import connect, echoes
from harness.wait import eventually

WATCHDOG_SECONDS = 2.0


def watched(manager: Manager, seconds: float = WATCHDOG_SECONDS) -> dict[str, str]:
    return {**manager.environment, "WATCHDOG_USEC": str(int(seconds * 1e6))}


@pytest.fixture
def manager(stage: Stage, tmp_path: Path) -> Manager:
    return stage.add(Manager(str(tmp_path / "notify")))


def ring_thread(shuttled: Shuttled, ring: int) -> int:
    assert shuttled.process
    for task in Path(f"/proc/{shuttled.process.pid}/task").iterdir():
        if (task / "comm").read_text().strip() == f"ring-{ring}":
            return int(task.name)
    raise AssertionError(f"there is no ring {ring}")


def test_ready_is_told_when_it_serves(stage: Stage, manager: Manager) -> None:
    echo, address = stage.add(Echo()), free_address()
    shuttled = stage.prepared([service("web", address, [backend("b", echo.address)])], env=manager.environment)
    shuttled.launch()
    message = manager.until("READY")
    # Nothing is waited for: what is told is so.
    shuttled.admin.get("/readyz").expect(200)
    with connect(address) as client:
        assert echoes(client)
    assert message == {"READY": "1", "STATUS": "serving 1 service, 0 sessions"}
    assert [told for told in manager.told if "READY" in told] == [message]
    shuttled.wait_ready()


def test_ready_waits_for_every_ring(stage: Stage, manager: Manager) -> None:
    """A listening address that is taken keeps the first configuration from being taken up for two seconds."""
    address = free_address()
    blackhole = stage.add(Blackhole())
    shuttled = stage.prepared([service("web", blackhole.address)], env=manager.environment)
    code, _ = shuttled.run()
    assert code == 71
    assert not [told for told in manager.told if "READY" in told]
    message = manager.until("STATUS")
    assert message["STATUS"].startswith("cannot start: ") and blackhole.address in message["STATUS"], message
    assert address not in message["STATUS"]


def test_a_name_of_the_abstract_namespace(stage: Stage) -> None:
    manager = stage.add(Manager(f"@shuttle-test-{os.getpid()}-{time.monotonic_ns()}"))
    stage.shuttled([], env=manager.environment)
    assert manager.until("READY")["STATUS"] == "serving 0 services, 0 sessions"


@pytest.mark.parametrize("place", ["relative", "@", "/" + "x" * 200, "vsock:2:1"])
def test_a_socket_that_cannot_be_used_is_warned_of(stage: Stage, place: str) -> None:
    """And nothing more: clients are worth more than the manager."""
    shuttled = stage.shuttled([], env={"NOTIFY_SOCKET": place})
    assert "the service manager cannot be told how it goes" in shuttled.log_text()
    assert "NOTIFY_SOCKET is" in shuttled.log_text()


def test_a_manager_that_is_gone_is_warned_of_once(stage: Stage, tmp_path: Path) -> None:
    shuttled = stage.shuttled([], env={"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "40000"})
    eventually(lambda: "the service manager cannot be told" in shuttled.log_text(), "it is said")
    before = shuttled.view.rings()
    eventually(lambda: shuttled.admin.get("/v1/rings").json[0]["turns"] > 10, "it goes on looking at its rings")
    assert before and shuttled.log_text().count("the service manager cannot be told") == 1


def test_status_follows_the_sessions(stage: Stage, manager: Manager) -> None:
    front = stage.front(stage.add(Echo()).address, env=watched(manager, 1.0))
    manager.until("READY")
    with connect(front.address) as client:
        assert echoes(client)
        manager.until("STATUS", "serving 1 service, 1 session")
    manager.until("STATUS", "serving 1 service, 0 sessions")


@pytest.mark.parametrize("works", [True, False])
def test_a_reload_begins_and_ends(stage: Stage, manager: Manager, works: bool) -> None:
    shuttled = stage.shuttled([service("web", free_address())], env=manager.environment)
    manager.until("READY")
    if works:
        shuttled.write_config([service("web", free_address()), service("more", free_address())])
    else:
        shuttled.config_path.write_text("{")
    before = time.monotonic_ns() // 1000
    shuttled.signal(signal.SIGHUP)
    message = manager.next()
    assert message["RELOADING"] == "1" and message["STATUS"] == "reading the configuration again", message
    assert before <= int(message["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
    message = manager.next()
    assert message == {"READY": "1", "STATUS": f"serving {'2 services' if works else '1 service'}, 0 sessions"}


def test_the_end_asks_for_the_time_that_it_takes(stage: Stage, manager: Manager) -> None:
    front = stage.front(stage.add(Echo()).address, env=watched(manager), drain_timeout=60_000)
    manager.until("READY")
    client = stage.connect(front.address)
    assert echoes(client)
    assert front.shuttled.process
    front.shuttled.signal(signal.SIGTERM)
    message = manager.until("STOPPING", "1")
    assert int(message["EXTEND_TIMEOUT_USEC"]) == 70_000_000
    assert message["STATUS"] == "draining, 1 session left"
    manager.until("WATCHDOG", "1")
    client.close()
    assert front.shuttled.exit_code() == 0


def test_signs_of_life_come_in_time(stage: Stage, manager: Manager) -> None:
    """Also while nothing happens: rings that have nothing to do are woken."""
    stage.shuttled([], env=watched(manager))
    manager.until("READY")
    last = time.monotonic()
    for _ in range(4):
        manager.until("WATCHDOG", "1", WATCHDOG_SECONDS)
        now = time.monotonic()
        assert now - last < WATCHDOG_SECONDS
        last = now


def test_a_stuck_ring_is_noticed(stage: Stage, manager: Manager) -> None:
    """No sign of life, readiness lost, and words that name the ring; all is well again when it goes on."""
    shuttled = stage.shuttled([], env=watched(manager))
    manager.until("WATCHDOG", "1")
    with stopped_thread(ring_thread(shuttled, 1)):
        eventually(lambda: "a ring is stuck" in shuttled.log_text(), "the log says it")
        assert "ring=1" in shuttled.log_text()
        manager.take_in()
        manager.hears_nothing_of("WATCHDOG", WATCHDOG_SECONDS)
        response = shuttled.admin.get("/readyz?verbose")
        assert response.status == 503 and b"stuck: ring 1" in response.body, response
        assert any("stuck: ring 1" in told.get("STATUS", "") for told in manager.told), manager.told
        assert b'shuttle_ring_stalled{ring="1"} 1' in shuttled.admin.get("/metrics").expect(200).body
        assert b'shuttle_ring_stalled{ring="0"} 0' in shuttled.admin.get("/metrics").expect(200).body
    manager.until("WATCHDOG", "1")
    eventually(lambda: shuttled.admin.get("/readyz").status == 200, "it is ready again")
    assert "a ring goes on that was stuck" in shuttled.log_text()
    assert b'shuttle_ring_stalled{ring="1"} 0' in shuttled.admin.get("/metrics").expect(200).body


def test_a_watchdog_of_another_process_is_not_fed(stage: Stage, manager: Manager) -> None:
    stage.shuttled([], env={**watched(manager, 0.2), "WATCHDOG_PID": "1"})
    manager.until("READY")
    manager.hears_nothing_of("WATCHDOG", 1.0)


@pytest.mark.parametrize("value", ["0", "-1", "soon", "99999999999999999999999"])
def test_a_watchdog_that_is_no_number_is_refused(stage: Stage, value: str) -> None:
    code, said = stage.prepared([], env={"WATCHDOG_USEC": value}).run()
    assert code == 64 and "WATCHDOG_USEC" in said and f'"{value}"' in said, (code, said)
