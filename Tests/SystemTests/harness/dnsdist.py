"""Owns dnsdist on either side of the PROXY protocol before datagrams: a DNS server that takes headers and answers with its
client's address, and a proxy that puts one before each question."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

from .ports import free_address, split
from .process import end, spawn
from .wait import eventually

#: A question about `ready.test`, type A.
QUESTION = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05ready\x04test\x00\x00\x01\x00\x01"

ANSWERING = """\
setProxyProtocolACL({"127.0.0.1/32"})
function answer(question)
  return DNSAction.Spoof, question.remoteaddr:toString()
end
addAction(AllRule(), LuaAction(answer))
"""
FORWARDING = 'newServer({address="BACKEND", useProxyProtocol=true, healthCheckMode="up"})\n'


class Dnsdist:
    """Any name has the address of whoever asks; as a header says it, where there is one. Where `backend` is given questions
    go there instead, each behind a header."""

    def __init__(self, directory: Path, backend: str = "") -> None:
        program = shutil.which("dnsdist", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        assert program, "dnsdist is not installed: apt-get install dnsdist"
        directory.mkdir(parents=True, exist_ok=True)
        self.address = free_address()
        config = directory / "dnsdist.conf"
        config.write_text(
            f'setLocal("{self.address}")\nsetACL({{"127.0.0.0/8"}})\n'
            + (FORWARDING.replace("BACKEND", backend) if backend else ANSWERING)
        )
        self._log = directory / "log"
        command = [program, "--supervised", "--disable-syslog", "-C", str(config)]
        self._process: subprocess.Popen[bytes] = spawn(command, log=self._log)
        try:
            if backend:
                eventually(self._is_there, f"dnsdist listens at {self.address}")
                return
            eventually(self._answers, f"dnsdist answers at {self.address}")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}\n{self._log.read_text()}") from None

    def _is_there(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as asking:
            return asking.connect_ex(split(self.address)) == 0

    def _answers(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            # From an address that need not say whose datagrams it sends.
            asking.bind(("127.0.0.5", 0))
            asking.connect(split(self.address))
            asking.send(QUESTION)
            return asking.recv(512).endswith(socket.inet_aton("127.0.0.5"))

    def close(self) -> None:
        end(self._process)
