"""Owns handing descriptors over to a program as a service manager does, by sd_listen_fds(3).

The variables name the process that they are for, so that somebody has to stand between fork and exec: this file does, run as a
command of its own.
"""

from __future__ import annotations

import fcntl
import os
import sys

OUT_OF_THE_WAY = 100


def handing(descriptors: list[int], names: str | None = None, count: str | None = None, owner: str | None = None) -> list[str]:
    """A command that starts the one behind it with these descriptors, which it must have, as 3, 4, … and says so by LISTEN_*."""
    return [sys.executable, __file__, ",".join(map(str, descriptors)), names or "-", count or "-", owner or "-", "--"]


def main() -> None:
    descriptors, names, count, owner = sys.argv[1:5]
    command = sys.argv[sys.argv.index("--") + 1:]
    # Out of the way of the places that they are to have.
    high = [fcntl.fcntl(int(text), fcntl.F_DUPFD, OUT_OF_THE_WAY) for text in descriptors.split(",")]
    for place, descriptor in enumerate(high, start=3):
        os.dup2(descriptor, place, inheritable=True)
    os.closerange(3 + len(high), 1000)
    os.environ["LISTEN_PID"] = str(os.getpid()) if owner == "-" else owner
    os.environ["LISTEN_FDS"] = str(len(high)) if count == "-" else count
    if names != "-":
        os.environ["LISTEN_FDNAMES"] = names
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
