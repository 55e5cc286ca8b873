"""Owns where measurements happen: a network namespace of this process's own, and the death of everything started in it.

Leaves to others what is started there (stage). Nothing here has a name on the host, so nothing can be left behind: the
network namespace lives as long as the processes in it, and those live in a PID namespace whose first process is killed
by the kernel when this one ends, however it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pathlib
import resource
import signal
import subprocess
from collections.abc import Callable

from measuring.failure import Failure

CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
DESCRIPTORS = 131072
# Ports below are for listeners, which need not look for free ones: nobody else is in this namespace.
FIRST_EPHEMERAL_PORT = 15000
CONGESTION_CONTROL = "cubic"

_libc = ctypes.CDLL(None, use_errno=True)
_network = pathlib.Path("/proc/sys/net/ipv4")


def enter() -> subprocess.Popen[bytes]:
    """Moves this process to a network namespace and its future children to a PID namespace; returns their keeper.

    The kernel then lets this process start no more threads, for those would be in both PID namespaces.
    """
    _raise_descriptor_limit()
    _with_congestion_control_allowed(_enter_network)
    (_network / "ip_local_port_range").write_text(f"{FIRST_EPHEMERAL_PORT} 65535")
    _unshare(CLONE_NEWPID)
    # The first child is process 1 of the PID namespace: when it dies, the kernel kills all others there. It dies with us.
    return subprocess.Popen(["sleep", "infinity"], preexec_fn=_die_with_parent, start_new_session=True)


def congestion_control() -> str:
    return (_network / "tcp_congestion_control").read_text().strip()


def _enter_network() -> None:
    _unshare(CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    try:
        (_network / "tcp_congestion_control").write_text(CONGESTION_CONTROL)
    except OSError as error:
        raise Failure(f"{CONGESTION_CONTROL} cannot be chosen in the namespace: {error.strerror}") from None


def _with_congestion_control_allowed(action: Callable[[], None]) -> None:
    """BBR, the default on some machines, halves the throughput of loopback: every proxy is measured with cubic.

    Where cubic is not on the host's list of allowed algorithms a namespace may not choose it; it is put there for the
    moment of choosing. The file stays open, because by its name it could not be written from within the namespace.
    """
    with open(_network / "tcp_allowed_congestion_control", "r+", encoding="ascii") as file:
        allowed = file.read().strip()
        if CONGESTION_CONTROL in allowed.split():
            action()
            return
        # A machine without modprobe has it built in, or says in the next step that it has not.
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(["modprobe", "-q", "tcp_cubic"], check=False)
        try:
            _overwrite(file.fileno(), f"{allowed} {CONGESTION_CONTROL}")
            action()
        finally:
            _overwrite(file.fileno(), allowed)


def _overwrite(descriptor: int, text: str) -> None:
    os.pwrite(descriptor, text.encode(), 0)


def _unshare(flag: int) -> None:
    if _libc.unshare(flag) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise Failure(f"no namespace can be made here: {reason}. Run it as root (sudo), outside of containers")


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _raise_descriptor_limit() -> None:
    """Five thousand sessions are ten thousand descriptors of a proxy; children inherit the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(hard, DESCRIPTORS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
