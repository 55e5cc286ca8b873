"""Owns results on disk: one JSON file a run with the machine, the settings and every sample. Leaves charts to charts."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from measuring import namespace
from measuring.failure import Failure
from measuring.programs import version

FORMAT = 1


def cores() -> int:
    return len(os.sched_getaffinity(0))


def facts(repository: pathlib.Path, programs: Sequence[str]) -> dict[str, Any]:
    """What the figures depend on besides shuttled."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "kernel": platform.release(),
        "cores": cores(),
        "processor": _processor(),
        "congestion_control": namespace.congestion_control(),
        "commit": commit(repository),
        "programs": {name: version(name) for name in programs},
    }


def _processor() -> str:
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def commit(repository: pathlib.Path) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), "describe", "--always", "--dirty", "--abbrev=12"],
        capture_output=True, text=True, check=False,
    )
    return done.stdout.strip() or "unknown"


def document(
    facts: Mapping[str, Any], settings: Mapping[str, Any], workloads: Mapping[str, Mapping[str, Any]],
    scaling: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    content = {"format": FORMAT, "facts": dict(facts), "settings": dict(settings), "workloads": dict(workloads)}
    return content if scaling is None else {**content, "scaling": dict(scaling)}


def write(folder: pathlib.Path, content: Mapping[str, Any]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "results.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    temporary.rename(path)
    return path


def read(path: pathlib.Path) -> dict[str, Any]:
    if path.is_dir():
        path = path / "results.json"
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Failure(f"{path}: cannot be read as results: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT or "workloads" not in content:
        raise Failure(f"{path}: not results of this program (format {FORMAT})")
    return content
