"""Owns a DNS server whose names a test decides: dnsmasq, which knows nothing but what it is told.

Names end in `.test`, which no other server answers for. What changes takes effect by a new start, as nothing else makes
dnsmasq forget an SRV record; questions that come in between are refused, as by any server that is started anew.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from .ports import free_address, port_of, split
from .process import end, spawn
from .wait import eventually

#: What a question about `ready.test` is answered with as soon as the server runs.
READY = "127.0.0.9"


class Dnsmasq:
    """Records are lines of dnsmasq's configuration: `host`, `server` and `alias` write them."""

    def __init__(self, directory: Path, *records: str, time_to_live: int = 1) -> None:
        program = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        assert program, "dnsmasq is not installed: apt-get install dnsmasq-base"
        directory.mkdir(parents=True, exist_ok=True)
        self.address = free_address()
        self._program = program
        self._time_to_live = time_to_live
        self._config = directory / "dnsmasq.conf"
        self._log = directory / "dnsmasq.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.serve(*records)

    def serve(self, *records: str) -> None:
        """From now on it knows these, and nothing else."""
        self.stop()
        user = Path("/proc/self").owner()
        lines = [
            "no-resolv", "no-hosts", "bind-interfaces", "listen-address=127.0.0.1", "local=/test/", "log-queries",
            f"port={port_of(self.address)}", f"local-ttl={self._time_to_live}", f"user={user}",
            f"host-record=ready.test,{READY}", *records,
        ]  # fmt: skip
        self._config.write_text("\n".join(lines) + "\n")
        command = [self._program, "--keep-in-foreground", "--log-facility=-", "--pid-file=", f"--conf-file={self._config}"]
        self._process = spawn(command, log=self._log)
        try:
            eventually(self._answers, f"dnsmasq answers at {self.address}")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}\n{self._log.read_text()}") from None

    def stop(self) -> None:
        """From now on nobody answers; the kernel says so to those who ask."""
        if self._process is not None:
            end(self._process)
            self._process = None

    close = stop

    def questions(self, name: str, kind: str = "A") -> int:
        """How often it has been asked, ever."""
        return self._log.read_text().count(f"query[{kind}] {name} ")

    def _answers(self) -> bool:
        # One question for ready.test, type A, as bytes: the resolver of this machine must not be asked.
        question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05ready\x04test\x00\x00\x01\x00\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            asking.connect(split(self.address))
            asking.send(question)
            return asking.recv(512).endswith(socket.inet_aton(READY))


def host(name: str, *addresses: str) -> str:
    """Addresses of a name, IPv4 and IPv6."""
    # A host-record holds one of each family; several lines add up.
    return "\n".join(f"host-record={name},{address}" for address in addresses)


def alias(name: str, of: str) -> str:
    return f"cname={name},{of}"


def server(name: str, target: str, port: int, priority: int = 0, weight: int = 1) -> str:
    """An SRV record."""
    return f"srv-host={name},{target},{port},{priority},{weight}"


class Silent:
    """A DNS server that takes questions and never answers."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(split(address))

    def close(self) -> None:
        self._socket.close()
