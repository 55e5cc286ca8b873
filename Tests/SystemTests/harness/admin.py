"""Owns the HTTP client of the admin endpoint: every header is the test's own choice, nothing is added behind its back.

A request opens a connection of its own, so that a test which counts descriptors finds none of ours; `Session` keeps one
open where many changes are made in a row.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from .ports import split

from harness.patience import patient

TIMEOUT_SECONDS = patient(15.0)
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Response:
    """What came back: status, headers (any case), the body as bytes and as JSON."""

    def __init__(self, request: str, raw: http.client.HTTPResponse, body: bytes) -> None:
        self.request = request
        self.status: int = raw.status
        self.headers = raw.headers
        self.body = body

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"{self} is not JSON: {error}") from None

    @property
    def content_type(self) -> str:
        return (self.headers.get("content-type") or "").split(";")[0].strip()

    def expect(self, *statuses: int) -> Response:
        """This response, having one of the statuses; the message shows the request and the body."""
        assert self.status in statuses, f"expected {' or '.join(map(str, statuses))}, got {self}"
        return self

    def problem(self, status: int) -> Problem:
        """The problem document of a refused request, which must have this status."""
        self.expect(status)
        assert self.content_type == "application/problem+json", f"not problem+json but {self.content_type!r}: {self}"
        document = self.json
        assert document.get("status") == status, f"`status` in the body is not {status}: {self}"
        for field in ("type", "title", "detail"):
            assert isinstance(document.get(field), str) and document[field], f"no `{field}`: {self}"
        return Problem(document, self)

    def __str__(self) -> str:
        text = self.body.decode("utf-8", "replace")
        return f"{self.request} -> {self.status}: {text if len(text) < 2000 else text[:2000] + '…'}"

    __repr__ = __str__


class Problem:
    """RFC 9457 problem details, with the JSON pointers of the fields that are at fault."""

    def __init__(self, document: dict[str, Any], response: Response) -> None:
        self.document = document
        self.response = response
        self.detail: str = document["detail"]
        self.pointers = [entry.get("pointer") for entry in document.get("errors", [])]

    @property
    def text(self) -> str:
        """Everything a person reads in it, in lower case."""
        entries = self.document.get("errors", [])
        said = [self.document["title"], self.detail, *(str(v) for entry in entries for v in entry.values())]
        return " ".join(said).lower()

    def points_to(self, *pointers: str) -> Problem:
        for pointer in pointers:
            assert pointer in self.pointers, f"no error points to {pointer}, only {self.pointers}: {self.response}"
        return self

    def says(self, *words: str) -> Problem:
        for word in words:
            assert word.lower() in self.text, f"does not say {word!r}: {self.response}"
        return self


class Admin:
    """Requests to one admin endpoint: `host:port`, or the path of a unix socket."""

    def __init__(self, address: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self.address = address.removeprefix("unix:")
        self.is_unix = self.address.startswith("/")
        self.timeout = timeout
        #: Sent with each request that has no Authorization of its own, where there is one.
        self.token: str | None = None

    def authorized(self, token: str | None) -> Admin:
        """The same endpoint for who has this token."""
        other = Admin(self.address, self.timeout)
        other.token = token
        return other

    # The verbs

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def put(self, path: str, json: Any = None, **options: Any) -> Response:
        return self.request("PUT", path, json=json, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> Response:
        return self.request("POST", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> Response:
        return self.request("DELETE", path, **options)

    # What tests ask all the time

    def config(self) -> Any:
        return self.get("/config").expect(200).json

    def config_text(self) -> bytes:
        return self.get("/config").expect(200).body

    def services(self) -> list[dict[str, Any]]:
        return self.get("/").expect(200).json

    def service(self, name: str) -> dict[str, Any]:
        return self.get(f"/{name}").expect(200).json

    def backend(self, service: str, name: str) -> dict[str, Any]:
        return self.get(f"/{service}/{name}").expect(200).json

    def change(self, path: str, json: Any, method: str = "PUT") -> Any:
        """A change that must be accepted; returns the whole resulting configuration."""
        return self.request(method, path, json=json).expect(200).json

    def remove(self, path: str) -> Any:
        return self.delete(path).expect(200).json

    # The request itself

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        content_type: str | None = JSON,
        host: str | None = "",
        chunked: bool = False,
    ) -> Response:
        """One request on a connection of its own.

        `json` is encoded, `body` is sent as it is (in chunks, where it is iterable or `chunked`). `content_type` None
        sends no such header; `host` "" sends the address in use, None sends none.
        """
        with self.open() as session:
            return session.request(
                method, path, json=json, body=body, headers=headers, content_type=content_type, host=host,
                chunked=chunked, close=True,
            )  # fmt: skip

    def open(self) -> Session:
        return Session(self)

    def head(self, method: str, path: str, *headers: str) -> bytes:
        """A request's head as bytes, with the right Host, for tests that send it by hand."""
        host = "localhost" if self.is_unix else self.address
        if self.token is not None:
            headers = (*headers, f"Authorization: Bearer {self.token}")
        return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *headers, "", ""]).encode()

    def connect(self) -> socket.socket:
        """A bare connection, for requests that are not what a client should send."""
        if self.is_unix:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.settimeout(self.timeout)
            try:
                connection.connect(self.address)
            except OSError:
                connection.close()
                raise
            return connection
        connection = socket.create_connection(split(self.address), self.timeout)
        # As curl does. http.client sends a body apart from its head, which would wait 40 ms for an acknowledgement.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection


class Session:
    """A kept-open admin connection."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._http = http.client.HTTPConnection("localhost", timeout=admin.timeout)
        self._http.sock = admin.connect()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        content_type: str | None = JSON,
        host: str | None = "",
        chunked: bool = False,
        close: bool = False,
    ) -> Response:
        if json is not None:
            assert body is None, "give either json or body"
            body = _encoded(json)
        connection = self._http
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        if host is not None:
            connection.putheader("Host", host or ("localhost" if self._admin.is_unix else self._admin.address))
        given = list(headers.items() if isinstance(headers, Mapping) else headers)
        if self._admin.token is not None and not any(name.lower() == "authorization" for name, _ in given):
            given.append(("Authorization", f"Bearer {self._admin.token}"))
        for name, value in given:
            connection.putheader(name, value)
        if close:
            connection.putheader("Connection", "close")
        if body is not None:
            if content_type is not None:
                connection.putheader("Content-Type", content_type)
            chunked = chunked or not isinstance(body, bytes)
            if chunked:
                connection.putheader("Transfer-Encoding", "chunked")
            elif not any(name.lower() == "content-length" for name, _ in given):
                connection.putheader("Content-Length", str(len(body)))  # type: ignore[arg-type]
        try:
            connection.endheaders(body, encode_chunked=chunked)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before the body was read: the answer may still be there to read
        raw = connection.getresponse()
        return Response(f"{method} {path}", raw, raw.read())


def _encoded(value: Any) -> bytes:
    return json.dumps(value).encode()
