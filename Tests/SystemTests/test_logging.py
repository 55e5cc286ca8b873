"""What is logged: nothing in vain, by part of the program, with request ids; levels that change while it runs, and warnings
that do not flood.

Leaves to `LogLevelsTests` and `LogLimiterTests` the rules, to `test_command_line` the flags.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.peers import Named
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.wait import eventually

PARTS = ["admin", "control", "engine", "health", "names", "process"]


def lines(shuttled: Shuttled) -> list[dict[str, Any]]:
    return [json.loads(line) for line in shuttled.log_text().splitlines()]


def messages(shuttled: Shuttled) -> list[str]:
    return [line["message"] for line in lines(shuttled)]


def test_ordinary_operation_says_only_what_happens(stage: Stage) -> None:
    """A start, a thousand connections, changes, requests that are refused, a stop."""
    one = stage.add(Named("one"))
    address = free_address()
    shuttled = stage.shuttled([service("web", address, [backend("b", one.address)])], arguments=["-log-format", "json"])
    for _ in range(1000):
        stage.name_at(address)
    for weight in (2, 3):
        shuttled.admin.change("/web/b", {"weight": weight}, method="PATCH")
    shuttled.admin.put("/web", {"address": 5}).problem(400)
    shuttled.admin.get("/nothing").problem(404)
    for path in ("/", "/config", "/v1/rings", "/v1/connections?interval=0", "/livez", "/openapi.json"):
        shuttled.admin.get(path).expect(200)
    shuttled.wait_idle()
    shuttled.stop()
    assert messages(shuttled) == [
        "no -state file: changes live in memory and are lost when shuttled stops",
        "configuration read",
        "configuration changed",
        "ready",
        "configuration changed",
        "configuration changed",
        "stopping",
        "draining: no new connections are taken",
        "drained: every session has ended",
        "stopped",
    ]
    assert [line["level"] for line in lines(shuttled)].count("warning") == 1
    assert {line["metadata"]["component"] for line in lines(shuttled)} <= set(PARTS)


def test_levels_by_part_at_the_start(stage: Stage) -> None:
    shuttled = stage.shuttled(arguments=["-log-format", "json", "-log-level", "error,admin=debug,process=info"])
    shuttled.admin.change("/web", service("web", free_address()))
    found = {(line["metadata"]["component"], line["level"]) for line in lines(shuttled)}
    assert ("admin", "debug") in found
    assert {part for part, _ in found} <= {"admin", "process"}, found


def test_levels_change_while_it_runs(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())], arguments=["-log-format", "json", "-log-level", "notice"])
    before = shuttled.admin.get("/v1/log-levels").expect(200).json
    assert before == dict.fromkeys(PARTS, "notice")
    patched = shuttled.admin.request("PATCH", "/v1/log-levels", json={"admin": "debug", "health": "error"}).expect(200)
    assert patched.json == {**before, "admin": "debug", "health": "error"}
    shuttled.admin.get("/config").expect(200)
    assert "request answered" in messages(shuttled)
    put = shuttled.admin.put("/v1/log-levels", {"control": "info"}).expect(200).json
    assert put == {**before, "control": "info"}, "those that are left out have the level of the start"
    count = messages(shuttled).count("request answered")
    shuttled.admin.get("/config").expect(200)
    assert messages(shuttled).count("request answered") == count
    shuttled.admin.change("/web", service("web", free_address()))
    assert "configuration changed" in messages(shuttled)
    assert shuttled.admin.request("PATCH", "/v1/log-levels", json={"control": None}).expect(200).json == before
    assert messages(shuttled).count("log levels changed") == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([], ["must be an object"]),
        ({"nobody": "info"}, ["no component", "admin, control, engine"]),
        ({"admin": "loud"}, ["admin must be one of", "trace, debug"]),
        ({"admin": 3}, ["admin must be one of"]),
        ({"admin": "critical"}, ["admin must be one of"]),
    ],
)
def test_levels_that_are_none_change_nothing(stage: Stage, body: Any, words: list[str]) -> None:
    shuttled = stage.shuttled()
    before = shuttled.admin.get("/v1/log-levels").json
    for method in ("PUT", "PATCH"):
        shuttled.admin.request(method, "/v1/log-levels", json=body).problem(400).says(*words, "nothing was changed")
    assert shuttled.admin.get("/v1/log-levels").json == before
    shuttled.admin.put("/v1/log-levels", body=b"{").problem(400)
    shuttled.admin.put("/v1/log-levels", body=b"{}", content_type="text/plain").problem(415)
    shuttled.admin.delete("/v1/log-levels").problem(405)


def test_only_who_may_write_changes_them(stage: Stage) -> None:
    stage.directory.mkdir(parents=True, exist_ok=True)
    tokens = stage.directory / "tokens"
    secret = "-0123456789abcdef0123456789abcdef"
    tokens.write_text("".join(f"{role} {role} {role}{secret}\n" for role in ("read", "operate", "write")))
    tokens.chmod(0o600)
    shuttled = stage.prepared(arguments=["-token-file", str(tokens)])
    shuttled.admin = shuttled.admin.authorized(f"write{secret}")
    shuttled.start()
    for role in ("read", "operate"):
        admin = shuttled.admin.authorized(role + secret)
        admin.get("/v1/log-levels").expect(200)
        admin.put("/v1/log-levels", {}).problem(403).says("write")
    shuttled.admin.put("/v1/log-levels", {}).expect(200)


# Requests


def test_a_request_is_called_as_its_client_calls_it(stage: Stage) -> None:
    shuttled = stage.shuttled([service("web", free_address())], arguments=["-log-format", "json", "-log-level", "debug"])
    name = "deploy-7.web_2"
    answer = shuttled.admin.request("PATCH", "/web", json={"retries": 1}, headers={"X-Request-ID": name}).expect(200)
    assert answer.headers["x-request-id"] == name
    named = [line for line in lines(shuttled) if line["metadata"].get("request_id") == name]
    assert {"request answered", "configuration changed"} <= {line["message"] for line in named}
    refused = shuttled.admin.get("/nothing", headers={"X-Request-ID": name})
    assert refused.headers["x-request-id"] == name, refused
    assert refused.status == 404


@pytest.mark.parametrize(
    "given",
    ["", "with space", "x" * 65, "quote\"d", "a=b", "new\tline", "[31m"],
)
def test_names_that_could_be_mistaken_are_replaced(stage: Stage, given: str) -> None:
    shuttled = stage.shuttled(arguments=["-log-level", "debug"])
    first = shuttled.admin.get("/config", headers=[("X-Request-ID", given)]).expect(200).headers["x-request-id"]
    second = shuttled.admin.get("/config").expect(200).headers["x-request-id"]
    twice = shuttled.admin.get("/config", headers=[("X-Request-ID", "a"), ("X-Request-ID", "b")]).expect(200)
    made = {first, second, twice.headers["x-request-id"]}
    assert len(made) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", name) for name in made), made
    assert not given or given not in shuttled.log_text()


# Warnings


def test_warnings_of_a_kind_are_held_back_and_counted(stage: Stage) -> None:
    """Forty backends go down: a few lines say so, one says how many more."""
    dead = free_address()
    backends = [backend(f"b{number}", dead, check_address=dead) for number in range(40)]
    shuttled = stage.shuttled(
        [service("web", free_address(), backends, check_interval=50)], arguments=["-log-format", "json"]
    )
    eventually(lambda: all(not b["up"] for b in shuttled.admin.service("web")["backends"]), "all are down")
    shuttled.stop()
    warned = [line for line in lines(shuttled) if line["level"] == "warning" and line["metadata"]["component"] == "health"]
    rests = [line for line in warned if "held_back" in line["metadata"]]
    told = [line for line in warned if line not in rests]
    held_back = sum(int(line["metadata"]["held_back"]) for line in rests)
    assert len(told) + held_back == 40, warned
    assert rests, warned
    assert all("were held back" in line["message"] for line in rests)
