"""The admin API's configuration routes: what a good request answers, in form and in effect.

What is refused is in `test_refused_values.py` and `test_refused_requests.py`, who may call in `test_admin_guard.py`.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from typing import Any

import pytest

from harness.admin import FORM, Response
from harness.peers import Named
from harness.ports import free_address, free_port, port_of
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import connect


@pytest.fixture
def shuttled(stage: Stage) -> Shuttled:
    return stage.shuttled()


def names(config: list[dict[str, Any]]) -> list[str]:
    return [entry["name"] for entry in config]


# What a change answers


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_change_answers_with_the_whole_resulting_configuration(shuttled: Shuttled, method: str) -> None:
    first, second, third = free_address(), free_address(), free_address()
    shuttled.admin.change("/config", [service("a", first)])
    for path, body in (("/b", service("b", second)), ("/b/x", {"address": third}), ("/b/x", {"address": first})):
        response = shuttled.admin.request(method, path, json=body).expect(200)
        assert response.content_type == "application/json"
        assert response.body == shuttled.admin.config_text()
    assert names(response.json) == ["a", "b"]
    assert response.json[1]["backends"][0]["address"] == first


@pytest.mark.parametrize("path", ["/b/x", "/b"])
def test_a_removal_answers_with_the_whole_resulting_configuration(shuttled: Shuttled, path: str) -> None:
    shuttled.admin.change(
        "/config", [service("a", free_address()), service("b", free_address(), [backend("x", "[::1]:80")])]
    )
    response = shuttled.admin.delete(path).expect(200)
    assert response.body == shuttled.admin.config_text()
    shuttled.admin.get(path).problem(404)
    shuttled.admin.delete(path).problem(404)


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_change_answers_nothing_where_the_caller_prefers_that(shuttled: Shuttled, method: str) -> None:
    shuttled.admin.change("/web", service("web", free_address(), [backend("x", "127.0.0.1:80")]))
    prefer = {"Prefer": "return=minimal"}
    for path, body in (("/web/x", {"address": "127.0.0.1:81"}), ("/web", service("web", free_address()))):
        json_body = None if method == "DELETE" else body
        response = shuttled.admin.request(method, path, json=json_body, headers=prefer).expect(204)
        assert response.body == b""
        assert response.headers.get("content-length") in (None, "0")
    assert names(shuttled.admin.config()) == ([] if method == "DELETE" else ["web"])


def test_the_whole_configuration_is_replaced(stage: Stage, shuttled: Shuttled) -> None:
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    kept, gone, new = free_address(), free_address(), free_address()
    shuttled.admin.change(
        "/config",
        [service("kept", kept, [backend("x", one.address)]), service("gone", gone, [backend("x", one.address)])],
    )
    answer = shuttled.admin.change(
        "/config",
        [service("new", new, [backend("x", two.address)]), service("kept", kept, [backend("x", two.address)])],
    )
    assert names(answer) == ["kept", "new"]
    assert (stage.name_at(kept), stage.name_at(new)) == ("two", "two")
    with pytest.raises(ConnectionRefusedError):
        connect(gone)
    assert shuttled.admin.change("/config", []) == []
    for address in (kept, new):
        with pytest.raises(ConnectionRefusedError):
            connect(address)


def test_an_object_with_a_list_of_services_is_taken_as_well(stage: Stage) -> None:
    address = free_address()
    shuttled = stage.shuttled({"services": [service("web", address)]})
    assert names(shuttled.admin.config()) == ["web"]
    answer = shuttled.admin.change("/config", {"services": [service("other", address)]})
    assert isinstance(answer, list), "a list is what is given back"
    assert names(answer) == ["other"]


def test_a_name_may_stand_in_the_path_only(shuttled: Shuttled) -> None:
    shuttled.admin.change("/web", {"address": free_address(), "backends": [{"name": "x", "address": "127.0.0.1:80"}]})
    shuttled.admin.change("/web/y", {"address": "127.0.0.1:81"})
    assert [b["name"] for b in shuttled.admin.service("web")["backends"]] == ["x", "y"]


@pytest.mark.parametrize("name", ["w", "web-1", "web_1", "web:80", "a.b", "-", "...", "0", "Config", "x" * 128])
def test_names_may_have_these_characters(shuttled: Shuttled, name: str) -> None:
    shuttled.admin.change(f"/{name}", service(name, free_address(), [backend(name, "127.0.0.1:80")]))
    assert shuttled.admin.service(name)["name"] == name
    assert shuttled.admin.backend(name, name)["name"] == name
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    assert shuttled.admin.get(f"/{encoded}").expect(200).json["name"] == name


# Values


def test_fields_have_their_defaults(shuttled: Shuttled) -> None:
    shuttled.admin.change(
        "/web", {"address": (address := free_address()), "backends": [{"name": "x", "address": "[::1]:80"}]}
    )
    assert shuttled.admin.config() == [
        {
            "name": "web",
            "address": address,
            "backends": [{"name": "x", "address": "[::1]:80", "check_address": "", "weight": 1}],
            "balance": "RR",
            "check_interval": 2000,
            "fall": 2,
            "rise": 2,
            "client_timeout": 0,
            "server_timeout": 0,
            "connect_timeout": 5000,
        }
    ]


def test_every_field_is_given_back_as_it_was_set(shuttled: Shuttled) -> None:
    written = {
        "name": "web",
        "address": free_address(),
        "backends": [
            {"name": "z", "address": "127.0.0.1:80", "check_address": "127.0.0.1:81", "weight": 0},
            {"name": "a", "address": "127.0.0.1:82", "check_address": "", "weight": 256},
        ],
        "balance": "LC",
        "check_interval": 60_000,
        "fall": 3,
        "rise": 4,
        "client_timeout": 5_000,
        "server_timeout": 6_000,
        "connect_timeout": 700,
    }
    shuttled.admin.change("/web", written)
    assert shuttled.admin.config() == [written], "backends in their order, values as they are"


def test_addresses_are_given_back_as_they_were_written(shuttled: Shuttled) -> None:
    port = free_port()
    for listen, to in (
        (f"localhost:{port}", "localhost:80"),
        (f"[0:0:0:0:0:0:0:1]:{port}", "[::0001]:80"),
        (f":{port}", "[0:0::1]:80"),
    ):
        shuttled.admin.change("/web", service("web", listen, [backend("x", to, check_address=to)]))
        entry = shuttled.admin.config()[0]
        assert (entry["address"], entry["backends"][0]["address"]) == (listen, to)
        assert entry["backends"][0]["check_address"] == to


def test_a_port_alone_listens_on_ipv4_and_ipv6(stage: Stage, shuttled: Shuttled) -> None:
    one = stage.add(Named("one"))
    port = free_port()
    shuttled.admin.change("/web", service("web", f":{port}", [backend("x", one.address)]))
    assert stage.name_at(f"127.0.0.1:{port}") == "one"
    assert stage.name_at(f"[::1]:{port}") == "one"


def test_ipv6_is_listened_on_and_connected_to(stage: Stage, shuttled: Shuttled) -> None:
    one = stage.add(Named("one", "[::1]:0"))
    address = free_address("[::1]")
    shuttled.admin.change("/web", service("web", address, [backend("x", one.address)]))
    assert stage.name_at(address) == "one"
    with pytest.raises(ConnectionRefusedError):
        connect(f"127.0.0.1:{port_of(address)}")


def test_host_names_are_resolved_when_they_are_applied(stage: Stage, shuttled: Shuttled) -> None:
    one = stage.add(Named("one"))
    address = free_address("localhost")
    shuttled.admin.change("/web", service("web", address, [backend("x", f"localhost:{one.port}")]))
    host = socket.getaddrinfo("localhost", port_of(address), type=socket.SOCK_STREAM)[0][4][0]
    assert stage.name_at(f"[{host}]:{port_of(address)}") == "one"


def test_what_was_read_from_a_service_can_be_changed_and_written_back(stage: Stage, shuttled: Shuttled) -> None:
    one = stage.add(Named("one"))
    address = free_address()
    shuttled.admin.change("/web", service("web", address, [backend("x", one.address), backend("y", one.address)]))
    assert stage.name_at(address) == "one"

    read = shuttled.admin.service("web")
    assert "connections" in read and "up" in read["backends"][0], "with statistics in it"
    read["balance"] = "LC"
    read["connections"] = 12345
    shuttled.admin.change("/web", read)
    assert shuttled.admin.config()[0]["balance"] == "LC"
    assert shuttled.admin.service("web")["connections"] < 12345, "statistics cannot be set"

    read = shuttled.admin.backend("web", "x")
    read["weight"] = 9
    read["up"] = False
    shuttled.admin.change("/web/x", read)
    assert shuttled.admin.config()[0]["backends"][0]["weight"] == 9
    assert shuttled.admin.backend("web", "x")["up"] is True

    everything = shuttled.admin.services()
    everything[0]["balance"] = "RR"
    shuttled.admin.change("/config", everything)
    assert shuttled.admin.config()[0]["balance"] == "RR"


def test_replacing_a_backend_keeps_its_place(shuttled: Shuttled) -> None:
    backends = [backend(name, f"127.0.0.1:{80 + i}") for i, name in enumerate("xyz")]
    shuttled.admin.change("/web", service("web", free_address(), backends))
    shuttled.admin.change("/web/y", {"address": "127.0.0.1:99"})
    shuttled.admin.change("/web/w", {"address": "127.0.0.1:98"})
    assert [b["name"] for b in shuttled.admin.config()[0]["backends"]] == ["x", "y", "z", "w"]


# Form


def test_json_is_printed_with_two_spaces_and_a_line_end(shuttled: Shuttled) -> None:
    shuttled.admin.change("/b", service("b", free_address("localhost"), [backend("x", "[::1]:80")]))
    shuttled.admin.change("/a", service("a", free_address()))
    for path in ("/", "/config", "/a", "/b", "/b/x"):
        body = shuttled.admin.get(path).expect(200).body.decode()
        assert body == json.dumps(json.loads(body), indent=2) + "\n", path
    assert shuttled.admin.change("/config", []) == []
    assert shuttled.admin.config_text() == b"[]\n"


def test_services_are_sorted_by_name(shuttled: Shuttled) -> None:
    for name in ("m", "b10", "b2", "z", "a"):
        shuttled.admin.change(f"/{name}", service(name, free_address()))
    expected = ["a", "b10", "b2", "m", "z"]
    assert names(shuttled.admin.config()) == expected
    assert names(shuttled.admin.services()) == expected


def test_a_chunked_body_is_read(shuttled: Shuttled) -> None:
    body = json.dumps(service("web", free_address())).encode()
    shuttled.admin.put("/web", body=(body[i : i + 7] for i in range(0, len(body), 7))).expect(200)
    assert names(shuttled.admin.config()) == ["web"]


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None, FORM])
def test_json_is_read_with_these_content_types(shuttled: Shuttled, content_type: str | None) -> None:
    shuttled.admin.put("/web", service("web", free_address()), content_type=content_type).expect(200)
    assert names(shuttled.admin.config()) == ["web"]


@pytest.mark.parametrize("how", ["-T", "-d", "-X PUT -d"])
def test_plain_curl_can_change_the_configuration(shuttled: Shuttled, how: str) -> None:
    address = free_address()
    body = shuttled.directory / "web.json"
    body.write_text(json.dumps(service("web", address)))
    data = ["-T", str(body)] if how == "-T" else [*how.split(), f"@{body}"]
    url = f"http://{shuttled.http}/web"
    done = subprocess.run(["curl", "-sS", "-f", "--max-time", "10", *data, url], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["address"] == address


def test_a_large_configuration_is_taken_as_a_whole(shuttled: Shuttled) -> None:
    """Up to 64 MiB; a single service may have 1 MiB."""
    backends = [backend(f"{i:04}" + "x" * 120, "127.0.0.1:80") for i in range(2000)]
    many = [service(f"s{i}", free_address(), backends) for i in range(4)]
    body = json.dumps(many).encode()
    assert len(body) > 1_300_000
    response: Response = shuttled.admin.put("/config", body=body)
    response.expect(200)
    assert shuttled.admin.config() == [
        {**entry, "backends": [{**b, "check_address": "", "weight": 1} for b in entry["backends"]], **_defaults(entry)}
        for entry in many
    ]


def _defaults(entry: dict[str, Any]) -> dict[str, Any]:
    fields = {"balance": "RR", "fall": 2, "rise": 2, "client_timeout": 0, "server_timeout": 0, "connect_timeout": 5000}
    return {name: entry.get(name, value) for name, value in fields.items()}


def test_a_connection_is_kept_open_for_further_requests(shuttled: Shuttled) -> None:
    with shuttled.admin.open() as session:
        for number in range(20):
            session.request("PUT", "/web", json=service("web", free_address(), rise=number + 1)).expect(200)
            assert session.request("GET", "/config").expect(200).json[0]["rise"] == number + 1


def test_health_endpoints_answer(shuttled: Shuttled) -> None:
    for path in ("/livez", "/readyz", "/healthz"):
        shuttled.admin.get(path).expect(200)
        assert shuttled.admin.get(f"{path}?verbose").expect(200).body.strip(), "with detail"


def test_requests_on_a_closed_connection_do_no_harm(shuttled: Shuttled) -> None:
    """A client that goes away in the middle of its body changes nothing."""
    body = json.dumps(service("web", free_address())).encode()
    head = shuttled.admin.head("PUT", "/web", "Content-Type: application/json", f"Content-Length: {len(body)}")
    for part in (0, 1, len(body) // 2, len(body) - 1):
        with shuttled.admin.connect() as connection:
            connection.sendall(head + body[:part])
    assert shuttled.admin.config() == []


def test_expect_100_continue_is_answered(shuttled: Shuttled) -> None:
    body = json.dumps(service("web", free_address())).encode()
    with shuttled.admin.connect() as connection:
        waiting = ("Content-Type: application/json", "Expect: 100-continue", "Connection: close")
        connection.sendall(shuttled.admin.head("PUT", "/web", *waiting, f"Content-Length: {len(body)}"))
        interim = b""
        while not interim.endswith(b"\r\n\r\n"):
            interim += connection.recv(1)
        assert interim.startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200, answer.read()
