"""Requests that are refused whatever their values: bodies that are not JSON or too large, routes, methods, conditions.

Fields, names and addresses are in `test_refused_values.py`; who may call at all is in `test_admin_guard.py`.
"""

from __future__ import annotations

import json

import pytest

from harness.admin import FORM
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.unchanged import Unchanged

# Bodies

MALFORMED = {
    "nothing": b"",
    "blank": b"  \n",
    "cut off": b'{"address": "127.0.0.1:80"',
    "trailing comma": b'{"address": "127.0.0.1:80",}',
    "two values": b'{"address": "127.0.0.1:80"} {}',
    "comment": b'{"address": "127.0.0.1:80"} // web',
    "single quotes": b"{'address': '127.0.0.1:80'}",
    "not utf-8": b'{"address": "\xff\xfe"}',
    "lone surrogate": b'{"address": "\\ud800"}',
    "NaN": b'{"address": "127.0.0.1:80", "fall": NaN}',
    "leading zero": b'{"address": "127.0.0.1:80", "fall": 03}',
    "a string": b'"web"',
    "a number": b"1",
    "a list": b"[]",
    "null": b"null",
    "too deep": b"[" * 100_000,
    "too deep in a field": b'{"address": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_json_is_refused(serving: Shuttled, unchanged: Unchanged, body: bytes) -> None:
    with unchanged:
        serving.admin.put("/web", body=body).problem(400)
        serving.admin.put("/base/x", body=body).problem(400)
        if body != b"[]":
            serving.admin.put("/config", body=body).problem(400)


def test_malformed_json_is_refused_with_its_place(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        body = b'{\n  "address": "127.0.0.1:80",\n  "fall": oops\n}'
        serving.admin.put("/web", body=body).problem(400).says("line 3")


def test_a_body_over_its_limit_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    """1 MiB for a service or a backend."""
    body = json.dumps(service("web", free_address())).encode()
    padded = body + b" " * (1024 * 1024 + 1 - len(body))
    with unchanged:
        serving.admin.put("/web", body=padded).problem(413)
        serving.admin.put("/base/x", body=padded).problem(413)
        serving.admin.put("/web", body=padded, chunked=True).problem(413)
    serving.admin.put("/web", body=padded[: 1024 * 1024]).expect(200)


def test_a_whole_configuration_over_its_limit_is_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        with serving.admin.connect() as connection:
            length = 64 * 1024 * 1024 + 1
            headers = ("Content-Type: application/json", "Connection: close", f"Content-Length: {length}")
            connection.sendall(serving.admin.head("PUT", "/config", *headers))
            piece = b" " * 65_536
            try:
                for _ in range(1024):
                    connection.sendall(piece)
                connection.sendall(b" ")
            except (BrokenPipeError, ConnectionResetError):
                pass  # it need not read what it will refuse
            assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "text/json", "application/xml", "multipart/form-data; boundary=x"]
)
def test_a_body_that_is_not_json_is_refused(serving: Shuttled, unchanged: Unchanged, content_type: str) -> None:
    with unchanged:
        for path in ("/web", "/base/x", "/config"):
            body = {"address": free_address()} if path != "/config" else []
            serving.admin.put(path, body, content_type=content_type).problem(415).says("application/json")


# Routes


def test_what_is_not_there_is_not_found(serving: Shuttled, unchanged: Unchanged) -> None:
    with unchanged:
        for path in ("/nobody", "/nobody/x", "/base/nobody", "/base/one/more", "/favicon.ico"):
            serving.admin.get(path).problem(404)
        for path in ("/v1", "/v1/services", "/v1/rings/", "/v1/rings/0"):
            serving.admin.get(path).problem(404)
        serving.admin.delete("/nobody").problem(404).says("nobody")
        serving.admin.delete("/base/nobody").problem(404).says("nobody")
        serving.admin.put("/nobody/x", backend("x", "127.0.0.1:80")).problem(404).says("nobody")
        serving.admin.put("/base/one/more", {}).problem(404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/config", {"GET", "PUT"}),
        ("DELETE", "/config", {"GET", "PUT"}),
        ("DELETE", "/", {"GET"}),
        ("PUT", "/", {"GET"}),
        ("PUT", "/_stats", {"GET"}),
        ("PUT", "/v1/rings", {"GET"}),
        ("DELETE", "/readyz", {"GET"}),
        ("PUT", "/livez", {"GET"}),
        ("PATCH", "/config", {"GET", "PUT"}),
        ("PATCH", "/v1/services/base", {"GET"}),
        ("BREW", "/base", {"GET", "PUT", "POST", "PATCH", "DELETE"}),
    ],
)
def test_a_wrong_method_is_refused_with_those_that_are_allowed(
    serving: Shuttled, unchanged: Unchanged, method: str, path: str, allowed: set[str]
) -> None:
    with unchanged:
        response = serving.admin.request(method, path, json=[])
        response.problem(405)
        said = {word.strip() for word in (response.headers.get("allow") or "").split(",")}
        assert said - {"HEAD", "OPTIONS"} == allowed


def test_changes_with_conditions_that_are_not_understood_are_refused(serving: Shuttled, unchanged: Unchanged) -> None:
    """Whoever asks for something else than a change must not get a change."""
    with unchanged:
        for path, headers in (
            ("/base?dry_run=yes", {}),
            ("/base?dryrun=1", {}),
            ("/base", {"If-Match": "1"}),
            ("/base", {"If-Unmodified-Since": "Sun, 06 Nov 1994 08:49:37 GMT"}),
        ):
            response = serving.admin.put(path, service("base", free_address()), headers=headers)
            assert 400 <= response.status < 500, f"the condition was ignored: {response}"


def test_the_form_type_is_not_json_for_a_browser(serving: Shuttled, unchanged: Unchanged) -> None:
    own = {"Origin": f"http://{serving.http}"}
    with unchanged:
        serving.admin.post("/web", service("web", free_address()), content_type=FORM, headers=own).problem(415)
        serving.admin.post("/web", service("web", free_address()), content_type=None, headers=own).problem(415)
