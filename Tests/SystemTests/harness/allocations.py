"""Owns counting the allocator's calls of each thread of a program: builds what is preloaded, and reads its counts.

The counting itself is in `allocations.c`. A thread is known by the name that the kernel has of it; the ring's threads
are `ring-0`, `ring-1` and so on.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import astuple, dataclass
from pathlib import Path

HERE = Path(__file__).parent
#: As `struct row` in allocations.c.
_ROW = struct.Struct("8Q")


@dataclass(frozen=True)
class Calls:
    """What one thread has called so far."""

    mallocs: int
    callocs: int
    reallocs: int
    aligned: int
    frees: int

    def __sub__(self, other: Calls) -> Calls:
        return Calls(*(now - before for now, before in zip(astuple(self), astuple(other))))

    @property
    def allocations(self) -> int:
        return self.mallocs + self.callocs + self.reallocs + self.aligned


NONE = Calls(0, 0, 0, 0, 0)


def compile_c(output: Path, *arguments: str | Path) -> Path:
    """Builds with the machine's compiler; Swift brings one (clang) where there is no other."""
    compiler = shutil.which("cc") or shutil.which("clang")
    assert compiler, "neither cc nor clang is on PATH: the counter of allocations cannot be built"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-fno-builtin", "-o", output, *arguments, "-lpthread"]
    built = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert built.returncode == 0, f"{compiler} fails:\n{built.stderr}"
    return output


class AllocationCounter:
    """For one program at a time: start it with `environment`, then ask for `calls`."""

    def __init__(self, directory: Path) -> None:
        library = compile_c(directory / "allocations.so", "-shared", "-fPIC", HERE / "allocations.c")
        self._counts = directory / "allocations.counts"
        self.environment = {"LD_PRELOAD": str(library), "ALLOCATION_COUNTS": str(self._counts)}

    def calls(self, process: int) -> dict[str, Calls]:
        """By the name of each thread that runs now and has ever called; threads of one name are added up."""
        found: dict[str, Calls] = {}
        for thread, *counts, _, _ in _ROW.iter_unpack(self._counts.read_bytes()):
            if thread == 0:
                continue
            try:
                name = Path(f"/proc/{process}/task/{thread}/comm").read_text().rstrip("\n")
            except (FileNotFoundError, ProcessLookupError):
                continue
            before = found.get(name, NONE)
            found[name] = Calls(*(a + b for a, b in zip(astuple(before), counts)))
        return found
