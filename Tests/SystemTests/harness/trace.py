"""Owns reading what strace wrote: which system calls a process made, in the order in which they completed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

TRACED = (
    "openat,open,creat,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,close"
)
_LINE = re.compile(r"^(?P<thread>\d+)\s+(?P<rest>.*)$")
_RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<rest>.*)$")
_CALL = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\w+)(?P<note>.*)$")


def wrapper(output: Path) -> list[str]:
    """What stands before the command. strace is a grandchild (-D), so that the process keeps its id and parent."""
    return ["strace", "-D", "-f", "-y", "-s", "4000", "-e", f"trace={TRACED}", "-e", "signal=none", "-o", str(output)]


@dataclass
class Call:
    thread: int
    name: str
    arguments: str
    result: str

    @property
    def path(self) -> str | None:
        """The file that the first argument, a descriptor, stands for."""
        found = re.match(r"\d+<([^>]*)>", self.arguments)
        return found[1] if found else None

    @property
    def descriptor(self) -> str:
        """The first argument's number."""
        return self.arguments.partition("<")[0]

    @property
    def paths(self) -> list[str]:
        """Every name that is an argument; a relative one belongs to the folder whose descriptor stands before it."""
        found = []
        folder = ""
        for part in re.finditer(r'(?:AT_FDCWD|\d+)<([^>]*)>|"((?:[^"\\]|\\.)*)"', self.arguments):
            if part[1] is not None:
                folder = part[1]
            else:
                found.append(os.path.join(folder, part[2]))
        return found

    @property
    def succeeded(self) -> bool:
        return not self.result.startswith("-")

    @property
    def is_send(self) -> bool:
        return self.name in ("write", "writev", "sendto", "sendmsg") and "<socket:" in self.arguments.partition(",")[0]

    def __str__(self) -> str:
        return f"{self.thread} {self.name}({self.arguments[:160]}) = {self.result}"


def calls(output: Path) -> list[Call]:
    """All completed calls; one that another thread interrupted stands where it was resumed."""
    found: list[Call] = []
    unfinished: dict[tuple[int, str], str] = {}
    for line in output.read_text(errors="replace").splitlines():
        outer = _LINE.match(line)
        if outer is None:
            continue
        thread, rest = int(outer["thread"]), outer["rest"]
        if rest.endswith("<unfinished ...>"):
            begun = rest.removesuffix("<unfinished ...>").rstrip()
            unfinished[thread, begun.partition("(")[0]] = begun
            continue
        if resumed := _RESUMED.match(rest):
            rest = unfinished.pop((thread, resumed["name"]), resumed["name"] + "(") + resumed["rest"]
        if call := _CALL.match(rest):
            found.append(Call(thread, call["name"], call["arguments"], call["result"]))
    return found
