"""What stands in examples/ does what it says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage, read_line
from harness.streams import finish, read_to_end

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def run(shuttled: Shuttled, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SHUTTLE_ADMIN": f"http://{shuttled.http}"}
    command = [str(EXAMPLES / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.json")), ids=lambda path: path.name)
def test_an_example_configuration_is_valid(path: Path) -> None:
    checked = subprocess.run(
        [str(binary()), "-check", "-config", str(path)], capture_output=True, text=True, timeout=30
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_backend_is_drained(stage: Stage) -> None:
    address = free_address()
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    backends = [backend("one", one.address), backend("two", two.address)]
    shuttled = stage.shuttled([service("web", address, backends)])
    held = stage.connect(address)
    assert read_line(held) == "one"

    refused = run(shuttled, "drain-backend.sh", "web", "one", "1")
    assert refused.returncode == 1 and "1 sessions" in refused.stderr
    assert [stage.name_at(address) for _ in range(3)] == ["two"] * 3

    finish(held)
    read_to_end(held)
    drained = run(shuttled, "drain-backend.sh", "web", "one")
    assert drained.returncode == 0 and "web/one is drained" in drained.stdout, drained


def test_a_service_is_switched_in_one_change(stage: Stage) -> None:
    address = free_address()
    blue, green = stage.add(Named("blue")), stage.add(Named("green"))
    shuttled = stage.shuttled([service("web", address, [backend("b", blue.address)])])
    held = stage.connect(address)
    assert read_line(held) == "blue"

    switched = run(shuttled, "switch-blue-green.sh", "web", green.address)
    assert switched.returncode == 0, switched
    assert [stage.name_at(address) for _ in range(3)] == ["green"] * 3
    assert run(shuttled, "wait-healthy.sh", "web").returncode == 0
    finish(held)
    read_to_end(held)


def test_an_unknown_service_fails_the_script(stage: Stage) -> None:
    shuttled = stage.shuttled([])
    for script, arguments in (
        ("drain-backend.sh", ["web", "one"]),
        ("switch-blue-green.sh", ["web", "127.0.0.1:1"]),
        ("wait-healthy.sh", ["web", "1"]),
    ):
        assert run(shuttled, script, *arguments).returncode != 0, script
