"""Owns a client that connects again and again in the background, to see what others see while things change."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence

from .streams import connect

PAUSE_SECONDS = 0.0005


class Knocking:
    """Connects, reads the name the backend says, closes; from `with` to its end.

    Several addresses are tried one after the other until one does not refuse: for a listener that moves. Where `epoch`
    was another number before the first try than after the last, the listener may have moved more than once in between,
    and a refusal by all of them does not count.
    """

    def __init__(
        self, *addresses: str, threads: int = 1, pause: float = PAUSE_SECONDS, epoch: Callable[[], int] = lambda: 0
    ) -> None:
        self._addresses: Sequence[str] = addresses
        self._epoch = epoch
        self._pause = pause
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        self.names: Counter[str] = Counter()
        self.refused = 0
        #: Connections that were made and ended without a name: (seconds since the epoch, how).
        self.lost: list[tuple[float, str]] = []

    def __enter__(self) -> Knocking:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def served(self) -> int:
        return sum(self.names.values())

    def expect_all_served(self, *names: str) -> None:
        """Nobody was refused or lost, somebody came, and only backends of these names served."""
        assert self.refused == 0, f"{self.refused} connections were refused beside {self.served} that were served"
        assert not self.lost, f"{len(self.lost)} connections were lost beside {self.served} served: {self.lost[:5]}"
        assert self.served > 0, "nobody came"
        assert not names or set(self.names) <= set(names), f"served by {set(self.names)}, not only by {names}"

    def _run(self) -> None:
        while not self._done.is_set():
            self._knock()
            time.sleep(self._pause)

    def _knock(self) -> None:
        epoch = self._epoch()
        for address in self._addresses:
            try:
                connection = connect(address)
            except ConnectionRefusedError:
                continue
            except OSError as error:
                with self._lock:
                    self.lost.append((time.time(), f"connecting: {error!r}"))
                return
            with connection:
                try:
                    said = connection.recv(100)
                except OSError as error:
                    said, how = b"", repr(error)
                else:
                    how = "ended without a byte"
            with self._lock:
                if said:
                    self.names[said.decode().rstrip("\n")] += 1
                else:
                    self.lost.append((time.time(), how))
            return
        if self._epoch() == epoch:
            with self._lock:
                self.refused += 1
