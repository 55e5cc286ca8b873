"""Owns a client of `/v1/events`: it reads the stream on a thread of its own and takes events apart as browsers do."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import Any

from .admin import Admin
from .wait import eventually


class Events:
    """A stream of events, from its beginning on. To be closed."""

    def __init__(self, admin: Admin, query: str = "", last_event_id: str | None = None) -> None:
        self.all: list[dict[str, Any]] = []
        self.last_id = last_event_id
        self.is_over = False
        #: Whether the stream has ended as an answer ends, and not in the middle.
        self.is_whole = False
        self._socket = admin.connect()
        self._socket.settimeout(60)
        headers = [] if last_event_id is None else [f"Last-Event-ID: {last_event_id}"]
        self._socket.sendall(admin.head("GET", "/v1/events" + query, *headers))
        self._stream = self._socket.makefile("rb")
        status = self._stream.readline()
        assert status.startswith(b"HTTP/1.1 200 "), status
        while self._stream.readline() not in (b"\r\n", b""):
            pass
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        text = b""
        with contextlib.suppress(OSError, ValueError):  # a stream that breaks ends in the middle of a chunk
            while size := int(self._stream.readline(), 16):
                text += self._stream.read(size)
                self._stream.readline()
                *complete, text = text.split(b"\n\n")
                for block in complete:
                    self._take(block.decode())
            self.is_whole = True
        self.is_over = True

    def _take(self, block: str) -> None:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        self.last_id = fields.get("id", self.last_id)
        if "data" in fields:
            self.all.append({"event": fields["event"], "id": fields["id"], **json.loads(fields["data"])})

    def of(self, kind: str, **values: Any) -> list[dict[str, Any]]:
        """Those of a kind that have these values."""
        return [e for e in list(self.all) if e["event"] == kind and all(e.get(k) == v for k, v in values.items())]

    def wait_for(self, kind: str, deadline: float = 10.0, **values: Any) -> dict[str, Any]:
        """The first of a kind that has these values."""
        found = eventually(
            lambda: self.of(kind, **values), lambda: f"{kind} {values} is told, but only {self.all}", deadline
        )
        return found[0]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing would not
        self._thread.join(10)
        assert not self._thread.is_alive(), "the stream is still being read"
        self._stream.close()
        self._socket.close()
