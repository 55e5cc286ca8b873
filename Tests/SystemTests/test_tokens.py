"""Who may call the admin API where there are tokens: roles, reloads, peers of a unix socket, and who is remembered.

Leaves to `test_admin_guard.py` what holds for everybody: hosts, origins, limits.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.admin import Admin
from harness.events import Events
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.wait import eventually

READ = "r" * 8 + "0123456789abcdef01234567"
OPERATE = "o" * 8 + "0123456789abcdef01234567"
WRITE = "w" * 8 + "0123456789abcdef01234567"
TOKENS = {"look": ("read", READ), "work": ("operate", OPERATE), "root": ("write", WRITE)}
LINES = [f"{name} {role} {token}" for name, (role, token) in TOKENS.items()]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")


def written(path: Path, lines: list[str]) -> None:
    """Replaced as a whole, and for its owner from the start."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("".join(f"{line}\n" for line in lines))
    new.rename(path)


def prepared(stage: Stage, services: Any = None, *, lines: list[str] | None = None, **options: Any) -> Shuttled:
    """A shuttled with tokens; its `admin` has the one that may do everything."""
    arguments = ["-token-file", "tokens", *options.pop("arguments", [])]
    shuttled = stage.prepared(services, arguments=arguments, **options)
    written(shuttled.directory / "tokens", LINES if lines is None else lines)
    shuttled.admin.token = WRITE
    return shuttled


def with_tokens(stage: Stage, services: Any = None, **options: Any) -> Shuttled:
    return prepared(stage, services, **options).start()


def web(**fields: Any) -> dict[str, Any]:
    return service("web", free_address(), [backend("one", "127.0.0.1:1"), backend("two", "127.0.0.1:2")], **fields)


def entries(admin: Admin) -> list[dict[str, Any]]:
    return admin.get("/v1/history?limit=1000").expect(200).json["entries"]


# Roles


READS = ["/", "/_stats", "/config", "/_config", "/web", "/web/one", "/v1/rings", "/v1/whoami", "/v1/history", "/v1/history/1",
         "/v1/services/web", "/v1/services/web/backends/one", "/v1/services/web/wait?until=drained", "/readyz", "/healthz"]  # fmt: skip
#: Method, path, body, and who may at least.
CHANGES = [
    ("PATCH", "/web/one", {"weight": 3}, "operate"),
    ("PATCH", "/web/one", {"state": "drain"}, "operate"),
    ("PATCH", "/web", {"maintenance": True, "backends": {"two": {"weight": 0, "state": "maintenance"}}}, "operate"),
    ("PATCH", "/web", {"fall": 2}, "operate"),  # as it is
    ("PUT", "/web/one", {"address": "127.0.0.1:1", "weight": 4}, "operate"),
    ("PATCH", "/web/one", {"address": "127.0.0.1:9"}, "write"),
    ("PATCH", "/web/one", {"weight": 3, "max_connections": 9}, "write"),
    ("PUT", "/web/one", {"address": "127.0.0.1:9", "weight": 4}, "write"),
    ("PUT", "/web/three", {"address": "127.0.0.1:9"}, "write"),
    ("PATCH", "/web", {"backends": {"two": None}}, "write"),
    ("PATCH", "/web", {"fall": 3}, "write"),
    ("DELETE", "/web/one", None, "write"),
    ("DELETE", "/web", None, "write"),
    ("PUT", "/config", [], "write"),
    ("POST", "/v1/history/1/restore", None, "write"),
]
RANK = ["read", "operate", "write"]


def test_everybody_may_read_who_is_known(stage: Stage) -> None:
    shuttled = with_tokens(stage, [web()])
    for path in READS:
        for method in ("GET", "HEAD"):
            for token in (None, "x" * 32, WRITE[:-1], WRITE + "0"):
                answer = shuttled.admin.authorized(token).request(method, path).expect(401)
                assert answer.headers["www-authenticate"].startswith("Bearer"), answer
            for token in (READ, OPERATE, WRITE):
                shuttled.admin.authorized(token).request(method, path).expect(200)
    nobody = shuttled.admin.authorized(None)
    nobody.get("/livez").expect(200)
    nobody.get("/livez?verbose").expect(200)
    nobody.get("/none/of/that").problem(401).says("-token-file", "Authorization: Bearer")
    stage.add(Events(shuttled.admin.authorized(READ)))
    nobody.get("/v1/events").problem(401)


@pytest.mark.parametrize("way", ["", "?dry_run=1"])
@pytest.mark.parametrize(("method", "path", "body", "least"), CHANGES)
def test_changes_take_a_role_by_what_they_do(
    stage: Stage, method: str, path: str, body: Any, least: str, way: str
) -> None:
    shuttled = with_tokens(stage, [web()])
    before = shuttled.admin.config_text()
    for token in (None, "x" * 32):
        shuttled.admin.authorized(token).request(method, path + way, json=body).expect(401)
    for name, (role, token) in TOKENS.items():
        admin = shuttled.admin.authorized(token)
        if RANK.index(role) >= RANK.index(least):
            admin.request(method, path + way, json=body).expect(200)
            shuttled.admin.change("/config", json.loads(before))
            continue
        answer = admin.request(method, path + way, json=body)
        answer.problem(403).says(f'"{name}"', f"role {role}")
        assert "insufficient_scope" in answer.headers["www-authenticate"]
        if role == "operate":
            answer.problem(403).says("takes write")
        assert shuttled.admin.config_text() == before
    assert not [entry for entry in entries(shuttled.admin) if entry["token"] == "look"]


def test_who_may_not_change_is_refused_before_the_body(stage: Stage) -> None:
    """Whoever may only look learns nothing of how a change would be judged."""
    shuttled = with_tokens(stage, [web()])
    for body in (b"{", b'{"address": "no-such-name.invalid:1"}', b'{"unknown": 1}'):
        shuttled.admin.authorized(READ).request("PATCH", "/web", body=body).problem(403)
        shuttled.admin.authorized(None).request("PATCH", "/web", body=body).problem(401)
        shuttled.admin.authorized(READ).request("PATCH", "/none", body=body).problem(403)
    shuttled.admin.authorized(OPERATE).request("PATCH", "/web", body=b"{").problem(400)


def test_no_order_of_changes_lets_operate_do_more(stage: Stage) -> None:
    """What was read is put back with another weight while somebody else moves the backend: it never moves it back."""
    shuttled = with_tokens(stage, [web()])
    worker, done, refused = shuttled.admin.authorized(OPERATE), threading.Event(), []

    def work() -> None:
        with worker.open() as session:
            weight, is_over = 0, False
            while not is_over:
                is_over = done.is_set()  # once more, when nobody is in between
                weight = weight % 200 + 1
                now = session.request("GET", "/v1/services/web/backends/one").expect(200).json
                answer = session.request("PUT", "/web/one", json=now | {"weight": weight}).expect(200, 403)
                if answer.status == 403:
                    refused.append(answer.json["detail"])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        with shuttled.admin.open() as session:
            number = 0
            while number < 100 or not refused and number < 2000:
                number += 1
                change = {"address": f"127.0.0.1:{1000 + number}"}
                session.request("PATCH", "/web/one", json=change).expect(200)
    finally:
        done.set()
        thread.join(30)
    by_worker = [line for entry in entries(shuttled.admin) if entry["token"] == "work" for line in entry["diff"]]
    assert by_worker and all(": weight: " in line for line in by_worker), by_worker[:5]
    assert refused, "the two never met"
    assert all("address" in detail for detail in refused)


def test_the_examples_send_a_token(stage: Stage) -> None:
    shuttled = with_tokens(stage, [web()])
    script = Path(__file__).resolve().parents[2] / "examples" / "drain-backend.sh"
    for token, said in ((OPERATE, "web/one is drained"), (READ, "403"), ("", "401")):
        done = subprocess.run(
            [str(script), "web", "one"], capture_output=True, text=True, timeout=30,
            env={**os.environ, "SHUTTLE_ADMIN": f"http://{shuttled.http}", "SHUTTLE_TOKEN": token},
        )  # fmt: skip
        assert said in done.stdout + done.stderr, done
        assert (done.returncode == 0) == (token == OPERATE), done


# What is shown


def test_what_is_no_bearer_token_is_refused(stage: Stage) -> None:
    shuttled = with_tokens(stage)
    nobody = shuttled.admin.authorized(None)
    for scheme in ("Bearer", "bearer", "BEARER"):
        nobody.get("/config", headers={"Authorization": f"{scheme} {READ}"}).expect(200)
    for value in (READ, f"Basic {READ}", "Bearer", "Bearer ", f"Bearer {READ} {READ}", f"Bearer {READ},", f"Token {READ}", "Bearer look"):
        nobody.get("/config", headers={"Authorization": value}).problem(401)
    twice = [("Authorization", f"Bearer {READ}"), ("Authorization", f"Bearer {WRITE}")]
    nobody.get("/config", headers=twice).problem(401).says("more than one")
    nobody.get(f"/config?access_token={READ}").problem(401)
    with nobody.open() as session:  # each request of a connection is asked anew
        session.request("GET", "/config", headers={"Authorization": f"Bearer {READ}"}).expect(200)
        session.request("GET", "/config").problem(401)


def test_a_token_does_not_open_other_doors(stage: Stage) -> None:
    """A foreign host or origin is refused whatever the token."""
    shuttled = with_tokens(stage)
    shuttled.admin.get("/config", host="evil.example").problem(403).says("Host")
    shuttled.admin.get("/config", headers={"Origin": "http://evil.example"}).problem(403).says("Origin")


def test_tokens_are_never_told(stage: Stage) -> None:
    shuttled = with_tokens(stage, [web()], state=True, arguments=["-log-level", "trace"])
    events = stage.add(Events(shuttled.admin, "?last_event_id=0"))
    said = [
        shuttled.admin.authorized(token).request(method, path, json=body).body
        for token in (READ, OPERATE, WRITE, WRITE + "x", READ.upper())
        for method, path, body in (("GET", "/config", None), ("PATCH", "/web/one", {"weight": 9}), ("DELETE", "/web", None),
                                   ("GET", "/v1/history", None), ("GET", "/v1/history/2", None))
    ]  # fmt: skip
    written(shuttled.directory / "tokens", [*LINES, f"{READ} write x", f"short write {READ[:20]}"])
    said.append(str(events.wait_for("token-reload", outcome="refused")).encode())
    shuttled.signal(signal.SIGHUP)
    events.wait_for("token-reload", trigger="SIGHUP")
    files = [path for path in shuttled.directory.iterdir() if path.is_file() and path.name != "tokens"]
    assert {"shuttled.log", "state.json", ".state.json.history", "state.json.history"} & {path.name for path in files}
    said += [path.read_bytes() for path in files] + [str(events.all).encode()]
    for text in said:
        for token in (READ, OPERATE, WRITE, READ.upper()):
            assert token[:20].encode() not in text
    assert "without a valid token" in shuttled.log_text()


# Who is remembered


def test_who_changed_it_is_told(stage: Stage) -> None:
    shuttled = with_tokens(stage, [web()], state=True)
    events = stage.add(Events(shuttled.admin.authorized(READ)))
    shuttled.admin.authorized(OPERATE).request("PATCH", "/web/one", json={"weight": 9}).expect(200)
    event = events.wait_for("change")
    assert event["token"] == "work" and event["from"].startswith("127.0.0.1:")
    assert "token=work" in shuttled.log_text()
    newest, start = entries(shuttled.admin)
    assert newest["token"] == "work" and newest["peer"].startswith("127.0.0.1:")
    assert start["token"] is None
    events.close()
    shuttled.stop()
    shuttled.start()
    assert [entry["token"] for entry in entries(shuttled.admin)] == ["work", None], "it outlives a restart"


# Reloads


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize("way", ["signal", "change"])
def test_tokens_are_read_again(stage: Stage, way: str, state: bool) -> None:
    """At a hangup, which finds the file changed within the 200 ms for which it is left at rest, and by themselves."""
    shuttled = with_tokens(stage, [web()], state=state)
    events = stage.add(Events(shuttled.admin))
    new = "n" * 40
    written(shuttled.directory / "tokens", [LINES[2], f"new read {new}"])
    if way == "signal":
        shuttled.signal(signal.SIGHUP)
        told = events.wait_for("token-reload", trigger="SIGHUP", outcome="applied")
    else:
        told = events.wait_for("token-reload", trigger="file-change", outcome="applied")
        assert "added: new; removed: look, work" in told["detail"]
    assert told["file"] == "tokens"
    shuttled.admin.authorized(new).get("/config").expect(200)
    shuttled.admin.authorized(READ).get("/config").problem(401)
    assert "tokens read again" in shuttled.log_text()
    assert [entry["name"] for entry in shuttled.admin.config()] == ["web"]


def test_a_role_changes_live(stage: Stage) -> None:
    shuttled = with_tokens(stage, [web()])
    events = stage.add(Events(shuttled.admin))
    worker = shuttled.admin.authorized(OPERATE)
    worker.request("PATCH", "/web/one", json={"weight": 9}).expect(200)
    written(shuttled.directory / "tokens", [LINES[2], f"work read {OPERATE}"])
    assert "changed: work" in events.wait_for("token-reload")["detail"]
    worker.request("PATCH", "/web/one", json={"weight": 8}).problem(403).says('"work"', "role read")
    worker.get("/config").expect(200)


@pytest.mark.parametrize("fault", ["line", "mode", "gone", "empty", "folder"])
def test_a_bad_file_leaves_the_tokens_as_they_are(stage: Stage, fault: str) -> None:
    shuttled = with_tokens(stage)
    events = stage.add(Events(shuttled.admin))
    path = shuttled.directory / "tokens"
    match fault:
        case "line":
            written(path, [LINES[2], "ci wirte " + READ])
        case "mode":
            path.chmod(0o644)
        case "gone":
            path.unlink()
        case "empty":
            written(path, ["# nobody"])
        case "folder":
            path.unlink()
            path.mkdir()
    expected = {"line": "tokens:2: the role is \"wirte\"", "mode": "chmod o-rw", "gone": "No such file", "empty": "lets nobody in",
                "folder": "it is a folder"}  # fmt: skip
    # For a moment there was no file where there is a folder.
    eventually(
        lambda: any(expected[fault] in event["detail"] for event in events.of("token-reload", outcome="refused")),
        lambda: f"it is told what is wrong: {events.of('token-reload')}",
    )
    assert "tokens not read again" in shuttled.log_text() and " warning " in shuttled.log_text().lower()
    for token in (READ, OPERATE, WRITE):
        shuttled.admin.authorized(token).get("/config").expect(200)
    # What was wrong is put right.
    if fault == "folder":
        path.rmdir()
    if fault == "mode":
        path.chmod(0o600)
    else:
        written(path, LINES[1:])
    events.wait_for("token-reload", outcome="applied")
    shuttled.admin.authorized(READ).get("/config").expect(200 if fault == "mode" else 401)


def test_who_stays_is_never_refused_meanwhile(stage: Stage) -> None:
    shuttled = with_tokens(stage)
    events = stage.add(Events(shuttled.admin, "?types=token-reload"))
    with shuttled.admin.open() as session:
        for number in range(30):
            written(shuttled.directory / "tokens", [LINES[2], f"n{number} read {number:032}"])
            shuttled.signal(signal.SIGHUP)
            for _ in range(10):
                session.request("GET", "/config").expect(200)
    written(shuttled.directory / "tokens", LINES)
    eventually(lambda: shuttled.admin.authorized(READ).get("/config").status == 200, "the last one is in force")
    events.wait_for("token-reload", outcome="applied")
    assert not events.of("token-reload", outcome="refused")


def test_answers_under_way_end_with_their_token(stage: Stage) -> None:
    closed = free_address()
    down = backend("one", closed, check_address=closed)
    shuttled = with_tokens(stage, [service("web", free_address(), [down], check_interval=50, fall=1)])
    eventually(lambda: not shuttled.admin.backend("web", "one")["up"], "it is down")
    reader = shuttled.admin.authorized(READ)
    with reader.connect() as waiting:
        waiting.sendall(reader.head("GET", "/v1/services/web/wait?until=healthy&timeout=1h"))
        removed, staying = (stage.add(Events(shuttled.admin.authorized(token))) for token in (READ, WRITE))
        written(shuttled.directory / "tokens", LINES[1:])
        staying.wait_for("token-reload", outcome="applied")
        assert waiting.recv(12) == b"HTTP/1.1 401"
    eventually(lambda: removed.is_over, "the stream ends")
    assert removed.is_whole and not staying.is_over
    assert "event stream ended" in shuttled.log_text()


# The start


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", ""])
def test_other_machines_may_come_where_there_are_tokens(stage: Stage, host: str) -> None:
    address = free_address(host)
    refused = stage.prepared(http=address)
    code, said = refused.run()
    assert code == 64 and "-token-file" in said, said
    shuttled = prepared(stage, [web()], http=address)
    port = address.rpartition(":")[2]
    shuttled.admin = Admin(f"127.0.0.1:{port}").authorized(WRITE)
    shuttled.start()
    shuttled.admin.authorized(None).get("/config").problem(401)
    assert "clear text" in shuttled.log_text()
    shuttled.admin.get("/config", host=f"evil.example:{port}").problem(403)


@pytest.mark.parametrize(
    ("lines", "mode", "words"),
    [
        ([], 0o600, "it lets nobody in"), (["a write short"], 0o600, "tokens:1: the token has 5 characters"),
        (LINES, 0o644, "its mode is 0644"), (["me write uid:0"], 0o600, "tokens:1: uid:0 is for peers on a unix socket"),
        ([LINES[0], LINES[0]], 0o600, "tokens:2: the name \"look\" is that of line 1"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_at_the_start(stage: Stage, lines: list[str], mode: int, words: str) -> None:
    shuttled = prepared(stage, lines=lines)
    (shuttled.directory / "tokens").chmod(mode)
    code, said = shuttled.run()
    assert code == 65 and words in said, (code, said)
    # And by -check, which starts nothing.
    shuttled.command.append("-check")
    code, said = shuttled.run()
    assert code == 1 and words in said, (code, said)
    written(shuttled.directory / "tokens", LINES)
    code, said = shuttled.run()
    assert "tokens: valid tokens: 3 (read: 1, operate: 1, write: 1)" in said, said


# Unix sockets


@pytest.fixture
def folder() -> Iterator[Path]:
    """For sockets: their paths have 107 bytes at most, and others must be able to come to them. To be asked for before the
    stage, so that it is there until all have ended."""
    with tempfile.TemporaryDirectory(prefix="shuttle-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_user(admin: Admin, user: int, group: int, groups: list[int], token: str | None = None) -> int:
    """The status that a process of this user gets for a change of a weight."""
    header = f"Authorization: Bearer {token}\\r\\n" if token else ""
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1]);"
        "body = b'{\"weight\": 7}';"
        f"s.sendall(('PATCH /web/one HTTP/1.1\\r\\nHost: x\\r\\n{header}Content-Type: application/json\\r\\n"
        "Connection: close\\r\\nContent-Length: %d\\r\\n\\r\\n' % len(body)).encode() + body);"
        "print(s.recv(12).decode()[9:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, admin.address], capture_output=True, text=True, timeout=30,
        user=user, group=group, extra_groups=groups, cwd="/",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@needs_root
def test_peers_of_a_unix_socket_are_let_in_by_user_and_group(folder: Path, stage: Stage) -> None:
    lines = [*LINES, "admin write uid:0", "deploy operate uid:4711", "staff read gid:4712", "ops operate gid:4713"]
    shuttled = prepared(stage, [web()], lines=lines, http=f"{folder}/admin.sock", arguments=["-http-mode", "0666"])
    shuttled.admin.token = None
    shuttled.start()
    admin = shuttled.admin
    admin.request("PATCH", "/web", json={"fall": 3}).expect(200)
    assert as_user(admin, 4711, 4711, []) == 200
    assert as_user(admin, 4799, 4712, []) == 403
    assert as_user(admin, 4799, 4799, [4713]) == 200, "further groups count"
    assert as_user(admin, 4799, 4799, [4712, 4713]) == 200, "the line that lets it do most"
    assert as_user(admin, 4799, 4799, []) == 401
    assert as_user(admin, 4799, 4799, [], OPERATE) == 200
    assert as_user(admin, 4711, 4711, [], READ) == 403, "the token decides"
    assert as_user(admin, 4711, 4711, [], "x" * 32) == 401
    admin.request("PATCH", "/web/one", json={"weight": 9}, headers={"Authorization": "Bearer " + "x" * 32}).problem(401)
    newest, first = entries(admin)[0], entries(admin)[1]
    assert newest["token"] == "deploy" and newest["peer"].endswith(", uid 4711)") and "pid " in newest["peer"]
    assert first["token"] == "admin" and first["peer"] == f"unix (pid {os.getpid()}, uid 0)"
    # The line is removed, and its user with it.
    written(shuttled.directory / "tokens", [line for line in lines if "4711" not in line])
    eventually(lambda: as_user(admin, 4711, 4711, []) == 401, "it is let in no more")


def test_without_tokens_the_file_of_the_socket_is_the_boundary(folder: Path, stage: Stage) -> None:
    umask = os.umask(0)
    try:
        shuttled = stage.shuttled([web()], http=f"{folder}/admin.sock")
        other = stage.shuttled([], http=f"{folder}/other.sock", arguments=["-http-mode", "660"])
    finally:
        os.umask(umask)
    assert stat.S_IMODE(Path(shuttled.http).stat().st_mode) == 0o600, "for its owner"
    assert stat.S_IMODE(Path(other.http).stat().st_mode) == 0o660
    shuttled.admin.change("/web/one", {"weight": 5}, method="PATCH")
    newest = entries(shuttled.admin)[0]
    assert newest["token"] is None and newest["peer"] == f"unix (pid {os.getpid()}, uid {os.getuid()})"
