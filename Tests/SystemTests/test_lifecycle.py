"""How shuttled ends and reloads: cases 30 and 31 of the list in docs/tests.md, and what is served meanwhile."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from harness.peers import Echo, Named, Scripted, Sink
from harness.ports import free_address, port_of
from harness.process import STOP_SECONDS
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage, read_line
from harness.streams import background, connect, echoes, finish, random_bytes, read_to_end
from harness.wait import Stopwatch, eventually

MIB = 1024 * 1024
SIGNALS = [signal.SIGTERM, signal.SIGINT]


def is_draining(shuttled: Shuttled) -> bool:
    return shuttled.admin.get("/readyz").status == 503


# Draining


@pytest.mark.parametrize("number", SIGNALS)
def test_a_drain_refuses_new_connections_and_lets_sessions_finish(stage: Stage, number: signal.Signals) -> None:
    """Case 30: stops accepting, waits for the sessions, exits 0 as soon as the last has ended."""
    front = stage.front(stage.add(Echo()).address, drain_timeout=30_000)
    sessions = [front.connect() for _ in range(5)]
    assert all(echoes(session) for session in sessions)
    front.shuttled.signal(number)
    eventually(lambda: is_draining(front.shuttled), "it drains")
    with pytest.raises(ConnectionRefusedError):
        connect(front.address)
    for session in sessions:
        assert echoes(session), "sessions go on"
        finish(session)
        read_to_end(session).is_all_of(b"")
    watch = Stopwatch()
    assert front.shuttled.exit_code() == 0
    assert watch.seconds < 3, "it does not wait for the deadline when nobody is left"


def test_a_drain_ends_at_its_deadline(stage: Stage) -> None:
    """Case 30: sessions that do not end are cut when the time is over; that is a clean stop as well."""
    front = stage.front(stage.add(Echo()).address, drain_timeout=1500)
    session = front.connect()
    assert echoes(session)
    watch = Stopwatch()
    front.shuttled.signal(signal.SIGTERM)
    assert read_to_end(session).data == b""
    assert front.shuttled.exit_code() == 0
    assert 1.4 <= watch.seconds < 3


def test_without_sessions_a_drain_ends_at_once(stage: Stage) -> None:
    front = stage.front(stage.add(Echo()).address, drain_timeout=30_000)
    assert echoes(connection := front.connect())
    connection.close()
    front.shuttled.wait_idle()
    watch = Stopwatch()
    front.shuttled.stop()
    assert watch.seconds < 2


def test_clients_in_the_queue_at_a_signal_are_served(stage: Stage) -> None:
    """Whoever had connected before the signal is not turned away."""
    front = stage.front(stage.add(Named("one")).address, drain_timeout=20_000)
    front.shuttled.signal(signal.SIGSTOP)
    clients = [front.connect() for _ in range(100)]
    front.shuttled.signal(signal.SIGTERM)
    front.shuttled.signal(signal.SIGCONT)
    for client in clients:
        assert read_line(client) == "one"
        client.close()
    assert front.shuttled.exit_code() == 0


def test_while_it_drains_reads_are_served_and_changes_are_not(stage: Stage) -> None:
    front = stage.front(stage.add(Echo()).address, state=True, drain_timeout=30_000)
    shuttled, admin = front.shuttled, front.shuttled.admin
    admin.change("/web", admin.config()[0])
    state = shuttled.state_path.read_bytes()
    session = front.connect()
    assert echoes(session)
    config = admin.config_text()
    shuttled.signal(signal.SIGTERM)
    eventually(lambda: is_draining(shuttled), "it drains")

    assert admin.config_text() == config
    assert admin.service("web")["active"] == 1
    assert admin.get("/livez").status == 200, "it is alive, it only wants no more"
    for method, path, body in (
        ("PUT", "/web/b", {"address": "127.0.0.1:80"}),
        ("PUT", "/new", service("new", free_address())),
        ("POST", "/new", service("new", free_address())),
        ("DELETE", "/web/b", None),
        ("DELETE", "/web", None),
        ("PUT", "/config", []),
    ):
        admin.request(method, path, json=body).problem(503)
    assert admin.config_text() == config
    assert shuttled.state_path.read_bytes() == state
    assert echoes(session)
    session.close()
    assert shuttled.exit_code() == 0


@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_cuts(stage: Stage, second: signal.Signals) -> None:
    front = stage.front(stage.add(Echo()).address, drain_timeout=60_000)
    session = front.connect()
    assert echoes(session)
    front.shuttled.signal(signal.SIGTERM)
    eventually(lambda: is_draining(front.shuttled), "it drains")
    watch = Stopwatch()
    front.shuttled.signal(second)
    assert front.shuttled.exit_code() == 0
    assert watch.seconds < 2
    assert read_to_end(session).data == b""


def test_a_signal_in_the_middle_of_a_large_flush_loses_nothing(stage: Stage) -> None:
    """Case 31: 50 MiB are on their way to a reader that is held back; they all arrive, then it ends."""
    data = random_bytes("flush", 50 * MIB)

    def send_all(connection) -> None:  # type: ignore[no-untyped-def]
        connection.sendall(data)

    front = stage.front(stage.add(Scripted(send_all)).address, drain_timeout=30_000)
    client = front.connect(receive_buffer=65_536)
    received = lambda: front.shuttled.admin.service("web")["received"]  # noqa: E731
    eventually(lambda: received() > 0, "the flow begins")
    front.shuttled.signal(signal.SIGTERM)
    eventually(lambda: is_draining(front.shuttled), "it drains")
    read_to_end(client).is_all_of(data)
    client.close()
    assert front.shuttled.exit_code() == 0


def test_a_signal_in_the_middle_of_a_flush_that_goes_nowhere_ends_in_time(stage: Stage) -> None:
    """Case 31: neither side reads any more; at the deadline it ends all the same, without a crash."""
    sink = stage.add(Sink())
    front = stage.front(sink.address, drain_timeout=700)
    client = front.connect()
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        while True:
            client.send(b"x" * 65_536)
    watch = Stopwatch()
    front.shuttled.stop()
    assert 0.6 < watch.seconds < 3


def test_a_signal_during_traffic_and_changes_is_a_clean_stop(stage: Stage) -> None:
    """Whatever is under way at the signal; eight times at different moments."""
    peer = stage.add(Named("one"))
    for moment in range(8):
        address = free_address()
        web = service("web", address, [backend("b", peer.address)])
        shuttled = stage.shuttled([web], state=True, drain_timeout=2000)
        stop = threading.Event()

        def knock(address: str = address) -> None:
            while not stop.is_set():
                try:
                    with connect(address) as client:
                        client.recv(10)
                except OSError:
                    pass  # refused, once it drains

        def change(shuttled: Shuttled = shuttled, web: dict = web) -> None:
            try:
                while not stop.is_set():
                    shuttled.admin.put("/web", web).expect(200, 503)
            except OSError:
                pass  # the endpoint closes at the end

        with background(knock), background(change):
            time.sleep(0.012 * moment)
            shuttled.signal(signal.SIGTERM)
            code = shuttled.exit_code()
            stop.set()
        assert code == 0, shuttled.log_tail()


# Reloading


def test_a_hangup_reads_the_default_configuration_again(stage: Stage) -> None:
    """Where no state file is in use; it replaces what was changed by API, and leaves alone what is the same."""
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    kept, gone, new = free_address(), free_address(), free_address()
    shuttled = stage.shuttled(
        [service("kept", kept, [backend("b", one.address)]), service("gone", gone, [backend("b", one.address)])]
    )
    assert stage.name_at(kept) == "one"
    held = stage.connect(gone)
    assert read_line(held) == "one"
    shuttled.admin.change("/api", service("api", free_address()))
    listening = shuttled.view.listeners()[port_of(kept)]
    counted = shuttled.admin.service("kept")["connections"]

    shuttled.write_config(
        [service("kept", kept, [backend("b", one.address)]), service("new", new, [backend("b", two.address)])]
    )
    shuttled.signal(signal.SIGHUP)

    eventually(
        lambda: [entry["name"] for entry in shuttled.admin.config()] == ["kept", "new"], "the file is read again"
    )
    assert stage.name_at(new) == "two"
    with pytest.raises(ConnectionRefusedError):
        connect(gone)
    assert echoes(held), "sessions of the removed service go on"
    assert shuttled.view.listeners()[port_of(kept)] == listening, "the same socket"
    assert shuttled.admin.service("kept")["connections"] == counted, "the same counters"


@pytest.mark.parametrize("fault", ["syntax", "meaning", "taken", "missing"])
def test_a_hangup_with_a_bad_file_changes_nothing(stage: Stage, fault: str) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])])
    before = shuttled.admin.config_text()
    good = service("fine", free_address())
    if fault == "syntax":
        shuttled.write_config('[\n  {"name": "x",\n]')
        words = ["config.json:3:"]
    elif fault == "meaning":
        shuttled.write_config([good, service("web", address, [backend("b", one.address, weight=1000)])])
        words = ["/1/backends/0/weight", "1000"]
    elif fault == "taken":
        shuttled.write_config([good, service("web", one.address)])
        words = [one.address]
    else:
        shuttled.config_path.unlink()
        words = ["config.json"]
    said = len(shuttled.log_text())
    shuttled.signal(signal.SIGHUP)
    eventually(
        lambda: all(word in shuttled.log_text()[said:] for word in words),
        lambda: f"the log says {words}, but only: {shuttled.log_text()[said:]}",
    )
    assert shuttled.admin.config_text() == before
    assert stage.name_at(address) == "one"
    with pytest.raises(ConnectionRefusedError):
        connect(good["address"])


def test_a_hangup_is_ignored_with_a_warning_where_a_state_file_is_in_use(stage: Stage) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])], state=True)
    shuttled.admin.change("/api", service("api", free_address()))
    before = shuttled.admin.config_text()
    shuttled.write_config([])
    said = len(shuttled.log_text())
    shuttled.signal(signal.SIGHUP)
    eventually(lambda: "SIGHUP" in shuttled.log_text()[said:], "a warning is written")
    assert "warn" in shuttled.log_text()[said:].lower()
    assert shuttled.admin.config_text() == before
    assert stage.name_at(address) == "one"


def test_without_a_configuration_a_hangup_does_no_harm(stage: Stage) -> None:
    shuttled = stage.shuttled()
    shuttled.admin.change("/api", service("api", free_address()))
    said = len(shuttled.log_text())
    shuttled.signal(signal.SIGHUP)
    eventually(lambda: "SIGHUP" in shuttled.log_text()[said:], "it says that there is nothing to read")
    assert [entry["name"] for entry in shuttled.admin.config()] == ["api"]


def test_a_client_that_writes_to_a_closed_backend_does_not_kill_it(stage: Stage) -> None:
    """SIGPIPE is not what a proxy dies of."""

    def close_at_once(connection) -> None:  # type: ignore[no-untyped-def]
        connection.close()

    front = stage.front(stage.add(Scripted(close_at_once)).address)
    for _ in range(50):
        client = front.connect()
        try:
            for _ in range(20):
                client.sendall(b"x" * 10_000)
        except OSError:
            pass
        client.close()
    assert front.shuttled.is_running
    front.shuttled.wait_idle(STOP_SECONDS)
