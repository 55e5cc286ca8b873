"""A client that lets the server speak first: connects again and again, one at a time, and notes how long it takes from
connect to the first byte.

usage: listen_first.py ADDRESS PORT BYTES SECONDS; prints one line of JSON
"""

import json
import socket
import sys
import time


def main() -> None:
    address, port, size, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    latencies = []
    began = time.perf_counter_ns()
    end = began + int(seconds * 1e9)
    now = began
    while now < end:
        client = socket.socket()
        start = time.perf_counter_ns()
        client.connect((address, port))
        received = client.recv(size)
        now = time.perf_counter_ns()
        latencies.append(now - start)
        while received:
            received = client.recv(size)
        client.close()
    latencies.sort()

    def percentile(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(len(latencies) * share))] / 1000

    print(json.dumps({
        "connections": len(latencies), "seconds": (now - began) / 1e9,
        "p50": percentile(0.5), "p99": percentile(0.99), "p999": percentile(0.999),
    }))


main()
