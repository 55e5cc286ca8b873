"""The unit for systemd, looked at without one that runs: its form, how far it shuts shuttled in, and what docs/systemd.md says of it.
Under a real systemd it is tested in Tests/MachineTests."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.shuttled import binary

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "packaging" / "systemd" / "shuttled.service"
TEXT = UNIT.read_text()
PAGE = (ROOT / "docs" / "systemd.md").read_text()
SCORE_MAX = 1.5


def exposure(unit: Path) -> float:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)], capture_output=True, text=True, timeout=60)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done
    return float(found[1])


def test_the_exposure_is_what_the_page_says() -> None:
    found = exposure(UNIT)
    assert found <= SCORE_MAX
    assert f"says **{found:.1f} OK**" in PAGE


def test_a_unit_that_shuts_less_in_scores_worse(tmp_path: Path) -> None:
    loose = tmp_path / "shuttled.service"
    loose.write_text("\n".join(line for line in TEXT.splitlines() if not line.startswith(("NoNewPrivileges", "ProtectSystem"))))
    assert exposure(loose) > SCORE_MAX


@pytest.mark.parametrize("name", ["shuttled.service", "shuttled.socket"])
def test_systemd_understands_every_line(tmp_path: Path, name: str) -> None:
    """What it does not know it would leave out, with a line in its log."""
    for each in ("shuttled.service", "shuttled.socket"):
        text = (UNIT.parent / each).read_text().replace("/usr/bin/shuttled", str(binary())).replace("man:shuttled(8)", "https://example.org")
        (tmp_path / each).write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not [line for line in done.stderr.splitlines() if "shuttled" in line], done
    (tmp_path / name).write_text((tmp_path / name).read_text() + "\nProtectEverything=yes\n")
    done = subprocess.run(["systemd-analyze", "verify", str(tmp_path / name)], capture_output=True, text=True, timeout=60)
    assert "ProtectEverything" in done.stderr, "it says what it does not understand"


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", TEXT, re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_the_command_is_one_that_shuttled_takes() -> None:
    known = settings()
    variables = dict(line.split("=", 1) for line in known["Environment"])
    command = known["ExecStart"][0]
    for name, value in variables.items():
        command = command.replace(f"${{{name}}}", value).replace(f"${name}", value)
    program, *arguments = shlex.split(command)
    assert program == "/usr/bin/shuttled" and "$" not in command
    done = subprocess.run([binary(), *arguments, "-check"], capture_output=True, text=True, timeout=20)
    # The files are those of an installed machine; the flags are understood.
    assert done.returncode in (0, 1), done


def test_variables_of_the_package_are_those_of_the_unit() -> None:
    names = {line.split("=")[0] for line in settings()["Environment"]}
    default = (ROOT / "packaging" / "debian" / "shuttled.default").read_text()
    assert set(re.findall(r"^#?(SHUTTLED_\w+)=", default, re.MULTILINE)) == names
    assert all(line.startswith("#") or not line.strip() for line in default.splitlines()), "everything is as by default"


def test_the_watchdog_and_exit_codes_are_those_of_the_page() -> None:
    known = settings()
    assert known["Type"] == ["notify"] and known["WatchdogSec"] and known["Restart"] == ["on-failure"]
    assert f"RestartPreventExitStatus={known['RestartPreventExitStatus'][0]}" in PAGE
    for name in ("NoNewPrivileges", "MemoryDenyWriteExecute", "RestrictNamespaces", "PrivateDevices", "LockPersonality"):
        assert known[name] == ["yes"], name


def test_the_example_of_the_page_is_a_unit() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    section = PAGE.partition("## Sockets that systemd listens on\n")[2].partition("\n## ")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    parser.read_string("\n".join(lines))
    shipped = configparser.ConfigParser(strict=False, interpolation=None)
    shipped.optionxform = str  # type: ignore[assignment,method-assign]
    shipped.read_string((UNIT.parent / "shuttled.socket").read_text())
    for key, value in parser["Socket"].items():
        assert shipped["Socket"][key] == value
