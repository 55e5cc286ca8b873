"""Owns the PROXY protocol as Python makes and reads it, and the programs that speak it: haproxy, nginx's stream module."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import struct
from pathlib import Path

from .ports import free_address, split
from .programs import Program
from .stage import Stage
from .streams import read_exactly

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PROGRAM_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"


def v1(source: str, destination: str) -> bytes:
    """`source` and `destination` are `host:port`."""
    (source_host, source_port), (host, port) = split(source), split(destination)
    family = "TCP6" if ":" in host else "TCP4"
    return f"PROXY {family} {source_host} {host} {source_port} {port}\r\n".encode()


def v2(source: str, destination: str, extras: bytes = b"") -> bytes:
    (source_host, source_port), (host, port) = split(source), split(destination)
    family = 0x21 if ":" in host else 0x11
    hosts = ipaddress.ip_address(source_host).packed + ipaddress.ip_address(host).packed
    return v2_of(0x21, family, hosts + struct.pack(">HH", source_port, port) + extras)


def v2_datagram(source: str, destination: str, extras: bytes = b"") -> bytes:
    """The same for a datagram."""
    header = v2(source, destination, extras)
    return header[:13] + bytes([header[13] + 1]) + header[14:]


def v2_of(command: int, family: int, content: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack(">BBH", command, family, len(content)) + content


def read_header(connection: socket.socket) -> tuple[str, str | None]:
    """Takes a header off a connection: `v1` or `v2`, and where it says the client comes from (None for nowhere)."""
    start = read_exactly(connection, 12)
    if start != SIGNATURE:
        line = start
        while not line.endswith(b"\r\n"):
            line += read_exactly(connection, 1)
        words = line.decode().split()
        assert words[0] == "PROXY", line
        return "v1", None if words[1] == "UNKNOWN" else f"{ipaddress.ip_address(words[2])}:{words[4]}"
    command, family, length = struct.unpack(">BBH", read_exactly(connection, 4))
    content = read_exactly(connection, length) if length else b""
    if command == 0x20:
        return "v2", None
    size = 4 if family == 0x11 else 16
    assert family in (0x11, 0x21), family
    port = struct.unpack_from(">H", content, 2 * size)[0]
    return "v2", f"{ipaddress.ip_address(content[:size])}:{port}"


def haproxy(stage: Stage, name: str, body: str) -> Program:
    """Runs the given `listen` sections; the first bind's address is `{address}` in the text."""
    program = shutil.which("haproxy", path=PROGRAM_PATH)
    assert program, "haproxy is not installed: apt-get install haproxy"
    address = free_address()
    config = stage.directory / f"{name}.cfg"
    config.write_text(
        "defaults\n timeout connect 10s\n timeout client 60s\n timeout server 60s\n mode tcp\n"
        + body.replace("{address}", address)
        + "\n"
    )
    return stage.add(Program([program, "-db", "-f", str(config)], address, stage.directory / f"{name}.log"))


def nginx_stream(stage: Stage, name: str, body: str) -> Program:
    """nginx with the given servers of its stream module; the first one's address is `{address}` in the text."""
    program = shutil.which("nginx", path=PROGRAM_PATH)
    assert program, "nginx is not installed: apt-get install nginx-light libnginx-mod-stream"
    address = free_address()
    home = stage.directory / name
    home.mkdir()
    config = home / "nginx.conf"
    user = "user root;" if Path("/proc/self").owner() == "root" else ""
    config.write_text(
        f"load_module /usr/lib/nginx/modules/ngx_stream_module.so; daemon off; worker_processes 1; {user}\n"
        f"pid {home}/nginx.pid; error_log {home}/error.log; events {{ worker_connections 512; }}\n"
        f"stream {{ {body.replace('{address}', address)} }}\n"
    )
    command = [program, "-c", str(config), "-e", f"{home}/error.log", "-p", str(home)]
    return stage.add(Program(command, address, home / "log"))
