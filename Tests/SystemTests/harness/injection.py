"""Owns strace on a running shuttled: what one of its threads calls, and making one of these calls fail or be its last.

Leaves to `trace.py` reading what strace wrote, and to `disk.py` what a disk may hold when the power goes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.patience import patient

#: Whatever touches a disk, what wakes another thread, and what an answer is sent by.
CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,"
    "link,linkat,unlink,unlinkat,ftruncate,lseek,fchmod,fchown,close"
)
SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
STOP_SECONDS = patient(10.0)


def _may_attach() -> bool:
    return os.geteuid() == 0 or not SCOPE.exists() or SCOPE.read_text().strip() == "0"


needs_attaching = pytest.mark.skipif(not _may_attach(), reason=f"attaching strace needs root, or 0 in {SCOPE}")


@contextlib.contextmanager
def attached(task: int, output: Path, *, inject: str = "", all_threads: bool = False) -> Iterator[None]:
    """strace on the thread `task` (or on all of its process) inside the `with` block, from its first moment on.

    `inject` is strace's: `fsync:error=EIO:when=2`. It counts the calls of each name by itself.
    """
    command = ["strace", "-y", "-s", "100000", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(output)]
    command += ["-f"] if all_threads else []
    command += ["-e", f"inject={inject}"] if inject else []
    tracer = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", *command, "-p", str(task)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, f"strace could not attach to {task}: {said}{tracer.stderr.read()}"
        yield
    finally:
        # It lets go of the threads and they go on; where it has killed them it has ended already.
        tracer.send_signal(signal.SIGTERM)
        tracer.wait(STOP_SECONDS)
        assert tracer.stderr is not None
        tracer.stderr.close()
