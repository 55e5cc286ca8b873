"""Owns what may be compared: a binary, a git revision, which is built, or a file of results; and telling them apart."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

from measuring.failure import Failure

Kind = Literal["binary", "revision", "results"]


def kind(text: str, repository: pathlib.Path) -> Kind:
    path = pathlib.Path(text)
    if path.is_file():
        if path.suffix == ".json":
            return "results"
        if os.access(path, os.X_OK):
            return "binary"
        raise Failure(f"{text}: neither a program (it is not executable) nor results (its name does not end with .json)")
    if path.is_dir() and (path / "results.json").is_file():
        return "results"
    if _revision(text, repository):
        return "revision"
    raise Failure(f"'{text}' is no file and no git revision of {repository}")


def binary(text: str, repository: pathlib.Path) -> pathlib.Path:
    """The program to measure; a revision is built, once, in a worktree of its own."""
    if kind(text, repository) == "binary":
        return pathlib.Path(text).resolve()
    revision = _revision(text, repository)
    assert revision
    folder = repository / ".build" / "compare"
    built = folder / revision / "shuttled"
    with _only_one(folder):
        if not built.exists():
            print(f"building {text} ({revision[:12]})", file=sys.stderr, flush=True)
            with _worktree(repository, folder / "tree", revision) as tree:
                _build(tree, folder / "scratch", built)
    return built


def _revision(text: str, repository: pathlib.Path) -> str | None:
    done = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}"],
        capture_output=True, text=True, check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _build(tree: pathlib.Path, scratch: pathlib.Path, built: pathlib.Path) -> None:
    # One scratch folder for all revisions, so that only what differs is compiled again.
    command = ["swift", "build", "--package-path", str(tree), "--scratch-path", str(scratch), "-c", "release"]
    done = subprocess.run([*command, "--product", "shuttled"], stdout=sys.stderr, check=False)
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} has failed; its words are above")
    place = subprocess.run([*command, "--show-bin-path"], capture_output=True, text=True, check=True).stdout.strip()
    built.parent.mkdir(parents=True, exist_ok=True)
    temporary = built.with_suffix(".tmp")
    shutil.copy2(pathlib.Path(place) / "shuttled", temporary)
    temporary.rename(built)


@contextlib.contextmanager
def _worktree(repository: pathlib.Path, tree: pathlib.Path, revision: str) -> Iterator[pathlib.Path]:
    git = ["git", "-C", str(repository), "worktree"]

    def remove() -> None:
        subprocess.run([*git, "remove", "--force", str(tree)], capture_output=True, check=False)

    remove()  # what an interrupted build may have left
    done = subprocess.run([*git, "add", "--detach", "--force", str(tree), revision], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"no worktree for {revision}: {done.stderr.strip()}")
    try:
        yield tree
    finally:
        remove()


@contextlib.contextmanager
def _only_one(folder: pathlib.Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
