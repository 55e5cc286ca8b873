"""What is refused in a configuration: fields, names and addresses, each with its pointer and words for a person.

Every refusal is a problem document (RFC 9457) that names the field, the value and what to do, and it changes nothing.
Bodies and routes that are refused are in `test_refused_requests.py`.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from harness.admin import Problem
from harness.peers import Named
from harness.ports import free_address, free_port, port_of
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import connect
from harness.unchanged import Unchanged

RESERVED = [
    "config", "_config", "_stats", "v1", "metrics", "livez", "readyz", "healthz", "dashboard", "openapi.json",
]  # fmt: skip

# Fields of a service

BAD_SERVICE_FIELDS: list[tuple[str, Any, list[str]]] = [
    ("address", 80, []),
    ("address", "localhost", ["localhost"]),
    ("address", "127.0.0.1", ["127.0.0.1"]),
    ("address", "127.0.0.1:", []),
    ("address", "127.0.0.1:0", ["0"]),
    ("address", "127.0.0.1:65536", ["65536"]),
    ("address", "127.0.0.1:-1", []),
    ("address", "127.0.0.1:http", []),
    ("address", "127.0.0.1:80 ", []),
    ("address", "::1:80", []),
    ("address", "[::1", []),
    ("address", "[::zz]:80", []),
    ("address", "nothing.invalid:80", ["nothing.invalid"]),
    ("backends", {}, []),
    ("backends", "one", []),
    ("balance", "rr", ["RR", "LC"]),
    ("balance", "RANDOM-ISH", ["RR", "LC"]),
    ("balance", 1, []),
    ("check_interval", -1, ["-1"]),
    ("check_interval", "2000", []),
    ("check_interval", 1.5, []),
    ("check_interval", True, []),
    ("check_interval", 10**30, []),
    ("fall", 0, ["0"]),
    ("rise", 0, ["0"]),
    ("fall", -2, ["-2"]),
    ("client_timeout", -1, ["-1"]),
    ("server_timeout", [], []),
    ("connect_timeout", "5s", []),
    ("retries", 8, ["7"]),
    ("retries", -1, ["-1"]),
    ("retry_timeout", "1s", []),
    ("name", 5, []),
]


@pytest.mark.parametrize(("field", "value", "words"), BAD_SERVICE_FIELDS, ids=lambda v: str(v)[:24])
def test_a_bad_field_of_a_service_is_named(
    serving: Shuttled, unchanged: Unchanged, field: str, value: Any, words: list[str]
) -> None:
    body = {**service("web", free_address()), field: value}
    with unchanged:
        serving.admin.put("/web", body).problem(400).points_to(f"/{field}").says(field, *words)
        serving.admin.put("/config", [body]).problem(400).points_to(f"/0/{field}")
        serving.admin.put("/config", {"services": [body]}).problem(400).points_to(f"/services/0/{field}")


def test_every_field_but_the_address_may_be_left_out(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        serving.admin.put("/web", {}).problem(400).points_to("/address").says("address")
        serving.admin.put("/base/x", {}).problem(400).points_to("/address").says("address")


BAD_BACKEND_FIELDS: list[tuple[str, Any]] = [
    ("address", "127.0.0.1"),
    ("address", ""),
    ("address", 8080),
    ("address", "nothing.invalid:80"),
    ("check_address", "127.0.0.1"),
    ("check_address", "127.0.0.1:70000"),
    ("weight", -1),
    ("weight", 257),
    ("weight", "1"),
    ("weight", 0.5),
    ("max_connections", -1),
    ("max_connections", "10"),
    ("backup", 1),
    ("backup", "true"),
    ("state", "off"),
    ("slow_start", -1),
    ("slow_start", "1s"),
    ("state", True),
    ("name", "a b"),
]


@pytest.mark.parametrize(("field", "value"), BAD_BACKEND_FIELDS, ids=lambda v: str(v)[:24])
def test_a_bad_field_of_a_backend_is_named(serving: Shuttled, unchanged: Unchanged, field: str, value: Any) -> None:
    body = {**backend("x", "127.0.0.1:80"), field: value}
    whole = service("web", free_address(), [backend("ok", "127.0.0.1:80"), body])
    with unchanged:
        serving.admin.put("/base/x", body).problem(400).points_to(f"/{field}").says(field)
        serving.admin.put("/web", whole).problem(400).points_to(f"/backends/1/{field}")
        serving.admin.put("/config", [whole]).problem(400).points_to(f"/0/backends/1/{field}")


def test_several_bad_fields_are_named_at_once(serving: Shuttled, unchanged: Unchanged) -> None:
    body = {"address": "x", "balance": "??", "backends": [{"name": "b", "address": "127.0.0.1:1", "weight": 999}]}
    with unchanged:
        serving.admin.put("/web", body).problem(400).points_to("/address", "/balance", "/backends/0/weight")


@pytest.mark.parametrize(
    ("path", "field", "meant"),
    [
        ("/web", "adress", "address"),
        ("/web", "check_intervall", "check_interval"),
        ("/web", "Balance", "balance"),
        ("/base/x", "wieght", "weight"),
        ("/base/x", "checkaddress", "check_address"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_one(
    serving: Shuttled, unchanged: Unchanged, path: str, field: str, meant: str
) -> None:
    with unchanged:
        body = {"address": free_address(), field: 1}
        serving.admin.put(path, body).problem(400).points_to(f"/{field}").says(field, meant)


@pytest.mark.parametrize("field", ["routes", "allow"])
def test_fields_of_capabilities_that_are_not_there_are_refused(
    serving: Shuttled, unchanged: Unchanged, field: str
) -> None:
    """A field that is dropped silently would be a limit that does not hold. (Goes when the capability comes.)"""
    with unchanged:
        serving.admin.put("/web", {"address": free_address(), field: None}).problem(400).points_to(f"/{field}")


@pytest.mark.parametrize(
    ("fields", "pointer", "words"),
    [
        ({"queue_limit": 5}, "/queue_limit", ["max_connections"]),
        ({"max_connections": 5, "queue_timeout": 100}, "/queue_timeout", ["queue_limit"]),
        ({"queue_limit": 5, "max_connections_per_client": 1}, "/queue_limit", ["max_connections"]),
    ],
)
def test_limits_that_make_no_sense_together_are_refused_with_the_reason(
    serving: Shuttled, unchanged: Unchanged, fields: dict[str, int], pointer: str, words: list[str]
) -> None:
    body = service("web", free_address(), [backend("ok", "127.0.0.1:80")], **fields)
    with unchanged:
        serving.admin.put("/web", body).problem(400).points_to(pointer).says(*words)
        serving.admin.put("/config", [body]).problem(400).points_to(f"/0{pointer}")


def test_null_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        for field in ("address", "backends", "balance", "check_interval", "name"):
            body = {**service("web", free_address()), field: None}
            serving.admin.put("/web", body).problem(400).points_to(f"/{field}").says("null")
        serving.admin.put("/config", [None]).problem(400).points_to("/0")


def test_a_key_that_is_there_twice_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    address = free_address()
    twice = f'{{"address": "{address}", "fall": 1, "backends": [], "fall": 2}}'
    with unchanged:
        serving.admin.put("/web", body=twice.encode()).problem(400).points_to("/fall").says("fall")
        escaped = f'{{"address": "{address}", "fall": 1, "f\\u0061ll": 2}}'
        serving.admin.put("/web", body=escaped.encode()).problem(400).points_to("/fall")


# Names


@pytest.mark.parametrize("name", ["a b", "", ".", "..", "x" * 129, "ü", "a/b", "a\nb", "%41", "<b>"])
def test_a_bad_name_is_refused(serving: Shuttled, unchanged: Unchanged, name: str) -> None:
    with unchanged:
        bad = service(name, free_address())
        serving.admin.put("/config", [bad]).problem(400).points_to("/0/name")
        encoded = "".join(f"%{byte:02X}" for byte in name.encode())
        if name:
            status = serving.admin.put(f"/{encoded}", {"address": free_address()}).status
            assert status in (400, 404), f"a service named {name!r} must not come to be by its path"
        bad_backend = service("web", free_address(), [backend(name, "127.0.0.1:80")])
        serving.admin.put("/web", bad_backend).problem(400).points_to("/backends/0/name")


@pytest.mark.parametrize("name", RESERVED)
def test_a_reserved_name_is_refused(serving: Shuttled, unchanged: Unchanged, name: str) -> None:
    with unchanged:
        serving.admin.put("/config", [service(name, free_address())]).problem(400).points_to("/0/name").says(name)
        status = serving.admin.put(f"/{name}", {"address": free_address()}).status
        assert status in (400, 404, 405), "a route of its own, or refused as a name"


def test_a_name_that_is_not_the_paths_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        serving.admin.put("/web", service("wep", free_address())).problem(400).points_to("/name").says("web", "wep")
        serving.admin.put("/base/x", backend("y", "127.0.0.1:1")).problem(400).points_to("/name").says("x", "y")


def test_a_name_that_is_there_twice_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        same = [service("web", free_address()), service("other", free_address()), service("web", free_address())]
        serving.admin.put("/config", same).problem(400).points_to("/2/name").says("web")
        backends = [backend("x", "127.0.0.1:1"), backend("x", "127.0.0.1:2")]
        serving.admin.put("/web", service("web", free_address(), backends)).problem(400).points_to("/backends/1/name")


# Addresses


def test_an_address_that_is_there_twice_is_refused_with_both_places(serving: Shuttled, unchanged: Unchanged) -> None:
    address = free_address()
    with unchanged:
        both = [service("a", address), service("b", free_address()), service("c", address)]
        serving.admin.put("/config", both).problem(400).points_to("/0/address", "/2/address").says(address)


def test_a_name_and_its_address_are_the_same_address(serving: Shuttled, unchanged: Unchanged) -> None:
    port = free_port()
    host = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)[0][4][0]
    literal = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with unchanged:
        same = [service("a", literal), service("b", f"localhost:{port}")]
        serving.admin.put("/config", same).problem(400).points_to("/0/address", "/1/address")


def test_ipv6_addresses_are_compared_in_canonical_form(serving: Shuttled, unchanged: Unchanged) -> None:
    port = free_port()
    with unchanged:
        same = [service("a", f"[::1]:{port}"), service("b", f"[0:0:0::0001]:{port}")]
        serving.admin.put("/config", same).problem(400).points_to("/0/address", "/1/address")


def test_one_host_and_all_hosts_of_a_port_are_the_same_address(serving: Shuttled, unchanged: Unchanged) -> None:
    """The kernel would refuse the second of them anyway, and say less about it."""
    port = free_port()
    with unchanged:
        same = [service("a", f"127.0.0.1:{port}"), service("b", f":{port}")]
        serving.admin.put("/config", same).problem(400).points_to("/0/address", "/1/address")


def test_a_service_on_another_services_address_is_refused(
    serving: Shuttled, unchanged: Unchanged, base: dict[str, Any]
) -> None:
    """The other service is not in the body, so that it is named in words."""
    with unchanged:
        problem = serving.admin.put("/web", service("web", base["address"])).problem(400)
        problem.points_to("/address").says("base", base["address"])


def _taken() -> socket.socket:
    other_program = socket.socket()
    other_program.bind(("127.0.0.1", free_port()))
    other_program.listen()
    return other_program


def test_an_address_that_another_program_has_is_a_conflict(
    stage: Stage, serving: Shuttled, unchanged: Unchanged, base: dict[str, Any]
) -> None:
    address = "127.0.0.1:%d" % stage.add(_taken()).getsockname()[1]
    with unchanged:
        serving.admin.put("/web", service("web", address)).problem(409).points_to("/address").says(address, "in use")
        serving.admin.put("/base", {**base, "address": address}).problem(409).points_to("/address")


def test_an_address_that_is_not_this_machines_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    address = f"192.0.2.1:{free_port()}"  # TEST-NET-1: nobody's
    with unchanged:
        response = serving.admin.put("/web", service("web", address)).expect(400, 409)
        Problem(response.json, response).points_to("/address").says(address)


def test_the_whole_configuration_is_replaced_or_nothing_is(
    stage: Stage, serving: Shuttled, unchanged: Unchanged, base: dict[str, Any]
) -> None:
    one = stage.add(Named("one"))
    taken = "127.0.0.1:%d" % stage.add(_taken()).getsockname()[1]
    fine = [service(f"s{i}", free_address(), [backend("x", one.address)]) for i in range(3)]
    moved = {**base, "address": free_address()}
    for bad, status in (
        (service("zz", "nonsense"), 400),
        (service("zz", free_address(), [backend("x", "127.0.0.1:80", weight=-5)]), 400),
        (service("zz", taken), 409),
    ):
        with unchanged:
            serving.admin.put("/config", [*fine, moved, bad]).problem(status)
            for entry in (*fine, moved):
                with pytest.raises(ConnectionRefusedError):
                    connect(entry["address"])
    serving.admin.change("/config", [*fine, moved])
    assert port_of(moved["address"]) in serving.view.listeners(), "without the bad one it is taken"
