"""Health checks: when a backend is checked, what makes it go down and up, and what is counted."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from harness.peers import Blackhole, Named, Refusing
from harness.ports import free_address, split
from harness.shuttled import Shuttled, backend, service
from harness.stage import Stage
from harness.wait import Stopwatch, eventually, throughout


class CheckPort:
    """An address that health checks connect to, which can be switched between taking and refusing connections."""

    def __init__(self) -> None:
        self.address = free_address()
        self.checks = 0
        self.times: list[float] = []
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.open()

    def open(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(split(self.address))
        listener.listen(64)
        self._listener = listener
        self._thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._thread.start()

    def shut(self) -> None:
        """From now on connects are refused."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept, which a close alone does not
            self._listener.close()
            self._listener = None
            assert self._thread is not None
            self._thread.join(10)

    close = shut

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.checks += 1
            self.times.append(time.monotonic())
            with connection:
                connection.settimeout(10)
                try:
                    assert connection.recv(1) == b"", "a check of type TCP says nothing"
                except ConnectionResetError:
                    pass


@pytest.fixture
def port(stage: Stage) -> CheckPort:
    return stage.add(CheckPort())


@pytest.fixture
def peer(stage: Stage) -> Named:
    return stage.add(Named("peer"))


def checked(stage: Stage, peer: Named, check_address: str, **fields: object) -> Shuttled:
    backends = [backend("b", peer.address, check_address=check_address)]
    return stage.shuttled([service("web", free_address(), backends, **fields)])


def look(shuttled: Shuttled) -> tuple[bool, int, int]:
    entry = shuttled.admin.backend("web", "b")
    return entry["up"], entry["check_success"], entry["check_fail"]


def looks_until(shuttled: Shuttled, up: bool) -> list[tuple[bool, int, int]]:
    """Every look from now to the first at which the backend is up, or down."""
    seen: list[tuple[bool, int, int]] = []

    def there() -> bool:
        seen.append(look(shuttled))
        return seen[-1][0] is up

    eventually(there, f"it goes {'up' if up else 'down'}")
    return seen


# When


def test_checks_are_made_at_their_interval_and_counted(stage: Stage, peer: Named, port: CheckPort) -> None:
    shuttled = checked(stage, peer, port.address, check_interval=200)
    eventually(lambda: port.checks >= 6, "checks go on")
    gaps = [later - earlier for earlier, later in zip(port.times[:5], port.times[1:6])]
    assert 0.15 < sum(gaps) / len(gaps) < 0.3, f"seconds between checks: {gaps}"
    up, good, bad = look(shuttled)
    assert up and bad == 0
    assert abs(good - port.checks) <= 1, "each is counted once"
    assert shuttled.admin.service("web")["connections"] == 0, "a check is no connection of the service"
    assert peer.accepted == 0, "it goes to the check's address, not to the backend's"


@pytest.mark.parametrize("fields", [{"check_interval": 0}, {"check_interval": 50, "check_address": ""}], ids=str)
def test_no_interval_or_no_check_address_is_no_check(stage: Stage, peer: Named, port: CheckPort, fields: dict) -> None:
    address = fields.pop("check_address", port.address)
    shuttled = checked(stage, peer, address, **fields)
    throughout(lambda: look(shuttled) == (True, 0, 0), "no check is made, and the backend is up", 0.6)
    assert port.checks == 0 and peer.accepted == 0


def test_a_new_backend_starts_up_and_is_checked_at_once(stage: Stage, peer: Named) -> None:
    sick = stage.add(Refusing())
    shuttled = checked(stage, peer, sick.address, check_interval=3_600_000)
    eventually(lambda: look(shuttled) == (True, 0, 1), "the one at the start is checked at once", 2)
    shuttled.admin.change("/web/c", backend("c", peer.address, check_address=sick.address))
    assert shuttled.admin.backend("web", "c")["up"], "it starts up"
    eventually(lambda: shuttled.admin.backend("web", "c")["check_fail"] == 1, "the new one is checked at once", 2)
    assert look(shuttled) == (True, 0, 1), "and the other one's check was not made again for it"


def test_checks_of_a_removed_backend_end(stage: Stage, peer: Named, port: CheckPort) -> None:
    shuttled = checked(stage, peer, port.address, check_interval=50)
    eventually(lambda: port.checks > 2, "checks go on")
    shuttled.admin.remove("/web/b")
    made = eventually(lambda: port.checks, "")
    throughout(lambda: port.checks <= made + 1, "but for one that was under way no further check is made", 0.5)


# Up and down


@pytest.mark.parametrize("fall", [1, 3])
def test_fall_failed_checks_in_a_row_take_a_backend_down(stage: Stage, peer: Named, port: CheckPort, fall: int) -> None:
    shuttled = checked(stage, peer, port.address, check_interval=150, fall=fall, rise=1)
    eventually(lambda: look(shuttled)[1] > 0, "the first check is good")
    port.shut()
    seen = looks_until(shuttled, up=False)
    for up, _, bad in seen:
        if bad < fall:
            assert up, f"down after {bad} failed checks, not {fall}"
    assert seen[-1][2] == fall, f"down only after {seen[-1][2]} failed checks, not {fall}"


@pytest.mark.parametrize("rise", [1, 3])
def test_rise_good_checks_in_a_row_bring_it_up_again(stage: Stage, peer: Named, port: CheckPort, rise: int) -> None:
    shuttled = checked(stage, peer, port.address, check_interval=150, fall=1, rise=rise)
    port.shut()
    eventually(lambda: not look(shuttled)[0], "it goes down")
    good_before = look(shuttled)[1]
    port.open()
    seen = looks_until(shuttled, up=True)
    assert seen[-1][1] - good_before == rise, f"up after {seen[-1][1] - good_before} good checks, not {rise}"
    assert stage.name_at(shuttled.admin.config()[0]["address"]) == "peer"


def test_failures_that_are_not_in_a_row_do_not_add_up(stage: Stage, peer: Named, port: CheckPort) -> None:
    shuttled = checked(stage, peer, port.address, check_interval=150, fall=3)
    for _ in range(3):
        good, bad = look(shuttled)[1:]
        eventually(lambda: look(shuttled)[1] > good, "a good check")
        port.shut()
        eventually(lambda: look(shuttled)[2] > bad, "a failed check")
        port.open()
        up, _, now_bad = look(shuttled)
        assert up, f"{now_bad - bad} failed checks after a good one"
    assert look(shuttled)[0]
    assert look(shuttled)[2] >= 3


def test_a_check_takes_no_longer_than_the_connect_timeout(stage: Stage, peer: Named) -> None:
    hole = stage.add(Blackhole())
    watch = Stopwatch()
    shuttled = checked(stage, peer, hole.address, check_interval=100, connect_timeout=300, fall=2)
    seen = looks_until(shuttled, up=False)
    assert 0.6 < watch.seconds < 4, "not before two timeouts have passed"
    # The next check may have failed too before anybody looked.
    assert seen[-1][2] >= 2
    eventually(lambda: "failed_checks=2 " in shuttled.log_path.read_text(), shuttled.log_tail)


def test_many_hanging_checks_do_not_delay_the_others(stage: Stage, peer: Named, port: CheckPort) -> None:
    hole = stage.add(Blackhole())
    backends = [backend(f"h{i}", peer.address, check_address=hole.address) for i in range(100)]
    slow = service("slow", free_address(), backends, check_interval=100, connect_timeout=2000)
    quick = service("web", free_address(), [backend("b", peer.address, check_address=port.address)], check_interval=100)
    shuttled = stage.shuttled([slow, quick])
    good = look(shuttled)[1]
    eventually(lambda: look(shuttled)[1] >= good + 10, "the quick service is checked beside a hundred that hang", 5)
    assert look(shuttled)[2] == 0


# Through changes


def test_health_survives_a_change_that_keeps_the_identity(stage: Stage, peer: Named) -> None:
    sick = stage.add(Refusing())
    shuttled = checked(stage, peer, sick.address, check_interval=100, fall=2)
    eventually(lambda: not look(shuttled)[0], "it goes down")
    address = shuttled.admin.config()[0]["address"]
    same = backend("b", peer.address, check_address=sick.address)
    for path, body in (
        ("/web", service("web", address, [same], check_interval=100, balance="LC")),
        ("/web/b", {**same, "weight": 7}),
        ("/config", [service("web", free_address(), [same], check_interval=100)]),
    ):
        failed = look(shuttled)[2]
        shuttled.admin.change(path, body)
        up, _, bad = look(shuttled)
        assert not up and bad >= failed, f"PUT {path} made a backend that is down look like a new one"
    shuttled.admin.change("/web/b", backend("b", stage.add(Named("other")).address, check_address=sick.address))
    up, _, bad = look(shuttled)
    assert up and bad <= 1, "another address is another backend: it starts up"


def test_health_is_each_services_own(stage: Stage, peer: Named, port: CheckPort) -> None:
    """The same server behind two services: rise, fall and interval are those of the service."""
    sick = stage.add(Refusing())
    one = service("one", free_address(), [backend("b", peer.address, check_address=sick.address)], check_interval=50)
    two = service("two", free_address(), [backend("b", peer.address, check_address=sick.address)], check_interval=50)
    shuttled = stage.shuttled([{**one, "fall": 1}, {**two, "fall": 1000}])
    eventually(lambda: not shuttled.admin.backend("one", "b")["up"], "down in the one")
    eventually(lambda: shuttled.admin.backend("two", "b")["check_fail"] > 3, "still checked in the other")
    assert shuttled.admin.backend("two", "b")["up"]


def test_a_backend_that_fails_its_checks_keeps_the_sessions_it_has(stage: Stage, port: CheckPort) -> None:
    peer = stage.add(Named("peer"))
    shuttled = checked(stage, peer, port.address, check_interval=50, fall=1)
    client = stage.connect(shuttled.admin.config()[0]["address"])
    assert client.recv(5) == b"peer\n"
    port.shut()
    eventually(lambda: not look(shuttled)[0], "it goes down")
    client.sendall(b"still here")
    assert client.recv(10) == b"still here"
