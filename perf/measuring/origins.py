"""Owns the servers behind the proxies: what they answer with and where they listen.

Leaves to others the proxies (peers) and the clients (load). Every proxy reaches an origin by an address of its own, so
that the ports one has used up are not missing to the next.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from measuring.programs import program
from measuring.stage import Stage

EVERYWHERE = "0.0.0.0"
HTTP_PORT = 9001
BULK_PORT = 9002
GREETING_PORT = 9003
SIZES = (100, 4096, 65536)
GREETING_BYTES = 64
Kind = Literal["http", "bulk", "greeting"]
CLIENTS = pathlib.Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Origin:
    port: int
    process: subprocess.Popen[bytes]


def start(kind: Kind, stage: Stage, workers: int = 1) -> Origin:
    return {"http": lambda: http(stage, workers), "bulk": lambda: bulk(stage), "greeting": lambda: greeting(stage)}[kind]()


def http(stage: Stage, workers: int) -> Origin:
    """nginx with answers of fixed sizes at /SIZE, from the page cache."""
    folder = stage.folder / "origin"
    folder.mkdir()
    for size in SIZES:
        (folder / str(size)).write_bytes(b"x" * size)
    configuration = stage.file("origin.conf", f"""\
user root; daemon off; worker_processes {workers}; pid {stage.folder}/origin.pid; error_log stderr warn;
events {{ worker_connections 16384; }}
http {{
    access_log off; sendfile on; tcp_nopush on; open_file_cache max=16; open_file_cache_valid 1d;
    keepalive_requests 1000000000; keepalive_timeout 1h; client_header_timeout 1h; etag off;
    server {{ listen {EVERYWHERE}:{HTTP_PORT} backlog=4096; root {folder}; }}
}}
""")
    command = [program("nginx"), "-e", "stderr", "-c", str(configuration)]
    return Origin(HTTP_PORT, stage.start(command, {(EVERYWHERE, HTTP_PORT)}))


def bulk(stage: Stage) -> Origin:
    command = [program("iperf3"), "-s", "-4", "-p", str(BULK_PORT), "-B", EVERYWHERE]
    return Origin(BULK_PORT, stage.start(command, {(EVERYWHERE, BULK_PORT)}))


def greeting(stage: Stage) -> Origin:
    """Speaks first: sends a line to whoever connects and closes."""
    command = [sys.executable, str(CLIENTS / "greet.py"), str(GREETING_PORT), str(GREETING_BYTES)]
    return Origin(GREETING_PORT, stage.start(command, {(EVERYWHERE, GREETING_PORT)}))
