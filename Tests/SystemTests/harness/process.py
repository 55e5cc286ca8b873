"""Owns starting programs so that none outlives the tests, and reading what the kernel knows about them.

A program is started by way of `setpriv` and `prlimit` (util-linux), which set the parent death signal and the limits
and then become the program: same process id, no code of ours between fork and exec.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.patience import patient

CLOCK_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
STOP_SECONDS = patient(10.0)


def spawn(
    command: Sequence[str | os.PathLike[str]],
    *,
    log: Path,
    limits: Mapping[str, int] | None = None,
    without_capabilities: Sequence[str] = (),
    wrapper: Sequence[str] = (),
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts `command` in a session of its own, killed when the calling thread ends, its output appended to `log`.

    `limits` are resource limits by prlimit's names (`nofile`, `memlock`), soft and hard alike. `without_capabilities`
    leaves the bounding set, so that also root runs without them. `wrapper` stands before the command. `descriptors` stay open
    in it.
    """
    line: list[str] = ["setpriv", "--pdeathsig", "KILL"]
    if without_capabilities and os.geteuid() == 0:  # others have none to lose
        dropped = ",".join(f"-{name}" for name in without_capabilities)
        line += ["--bounding-set", dropped, "--inh-caps", dropped]
    line.append("--")
    if limits:
        line += ["prlimit", *(f"--{name}={value}:{value}" for name, value in limits.items()), "--"]
    line += [*wrapper, *(os.fspath(word) for word in command)]
    with open(log, "ab") as output:
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=cwd,
            env=None if env is None else {**os.environ, **env},
            start_new_session=True,
            pass_fds=tuple(descriptors),
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills the program and all it started, and reaps it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    process.wait(STOP_SECONDS)


class ProcessView:
    """A process as /proc shows it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._proc = Path("/proc") / str(pid)

    # Memory and time

    def status(self, field: str) -> str:
        match = re.search(rf"^{field}:\s*(.*)$", (self._proc / "status").read_text(), re.MULTILINE)
        assert match, f"/proc/{self.pid}/status has no {field}"
        return match[1]

    @property
    def resident_bytes(self) -> int:
        return int(self.status("VmRSS").split()[0]) * 1024

    @property
    def anonymous_bytes(self) -> int:
        """Resident memory that is not file pages: what a leak makes grow."""
        return int(self.status("RssAnon").split()[0]) * 1024

    @property
    def cpu_seconds(self) -> float:
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_SECOND

    def limit(self, name: str) -> tuple[str, str]:
        """Soft and hard limit, by the name in /proc/PID/limits ("Max open files")."""
        match = re.search(rf"^{name}\s+(\S+)\s+(\S+)", (self._proc / "limits").read_text(), re.MULTILINE)
        assert match, f"no limit {name!r}"
        return match[1], match[2]

    @property
    def threads(self) -> list[int]:
        return sorted(int(entry.name) for entry in (self._proc / "task").iterdir())

    @property
    def is_stopped(self) -> bool:
        """Every thread of it, as after SIGSTOP."""
        return all(
            re.search(r"^State:\s*T", (self._proc / "task" / str(thread) / "status").read_text(), re.MULTILINE)
            for thread in self.threads
        )

    def threads_in_call(self, number: int) -> list[int]:
        """Threads that are waiting inside the system call with this number."""
        inside = []
        for thread in self.threads:
            try:
                words = (self._proc / "task" / str(thread) / "syscall").read_text().split()
            except OSError:
                continue
            if words and words[0] == str(number):
                inside.append(thread)
        return inside

    # Descriptors

    def descriptors(self) -> dict[int, str]:
        """Open descriptors and what they are (`socket:[1234]`, a path, `anon_inode:[io_uring]`)."""
        found = {}
        for entry in os.scandir(self._proc / "fd"):
            try:
                found[int(entry.name)] = os.readlink(entry.path)
            except FileNotFoundError:
                continue  # closed between the two looks
        return found

    def rings(self) -> list[int]:
        """Descriptors of io_uring instances."""
        return sorted(fd for fd, target in self.descriptors().items() if "[io_uring]" in target)

    def completions(self, ring: int) -> int:
        """How many completions this ring has seen, ever (a 32-bit counter)."""
        match = re.search(r"^CqTail:\s*(\d+)", (self._proc / "fdinfo" / str(ring)).read_text(), re.MULTILINE)
        assert match, "this kernel does not report CqTail of a ring"
        return int(match[1])

    def listeners(self) -> dict[int, list[str]]:
        """Inodes of the process's listening TCP and unix sockets, by port (0 for unix sockets)."""
        own = set(re.findall(r"socket:\[(\d+)\]", " ".join(self.descriptors().values())))
        found: dict[int, list[str]] = {}
        for table in ("tcp", "tcp6"):
            path = self._proc / "net" / table
            for line in path.read_text().splitlines()[1:] if path.exists() else ():
                if " 0A " not in line:  # LISTEN; there may be thousands of others
                    continue
                fields = line.split()
                if fields[3] == "0A" and fields[9] in own:
                    found.setdefault(int(fields[1].rpartition(":")[2], 16), []).append(fields[9])
        for line in (self._proc / "net" / "unix").read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[3], 16) & 0x10000 and fields[6] in own:  # __SO_ACCEPTCON: it listens
                found.setdefault(0, []).append(fields[6])
        return found

    def census(self) -> Census:
        listening = sum(len(inodes) for inodes in self.listeners().values())
        everything = self.descriptors()
        pipes = sum(target.startswith("pipe:") for target in everything.values())
        return Census(listening, pipes, len(everything) - listening - pipes, everything)


class Census:
    """Descriptors, counted: those that listen come and go with the configuration, the others with the traffic.

    Pipes are opened for spliced traffic and kept for more of it: there is a limit to them, not a return.
    """

    def __init__(self, listening: int, pipes: int, others: int, targets: Mapping[int, str]) -> None:
        self.listening = listening
        self.pipes = pipes
        self.others = others
        self.targets = targets

    def __str__(self) -> str:
        listed = ", ".join(f"{fd}={target}" for fd, target in sorted(self.targets.items()))
        return f"{self.listening} listening, {self.pipes} of pipes, {self.others} others ({listed})"
