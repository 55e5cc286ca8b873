#!/usr/bin/env python3
"""Measures CPU of the proxy per unit of work: shuttled with one ring beside nginx `stream` with one worker.

Owns the peers, the workloads and the figures. Leaves the network namespace and the build to perf/run.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HOST = "127.0.0.1"


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_for_port(port, process, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"perf: {process.args[0]} ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.02)
    sys.exit(f"perf: {process.args[0]} did not listen on {port} within {seconds} s")


def cpu_seconds(root):
    """CPU time of a process, its threads and its children, in seconds: the scheduler's nanoseconds, not ticks."""
    pids = [root]
    for task in pathlib.Path(f"/proc/{root}/task").iterdir():
        pids += [int(pid) for pid in (task / "children").read_text().split()]
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


class Stage:
    """Starts the programs of a measurement and ends them with it."""

    def __init__(self, shuttled, folder):
        self.shuttled = shuttled
        self.folder = pathlib.Path(folder)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.stack.close()

    def start(self, arguments, port):
        log = self.stack.enter_context(open(self.folder / f"{port}.log", "w"))
        process = subprocess.Popen(arguments, stdout=log, stderr=log)

        def end():
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self.stack.callback(end)
        wait_for_port(port, process)
        return process

    def nginx(self, name, port, body):
        module = next(pathlib.Path("/usr/lib/nginx/modules").glob("ngx_stream_module.so"), None)
        load = f"load_module {module};" if module else ""
        path = self.folder / f"{name}.conf"
        path.write_text(
            f"{load}\ndaemon off; worker_processes 1; pid {self.folder}/{name}.pid; error_log stderr warn;\n"
            f"events {{ worker_connections 8192; }}\n{body}\n"
        )
        return self.start([shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-c", str(path)], port)

    def http_origin(self):
        port = free_port()
        self.nginx(
            "origin",
            port,
            f"http {{ access_log off; keepalive_requests 100000000; server {{ listen {HOST}:{port} backlog=4096; "
            f"location / {{ return 200 '{'x' * 100}'; }} }} }}",
        )
        return port

    def iperf_origin(self):
        port = free_port()
        self.start(["iperf3", "-s", "-p", str(port), "-B", HOST], port)
        return port

    def proxy_nginx(self, origin):
        port = free_port()
        # 64k buffers: the best of nginx's for bulk; access logs are off by default for stream.
        process = self.nginx(
            f"nginx-{origin}",
            port,
            f"stream {{ server {{ listen {HOST}:{port} backlog=4096; proxy_pass {HOST}:{origin}; "
            f"proxy_buffer_size 64k; tcp_nodelay on; }} }}",
        )
        return port, process.pid

    def proxy_shuttled(self, origin):
        port = free_port()
        configuration = self.folder / f"shuttle-{origin}.json"
        backend = {"name": "origin", "address": f"{HOST}:{origin}"}
        service = {"name": "perf", "address": f"{HOST}:{port}", "backends": [backend]}
        configuration.write_text(json.dumps([service]))
        admin = f"unix:{self.folder}/{port}.sock"
        process = self.start(
            [self.shuttled, "-config", str(configuration), "-http", admin, "-rings", "1", "-drain-timeout", "0"], port
        )
        return port, process.pid


def run_wrk(port, connections, seconds):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", f"http://{HOST}:{port}/"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests = int(re.search(r"(\d+) requests in", text)[1])
    if "Socket errors" in text or "Non-2xx" in text:
        sys.exit(f"perf: wrk saw errors:\n{text}")
    return requests, float(re.search(r"Requests/sec:\s*([\d.]+)", text)[1])


def run_iperf(port, streams, seconds):
    command = ["iperf3", "-c", HOST, "-p", str(port), "-t", str(seconds), "-P", str(streams), "-J"]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    received = result["end"]["sum_received"]
    return received["bytes"], received["bits_per_second"]


WORKLOADS = {
    "keep-alive, 50 connections": {
        "origin": "http_origin",
        "run": lambda port, seconds: run_wrk(port, 50, seconds),
        "unit": ("µs/request", 1e6),
        "rate": ("requests/s", 1),
    },
    "bulk, 1 stream": {
        "origin": "iperf_origin",
        "run": lambda port, seconds: run_iperf(port, 1, seconds),
        "unit": ("ms/GB", 1e12),
        "rate": ("Gbit/s", 1e-9),
    },
}


def measure(port, pid, workload, seconds):
    before = cpu_seconds(pid)
    units, rate = workload["run"](port, seconds)
    return (cpu_seconds(pid) - before) * workload["unit"][1] / units, rate * workload["rate"][1]


def bootstrap(values, draws=2000):
    """The 95 % interval of the median."""
    generator = random.Random(1)
    medians = sorted(statistics.median(generator.choices(values, k=len(values))) for _ in range(draws))
    return medians[int(draws * 0.025)], medians[int(draws * 0.975)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, prog="perf/run")
    parser.add_argument("--shuttled", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--pairs", type=int, default=7, help="interleaved runs of each proxy (default 7)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one run (default 3)")
    arguments = parser.parse_args()
    congestion = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    print(f"kernel {os.uname().release}, {os.cpu_count()} cores, loopback, {congestion}; "
          f"{arguments.pairs} interleaved pairs of {arguments.seconds} s; CPU of the proxy only")
    for name, workload in WORKLOADS.items():
        with tempfile.TemporaryDirectory() as folder, Stage(arguments.shuttled, folder) as stage:
            origin = getattr(stage, workload["origin"])()
            proxies = {"shuttled": stage.proxy_shuttled(origin), "nginx": stage.proxy_nginx(origin)}
            for port, _ in proxies.values():
                workload["run"](port, 1)
            results = {proxy: [] for proxy in proxies}
            for pair in range(arguments.pairs):
                order = list(proxies) if pair % 2 == 0 else list(reversed(proxies))
                for proxy in order:
                    results[proxy].append(measure(*proxies[proxy], workload, arguments.seconds))
            unit, rate = workload["unit"][0], workload["rate"][0]
            print(f"\n{name}")
            for proxy, runs in results.items():
                cost = statistics.median(run[0] for run in runs)
                speed = statistics.median(run[1] for run in runs)
                print(f"  {proxy:9} {cost:9.2f} {unit}   {speed:10.1f} {rate}")
            ratios = [ours[0] / theirs[0] for ours, theirs in zip(results["shuttled"], results["nginx"])]
            low, high = bootstrap(ratios)
            print(f"  CPU ratio shuttled / nginx: median {statistics.median(ratios):.2f} (95 %: {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
