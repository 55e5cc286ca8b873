"""The package and its unit under a real systemd."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path

from conftest import (
    CONFIG, SECONDS, SOCKET_UNIT, STATE, Echo, ask, drop_in, echoes, eventually, install, journal, main_pid, run, service, settings,
    shown, systemctl,
)

ROOT = Path("/repository")
PTRACE_SEIZE, PTRACE_INTERRUPT, WALL = 0x4206, 0x4207, 0x40000000


def status_of(pid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def test_it_runs_when_it_is_installed(installed: None) -> None:
    assert systemctl("is-active", "shuttled").strip() == "active"
    assert systemctl("is-enabled", "shuttled").strip() == "enabled"
    assert shown("StatusText") == "serving 0 services, 0 sessions"
    assert ask("GET", "/config") == []
    assert "ready" in journal()


def test_start_comes_back_when_it_serves(installed: None, echo: Echo) -> None:
    """`systemctl start` waits for READY=1: nothing is waited for after it."""
    systemctl("stop", "shuttled")
    CONFIG.write_text(json.dumps([service("web", "127.0.0.1:8080", echo.address)]))
    systemctl("start", "shuttled")
    assert echoes(("127.0.0.1", 8080))
    assert shown("StatusText").startswith("serving 1 service")


def test_it_is_nobody_with_one_right(installed: None) -> None:
    found = status_of(main_pid())
    user = run("id", "-u", "shuttle").stdout.strip()
    assert found["Uid"].split() == [user] * 4
    for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(found[name], 16) == 1 << 10, name
    assert found["NoNewPrivs"].strip() == "1" and found["Seccomp"].strip() == "2"
    inside = ["nsenter", f"--mount=/proc/{main_pid()}/ns/mnt", "--"]
    for place in ("/usr/x", "/etc/x", "/boot/x"):
        assert "Read-only file system" in run(*inside, "touch", place, check=False).stderr, place
    # What is refused above is refused by the unit, not by a namespace that cannot be entered.
    run(*inside, "touch", "/var/lib/shuttle/x")
    run(*inside, "rm", "/var/lib/shuttle/x")


def test_the_exposure_is_what_the_page_says(installed: None) -> None:
    said = run("systemd-analyze", "security", "--no-pager", "shuttled.service").stdout
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    page = (ROOT / "docs" / "systemd.md").read_text()
    assert found and f"**{found[1]} OK**" in page, said[-200:]


def test_low_ports_are_served(installed: None, echo: Echo) -> None:
    ask("PUT", "/web", service("web", "0.0.0.0:80", echo.address))
    assert echoes(("127.0.0.1", 80))


def test_everything_works_behind_the_filter(installed: None, echo: Echo) -> None:
    """Names, checks, unix sockets, the access log into the journal, events: nothing is answered with EPERM."""
    settings(OPTIONS="-access-log journald -log-level debug")
    systemctl("restart", "shuttled")
    port = echo.address.rpartition(":")[2]
    web = service("web", "127.0.0.1:8080", f"localhost:{port}") | {"access_log": {}, "check_interval": 200}
    web["backends"][0]["check_address"] = echo.address  # type: ignore[index]
    ask("PUT", "/web", web)
    ask("PUT", "/local", service("local", "unix:/run/shuttle/local.sock", echo.address) | {"socket_group": "shuttle"})
    assert echoes(("127.0.0.1", 8080))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("/run/shuttle/local.sock")
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
    with socket.create_connection(("127.0.0.1", 8080), timeout=SECONDS) as client:
        received = 0
        client.sendall(b"x" * 500_000)
        while received < 500_000:
            received += len(client.recv(1 << 20))
    eventually(lambda: "SHUTTLE_SERVICE=web" in run("journalctl", "--no-pager", "-o", "export", "SHUTTLE_SERVICE=web").stdout, "it is logged")
    # The dispatch library would like its threads to come first, which nobody but root may have; it says so and goes on.
    said = [line for line in journal().splitlines() if "Failed to set thread priority" not in line]
    assert not [line for line in said if re.search("not permitted|EPERM|errno=|Failed to", line)], said
    assert ask("GET", "/web/b")["check_status"] == "success"  # type: ignore[index]


def test_state_outlives_a_restart(installed: None, echo: Echo) -> None:
    ask("PUT", "/web", service("web", "127.0.0.1:8080", echo.address))
    status = STATE.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert stat.S_IMODE(STATE.parent.stat().st_mode) == 0o750
    systemctl("restart", "shuttled")
    assert echoes(("127.0.0.1", 8080))


def test_a_reload_is_waited_for(installed: None, echo: Echo) -> None:
    drop_in("ExecStart=\nExecStart=/usr/bin/shuttled -config /etc/shuttle/shuttle.json -http 127.0.0.1:9090")
    systemctl("restart", "shuttled")
    CONFIG.write_text(json.dumps([service("web", "127.0.0.1:8080", echo.address)]))
    pid = main_pid()
    systemctl("reload", "shuttled")
    eventually(lambda: shown("StatusText").startswith("serving 1 service"), "it is reloaded")
    assert echoes(("127.0.0.1", 8080)) and shown("ActiveState") == "active"
    CONFIG.write_text("{")
    systemctl("reload", "shuttled")
    eventually(lambda: "configuration not reloaded" in journal(), "it is refused")
    eventually(lambda: shown("ActiveState") == "active", "it is in service again")
    assert echoes(("127.0.0.1", 8080)) and main_pid() == pid


def test_a_stop_waits_for_sessions(installed: None, echo: Echo) -> None:
    """Longer than TimeoutStopSec: shuttled asks for its drain's time."""
    settings(OPTIONS="-drain-timeout 60000")
    drop_in("TimeoutStopSec=5s")
    systemctl("restart", "shuttled")
    ask("PUT", "/web", service("web", "127.0.0.1:8080", echo.address))
    with socket.create_connection(("127.0.0.1", 8080), timeout=SECONDS) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        stopping = subprocess.Popen(["systemctl", "stop", "shuttled"])
        eventually(lambda: shown("StatusText") == "draining, 1 session left", "it says what it waits for")
        # This is the scenario: a session that lasts longer than the unit's own time to stop.
        time.sleep(8)
        client.sendall(b"still")
        assert client.recv(5) == b"still" and stopping.poll() is None
    assert stopping.wait(SECONDS) == 0
    assert shown("Result") == "success"


def test_a_failure_is_restarted_and_a_mistake_is_not(installed: None) -> None:
    pid = main_pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: shown("ActiveState") == "active" and main_pid() not in (0, pid), "it is started anew")
    systemctl("stop", "shuttled")
    settings(OPTIONS="-no-such-flag")
    assert run("systemctl", "start", "shuttled", check=False).returncode != 0
    assert shown("ExecMainStatus") == "64" and shown("NRestarts") == "0" and shown("ActiveState") == "failed"
    settings()
    STATE.unlink(missing_ok=True)
    CONFIG.write_text('[{"name": "web", "adress": "127.0.0.1:1"}]')
    systemctl("reset-failed")
    assert run("systemctl", "start", "shuttled", check=False).returncode != 0
    assert shown("ExecMainStatus") == "65" and shown("NRestarts") == "0"
    assert "cannot start" in shown("StatusText") and "/0/address" in shown("StatusText")
    assert "did you mean" in journal()


def test_a_stuck_ring_ends_the_process(installed: None) -> None:
    """One thread alone stands still: the watchdog is not fed, and systemd starts another process."""
    drop_in("WatchdogSec=6s")
    systemctl("restart", "shuttled")
    pid = main_pid()
    ring = next(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if (task / "comm").read_text().strip() == "ring-0")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    # This is the scenario: it stays alive for longer than the watchdog allows while all is well.
    time.sleep(10)
    assert main_pid() == pid
    assert libc.ptrace(PTRACE_SEIZE, ring, None, None) == 0 and libc.ptrace(PTRACE_INTERRUPT, ring, None, None) == 0
    os.waitpid(ring, WALL)
    eventually(lambda: "Watchdog timeout" in run("journalctl", "--no-pager", "-u", "shuttled").stdout, "systemd misses a sign of life")

    def replaced() -> bool:
        # A traced thread that has ended is its tracer's to wait for: until then its process has not ended for systemd either.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ring, WALL | os.WNOHANG)
        return main_pid() not in (0, pid)

    eventually(replaced, "another process runs")
    assert "a ring is stuck" in journal()
    eventually(lambda: shown("ActiveState") == "active", "it serves")


def test_sockets_of_systemd(installed: None, echo: Echo) -> None:
    """Named after the service; nobody is refused while it is restarted, and who comes first starts it."""
    ask("PUT", "/web", service("web", "127.0.0.1:8080", echo.address))
    systemctl("stop", "shuttled")
    SOCKET_UNIT.write_text(
        "[Socket]\nFileDescriptorName=web\nListenStream=127.0.0.1:8080\nBacklog=1024\nService=shuttled.service\n")
    systemctl("daemon-reload")
    systemctl("start", "shuttled.socket")
    assert shown("ActiveState") == "inactive"
    assert echoes(("127.0.0.1", 8080)), "the first client starts it, and is served"
    assert shown("ActiveState") == "active" and "socket handed over" in journal()
    restarting = subprocess.Popen(["systemctl", "restart", "shuttled"])
    served = 0
    while restarting.poll() is None:
        assert echoes(("127.0.0.1", 8080))
        served += 1
    assert restarting.returncode == 0 and served > 0
    # The two files disagree: that is said, and not tried again and again.
    SOCKET_UNIT.write_text(SOCKET_UNIT.read_text().replace("127.0.0.1:8080", "127.0.0.1:8081"))
    systemctl("stop", "shuttled.socket", "shuttled.service")
    systemctl("daemon-reload")
    systemctl("start", "shuttled.socket")
    run("systemctl", "start", "shuttled", check=False)
    assert "ListenStream= and the service's address the same" in journal()


def test_an_upgrade_ends_no_session(installed: None, echo: Echo, newer_package: str) -> None:
    ask("PUT", "/web", service("web", "127.0.0.1:8080", echo.address))
    CONFIG.write_text("[] ")
    pid = main_pid()
    with socket.create_connection(("127.0.0.1", 8080), timeout=SECONDS) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        said = install(newer_package)
        assert main_pid() == pid and "systemctl restart shuttled" in said, said
        client.sendall(b"still")
        assert client.recv(5) == b"still"
    assert CONFIG.read_text() == "[] ", "what was changed is kept"
    systemctl("restart", "shuttled")
    assert main_pid() != pid and echoes(("127.0.0.1", 8080))


def test_removing_and_purging(package: str, echo: Echo) -> None:
    install(package)
    ask("PUT", "/web", service("web", "127.0.0.1:8080", echo.address))
    run("dpkg", "--remove", "shuttled")
    assert run("systemctl", "is-active", "shuttled", check=False).stdout.strip() in ("inactive", "failed")
    assert STATE.exists() and CONFIG.exists() and not Path("/usr/bin/shuttled").exists()
    install(package)
    assert echoes(("127.0.0.1", 8080)), "it goes on where it was"
    run("dpkg", "--purge", "shuttled")
    assert not STATE.parent.exists() and not CONFIG.parent.exists() and not Path("/etc/default/shuttled").exists()
    assert not Path("/lib/systemd/system/shuttled.service").exists()
    assert run("id", "shuttle").returncode == 0, "the user stays"
