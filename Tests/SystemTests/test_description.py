"""`/openapi.json` says what is true: its examples work, answers have what it says and nothing else, and schemathesis,
which makes up requests from it, finds nothing."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.openapi import Description, Example
from harness.peers import Echo
from harness.ports import free_address
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.wait import eventually

HERE = Path(__file__).parent
CHECKERS = HERE.parent.parent / ".build" / "checkers" / "bin"
# Addresses of the examples, which nobody else may have taken where they are tried.
LISTENED, CONNECTED = "127.0.0.1:8080", ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003"]
# An id of the examples, which no connection has.
CONNECTION = "mi7x2k-0-12-1"


def description(shuttled: Shuttled) -> Description:
    return Description(shuttled.admin.get("/openapi.json").expect(200).json)


def checker(name: str) -> Path:
    path = CHECKERS / name
    assert path.exists(), f"{path} is missing: run scripts/setup test"
    return path


def test_it_is_an_openapi_document(stage: Stage, tmp_path: Path) -> None:
    shuttled = stage.shuttled([])
    document = shuttled.admin.get("/openapi.json").expect(200)
    assert document.content_type == "application/json"
    path = tmp_path / "openapi.json"
    broken = tmp_path / "broken.json"
    path.write_bytes(document.body)
    broken.write_text(json.dumps({**document.json, "paths": {"/": {"get": {"responses": 7}}}}))
    for file, code in ((path, 0), (broken, 1)):
        done = subprocess.run([checker("openapi-spec-validator"), file], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
    shuttled.admin.get("/openapi.json?x=1").problem(400)
    shuttled.admin.put("/openapi.json").problem(405)


def test_every_example_works(stage: Stage) -> None:
    real = {LISTENED: free_address()} | {address: stage.add(Echo()).address for address in CONNECTED}
    baseline = [
        service("web", free_address(), [backend("one", real[CONNECTED[0]], check_address=real[CONNECTED[0]])]),
    ]
    # Change 1, which the examples restore.
    shuttled = stage.shuttled([])
    described = description(shuttled)
    examples = list(described.examples())
    assert len(examples) > 80

    def pending() -> list[int]:
        return [change["id"] for change in shuttled.admin.get("/v1/confirm").json["pending"]]

    for example in examples:
        for number in pending():
            shuttled.admin.delete(f"/v1/confirm/{number}").expect(200)
        shuttled.admin.put("/config", baseline).expect(200)
        path = example.path
        if path.startswith("/v1/confirm/"):
            answer = shuttled.admin.request("PATCH", "/web?confirm=60s", json={"fall": 7}).expect(200)
            path = f"/v1/confirm/{answer.headers['confirm-id']}"
        if path.startswith("/v1/connections/"):
            stage.connect(shuttled.admin.service("web")["address"])
            found = eventually(lambda: shuttled.admin.get("/v1/connections").json["connections"], "it is there")
            path = path.replace(CONNECTION, found[0]["id"])
        if path.startswith("/v1/disconnects/"):
            shuttled.admin.delete("/v1/connections?all=1").expect(202)
        if example.method == "DELETE" and re.fullmatch(r"/v1/connections(\?(rate|jitter|dry_run)=.*)?", path):
            # It has to be said which, which is more than one parameter.
            path += "&all=1" if "?" in path else "?all=1"
        body = json.loads(_with(real, json.dumps(example.body)))
        if path.startswith("/v1/events"):
            _read_events(shuttled, path, example)
            continue
        response = shuttled.admin.request(
            example.method,
            path,
            json=body if example.content_type else None,
            headers=example.headers,
            content_type=example.content_type,
        )
        described_as = example.responses.get(str(response.status))
        assert described_as and response.status < 400, f"{example}: {response}"
        content = described_as.get("content")
        if content is None:
            assert response.body == b"", example
        else:
            content_type = response.content_type.split(";")[0]
            assert content_type in content, example
            media = content[content_type]
            if content_type == "application/json":
                described.check(response.json, media["schema"])
        expected = set(described_as.get("headers", {}))
        if "confirm=" not in path:
            expected -= {"Confirm-Id", "Confirm-Until"}
        if example.method == "DELETE" and "dry_run" not in path and not path.startswith("/v1/"):
            # What is gone has no version.
            expected -= {"ETag"}
        assert expected <= set(response.headers), f"{example}: {dict(response.headers)}"
    shuttled.admin.put("/config", []).expect(200)


def _with(real: dict[str, str], text: str) -> str:
    for written, address in real.items():
        text = text.replace(written, address)
    return text


def _read_events(shuttled: Shuttled, path: str, example: Example) -> None:
    with shuttled.admin.connect() as connection:
        connection.sendall(shuttled.admin.head("GET", path, *[f"{n}: {v}" for n, v in example.headers.items()]))
        head = connection.recv(65536).split(b"\r\n\r\n")[0].lower()
        assert head.startswith(b"http/1.1 200") and b"content-type: text/event-stream" in head, example


def test_answers_have_what_is_described_and_nothing_else(stage: Stage) -> None:
    peer, tcp, udp = stage.add(Echo()), free_address(), free_address()
    everything = service(
        "all",
        tcp,
        [backend("named", f"localhost:{peer.address.rsplit(':')[-1]}", check_address=peer.address, max_connections=5)],
        check_interval=50,
        check={"type": "tcp_expect", "expect": "x", "timeout": 50},
        passive={"failures": 3, "window": 1000, "down_time": 1000},
        allow=["127.0.0.0/8"],
        rate_limit={"per_second": 10, "burst": 10, "per": "client", "action": "delay"},
        bandwidth_limit={"upload": 2048, "download": 2048},
        access_log={"one_in": 1},
        routes=[{"sni": ["a.example"], "alpn": ["h2"], "service": "pool"}],
    )
    shuttled = stage.shuttled([everything, service("pool", ""), service("dns", udp, network="udp")])
    described = description(shuttled)
    stage.connect(tcp).close()
    eventually(lambda: "check_reason" in shuttled.admin.backend("all", "named"), "a check has failed")
    # A client that says nothing before its end has no route, and comes to the service's own backend.
    eventually(lambda: shuttled.admin.get("/v1/recent").json["sessions"], "a session has ended")
    for path, template in (
        ("/", "/"),
        ("/all", "/{service}"),
        ("/dns", "/{service}"),
        ("/all/named", "/{service}/{backend}"),
        ("/config", "/config"),
        ("/v1/services/all", "/v1/services/{service}"),
        ("/v1/services/all/backends/named", "/v1/services/{service}/backends/{backend}"),
        ("/v1/rings", "/v1/rings"),
        ("/v1/whoami", "/v1/whoami"),
        ("/v1/recent", "/v1/recent"),
        ("/v1/history", "/v1/history"),
        ("/v1/connections?interval=10ms", "/v1/connections"),
        ("/v1/disconnects", "/v1/disconnects"),
        ("/v1/log-levels", "/v1/log-levels"),
        ("/v1/services/all/explain?client=127.0.0.1", "/v1/services/{service}/explain"),
        ("/v1/services/all/explain?client=127.0.0.1&sni=a.example&alpn=h2", "/v1/services/{service}/explain"),
        ("/v1/history/1", "/v1/history/{id}"),
    ):
        answer = described.document["paths"][template]["get"]["responses"]["200"]
        described.check(shuttled.admin.get(path).expect(200).json, answer["content"]["application/json"]["schema"])
    problem = shuttled.admin.put("/all", {"adress": 1}).problem(400).response.json
    described.check(problem, {"$ref": "#/components/schemas/Problem"})

    # The check itself: a field that nobody has described, and one that is missing.
    value = shuttled.admin.get("/all").json
    schema = {"$ref": "#/components/schemas/ServiceStatistics"}
    with pytest.raises(AssertionError, match="not described: /backends/0/new"):
        extra = copy.deepcopy(value)
        extra["backends"][0]["new"] = 1
        described.check(extra, schema)
    with pytest.raises(Exception, match="'active' is a required property"):
        described.check({name: member for name, member in value.items() if name != "active"}, schema)


def _schemathesis(shuttled: Shuttled, tmp_path: Path, schema: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    addresses = [free_address() for _ in range(12)]
    document = shuttled.admin.get("/openapi.json").json
    reserved = document["components"]["schemas"]["ServiceName"]["not"]["enum"]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "hooks",
        "PYTHONPATH": str(HERE / "schemathesis"),
        "SHUTTLE_FUZZ_ADDRESSES": ",".join(addresses),
        "SHUTTLE_FUZZ_RESERVED": ",".join(reserved),
    }
    command = [
        checker("st"), "--config-file", HERE / "schemathesis" / "schemathesis.toml", "run", schema,
        "--url", f"http://{shuttled.admin.address}", "--generation-deterministic",
        "--request-timeout", "30", "--continue-on-failure", "--suppress-health-check", "all",
        "--no-color", "--warnings", "off", *arguments,
    ]  # fmt: skip
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)


# Two long runs, beside three other files. Streams do not end. What has two names is tried by one of them in the longest phase.
@pytest.mark.time_limit(600)
@pytest.mark.parametrize(
    "phases",
    [
        ["--phases", "examples,fuzzing,stateful", "--max-examples", "25"],
        ["--phases", "coverage", "--exclude-operation-id-regex", "Too$|^post"],
    ],
    ids=["fuzzing", "coverage"],
)
def test_schemathesis_finds_nothing(stage: Stage, tmp_path: Path, phases: list[str]) -> None:
    shuttled = stage.shuttled([])
    done = _schemathesis(shuttled, tmp_path, f"http://{shuttled.admin.address}/openapi.json", "--exclude-path", "/v1/events", *phases)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "No issues found" in done.stdout
    shuttled.admin.get("/readyz").expect(200)


@pytest.mark.time_limit(180)
def test_schemathesis_would_find_what_is_not_true(stage: Stage, tmp_path: Path) -> None:
    shuttled = stage.shuttled([])
    document = shuttled.admin.get("/openapi.json").json
    document["components"]["schemas"]["Rings"]["items"]["properties"]["sessions"] = {"type": "string"}
    path = tmp_path / "false.json"
    path.write_text(json.dumps(document))
    done = _schemathesis(shuttled, tmp_path, str(path), "--include-path", "/v1/rings", "--phases", "examples,fuzzing", "--max-examples", "1")
    assert done.returncode == 1 and "Response violates schema" in done.stdout, done.stdout
