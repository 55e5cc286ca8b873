"""Owns the server programs that people run and that tests put behind shuttled: nginx, redis, `openssl s_server`.

Leaves to `peers.py` the servers with habits of our own making.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from .ports import free_address, port_of
from .process import end, spawn
from .stage import Stage
from .streams import connect
from .wait import eventually


class Program:
    """A server program that is ready when its port takes connections."""

    def __init__(self, command: list[str], address: str, log: Path) -> None:
        self.address = address
        self._log = log
        self._process = spawn(command, log=log)
        try:
            eventually(lambda: _listens(address), f"{command[0]} listens at {address}")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}\n{log.read_text()}") from None

    def close(self) -> None:
        end(self._process)


def _listens(address: str) -> bool:
    connect(address).close()
    return True


def nginx(stage: Stage, name: str) -> Program:
    """Serves the files below `<name>/files`, its name at /name, and a 503 at /sick."""
    home = stage.directory / name
    (home / "files").mkdir(parents=True)
    locations = f"""
        location / {{ root {home}/files; }}
        location = /name {{ return 200 "{name}"; }}
        location = /sick {{ return 503 "not now"; }}
    """
    return _nginx(stage, home, free_address(), "", locations)


def nginx_before(stage: Stage, admin: str, certificate: Path, key: Path) -> Program:
    """Speaks TLS, and passes everything on to `admin`, as it is called."""
    home = stage.directory / "tls"
    home.mkdir()
    locations = f"""
        ssl_certificate {certificate}; ssl_certificate_key {key};
        location / {{ proxy_pass http://{admin}; proxy_http_version 1.1; proxy_set_header Host $http_host; }}
    """
    return _nginx(stage, home, free_address(), "ssl", locations)


def _nginx(stage: Stage, home: Path, address: str, listening: str, locations: str) -> Program:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    assert program, "nginx is not installed: apt-get install nginx-light"
    config = home / "nginx.conf"
    user = "user root;" if Path("/proc/self").owner() == "root" else ""
    config.write_text(
        f"""
        daemon off; worker_processes 1; pid {home}/nginx.pid; error_log {home}/error.log; {user}
        events {{ worker_connections 512; }}
        http {{
            access_log off; default_type application/octet-stream; sendfile on;
            client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
            uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi; client_max_body_size 100m;
            server {{
                listen {address} {listening} backlog=1024;
                {locations}
            }}
        }}
        """
    )
    return stage.add(
        Program([program, "-c", str(config), "-e", f"{home}/error.log", "-p", str(home)], address, home / "log")
    )


def redis_server(stage: Stage, address: str | None = None, *options: str) -> Program:
    """Keeps its data in `<stage>/dump.rdb`, and writes it only when it is told to."""
    program = shutil.which("redis-server")
    assert program, "redis is not installed: apt-get install redis-server"
    address = address or free_address()
    port = str(port_of(address))
    arguments = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    command = [program, *arguments, "--dir", str(stage.directory), *options]
    return stage.add(Program(command, address, stage.directory / "redis.log"))


def tls_server(stage: Stage, certificate: Path, key: Path) -> Program:
    """`openssl s_server`, which says nothing by itself."""
    program = shutil.which("openssl")
    assert program, "openssl is not installed: apt-get install openssl"
    address = free_address()
    files = ["-cert", str(certificate), "-key", str(key)]
    command = [program, "s_server", "-accept", address, *files, "-quiet", "-naccept", "1000000"]
    return stage.add(Program(command, address, stage.directory / "openssl.log"))
