"""Every sentence of the original README has a test here that is named after it and quotes it.

Two of its facts are not kept, on purpose: its Go dependencies, and the port that closes while a service is replaced;
the test of that sentence shows that the port stays open. `docs/tests.md` maps sentences to tests.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from harness.admin import Admin
from harness.peers import Named
from harness.ports import free_address, port_of
from harness.shuttled import backend, binary, service
from harness.stage import Stage, read_line
from harness.streams import End, connect, echoes, read_to_end
from harness.wait import eventually

STATISTICS = {"sent", "received", "errors", "connections", "active"}
SERVICE_FIELDS = {
    "name", "address", "backends", "balance", "check_interval", "fall", "rise", "client_timeout", "server_timeout",
    "connect_timeout",
}  # fmt: skip
BACKEND_FIELDS = {"name", "address", "check_address", "weight"}


@pytest.fixture
def two(stage: Stage) -> tuple[Named, Named]:
    return stage.add(Named("one")), stage.add(Named("two"))


def test_it_is_a_tcp_proxy_and_load_balancer_updated_live_via_http(stage: Stage, two: tuple[Named, Named]) -> None:
    """Shuttle is a TCP proxy and load balancer, which can be updated live via an HTTP interface."""
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("one", two[0].address)])])
    held = stage.connect(address)
    assert read_line(held) == "one"

    shuttled.admin.change("/web/two", {"address": two[1].address})

    assert sorted(stage.name_at(address) for _ in range(4)) == ["one", "one", "two", "two"]
    assert echoes(held), "what was connected before the update goes on"


def test_it_can_be_started_with_a_default_configuration_as_well_as_its_last_state(
    stage: Stage, two: tuple[Named, Named]
) -> None:
    """Shuttle can be started with a default configuration, as well as its last configuration state."""
    address = free_address()
    default = [service("web", address, [backend("one", two[0].address)])]
    shuttled = stage.shuttled(default, state=True)
    assert stage.name_at(address) == "one"
    shuttled.admin.change("/web", service("web", address, [backend("two", two[1].address)]))
    last = shuttled.admin.config_text()
    shuttled.stop()

    shuttled.start()

    assert shuttled.admin.config_text() == last, "the last state wins over the default configuration"
    assert stage.name_at(address) == "two"


def test_the_state_configuration_is_updated_on_changes(stage: Stage, two: tuple[Named, Named]) -> None:
    """The -state configuration is updated on changes to the internal config."""
    first, second = free_address(), free_address()
    shuttled = stage.shuttled([], state=True)
    changes = [
        ("PUT", "/web", service("web", first, [backend("one", two[0].address)])),
        ("PUT", "/web/two", {"address": two[1].address, "weight": 3}),
        ("POST", "/other", service("other", second)),
        ("DELETE", "/web/one", None),
        ("DELETE", "/other", None),
        ("PUT", "/config", [service("all", first, [backend("one", two[0].address)])]),
    ]
    for method, path, body in changes:
        before = shuttled.state_path.read_bytes() if shuttled.state_path.exists() else b""
        shuttled.admin.request(method, path, json=body).expect(200)
        assert shuttled.state_path.read_bytes() != before, f"{method} {path} did not reach the state file"

        expected = shuttled.admin.config_text()
        reader = stage.prepared(state=shuttled.state_path)
        reader_http = reader.http
        shuttled.stop()
        reader.start()
        assert Admin(reader_http).config_text() == expected, f"the state after {method} {path} is not the configuration"
        reader.stop()
        shuttled.start()


def test_if_the_state_config_file_does_not_exist_the_default_is_loaded(stage: Stage, two: tuple[Named, Named]) -> None:
    """If the state config file doesn't exist, the default is loaded."""
    address = free_address()
    shuttled = stage.prepared([service("web", address, [backend("one", two[0].address)])], state=True)
    assert not shuttled.state_path.exists()

    shuttled.start()

    assert [entry["name"] for entry in shuttled.admin.config()] == ["web"]
    assert stage.name_at(address) == "one"


def test_the_default_config_is_never_written_to(stage: Stage, two: tuple[Named, Named]) -> None:
    """The default config is never written to by shuttle."""
    for state in (False, True):
        address = free_address()
        shuttled = stage.prepared([service("web", address, [backend("one", two[0].address)])], state=state)
        before = shuttled.config_path.read_bytes(), _identity(shuttled.config_path)
        shuttled.start()
        shuttled.admin.change("/web", service("web", address))
        shuttled.admin.change("/config", [])
        shuttled.stop()
        assert (shuttled.config_path.read_bytes(), _identity(shuttled.config_path)) == before


def test_it_starts_as_its_command_line_says(stage: Stage, two: tuple[Named, Named]) -> None:
    """$ ./shuttle -config default_config.json -state state_config.json -http 127.0.0.1:9090"""
    address = free_address()
    shuttled = stage.prepared(
        [service("web", address, [backend("one", two[0].address)])], rings=None, drain_timeout=None
    )
    (shuttled.directory / "shuttle").symlink_to(binary())
    os.rename(shuttled.config_path, shuttled.directory / "default_config.json")
    shuttled.command = [
        "./shuttle", "-config", "default_config.json", "-state", "state_config.json", "-http", shuttled.http,
    ]  # fmt: skip

    shuttled.start()

    assert stage.name_at(address) == "one"
    shuttled.admin.change("/web/two", {"address": two[1].address})
    assert (shuttled.directory / "state_config.json").exists()


def test_the_current_config_can_be_queried_via_the_config_endpoint(stage: Stage) -> None:
    """The current config can be queried via the `/config` endpoint."""
    address = free_address()
    shuttled = stage.shuttled([service("web", address)])
    response = shuttled.admin.get("/config").expect(200)
    assert response.content_type == "application/json"
    assert [entry["address"] for entry in response.json] == [address]
    shuttled.admin.change("/more", service("more", free_address()))
    assert [entry["name"] for entry in shuttled.admin.config()] == ["more", "web"], "it is the current one"
    assert shuttled.admin.get("/_config").expect(200).body == shuttled.admin.config_text()


def test_config_is_a_json_list_that_can_be_saved_directly_as_a_config_file(
    stage: Stage, two: tuple[Named, Named]
) -> None:
    """This returns a json list of Services and their Backends, which can be saved directly as a config file."""
    first = stage.shuttled(
        [
            service("b", free_address("localhost"), [backend("one", two[0].address, weight=7)], balance="LC", fall=5),
            service("a", free_address(), [backend("two", two[1].address, check_address=two[1].address)], rise=9),
            {"name": "bare", "address": free_address()},
        ]
    )
    saved = first.admin.config_text()
    assert [(entry["name"], [b["name"] for b in entry["backends"]]) for entry in first.admin.config()] == [
        ("a", ["two"]),
        ("b", ["one"]),
        ("bare", []),
    ]
    for entry in first.admin.config():
        assert set(entry) == SERVICE_FIELDS, "all fields of the original, whether set or not, and no statistics"
        assert all(set(b) == BACKEND_FIELDS for b in entry["backends"])
    first.stop()

    second = stage.shuttled(saved.decode())

    assert second.admin.config_text() == saved, "byte for byte"


def test_the_configuration_is_a_list_of_services_each_of_which_may_contain_backends(
    stage: Stage, two: tuple[Named, Named]
) -> None:
    """The configuration itself is a list of Services, each of which may contain a list of backends."""
    with_backends, without = free_address(), free_address()
    shuttled = stage.shuttled(
        [service("with", with_backends, [backend("one", two[0].address)]), {"name": "without", "address": without}]
    )
    assert stage.name_at(with_backends) == "one"
    assert read_to_end(stage.connect(without)).data == b"", "no backend: nothing to say, but it listens"
    assert [len(entry["backends"]) for entry in shuttled.admin.config()] == [1, 0]


@pytest.mark.parametrize("path", ["/", "/_stats"])
def test_get_root_returns_an_extended_config_with_live_stats_from_all_services(
    stage: Stage, two: tuple[Named, Named], path: str
) -> None:
    """A GET request to the path `/` returns an extended json config containing live stats from all Services."""
    address = free_address()
    shuttled = stage.shuttled(
        [service("web", address, [backend("one", two[0].address)]), service("idle", free_address())]
    )
    held = stage.connect(address)
    assert read_line(held) == "one"
    assert echoes(held, b"12345")

    def counted() -> bool:
        idle, web = shuttled.admin.get(path).expect(200).json
        assert set(idle) >= SERVICE_FIELDS | STATISTICS
        assert (idle["name"], idle["connections"], idle["sent"]) == ("idle", 0, 0)
        assert set(web["backends"][0]) >= BACKEND_FIELDS | STATISTICS | {"up", "check_success", "check_fail"}
        for entry in (web, web["backends"][0]):
            seen = {name: entry[name] for name in STATISTICS}
            assert seen == {"sent": 5, "received": 9, "errors": 0, "connections": 1, "active": 1}
        return web["backends"][0]["up"] is True

    eventually(counted, "what went through is counted")


def test_individual_services_can_be_queried_by_their_name(stage: Stage, two: tuple[Named, Named]) -> None:
    """Individual services can be queried by their name, `/service_name`, returning just the json stats for that
    service."""
    shuttled = stage.shuttled(
        [service("web", free_address(), [backend("one", two[0].address)]), service("other", free_address())]
    )
    web = shuttled.admin.get("/web").expect(200).json
    assert isinstance(web, dict)
    assert web["name"] == "web"
    assert set(web) >= SERVICE_FIELDS | STATISTICS
    assert web == next(entry for entry in shuttled.admin.services() if entry["name"] == "web")
    shuttled.admin.get("/nobody").problem(404)


def test_backend_stats_can_be_queried_directly(stage: Stage, two: tuple[Named, Named]) -> None:
    """Backend stats can be queried directly as well via the path `service_name/backend_name`."""
    backends = [backend("one", two[0].address), backend("two", two[1].address, weight=4)]
    shuttled = stage.shuttled([service("web", free_address(), backends)])
    answer = shuttled.admin.get("/web/two").expect(200).json
    assert (answer["name"], answer["address"], answer["weight"], answer["up"]) == ("two", two[1].address, 4, True)
    assert set(answer) >= BACKEND_FIELDS | STATISTICS | {"up", "check_success", "check_fail"}
    assert answer == shuttled.admin.service("web")["backends"][1]
    shuttled.admin.get("/web/three").problem(404)


def test_put_to_the_services_endpoint_will_create_or_replace_it(stage: Stage, two: tuple[Named, Named]) -> None:
    """Issuing a PUT with a json config to the service's endpoint will create, or replace that service."""
    address, moved = free_address(), free_address()
    shuttled = stage.shuttled()
    assert shuttled.admin.config() == []

    shuttled.admin.change("/web", {"address": address, "backends": [backend("one", two[0].address)]})
    assert stage.name_at(address) == "one"

    shuttled.admin.change("/web", {"address": moved, "backends": [backend("two", two[1].address)]})
    assert stage.name_at(moved) == "two"
    with pytest.raises(ConnectionRefusedError):
        connect(address)
    assert [entry["name"] for entry in shuttled.admin.config()] == ["web"]


def test_the_port_stays_open_and_existing_backends_are_not_transferred(stage: Stage, two: tuple[Named, Named]) -> None:
    """The listening port will be shutdown during this process, and existing backends will not be transferred to the new
    config. (Not kept: here the port stays open.)"""
    address = free_address()
    shuttled = stage.shuttled(
        [service("web", address, [backend("one", two[0].address), backend("two", two[1].address)])]
    )
    listening = shuttled.view.listeners()[port_of(address)]
    refused: list[OSError] = []
    done = threading.Event()

    def knock() -> None:
        while not done.is_set():
            try:
                connect(address).close()
            except OSError as error:
                refused.append(error)
            time.sleep(0.001)

    knocking = threading.Thread(target=knock)
    knocking.start()
    try:
        for round_number in range(50):
            name, peer = (("one", two[0]), ("two", two[1]))[round_number % 2]
            shuttled.admin.change("/web", service("web", address, [backend(name, peer.address)]))
            assert [b["name"] for b in shuttled.admin.service("web")["backends"]] == [name]
            assert {stage.name_at(address) for _ in range(2)} == {name}
    finally:
        done.set()
        knocking.join()
    assert not refused
    assert shuttled.view.listeners()[port_of(address)] == listening, "the very same socket"


def test_backends_can_be_included_in_the_services_json_and_configured_separately(
    stage: Stage, two: tuple[Named, Named]
) -> None:
    """Backends can be included in the service's json, and configured separately."""
    address = free_address()
    shuttled = stage.shuttled()
    shuttled.admin.change("/web", service("web", address, [backend("one", two[0].address)]))
    assert {stage.name_at(address) for _ in range(2)} == {"one"}
    shuttled.admin.change("/web/two", {"address": two[1].address})
    assert {stage.name_at(address) for _ in range(2)} == {"one", "two"}
    shuttled.admin.remove("/web/one")
    assert {stage.name_at(address) for _ in range(2)} == {"two"}


def test_put_to_the_backends_endpoint_will_create_or_replace_it(stage: Stage, two: tuple[Named, Named]) -> None:
    """Issuing a PUT with a json config to the backend's endpoint will create or replace that backend."""
    address = free_address()
    shuttled = stage.shuttled([service("web", address)])
    shuttled.admin.change("/web/b", {"address": two[0].address})
    assert stage.name_at(address) == "one"
    shuttled.admin.change("/web/b", {"address": two[1].address})
    assert {stage.name_at(address) for _ in range(3)} == {"two"}
    assert [b["address"] for b in shuttled.admin.service("web")["backends"]] == [two[1].address]


def test_existing_connections_continue_until_they_are_closed(stage: Stage, two: tuple[Named, Named]) -> None:
    """Existing connections relying on the old config will continue to run until the connection is closed."""
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", two[0].address)])])
    held = [stage.connect(address) for _ in range(10)]
    assert {read_line(connection) for connection in held} == {"one"}

    steps = [
        ("PUT", "/web/b", {"address": two[1].address}),
        ("PUT", "/web", service("web", address, [backend("c", two[1].address)], balance="LC")),
        ("DELETE", "/web/c", None),
        ("PUT", "/web", service("web", free_address())),
        ("DELETE", "/web", None),
        ("PUT", "/config", []),
    ]
    for method, path, body in steps:
        shuttled.admin.request(method, path, json=body).expect(200)
        assert all(echoes(connection) for connection in held), f"after {method} {path}"

    for connection in held:
        connection.shutdown(1)
        assert read_to_end(connection).end is End.FINISHED, "until it is closed, and then as it was asked for"
    eventually(lambda: two[0].open_connections == 0, "the backend's side is closed as well")


def _identity(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_ino, facts.st_mtime_ns
