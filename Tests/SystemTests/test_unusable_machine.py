"""Machines without a usable io_uring: case 42 of the list in docs/tests.md.

Each cause has its own diagnosis and remedy and the exit code 69, before anything runs; `-check` says the same.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import deny_io_uring
from harness.peers import Echo
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage
from harness.streams import echoes

DISABLED = Path("/proc/sys/kernel/io_uring_disabled")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def denied(code: str) -> list[str]:
    return [sys.executable, deny_io_uring.__file__, code]


def expect_diagnosis(said: str, *words: str) -> None:
    """The cause, the kernel, and what to do, in words that can be searched for."""
    for word in (*words, "io_uring", platform.release()):
        assert word.lower() in said.lower(), f"{word!r} is not in: {said}"


def expect_unusable(instance: Shuttled, *words: str) -> None:
    code, said = instance.run()
    assert code == 69, (code, said)
    expect_diagnosis(said, *words)


def checked(wrapper: list[str]) -> str:
    """What `-check` says on such a machine."""
    done = subprocess.run([*wrapper, binary(), "-check"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1, done
    return done.stdout + done.stderr


def test_a_seccomp_profile_is_named(stage: Stage) -> None:
    """EPERM, while the sysctl would allow it: what Docker and containerd do by default."""
    if DISABLED.exists() and DISABLED.read_text().strip() != "0":
        pytest.fail(f"{DISABLED} must be 0 for this test: then only seccomp is left as the cause")
    wrapper = denied("EPERM")
    expect_unusable(stage.prepared(wrapper=wrapper), "seccomp", "not permitted", "docker", "io_uring_disabled")
    expect_diagnosis(checked(wrapper), "seccomp", "not permitted")


def test_a_kernel_without_it_is_named(stage: Stage) -> None:
    """ENOSYS: too old, or built without."""
    wrapper = denied("ENOSYS")
    expect_unusable(stage.prepared(wrapper=wrapper), "ENOSYS", "kernel", "6.1")
    expect_diagnosis(checked(wrapper), "ENOSYS", "6.1")


def test_a_memory_lock_limit_is_named(stage: Stage) -> None:
    """ENOMEM for who may not lock memory: one page is less than any ring."""
    limits = {"memlock": PAGE_BYTES}
    instance = stage.prepared(limits=limits, without_capabilities=["ipc_lock"])
    expect_unusable(instance, "memlock", "LimitMEMLOCK", "ulimit -l")


def test_the_usual_memory_lock_limit_is_enough(stage: Stage) -> None:
    """8 MiB, as distributions set it for everybody, carries four rings."""
    address = free_address()
    echo = stage.add(Echo())
    stage.shuttled(
        [service("web", address, [backend("b", echo.address)])],
        rings=4,
        limits={"memlock": 8 * 1024 * 1024},
        without_capabilities=["ipc_lock"],
    )
    assert all(echoes(stage.connect(address), b"x" * 50_000) for _ in range(20))


@pytest.fixture
def disabled_by_sysctl() -> Iterator[None]:
    """kernel.io_uring_disabled=2 for as short as can be: it is the whole machine's."""
    if not (DISABLED.exists() and os.access(DISABLED, os.W_OK)):
        pytest.skip(f"{DISABLED} cannot be written here")
    before = DISABLED.read_text()
    try:
        DISABLED.write_text("2")
    except OSError as error:
        pytest.skip(f"{DISABLED} cannot be written here: {error}")
    try:
        yield
    finally:
        DISABLED.write_text(before)


def test_the_sysctl_is_named(stage: Stage, disabled_by_sysctl: None) -> None:
    """With 2 nobody may, root included."""
    expect_unusable(stage.prepared(), "io_uring_disabled", "not permitted", "sysctl")
    expect_diagnosis(checked([]), "io_uring_disabled")


def test_nothing_has_happened_when_it_ends(stage: Stage) -> None:
    """No address was bound, no file written: the diagnosis comes first."""
    address = free_address()
    instance = stage.prepared([service("web", address)], state=True, wrapper=denied("EPERM"))
    code, _ = instance.run()
    assert code == 69
    assert not instance.state_path.exists()
    working = stage.shuttled([service("web", address)])
    assert len(working.admin.config()) == 1
