"""The order of runs, and what shuttled says of its rings."""

from __future__ import annotations

import collections
import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from measuring import accounting, measurement, peers, scaling, sockets


def test_nobody_always_runs_first_or_after_the_same_one() -> None:
    names = ["a", "b", "c", "d"]
    first: collections.Counter[str] = collections.Counter()
    followers: collections.Counter[tuple[str, str]] = collections.Counter()
    for number in range(2 * len(names)):
        order = measurement.turns(names, number)
        assert sorted(order) == names
        first[order[0]] += 1
        followers.update(zip(order, order[1:], strict=False))
    assert set(first.values()) == {2}
    assert all(followers[a, b] == followers[b, a] for a in names for b in names if a != b)


def test_two_builds_take_turns() -> None:
    assert [measurement.turns(["new", "old"], number)[0] for number in range(4)] == ["new", "old", "old", "new"]


def test_times_of_adoption_are_those_of_the_slowest_ring() -> None:
    statistics = [
        {"ring": 0, "adoptions": 3, "adoption_microseconds_p999": 40, "adoption_microseconds_max": 70},
        {"ring": 1, "adoptions": 3, "adoption_microseconds_p999": 90, "adoption_microseconds_max": 95},
    ]
    assert measurement.adoptions(statistics) == {"adoptions": 6, "p999": 90, "max": 95}


def test_statistics_that_say_nothing_of_adoption_are_no_error() -> None:
    assert measurement.adoptions(None) is None
    assert measurement.adoptions([{"name": "web", "backends": []}]) is None


@pytest.mark.parametrize("is_known", [True, False])
def test_rings_are_asked_where_shuttled_tells_of_them(tmp_path: Path, is_known: bool) -> None:
    rings = [{"ring": 0, "adoptions": 3, "adoption_microseconds_p999": 40, "adoption_microseconds_max": 70}]

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if is_known and self.path == "/v1/rings" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(rings if is_known else {"status": 404}).encode())

        def address_string(self) -> str:
            return "a client"

        def log_message(self, *_: object) -> None:
            pass

    with socketserver.UnixStreamServer(str(tmp_path / "admin.sock"), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        proxy = object.__new__(peers.Shuttled)
        proxy._admin = str(tmp_path / "admin.sock")
        try:
            assert proxy.statistics() == (rings if is_known else None)
        finally:
            server.shutdown()
            thread.join()


def test_the_cpu_time_of_a_process_includes_threads_that_have_ended() -> None:
    # The scheduler's own account of the thread, taken within it, is what the process's clock must not have lost.
    program = (
        "import threading, time\n"
        "spent = []\n"
        "def spin():\n"
        "    while time.thread_time() < 0.1: pass\n"
        "    spent.append(time.thread_time())\n"
        "thread = threading.Thread(target=spin); thread.start(); thread.join()\n"
        "print(spent[0], flush=True); input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout
        spent = float(child.stdout.readline())
        assert accounting.tree_seconds(child.pid) >= spent >= 0.1
        child.stdin.write("\n")


def test_a_child_belongs_to_its_parents_tree() -> None:
    program = "print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin and child.stdout
        child.stdout.readline()
        assert child.pid in accounting.tree(os.getpid())
        # One reading: two would differ by what the child touches in between.
        memory = accounting.memory(child.pid)
        assert memory.resident >= memory.proportional > 0
        child.stdin.write("\n")


def test_kernel_threads_that_came_or_went_do_not_falsify_the_sum() -> None:
    assert accounting.grown_seconds({1: 5.0, 2: 1.0}, {1: 5.5, 3: 0.25}) == 0.75


def test_listeners_are_read_up_to_the_first_connection() -> None:
    table = [
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n",
        "   0: 0101007F:07D0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0\n",
        "   1: 0101007F:07D1 0100007F:ABCD 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1\n",
    ]
    assert sockets.parse_listeners(table) == [("127.0.1.1", 2000, 4711)]


def test_sockets_in_use_are_those_without_time_wait() -> None:
    text = "sockets: used 60\nTCP: inuse 8 orphan 0 tw 25000 alloc 12 mem 1\nUDP: inuse 2 mem 0\n"
    assert sockets.parse_in_use(text) == 8


def test_listeners_that_come_and_go_are_no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = ("127.0.1.1", 2000, 4711)
    # One came while the kernel was asked: that count is of no use.
    looks = iter([[], [listener], [listener], [listener]])
    monkeypatch.setattr(sockets, "_listeners", lambda: next(looks))
    monkeypatch.setattr(sockets, "parse_in_use", lambda _: 9)
    assert sockets.connections() == 8
    assert next(looks, None) is None


def test_scaling_needs_cores_for_others_too() -> None:
    assert [scaling.ring_counts(cores) for cores in (1, 2, 3, 4, 7, 8, 64)] == [
        [1], [1], [1], [1, 2], [1, 2], [1, 2, 4], [1, 2, 4, 8, 16, 32]
    ]


def test_on_two_cores_scaling_is_refused_with_the_reason() -> None:
    assert "this machine has 2 cores" in (scaling.refusal(2) or "")
    assert scaling.refusal(4) is None


def test_scaling_is_printed_beside_one_ring() -> None:
    samples = {
        "rings-1": [{"rate": 100.0, "cpu": 10.0}] * 3, "rings-2": [{"rate": 190.0, "cpu": 11.0}] * 3,
    }
    text = scaling.report(samples)
    assert "1.90 (1.90 to 1.90)" in text and "1.10 (1.10 to 1.10)" in text
    threads = scaling.workload(scaling.ring_counts(8)[-1]).load
    assert getattr(threads, "threads", None) == 4
