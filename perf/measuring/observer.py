"""Looks at a shuttled once a second as a Prometheus and a person at the dashboard do, until it is ended.

    python3 perf/measuring/observer.py SOCKET    the unix socket of the admin endpoint

Owns what is looked at. A process of its own: one that has entered namespaces can start no threads.
"""

from __future__ import annotations

import http.client
import socket
import sys
import time

SECONDS = 1.0
PATHS = ("/metrics", "/_stats", "/v1/rings", "/v1/recent?limit=100", "/v1/connections?limit=100&interval=0")


class UnixConnection(http.client.HTTPConnection):
    """A client of an admin endpoint on a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def main(path: str) -> None:
    connection = UnixConnection(path)
    while True:
        time.sleep(SECONDS)
        for target in PATHS:
            connection.request("GET", target)
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                sys.exit(f"shuttled answered {response.status} to GET {target}: {text[:500]!r}")


if __name__ == "__main__":
    main(sys.argv[1])
