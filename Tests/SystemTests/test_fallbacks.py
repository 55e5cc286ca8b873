"""Each kernel feature beyond the minimum can be switched off, and its fallback carries the same traffic and changes."""

from __future__ import annotations

import os
import random
import subprocess

import pytest

from harness.peers import Echo, Named
from harness.ports import free_address
from harness.shuttled import backend, binary, service
from harness.stage import Stage
from harness.streams import exchange, random_bytes, random_pieces

# What SHUTTLE_WITHOUT takes, and what -check says then.
FALLBACKS = {
    "receive-limit": "receive: one at a time",
    "ring-message": "wake-up: eventfd",
    "bundles": "buffers: a receive fills one",
    "minimum-wait": "waiting: for the first completion",
    "splice": "bulk: copied",
}
SETTINGS = [*FALLBACKS, ",".join(FALLBACKS)]


@pytest.mark.parametrize("without", SETTINGS)
def test_the_check_names_the_fallback(without: str) -> None:
    environment = {**os.environ, "SHUTTLE_WITHOUT": without}
    checked = subprocess.run([str(binary()), "-check"], env=environment, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0
    # What this kernel has not, it has not got with the switch left alone either.
    usual = subprocess.run([str(binary()), "-check"], capture_output=True, text=True, timeout=30).stdout
    for feature, line in FALLBACKS.items():
        assert (line in checked.stdout) == (feature in without or line in usual), checked.stdout


@pytest.mark.parametrize("without", SETTINGS)
def test_a_fallback_carries_bytes_and_changes(stage: Stage, without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHUTTLE_WITHOUT", without)
    address = free_address()
    echo, named = stage.add(Echo()), stage.add(Named("named"))
    shuttled = stage.shuttled([service("web", address, [backend("b", echo.address)])])
    source = random.Random(without)
    for size in (0, 1, 16_384, 16_385, 5_000_000):
        data = random_bytes(size, size)
        with stage.connect(address) as connection:
            exchange(connection, data, random_pieces(data, source, 100_000)).is_all_of(data)
    # The next connection sees the change: the rings were woken.
    for backends, name in (([backend("n", named.address)], "named"), ([backend("n2", named.address)], "named")):
        shuttled.admin.change("/web", service("web", address, backends))
        assert stage.name_at(address) == name
