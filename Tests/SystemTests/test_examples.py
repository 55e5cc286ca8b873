"""What stands in examples/ does what it says."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from harness.load import Findings, Job, NameServers, Sessions
from harness.peers import Named, Scripted
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, binary, service
from harness.stage import Stage, read_line
from harness.streams import finish, read_to_end, reset
from harness.wait import eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def admin_of(shuttled: Shuttled) -> dict[str, str]:
    return {**os.environ, "SHUTTLE_ADMIN": f"http://{shuttled.http}"}


def run(shuttled: Shuttled, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(EXAMPLES / script), *arguments]
    return subprocess.run(command, env=admin_of(shuttled) | environment, capture_output=True, text=True, timeout=45)


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
        ("rolling-restart.sh", ["web", "true"]),
        ("canary.sh", ["web", "one"]),
    ):
        assert run(shuttled, script, *arguments).returncode != 0, script


# Under load: the scripts' point is that nobody notices.


class Load:
    """Sessions one after the other, in processes of their own, until the end of the block; all of them must have been right."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.found: list[Findings] = []
        self._fault: BaseException | None = None

    def __enter__(self) -> Load:
        self._thread.start()
        eventually(lambda: self.found or self._fault, "the load has begun")
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the load hangs"
        assert self._fault is None, self._fault

    @property
    def failures(self) -> list[str]:
        return [failure for findings in self.found for failure in findings.failures]

    def sessions(self, name: str) -> int:
        return sum(findings.names.get(name, 0) for findings in self.found)

    def _run(self) -> None:
        try:
            number = 0
            while not self._done.is_set():
                number += 1
                self.found.append(Sessions(Job(self._address, 0, 8, number, 4096, seconds=1.0)).findings())
        except BaseException as error:  # noqa: B902 - raised at the end of the block
            self._fault = error


class Restarts:
    """Named servers, each a process at an address of its own, and a hook that has one of them restarted here."""

    def __init__(self, *names: str) -> None:
        self.addresses = {name: free_address() for name in names}
        self._servers = {name: NameServers(f"{name}={address}") for name, address in self.addresses.items()}
        self.restarted: list[str] = []
        self.refused: str | None = None
        restarts = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                name, address = self.path.strip("/").split("/")
                self.send_response(200 if restarts.restart(name, address) else 500)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._http = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        url = f"http://127.0.0.1:{self._http.server_port}"
        self.hook = ["sh", "-c", f'exec curl -fsS -X POST "{url}/$1/$2"', "hook"]

    def restart(self, name: str, address: str) -> bool:
        assert address == self.addresses[name]
        if name == self.refused:
            return False
        self._servers[name].close()
        self._servers[name] = NameServers(f"{name}={address}")
        self.restarted.append(name)
        return True

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(10)
        for server in self._servers.values():
            server.close()


def checked(addresses: dict[str, str]) -> list[dict[str, Any]]:
    return [backend(name, address, check_address=address) for name, address in addresses.items()]


def states(shuttled: Shuttled) -> list[str]:
    return [entry.get("state", "ready") for entry in shuttled.admin.config()[0]["backends"]]


def test_backends_are_restarted_one_after_the_other_and_nobody_notices(stage: Stage) -> None:
    restarts = stage.add(Restarts("a", "b", "c", "d"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, checked(restarts.addresses), check_interval=100)])
    with Load(address) as load:
        rolled = run(shuttled, "rolling-restart.sh", "web", *restarts.hook)
    assert rolled.returncode == 0, rolled
    assert restarts.restarted == ["a", "b", "c", "d"] and "d is restarted (4 of 4)" in rolled.stdout
    assert states(shuttled) == ["ready"] * 4
    assert not load.failures, load.failures
    assert all(load.sessions(name) > 0 for name in "abcd")


def test_a_restart_that_fails_stops_the_roll(stage: Stage) -> None:
    """The rest is untouched, and whoever reads the message knows which one is out and how to put it back."""
    restarts = stage.add(Restarts("a", "b", "c", "d"))
    restarts.refused = "b"
    address = free_address()
    shuttled = stage.shuttled([service("web", address, checked(restarts.addresses), check_interval=100)])
    with Load(address) as load:
        rolled = run(shuttled, "rolling-restart.sh", "web", *restarts.hook)
    assert rolled.returncode == 1, rolled
    assert "the command failed for b" in rolled.stderr and "2 are left as they were" in rolled.stderr
    assert restarts.restarted == ["a"] and states(shuttled) == ["ready", "drain", "ready", "ready"]
    assert not load.failures, load.failures
    # The next roll leaves it alone.
    again = run(shuttled, "rolling-restart.sh", "web", "true")
    assert again.returncode == 0 and "b is not in state ready" in again.stdout
    assert states(shuttled) == ["ready", "drain", "ready", "ready"]


def test_a_roll_does_not_take_the_last_one_out(stage: Stage) -> None:
    one, two = stage.add(Named("one")), free_address()
    shuttled = stage.shuttled([service("web", free_address(), checked({"one": one.address}), check_interval=100)])
    refused = run(shuttled, "rolling-restart.sh", "web", "true")
    assert refused.returncode == 1 and "1 backends in state ready" in refused.stderr
    # Nor one beside another that is down.
    shuttled.admin.change("/web", service("web", free_address(), checked({"one": one.address, "two": two}), check_interval=100))
    refused = run(shuttled, "rolling-restart.sh", "web", "true", HEALTHY_TIMEOUT="300ms")
    assert refused.returncode == 1 and "before one: not every backend is healthy" in refused.stderr, refused
    assert states(shuttled) == ["ready", "ready"]


def test_blue_becomes_green_under_load(stage: Stage) -> None:
    servers = stage.add(NameServers("blue", "green", "teal"))
    address = free_address()
    blue = checked({"blue": servers.addresses["blue"]})
    shuttled = stage.shuttled([service("web", address, blue, check_interval=100)])
    green = [servers.addresses[name] for name in ("green", "teal")]
    with Load(address) as load:
        before = shuttled.admin.config_text()
        nowhere = run(shuttled, "switch-blue-green.sh", "web", green[0], free_address(), HEALTHY_TIMEOUT="500ms")
        assert nowhere.returncode == 1 and "is not healthy, so nothing is switched" in nowhere.stderr, nowhere
        assert shuttled.admin.config_text() == before
        switched = run(shuttled, "switch-blue-green.sh", "web", *green)
        assert switched.returncode == 0, switched
        # The load takes its turns as well.
        assert {stage.name_at(address) for _ in range(40)} == {"green", "teal"}
        # Once more is no change for those who are there.
        assert run(shuttled, "switch-blue-green.sh", "web", *green).returncode == 0
    assert not load.failures, load.failures
    assert load.sessions("blue") > 0


def canary(shuttled: Shuttled, *weights: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"STEP_SECONDS": "4", "CONNECTIONS_MIN": "5", **environment}
    return run(shuttled, "canary.sh", "web", "new", *weights, **settings)


def test_a_good_canary_keeps_its_weight(stage: Stage) -> None:
    servers = stage.add(NameServers("old", "new"))
    address = free_address()
    backends = [backend("old", servers.addresses["old"], weight=4), backend("new", servers.addresses["new"], weight=0)]
    shuttled = stage.shuttled([service("web", address, backends)])
    with Load(address) as load:
        raised = canary(shuttled, "1", "4")
    assert raised.returncode == 0 and "keeps weight 4" in raised.stdout, raised
    assert shuttled.admin.backend("web", "new")["weight"] == 4
    assert not load.failures and load.sessions("new") > 0
    # Without load nothing is shown.
    idle = canary(shuttled, "5", STEP_SECONDS="1")
    assert idle.returncode == 2 and "nothing is shown" in idle.stderr and "set back to weight 4" in idle.stderr, idle
    assert shuttled.admin.backend("web", "new")["weight"] == 4


def test_a_canary_that_resets_is_set_back(stage: Stage) -> None:
    servers = stage.add(NameServers("old"))
    bad = stage.add(Scripted(reset))
    address = free_address()
    backends = [backend("old", servers.addresses["old"], weight=4), backend("new", bad.address, weight=0)]
    shuttled = stage.shuttled([service("web", address, backends, passive={"failures": 0})])
    with Load(address) as load:
        raised = canary(shuttled, "1", "4", STEP_SECONDS="20")
    assert raised.returncode == 1 and "over 1 %" in raised.stderr, raised
    assert "set back to weight 0" in raised.stderr and shuttled.admin.backend("web", "new")["weight"] == 0
    assert load.failures, "whom it got has noticed, else nothing was shown"


def test_a_canary_that_is_not_there_is_set_back_and_nobody_notices(stage: Stage) -> None:
    """Its clients are served by others; traffic takes it out, which the script sees."""
    servers = stage.add(NameServers("old"))
    address = free_address()
    backends = [backend("old", servers.addresses["old"], weight=4), backend("new", free_address(), weight=0)]
    shuttled = stage.shuttled([service("web", address, backends)])
    with Load(address) as load:
        raised = canary(shuttled, "4", STEP_SECONDS="20")
    assert raised.returncode == 1 and "set back to weight 0" in raised.stderr, raised
    assert shuttled.admin.backend("web", "new")["weight"] == 0
    assert not load.failures, load.failures


def test_a_canary_is_set_back_when_it_is_interrupted(stage: Stage) -> None:
    one, two = stage.add(Named("one")), stage.add(Named("two"))
    shuttled = stage.shuttled([service("web", free_address(), [backend("old", one.address), backend("new", two.address, weight=3)])])
    script = subprocess.Popen(
        [str(EXAMPLES / "canary.sh"), "web", "new", "9"], env=admin_of(shuttled), stderr=subprocess.PIPE, text=True
    )
    eventually(lambda: shuttled.admin.backend("web", "new")["weight"] == 9, "the weight is raised")
    script.terminate()
    _, said = script.communicate(timeout=30)
    assert script.returncode == 3 and "set back to weight 3" in said, said
    assert shuttled.admin.backend("web", "new")["weight"] == 3


@pytest.mark.parametrize(
    "arguments",
    [["canary.sh", "web"], ["canary.sh", "web", "new", "x"], ["canary.sh", "web", "new", "257"], ["rolling-restart.sh", "web"],
     ["switch-blue-green.sh", "web"], ["switch-blue-green.sh", "web", 'a"b:80']],
)  # fmt: skip
def test_what_a_script_cannot_mean_is_refused(stage: Stage, arguments: list[str]) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    assert run(shuttled, *arguments).returncode == 64
