"""Runs a command under a seccomp profile of the form that container runtimes read, loaded through libseccomp.

usage: seccomp_profile.py PROFILE [WITHOUT,...] -- COMMAND

Owns reading the profile; calls named by WITHOUT are left out of it.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import seccomp  # Debian's python3-seccomp


def load(profile: Path, without: set[str]) -> None:
    said = json.loads(profile.read_text())
    assert said["defaultAction"] == "SCMP_ACT_ERRNO" and said["defaultErrnoRet"] == errno.EPERM
    filter = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for rule in said["syscalls"]:
        assert rule["action"] == "SCMP_ACT_ALLOW" and set(rule) == {"names", "action"}
        for name in rule["names"]:
            if name not in without:
                filter.add_rule(seccomp.ALLOW, name)
    filter.load()


def main() -> None:
    separator = sys.argv.index("--")
    profile, *without = sys.argv[1:separator]
    command = sys.argv[separator + 1:]
    load(Path(profile), set(without[0].split(",")) if without else set())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
