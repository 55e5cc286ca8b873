"""Owns running `shuttled ctl` as a script does and as a person at a terminal does, and a server that is not shuttled."""

from __future__ import annotations

import fcntl
import http.server
import os
import pty
import re
import resource
import select
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence
from typing import Any

from .shuttled import binary
from .wait import eventually

from harness.patience import patient

RUN_SECONDS = patient(30.0)


def environment(**variables: str) -> dict[str, str]:
    """Ours, without what would make the client another one."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SHUTTLE_") and name != "NO_COLOR"}
    return {**ours, "TERM": "xterm-256color", **variables}


def command(*arguments: str) -> list[str]:
    return [str(binary()), "ctl", *arguments]


def ctl(*arguments: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A run to its end, with nothing that is a terminal."""
    return subprocess.run(
        command(*arguments), input=stdin, capture_output=True, text=True, timeout=RUN_SECONDS, env=environment(**variables)
    )


def _take_terminal() -> None:
    """What the shell of a login does; and SIGQUIT leaves no core in the folder of whoever runs the tests."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Terminal:
    """`shuttled ctl` on a pseudo-terminal of its own, and all that it has written to it."""

    def __init__(self, *arguments: str, size: tuple[int, int] = (80, 24), **variables: str) -> None:
        self._ours, self._theirs = pty.openpty()
        self.resize(*size)
        self.settings = termios.tcgetattr(self._theirs)
        self.process = subprocess.Popen(
            command(*arguments),
            stdin=self._theirs, stdout=self._theirs, stderr=self._theirs, env=environment(**variables),
            start_new_session=True, preexec_fn=_take_terminal,
        )  # fmt: skip
        self._written = b""

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    @property
    def written(self) -> str:
        while select.select([self._ours], [], [], 0)[0]:
            self._written += os.read(self._ours, 65536)
        return self._written.decode(errors="replace")

    @property
    def screen(self) -> list[str]:
        """The lines of the last whole picture, without what is no text."""
        pictures = self.written.split("\x1b[H")[1:]
        whole = [picture for picture in pictures if "\x1b[J" in picture]
        return [re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "", line) for line in whole[-1].splitlines()] if whole else []

    def shows(self, *words: str) -> bool:
        return all(any(word in line for line in self.screen) for word in words)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._theirs) == self.settings

    def end(self) -> int:
        """Its exit code, once it has ended; what it wrote is read meanwhile, or it could not end."""
        eventually(lambda: (self.written, self.process.poll())[1] is not None, lambda: f"it ends: {self.written[-500:]!r}")
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)


class Impostor:
    """An HTTP server that answers everything in one way, and remembers what it was asked."""

    def __init__(self, status: int, body: str = "", headers: Sequence[tuple[str, str]] = ()) -> None:
        self.requests: list[Any] = []
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                self.body = self.rfile.read(length)
                requests.append(self)
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - the names are the library's

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()



class Follower:
    """A run that goes on, and the lines that it has printed."""

    def __init__(self, *arguments: str, **variables: str) -> None:
        self.process = subprocess.Popen(
            command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**variables)
        )
        self.lines: list[str] = []
        self.said: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.lines), (self.process.stderr, self.said))
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _read(stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)

    def end(self, seconds: float = RUN_SECONDS) -> int:
        code = self.process.wait(seconds)
        for thread in self._threads:
            thread.join(seconds)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
