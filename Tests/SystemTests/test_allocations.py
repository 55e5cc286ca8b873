"""The steady state of a ring allocates nothing: the allocator's calls of its thread are counted under load.

What the counter sees is shown here too, on a program made for it and on the one thing for which a ring does allocate.
"""

from __future__ import annotations

import socket
import subprocess
from typing import Any

import pytest

from harness.allocations import NONE, AllocationCounter, Calls, compile_c
from harness.ports import free_address, split
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.streams import TIMEOUT_SECONDS, read_exactly
from harness.wait import Stopwatch, eventually
from test_fallbacks import FALLBACKS

RINGS = 2
CONNECTIONS = 50
REQUESTS = 100_000
REQUEST = b"q" * 100
RESPONSE = b"a" * 100
BULK = bytes(500_000)
#: Allocations of the control plane that have nothing to do with the traffic.
OWN_BUSINESS, OWN_BUSINESS_PER_SECOND = REQUESTS // 100, 200
#: With every feature of the kernel, and with none that the minimum lacks.
KERNELS = ["", ",".join(FALLBACKS)]


class Load:
    """Both ends of every connection, driven from one thread: what is sent has arrived when a call returns."""

    def __init__(self, stage: Stage) -> None:
        self.address = free_address()
        self._listener = stage.add(socket.create_server(("127.0.0.1", 0), backlog=4096))
        self._listener.settimeout(TIMEOUT_SECONDS)
        host, port = self._listener.getsockname()
        self.services = [service("web", self.address, [backend("b", f"{host}:{port}")])]

    def connect(self) -> tuple[socket.socket, socket.socket]:
        client = socket.create_connection(split(self.address), timeout=TIMEOUT_SECONDS)
        server, _ = self._listener.accept()
        for end in (client, server):
            end.settimeout(TIMEOUT_SECONDS)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client, server

    @staticmethod
    def exchange(connections: list[tuple[socket.socket, socket.socket]], rounds: int, answer: bytes = RESPONSE) -> None:
        """In each round one request and its answer on every connection, all of them under way at once."""
        for _ in range(rounds):
            for client, _ in connections:
                client.sendall(REQUEST)
            for _, server in connections:
                assert read_exactly(server, len(REQUEST)) == REQUEST
                server.sendall(answer)
            for client, _ in connections:
                assert read_exactly(client, len(answer)) == answer

    def come_and_go(self, count: int) -> None:
        """Connections for one request each; the client ends every other one, the backend the rest."""
        for number in range(count):
            client, server = self.connect()
            with client, server:
                self.exchange([(client, server)], 1)
                first, second = (client, server) if number % 2 else (server, client)
                first.shutdown(socket.SHUT_WR)
                assert second.recv(1) == b""


@pytest.fixture
def counter(stage: Stage) -> AllocationCounter:
    return AllocationCounter(stage.directory)


def started(stage: Stage, counter: AllocationCounter, services: list[dict[str, Any]], without: str = "") -> Shuttled:
    return stage.shuttled(services, rings=RINGS, env={**counter.environment, "SHUTTLE_WITHOUT": without})


def of_all(counter: AllocationCounter, shuttled: Shuttled) -> dict[str, Calls]:
    assert shuttled.process is not None
    found = counter.calls(shuttled.process.pid)
    # A ring allocates once when it begins, so each has a row; without that nothing would be counted at all.
    assert all(found.get(f"ring-{number}", NONE) != NONE for number in range(RINGS)), found
    return found


def of_rings(counter: AllocationCounter, shuttled: Shuttled) -> dict[str, Calls]:
    return {name: calls for name, calls in of_all(counter, shuttled).items() if name.startswith("ring-")}


def of_others(counter: AllocationCounter, shuttled: Shuttled) -> int:
    others = [calls for name, calls in of_all(counter, shuttled).items() if not name.startswith("ring-")]
    return sum(calls.allocations for calls in others)


@pytest.mark.parametrize("without", KERNELS)
def test_a_hundred_thousand_requests_cost_no_allocation(stage: Stage, counter: AllocationCounter, without: str) -> None:
    load = Load(stage)
    shuttled = started(stage, counter, load.services, without)
    connections = [load.connect() for _ in range(CONNECTIONS)]
    for pair in connections:
        for end in pair:
            stage.add(end)
    load.exchange(connections, 20)
    before, others_before = of_rings(counter, shuttled), of_others(counter, shuttled)
    watch = Stopwatch()
    load.exchange(connections, REQUESTS // CONNECTIONS)
    assert of_rings(counter, shuttled) == before
    # The control plane has its own business: some by the second, and some at once, such as closing the connections of
    # earlier requests over HTTP.
    own = OWN_BUSINESS + OWN_BUSINESS_PER_SECOND * watch.seconds
    assert own < REQUESTS / 2, "the machine was too slow for this to tell anything"
    assert of_others(counter, shuttled) - others_before < own
    assert shuttled.admin.services()[0]["sent"] >= REQUESTS * len(REQUEST)


@pytest.mark.parametrize("without", KERNELS)
def test_connections_come_and_go_and_bytes_pass_in_bulk_without_an_allocation(
    stage: Stage, counter: AllocationCounter, without: str
) -> None:
    load = Load(stage)
    shuttled = started(stage, counter, load.services, without)
    pair = load.connect()
    for end in pair:
        stage.add(end)
    load.come_and_go(20)
    load.exchange([pair], 20, answer=BULK)
    before = of_rings(counter, shuttled)
    load.come_and_go(2000)
    assert of_rings(counter, shuttled) == before
    load.exchange([pair], 200, answer=BULK)
    assert of_rings(counter, shuttled) == before


# The counter itself

PROGRAM = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <malloc.h>
#include <unistd.h>

static void *busy(void *rounds)
{
    for (long i = 0; i < (long)rounds; i++) {
        void *aligned;
        free(realloc(malloc(10), 20));
        free(calloc(3, 7));
        free(aligned_alloc(64, 64));
        free(memalign(64, 64));
        if (posix_memalign(&aligned, 64, 64) == 0)
            free(aligned);
    }
    return NULL;
}

int main(void)
{
    pthread_t thread;
    static char line[16];
    setvbuf(stdout, NULL, _IONBF, 0);
    for (;;) {
        if (read(0, line, 1) != 1)
            return 0;
        if (line[0] == 'm')
            busy((void *)1000);
        else if (line[0] == 't') {
            pthread_create(&thread, NULL, busy, (void *)77);
            pthread_join(thread, NULL);
        }
        if (write(1, line, 1) != 1)
            return 1;
    }
}
"""


def test_the_counter_counts_every_call_of_the_thread_that_makes_it(stage: Stage, counter: AllocationCounter) -> None:
    source = stage.directory / "program.c"
    source.write_text(PROGRAM)
    program = compile_c(stage.directory / "counted", source)
    with subprocess.Popen(
        [program], env=counter.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin is not None and process.stdout is not None

        def do(what: bytes) -> None:
            process.stdin.write(what)
            assert process.stdout.read(1) == what

        def calls() -> Calls:
            return counter.calls(process.pid).get("counted", NONE)

        try:
            do(b"-")  # it is up
            start = calls()
            do(b"-")
            assert calls() == start
            do(b"m")
            after = calls()
            assert after - start == Calls(mallocs=1000, callocs=1000, reallocs=1000, aligned=3000, frees=5000)
            # What another thread calls is that thread's, but for making it.
            do(b"t")
            assert (calls() - after).allocations < 77
        finally:
            process.kill()


def test_the_counter_sees_the_one_thing_for_which_a_ring_allocates(stage: Stage, counter: AllocationCounter) -> None:
    """A snapshot with more listeners than any before makes each ring's table of listeners grow."""
    load = Load(stage)
    shuttled = started(stage, counter, load.services)
    before = of_rings(counter, shuttled)
    services = load.services + [service(f"s{number}", free_address()) for number in range(64)]
    shuttled.admin.change("/config", services)
    eventually(
        lambda: all(
            (calls - before[ring]).allocations == (calls - before[ring]).frees == 1
            for ring, calls in of_rings(counter, shuttled).items()
        ),
        lambda: f"each ring allocates one table and frees one: {before}, then {of_rings(counter, shuttled)}",
    )
