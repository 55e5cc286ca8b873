"""What the clients print, turned into work done. The texts are theirs."""

from __future__ import annotations

import json

import pytest
from measuring import load
from measuring.failure import Failure

WRK = """\
Running 1s test @ http://127.0.1.1:2000/100
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.24ms  385.22us   7.92ms   84.93%
  35476 requests in 1.00s, 11.64MB read
Requests/sec:  35476.10

wrk: {"requests": 35476, "microseconds": 1000000, "bytes": 12207308, "p50": 1242, "p99": 2520, "p999": 4868, "max": 7920, \
"errors": {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}}
"""


def iperf(**sums: dict[str, float]) -> str:
    return json.dumps({"start": {}, "end": {**sums, "streams": []}})


def test_wrk_is_read() -> None:
    done = load.parse_wrk(WRK, 0.5)
    assert (done.units, done.rate, done.failed, done.client_seconds) == (35476, 35476, 0, 0.5)
    assert done.latencies == {"p50": 1242, "p99": 2520, "p999": 4868, "max": 7920}


def test_every_kind_of_error_of_wrk_is_a_failed_request() -> None:
    text = WRK.replace('"connect": 0, "read": 0', '"connect": 2, "read": 3').replace('"timeout": 0', '"timeout": 5')
    assert load.parse_wrk(text).failed == 10


@pytest.mark.parametrize("text", ["", "unable to connect to 127.0.0.1:2000 Connection refused\n"])
def test_wrk_without_a_summary_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="no summary"):
        load.parse_wrk(text)


def test_wrk_without_a_request_is_refused() -> None:
    with pytest.raises(Failure, match="no request"):
        load.parse_wrk(WRK.replace('"requests": 35476', '"requests": 0'))


def test_iperf_counts_what_was_received() -> None:
    done = load.parse_iperf(iperf(
        sum_sent={"bytes": 9e9, "bits_per_second": 72e9}, sum_received={"bytes": 8e9, "bits_per_second": 64e9}
    ))
    assert (done.units, done.rate) == (8e9, 64e9)


def test_iperf_counts_both_directions() -> None:
    done = load.parse_iperf(iperf(
        sum_received={"bytes": 8e9, "bits_per_second": 64e9},
        sum_received_bidir_reverse={"bytes": 2e9, "bits_per_second": 16e9},
    ))
    assert (done.units, done.rate) == (10e9, 80e9)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"start": {}, "end": {}, "error": "the server is busy"}', "the server is busy"),
        ("iperf3: error - unable to connect", "no JSON"),
        (iperf(sum_received={"bytes": 0, "bits_per_second": 0}), "transferred nothing"),
        (iperf(), "transferred nothing"),
    ],
)
def test_iperf_that_failed_is_refused(text: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        load.parse_iperf(text)


def test_greetings_are_read() -> None:
    text = '{"connections": 100, "seconds": 0.5, "p50": 146.0, "p99": 289.5, "p999": 1783.0}\n'
    done = load.parse_greetings(text)
    assert (done.units, done.rate) == (100, 200)
    assert done.latencies == {"p50": 146.0, "p99": 289.5, "p999": 1783.0}
    with pytest.raises(Failure, match="no JSON"):
        load.parse_greetings("Traceback (most recent call last):")
