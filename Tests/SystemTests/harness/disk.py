"""Owns what a disk may hold when the power goes: the contents of a folder that a list of system calls leaves possible.

The kernel keeps what was written and not synced, so a killed process never loses it; a loss of power does. The model is harsher
than file systems are. Of bytes that were not synced nothing, half, all, or zeros may be there. Of what happened to names
since the folder was synced any part may have happened, each rename as a whole; syncing a file is no promise of its name.

Leaves to `trace.py` where the calls come from.
"""

from __future__ import annotations

import codecs
import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .trace import Call

#: Files by name.
Content = dict[str, bytes]


@dataclass(eq=False)
class _File:
    durable: bytes = b""
    written: bytes = b""
    #: The first byte that may not be durable; None where all of them are.
    unsynced_from: int | None = None

    def possible(self) -> set[bytes]:
        if self.unsynced_from is None:
            return {self.written}
        kept, new = self.written[: self.unsynced_from], self.written[self.unsynced_from :]
        return {self.durable, self.written, kept + new[: len(new) // 2], kept + bytes(len(new))}

    def change(self, written: bytes, at: int) -> None:
        if written != self.written:
            self.written = written
            self.unsynced_from = at if self.unsynced_from is None else min(at, self.unsynced_from)

    def sync(self) -> None:
        self.durable, self.unsynced_from = self.written, None


@dataclass
class Disk:
    """The folder as it is when everything in it is durable; `syncs` False is a disk that lies about it."""

    folder: Path
    syncs: bool = True
    _names: dict[str, _File] = field(default_factory=dict)
    #: What happened to names since the folder was synced: what each change sets, None where it removes.
    _pending: list[dict[str, _File | None]] = field(default_factory=list)
    _open: dict[str, tuple[_File, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in self.folder.iterdir():
            data = path.read_bytes()
            self._names[path.name] = _File(data, data)

    def moments(self, calls: Iterable[Call]) -> Iterator[list[Content]]:
        """What may be there after each of the calls."""
        for call in calls:
            if call.succeeded:
                self._take(call)
            yield self.possible()

    def possible(self) -> list[Content]:
        found: dict[frozenset[tuple[str, bytes]], Content] = {}
        for happened in itertools.product((False, True), repeat=len(self._pending)):
            names = dict(self._names)
            for change in itertools.compress(self._pending, happened):
                _apply(names, change)
            # Two names of one file would be a link; a create and a rename that swapped their order make none.
            for contents in itertools.product(*(file.possible() for file in names.values())):
                content = dict(zip(names, contents))
                found[frozenset(content.items())] = content
        return list(found.values())

    # The calls

    def _take(self, call: Call) -> None:
        match call.name:
            case "openat" | "open":
                self._opened(call)
            case "write" if call.descriptor in self._open:
                self._wrote(call)
            case "lseek" if call.descriptor in self._open:
                file, _ = self._open[call.descriptor]
                self._open[call.descriptor] = file, int(call.result)
            case "ftruncate" if call.descriptor in self._open:
                file, _ = self._open[call.descriptor]
                length = int(call.arguments.rpartition(",")[2])
                file.change(file.written[:length].ljust(length, b"\0"), min(length, len(file.written)))
            case "fsync" | "fdatasync" if self.syncs:
                if call.descriptor in self._open:
                    self._open[call.descriptor][0].sync()
                elif call.path == str(self.folder):
                    self._commit()
            case "rename" | "renameat" | "renameat2":
                source, target = call.paths
                if os.path.dirname(target) == str(self.folder):
                    file = self._now()[os.path.basename(source)]
                    self._pending.append({os.path.basename(source): None, os.path.basename(target): file})
            case "unlink" | "unlinkat" if os.path.dirname(call.paths[-1]) == str(self.folder):
                self._pending.append({os.path.basename(call.paths[-1]): None})
            case "close":
                self._open.pop(call.descriptor, None)
            case "pwrite64" | "pwritev" | "link" | "linkat":
                raise AssertionError(f"the model does not know {call}")

    def _opened(self, call: Call) -> None:
        path = call.paths[-1]
        if os.path.dirname(path) != str(self.folder) or "O_DIRECTORY" in call.arguments:
            return
        name = os.path.basename(path)
        file = self._now().get(name)
        if file is None:
            file = _File()
            self._pending.append({name: file})
        elif "O_TRUNC" in call.arguments:
            file.change(b"", 0)
        self._open[call.result.partition("<")[0]] = file, 0

    def _wrote(self, call: Call) -> None:
        file, at = self._open[call.descriptor]
        text = call.arguments.partition(', "')[2].rpartition('", ')[0]
        data = codecs.decode(text, "unicode_escape").encode("latin-1")
        assert len(data) == int(call.result), f"strace did not print all of {call}"
        file.change(file.written[:at].ljust(at, b"\0") + data + file.written[at + len(data) :], at)
        self._open[call.descriptor] = file, at + len(data)

    def _commit(self) -> None:
        self._names = self._now()
        self._pending.clear()

    def _now(self) -> dict[str, _File]:
        names = dict(self._names)
        for change in self._pending:
            _apply(names, change)
        return names


def _apply(names: dict[str, _File], change: dict[str, _File | None]) -> None:
    for name, file in change.items():
        if file is None:
            names.pop(name, None)
        else:
            names[name] = file
