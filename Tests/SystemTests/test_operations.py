"""docs/operations.md says what is so: its formula and its figures of limits, its settings and alerts, its commands for upgrade and
backup. The memory of sessions is measured by perf/memory."""

from __future__ import annotations

import json
import re
import resource
import subprocess
from pathlib import Path

import pytest

from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import backend, binary, service
from harness.stage import Stage

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "operations.md").read_text()
PIPES_MAX = 64
#: No user of this machine, so that no other test's rings count for it: locked memory is counted by user.
NOBODYS = "64123"
#: Settings of kernel modules that need not be loaded.
OF_MODULES = ("net.netfilter.",)
#: Settings newer than the oldest kernel that is supported.
NEWER = ("kernel.io_uring_disabled",)


def checked(*arguments: str, nofile: int | None = None, memlock: int | None = None, as_nobody: bool = False) -> str:
    wrapper = [] if nofile is None else ["prlimit", f"--nofile={nofile}:{nofile}"]
    wrapper += [] if memlock is None else ["prlimit", f"--memlock={memlock}:{memlock}"]
    wrapper += ["setpriv", "--reuid", NOBODYS, "--regid", NOBODYS, "--clear-groups"] if as_nobody else []
    done = subprocess.run([*wrapper, binary(), "-check", *arguments], capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


def sessions_that_fit(limit: int, rings: int) -> int:
    found = re.search(r"sessions: at most (\d+) by the limit", checked("-rings", str(rings), nofile=limit))
    assert found
    return int(found[1])


@pytest.mark.parametrize(("limit", "rings"), [(4096, 1), (10_000, 2), (19_999, 2), (16_384, 4)])
def test_the_formula_of_descriptors_holds(limit: int, rings: int) -> None:
    assert "sessions = (limit - 256 - rings × (2 + 2 × pipes) - listeners) / 2" in TEXT
    pipes = min(PIPES_MAX, limit // 32 // 2 // rings)
    expected = (limit - 256 - rings * (2 + 2 * pipes)) // 2
    # Each ring has the same share.
    assert sessions_that_fit(limit, rings) == expected // rings * rings


def sizes() -> list[tuple[int, int]]:
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \|", TEXT, re.MULTILINE)
    return [(int(sessions.replace(",", "")), int(limit.replace(",", ""))) for sessions, limit in rows]


def test_the_limits_of_the_table_of_sizes_are_enough() -> None:
    assert [sessions for sessions, _ in sizes()] == [1000, 10_000, 100_000, 1_000_000]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    asked = 0
    for sessions, limit in sizes():
        assert (limit - 256 - 2 * (2 + 2 * PIPES_MAX)) // 2 >= sessions
        if limit <= hard:
            asked += 1
            assert sessions_that_fit(limit, 2) >= sessions
    assert asked >= 1


def test_the_figure_of_locked_memory_holds() -> None:
    rings, mebibytes = map(int, re.search(r"(\d+) rings fit into (\d+) MiB", TEXT).groups())  # type: ignore[union-attr]
    limit = mebibytes << 20
    assert "io_uring usable" in checked("-rings", str(rings), memlock=limit, as_nobody=True)
    assert "MEMLOCK" in checked("-rings", str(rings * 2), memlock=limit, as_nobody=True), "twice as many do not"


def test_every_setting_exists() -> None:
    settings = {name for row in re.findall(r"^\| (`[a-z].*?) \| .* \|$", TEXT, re.MULTILINE)
                for name in re.findall(r"`((?:net|fs|kernel)\.[\w.-]+)`", row)}  # fmt: skip
    assert len(settings) >= 15
    expected = {name for name in settings if not name.startswith((*OF_MODULES, *NEWER))}
    assert len(expected) >= len(settings) - 2
    missing = {name for name in expected if not (Path("/proc/sys") / name.replace(".", "/")).exists()}
    assert not missing


def test_every_alert_is_listed() -> None:
    rules = re.findall(r"alert: (\w+)", (ROOT / "packaging" / "prometheus" / "shuttle.rules.yml").read_text())
    assert len(rules) >= 10
    assert re.findall(r"^\| `(Shuttle\w+)` \|", TEXT, re.MULTILINE) == rules


def block(heading: str) -> list[str]:
    """The commands of the first block below a heading, without their remarks."""
    section = TEXT.partition(f"## {heading}\n")[2]
    lines = re.search(r"(?:^    .*\n)+", section, re.MULTILINE)
    assert lines, heading
    return [re.sub(r"\s+# .*", "", line.strip()) for line in lines[0].splitlines()]


def test_the_commands_of_backup_bring_it_back(stage: Stage, tmp_path: Path) -> None:
    peer = stage.add(Named("one"))
    shuttled = stage.shuttled([service("web", free_address(), [backend("one", peer.address)])], state=True)
    before = shuttled.admin.config()
    save, preview, restore = block("Backup of state")

    def run(command: str) -> str:
        command = command.replace("localhost:9090", shuttled.http).replace("shuttle-2026-11-27.json", "shuttle-*.json")
        done = subprocess.run(["bash", "-euc", command], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done
        return done.stdout

    run(save)
    assert json.loads(next(tmp_path.glob("shuttle-*.json")).read_text()) == before
    shuttled.admin.remove("/web")
    assert shuttled.admin.config() == []
    assert json.loads(run(preview))["changed"] is True
    assert shuttled.admin.config() == []
    run(restore)
    assert shuttled.admin.config() == before


def test_the_commands_before_an_upgrade_change_nothing(stage: Stage, tmp_path: Path) -> None:
    peer = stage.add(Named("one"))
    shuttled = stage.shuttled([service("web", free_address(), [backend("one", peer.address)])], state=True)
    shuttled.admin.change("/web/one", {"weight": 3}, "PATCH")
    state = shuttled.state_path.read_bytes()
    (tmp_path / "shuttle.json").write_text("[]")
    for command in block("Upgrade and rollback"):
        command = command.replace("localhost:9090", shuttled.http).replace("/var/lib/shuttle/state.json", str(shuttled.state_path))
        command = command.replace("/etc/shuttle/shuttle.json", "shuttle.json")
        command = re.sub(r"^(NEW/)?shuttled ", f"'{binary()}' ", command)
        done = subprocess.run(["bash", "-euc", command], cwd=tmp_path, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done
    assert shuttled.state_path.read_bytes() == state == (tmp_path / "state-before.json").read_bytes()
    assert json.loads((tmp_path / "before-upgrade.json").read_text()) == shuttled.admin.config()


def test_an_older_version_names_what_it_does_not_know(stage: Stage, tmp_path: Path) -> None:
    """What a rollback without the copy of the state meets: a refusal that says which field, and no change."""
    state = tmp_path / "state.json"
    content = json.dumps([service("web", free_address(), []) | {"field_of_the_future": 1}])
    state.write_text(content)
    instance = stage.prepared(arguments=["-state", str(state)])
    code, said = instance.run()
    assert code == 65 and "field_of_the_future" in said, (code, said)
    assert state.read_text() == content
