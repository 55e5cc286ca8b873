#!/usr/bin/env python3
"""Which files of a tree the checks look at.

Owns: listing files (what git tracks or would track; everything but build products where git is not in use) and telling
shell scripts from other text. What is demanded of them is decided in scripts/check and scripts/check-style.

usage: scripts/lib/tree.py --shell [ROOT]    prints the shell scripts, NUL-separated, for xargs -0
"""

import os
import re
import subprocess
import sys
from pathlib import Path

NEVER = {".git", ".build", ".swiftpm", "__pycache__", ".pytest_cache", ".venv", "node_modules"}
SHELL_LINE = re.compile(rb"#!\s*/(?:usr/)?bin/(?:env\s+)?(?:ba|da|k)?sh\b")
# Sourced files have no first line of their own to tell them by.
SHELL_DIRECTIVE = re.compile(rb"\A# shellcheck shell=")


def files(root):
    """Paths of the files to check, relative to root, in a fixed order."""
    found = _git_files(root)
    if found is None:
        found = _walk(root)
    return sorted(path for path in found if _is_wanted(root / path, path))


def _is_wanted(path, name):
    return path.is_file() and not path.is_symlink() and NEVER.isdisjoint(Path(name).parts)


def _git_files(root):
    # A hook runs with GIT_DIR and the like set for its own repository, which need not be the one asked about.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root)]
    try:
        top = subprocess.run(
            command + ["rev-parse", "--show-toplevel"], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()
        if Path(top).resolve() != root.resolve():
            return None
        listed = subprocess.run(
            command + ["ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            env=environment, capture_output=True, check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return {os.fsdecode(name) for name in listed.split(b"\0") if name}


def _walk(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NEVER]
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def is_shell(path):
    with open(path, "rb") as file:
        start = file.read(256)
    return bool(path.suffix == ".sh" or SHELL_LINE.match(start) or SHELL_DIRECTIVE.match(start))


if __name__ == "__main__":
    if sys.argv[1:2] != ["--shell"]:
        sys.exit(__doc__)
    root = Path(sys.argv[2] if len(sys.argv) > 2 else ".").resolve()
    for name in files(root):
        if is_shell(root / name):
            sys.stdout.write(f"{name}\0")
