"""`shuttled ctl`, the client, as scripts and people run it against a shuttled, over TCP and a unix socket."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.ctl import Follower, Impostor, command, ctl, environment
from harness.peers import Named, Refusing
from harness.ports import free_address
from harness.shuttled import ROOT, Shuttled, backend, binary, service
from harness.stage import Stage, read_line
from harness.wait import eventually


@pytest.fixture(params=["tcp", "unix"])
def shuttled(request: pytest.FixtureRequest, stage: Stage) -> Shuttled:
    """One with a service, `web`, of which `one` takes sessions and `two` is refused."""
    one, two = stage.add(Named("one")), stage.add(Refusing())
    http = f"unix:{stage.directory}/admin.sock" if request.param == "unix" else None
    backends = [backend("one", one.address), backend("two", two.address, weight=0)]
    return stage.shuttled([service("web", free_address(), backends)], http=http)


def done(shuttled: Shuttled, *arguments: str, **options: str) -> str:
    """What a run prints that succeeds."""
    run = ctl(*arguments, "-http", shuttled.http, **options)
    assert run.returncode == 0, (run.stdout, run.stderr)
    return run.stdout


def as_json(shuttled: Shuttled, *arguments: str, **options: str) -> Any:
    return json.loads(done(shuttled, *arguments, "-output", "json", **options))


def refused(code: int, shuttled: Shuttled, *arguments: str, **options: str) -> str:
    """What a run says that fails; it prints nothing else."""
    run = ctl(*arguments, "-http", shuttled.http, **options)
    assert (run.returncode, run.stdout) == (code, ""), run
    return run.stderr


# Reading


def test_what_is_read_is_what_the_api_says(shuttled: Shuttled) -> None:
    admin = shuttled.admin
    assert as_json(shuttled, "get") == admin.services()
    assert as_json(shuttled, "get", "web") == admin.get("/web").json
    assert as_json(shuttled, "get", "web/one") == admin.get("/web/one").json
    assert done(shuttled, "get", "-config").encode() == admin.config_text()
    assert done(shuttled, "get", "config") == done(shuttled, "get", "-config")
    assert json.loads(done(shuttled, "get", "web/one", "-config")) == admin.get("/v1/services/web/backends/one").json
    assert done(shuttled, "get", "web", "-tag").strip() == admin.get("/v1/services/web").headers["etag"]
    assert as_json(shuttled, "history") == admin.get("/v1/history?limit=20").json
    assert as_json(shuttled, "history", "1") == admin.get("/v1/history/1").json
    assert as_json(shuttled, "health")["ready"] is True
    assert [json.loads(line)["event"] for line in done(shuttled, "events", "-output", "json").splitlines()] == ["start"]


def test_tables_say_the_same_to_people(shuttled: Shuttled) -> None:
    lines = done(shuttled, "get").splitlines()
    assert len(lines) == 2 and lines[0].startswith("SERVICE "), lines
    address = shuttled.admin.config()[0]["address"]
    assert lines[1].split() == ["web", address, "up", "1/2", "0", "0", "0", "0", "0"]
    assert re.search(r"^two +127\S+ +no weight +0 ", done(shuttled, "get", "web"), re.MULTILINE)
    assert re.search(r"^weight +0$", done(shuttled, "get", "web/two"), re.MULTILINE)
    assert re.search(r"^web/one .* up ", done(shuttled, "get", "-backends"), re.MULTILINE)
    assert "service web" in done(shuttled, "history") and "+ service web" in done(shuttled, "history", "1")
    assert " start " in done(shuttled, "events")
    assert "readyz passed" in done(shuttled, "ping")
    assert "\x1b" not in done(shuttled, "get") + done(shuttled, "history", "1"), "no colours but on a terminal"


def test_nothing_is_told_as_such(stage: Stage) -> None:
    shuttled = stage.shuttled()
    assert "no services" in done(shuttled, "get")
    assert as_json(shuttled, "get") == []


# Changing


def test_changes_are_made_and_told(shuttled: Shuttled, tmp_path: Path) -> None:
    file = tmp_path / "three.json"
    file.write_text(json.dumps({"address": "127.0.0.1:9"}))
    said = done(shuttled, "put", "web/three", str(file))
    tag = shuttled.admin.get("/v1/services/web/backends/three").headers["etag"]
    assert said == f"put web/three, version {tag}\n"
    assert as_json(shuttled, "patch", "web/three", '{"weight": 5}')["done"] == "patched web/three"
    done(shuttled, "patch", "web", "-", stdin='{"balance": "LC"}')
    done(shuttled, "set", "web", "fall=5", "passive.failures=0", "backends.three.weight=6")
    web = shuttled.admin.config()[0]
    assert (web["balance"], web["fall"], web["passive"]["failures"]) == ("LC", 5, 0)
    assert web["backends"][2]["weight"] == 6
    done(shuttled, "delete", "web/three")
    assert [entry["name"] for entry in shuttled.admin.config()[0]["backends"]] == ["one", "two"]
    done(shuttled, "restore", "1")
    assert shuttled.admin.config()[0]["balance"] == "RR"
    whole = done(shuttled, "get", "-config")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b'{"fall": 7}')
        ours.shutdown(socket.SHUT_WR)
        put = command("patch", "web", "-", "-http", shuttled.http)
        subprocess.run(put, stdin=theirs, check=True, timeout=30, stdout=subprocess.DEVNULL)
    assert shuttled.admin.config()[0]["fall"] == 7, "standard input may be a socket"
    done(shuttled, "delete", "web")
    assert shuttled.admin.config() == []
    done(shuttled, "put", "config", "-", stdin=whole)
    assert done(shuttled, "get", "-config") == whole


def test_a_change_is_tried(shuttled: Shuttled) -> None:
    before = shuttled.admin.config_text()
    said = done(shuttled, "drain", "web/one", "-dry-run")
    assert '~ backend web/one: state: "ready" -> "drain"' in said and "Nothing was changed" in said
    assert as_json(shuttled, "set", "web", "fall=3", "-dry-run")["diff"] == ["~ service web: fall: 2 -> 3"]
    assert "Nothing changes." in done(shuttled, "set", "web", "fall=2", "-dry-run")
    assert shuttled.admin.config_text() == before


def test_a_change_is_made_under_its_conditions_only(shuttled: Shuttled) -> None:
    tag = done(shuttled, "get", "web/one", "-tag").strip()
    done(shuttled, "set", "web/one", "weight=2", "-if-match", tag.strip('"'))
    before = shuttled.admin.config_text()
    assert "Nothing was changed" in refused(73, shuttled, "set", "web/one", "weight=3", "-if-match", tag)
    refused(73, shuttled, "put", "web/one", "-create-only", "-", stdin='{"address": "127.0.0.1:9"}')
    assert shuttled.admin.config_text() == before
    done(shuttled, "put", "web/new", "-create-only", "-", stdin='{"address": "127.0.0.1:9"}')


def test_what_is_wrong_is_told_with_its_place(shuttled: Shuttled) -> None:
    before = shuttled.admin.config_text()
    said = refused(65, shuttled, "patch", "web", '{"fall": 0, "balence": "RR"}')
    assert "/fall: " in said and "/balence: " in said, said
    assert "/weight" in refused(65, shuttled, "set", "web/one", "weight=many")
    refused(65, shuttled, "put", "web", "-", stdin="{")
    refused(65, shuttled, "wait", "web/one", "until", "drained")
    refused(65, shuttled, "events", "-types", "nonsense")
    for arguments in (["get", "nix"], ["get", "web/nix"], ["delete", "nix"], ["history", "99"], ["wait", "nix", "healthy"]):
        assert "shuttled ctl: " in refused(66, shuttled, *arguments)
    refused(74, shuttled, "put", "web", "/nonexistent/file")
    refused(74, shuttled, "get", "-token-from", "/nonexistent/file")
    assert "SERVICE/BACKEND" in refused(64, shuttled, "drain", "web")
    assert "nonsense" in ctl("get", "-http", "nonsense").stderr, "and no help, though -http has an h"
    assert shuttled.admin.config_text() == before


# Waiting


def test_a_drain_waits_for_the_last_session(shuttled: Shuttled, stage: Stage) -> None:
    client = stage.connect(shuttled.admin.config()[0]["address"])
    assert read_line(client) == "one"
    run = ctl("drain", "web/one", "-wait", "50ms", "-http", shuttled.http)
    assert run.returncode == 75 and "/active: " in run.stderr, run
    waits = stage.add(Follower("wait", "web/one", "until", "drained", "1m", "-output", "json", "-http", shuttled.http))
    client.close()
    assert waits.end() == 0 and json.loads("".join(waits.lines))["backends"][0]["active"] == 0
    assert "web/one is drained" in done(shuttled, "drain", "web/one", "-wait", "10s")
    assert "web/one is healthy" in done(shuttled, "ready", "web/one", "-wait", "10s")
    assert as_json(shuttled, "ready", "web/one", "-wait", "10s")["until"] == "healthy"


# Events


def test_events_are_followed_across_a_restart(stage: Stage) -> None:
    shuttled = stage.shuttled(state=True)
    follower = stage.add(Follower("events", "-follow", "-after", "0", "-output", "json", "-http", shuttled.http))
    shuttled.admin.change("/web", service("web", free_address()))

    def events() -> list[str]:
        return [json.loads(line)["event"] for line in follower.lines]

    eventually(lambda: events() == ["start", "change"], lambda: f"both are told: {events()}")
    shuttled.stop()
    shuttled.start()
    eventually(lambda: events()[-2:] == ["missed", "start"], lambda: f"it comes again: {events()}, {follower.said}", 30)
    assert events().count("change") == 1, "nothing is told twice"
    assert follower.said and follower.process.poll() is None
    last = json.loads(follower.lines[-1])["id"]
    assert ctl("events", "-after", last, "-http", shuttled.http).stdout == ""


# Reaching it


def test_the_flag_counts_before_the_variable(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())])
    port = shuttled.http.rpartition(":")[2]
    nobody = stage.add(Refusing()).address
    assert "web" in ctl("get", "-http", shuttled.http, SHUTTLE_ADMIN=nobody).stdout
    assert "web" in ctl("get", SHUTTLE_ADMIN=shuttled.http).stdout
    for written in (f"--http=:{port}", f"--http=localhost:{port}"):
        assert "web" in ctl(written, "get").stdout, "before the command, and with names"
    run = ctl("get", SHUTTLE_ADMIN="nonsense")
    assert run.returncode == 64 and "SHUTTLE_ADMIN" in run.stderr


def test_who_is_not_there_is_told_in_one_line(stage: Stage) -> None:
    nobody = stage.add(Refusing()).address
    for address, reason in ((nobody, "connection refused"), (f"{stage.directory}/no.sock", "no such file")):
        run = ctl("get", "-http", address)
        assert run.returncode == 69 and reason in run.stderr and "-http" in run.stderr, run
        assert run.stderr.count("\n") == 1 and run.stdout == ""


def test_who_says_nothing_is_not_waited_for(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "127.0.0.1:%d" % silent.getsockname()[1]
        run = ctl("get", "-http", address, "-timeout", "200ms")
        assert run.returncode == 69 and "200ms" in run.stderr, run
    run = ctl("get", "-http", stage.add(Named("one")).address)
    assert run.returncode == 76 and "HTTP" in run.stderr, run


@pytest.mark.parametrize(
    ("status", "code"), [(200, 76), (301, 76), (404, 76), (401, 77), (403, 77), (500, 70), (502, 70), (503, 70)]
)
def test_whoever_else_answers_is_no_shuttled(stage: Stage, status: int, code: int) -> None:
    other = stage.add(Impostor(status, "<html>", [("Content-Type", "text/html")]))
    for arguments in (["get"], ["history"], ["health"], ["watch"], ["set", "a", "b=1", "-dry-run"], ["wait", "a", "healthy"]):
        run = ctl(*arguments, "-http", other.address)
        assert (run.returncode, run.stdout) == (code, ""), (arguments, run)


def test_the_token_is_shown_and_not_told(stage: Stage, tmp_path: Path) -> None:
    other = stage.add(Impostor(200, "[]", [("Content-Type", "application/json")]))
    file = tmp_path / "token"
    file.write_text("from-file\n")
    ctl("get", "-http", other.address)
    ctl("get", "-http", other.address, SHUTTLE_TOKEN="from-environment")
    ctl("get", "-http", other.address, "-token-from", str(file), SHUTTLE_TOKEN="from-environment")
    shown = [request.headers.get("authorization") for request in other.requests]
    assert shown == [None, "Bearer from-environment", "Bearer from-file"]
    file.write_text("two words\n")
    run = ctl("get", "-http", other.address, "-token-from", str(file))
    assert run.returncode == 64 and "words" not in run.stderr and len(other.requests) == 3
    assert ctl("get", "-token", "secret", "-http", other.address).returncode == 64, "it would be in the list of processes"


def test_a_change_is_confirmed_or_taken_back(shuttled: Shuttled) -> None:
    before = shuttled.admin.service("web")["fall"]
    told = done(shuttled, "set", "web", f"fall={before + 1}", "-confirm", "60s")
    assert "It is taken back in 60s, unless: shuttled ctl confirm " in told
    number = told.split()[-1]
    assert f"/v1/confirm/{number}" in refused(65, shuttled, "set", "web", "rise=9", "-confirm", "60s")
    assert done(shuttled, "confirm", number) == f"confirmed {number}\n"
    assert "nothing to confirm" in done(shuttled, "set", "web", f"fall={before + 1}", "-confirm", "60s")

    number = str(as_json(shuttled, "delete", "web", "-confirm", "60s")["confirm_id"])
    assert shuttled.admin.get("/web").status == 404
    assert as_json(shuttled, "revert", number) == {"done": f"reverted {number}"}
    assert shuttled.admin.service("web")["fall"] == before + 1
    assert "taken back" in refused(65, shuttled, "confirm", number)
    assert "/v1/confirm" in refused(66, shuttled, "confirm", "77")


# Output


def test_output_that_cannot_be_written_is_no_success(shuttled: Shuttled) -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            command("get", "-config", "-http", shuttled.http), stdout=full, stderr=subprocess.PIPE, text=True, timeout=30
        )
    assert run.returncode == 74 and "not complete" in run.stderr, run
    reader, writer = socket.socketpair()
    reader.close()
    run = subprocess.run(
        command("get", "-http", shuttled.http), stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30
    )
    writer.close()
    assert (run.returncode, run.stderr) == (74, ""), "a reader that has left is not spoken to"


# Help and completion


def test_help_and_page_have_every_exit_code() -> None:
    page = (ROOT / "docs" / "client.md").read_text()
    said = " ".join(ctl("-help").stdout.split())
    for code in (0, 64, 65, 66, 69, 70, 73, 74, 75, 76, 77):
        assert re.search(rf"[ ;]{code} [a-z-]", said), code
        assert re.search(rf"^\| {code} \|", page, re.MULTILINE), code
    commands = re.findall(r"^  ([a-z]+)(?:, [a-z]+)?  +[A-Z]", ctl("-help").stdout.partition("SUBCOMMANDS:")[2], re.MULTILINE)
    assert len(commands) == 18
    for name in commands:
        assert f"ctl {name}" in page, name
        assert ctl(name, "-help").returncode == 0 and ctl(name, "--help").returncode == 0
    assert "ctl" in subprocess.run([binary(), "-help"], capture_output=True, text=True).stdout
    before = subprocess.run([binary(), "-http", "127.0.0.1:1", "ctl", "get"], capture_output=True, text=True)
    assert before.returncode == 64 and "ctl comes first" in before.stderr


def completed(script: str, *words: str, **variables: str) -> list[str]:
    """What bash would offer for the last word."""
    quoted = " ".join(f"'{word}'" for word in words)
    previous = words[-2]
    program = f"""source '{script}'; shuttled() {{ '{binary()}' "$@"; }}
        COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMP_LINE='{" ".join(words)}'; COMP_POINT=${{#COMP_LINE}}
        _shuttled shuttled '{words[-1]}' '{previous}'; printf '%s\\n' "${{COMPREPLY[@]}}" """
    run = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=30, env=environment(**variables))
    assert run.returncode == 0 and run.stderr == "", run
    return sorted(run.stdout.split())


def test_shells_complete_commands_flags_and_names(stage: Stage, tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        run = subprocess.run([binary(), "--generate-completion-script", shell], capture_output=True, text=True)
        assert run.returncode == 0 and "ctl" in run.stdout
        (tmp_path / shell).write_text(run.stdout)
    script = str(tmp_path / "bash")
    subprocess.run(["bash", "-n", script], check=True)
    assert completed(script, "shuttled", "c") == ["ctl"]
    assert completed(script, "shuttled", "ctl", "dr") == ["drain"]
    assert completed(script, "shuttled", "ctl", "drain", "-wa") == ["-wait"]
    assert completed(script, "shuttled", "ctl", "get", "-output", "j") == ["json"]
    assert completed(script, "shuttled", "-log-format", "t") == ["text"]
    shuttled = stage.shuttled([service("web", free_address(), [backend("one", "127.0.0.1:9")])])
    assert completed(script, "shuttled", "ctl", "drain", "web/", SHUTTLE_ADMIN=shuttled.http) == ["web/one"]
    assert completed(script, "shuttled", "ctl", "get", "-http", shuttled.http, "w") == ["web"]
    nobody = stage.add(Refusing()).address
    assert completed(script, "shuttled", "ctl", "get", "w", SHUTTLE_ADMIN=nobody) == [], "and no word of why not"


# Connections


def test_connections_are_printed_and_ended(shuttled: Shuttled, stage: Stage) -> None:
    address = shuttled.admin.service("web")["address"]
    sockets = [stage.connect(address) for _ in range(3)]
    for connection in sockets:
        read_line(connection)
    printed = done(shuttled, "connections", "-interval", "0").splitlines()
    assert printed[0].split()[:4] == ["ID", "BACKEND", "CLIENT", "STATE"]
    assert [line.split()[1:2] + line.split()[3:4] for line in printed[1:]] == [["web/one", "relaying"]] * 3
    found = as_json(shuttled, "connections", "-service", "web", "-client", "127.0.0.0/8", "-min-age", "0", "-limit", "2")
    assert len(found["connections"]) == 2
    assert found["next"]
    assert as_json(shuttled, "connections", "-min-bytes", "1000000") == {"connections": [], "next": None}
    chosen = found["connections"][0]["id"]
    assert chosen in done(shuttled, "kill", chosen)
    assert "has ended" in refused(66, shuttled, "kill", chosen)
    assert "2 match" in done(shuttled, "kill", "-service", "web", "-rate", "1/s", "-dry-run")
    assert "ends 2 connections" in done(shuttled, "kill", "-all", "-jitter", "0")
    eventually(lambda: not as_json(shuttled, "connections", "-interval", "0")["connections"], "all have ended")
    for arguments in (["kill"], ["kill", "x", "-all"], ["kill", "-all", "-service", "web"], ["connections", "-limit", "0"]):
        refused(64, shuttled, *arguments)
    assert "no service" in refused(66, shuttled, "connections", "-service", "nobody")


def test_explain_says_why(shuttled: Shuttled) -> None:
    printed = done(shuttled, "explain", "web", "192.0.2.1").splitlines()
    assert 'gets the backend "one"' in printed[0]
    assert [line.split()[:2] for line in printed[3:]] == [["one", "chosen"], ["two", "weight-zero"]]
    assert as_json(shuttled, "explain", "web", "unix")["backend"] == "one"
    assert "client is" in refused(65, shuttled, "explain", "web", "nonsense")
