"""Owns the claim that something changed nothing: configuration, state file, listening sockets and traffic."""

from __future__ import annotations

from typing import Any

from .shuttled import Shuttled
from .stage import Stage


class Unchanged:
    """Stands around refused requests in a `with` block. The first service must have a backend that is named `one`."""

    def __init__(self, stage: Stage, shuttled: Shuttled) -> None:
        self._stage = stage
        self._shuttled = shuttled

    def _look(self) -> tuple[Any, ...]:
        state = self._shuttled.state_path
        return (
            self._shuttled.admin.config_text(),
            state.read_bytes() if state.exists() else None,
            self._shuttled.view.listeners(),
        )

    def __enter__(self) -> None:
        self._before = self._look()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            return
        now = self._look()
        for what, before, after in zip(("configuration", "state file", "listening sockets"), self._before, now):
            assert before == after, f"what was refused changed the {what}: {before!r}, now {after!r}"
        address = self._shuttled.admin.config()[0]["address"]
        assert self._stage.name_at(address) == "one", "what was refused disturbed the traffic"
