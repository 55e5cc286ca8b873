"""Owns the proxies: how each is configured at its best, started, and changed while it runs.

Leaves to others what they are used for (workloads). Why the settings are as they are stands in perf/README.md.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from measuring import accounting, sockets
from measuring.observer import UnixConnection
from measuring.programs import nginx_stream_module, program
from measuring.stage import Stage, end

IDLE_SECONDS = 600
# Enough for the idle sessions, and within 20,000 descriptors, a common limit of containers.
CONNECTIONS = 6000
BACKLOG = 4096
# haproxy copies bulk faster with 256 KiB and takes more for each new connection; splicing is its best at bulk anyway.
HAPROXY_BUFFER_BYTES = 65536
HAPROXY_PIPE_BYTES = 524288
NGINX_BUFFER = "256k"
FIRST_PORT = 2000


@dataclass(frozen=True)
class Site:
    """What a proxy is put in front of: `services` listeners at consecutive ports, all with the same backend."""

    address: str
    services: int
    backend: str

    @property
    def ports(self) -> range:
        return range(FIRST_PORT, FIRST_PORT + self.services)

    @property
    def listeners(self) -> set[tuple[str, int]]:
        return {(self.address, port) for port in self.ports}


class Proxy:
    """A proxy that runs. `changes` says how it takes a change of one service."""

    changes = "none"

    def __init__(self, name: str, stage: Stage, site: Site) -> None:
        self.name = name
        self.stage = stage
        self.site = site
        self.folder = stage.folder / name
        self.folder.mkdir(exist_ok=True)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._seconds_of_ended = 0.0

    @property
    def address(self) -> str:
        return self.site.address

    @property
    def port(self) -> int:
        return self.site.ports[-1]

    def cpu_seconds(self) -> float:
        return self._seconds_of_ended + sum(accounting.tree_seconds(process.pid) for process in self.processes)

    def memory(self) -> accounting.Memory:
        parts = [accounting.memory(process.pid) for process in self.processes]
        return accounting.Memory(sum(part.resident for part in parts), sum(part.proportional for part in parts))

    def forget_peaks(self) -> None:
        for process in self.processes:
            accounting.forget_peaks(process.pid)

    def peak_resident(self) -> int:
        return sum(accounting.peak_resident(process.pid) for process in self.processes)

    def change(self, number: int) -> None:
        """Changes one service that carries no load, and returns when the proxy says or shows that it has been done."""
        raise NotImplementedError

    def statistics(self) -> Any:
        """What the proxy itself says of its rings; None where it says nothing."""
        return None

    def reap(self) -> None:
        """Takes note of what processes have used that have ended."""
        for process in list(self.processes[:-1]):
            with contextlib.suppress(ChildProcessError):
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    self._seconds_of_ended += usage.ru_utime + usage.ru_stime
                    self.processes.remove(process)

    def stop(self) -> None:
        for process in self.processes:
            end(process)
        self.processes.clear()

    def _start(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.processes.append(self.stage.start(command, self.site.listeners, environment))


class Shuttled(Proxy):
    changes = "PUT of a service's backend, answered"

    def __init__(
        self, name: str, stage: Stage, site: Site, binary: pathlib.Path, environment: dict[str, str], rings: int = 1,
        observation: Observation | None = None,
    ) -> None:
        super().__init__(name, stage, site)
        self._observer: Observer | None = None
        is_observed = observation is not None and observation.is_on
        configuration = self.folder / "shuttle.json"
        # iperf3's server ends its streams by resets without having said a word, which counts as failures of a backend.
        # Older builds know nothing of that, and refuse the field.
        logged = {"access_log": {}} if is_observed else {}
        for more in ({"passive": {"failures": 0}, **logged}, logged):
            configuration.write_text(json.dumps([self._service(port) | more for port in site.ports]))
            if subprocess.run(
                [str(binary), "-check", "-config", str(configuration)], capture_output=True, check=False
            ).returncode == 0:  # fmt: skip
                break
        self._admin = str(self.folder / "admin.sock")
        self._start(
            [str(binary), "-config", str(configuration), "-http", f"unix:{self._admin}", "-rings", str(rings),
             "-drain-timeout", "0", "-log-level", "warning", *(observation.arguments(self.folder) if observation else [])],
            environment,
        )
        if is_observed:
            self._observer = Observer(self._admin)
            stage.at_end(self._end_observing)

    def _service(self, port: int) -> dict[str, Any]:
        return {
            "name": f"service-{port}", "address": f"{self.address}:{port}",
            "client_timeout": IDLE_SECONDS * 1000, "server_timeout": IDLE_SECONDS * 1000,
            "backends": [{"name": "origin", "address": self.site.backend}],
        }

    def change(self, number: int) -> None:
        port = self.site.ports[number % (self.site.services - 1)]
        backend = {"address": self.site.backend, "weight": 1 + number % 2}
        status, text = self._ask("PUT", f"/service-{port}/origin", json.dumps(backend))
        if status not in (200, 204):
            raise RuntimeError(f"shuttled answered {status} to a change: {text[:500]}")

    def statistics(self) -> Any:
        status, text = self._ask("GET", "/v1/rings")
        return json.loads(text) if status == 200 else None

    def stop(self) -> None:
        self._end_observing()
        super().stop()

    def _end_observing(self) -> None:
        observer, self._observer = self._observer, None
        if not observer:
            return
        observer.stop()
        if not (self.folder / "access.log").stat().st_size:
            raise RuntimeError("nothing was written to the access log, so its cost was not measured")

    def _ask(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        connection = UnixConnection(self._admin)
        try:
            connection.request(
                method, path, body, {"Content-Type": "application/json", "Prefer": "return=minimal"} if body else {}
            )
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        finally:
            connection.close()


@dataclass(frozen=True)
class Observation:
    """Everything that shuttled can tell of what it does, or nothing of it."""

    is_on: bool

    def arguments(self, folder: pathlib.Path) -> list[str]:
        return ["-access-log", str(folder / "access.log")] if self.is_on else ["-recent", "0"]


class Observer:
    """Looks at a shuttled while it is measured. What it costs shuttled to answer is measured with it."""

    def __init__(self, path: str) -> None:
        script = pathlib.Path(__file__).with_name("observer.py")
        self._process = subprocess.Popen([sys.executable, str(script), path], stderr=subprocess.PIPE, text=True)

    def stop(self) -> None:
        self._process.terminate()
        _, said = self._process.communicate()
        if self._process.returncode != -signal.SIGTERM:
            raise RuntimeError(f"nobody looked at it, so nothing was measured: {said.strip()}")


class HAProxy(Proxy):
    changes = "reload with haproxy -sf, until the new process listens"

    def __init__(self, name: str, stage: Stage, site: Site, splice: bool) -> None:
        super().__init__(name, stage, site)
        self._splice = splice
        self._configuration = self.folder / "haproxy.cfg"
        self._write(0)
        self._start(self._command())

    def _command(self) -> list[str]:
        return [program("haproxy"), "-f", str(self._configuration), "-db"]

    def _write(self, number: int) -> None:
        splice = "    option splice-request\n    option splice-response\n" if self._splice else ""
        changed = self.site.ports[number % max(1, self.site.services - 1)]
        services = "".join(
            f"listen service-{port}\n    bind {self.address}:{port} backlog {BACKLOG}\n"
            f"    server origin {self.site.backend} weight {1 + number % 2 if port == changed else 1}\n"
            for port in self.site.ports
        )
        self._configuration.write_text(f"""\
global
    nbthread 1
    maxconn {CONNECTIONS}
    tune.bufsize {HAPROXY_BUFFER_BYTES}
    tune.pipesize {HAPROXY_PIPE_BYTES}
defaults
    mode tcp
    maxconn {CONNECTIONS}
    timeout connect 5s
    timeout client {IDLE_SECONDS}s
    timeout server {IDLE_SECONDS}s
{splice}{services}""")

    def change(self, number: int) -> None:
        self._write(number)
        before = sockets.listening_inodes(self.address)
        old = [str(accounting.innermost_pid(process.pid)) for process in self.processes]
        self._start([*self._command(), "-sf", *old])
        _wait_for(
            lambda: not before & sockets.listening_inodes(self.address), "the old haproxy stops listening after a reload"
        )
        self.reap()


class Nginx(Proxy):
    changes = "reload by SIGHUP, until the new worker runs"

    def __init__(self, name: str, stage: Stage, site: Site) -> None:
        super().__init__(name, stage, site)
        self._configuration = self.folder / "nginx.conf"
        self._write(0)
        self._start([program("nginx"), "-e", "stderr", "-c", str(self._configuration)])

    def _write(self, number: int) -> None:
        module = nginx_stream_module()
        load = f"load_module {module};\n" if module else ""
        changed = self.site.ports[number % max(1, self.site.services - 1)]
        servers = "".join(
            f"    server {{ listen {self.address}:{port} backlog={BACKLOG}; "
            f"proxy_pass {'changed' if port == changed and number % 2 else 'origin'}; }}\n"
            for port in self.site.ports
        )
        self._configuration.write_text(f"""\
{load}daemon off; worker_processes 1;
pid {self.folder}/pid; error_log stderr warn;
events {{ worker_connections {2 * CONNECTIONS + 100}; multi_accept on; }}
stream {{
    tcp_nodelay on; proxy_buffer_size {NGINX_BUFFER}; proxy_timeout {IDLE_SECONDS}s;
    upstream origin {{ server {self.site.backend}; }}
    upstream changed {{ server {self.site.backend} weight=2; }}
{servers}}}
""")

    def change(self, number: int) -> None:
        self._write(number)
        before = set(accounting.children(self.processes[0].pid))
        self.processes[0].send_signal(signal.SIGHUP)
        _wait_for(
            lambda: bool(set(accounting.children(self.processes[0].pid)) - before), "nginx starts a worker at a reload"
        )


def _wait_for(is_true: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() >= deadline:
            raise RuntimeError(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.005)


@dataclass(frozen=True)
class Kind:
    """A proxy that may be chosen: its name, what it is, and how one is put up at a site."""

    name: str
    description: str
    start: Callable[[Stage, Site], Proxy]


HAPROXY_COPY = Kind(
    "haproxy-copy", "haproxy, one thread, copying", lambda stage, site: HAProxy("haproxy-copy", stage, site, splice=False)
)
HAPROXY_SPLICE = Kind(
    "haproxy-splice", "haproxy, one thread, splicing",
    lambda stage, site: HAProxy("haproxy-splice", stage, site, splice=True),
)
NGINX = Kind("nginx", "nginx stream, one worker", lambda stage, site: Nginx("nginx", stage, site))
PEERS = (HAPROXY_COPY, HAPROXY_SPLICE, NGINX)


def shuttled(
    binary: pathlib.Path, name: str = "shuttled", environment: dict[str, str] | None = None, rings: int = 1,
    observation: Observation | None = None,
) -> Kind:
    return Kind(
        name, f"shuttled, {rings} ring{'s' if rings > 1 else ''}",
        lambda stage, site: Shuttled(name, stage, site, binary, environment or {}, rings, observation),
    )
