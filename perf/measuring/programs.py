"""Owns finding the programs that are measured and measured with. Leaves installing them to perf/run."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

from measuring.failure import Failure

# Debian keeps daemons in folders that are not on everybody's PATH.
PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
VERSION_FLAGS = {"haproxy": "-v", "nginx": "-v", "iperf3": "-v", "wrk": "-v"}


def program(name: str) -> str:
    found = shutil.which(name, path=PATH) or shutil.which(name)
    if not found:
        raise Failure(f"{name} is not installed: run scripts/setup perf")
    return found


def version(name: str) -> str:
    done = subprocess.run([program(name), VERSION_FLAGS[name]], capture_output=True, text=True, check=False)
    return parse_version(done.stdout + done.stderr)


def parse_version(text: str) -> str:
    found = re.search(r"\d+(?:\.\d+)+[\w.+~-]*", text)
    return found[0] if found else "unknown"


def nginx_stream_module() -> pathlib.Path | None:
    """None where the module is compiled in, as in nginx.org's packages."""
    for folder in ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules"):
        path = pathlib.Path(folder) / "ngx_stream_module.so"
        if path.exists():
            return path
    return None
