"""Tests of what scripts/package makes, in a fresh Debian 12 of their own (debootstrap, kept under .build/package).

Run by `scripts/test --packages`, as root. Each command in that Debian runs in namespaces of its own, so that what it mounts and starts ends
with it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = REPOSITORY / ".build" / "package" / "debian-12.tar"
MIRROR = "http://deb.debian.org/debian"
SECONDS = 600
#: What a minimal installation has besides, where somebody uses a proxy.
INCLUDED = "ca-certificates,curl,man-db,bash-completion,python3"


class Debian:
    """A root of Debian, and commands in it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A line of shell, as root of it: with its own /proc, with no network but loopback, and killed with all it has started."""
        program = 'mount -t proc proc "$1/proc" && ip link set lo up && exec chroot "$1" /bin/bash -c "$2"'
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", program, "sh", str(self.root), command],
            capture_output=True, text=True, timeout=SECONDS, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                                                                 "DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}\n{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def put(self, file: Path) -> str:
        """Copies a file into its /tmp and returns where it is there."""
        shutil.copy(file, self.path("/tmp"))
        return f"/tmp/{file.name}"


@pytest.fixture(scope="session")
def packages() -> Path:
    if os.geteuid() != 0:
        pytest.exit("these tests use chroot and namespaces: run scripts/test --packages as root", 2)
    folder = Path(os.environ["SHUTTLE_PACKAGES"])
    assert len(list(folder.glob("*.deb"))) == 2 and len(list(folder.glob("*.tar.gz"))) == 1, sorted(folder.iterdir())
    return folder


@pytest.fixture(scope="session")
def old(packages: Path) -> Path:
    return sorted(packages.glob("*.deb"))[0]


@pytest.fixture(scope="session")
def new(packages: Path) -> Path:
    return sorted(packages.glob("*.deb"))[1]


def make_cache(where: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={INCLUDED}", "bookworm", str(where), MIRROR]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-3000:]
    # What the package depends on comes from Debian, now: the tests have no network.
    program = 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "apt-get update && apt-get install -y --no-install-recommends liburing2 adduser libstdc++6"'
    (where / "etc/resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    done = subprocess.run(["unshare", "--mount", "sh", "-c", program, "sh", str(where)], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    partial = CACHE.with_suffix(".partial")
    subprocess.run(["tar", "--numeric-owner", "-C", str(where), "-cf", str(partial), "."], check=True)
    partial.rename(CACHE)


@pytest.fixture
def debian(tmp_path: Path) -> Iterator[Debian]:
    """A fresh one for each test."""
    root = tmp_path / "debian"
    if not CACHE.exists():
        make_cache(tmp_path / "made")
        shutil.rmtree(tmp_path / "made")
    root.mkdir()
    subprocess.run(["tar", "--numeric-owner", "-C", str(root), "-xf", str(CACHE)], check=True)
    yield Debian(root)
    shutil.rmtree(root)
