"""`/metrics`: what Prometheus's own tools and a real Prometheus say of it, that its numbers are those of the API, and that
everything the alerts and the dashboard name is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from harness.datagrams import DatagramClient, DatagramPeer, named
from harness.peers import Echo, Refusing
from harness.ports import free_address
from harness.programs import Program
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import connect, read_exactly, read_to_end
from harness.wait import eventually

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
RULES = PACKAGING / "prometheus/shuttle.rules.yml"
DASHBOARD = PACKAGING / "grafana/shuttle.json"


def promtool(*arguments: str, text: str | None = None) -> str:
    program = shutil.which("promtool")
    assert program, "promtool is not installed: apt-get install prometheus"
    done = subprocess.run(
        [program, *arguments], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"promtool {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def scrape(shuttled: Shuttled) -> str:
    response = shuttled.admin.get("/metrics").expect(200)
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return response.body.decode()


def samples(text: str) -> dict[str, float]:
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in lines}


def busy(stage: Stage) -> Shuttled:
    """A shuttled in which everything has happened that makes a series: sessions, failures, waits, datagrams."""
    peer, refusing = stage.add(Echo()), stage.add(Refusing())
    datagrams = stage.add(DatagramPeer(answers=named("one")))
    web, broken, dns = free_address(), free_address(), free_address()
    shuttled = stage.shuttled(
        [
            service(
                "web", web, [backend("a", peer.address, check_address=peer.address, max_connections=5)],
                max_connections=1, queue_limit=5, check_interval=50),
            service("broken", broken, [backend("b", refusing.address)], deny=["192.0.2.0/24"]),
        ],
        rings=2,
    )
    shuttled.admin.put(
        "/dns", service("dns", dns, [backend("one", datagrams.address)], network="udp", udp_responses=1)).expect(200)
    for _ in range(5):
        with connect(web) as client:
            client.sendall(bytes(2000))
            assert len(read_exactly(client, 2000)) == 2000
        # Or the next one waits.
        shuttled.wait_idle()
    with connect(web) as first:
        first.sendall(b"x")
        read_exactly(first, 1)
        # Not before: rings accept in whatever order.
        with connect(web) as second:
            eventually(lambda: shuttled.admin.service("web")["queued"] == 1, "one waits")
            first.close()
            second.sendall(b"x")
            read_exactly(second, 1)
    with connect(broken) as client:
        read_to_end(client)
    stage.add(DatagramClient(dns)).ask(b"question")
    eventually(lambda: shuttled.admin.backend("web", "a")["check_success"] > 0, "it was checked")
    eventually(lambda: all(not each["active"] for each in shuttled.admin.services()), "every session has ended")
    return shuttled


def test_the_text_is_what_prometheus_wants(stage: Stage) -> None:
    shuttled = busy(stage)
    text = scrape(shuttled)
    assert promtool("check", "metrics", text=text).strip() == "", "it has remarks"
    # It would have some.
    with pytest.raises(AssertionError, match="help"):
        promtool("check", "metrics", text="# TYPE a_total counter\na_total 1\n")
    found = samples(text)
    web = shuttled.admin.service("web")
    for name, field in [
        ('shuttle_service_connections_total{service="web"}', web["connections"]),
        ('shuttle_service_bytes_total{service="web",direction="sent"}', web["sent"]),
        ('shuttle_service_bytes_total{service="web",direction="received"}', web["received"]),
        ('shuttle_backend_connections_total{service="web",backend="a"}', web["backends"][0]["connections"]),
        ('shuttle_service_sessions_limit{service="web"}', 1),
        ('shuttle_service_queue_limit{service="web"}', 5),
        ('shuttle_backend_sessions_limit{service="web",backend="a"}', 5),
        ('shuttle_backend_up{service="web",backend="a"}', 1),
        ('shuttle_service_datagrams_total{service="dns",direction="sent"}', 1),
        # The connect that failed, and the client that found nobody.
        ('shuttle_service_errors_total{service="broken"}', 2),
        ('shuttle_session_duration_seconds_count{service="web"}', 7),
        ('shuttle_session_connect_seconds_count{service="web"}', 7),
        ('shuttle_session_wait_seconds_count{service="web"}', 1),
        ('shuttle_session_duration_seconds_count{service="broken"}', 1),
        ('shuttle_session_sent_bytes_sum{service="web"}', 10_002),
        # Two of one byte each, and five of 2000.
        ('shuttle_session_sent_bytes_bucket{service="web",le="1024"}', 2),
        ('shuttle_session_received_bytes_bucket{service="web",le="4096"}', 7),
        ('shuttle_session_sent_bytes_sum{service="dns"}', 8),
    ]:
        assert found[name] == field, name
    assert 'shuttle_session_connect_seconds_count{service="broken"}' not in found, "none has succeeded"
    assert 'shuttle_session_wait_seconds_count{service="dns"}' not in found
    view = shuttled.view
    assert abs(found["process_resident_memory_bytes"] - view.resident_bytes) < 64 << 20
    assert found["process_open_fds"] > 10 and found["process_cpu_seconds_total"] > 0
    shuttled.admin.remove("/dns")
    labels = {label for name in found for label in re.findall(r'([a-z]+)="', name)}
    assert labels == {"service", "backend", "ring", "direction", "reason", "result", "le", "version", "outcome"}


def test_a_real_prometheus_scrapes_it_and_answers_questions(stage: Stage) -> None:
    program = shutil.which("prometheus")
    assert program, "prometheus is not installed: apt-get install prometheus"
    peer = stage.add(Echo())
    web, address = free_address(), free_address()
    shuttled = stage.shuttled([service("web", web, [backend("b", peer.address)])], rings=2)
    for _ in range(7):
        with connect(web) as client:
            client.sendall(bytes(100))
            read_exactly(client, 100)
    eventually(lambda: shuttled.admin.service("web")["active"] == 0, "every session has ended")
    directory = stage.directory / "prometheus"
    directory.mkdir(parents=True)
    config = directory / "prometheus.yml"
    config.write_text(
        f"rule_files: ['{RULES}']\n"
        "scrape_configs:\n"
        "  - job_name: shuttle\n    scrape_interval: 200ms\n    scrape_timeout: 200ms\n"
        f"    static_configs: [{{targets: ['{shuttled.http}']}}]\n"
    )
    promtool("check", "config", str(config))
    stage.add(
        Program(
            [program, f"--config.file={config}", f"--storage.tsdb.path={directory}/data", f"--web.listen-address={address}"],
            address, directory / "log"))

    def ask(query: str) -> list[Any]:
        url = f"http://{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            document = json.load(answer)
        assert document["status"] == "success"
        return [entry["value"][1] for entry in document["data"]["result"]]

    eventually(lambda: ask("shuttle_service_connections_total") == ["7"], "it has scraped")
    assert ask('sum(shuttle_service_bytes_total{direction="sent"})') == ["700"]
    assert ask('shuttle_session_sent_bytes_bucket{le="256"}') == ["7"]
    assert ask("histogram_quantile(1, shuttle_session_sent_bytes_bucket) <= 256") != []
    assert ask('up{job="shuttle"}') == ["1"]


def test_the_alerts_are_right(stage: Stage) -> None:
    promtool("check", "rules", str(RULES))
    promtool("test", "rules", str(PACKAGING / "prometheus/shuttle.rules.test.yml"))


def expressions() -> dict[str, str]:
    """What the alerts and the dashboard ask, by where."""
    found = {f"alert {number}": line for number, line in enumerate(RULES.read_text().splitlines()) if "shuttle_" in line}
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            found[f"panel {panel['title']}"] = found.get(f"panel {panel['title']}", "") + " " + target["expr"]
    for variable in dashboard["templating"]["list"]:
        if isinstance(variable["query"], dict):
            found[f"variable {variable['name']}"] = variable["query"]["query"]
    return found


def test_everything_that_alerts_and_dashboard_name_is_there(stage: Stage) -> None:
    shuttled = busy(stage)
    names = {re.split(r"[{ ]", line)[0] for line in scrape(shuttled).splitlines() if not line.startswith("#")}
    shuttled.admin.remove("/dns")
    asked = 0
    for place, expression in expressions().items():
        for name in re.findall(r"\b(?:shuttle|process)_[a-z_]+", expression):
            asked += 1
            assert name in names, f"{place} asks for {name}"
    assert asked > 40


def test_the_dashboard_can_be_imported() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids) and dashboard["uid"] == "shuttle"
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24, panel["title"]
        assert panel["type"] == "row" or panel["targets"] and panel["description"], panel["title"]
