"""Owns a DNS server that takes the PROXY protocol before datagrams: dnsdist, which answers with its client's address."""

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


class Dnsdist:
    """Any name has the address of whoever asks; as a header says it, where there is one."""

    def __init__(self, directory: Path) -> None:
        program = shutil.which("dnsdist", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
        assert program, "dnsdist is not installed: apt-get install dnsdist"
        directory.mkdir(parents=True, exist_ok=True)
        self.address = free_address()
        config = directory / "dnsdist.conf"
        config.write_text(
            f'setLocal("{self.address}")\n'
            'setACL({"127.0.0.0/8"})\n'
            'setProxyProtocolACL({"127.0.0.1/32"})\n'
            "function answer(question)\n"
            "  return DNSAction.Spoof, question.remoteaddr:toString()\n"
            "end\n"
            "addAction(AllRule(), LuaAction(answer))\n"
        )
        self._log = directory / "log"
        command = [program, "--supervised", "--disable-syslog", "-C", str(config)]
        self._process: subprocess.Popen[bytes] = spawn(command, log=self._log)
        try:
            eventually(self._answers, f"dnsdist answers at {self.address}")
        except AssertionError as error:
            self.close()
            raise AssertionError(f"{error}\n{self._log.read_text()}") from None

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
